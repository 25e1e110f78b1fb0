//! `setup`: units, man pages and completions in somebody's home, and out of it again.

mod edited;

use crate::common::janitor::{Run, bare, copy_program};
use crate::common::reader::reader;
use crate::common::skip::skip;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tmux-janitor");

/// All that is written where the whole sandbox can be had.
const FILES: [&str; 14] = [
    ".config/systemd/user/tmux-janitor.service",
    ".config/systemd/user/tmux-janitor.timer",
    ".config/systemd/user/tmux-janitor-watch.service",
    ".local/share/man/man1/tmux-janitor.1",
    ".local/share/man/man1/tmux-janitor-audit.1",
    ".local/share/man/man5/tmux-janitor.json.5",
    ".local/share/man/man5/tmux-janitor.toml.5",
    ".local/share/man/man8/tmux-janitor.service.8",
    ".local/share/man/man8/tmux-janitor.timer.8",
    ".local/share/man/man8/tmux-janitor-watch.service.8",
    ".local/share/man/man8/tmux-janitor-watch@.service.8",
    ".local/share/bash-completion/completions/tmux-janitor",
    ".local/share/zsh/site-functions/_tmux-janitor",
    ".local/share/fish/vendor_completions.d/tmux-janitor.fish",
];

const LIST: &str = ".local/share/tmux-janitor/installed";

/// A home where `cargo install` has put the program, on a machine without systemd, man and zsh.
struct Home {
    home: TempDir,
    programs: TempDir,
}

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join(".cargo/bin")).unwrap();
        copy_program(Path::new(PROGRAM), &home.path().join(".cargo/bin/tmux-janitor"));
        Self { home, programs: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn program(&self) -> PathBuf {
        // What the kernel says of it.
        fs::canonicalize(self.path(".cargo/bin/tmux-janitor")).unwrap()
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let bare = bare();
        let kept = bare.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        command.env_clear().envs(kept).env("HOME", self.home.path()).env("PATH", self.programs.path());
        command.arg("setup").args(arguments);
        command
    }

    fn setup(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(&self.program(), arguments))
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Every file and folder, but the program's.
    fn all(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut folders = vec![self.home.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(self.home.path()).unwrap();
                if name.starts_with(".cargo") {
                    continue;
                }
                found.insert(name.to_owned());
                if fs::symlink_metadata(&path).unwrap().is_dir() {
                    folders.push(path);
                }
            }
        }
        found
    }

    /// Which file it is and how old.
    fn stamps(&self) -> Vec<(u64, i64, i64)> {
        let names = FILES.iter().chain([&LIST]);
        names
            .map(|name| fs::metadata(self.path(name)).unwrap())
            .map(|about| (about.ino(), about.mtime(), about.mtime_nsec()))
            .collect()
    }
}

#[test]
fn a_home_gets_everything_once_and_is_left_as_it_was() {
    let home = Home::new();
    let before = home.all();
    let run = home.setup(&[]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{}", run.stdout);
    for name in FILES {
        assert!(!home.read(name).is_empty(), "{name}");
        assert_eq!(fs::metadata(home.path(name)).unwrap().permissions().mode() & 0o7777, 0o644, "{name}");
        assert!(run.stdout.contains(&format!("wrote {}\n", home.path(name).display())), "{}", run.stdout);
        assert!(home.read(LIST).contains(&format!("file {}\n", home.path(name).display())), "{name}");
    }
    let program = home.program();
    for (unit, words) in [("tmux-janitor.service", "sweep"), ("tmux-janitor-watch.service", "watch")] {
        let unit = home.read(&format!(".config/systemd/user/{unit}"));
        assert!(unit.contains(&format!("\nExecStart={} {words}\n", program.display())), "{unit}");
    }
    let cron = format!("*/10 * * * * {} sweep -q\n", program.display());
    assert!(run.stdout.contains(&cron) && !run.stdout.contains("systemctl"), "{}", run.stdout);

    let (stamps, files) = (home.stamps(), home.all());
    let again = home.setup(&["--now"]);
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), ""));
    assert!(again.stdout.contains("Nothing to do: ") && again.stdout.contains(&cron), "{}", again.stdout);
    assert_eq!((home.stamps(), home.all()), (stamps, files));

    let gone = home.setup(&["--remove"]);
    assert_eq!((gone.code, gone.stderr.as_str()), (Some(0), ""), "{}", gone.stdout);
    assert_eq!(home.all(), before);
    assert!(gone.stdout.ends_with(&format!("The program stays: {}\n", program.display())), "{}", gone.stdout);
    assert!(program.exists());
    let gone = home.setup(&["--remove"]);
    assert!(
        gone.code == Some(0) && gone.stdout.starts_with("Nothing of tmux-janitor is set up"),
        "{}",
        gone.stdout
    );
}

