//! What somebody has edited is theirs: neither taking away nor installing anew destroys it.

use super::{FILES, Home, PROGRAM, reader};
use crate::common::janitor::Run;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

#[track_caller]
fn install(home: &Path, arguments: &[&str]) -> String {
    let installer = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/install");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut command = Command::new(installer);
    command.args(arguments).env("HOME", home).env("PATH", path);
    // The manager of whoever runs the tests looks into another home.
    let run = Run::of(command.env_remove("XDG_RUNTIME_DIR").env_remove("DBUS_SESSION_BUS_ADDRESS"));
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}: {}", run.stdout);
    run.stdout
}

fn files_of(home: &Home) -> BTreeSet<PathBuf> {
    let is_file = |name: &PathBuf| !fs::symlink_metadata(home.home.path().join(name)).unwrap().is_dir();
    home.all().into_iter().filter(is_file).collect()
}

#[test]
fn what_is_taken_away_is_kept_under_another_name_where_it_was_edited() {
    let home = Home::new();
    assert_eq!(home.setup(&[]).code, Some(0));
    let (timer, page) = (FILES[1], FILES[3]);
    for (name, text) in [(timer, "mine\n"), (page, "mine, too\n")] {
        fs::write(home.path(name), text).unwrap();
    }
    // The copy of an earlier edit, and a drop-in, of which we know nothing.
    let before = format!("{timer}.edited");
    fs::write(home.path(&before), "mine before\n").unwrap();
    let drop_in = format!("{timer}.d/mine.conf");
    fs::create_dir(home.path(&drop_in).parent().unwrap()).unwrap();
    fs::write(home.path(&drop_in), "[Timer]\n").unwrap();

    let gone = home.setup(&["--remove"]);
    assert_eq!((gone.code, gone.stderr.as_str()), (Some(0), ""), "{}", gone.stdout);
    let copies = [format!("{timer}.edited-2"), format!("{page}.edited")];
    for (name, copy) in [timer, page].into_iter().zip(&copies) {
        let shown = [name, copy].map(|name| home.path(name).display().to_string());
        let said = format!("removed {}, which had been edited: as it was it is {} now\n", shown[0], shown[1]);
        assert!(gone.stdout.contains(&said), "{}", gone.stdout);
    }
    assert!(gone.stdout.contains(" is gone, but for what was edited. "), "{}", gone.stdout);
    assert_eq!(files_of(&home), [&before, &drop_in, &copies[0], &copies[1]].map(PathBuf::from).into());
    assert_eq!(home.read(&copies[0]), "mine\n");
    assert!(home.setup(&["--remove"]).stdout.starts_with("Nothing of tmux-janitor is set up"));
}

#[test]
fn where_no_name_is_left_for_it_it_stays_and_on_the_list() {
    let home = Home::new();
    assert_eq!(home.setup(&[]).code, Some(0));
    let page = FILES[3];
    fs::write(home.path(page), "mine\n").unwrap();
    let copies =
        std::iter::once(".edited".to_owned()).chain((2..=9).map(|number| format!(".edited-{number}")));
    let copies: Vec<String> = copies.map(|copy| format!("{page}{copy}")).collect();
    for copy in &copies {
        fs::write(home.path(copy), "").unwrap();
    }
    // Twice: it is still known what we had written.
    for _ in 0..2 {
        let gone = home.setup(&["--remove"]);
        let said = format!("{} was not removed: it was edited, and copies", home.path(page).display());
        assert!(gone.code == Some(1) && gone.stderr.contains(&said), "{} {}", gone.stdout, gone.stderr);
        assert_eq!(home.read(page), "mine\n");
    }
    for copy in &copies {
        fs::remove_file(home.path(copy)).unwrap();
    }
    assert_eq!(home.setup(&["--remove"]).code, Some(0));
    assert_eq!(files_of(&home), [PathBuf::from(&copies[0])].into());
}

/// One list, two who read it.
#[test]
fn the_installer_and_the_program_keep_it_for_each_other() {
    reader();
    let home = Home::new();
    let program = ".local/bin/tmux-janitor";
    install(home.home.path(), &["--user", "--binary", PROGRAM]);
    for name in [FILES[3], program] {
        fs::write(home.path(name), "mine\n").unwrap();
    }
    let said = install(home.home.path(), &["--user", "--uninstall"]);
    for name in [FILES[3], program] {
        let line =
            format!("{0} had been edited: as it was it is {0}.edited now.\n", home.path(name).display());
        assert!(said.contains(&line), "{said}");
    }
    assert!(said.contains(" is gone, but for what was edited. "), "{said}");
    let copies = [FILES[3], program].map(|name| format!("{name}.edited"));
    assert_eq!(files_of(&home), [&copies[0], &copies[1]].map(PathBuf::from).into());

    for copy in &copies {
        fs::remove_file(home.path(copy)).unwrap();
    }
    install(home.home.path(), &["--user", "--binary", PROGRAM]);
    // A newer one over it is no edit.
    install(home.home.path(), &["--user", "--binary", PROGRAM]);
    fs::write(home.path(program), "mine\n").unwrap();
    assert_eq!(home.setup(&["--remove"]).code, Some(0));
    assert_eq!(files_of(&home), [PathBuf::from(&copies[1])].into());
}

#[test]
fn an_installation_for_the_machine_keeps_it_too() {
    reader();
    let stage = tempfile::tempdir().unwrap();
    let destdir = stage.path().to_str().unwrap();
    let all = |more: &[&str]| {
        let words = ["--prefix", "/opt/tools", "--destdir", destdir];
        install(stage.path(), &[&words[..], more].concat())
    };
    let tools = stage.path().join("opt/tools");
    let (unit, page) =
        (tools.join("lib/systemd/user/tmux-janitor.timer"), tools.join("share/man/man1/tmux-janitor.1"));
    let link = tools.join("lib/systemd/user/tmux-janitor.service");
    let copy = |number: &str| unit.with_file_name(format!("tmux-janitor.timer.edited{number}"));
    all(&["--binary", PROGRAM]);
    fs::write(&unit, "mine\n").unwrap();
    let said = all(&["--binary", PROGRAM]);
    assert!(said.contains(&format!("as it was it is {} now.\n", copy("").display())), "{said}");
    assert!(fs::read_to_string(&unit).unwrap().contains("[Timer]"));
    assert!(!all(&["--binary", PROGRAM]).contains("edited"), "once");

    fs::write(&unit, "mine again\n").unwrap();
    fs::remove_file(&link).unwrap();
    symlink("/dev/null", &link).unwrap();
    let said = all(&["--uninstall"]);
    assert!(said.contains(&format!("{} is no file of ours now, and stays.\n", link.display())), "{said}");
    assert_eq!(
        [copy(""), copy("-2")].map(|copy| fs::read_to_string(copy).unwrap()),
        ["mine\n", "mine again\n"]
    );
    assert!(!unit.exists() && !page.exists() && fs::symlink_metadata(&link).is_ok());
}
