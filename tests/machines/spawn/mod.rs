//! `spawn` inside systemd services, on a real machine: the service ends, the session lives on, and
//! whoever is outside can reach it.

mod boot;
mod handover;
mod sandboxes;
mod supervised;
mod sweeps;

use crate::machine::{Ended, Machine, User};
use serde_json::Value;

const JANITOR: &str = "/run/host/tmux-janitor";

/// Runs `spawn` in a transient service of the system manager, as `user`, with these properties; what
/// it said is its JSON. The service is over when this returns.
#[track_caller]
fn in_system_service(machine: &Machine, user: &str, properties: &str, arguments: &str) -> (Ended, Value) {
    let ended = machine.try_sh(&format!(
        "systemd-run --quiet --wait --pipe --collect --uid={user} {properties} -- {JANITOR} spawn --json {arguments}"
    ));
    let json =
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("no JSON ({error}): {ended:?}"));
    (ended, json)
}

/// The same in a oneshot service of the user's own manager.
#[track_caller]
fn in_user_service(machine: &Machine, user: &User, properties: &str, arguments: &str) -> (Ended, Value) {
    let ended = machine.try_sh_as(
        user,
        &format!(
            "systemd-run --user --quiet --wait --pipe --collect --property=Type=oneshot {properties} -- {JANITOR} spawn --json {arguments}"
        ),
    );
    let json =
        serde_json::from_str(&ended.out).unwrap_or_else(|error| panic!("no JSON ({error}): {ended:?}"));
    (ended, json)
}

/// The session answers to its user outside of every unit, and its server is in the unit of the result.
#[track_caller]
fn lives_on(machine: &Machine, user: &User, json: &Value) -> String {
    let socket = json["socket"].as_str().unwrap();
    let session = json["session"].as_str().unwrap();
    let unit = json["scope"].as_str().unwrap_or_else(|| panic!("no scope in {json:#}"));
    machine.sh_as(user, &format!("\"$TMUX_BIN\" -N -S {socket} has-session -t ={session}"));
    let cgroup = machine.sh(&format!("cat /proc/{}/cgroup", json["server_pid"]));
    assert!(cgroup.contains(&format!("/{unit}\n")), "{cgroup} {json:#}");
    unit.to_owned()
}

/// How many files its server may have open, the soft and the hard limit: those of the unit that started it.
const LIMITS: &str = "-p LimitNOFILE=700:5000";

#[track_caller]
fn has_its_limits(machine: &Machine, json: &Value) {
    let limits = machine.sh(&format!("grep 'Max open files' /proc/{}/limits", json["server_pid"]));
    assert_eq!(limits.split_whitespace().skip(3).collect::<Vec<_>>(), ["700", "5000", "files"]);
}

fn tmux_name(label: &str, unit: &str, kind: &str) -> bool {
    unit.starts_with(&format!("tmux-janitor-{label}-")) && unit.ends_with(kind)
}

