# nix run 'github:tmux-janitor/tmux-janitor?dir=packaging/nix' -- sweep
{
  description = "Removes dead tmux sockets and never touches a live one";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      each = nixpkgs.lib.genAttrs systems;
    in
    {
      packages = each (system: rec {
        tmux-janitor = nixpkgs.legacyPackages.${system}.callPackage ./package.nix { };
        default = tmux-janitor;
      });

      overlays.default = final: _: { tmux-janitor = final.callPackage ./package.nix { }; };

      # In configuration.nix: imports = [ tmux-janitor.nixosModules.default ]; services.tmux-janitor.enable = true;
      nixosModules.default =
        { lib, pkgs, ... }:
        {
          imports = [ ./nixos.nix ];
          services.tmux-janitor.package =
            lib.mkDefault
              self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        };

      # In home.nix: imports = [ tmux-janitor.homeManagerModules.default ]; services.tmux-janitor.enable = true;
      homeManagerModules.default =
        { lib, pkgs, ... }:
        {
          imports = [ ./home-manager.nix ];
          services.tmux-janitor.package =
            lib.mkDefault
              self.packages.${pkgs.stdenv.hostPlatform.system}.default;
        };
    };
}
