//! What one user prepares for root and for the others.

use super::scene::{Hall, User, all_users, error_of, give, make_dir, print_of, removed, stray_of};
use crate::common::janitor::entry;
use crate::common::wait::{Clock, DEADLINE};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn names_that_lie_are_reported_and_left() {
    let Some(_hall) = Hall::open() else { return };
    let (victim, mallory) = (User::new().with_dir(), User::new().with_dir());
    victim.dead("gone");
    mallory.dead("hers");
    let [linked, rooted, owned, fifo, file] = [(); 5].map(|()| User::new());
    symlink(victim.dir(), linked.dir()).unwrap();
    symlink("/", rooted.dir()).unwrap();
    make_dir(&owned.dir(), mallory);
    assert!(
        rustix::fs::mknodat(rustix::fs::CWD, fifo.dir(), rustix::fs::FileType::Fifo, 0o666.into(), 0).is_ok()
    );
    fs::write(file.dir(), "").unwrap();
    for name in ["tmux-01", "tmux-x", "tmux-", "tmux--1", "tmux-4294967296"] {
        make_dir(&Path::new("/tmp").join(name), mallory);
    }

    let run = all_users("sweep", &["--json"]);
    let json = run.json();
    assert_eq!(run.code, Some(0), "{json:#}");
    assert_eq!(
        removed(&json),
        [victim.path("gone").to_str().unwrap(), mallory.path("hers").to_str().unwrap()]
    );
    for (user, part) in [
        (linked, "a symbolic link".to_owned()),
        (rooted, "a symbolic link".to_owned()),
        (owned, format!("belongs to uid {}", mallory.0)),
        (fifo, "a FIFO".to_owned()),
        (file, "a regular file".to_owned()),
    ] {
        let reason =
            stray_of(&json, &user.dir()).unwrap_or_else(|| panic!("{user:?} is not told of: {json:#}"));
        assert!(reason.contains(&part) && reason.ends_with("left alone"), "{reason}");
    }
    assert_eq!(json["directories"].as_array().unwrap().len(), 2, "{json:#}");
    assert_eq!(json["counts"]["strays"], 5, "{json:#}");
    assert_eq!(run.stderr, "");

    // Nobody can keep another one's health bad, and what is not a stranger's still does.
    let status = all_users("status", &["--json"]);
    assert_eq!((status.code, &status.json()["healthy"]), (Some(0), &true.into()), "{}", status.stdout);
    let line = all_users("status", &[]).stdout;
    assert!(line.contains(", 5 strays"), "{line}");
    let roots = User::new();
    make_dir(&roots.dir(), User(0));
    let status = all_users("status", &["--json"]);
    assert_eq!((status.code, &status.json()["healthy"]), (Some(4), &false.into()), "{}", status.stdout);
}

/// Where a user is known from elsewhere, it is their own worker that meets the stranger's directory.
#[test]
fn a_strangers_directory_of_a_users_name_is_not_the_users_fault() {
    let Some(_hall) = Hall::open() else { return };
    let (victim, mallory) = (User::new(), User::new());
    make_dir(&Path::new("/run/user").join(victim.0.to_string()), victim);
    make_dir(&victim.dir(), mallory);
    let status = all_users("status", &["--json"]);
    assert_eq!((status.code, &status.json()["healthy"]), (Some(0), &true.into()), "{}", status.stdout);
    let json = all_users("list", &["--json"]).json();
    assert_eq!(json["counts"]["strays"], 1, "{json:#}");
    // Their own that is open to others is.
    give(&victim.dir(), victim);
    fs::set_permissions(victim.dir(), std::os::unix::fs::PermissionsExt::from_mode(0o707)).unwrap();
    let status = all_users("status", &["--json"]);
    assert_eq!(status.code, Some(4), "{}", status.stdout);
    assert_eq!(status.json()["unseen"][0]["path"], victim.dir().to_str().unwrap(), "{}", status.stdout);
}