#[test]
fn a_session_outlives_the_service_that_spawned_it() {
    let Some(machine) = Machine::boot() else { return };
    let ann = machine.user("ann");
    // What would happen otherwise.
    let plain = "systemd-run --user --quiet --wait --collect --property=Type=oneshot -- \"$TMUX_BIN\" -S /tmp/plain new-session -d 'sleep 1000'";
    machine.sh_as(&ann, plain);
    assert_ne!(
        machine.try_sh_as(&ann, "\"$TMUX_BIN\" -S /tmp/plain has-session").code,
        Some(0),
        "plain tmux dies"
    );
    let (ended, _) = in_user_service(&machine, &ann, "", "never --scope never -- 'sleep 1000'");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let socket = format!("/tmp/tmux-{}/spawn-never", ann.uid);
    assert_ne!(machine.try_sh_as(&ann, &format!("\"$TMUX_BIN\" -S {socket} has-session")).code, Some(0));

    let (ended, json) = in_user_service(&machine, &ann, "", "one -- sleep 1000");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let unit = lives_on(&machine, &ann, &json);
    assert!(tmux_name("spawn-one", &unit, ".scope"), "{unit}");
    assert!(machine.sh_as(&ann, &format!("systemctl --user is-active {unit}")).starts_with("active"));
    // Nothing of ours is left in it but the server and its panes, where tmux does not give these scopes of their own.
    let strangers = machine.sh(&format!(
        "for pid in $(cat /sys/fs/cgroup$(sed -n s/^0:://p /proc/{0}/cgroup)/cgroup.procs); do
           [ $pid = {0} ] || grep -q '^PPid:[[:space:]]{0}$' /proc/$pid/status || cat /proc/$pid/status
         done",
        json["server_pid"]
    ));
    assert_eq!(strangers, "");

    let (ended, json) = in_system_service(&machine, "ann", LIMITS, "two -- 'sleep 1000'");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    has_its_limits(&machine, &json);
    let unit = lives_on(&machine, &ann, &json);
    assert!(machine.sh_as(&ann, &format!("systemctl --user is-active {unit}")).starts_with("active"));

    // As root the machine's manager is asked.
    let (ended, json) = in_system_service(&machine, "root", "", "three -- 'sleep 1000'");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let unit = json["scope"].as_str().unwrap();
    assert!(machine.sh(&format!("systemctl is-active {unit}")).starts_with("active"));
    machine.sh(&format!("\"$TMUX_BIN\" -S {} has-session", json["socket"].as_str().unwrap()));
    // When the server ends, its scope is gone.
    machine.sh(&format!("\"$TMUX_BIN\" -S {} kill-server", json["socket"].as_str().unwrap()));
    machine.sh(&format!("timeout 90 sh -c 'while systemctl is-active {unit}; do sleep 0.05; done' >&2"));
    assert_ne!(machine.try_sh(&format!("systemctl status {unit}")).code, Some(0));
}

#[test]
fn in_a_scope_too_everything_is_data() {
    let Some(machine) = Machine::boot() else { return };
    let ann = machine.user("ann");
    // In a file: systemd-run of the test would expand them itself.
    let script = r#"
        cat >/tmp/tell <<'END'
printf '<%s>' "$V" "$@" >/tmp/told.part; mv /tmp/told.part /tmp/told; sleep 1000
END
        cat >/tmp/run <<'END'
exec /run/host/tmux-janitor spawn --json --env 'V=$HOME %h;' 'x$HOME%h' -- \
    sh /tmp/tell '$HOME' '${HOME}' '%h' '$$' '#{pid}' ';' 'x;' '' 'a b' "$(printf 'a\nb')" '\x41'
END
        systemd-run --user --quiet --wait --pipe --collect --property=Type=oneshot -- sh /tmp/run
        timeout 90 sh -c 'until [ -e /tmp/told ]; do sleep 0.02; done'
        cat /tmp/told"#;
    let said = machine.sh_as(&ann, script);
    let (json, told) = said.split_once('\n').unwrap();
    assert_eq!(told, "<$HOME %h;><$HOME><${HOME}><%h><$$><#{pid}><;><x;><><a b><a\nb><\\x41>");
    let json: Value = serde_json::from_str(json).unwrap();
    assert_eq!(json["session"], "x$HOME%h");
    assert!(json["scope"].is_string(), "{json:#}");
}

#[test]
fn without_a_manager_it_goes_on_and_says_so() {
    let Some(machine) = Machine::boot() else { return };
    machine.sh("useradd --create-home --shell /bin/sh bob");
    let (ended, json) = in_system_service(&machine, "bob", "", "one -- 'sleep 1000'");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(json["scope"].is_null(), "{json:#}");
    assert!(json["scope_error"].as_str().unwrap().contains("loginctl enable-linger"), "{json:#}");
    let (ended, json) = in_system_service(&machine, "bob", "", "two --scope always -- 'sleep 1000'");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(json["errors"][0].as_str().unwrap().contains("no scope can be made"), "{json:#}");
    // With PrivateTmp= nobody outside could reach it.
    let (ended, json) = in_system_service(&machine, "bob", "-p PrivateTmp=yes", "three -- 'sleep 1000'");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(json["errors"][0].as_str().unwrap().contains("PrivateTmp="), "{json:#}");
}

