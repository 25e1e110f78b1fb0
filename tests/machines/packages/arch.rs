//! Arch's recipe, run by makepkg itself with the flags that Arch compiles with. Only the source is not fetched.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use super::REPOSITORY;
use super::built::{here, run};
use super::files::{compressed_pages, installed};

/// What Arch's own /etc/makepkg.conf and /etc/makepkg.conf.d/rust.conf say, as far as it has to do with compiling. No debug
/// package: ours is stripped.
const DEFAULTS: &str = r#"
CARCH=x86_64 CHOST=x86_64-pc-linux-gnu
CFLAGS="-march=x86-64 -mtune=generic -O2 -pipe -fno-plt -fexceptions -Wp,-D_FORTIFY_SOURCE=3 -Wformat -Werror=format-security \
  -fstack-clash-protection -fcf-protection -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer"
CXXFLAGS="$CFLAGS -Wp,-D_GLIBCXX_ASSERTIONS" LDFLAGS="-Wl,-O1 -Wl,--sort-common -Wl,--as-needed -Wl,-z,relro -Wl,-z,now -Wl,-z,pack-relative-relocs"
LTOFLAGS=-flto=auto RUSTFLAGS=-Cforce-frame-pointers=yes
OPTIONS=(strip docs !libtool !staticlibs emptydirs zipman purge !debug lto)
INTEGRITY_CHECK=(sha256)
MAN_DIRS=(usr/share/man) DOC_DIRS=(usr/share/doc) COMPRESSGZ=(gzip -c -f -n)
PKGEXT=.pkg.tar SRCEXT=.src.tar
"#;

#[test]
fn the_recipe_compiles_with_archs_flags_and_packages_what_the_installer_installs() {
    if !here(&["makepkg", "pacman", "bsdtar", "fakeroot"]) {
        return;
    }
    let room = tempfile::tempdir().expect("a temporary folder can be made");
    let name = concat!("tmux-janitor-", env!("CARGO_PKG_VERSION"));
    // A source that lies there is not fetched.
    run(Command::new("tar")
        .args(["--create", "--gzip", "--exclude=./target", "--exclude=./.git"])
        .arg(format!("--transform=s,^\\.,{name},"))
        .arg(format!("--file={}/{name}.tar.gz", room.path().display()))
        .arg(".")
        .current_dir(REPOSITORY));
    // As a release has it: with the sum of the source.
    let source = room.path().join(format!("{name}.tar.gz"));
    let recipe = run(Command::new(Path::new(REPOSITORY).join("packaging/arch/recipe")).arg(&source));
    fs::write(room.path().join("PKGBUILD"), recipe).expect("there is room");
    fs::write(room.path().join("makepkg.conf"), DEFAULTS).expect("there is room");

    let mut built = makepkg(room.path());
    built.args(["--nodeps", "--nocheck", "--config", "makepkg.conf"]);
    // The flags are asked about, not what the optimiser makes of them.
    for (setting, value) in [("OPT_LEVEL", "0"), ("LTO", "off"), ("CODEGEN_UNITS", "16")] {
        built.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    run(&mut built);

    let package = concat!("tmux-janitor-", env!("CARGO_PKG_VERSION"), "-1-x86_64.pkg.tar");
    let listed = run(Command::new("tar")
        .args(["--list", "--verbose", "--numeric-owner", "--file", package])
        .current_dir(room.path()));
    let files = listed.lines().filter(|line| !line.starts_with('d')).filter_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [mode, "0/0", _, _, _, path] = words[..] else { panic!("root owns everything: {line}") };
        // .PKGINFO and its kind.
        (!path.starts_with('.')).then(|| (format!("/{path}"), mode.to_owned()))
    });
    let mut expected = installed();
    compressed_pages(&mut expected);
    expected.insert("/usr/share/licenses/tmux-janitor/LICENSE".into(), "-rw-r--r--".into());
    assert_eq!(files.collect::<BTreeMap<_, _>>(), expected);

    // Another source has another sum.
    fs::OpenOptions::new()
        .append(true)
        .open(&source)
        .and_then(|mut source| source.write_all(b"\0"))
        .expect("it can be written");
    let mut changed = makepkg(room.path());
    let refused = changed
        .args(["--nodeps", "--config", "makepkg.conf", "--verifysource", "--force"])
        .output()
        .expect("the program was looked for");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("validity check"), "{said}");
}

/// makepkg in a folder. It refuses to be root; whom the kernel takes for nobody in there has still root's toolchain.
fn makepkg(room: &Path) -> Command {
    let mut makepkg = if rustix::process::geteuid().is_root() {
        let mut nobody = Command::new("unshare");
        nobody.args(["--user", "--map-user=65534", "--map-group=65534", "makepkg"]);
        nobody
    } else {
        Command::new("makepkg")
    };
    let home = std::env::var("HOME").expect("cargo has a home");
    for (variable, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        makepkg.env(variable, std::env::var(variable).unwrap_or_else(|_| format!("{home}/{folder}")));
    }
    makepkg.current_dir(room).env("HOME", room).env("PKGDEST", room);
    makepkg
}
