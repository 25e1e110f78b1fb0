//! What a command looks at beside the sockets, where that lies on it.

use super::{NO_ANSWER, told, world};

#[test]
fn a_configuration_and_a_metrics_file_on_it_are_an_error_in_time() {
    let Some(folder) = world(
        r#"
        mkdir /tmp/real/tmux-janitor
        echo 'keep = ["dead"]' >/tmp/real/tmux-janitor/config.toml
        # While it answers all is as anywhere else.
        XDG_CONFIG_HOME=/tmp/far j kept sweep
        j written status --metrics-file /tmp/far/janitor.prom
        cp /tmp/real/janitor.prom "$0/"
        rm /tmp/real/tmux-0/far
        j ghost rescue
        TMUX_TMPDIR=/tmp/far "$TMUX_BIN" -L far has-session && echo there >"$0/rescued"
        stand_still
        XDG_CONFIG_HOME=/tmp/far j rejected sweep
        HOME=/tmp/far j home sweep
        j named sweep --config /tmp/far/tmux-janitor/config.toml
        j unwritten status --dir /tmp/tmux-0 --metrics-file /tmp/far/janitor.prom
        ls /tmp/tmux-0 >"$0/left"
        kill -CONT "$bindfs""#,
    ) else {
        return;
    };
    let code = |name: &str| told(&folder, &format!("{name}.code")).trim().to_owned();
    let err = |name: &str| told(&folder, &format!("{name}.err"));
    assert_eq!(code("kept"), "0", "{}", err("kept"));
    assert!(told(&folder, "janitor.prom").contains("# EOF"));
    assert_eq!(code("ghost"), "0", "{}", err("ghost"));
    assert_eq!(told(&folder, "rescued"), "there\n");
    for name in ["rejected", "home", "named"] {
        assert_eq!(code(name), "78", "{name}: {}", err(name));
        assert!(err(name).contains(NO_ANSWER), "{name}: {}", err(name));
    }
    assert_eq!(code("unwritten"), "1", "{}", err("unwritten"));
    assert!(err("unwritten").contains(NO_ANSWER), "{}", err("unwritten"));
    assert_eq!(told(&folder, "left"), "dead\nlive\n", "what may be kept is");
}