#[test]
fn what_an_older_version_wrote_is_replaced_and_what_somebody_else_wrote_is_not() {
    let home = Home::new();
    let (timer, watcher, page) = (FILES[1], FILES[2], FILES[3]);
    fs::create_dir_all(home.path(timer).parent().unwrap()).unwrap();
    fs::write(home.path(timer), "# mine\n").unwrap();
    symlink("/dev/null", home.path(watcher)).unwrap();
    let run = home.setup(&["--now"]);
    assert_eq!(run.code, Some(1), "{} {}", run.stdout, run.stderr);
    for (name, what) in [(timer, "another file"), (watcher, "a symbolic link")] {
        let told = format!("{} was not written: {what} stands there", home.path(name).display());
        assert!(run.stderr.contains(&told), "{}", run.stderr);
        assert!(!home.read(LIST).contains(name), "{name} is nobody's to remove");
    }
    assert!(run.stderr.contains("the timer was not enabled"), "{}", run.stderr);
    assert_eq!(home.read(timer), "# mine\n");
    assert_eq!(fs::read_link(home.path(watcher)).unwrap(), Path::new("/dev/null"));

    // Of an older version, which is on the list without what was in it.
    let (new, text) = (home.read(page), home.read(LIST));
    let sum = |line: &&str| line.starts_with("sum ") && line.ends_with(page);
    let sum = text.lines().find(sum).unwrap();
    fs::write(home.path(page), "older").unwrap();
    fs::write(home.path(LIST), text.replace(&format!("{sum}\n"), "")).unwrap();
    let run = home.setup(&[]);
    assert!(run.stdout.contains(&format!("replaced {}\n", home.path(page).display())), "{}", run.stdout);
    assert_eq!(home.read(page), new);
    // One that was edited since is kept, under a name of its own each time.
    for (text, copy) in [("mine", ".edited"), ("mine again", ".edited-2")] {
        fs::write(home.path(page), text).unwrap();
        let (run, copy) = (home.setup(&[]), format!("{page}{copy}"));
        let shown = [page, &copy].map(|name| home.path(name).display().to_string());
        let said =
            format!("replaced {}, which had been edited: as it was it is {} now\n", shown[0], shown[1]);
        assert!(run.stdout.contains(&said), "{} {}", run.stdout, run.stderr);
        assert_eq!((home.read(page), home.read(&copy).as_str()), (new.clone(), text));
        assert!(!home.setup(&[]).stdout.contains("replaced"), "once");
    }
    for copy in [".edited", ".edited-2"] {
        fs::remove_file(home.path(&format!("{page}{copy}"))).unwrap();
    }

    let gone = home.setup(&["--remove"]);
    assert_eq!(gone.code, Some(0), "{}", gone.stderr);
    let left: BTreeSet<_> =
        [".config", ".config/systemd", ".config/systemd/user", timer, watcher].map(PathBuf::from).into();
    assert_eq!(home.all(), left);
}

