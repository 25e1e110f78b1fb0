//! `list` on a machine: in which unit each server runs.

use crate::machine::Machine;
use serde_json::Value;

#[test]
fn each_server_is_told_of_with_its_innermost_unit() {
    let Some(machine) = Machine::boot() else { return };
    let ann = machine.user("ann");
    machine.sh_as(
        &ann,
        r#"systemd-run --user --quiet --scope --unit=by-hand -- "$TMUX_BIN" -f /dev/null -L scoped new-session -d 'sleep 1000'
        systemd-run --user --quiet --unit=forking --property=Type=forking -- "$TMUX_BIN" -f /dev/null -L served new-session -d 'sleep 1000'
        "$TMUX_BIN" -f /dev/null -L bare new-session -d 'sleep 1000'"#,
    );
    let spawned: Value = serde_json::from_str(
        &machine.sh_as(&ann, "/run/host/tmux-janitor spawn own --scope always --json -- sleep 1000"),
    )
    .unwrap();
    let list = |machine: &Machine, all: bool| -> Vec<Value> {
        let said = if all {
            machine.sh("/run/host/tmux-janitor list --all-users --json")
        } else {
            machine.sh_as(&ann, "/run/host/tmux-janitor list --json")
        };
        let mut json: Value = serde_json::from_str(&said).unwrap();
        serde_json::from_value(json["sockets"].take()).unwrap()
    };
    for all in [false, true] {
        let sockets = list(&machine, all);
        let of = |label: &str| {
            let socket = sockets.iter().find(|socket| socket["label"] == label);
            socket.unwrap_or_else(|| panic!("no {label}: {sockets:#?}")).clone()
        };
        assert_eq!(of("scoped")["unit"], "by-hand.scope");
        assert_eq!(of("served")["unit"], "forking.service");
        assert_eq!(of("spawn-own")["unit"], spawned["scope"]);
        assert_eq!(of("bare")["unit"], Value::Null, "it was started in no unit");
        for label in ["scoped", "served", "spawn-own", "bare"] {
            let socket = of(label);
            assert_eq!(
                (socket["user"].as_str(), &socket["attached"]),
                (Some("ann"), &false.into()),
                "{socket:#}"
            );
            assert!(socket["started"].is_string() && socket["memory_bytes"].is_u64(), "{socket:#}");
        }
    }
    let fields = machine.sh_as(&ann, "/run/host/tmux-janitor list --label scoped | tail -n +2 | cut -f 6");
    assert_eq!(fields, "by-hand.scope\n");
}
