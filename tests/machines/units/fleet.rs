//! The set-ups of docs/fleet.md, as they stand there.

use super::scene::{INSTALL, leave_dead, start};
use crate::machine::{Machine, User};

const FOLDER: &str = "/var/lib/prometheus/node-exporter";

/// What stands in the block after a marker of docs/fleet.md.
#[track_caller]
fn block(marker: &str) -> String {
    let page = include_str!("../../../docs/fleet.md");
    let rest = page.split_once(&format!("<!-- {marker} -->\n```")).expect("the marker is there").1;
    let block = rest.split_once("\n```").expect("the block ends").0;
    block.split_once('\n').expect("the block has lines").1.to_owned()
}

fn write(file: &str, text: &str) -> String {
    format!("mkdir -p \"$(dirname {file})\"; cat >{file} <<'END'\n{text}\nEND\n")
}

/// Waits until a file has this line.
#[track_caller]
fn until(machine: &Machine, file: &str, line: &str) {
    let ended =
        machine.try_sh(&format!("timeout 90 sh -c \"until grep -qxF '{line}' {file}; do sleep 0.02; done\""));
    assert_eq!(ended.code, Some(0), "{line}: {}", machine.sh(&format!("cat {file}; ls -l {file}")));
}

fn series(name: &str, user: &User, value: u32) -> String {
    let state = if name == "sockets" { "state=\"dead\"," } else { "" };
    // Once more quoted for the shell.
    format!("tmux_janitor_{name}{{{state}uid=\"{}\"}} {value}", user.uid).replace('"', "\\\"")
}

#[test]
fn the_set_ups_for_prometheus_work_in_the_units_sandboxes() {
    let Some(machine) = Machine::boot() else {
        return;
    };
    machine.sh(&format!("{INSTALL} --prefix /usr --system; mkdir -p {FOLDER}"));
    let ann = machine.user("ann");
    let of_ann = |text: String| text.replace("1000", &ann.uid.to_string());
    let sums = |removed| series("removals_total", &ann, removed);

    // By root, for all.
    let conf = "/etc/systemd/system/tmux-janitor.service.d/override.conf";
    machine.sh(&write(conf, &block("drop-in: system tmux-janitor.service")));
    leave_dead(&machine, &ann, "/tmp", "gone");
    machine.sh("systemctl daemon-reload; systemctl start tmux-janitor.service");
    let all = format!("{FOLDER}/tmux-janitor.prom");
    until(&machine, &all, &sums(1));
    until(&machine, &all, &series("sockets", &ann, 0));
    assert_eq!(machine.sh(&format!("stat -c '%a %U' {all}; ls -A {FOLDER} | wc -l")), "644 root\n1\n");
    assert_eq!(
        machine.sh(&format!("stat -c '%a %U' /tmp/tmux-{}/.tmux-janitor-record", ann.uid)),
        "700 ann\n"
    );

    // By the user's timer.
    machine.sh(&format!("chown ann {FOLDER}"));
    let conf = "~/.config/systemd/user/tmux-janitor.service.d/override.conf";
    machine.sh_as(&ann, &write(conf, &of_ann(block("drop-in: user tmux-janitor.service"))));
    leave_dead(&machine, &ann, "/tmp", "gone");
    machine.sh_as(&ann, "systemctl --user daemon-reload; systemctl --user start tmux-janitor.service");
    let own = format!("{FOLDER}/tmux-janitor-{}.prom", ann.uid);
    until(&machine, &own, &sums(2));
    assert_eq!(machine.sh(&format!("stat -c '%a %U' {own}")), "644 ann\n");

    // By the user's watcher.
    machine.sh(&format!("rm {own}"));
    machine.sh_as(&ann, &write("~/.config/tmux-janitor/config.toml", &of_ann(block("configuration"))));
    let pid = start(&machine, &ann, "/tmp", "watched");
    machine.sh_as(&ann, &format!("systemctl --user start tmux-janitor-watch.service; kill -KILL {pid}"));
    until(&machine, &own, &sums(3));
    assert_eq!(machine.sh(&format!("stat -c '%a %U' {own}")), "644 ann\n");
}
