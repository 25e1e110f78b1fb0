//! The packages: what they hold, and what they do to a real machine. docs/packaging.md tells how they come about.

mod arch;
mod built;
mod deb;
mod files;
mod licences;
mod nix;
mod program;
mod rpm;
mod source;
mod workflows;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_tmux-janitor");