#[test]
fn from_a_private_tmp_it_is_started_where_the_user_is() {
    let Some(machine) = Machine::boot() else { return };
    let ann = machine.user("ann");
    let properties = &format!("-p PrivateTmp=yes -E KEPT=yes {LIMITS}");
    let (ended, json) = in_system_service(&machine, "ann", properties, "one -- 'sleep 1000'");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    has_its_limits(&machine, &json);
    let unit = lives_on(&machine, &ann, &json);
    assert!(tmux_name("spawn-one", &unit, ".service"), "{unit}");
    assert_eq!(machine.sh_as(&ann, &format!("systemctl --user is-active {unit}")).trim(), "active");
    let socket = json["socket"].as_str().unwrap();
    let kept = machine.sh_as(&ann, &format!("\"$TMUX_BIN\" -S {socket} show-environment -g KEPT"));
    assert_eq!(kept, "KEPT=yes\n");
    let foreign = machine.sh_as(&ann, &format!("\"$TMUX_BIN\" -S {socket} show-environment -g"));
    assert!(!foreign.contains("TMUX_JANITOR") && !foreign.contains("INVOCATION_ID"), "{foreign}");

    // The same session again; a mistake; one that must not go outside.
    let (ended, json) = in_system_service(&machine, "ann", properties, "one -- 'sleep 1000'");
    assert_eq!((ended.code, &json["outcome"]), (Some(3), &"exists".into()));
    let (ended, json) = in_system_service(&machine, "ann", properties, "two --scope never -- 'sleep 1000'");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(json["errors"][0].as_str().unwrap().contains("PrivateTmp="), "{json:#}");
    let (ended, _) = in_system_service(&machine, "ann", properties, "two --join-only -- 'sleep 1000'");
    assert_eq!(ended.code, Some(1), "{ended:?}");

    // `probe --session` finds it from a unit that sees the same /tmp; from one with another /tmp it is never "absent".
    for (properties, code, state) in [("", 0, "live"), (properties, 4, "unknown")] {
        let ended = machine.try_sh(&format!(
            "systemd-run --quiet --wait --pipe --collect --uid=ann {properties} -- {JANITOR} probe --json --session one"
        ));
        let json: Value = serde_json::from_str(&ended.out).unwrap_or_default();
        assert_eq!((ended.code, &json["state"]), (Some(code), &state.into()), "{ended:?}");
        assert_eq!(json["path"], socket, "{json:#}");
    }

    // In the user's own manager, where a private /tmp needs a user namespace; and one by hand.
    let (ended, json) =
        in_user_service(&machine, &ann, "-p PrivateUsers=yes -p PrivateTmp=yes", "three -- 'sleep 1000'");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    lives_on(&machine, &ann, &json);
    let (ended, json) =
        in_system_service(&machine, "ann", "-p TemporaryFileSystem=/tmp", "four -- 'sleep 1000'");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    lives_on(&machine, &ann, &json);
    // As root, the machine's manager.
    let (ended, json) = in_system_service(&machine, "root", "-p PrivateTmp=yes", "five -- 'sleep 1000'");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    machine.sh(&format!("\"$TMUX_BIN\" -S {} has-session -t =five", json["socket"].as_str().unwrap()));
}

#[test]
fn where_a_unit_may_not_write_the_next_directory_is_taken_or_the_mount_named() {
    let Some(machine) = Machine::boot() else { return };
    let ann = machine.user("ann");
    // It leaves /run/user as it is; ProtectHome= does not.
    let strict = "-p ProtectSystem=strict";
    let closed = format!("{strict} -p ProtectHome=read-only");
    let (ended, json) = in_system_service(&machine, "ann", &closed, "one -- 'sleep 1000'");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let error = json["errors"][0].as_str().unwrap();
    for part in ["the mount /tmp is read-only", "/run/user/", "ReadWritePaths="] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let (ended, json) = in_system_service(&machine, "ann", strict, "two -- 'sleep 1000'");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(json["fallback_dir"], format!("/run/user/{0}/tmux-{0}", ann.uid));
    assert!(json["fallback_reason"].as_str().unwrap().contains("the mount /tmp is read-only"), "{json:#}");
    lives_on(&machine, &ann, &json);
    let (ended, json) = in_system_service(
        &machine,
        "ann",
        &format!("{strict} -p ReadWritePaths=/tmp"),
        "three -- 'sleep 1000'",
    );
    assert_eq!((ended.code, &json["fallback_dir"]), (Some(0), &Value::Null), "{ended:?}");
    lives_on(&machine, &ann, &json);
}
