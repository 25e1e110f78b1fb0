//! What a stranger binds is in the kernel's table for everybody to read, and its name is the stranger's: it may lead to a file
//! system that never answers. No command opens or resolves it.

use crate::common::arena;
use crate::common::janitor::Run;
use crate::common::skip::skip;
use crate::common::wait;

/// `$0` is a folder for what is to be told. The stranger's servers are bound where a victim's would be, beside the victim's own
/// folder and on its file system; the victim has a server, a dead socket and a ghost.
const SCENE: &str = r#"
    chmod 755 "$0"
    mkdir "$0/hers" "$0/victim" "$0/told"
    cp "$JANITOR" "$0/janitor"
    as() { user=$1; shift; setpriv --reuid "$user" --regid "$user" --clear-groups "$@"; }
    mkdir -m 700 "$0/hers/tmux-4731" "$0/hers/tmux-0"
    chown -R 4732 "$0/hers"; chown -R "$VICTIM" "$0/victim" "$0/told"
    for name in tmux-4731/default tmux-0/default x; do
        as 4732 "$TMUX_BIN" -f /dev/null -S "$0/hers/$name" new-session -d 'sleep 3600'
    done
    export HOME=/nonexistent TMUX_TMPDIR="$0/victim"
    dir="$0/victim/tmux-$VICTIM"
    for name in live ghost dead; do as "$VICTIM" "$TMUX_BIN" -f /dev/null -L $name new-session -d 'sleep 3600'; done
    rm "$dir/ghost"
    kill -9 "$(as "$VICTIM" "$TMUX_BIN" -L dead display-message -p '#{pid}')"
    n=0
    j() {
        n=$((n + 1))
        as "$VICTIM" timeout 90 strace -f -e trace=%file,connect -o "$0/told/$n" "$0/janitor" "$@" >"$0/told/$n.out" 2>&1 || test $? -lt 124
        echo "$@" >"$0/told/$n.command"
    }
    for command in '' status doctor 'sweep --dry-run' "probe -S $dir/ghost" rescue; do j $command; done
    rm "$dir/ghost"
    for command in list 'rescue --dry-run' 'probe -L live' sweep rescue; do j --dir "$dir" $command; done
    # strace ends with the last of its processes, and the server is one.
    as "$VICTIM" sh -c 'until "$0" -L spawn-new has-session; do sleep 0.1; done; sleep 1; "$0" -L spawn-new kill-server' "$TMUX_BIN" 2>/dev/null &
    j spawn new -- sleep 1000
    for command in watch events; do
        n=$((n + 1))
        setpriv --reuid "$VICTIM" --regid "$VICTIM" --clear-groups strace -f -e trace=%file,connect -o "$0/told/$n" \
            "$0/janitor" --dir "$dir" $command >"$0/told/$n.out" 2>&1 &
        strace=$!
        until grep -q "$dir" "$0/told/$n"; do sleep 0.02; done
        as "$VICTIM" "$TMUX_BIN" -f /dev/null -L "during-$command" new-session -d 'sleep 3600'
        kill -9 "$(as "$VICTIM" "$TMUX_BIN" -L "during-$command" display-message -p '#{pid}')"
        until grep -q "during-$command" "$0/told/$n"; do sleep 0.02; done
        kill $(cat "/proc/$strace/task/$strace/children"); wait $strace || :
        echo $command >"$0/told/$n.command"
    done
"#;

fn nothing_of_hers_is_touched(victim: u32) {
    if !rustix::process::getuid().is_root() {
        return skip("needs root: it makes users' processes");
    }
    let folder = tempfile::Builder::new().prefix("strangers-").tempdir_in("/tmp").unwrap();
    let run = Run::of(
        wait::in_time("unshare")
            .args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-euc", SCENE])
            .arg(folder.path())
            .env("VICTIM", victim.to_string())
            .env("JANITOR", env!("CARGO_BIN_EXE_tmux-janitor"))
            .env("TMUX_BIN", arena::tmux_program())
            .env_remove("TMUX")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_RUNTIME_DIR"),
    );
    assert_eq!(run.code, Some(0), "{} {}", run.stdout, run.stderr);
    let hers = folder.path().join("hers").display().to_string();
    let told = folder.path().join("told");
    let mut traces = 0;
    for number in 1.. {
        let Ok(trace) = std::fs::read_to_string(told.join(number.to_string())) else { break };
        let command = std::fs::read_to_string(told.join(format!("{number}.command"))).unwrap();
        let touched: Vec<&str> = trace.lines().filter(|line| line.contains(&hers)).collect();
        assert!(touched.is_empty(), "{command}: {touched:#?}");
        assert!(trace.contains("victim"), "{command}: it has looked somewhere: {trace}");
        traces += 1;
    }
    assert_eq!(traces, 14);
}

#[test]
fn no_command_touches_what_a_stranger_has_bound() {
    nothing_of_hers_is_touched(4731);
}

#[test]
fn root_for_itself_touches_nothing_of_theirs_either() {
    nothing_of_hers_is_touched(0);
}
