//! Nothing but the program, from `cargo install`: `setup` brings the rest, and takes it away.

use super::scene::{INSTALL, removes_only_the_dead, user};
use crate::machine::{Machine, User};

/// Brings the program alone to where cargo puts it.
#[track_caller]
fn install_the_program(machine: &Machine, user: &User) {
    machine.sh_as(user, "mkdir -p ~/.cargo/bin && cp /run/host/tmux-janitor ~/.cargo/bin/tmux-janitor");
}

/// What [`removes_only_the_dead`] makes besides is not ours.
const FILES: &str = "find ~ -not -path '*/.config/tmux-janitor*' | sort";

#[track_caller]
fn is_active(machine: &Machine, user: &User) -> bool {
    machine.try_sh_as(user, "systemctl --user is-active tmux-janitor.timer").out == "active\n"
}

#[test]
fn set_up_from_the_program_alone_it_sweeps_and_is_gone_without_a_trace() {
    let Some(mut machine) = Machine::boot() else {
        return;
    };
    let ann = user(&machine);
    install_the_program(&machine, &ann);
    machine.sh_as(&ann, "mkdir -p ~/.config");
    let before = machine.sh_as(&ann, FILES);

    // man finds its pages by the folders of programs, and the first one here is ~/.local/bin.
    let said = machine.sh_as(&ann, "PATH=${PATH#*:} ~/.cargo/bin/tmux-janitor setup --now");
    for part in [
        "The timer is enabled and started",
        "only root can add",
        "/home/ann/.cargo/bin is not in your PATH",
        "export MANPATH=/home/ann/.local/share/man: ",
    ] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
    let has_zsh = machine.try_sh("command -v zsh").code == Some(0);
    assert_eq!(said.contains("zsh does not look into"), has_zsh, "{said}");
    assert!(!said.contains("enable-linger") && !said.contains("crontab"), "{said}");
    assert!(is_active(&machine, &ann));
    let program = machine.sh_as(&ann, "systemctl --user show --property=ExecStart tmux-janitor.service");
    assert!(program.contains("path=/home/ann/.cargo/bin/tmux-janitor "), "{program}");
    removes_only_the_dead(&machine, &ann);
    let found = machine.sh_as(&ann, "MANPATH=/home/ann/.local/share/man: man --where tmux-janitor");
    assert_eq!(found, "/home/ann/.local/share/man/man1/tmux-janitor.1\n");

    let stamps = "cd && find .config/systemd .local -printf '%p %i %T@\\n' | sort";
    let first = machine.sh_as(&ann, stamps);
    // As from su, which sets neither.
    let su = "unset XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS; ~/.cargo/bin/tmux-janitor";
    let said = machine.sh_as(&ann, &format!("{su} setup --now; {su} setup"));
    assert_eq!(said.matches("Nothing to do: ").count(), 2, "{said}");
    assert!(
        !said.contains("MANPATH")
            && said.contains("is enabled and runs already")
            && !said.contains("To start the timer"),
        "{said}"
    );
    assert_eq!(machine.sh_as(&ann, stamps), first);

    machine.reboot();
    machine.user("ann");
    assert!(is_active(&machine, &ann));

    // An upgrade: a watcher that runs is started anew, once.
    let watcher = "systemctl --user show --property=MainPID --value tmux-janitor-watch.service";
    assert_eq!(
        machine.sh_as(&ann, &format!("({su} setup >/dev/null); {watcher}")),
        "0\n",
        "it is not started"
    );
    machine.sh_as(&ann, "systemctl --user start tmux-janitor-watch.service");
    let before_it = machine.sh_as(&ann, watcher);
    let said = machine.sh_as(&ann, &format!("{su} setup"));
    assert!(!said.contains("was restarted") && machine.sh_as(&ann, watcher) == before_it, "{said}");
    machine.sh_as(&ann, "cd ~/.cargo/bin && cp tmux-janitor new && mv new tmux-janitor");
    let said = machine.sh_as(&ann, &format!("{su} setup"));
    assert!(said.contains("The watcher was restarted, and runs this version now."), "{said}");
    let (after_it, program) = (machine.sh_as(&ann, watcher), "readlink /proc/$(pidof tmux-janitor)/exe");
    assert_ne!(after_it, before_it);
    assert_eq!(machine.sh_as(&ann, program), "/home/ann/.cargo/bin/tmux-janitor\n");

    let said = machine.sh_as(&ann, &format!("{su} setup --remove"));
    assert!(said.contains("The program stays: /home/ann/.cargo/bin/tmux-janitor"), "{said}");
    assert_eq!(machine.sh_as(&ann, FILES), before);
    for about in ["list-timers --all", "list-unit-files", "list-units --all"] {
        let left = machine.sh_as(&ann, &format!("systemctl --user --no-pager {about}"));
        assert!(!left.contains("tmux-janitor"), "{left}");
    }
}

#[test]
fn without_a_manager_that_runs_the_timer_starts_when_it_comes() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    let ann = user(&machine);
    install_the_program(&machine, &ann);
    machine.sh(&format!(
        "loginctl disable-linger ann; systemctl stop user@{0}.service user-runtime-dir@{0}.service",
        ann.uid
    ));
    let said = machine.sh_as(&ann, "~/.cargo/bin/tmux-janitor setup --now");
    for part in [
        "It starts with your user manager, which does not answer now",
        "shell of su or sudo",
        "enable-linger",
    ] {
        assert!(said.contains(part), "{part:?} is missing in:\n{said}");
    }
    machine.user("ann");
    assert!(is_active(&machine, &ann));
    machine.sh(&format!("loginctl disable-linger ann; systemctl stop user@{}.service", ann.uid));
    machine.sh_as(&ann, "~/.cargo/bin/tmux-janitor setup --remove");
    let left = machine.sh_as(&ann, "find ~ -name '*tmux-janitor*' -not -path '*/.cargo/*'");
    assert_eq!(left, "");
}

#[test]
fn the_units_of_a_package_are_enabled_and_never_shadowed() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    let ann = user(&machine);
    let installed = machine.sh(&format!("{INSTALL} --prefix /usr"));
    assert!(installed.contains("/usr/lib/systemd/user"), "{installed}");
    let before = machine.sh_as(&ann, "find ~ | sort");
    let said = machine.sh_as(&ann, "tmux-janitor setup; tmux-janitor setup --print");
    assert!(said.contains("The units for all users are there, in /usr/lib/systemd/user"), "{said}");
    assert!(said.contains("To start the timer: ") && !said.contains("They start"), "{said}");
    assert_eq!(machine.sh_as(&ann, "find ~ | sort"), before);
    assert!(!is_active(&machine, &ann));

    machine.sh_as(&ann, "tmux-janitor setup --now");
    assert!(is_active(&machine, &ann));
    let files = machine.sh_as(&ann, "find ~ -type f -name '*tmux-janitor*'");
    assert_eq!(files, "");
    let said = machine.sh_as(&ann, "tmux-janitor setup --remove");
    assert!(said.contains("are the machine's"), "{said}");
    assert!(is_active(&machine, &ann), "no list, nothing undone");

    // A program besides the package's.
    install_the_program(&machine, &ann);
    let said = machine.sh_as(&ann, "~/.cargo/bin/tmux-janitor setup");
    assert!(
        said.contains("They start /usr/bin/tmux-janitor, not /home/ann/.cargo/bin/tmux-janitor."),
        "{said}"
    );
}
