# services.tmux-janitor for NixOS: the units of both managers out of the package.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.tmux-janitor;
  toml = pkgs.formats.toml { };
in
{
  options.services.tmux-janitor = {
    enable = lib.mkEnableOption "the sweep of dead tmux sockets of all users, at boot and every 10 minutes";

    package = lib.mkOption {
      type = lib.types.package;
      description = "The tmux-janitor to use.";
    };

    users = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Whether each user's own manager sweeps, in place of the system's.";
    };

    watch = lib.mkEnableOption "the daemon of each user that removes a socket the moment its server dies";

    settings = lib.mkOption {
      inherit (toml) type;
      default = { };
      example = {
        keep = [ "homebase" ];
      };
      description = "What goes into /etc/tmux-janitor/config.toml, tmux-janitor.toml(5). Nothing is needed.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];

    # Links the units; NixOS does not read their [Install] sections, so what they are wanted by is said here.
    systemd.packages = [ cfg.package ];
    systemd.timers.tmux-janitor = lib.mkIf (!cfg.users) { wantedBy = [ "timers.target" ]; };
    systemd.services.tmux-janitor = lib.mkIf (!cfg.users) { wantedBy = [ "multi-user.target" ]; };
    systemd.user.timers.tmux-janitor = lib.mkIf cfg.users { wantedBy = [ "timers.target" ]; };
    systemd.user.services.tmux-janitor = lib.mkIf cfg.users { wantedBy = [ "default.target" ]; };
    systemd.user.services.tmux-janitor-watch = lib.mkIf cfg.watch { wantedBy = [ "default.target" ]; };

    environment.etc = lib.mkIf (cfg.settings != { }) {
      "tmux-janitor/config.toml".source = toml.generate "tmux-janitor.toml" cfg.settings;
    };
  };
}
