//! Completion scripts for shells: the generator's, mended, and with the names that only a run can tell.

use super::{Cli, Nameable};
use crate::exit::Error;
use crate::exit::Exit;
use crate::exit::output::Output;
use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use tmux_sockets::judge::State;
use tmux_sockets::report::Report;

/// Prints a shell's completion script.
pub(crate) fn print(shell: Shell, output: &mut Output) -> Result<Exit, Error> {
    output.bytes(script(shell).as_bytes())?;
    Ok(Exit::Done)
}

/// Labels, or paths of ghosts, a line each. One that would not be a line, or whose bytes are no text, is left out.
pub(crate) fn names(report: &Report, of: Nameable) -> String {
    let wanted = report.entries.iter().filter(|entry| match of {
        Nameable::Labels => !matches!(entry.verdict.state, State::NotASocket | State::Foreign),
        Nameable::Ghosts => entry.verdict.state == State::Ghost,
    });
    let names = wanted.filter_map(|entry| match of {
        Nameable::Labels => entry.label.to_str().map(str::to_owned),
        Nameable::Ghosts => report.path_of(entry).to_str().map(str::to_owned),
    });
    let mut names: Vec<String> = names.filter(|name| !name.contains(char::is_control)).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| name + "\n").collect()
}

/// A shell's completion script.
pub(crate) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut visible(&Cli::command()), "tmux-janitor", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    let script = match shell {
        Shell::Bash => bash(&script),
        Shell::Zsh => zsh(&script),
        Shell::Fish => script + FISH + &without_files(),
        _ => script,
    };
    script.trim_end().to_owned() + "\n"
}

/// The command line without what is hidden, which the generators offer all the same.
fn visible(cli: &Command) -> Command {
    let shown = cli.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new("tmux-janitor")
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .args(cli.get_arguments().cloned())
        .subcommands(shown.cloned())
}

/// The generator sets a state for each command and looks for another one when the program's name has a hyphen
/// (`clap_complete` 4.6). Its words are expanded by the shell once more (`compgen -W`), so names are compared by hand.
fn bash(script: &str) -> String {
    script.replace("tmux__subcmd__janitor", "tmux__janitor") + BASH
}

const BASH: &str = r#"
_tmux_janitor_names() {
    local name
    COMPREPLY=()
    while IFS= read -r name; do
        [[ $name != "$2"* ]] || COMPREPLY+=("$(printf %q "$name")")
    done < <(command tmux-janitor complete-names "$1" 2>/dev/null)
}

_tmux_janitor() {
    local words
    # "=" is a word of its own: --state=d is read as --state d is.
    if [[ ${COMP_WORDS[COMP_CWORD]} == = ]]; then
        COMP_WORDS[COMP_CWORD]=
        set -- "$1" "" "${COMP_WORDS[COMP_CWORD-1]}"
    elif [[ $3 == = && COMP_CWORD -ge 3 ]]; then
        set -- "$1" "$2" "${COMP_WORDS[COMP_CWORD-2]}"
    fi
    words=" ${COMP_WORDS[*]:1:COMP_CWORD-1} "
    if [[ $3 == -L && $words == *" probe "* ]]; then
        _tmux_janitor_names labels "$2"
    elif [[ $words == *" rescue "* && $2 != -* && ! $3 =~ ^--(dir|config|color|log-target)$ ]]; then
        COMPREPLY=()
        _tmux_janitor_has_argument || _tmux_janitor_names ghosts "$2"
    else
        _tmux__janitor "$@"
        # Files, where one belongs and nothing else does.
        if [[ $words == *" audit "* || $words == *" spawn "*" -- "* ]] ||
            { [[ $words == *" check-config "* ]] && ! _tmux_janitor_has_argument; }; then
            compopt -o bashdefault -o default
        fi
    fi
}

# Whether a word stands behind the command already that is neither an option nor an option's value.
_tmux_janitor_has_argument() {
    local word before= count=0
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        [[ $word != = ]] || continue
        [[ $word == -* || $before =~ ^--(dir|config|color|log-target)$ ]] || ((++count))
        before=$word
    done
    ((count > 1))
}

complete -F _tmux_janitor tmux-janitor
"#;

fn zsh(script: &str) -> String {
    let script = script
        .replace(":LABEL:_default'", ":LABEL:_tmux_janitor_labels'")
        .replace("is a usage error:_default'", "is a usage error: '")
        .replace("without it, all of them:_files'", "without it, all of them:_tmux_janitor_ghosts'");
    script.replacen("autoload -U is-at-least\n", ZSH, 1)
}

const ZSH: &str = r#"autoload -U is-at-least

_tmux_janitor_labels() {
    local -a names
    names=("${(@f)$(_call_program labels tmux-janitor complete-names labels 2>/dev/null)}")
    compadd -a names
}

_tmux_janitor_ghosts() {
    local -a names
    names=("${(@f)$(_call_program ghosts tmux-janitor complete-names ghosts 2>/dev/null)}")
    compadd -a names
}
"#;

/// fish offers files wherever nothing says that none are wanted: behind a command that takes no argument, behind the
/// only argument, and for the name of a session.
fn without_files() -> String {
    let cli = Cli::command();
    let shown = cli.get_subcommands().filter(|command| !command.is_hide_set());
    let takes_none = shown.filter(|command| command.get_positionals().next().is_none());
    takes_none.fold(String::new(), |lines, command| {
        let condition = format!("__fish_tmux_janitor_using_subcommand {}", command.get_name());
        lines + &format!("complete -c tmux-janitor -n \"{condition}\" -f\n")
    })
}

const FISH: &str = r#"
# Whether an argument stands behind the command already.
function __fish_tmux_janitor_has_argument
    set -l words (commandline -opc)
    set -e words[1]
    argparse (__fish_tmux_janitor_global_optspecs) dry-run aside json -- $words 2>/dev/null
    and test (count $argv) -gt 1
end

complete -c tmux-janitor -n "__fish_tmux_janitor_using_subcommand probe" -s L -x -a "(tmux-janitor complete-names labels 2>/dev/null)"
complete -c tmux-janitor -n "__fish_tmux_janitor_using_subcommand rescue" -f
complete -c tmux-janitor -n "__fish_tmux_janitor_using_subcommand rescue; and not __fish_tmux_janitor_has_argument" -a "(tmux-janitor complete-names ghosts 2>/dev/null)"
complete -c tmux-janitor -n "__fish_tmux_janitor_using_subcommand check-config; and __fish_tmux_janitor_has_argument" -f
complete -c tmux-janitor -n "__fish_tmux_janitor_using_subcommand spawn; and not contains -- -- (commandline -opc)" -f
"#;