/// Somebody's own things in a folder that was made, and in the place of a file.
#[test]
fn removing_goes_by_the_list_and_leaves_what_is_not_of_it() {
    let home = Home::new();
    assert_eq!(home.setup(&[]).code, Some(0));
    fs::write(home.path(".local/share/man/man1/other.1"), "somebody else's").unwrap();
    fs::remove_file(home.path(FILES[12])).unwrap();
    fs::remove_file(home.path(FILES[13])).unwrap();
    symlink("/etc/passwd", home.path(FILES[13])).unwrap();
    // A list that somebody else has written to.
    let (outside, list) =
        (tempfile::NamedTempFile::new().unwrap(), home.path(".local/share/tmux-janitor/installed"));
    let around =
        home.path(".local").join("../..").join(outside.path().strip_prefix("/tmp").unwrap_or(outside.path()));
    let lines = format!(
        "{}file {}\nfile {}\n",
        fs::read_to_string(&list).unwrap(),
        outside.path().display(),
        around.display()
    );
    fs::write(&list, lines).unwrap();
    let gone = home.setup(&["--remove"]);
    assert_eq!((gone.code, gone.stderr.as_str()), (Some(0), ""), "{}", gone.stdout);
    let left = home
        .all()
        .into_iter()
        .filter(|name| !fs::symlink_metadata(home.path(name.to_str().unwrap())).unwrap().is_dir());
    assert_eq!(left.collect::<Vec<_>>(), [FILES[13], ".local/share/man/man1/other.1"].map(PathBuf::from));
    assert!(gone.stdout.contains("is no file of ours now"), "{}", gone.stdout);
    assert!(outside.path().exists());
}

#[test]
fn print_shows_what_would_be_written_and_writes_nothing() {
    let home = Home::new();
    let run = home.setup(&["--print"]);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert_eq!(home.all(), BTreeSet::new());
    assert_eq!(home.setup(&[]).code, Some(0));
    let files = FILES.map(|name| format!("# {}\n{}", home.path(name).display(), home.read(name)));
    assert_eq!(run.stdout, files.join("\n"));
}

#[test]
fn a_program_that_no_unit_can_keep_starting_is_refused() {
    let elsewhere = tempfile::tempdir_in("/tmp").unwrap();
    let fleeting = elsewhere.path().join("tmux-janitor");
    copy_program(Path::new(PROGRAM), &fleeting);
    let home = Home::new();
    for name in ["a b", "100%", "it's"] {
        fs::create_dir(home.path(".cargo").join(name)).unwrap();
        copy_program(Path::new(PROGRAM), &home.path(".cargo").join(name).join("tmux-janitor"));
    }
    for (program, part) in [
        (fleeting, "lies where files are deleted by others"),
        (home.path(".cargo/a b/tmux-janitor"), "cannot stand in a unit"),
        (home.path(".cargo/100%/tmux-janitor"), "cannot stand in a unit"),
        (home.path(".cargo/it's/tmux-janitor"), "cannot stand in a unit"),
    ] {
        for arguments in [&[][..], &["--now"], &["--print"]] {
            let run = Run::of(&mut home.command(&program, arguments));
            assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{}", program.display());
            assert!(run.stderr.contains(part) && run.stderr.lines().count() == 1, "{}", run.stderr);
        }
    }
    assert_eq!(home.all(), BTreeSet::new());
    // What a build made goes away one day: it is said.
    let built = home.path(".cargo/target/debug/tmux-janitor");
    fs::create_dir_all(built.parent().unwrap()).unwrap();
    copy_program(Path::new(PROGRAM), &built);
    let run = Run::of(&mut home.command(&built, &[]));
    assert!(run.code == Some(0) && run.stdout.contains("`cargo clean`"), "{} {}", run.stdout, run.stderr);
}

