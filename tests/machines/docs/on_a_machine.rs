//! Running scenes on a booted machine with the program installed.

use super::page::Order;
use super::steps::{Said, Scene};
use crate::machine::{Ended, Machine, User};

/// On the machine the program is there already: nothing is built twice. Root needs no sudo(8).
const SHORTCUTS: &str = r#"
cd "$HOME"
source /run/host/repository/tests/machines/docs/prologue.sh
packaging/install() { /run/host/repository/packaging/install --binary /run/host/tmux-janitor "$@"; }
sudo() { "$@"; }
"#;

/// What a scene may have started.
const UNITS: &str = "tmux-janitor.timer tmux-janitor.service";

/// A machine on which everything is installed.
pub(crate) struct Installed {
    pub(crate) machine: Machine,
    user: User,
}

impl Installed {
    /// `None`, after a loud skip, where no machine can be had.
    #[track_caller]
    pub(crate) fn boot() -> Option<Self> {
        let machine = Machine::boot()?;
        machine.sh(
            "mkdir -p /var/log/journal; systemd-tmpfiles --create --prefix /var/log/journal; journalctl --flush
             /run/host/repository/packaging/install --binary /run/host/tmux-janitor --prefix /usr --system",
        );
        let user = machine.user("ann");
        machine.sh_as(&user, "mkdir -p ~/.local/bin; ln -s /usr/bin/tmux-janitor ~/.local/bin/");
        Some(Self { machine, user })
    }

    /// What each step of a scene said. What it leaves behind ends with it.
    #[track_caller]
    pub(crate) fn run(&self, scene: &Scene) -> Vec<Said> {
        let said = scene
            .steps
            .iter()
            .map(|step| {
                if step.script.contains("journalctl") {
                    self.machine.sh("journalctl --sync");
                }
                let script = quoted(&self.of_this_user(&format!("{SHORTCUTS}{}", step.script)));
                let script = format!("exec 2>&1; exec bash -c {script}");
                let as_root = scene.order == Order::Machine { as_root: true };
                let Ended { code, out, .. } = if as_root {
                    self.machine.try_sh(&script)
                } else {
                    self.machine.try_sh_as(&self.user, &script)
                };
                Said {
                    code: code.map_or_else(String::new, |code| code.to_string()),
                    text: self.as_written(&out),
                }
            })
            .collect();
        self.tidy(scene);
        said
    }

    /// Ends what a scene has started.
    #[track_caller]
    fn tidy(&self, scene: &Scene) {
        let started = |unit: &str| scene.steps.iter().any(|step| step.script.contains(unit));
        if started("--now") || started("watch.service") {
            let disable = format!("disable --quiet --now {UNITS}");
            self.machine.sh_as(&self.user, &format!("systemctl --user {disable} tmux-janitor-watch.service"));
            if scene.order == (Order::Machine { as_root: true }) {
                self.machine.sh(&format!("systemctl {disable}"));
            }
        }
        self.machine.sh_as(&self.user, "systemctl --user reset-failed");
        self.machine.sh(
            "grep -l '^tmux: server$' /proc/[0-9]*/comm 2>/dev/null | cut -d/ -f3 | xargs -r kill -KILL || :
             rm -rf /tmp/tmux-*",
        );
    }

    /// In the documentation the user is number 1000.
    fn of_this_user(&self, text: &str) -> String {
        text.replace("tmux-1000", &format!("tmux-{}", self.user.uid))
    }

    fn as_written(&self, text: &str) -> String {
        text.replace(&format!("tmux-{}", self.user.uid), "tmux-1000")
    }

    /// What systemd-analyze(1) says of a unit or of a drop-in for one.
    #[track_caller]
    pub(crate) fn verify(&self, unit: &str) -> Ended {
        let is_whole = unit.contains("\nExecStart=");
        let place = if is_whole { "page.service" } else { "page.service.d/page.conf" };
        let script = format!(
            "rm -rf ~/verify; mkdir -p ~/verify/page.service.d; cd ~/verify
             printf '[Service]\\nType=oneshot\\nExecStart=/bin/true\\n' >page.service
             printf %s {} >{place}
             SYSTEMD_UNIT_PATH=$PWD: systemd-analyze --user verify ./page.service",
            quoted(unit)
        );
        self.machine.try_sh_as(&self.user, &script)
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
