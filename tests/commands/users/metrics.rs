//! What runs leave in each user's record, and the health row of all users.

use super::scene::{Hall, User, all_users, give, make_dir};
use crate::common::janitor::Run;
use crate::common::metrics::{assert_open_metrics, samples};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::time::SystemTime;

fn record(user: User) -> PathBuf {
    user.path(".tmux-janitor-record")
}

fn row() -> BTreeMap<String, f64> {
    let run = Run::of(crate::common::janitor::bare().args(["status", "--all-users", "--metrics"]));
    assert_open_metrics(&run.stdout);
    samples(&run.stdout)
}

fn of(row: &BTreeMap<String, f64>, name: &str, user: User) -> Option<f64> {
    row.get(&format!("tmux_janitor_{name}uid=\"{}\"}}", user.0)).copied()
}

/// The program as a user. It may stand where only root may go.
#[track_caller]
fn own(user: User, arguments: &[&str]) -> Run {
    let mut command = user.command(OsStr::new("/proc/self/fd/0"));
    command.stdin(fs::File::open(env!("CARGO_BIN_EXE_tmux-janitor")).unwrap());
    Run::of(command.env("XDG_CONFIG_HOME", "/nonexistent").args(arguments))
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

#[test]
fn what_all_runs_did_adds_up_for_each_user() {
    let Some(mut hall) = Hall::open() else { return };
    let [one, two] = [User::new(), User::new()].map(|user| user.with_dir().with_account());
    hall.live(one, "live");
    one.dead("a");
    one.dead("b");
    let before = row();
    for (name, first, second) in [
        ("sockets{state=\"live\",", Some(1.0), Some(0.0)),
        ("sockets{state=\"dead\",", Some(2.0), Some(0.0)),
        ("ghosts{", Some(0.0), Some(0.0)),
        ("removals_total{", Some(0.0), Some(0.0)),
        ("last_sweep_timestamp_seconds{", None, None),
    ] {
        assert_eq!((of(&before, name, one), of(&before, name, two)), (first, second), "{name} {before:#?}");
    }
    assert!(!record(one).exists(), "looking writes nothing");
    all_users("sweep", &["--dry-run"]);
    assert!(!record(one).exists(), "nor does a dry run");

    let started = now();
    assert_eq!(all_users("sweep", &[]).code, Some(0));
    let ended = now();
    let swept = row();
    assert_eq!(
        (of(&swept, "removals_total{", one), of(&swept, "removals_total{", two)),
        (Some(2.0), Some(0.0))
    );
    for user in [one, two] {
        let at = of(&swept, "last_sweep_timestamp_seconds{", user).unwrap();
        assert!((started..=ended).contains(&at), "{started} {at} {ended}");
        assert!(of(&swept, "last_sweep_duration_seconds{", user).is_some_and(|took| took > 0.0));
        assert!(of(&swept, "removals_created{", user).is_some_and(|created| created <= at));
        let about = fs::metadata(record(user)).unwrap();
        assert_eq!((about.uid(), about.mode() & 0o7777), (user.0, 0o700));
    }

    // A run of the user's own: one more removed, one that cannot be.
    one.dead("c");
    one.dead("stuck");
    make_dir(&one.path("stuck.lock"), one);
    assert_eq!(own(one, &["sweep"]).code, Some(1));
    let later = row();
    for (name, value) in
        [("removals_total{", 3.0), ("failures_total{", 1.0), ("sockets{state=\"dead\",", 1.0)]
    {
        assert_eq!(of(&later, name, one), Some(value), "{name} {later:#?}");
    }
    assert_eq!(of(&later, "removals_created{", one), of(&swept, "removals_created{", one));
    assert!(
        of(&later, "last_sweep_timestamp_seconds{", one) > of(&swept, "last_sweep_timestamp_seconds{", one)
    );
    let alone = own(one, &["status", "--metrics"]);
    assert_eq!(alone.code, Some(1), "{}", alone.stderr);
    for (series, value) in samples(&alone.stdout) {
        if series.starts_with("tmux_janitor_build_info{") {
            assert_eq!(
                series.replace(&one.0.to_string(), "0"),
                *later.keys().find(|key| key.contains("build_info")).unwrap()
            );
            continue;
        }
        assert_eq!(later.get(&series), Some(&value), "{series}");
    }
    let file = PathBuf::from("/tmp/all.prom");
    let run = all_users("status", &["--metrics-file", file.to_str().unwrap()]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""));
    assert_eq!(samples(&fs::read_to_string(&file).unwrap()), later);
    assert_eq!(
        (fs::metadata(&file).unwrap().uid(), fs::metadata(&file).unwrap().mode() & 0o7777),
        (0, 0o644)
    );
}