#[test]
fn bad_usage_ends_with_2_and_writes_nothing() {
    let home = Home::new();
    for arguments in [&["--now", "--remove"][..], &["--print", "--now"], &["--print", "--remove"], &["extra"]]
    {
        let run = home.setup(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{arguments:?}");
    }
    for wrong in ["", "relative", "/with\nline"] {
        let run = Run::of(home.command(&home.program(), &[]).env("HOME", wrong));
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{wrong:?}");
        assert!(run.stderr.contains("setup needs HOME"), "{}", run.stderr);
    }
    assert_eq!(home.all(), BTreeSet::new());
}

/// `sudo tmux-janitor setup` would leave root's files in a home; and a home that one may not write.
#[test]
fn without_permission_it_ends_with_77() {
    if !rustix::process::geteuid().is_root() {
        return skip("becoming another user needs root");
    }
    let home = Home::new();
    chown(home.home.path(), Some(65534), Some(65534)).unwrap();
    for arguments in [&[][..], &["--now"], &["--remove"], &["--print"]] {
        let run = home.setup(arguments);
        assert_eq!((run.code, run.stdout.as_str()), (Some(77), ""), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains("without sudo"), "{}", run.stderr);
    }
    chown(home.home.path(), Some(0), Some(0)).unwrap();
    // Where root's environment leads into somebody's folders, that one's links would be followed.
    let theirs = tempfile::tempdir().unwrap();
    chown(theirs.path(), Some(65534), Some(65534)).unwrap();
    for variable in ["XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
        let run = Run::of(home.command(&home.program(), &[]).env(variable, theirs.path().join("below")));
        assert!(run.code == Some(77) && run.stderr.contains(variable), "{} {}", run.stdout, run.stderr);
    }
    fs::set_permissions(home.home.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut lesser = Command::new("setpriv");
    lesser.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(home.program()).arg("setup");
    let run = Run::of(lesser.env("HOME", home.home.path()));
    assert_eq!(run.code, Some(77), "{} {}", run.stdout, run.stderr);
    assert!(run.stderr.contains("was not written: Permission denied"), "{}", run.stderr);
    assert_eq!(home.all(), BTreeSet::new());
}

#[test]
fn completions_go_where_their_readers_look_and_the_list_is_found_without_that() {
    let home = Home::new();
    let data = home.path("data");
    let run = Run::of(home.command(&home.program(), &[]).env("XDG_DATA_HOME", &data));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""));
    assert!(data.join("fish/vendor_completions.d/tmux-janitor.fish").exists());
    assert!(home.path(FILES[3]).exists(), "man(1) knows no XDG_DATA_HOME");
    assert_eq!(home.setup(&["--remove"]).code, Some(0));
    assert_eq!(home.all(), BTreeSet::new());
}

/// One list, two who read it.
#[test]
fn what_the_installer_put_there_is_removed_here_and_the_other_way_round() {
    reader();
    let installer = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/install");
    let home = Home::new();
    let install = |arguments: &[&str]| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let run = Run::of(
            Command::new(&installer)
                .arg("--user")
                .args(arguments)
                .env("HOME", home.home.path())
                .env("PATH", path)
                // The manager of whoever runs the tests looks into another home.
                .env_remove("XDG_RUNTIME_DIR")
                .env_remove("DBUS_SESSION_BUS_ADDRESS"),
        );
        assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}: {}", run.stdout);
        run.stdout
    };
    assert!(!home.path(".local/bin").exists());
    install(&["--binary", PROGRAM]);
    let unit = home.read(FILES[0]);
    assert!(unit.contains("/.local/bin/tmux-janitor sweep\n"), "{unit}");
    let gone = Run::of(&mut home.command(&home.path(".local/bin/tmux-janitor"), &["--remove"]));
    assert_eq!((gone.code, gone.stderr.as_str()), (Some(0), ""), "{}", gone.stdout);
    assert_eq!(home.all(), BTreeSet::new(), "the programs were on the list, too");
    assert!(!gone.stdout.contains("The program stays"), "{}", gone.stdout);

    assert_eq!(home.setup(&[]).code, Some(0));
    install(&["--uninstall"]);
    assert_eq!(home.all(), BTreeSet::new());
    assert!(home.program().exists());
}
