//! The sessions that systemd looks after, with the units that the documentation shows.

use crate::machine::Machine;

const UNITS: &str = r#"
mkdir -p ~/bin ~/.local/bin ~/.config/systemd/user
ln -s /run/host/tmux-janitor ~/.local/bin/tmux-janitor
printf '#!/bin/sh\nexec sleep 1000\n' >~/bin/bot; chmod +x ~/bin/bot
cd ~/.config/systemd/user
# The block that begins with its path.
for unit in bot.service tmux-session@.service; do
  sed -n "\\,^# ~/.config/systemd/user/$unit,,/^\`\`\`/p" /run/host/repository/docs/spawning.md | grep -v '^`' >$unit
done
systemctl --user daemon-reload
"#;

/// `until_it_holds COMMAND`: for 20 s. `is_there LABEL`: its session is.
const SHELL: &str = r#"
until_it_holds() { for _ in $(seq 4000); do ! "$@" || return 0; sleep 0.02; done; echo "in vain: $*" >&2; return 1; }
is_there() { "$TMUX_BIN" -L spawn-bot has-session -t =bot 2>/dev/null; }
is_gone() { ! is_there; }
main() { systemctl --user show --property=MainPID --value tmux-session@bot; }
is_another() { [ "$(main)" != "$1" ] && [ "$(main)" != 0 ] && is_there; }
"#;

#[test]
fn a_oneshot_that_starts_a_session_starts_twice_and_stops_it() {
    let Some(machine) = Machine::boot() else { return };
    let ann = machine.user("ann");
    machine.sh_as(&ann, UNITS);
    let bot = |script: &str| machine.sh_as(&ann, &format!("{SHELL} {script}"));
    bot(
        "systemctl --user start bot; is_there; systemctl --user stop bot; is_gone; systemctl --user start bot; is_there",
    );
    // A session that is there is as good.
    bot(
        "systemctl --user stop bot; tmux-janitor spawn bot -- sleep 1000; systemctl --user start bot; systemctl --user is-active bot",
    );
    bot("systemctl --user enable bot; systemctl --user stop bot; until_it_holds is_gone");
}

#[test]
fn a_server_that_is_killed_is_back() {
    let Some(machine) = Machine::boot() else { return };
    let ann = machine.user("ann");
    machine.sh_as(&ann, UNITS);
    let unit = "tmux-session@bot.service";
    // Where something goes wrong the unit's journal says why.
    let told =
        format!("trap '[ $? = 0 ] || journalctl --user --unit={unit} --output=short-precise >&2' EXIT");
    let bot = |script: &str| machine.sh_as(&ann, &format!("{SHELL} {told}; {script}"));
    bot(&format!(
        "systemctl --user start {unit}; is_there; [ \"$(cat /proc/$(main)/comm)\" = 'tmux: server' ]"
    ));
    bot("pid=$(main); kill -KILL $pid; until_it_holds is_another $pid");
    let journal = machine.sh_as(&ann, &format!("journalctl --user --unit={unit}"));
    assert!(journal.contains("status=9/KILL"), "{journal}");
    bot(&format!("systemctl --user restart {unit}; is_there; systemctl --user restart {unit}; is_there"));
    // Its own end is none to mend. systemd counts a start twice that comes while a unit is still deactivating.
    bot(&format!(
        "\"$TMUX_BIN\" -L spawn-bot kill-server; is_over() {{ [ $(systemctl --user is-active {unit}) = inactive ]; }}; until_it_holds is_over; [ $(systemctl --user show --property=Result --value {unit}) = success ]"
    ));
    bot(&format!("systemctl --user start {unit}; systemctl --user stop {unit}; until_it_holds is_gone"));
    // Five times a minute.
    bot(&format!(
        "systemctl --user reset-failed; systemctl --user start {unit}; has_failed() {{ pid=$(main); [ $pid = 0 ] || kill -KILL $pid; systemctl --user --quiet is-failed {unit}; }}; until_it_holds has_failed"
    ));
}