#[test]
fn nobody_can_have_a_record_written_for_them_or_read_in_their_stead() {
    let Some(_hall) = Hall::open() else { return };
    let [victim, enemy] = [User::new(), User::new()].map(|user| user.with_dir().with_account());
    // A link to a folder of the victim's, and a folder of the enemy's own at the victim's place.
    let precious = victim.home().join("precious");
    make_dir(&precious, victim);
    for (what, place) in [("a link", true), ("a folder", false)] {
        if place {
            symlink(&precious, record(victim)).unwrap();
        } else {
            make_dir(&record(victim), enemy);
            fs::write(record(victim).join("record.json"), "{\"removed\":9,\"swept_us\":9}").unwrap();
        }
        give(&record(victim), enemy);
        victim.dead("gone");
        let run = all_users("sweep", &[]);
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{what}");
        assert_eq!(victim.names(), [""; 0], "swept all the same");
        assert_eq!(fs::read_dir(&precious).unwrap().count(), 0, "{what}");
        let row = row();
        assert_eq!(of(&row, "removals_total{", victim), None, "{what}: {row:#?}");
        assert_eq!(of(&row, "sockets{state=\"dead\",", victim), Some(0.0), "{what}");
        assert!(of(&row, "removals_total{", enemy).is_some(), "{what}");
        // Two alerts are silent then, and it is said.
        let errors = [victim, enemy].map(|user| of(&row, "record_errors{", user));
        assert_eq!(errors, [Some(1.0), Some(0.0)], "{what}: {row:#?}");
        let told = own(victim, &["doctor"]);
        assert_eq!(told.code, Some(1), "{}", told.stdout);
        assert!(told.stdout.contains(record(victim).to_str().unwrap()), "{}", told.stdout);
        let mut lines = told.stdout.lines().skip_while(|line| !line.starts_with("record: "));
        let cure = lines.find_map(|line| line.trim().strip_prefix("cure: ")).unwrap();
        let cured = Run::of(victim.command(OsStr::new("sh")).args(["-c", cure]));
        assert_eq!(cured.code, Some(0), "{cure}: {}", cured.stderr);
        assert!(!own(victim, &["doctor"]).stdout.contains("record: "), "{what}: {cure}");
    }
    fs::remove_dir_all(victim.path(".tmux-janitor-record.aside")).unwrap();
    // A name that everybody may make is not looked at.
    symlink(&precious, format!("/tmp/.tmux-janitor-{}", victim.0)).unwrap();
    victim.dead("gone");
    all_users("sweep", &[]);
    assert_eq!(of(&row(), "removals_total{", victim), Some(1.0));
    assert_eq!(fs::read_dir(&precious).unwrap().count(), 0);
    for command in ["list", "status"] {
        let run = own(victim, &[command]);
        assert!(run.code == Some(0) && !run.stdout.contains("record"), "{}", run.stdout);
    }
}

#[test]
fn of_a_user_who_cannot_be_looked_at_nothing_is_said_but_that() {
    let Some(_hall) = Hall::open() else { return };
    let user = User::new().with_dir().with_account();
    user.dead("x");
    fs::set_permissions(user.dir(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let row = row();
    assert_eq!(of(&row, "directory_errors{", user), Some(1.0), "{row:#?}");
    // Of the record nothing is to be mended but that.
    let told = own(user, &["doctor"]);
    assert!(
        told.stdout.contains("directory: problem: ") && !told.stdout.contains("record: "),
        "{}",
        told.stdout
    );
    assert_eq!(of(&row, "sockets{state=\"dead\",", user), None, "{row:#?}");
    assert_eq!(of(&row, "ghosts{", user), None, "{row:#?}");
}
