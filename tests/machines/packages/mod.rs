//! The packages: what they hold, and what they do to a real machine. docs/packaging.md tells how they come about.
#![expect(clippy::expect_used, reason = "a test stops at the first thing that does not work")]

#[expect(dead_code, reason = "each test program uses a part of it")]
#[path = "../machine/mod.rs"]
mod machine;
#[path = "../common/reader.rs"]
mod reader;
#[expect(dead_code, reason = "each test program uses a part of it")]
#[path = "../systemd/scene.rs"]
mod scene;
#[path = "../common/skip.rs"]
mod skip;

mod arch;
mod built;
mod deb;
mod files;
mod licences;
mod nix;
mod program;
mod rpm;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_tmux-janitor");
