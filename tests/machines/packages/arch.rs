//! Arch's recipe, run by makepkg itself with the flags that Arch compiles with. Only the source is not fetched.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::REPOSITORY;
use super::built::{here, run};
use super::files::{compressed_pages, installed};

/// What Arch's own /etc/makepkg.conf says, as far as it has to do with compiling. No debug package: ours is stripped.
const DEFAULTS: &str = r#"
CARCH=x86_64 CHOST=x86_64-pc-linux-gnu
CFLAGS="-march=x86-64 -mtune=generic -O2 -pipe -fno-plt -fexceptions -Wp,-D_FORTIFY_SOURCE=3 -Wformat -Werror=format-security \
  -fstack-clash-protection -fcf-protection -fno-omit-frame-pointer -mno-omit-leaf-frame-pointer"
CXXFLAGS="$CFLAGS" LDFLAGS="-Wl,-O1 -Wl,--sort-common -Wl,--as-needed -Wl,-z,relro -Wl,-z,now -Wl,-z,pack-relative-relocs"
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
    fs::copy(Path::new(REPOSITORY).join("packaging/arch/PKGBUILD"), room.path().join("PKGBUILD"))
        .expect("a recipe");
    fs::write(room.path().join("makepkg.conf"), DEFAULTS).expect("there is room");

    // makepkg refuses to be root. Whom the kernel takes for nobody in there has still root's toolchain.
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
    // The flags are asked about, not what the optimiser makes of them.
    for (setting, value) in [("OPT_LEVEL", "0"), ("LTO", "off"), ("CODEGEN_UNITS", "16")] {
        makepkg.env(format!("CARGO_PROFILE_RELEASE_{setting}"), value);
    }
    run(makepkg
        .args(["--nodeps", "--nocheck", "--config", "makepkg.conf"])
        .current_dir(room.path())
        .env("HOME", room.path())
        .env("PKGDEST", room.path()));

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
}
