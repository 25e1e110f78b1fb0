# What flake.nix, package.nix and home-manager.nix come to. `lib` and `pkgs` are as much of nixpkgs as they use; another
# function of it is an error here.
let
  inherit (builtins) attrNames foldl' head listToAttrs mapAttrs;

  merged = foldl' (all: some: all // (if some ? condition then (if some.condition then merged [ some.content ] else { }) else some)) { };
  # Conditions deeper in.
  settled = set: mapAttrs (_: value: if builtins.isAttrs value then (if value ? condition then settled (merged [ value ]) else if value ? outPath then value.outPath else settled value) else if builtins.isList value then map (one: one.outPath or one) value else value) set;
  lib = {
    genAttrs = names: make: listToAttrs (map (name: { inherit name; value = make name; }) names);
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    cleanSource = source: source;
    cleanSourceWith = { src, filter }: assert filter "/somewhere/src" "directory"; assert !filter "/somewhere/target" "directory"; toString src;
    licenses.mit = "MIT";
    platforms.linux = [ system ];
    mkOption = option: option;
    mkEnableOption = description: { inherit description; default = false; };
    mkDefault = value: value;
    mkIf = condition: content: { inherit condition content; };
    mkMerge = merged;
    types = { package = "package"; bool = "bool"; };
  };

  system = "x86_64-linux";
  built = { inherit lib; rustPlatform.buildRustPackage = about: about // { outPath = "/nix/store/${about.pname}"; }; };
  flake = (import ../../../packaging/nix/flake.nix).outputs {
    self = flake;
    nixpkgs = { inherit lib; legacyPackages.${system}.callPackage = file: extra: import file (built // extra); };
  };
  package = flake.packages.${system}.default;

  pkgs = {
    stdenv.hostPlatform = { inherit system; };
    formats.toml = { }: { type = "toml"; generate = _: value: value; };
  };

  evaluated =
    module: set:
    let
      outer = module { inherit lib pkgs; };
      inner = import (head outer.imports) { inherit config lib pkgs; };
      options = inner.options.services.tmux-janitor;
      defaults = mapAttrs (_: option: option.default) (removeAttrs options [ "package" ]);
      unknown = attrNames (removeAttrs set (attrNames options));
      config.services.tmux-janitor = assert unknown == [ ]; defaults // outer.services.tmux-janitor // set;
    in
    settled (merged [ inner.config ]);
in
{
  # Not as it is: a set with an outPath is printed as that path.
  package = { inherit (package) pname version src postInstall; };

  # What the module for home-manager links, for these values of its options.
  module = set: (evaluated flake.homeManagerModules.default set).xdg.configFile or { };

  # What the module for NixOS sets.
  nixos = evaluated flake.nixosModules.default;
}
