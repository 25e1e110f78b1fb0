# services.tmux-janitor for home-manager. The units are those of the package, as everywhere: here they are linked into
# ~/.config/systemd/user and hung into the targets of their [Install] sections.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.tmux-janitor;
  toml = pkgs.formats.toml { };

  unit = name: {
    "systemd/user/${name}".source = "${cfg.package}/lib/systemd/user/${name}";
  };
  wanted = target: name: {
    "systemd/user/${target}.wants/${name}".source = "${cfg.package}/lib/systemd/user/${name}";
  };
in
{
  options.services.tmux-janitor = {
    enable = lib.mkEnableOption "the sweep of dead tmux sockets every 10 minutes and at each start of the user manager";

    package = lib.mkOption {
      type = lib.types.package;
      description = "The tmux-janitor to use.";
    };

    watch = lib.mkEnableOption "the daemon that removes a socket the moment its server dies";

    userNamespaces = lib.mkOption {
      type = lib.types.bool;
      default = true;
      description = ''
        Whether this system lets users make namespaces. Where it does not, the sandboxed sweep would end with
        217/USER; false takes that part out of the sandbox.
      '';
    };

    settings = lib.mkOption {
      inherit (toml) type;
      default = { };
      example = {
        keep = [ "homebase" ];
        min-age = "1h";
      };
      description = "What goes into config.toml, tmux-janitor.toml(5). Nothing is needed.";
    };
  };

  config = lib.mkIf cfg.enable {
    home.packages = [ cfg.package ];

    xdg.configFile = lib.mkMerge [
      (unit "tmux-janitor.service")
      (unit "tmux-janitor.timer")
      (wanted "default.target" "tmux-janitor.service")
      (wanted "timers.target" "tmux-janitor.timer")
      (lib.mkIf cfg.watch (unit "tmux-janitor-watch.service"))
      (lib.mkIf cfg.watch (wanted "default.target" "tmux-janitor-watch.service"))
      (lib.mkIf (!cfg.userNamespaces) {
        "systemd/user/tmux-janitor.service.d/no-user-namespaces.conf".source =
          "${cfg.package}/share/tmux-janitor/no-user-namespaces.conf";
      })
      (lib.mkIf (cfg.settings != { }) {
        "tmux-janitor/config.toml".source = toml.generate "tmux-janitor.toml" cfg.settings;
      })
    ];
  };
}
