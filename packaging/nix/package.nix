# callPackage ./package.nix { }: what packaging/install installs, with the units of both managers.
{ lib, rustPlatform }:

let
  repository = ../..;
  workspace = lib.importTOML (repository + "/Cargo.toml");
  manifest = workspace.workspace.package // { inherit (workspace.package) name description; };
in
rustPlatform.buildRustPackage {
  pname = manifest.name;
  inherit (manifest) version;

  # What neither the build nor the installer reads is left out, so that a change of it builds nothing anew.
  src = lib.cleanSourceWith {
    src = lib.cleanSource repository;
    filter =
      path: _:
      !(builtins.elem (baseNameOf path) [
        ".ci"
        "nix"
        "target"
      ]);
  };
  # Both programs; what else the workspace holds comes with them.
  cargoBuildFlags = [
    "--package=tmux-janitor"
    "--package=tmux-janitor-audit"
  ];
  cargoLock.lockFile = repository + "/Cargo.lock";

  # They boot machines and start servers; a build sandbox has neither. tests/run runs them.
  doCheck = false;

  # A destdir, so that the installer stages and neither reloads nor asks this machine anything. The units start
  # $out/bin/tmux-janitor: it puts its prefix in.
  postInstall = ''
    mv "$out/bin" "$NIX_BUILD_TOP/programs"
    bash packaging/install --prefix "$out" --system --destdir / --binary "$NIX_BUILD_TOP/programs/tmux-janitor"
    rm "$out/share/tmux-janitor/installed"
  '';

  meta = {
    inherit (manifest) description;
    homepage = manifest.repository;
    license = lib.licenses.mit;
    mainProgram = "tmux-janitor";
    platforms = lib.platforms.linux;
  };
}