#[test]
fn thousands_of_names_that_lie_are_counted() {
    let Some(_hall) = Hall::open() else { return };
    let victim = User::new().with_dir();
    victim.dead("gone");
    for number in 0..2000 {
        symlink("/", format!("/tmp/tmux-{}", 1_000_000 + number)).unwrap();
    }
    let other = User(2_000_000);
    rustix::fs::mknodat(rustix::fs::CWD, other.dir(), rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
    give(&other.dir(), other);
    let json = all_users("sweep", &["--json"]).json();
    assert_eq!(removed(&json).len(), 1);
    // Those of one owner hide nobody else's.
    let told = stray_of(&json, Path::new("/tmp")).unwrap();
    assert!(told.starts_with("1996 more names in it, all of uid 0, "), "{json:#}");
    assert_eq!(json["counts"]["strays"], 2001, "{json:#}");
    assert_eq!(json["strays"].as_array().unwrap().len(), 6, "{json:#}");
    assert!(stray_of(&json, &other.dir()).unwrap().contains("a FIFO"), "{json:#}");
}

#[test]
fn whoever_has_an_account_comes_before_a_flood_of_those_without() {
    let Some(_hall) = Hall::open() else { return };
    let flood: Vec<User> = (0..300).map(|number| User(100_000 + number).with_dir()).collect();
    for user in &flood {
        user.dead("hers");
        fs::set_permissions(user.dir(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    }
    let victim = User(3_000_001).with_dir().with_account();
    victim.dead("gone");
    let left = || flood.iter().filter(|user| user.path("hers").exists()).count();
    let mut janitor = crate::common::janitor::bare();
    janitor.args(["sweep", "--all-users", "--json"]);
    janitor.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let mut janitor = janitor.spawn().unwrap();
    crate::common::wait::until("the victim is served", || !victim.path("gone").exists());
    let left_then = left();
    assert!(janitor.wait().unwrap().success());
    assert!(left_then > 250, "{left_then} of 300 were left when the victim's turn came");
    assert_eq!(left(), 0);

    // As many that cannot be looked at are one line, and the victim's own is told.
    for user in flood.iter().chain([&victim]) {
        fs::set_permissions(user.dir(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    }
    let run = all_users("sweep", &["--json"]);
    let json = run.json();
    assert_eq!(run.code, Some(1));
    assert!(error_of(&json, &victim.dir()).unwrap().contains("open to others"), "{json:#}");
    assert!(error_of(&json, Path::new("/tmp")).unwrap().starts_with("292 more directories"), "{json:#}");
    assert_eq!(run.stderr.lines().count(), 10, "{}", run.stderr);
}

/// So often is looked while names are swapped, and so often at least in the middle of a swap.
const RUNS: u32 = 100;

const CAUGHT: u32 = 5;

#[test]
fn a_swap_between_look_and_use_gains_nothing() {
    let Some(mut hall) = Hall::open() else { return };
    let mallory = User::new();
    // Hers are the real directory and what she swaps it with.
    make_dir(&mallory.dir(), mallory);
    let (victim, other) = (User::new().with_dir().with_account(), User::new().with_dir());
    fs::write(victim.config(), "keep = [\"kept\"]").unwrap();
    victim.dead("kept");
    let live = hall.live(victim, "live");
    fs::write(victim.path("notes.lock"), "no lock of tmux").unwrap();
    give(&victim.path("notes.lock"), victim);
    let before = print_of(&victim.dir());
    let roots: Vec<_> = fs::read_dir("/").unwrap().map(|entry| entry.unwrap().file_name()).collect();

    let _attacker = mallory.attack("swap", victim.dir().to_str().unwrap());
    let begun = Instant::now();
    let (mut runs, mut caught) = (0, 0);
    // In vain after the deadline: a swap was not met often enough to prove anything.
    while (runs < RUNS || caught <= CAUGHT) && begun.elapsed() < DEADLINE {
        other.dead("gone");
        let clock = Clock::start();
        let run = all_users(if runs % 4 == 3 { "list" } else { "sweep" }, &["--json"]);
        clock.assert_within(Duration::from_secs(5));
        let json = run.json();
        caught += u32::from(error_of(&json, &mallory.dir()).is_some());
        if json["command"] == "sweep" {
            assert_eq!(removed(&json), [other.path("gone").to_str().unwrap()], "{json:#}");
        } else {
            fs::remove_file(other.path("gone")).unwrap();
        }
        runs += 1;
    }
    assert!(runs >= RUNS && caught > CAUGHT, "{runs} runs, {caught} with a swapped name");
    assert_eq!(print_of(&victim.dir()), before);
    assert_eq!(victim.pid_on("live"), live);
    let roots_after: Vec<_> = fs::read_dir("/").unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(roots_after, roots);
}

#[test]
fn what_lies_in_a_directory_is_judged_by_its_owner() {
    let Some(mut hall) = Hall::open() else { return };
    let (victim, mallory) = (User::new().with_dir(), User::new().with_dir());
    victim.dead("gone");
    let live = hall.live(victim, "live");
    // As where fs.protected_hardlinks is off.
    fs::hard_link(victim.path("gone"), mallory.path("gone-link")).unwrap();
    fs::hard_link(victim.path("live"), mallory.path("live-link")).unwrap();
    let treasure = Path::new("/tmp/treasure");
    fs::write(treasure, "of root").unwrap();
    for label in ["to-a-file", "to-a-fifo", "to-a-folder", "of-root"] {
        mallory.dead(label);
    }
    symlink(treasure, mallory.path("to-a-file.lock")).unwrap();
    let fifo = mallory.path("to-a-fifo.lock");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    give(&fifo, mallory);
    make_dir(&mallory.path("to-a-folder.lock"), mallory);
    fs::write(mallory.path("of-root.lock"), "").unwrap();

    let run = all_users("sweep", &["--json"]);
    let json = run.json();
    assert_eq!((run.code, &json["counts"]["failed"]), (Some(1), &4.into()), "{json:#}");
    assert_eq!(removed(&json), [victim.path("gone").to_str().unwrap()]);
    for label in ["gone-link", "live-link"] {
        assert_eq!(entry(&json, label)["state"], "foreign", "{json:#}");
        assert_eq!(entry(&json, label)["uid"], victim.0);
    }
    for (label, part) in [
        ("to-a-file", "is a symbolic link"),
        ("to-a-fifo", "is a FIFO"),
        ("to-a-folder", "is a directory"),
        ("of-root", "belongs to uid 0"),
    ] {
        let entry = entry(&json, label);
        assert_eq!((entry["state"].as_str(), entry["outcome"].as_str()), (Some("dead"), Some("failed")));
        assert!(entry["error"].as_str().unwrap().contains(part), "{entry:#}");
    }
    assert_eq!(mallory.names().len(), 10, "{:?}", mallory.names());
    assert_eq!(fs::read_to_string(treasure).unwrap(), "of root");
    assert_eq!(victim.pid_on("live"), live);
}

#[test]
fn ten_thousand_entries_are_one_users_trouble() {
    let Some(mut hall) = Hall::open() else { return };
    let (mallory, victim) = (User::new().with_dir(), User::new().with_dir());
    for number in 0..10_000 {
        fs::File::create(mallory.path(format!("f{number}"))).unwrap();
    }
    for number in 0..1_000 {
        mallory.dead(format!("s{number}"));
    }
    victim.dead("gone");
    hall.listening(victim, "never-answers");
    let clock = Clock::start();
    let run = all_users("sweep", &["--json"]);
    let json = run.json();
    assert_eq!((run.code, removed(&json).len()), (Some(0), 1_001), "{}", run.stderr);
    assert_eq!(json["counts"]["not_a_socket"], 10_000);
    assert_eq!(victim.names(), ["never-answers"]);
    clock.assert_within(Duration::from_secs(9));
}

/// One by one they would not fit into a report.
#[test]
fn more_entries_than_can_be_told_are_counted() {
    const FILES: usize = 24_000;
    let Some(_hall) = Hall::open() else { return };
    let (mallory, victim) = (User::new().with_dir(), User::new().with_dir());
    let long = "f".repeat(240);
    for number in 0..FILES {
        fs::File::create(mallory.path(format!("{long}{number}"))).unwrap();
    }
    mallory.dead("hers");
    victim.dead("gone");
    let run = all_users("sweep", &["--json"]);
    let json = run.json();
    assert_eq!((run.code, removed(&json).len()), (Some(0), 2), "{}", run.stderr);
    assert_eq!((&json["counts"]["not_a_socket"], &json["counts"]["removed"]), (&FILES.into(), &2.into()));
    assert_eq!(json["left_out"], FILES + 1 - 16_384);
    // For people it is one line, which no field of a pipe is.
    let list = all_users("list", &[]);
    let told = format!("{} more entries of uid {} are counted", FILES - 16_384, mallory.0);
    assert_eq!((list.stdout.lines().count(), list.stderr.matches(&told).count()), (1 + 16_384, 1));
}

#[test]
fn a_configuration_in_an_enemys_hands_hurts_its_owner_alone() {
    let Some(mut hall) = Hall::open() else { return };
    let victim = User::new().with_dir();
    victim.dead("gone");
    let live = hall.live(victim, "live");
    victim.dead("kept.lock");
    let [fifo, endless, huge, many, into, wrong] = [(); 6].map(|()| User::new().with_dir().with_account());
    for user in [fifo, endless, huge, many, into, wrong] {
        user.dead("hers");
    }
    rustix::fs::mknodat(rustix::fs::CWD, fifo.config(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    give(&fifo.config(), fifo);
    symlink("/dev/zero", endless.config()).unwrap();
    fs::File::create(huge.config()).unwrap().set_len(1 << 40).unwrap();
    let dirs: Vec<_> = (0..20_000).map(|number| format!("\"/tmp/d{number}\"")).collect();
    fs::write(many.config(), format!("extra-socket-dirs = [{}]", dirs.join(","))).unwrap();
    fs::write(into.config(), format!("extra-socket-dirs = [\"{}\", \"/\"]", victim.dir().display())).unwrap();
    fs::write(wrong.config(), "keeep = [\"\u{1b}[31m\"]").unwrap();

    let clock = Clock::start();
    let run = all_users("sweep", &["--json"]);
    let json = run.json();
    clock.assert_within(Duration::from_secs(5));
    assert_eq!(run.code, Some(1));
    let swept: Vec<_> = [victim.path("gone"), victim.path("kept.lock"), into.path("hers")]
        .map(|path| path.to_str().unwrap().to_owned())
        .into();
    assert_eq!(removed(&json), swept, "{json:#}");
    for (user, part) in [
        (fifo, "it is a FIFO"),
        (endless, "it is a device"),
        (huge, "longer than 1 MiB"),
        (many, "at most"),
        (wrong, "keeep"),
    ] {
        let error = error_of(&json, &user.dir()).unwrap_or_else(|| panic!("{user:?}: {json:#}"));
        assert!(error.contains(part) && error.contains("config.toml"), "{error}");
        assert_eq!(user.names(), ["hers"], "nothing is removed by guess");
    }
    assert_eq!(victim.pid_on("live"), live);
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
}

/// What is not known is not well; what is known of the others is told all the same, in every form.
#[test]
fn a_configuration_that_is_refused_hides_no_other_users_health() {
    let Some(_hall) = Hall::open() else { return };
    let [wrong, other] = [(); 2].map(|()| User::new().with_dir().with_account());
    for user in [wrong, other] {
        user.dead("gone");
    }
    fs::write(wrong.config(), "keeep = []").unwrap();
    give(&wrong.config(), wrong);
    let run = all_users("status", &["--json"]);
    let json = run.json();
    assert_eq!((run.code, &json["healthy"], &json["counts"]["dead"]), (Some(4), &false.into(), &1.into()));
    let unseen: Vec<_> =
        json["unseen"].as_array().unwrap().iter().map(|place| place["path"].as_str()).collect();
    assert_eq!(unseen, [wrong.dir().to_str()], "{json:#}");
    let line = all_users("status", &[]).stdout;
    let path = other.path("gone");
    assert!(line.contains("1 dead") && line.contains(path.to_str().unwrap()), "{line}");
    let config = format!("{}:1:1: keeep", wrong.config().display());
    assert!(line.contains("; not looked at: ") && line.contains(&config), "{line}");
    let metrics = all_users("status", &["--metrics"]).stdout;
    for (user, errors) in [(wrong, 1), (other, 0)] {
        let row = format!("tmux_janitor_directory_errors{{uid=\"{}\"}} {errors}", user.0);
        assert!(metrics.lines().any(|line| line == row), "{row}: {metrics}");
    }
    let dead = |user: User| format!("tmux_janitor_sockets{{state=\"dead\",uid=\"{}\"}}", user.0);
    assert!(metrics.contains(&format!("{} 1", dead(other))) && !metrics.contains(&dead(wrong)), "{metrics}");
    fs::write(wrong.config(), "keep = []").unwrap();
    let run = all_users("status", &["--json"]);
    assert_eq!((run.code, &run.json()["counts"]["dead"]), (Some(1), &2.into()), "{}", run.stdout);
}

#[test]
fn tmux_tmpdir_of_root_is_looked_into_as_carefully() {
    let Some(_hall) = Hall::open() else { return };
    let (victim, mallory) = (User::new(), User::new());
    let parent = Path::new("/tmp/hers");
    make_dir(parent, mallory);
    fs::set_permissions(parent, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    make_dir(&parent.join(format!("tmux-{}", victim.0)), victim);
    symlink(parent.join(format!("tmux-{}", victim.0)), victim.dir()).unwrap();
    victim.dead("gone");
    symlink("/", parent.join(format!("tmux-{}", mallory.0))).unwrap();
    let mut janitor = crate::common::janitor::bare();
    let run = crate::common::janitor::Run::of(
        janitor.args(["sweep", "--all-users", "--json"]).env("TMUX_TMPDIR", parent),
    );
    let json = run.json();
    assert_eq!(json["counts"]["removed"], 1, "{json:#}");
    assert!(stray_of(&json, &parent.join(format!("tmux-{}", mallory.0))).unwrap().contains("symbolic link"));
    assert!(error_of(&json, &victim.dir()).is_some(), "{json:#}");

    // One that is root's alone is nobody's trouble.
    let closed = Path::new("/tmp/closed");
    make_dir(closed, User(0));
    fs::remove_file(victim.dir()).unwrap();
    make_dir(&victim.dir(), victim);
    let mut janitor = crate::common::janitor::bare();
    let run =
        crate::common::janitor::Run::of(janitor.args(["sweep", "--all-users"]).env("TMUX_TMPDIR", closed));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
}