/// What a command may look at besides sockets.
#[test]
fn nothing_else_on_it_holds_a_command_up() {
    let script = r#"
        mkdir -p /tmp/config/tmux-janitor /tmp/real/bin /tmp/real/work /tmp/cron.d
        export XDG_CONFIG_HOME=/tmp/config
        # A script that cron runs, one that a folder of cron's leads to, and the program of another user's PATH.
        mkdir -p /etc/cron.d && mount --bind /tmp/cron.d /etc/cron.d
        echo '* * * * * root /tmp/far/bin/clean /tmp' >/tmp/cron.d/clean
        mkdir -p /etc/cron.daily && mount -t tmpfs tmpfs /etc/cron.daily
        printf '#!/bin/sh\nrm -rf /tmp/*\n' >/tmp/real/bin/clean
        chmod 755 /tmp/real/bin/clean
        ln -s /tmp/far/bin/clean /etc/cron.daily/clean
        stand_still
        timeout=$(command -v timeout)
        j() { name=$1; shift; "$@" >"$0/$name" 2>&1 || echo "code $?" >>"$0/$name"; }
        # The environment of a case, and every command in it.
        janitors() {
            case=$1
            set -- env "$2" "$timeout" 20 "$JANITOR"
            j "$case-status" "$@" --dir /tmp/tmux-0 status &
            j "$case-list" "$@" --dir /tmp/tmux-0 list &
            j "$case-sweep" "$@" --dir /tmp/tmux-0 sweep &
            j "$case-doctor" "$@" doctor &
            j "$case-probe" "$@" --dir /tmp/tmux-0 probe -S /tmp/tmux-0/live &
            j "$case-spawn" "$@" --dir /tmp/tmux-0 spawn "$case" -- sleep 1000 &
        }
        janitors home HOME=/tmp/far
        janitors path PATH="/tmp/far/bin:$PATH"
        janitors tmpdir TMUX_TMPDIR=/tmp/far
        janitors runtime XDG_RUNTIME_DIR=/tmp/far
        j cwd-spawn timeout 20 "$JANITOR" --dir /tmp/tmux-0 spawn cwd --cwd /tmp/far/work -- sleep 1000 &
        j named-sweep timeout 20 "$JANITOR" sweep -S /tmp/far/tmux-0/gone &
        until ! pgrep -x timeout >/dev/null; do sleep 0.05; done
        kill -CONT "$bindfs""#;
    let Some(folder) = world(script) else { return };
    let code = |text: &str| text.lines().find_map(|line| line.strip_prefix("code ").map(str::to_owned));
    for case in ["home", "path", "tmpdir", "runtime"] {
        for command in ["status", "list", "sweep", "doctor", "probe", "spawn"] {
            let said = told(&folder, &format!("{case}-{command}"));
            assert!(!matches!(code(&said).as_deref(), Some("124" | "137")), "{case} {command}: {said}");
            match (case, command) {
                // tmux reads its configuration in the one before anything else, and may ask for scopes in the other.
                ("home" | "runtime", "spawn") => {
                    assert_eq!(code(&said).as_deref(), Some("1"), "{said}");
                    let names = if case == "home" { "HOME" } else { "XDG_RUNTIME_DIR" };
                    assert!(
                        said.contains(&format!("{names} is /tmp/far")) && said.contains(NO_ANSWER),
                        "{said}"
                    );
                }
                (_, "doctor") => {
                    assert_eq!(code(&said).as_deref(), Some("1"), "{said}");
                    assert!(said.contains(NO_ANSWER), "{case}: {said}");
                }
                (_, "probe" | "spawn") => assert_eq!(code(&said), None, "{case} {command}: {said}"),
                _ => assert!(matches!(code(&said).as_deref(), None | Some("1")), "{case} {command}: {said}"),
            }
        }
    }
    for (case, reason) in [
        ("home", "HOME leads there"),
        ("path", "PATH leads there"),
        ("tmpdir", "TMUX_TMPDIR leads there"),
        ("runtime", "XDG_RUNTIME_DIR leads there"),
    ] {
        let said = told(&folder, &format!("{case}-doctor"));
        assert!(said.contains(reason), "{case}: {said}");
    }
    let said = told(&folder, "cwd-spawn");
    assert!(code(&said).as_deref() == Some("1") && said.contains("--cwd is /tmp/far/work"), "{said}");
    assert!(said.contains(NO_ANSWER), "{said}");
    let said = told(&folder, "named-sweep");
    assert!(code(&said).as_deref() == Some("1") && said.contains(NO_ANSWER), "{said}");
}

#[test]
fn a_pattern_that_leads_there_is_an_error() {
    let Some(folder) = world(
        r#"
        mkdir -m 700 -p /tmp/fan/in /tmp/real/in
        echo 'extra-socket-dirs = ["/tmp/fa?/in", "/tmp/f*r", "/tmp/far/*"]' >/tmp/home/config.toml
        j answers list --json --config /tmp/home/config.toml
        stand_still
        j list list --json --config /tmp/home/config.toml
        j status status --config /tmp/home/config.toml
        kill -CONT "$bindfs""#,
    ) else {
        return;
    };
    let (code, err) = (told(&folder, "list.code"), told(&folder, "list.err"));
    assert_eq!(code.trim(), "1", "{err}");
    assert_eq!(told(&folder, "status.code").trim(), "4", "{}", told(&folder, "status.out"));
    let json: serde_json::Value = serde_json::from_str(&told(&folder, "list.out")).unwrap();
    let paths = |key: &str| -> Vec<String> {
        let all = json[key].as_array().unwrap().iter();
        all.map(|place| place["path"].as_str().unwrap().to_owned()).collect()
    };
    assert!(paths("directories").contains(&"/tmp/fan/in".to_owned()), "{json:#}");
    assert!(json.get("strays").is_none(), "{json:#}");
    let error = |json: &serde_json::Value, path: &str| {
        let all = json["directories"].as_array().unwrap().iter();
        all.filter(|place| place["path"] == path).map(|place| place["error"].to_string()).collect::<String>()
    };
    for path in ["/tmp/far", "/tmp/far/in"] {
        assert!(error(&json, path).contains(NO_ANSWER), "{json:#}");
    }
    assert!(error(&json, "/tmp/far/*").contains("it leads to a mount that may not answer"), "{json:#}");
    // What is known by name is looked at, as any folder of the configuration.
    let json: serde_json::Value = serde_json::from_str(&told(&folder, "answers.out")).unwrap();
    assert_eq!(error(&json, "/tmp/far/in"), "null", "{json:#}");
    assert!(err.contains("/tmp/far/*: it leads to a mount that may not answer"), "{err}");
}
