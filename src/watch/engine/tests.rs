//! A small world of sockets that come and go at one name.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use super::*;
use EventKind::{Dead, Ghost, Rescued, ServerGone, ServerUp, SocketRemoved};
use std::cell::RefCell;
use tmux_sockets::kernel::Pid;
use tmux_sockets::kernel::SocketNumber;

fn x() -> Name {
    Name { dir: Dir(0), label: Label::new("x").unwrap() }
}

/// An engine and the sockets that are listening.
#[derive(Default)]
struct World {
    engine: RefCell<Engine>,
    listening: RefCell<Vec<SocketNumber>>,
    closing: RefCell<Option<SocketNumber>>,
    /// Of those, which stand at another name.
    elsewhere: RefCell<Vec<SocketNumber>>,
    /// A socket that is closed, and the one that its server listens with instead.
    anew: RefCell<Option<(SocketNumber, SocketNumber)>>,
}

impl World {
    fn born(&self) {
        self.engine.borrow_mut().born(&x());
    }

    fn lock(&self) {
        self.engine.borrow_mut().lock_seen(&x());
    }

    fn listening(&self, sockets: &[SocketNumber]) {
        *self.listening.borrow_mut() = sockets.to_vec();
    }

    /// Looks; what happened, with pids.
    fn see(&self, seen: Seen) -> Vec<(EventKind, Option<i32>)> {
        self.see_at(&x(), seen)
    }

    fn see_at(&self, name: &Name, seen: Seen) -> Vec<(EventKind, Option<i32>)> {
        let listening = self.listening.borrow().clone();
        let listens = |server: &Server| match server.socket {
            Some(socket) if listening.contains(&socket) && self.elsewhere.borrow().contains(&socket) => {
                Listens::Renamed
            }
            Some(socket) if listening.contains(&socket) => Listens::Yes,
            Some(socket) if *self.closing.borrow() == Some(socket) => Listens::Maybe,
            Some(socket) => match *self.anew.borrow() {
                Some((old, new)) if old == socket => Listens::Anew(new.raw()),
                _ => Listens::No,
            },
            None => Listens::No,
        };
        let happenings = self.engine.borrow_mut().digest(name, seen, listens);
        happenings.iter().map(|happening| (happening.kind, happening.pid().map(Pid::raw))).collect()
    }

    /// Looks while `socket` of `pid` stands at the name.
    fn live(&self, socket: SocketNumber, pid: Pid) -> Vec<(EventKind, Option<i32>)> {
        let mut listening = self.listening.borrow().clone();
        listening.push(socket);
        self.listening(&listening);
        self.see(Seen::Live { socket: Some(socket), pid: Some(pid) })
    }
}

#[test]
fn a_birth_and_a_death_are_told_once() {
    let world = World::default();
    world.born();
    assert_eq!(world.live(SocketNumber::new(1), Pid::new(10)), [(ServerUp, Some(10))]);
    assert_eq!(world.live(SocketNumber::new(1), Pid::new(10)), []);
    world.listening(&[]);
    assert_eq!(world.see(Seen::Dead), [(ServerGone, Some(10))]);
    assert_eq!(world.see(Seen::Dead), [], "a socket that is kept makes no drumbeat");
    assert_eq!(world.engine.borrow().counts(), NameCounts { live: 0, ghosts: 0, dead: 1, spared: 0 });
    assert_eq!(world.see(Seen::Spared), []);
    assert_eq!(world.engine.borrow().counts(), NameCounts { live: 0, ghosts: 0, dead: 0, spared: 1 });
    assert_eq!(world.see(Seen::Absent), [(SocketRemoved, Some(10))]);
    assert_eq!(world.see(Seen::Absent), []);
    assert!(world.engine.borrow().slots[&Dir(0)].is_empty(), "nothing is left to remember");
}

#[test]
fn one_that_no_table_listed_is_the_same_when_it_is_listed() {
    let world = World::default();
    world.born();
    assert_eq!(world.see(Seen::Live { socket: None, pid: None }), [(ServerUp, None)]);
    assert!(world.engine.borrow().has_server(&x()));
    assert_eq!(world.live(SocketNumber::new(1), Pid::new(10)), []);
    world.listening(&[]);
    assert_eq!(world.see(Seen::Removed), [(ServerGone, Some(10)), (SocketRemoved, Some(10))]);
    // With a birth in between it is another.
    world.born();
    assert_eq!(world.see(Seen::Live { socket: None, pid: None }), [(ServerUp, None)]);
    world.born();
    assert_eq!(world.live(SocketNumber::new(2), Pid::new(11)), [(ServerGone, None), (ServerUp, Some(11))]);
}

#[test]
fn a_removal_of_ours_follows_the_death() {
    let world = World::default();
    world.live(SocketNumber::new(1), Pid::new(10));
    world.listening(&[]);
    assert_eq!(world.see(Seen::Removed), [(ServerGone, Some(10)), (SocketRemoved, Some(10))]);
}

#[test]
fn servers_between_two_looks_get_their_pair() {
    let world = World::default();
    world.born();
    world.born();
    assert_eq!(
        world.see(Seen::Removed),
        [(ServerUp, None), (ServerGone, None), (ServerUp, None), (ServerGone, None), (SocketRemoved, None)]
    );
    world.live(SocketNumber::new(3), Pid::new(30));
    world.listening(&[]);
    world.born();
    world.born();
    assert_eq!(
        world.live(SocketNumber::new(5), Pid::new(50)),
        [(ServerGone, Some(30)), (ServerUp, None), (ServerGone, None), (ServerUp, Some(50))]
    );
}

#[test]
fn a_birth_during_a_look_counts_for_the_next() {
    let world = World::default();
    world.live(SocketNumber::new(1), Pid::new(10));
    world.listening(&[]);
    world.engine.borrow_mut().look_begins();
    world.born();
    assert_eq!(
        world.live(SocketNumber::new(2), Pid::new(20)),
        [(ServerGone, Some(10))],
        "is it the one that was born?"
    );
    world.engine.borrow_mut().look_ends();
    assert_eq!(world.live(SocketNumber::new(2), Pid::new(20)), [(ServerUp, Some(20))]);
    world.listening(&[]);
    world.engine.borrow_mut().look_begins();
    world.born();
    assert_eq!(world.see(Seen::Removed), [(ServerGone, Some(20)), (SocketRemoved, Some(20))]);
    world.engine.borrow_mut().look_ends();
    assert_eq!(world.see(Seen::Dead), [(ServerUp, None), (ServerGone, None)]);
}

#[test]
fn of_a_file_that_came_and_went_only_a_lock_tells_a_server() {
    let world = World::default();
    world.born();
    assert_eq!(world.see(Seen::Absent), []);
    world.lock();
    world.born();
    assert_eq!(world.see(Seen::Absent), [(ServerUp, None), (ServerGone, None), (SocketRemoved, None)]);
    world.engine.borrow_mut().look_begins();
    world.lock();
    world.born();
    assert_eq!(world.see(Seen::Absent), []);
    world.engine.borrow_mut().look_ends();
    assert_eq!(world.see(Seen::Absent), [(ServerUp, None), (ServerGone, None), (SocketRemoved, None)]);
}

#[test]
fn a_server_whose_file_goes_is_a_ghost_and_can_come_back() {
    let world = World::default();
    world.live(SocketNumber::new(1), Pid::new(10));
    assert_eq!(world.see(Seen::Absent), [(Ghost, Some(10))]);
    assert_eq!(world.see(Seen::Absent), []);
    assert_eq!(world.engine.borrow().counts(), NameCounts { live: 0, ghosts: 1, dead: 0, spared: 0 });
    world.listening(&[]);
    assert_eq!(
        world.live(SocketNumber::new(2), Pid::new(10)),
        [(Rescued, Some(10))],
        "SIGUSR1 makes another socket"
    );
    world.see(Seen::Absent);
    world.listening(&[]);
    assert_eq!(world.see(Seen::Absent), [(ServerGone, Some(10))], "its file was gone before");
}

#[test]
fn a_server_keeps_the_pid_it_was_announced_with() {
    let world = World::default();
    world.live(SocketNumber::new(1), Pid::new(10));
    assert_eq!(world.live(SocketNumber::new(1), Pid::new(11)), [], "a child of it holds the socket");
    world.listening(&[]);
    assert_eq!(world.see(Seen::Dead), [(ServerGone, Some(10))]);
}

#[test]
fn a_server_between_two_sockets_has_not_gone() {
    let world = World::default();
    world.live(SocketNumber::new(1), Pid::new(10));
    world.listening(&[]);
    *world.closing.borrow_mut() = Some(SocketNumber::new(1));
    assert_eq!(world.see(Seen::Absent), []);
    assert_eq!(world.live(SocketNumber::new(2), Pid::new(10)), [], "SIGUSR1 makes another socket");
    world.listening(&[]);
    assert_eq!(world.see(Seen::Dead), [(ServerGone, Some(10))]);
}

#[test]
fn a_stolen_name_makes_a_ghost_of_the_one_who_had_it() {
    let world = World::default();
    world.live(SocketNumber::new(1), Pid::new(10));
    assert_eq!(world.live(SocketNumber::new(2), Pid::new(20)), [(Ghost, Some(10)), (ServerUp, Some(20))]);
    world.listening(&[SocketNumber::new(2)]);
    assert_eq!(world.live(SocketNumber::new(2), Pid::new(20)), [(ServerGone, Some(10))]);
}

#[test]
fn what_is_not_decided_changes_nothing_but_a_death() {
    let world = World::default();
    world.live(SocketNumber::new(1), Pid::new(10));
    assert_eq!(world.see(Seen::Undecided), []);
    world.listening(&[]);
    world.born();
    assert_eq!(world.see(Seen::Undecided), [(ServerGone, Some(10))]);
    assert_eq!(world.live(SocketNumber::new(7), Pid::new(70)), [(ServerUp, Some(70))]);
}

#[test]
fn a_server_that_a_dump_has_missed_is_the_same_server() {
    let world = World::default();
    world.live(SocketNumber::new(1), Pid::new(10));
    assert_eq!(world.see(Seen::Live { socket: None, pid: None }), []);
    assert_eq!(world.engine.borrow().counts().live, 1);
}

#[test]
fn a_removal_is_told_also_after_a_look_that_met_the_janitors_lock() {
    let world = World::default();
    world.born();
    assert_eq!(world.live(SocketNumber::new(1), Pid::new(10)), [(ServerUp, Some(10))]);
    world.listening(&[]);
    assert_eq!(world.see(Seen::Undecided), [(ServerGone, Some(10))]);
    assert_eq!(world.see(Seen::Undecided), []);
    assert_eq!(world.see(Seen::Absent), [(SocketRemoved, Some(10))]);
    assert!(world.engine.borrow().slots[&Dir(0)].is_empty(), "nothing is left to remember");
}

#[test]
fn a_ghost_whose_new_socket_is_deleted_too_lives_on_as_one() {
    let world = World::default();
    world.live(SocketNumber::new(1), Pid::new(10));
    assert_eq!(world.see(Seen::Absent), [(Ghost, Some(10))]);
    world.listening(&[SocketNumber::new(2)]);
    *world.anew.borrow_mut() = Some((SocketNumber::new(1), SocketNumber::new(2)));
    world.born();
    assert_eq!(world.see(Seen::Absent), [(Rescued, Some(10)), (Ghost, Some(10))]);
    assert_eq!(world.see(Seen::Absent), []);
    assert!(world.engine.borrow().is_haunted_at(&x()));
    let found = |socket| {
        let happenings = world.engine.borrow_mut().haunt(&x(), socket, Some(Pid::new(10)));
        happenings.iter().map(|happening| (happening.kind, happening.pid().map(Pid::raw))).collect::<Vec<_>>()
    };
    assert_eq!(found(SocketNumber::new(2)), [], "it is known");
    let another = [(Rescued, Some(10)), (Ghost, Some(10))];
    assert_eq!(found(SocketNumber::new(3)), another, "the same server, and another socket");
    world.listening(&[]);
    assert_eq!(world.see(Seen::Absent), [(ServerGone, Some(10))]);
}

#[test]
fn what_a_server_makes_while_its_name_is_looked_at_makes_no_ghost_of_it() {
    let [old, new] = [1, 2].map(SocketNumber::new);
    for (listening, seen, then) in [(vec![new], Seen::Absent, Ghost), (vec![], Seen::Dead, ServerGone)] {
        let world = World { anew: RefCell::new(Some((old, new))), ..World::default() };
        world.live(old, Pid::new(10));
        world.see(Seen::Absent);
        world.listening(&[new]);
        world.engine.borrow_mut().look_begins();
        world.born();
        assert_eq!(world.see(Seen::Absent), [(Rescued, Some(10))]);
        world.engine.borrow_mut().look_ends();
        world.listening(&listening);
        assert_eq!(world.see(seen), [(then, Some(10))], "what was bound was its own");
    }
}

#[test]
fn what_a_ghost_has_made_before_it_ended_is_no_other_servers() {
    for (seen, last) in [(Seen::Removed, SocketRemoved), (Seen::Absent, SocketRemoved)] {
        let world = World::default();
        world.live(SocketNumber::new(1), Pid::new(10));
        world.see(Seen::Absent);
        world.listening(&[]);
        world.born();
        let told = [(Rescued, Some(10)), (ServerGone, Some(10)), (last, Some(10))];
        assert_eq!(world.see(seen), told);
    }
    let world = World::default();
    world.live(SocketNumber::new(1), Pid::new(10));
    world.see(Seen::Absent);
    world.listening(&[]);
    world.lock();
    world.born();
    let told = [(ServerGone, Some(10)), (ServerUp, None), (ServerGone, None), (SocketRemoved, None)];
    assert_eq!(world.see(Seen::Removed), told, "somebody has started one");
}

#[test]
fn a_dead_socket_is_told_of_where_no_end_was_told() {
    let world = World::default();
    for seen in [Seen::Dead, Seen::Spared] {
        assert_eq!(world.see(seen), [(Dead, None)]);
        assert_eq!((world.see(seen), world.see(Seen::Undecided)), (vec![], vec![]), "once");
        assert_eq!(world.see(Seen::Absent), [(SocketRemoved, None)]);
    }
    world.born();
    assert_eq!(world.see(Seen::Dead), [(ServerUp, None), (ServerGone, None)], "those say so");
}

fn named(label: &str) -> Name {
    Name { dir: Dir(0), label: Label::new(label).unwrap() }
}

/// In whatever order the two names are looked at, and also where the end is seen at the new one first.
#[test]
fn who_is_renamed_is_told_of_at_home_and_goes_once() {
    for (is_new_first, other) in [(true, "a"), (false, "y")] {
        let (world, socket, pid) = (World::default(), SocketNumber::new(1), Some(Pid::new(10)));
        let (seen, other) = (Seen::Live { socket: Some(socket), pid }, named(other));
        world.live(socket, Pid::new(10));
        *world.elsewhere.borrow_mut() = vec![socket];
        let mut looks = [(x(), Seen::Absent), (other.clone(), seen)];
        if is_new_first {
            looks.reverse();
        }
        for (name, seen) in &looks {
            assert_eq!(world.see_at(name, *seen), []);
        }
        let told = Renamed { home: x(), to: other.clone(), pid };
        assert_eq!(world.engine.borrow_mut().take_renamed(), [told]);
        assert_eq!(world.engine.borrow().counts(), NameCounts { live: 1, ..NameCounts::default() });
        assert_eq!(world.engine.borrow().owner(&other), pid);
        for (name, seen) in &looks {
            assert_eq!(world.see_at(name, *seen), [], "once");
        }
        assert_eq!(world.engine.borrow_mut().take_renamed(), []);
        world.listening(&[]);
        let mut ends = vec![(x(), vec![(ServerGone, Some(10))]), (other, vec![(SocketRemoved, Some(10))])];
        if is_new_first {
            ends.reverse();
        }
        for (name, happened) in ends {
            assert_eq!(world.see_at(&name, Seen::Absent), happened, "{name:?}");
        }
        assert!(world.engine.borrow().slots[&Dir(0)].is_empty(), "nothing is left to remember");
        assert!(!world.engine.borrow().knows(&named("a")) && !world.engine.borrow().knows(&named("y")));
    }
}

#[test]
fn who_has_lost_the_other_name_too_is_a_ghost_at_home() {
    for is_found in [false, true] {
        loses_both_names(is_found);
    }
}

/// It is seen to be a ghost at its name, or found by a search for ghosts.
#[track_caller]
fn loses_both_names(is_found: bool) {
    let (world, socket) = (World::default(), SocketNumber::new(1));
    world.live(socket, Pid::new(10));
    *world.elsewhere.borrow_mut() = vec![socket];
    world.see_at(&named("y"), Seen::Live { socket: Some(socket), pid: None });
    world.see(Seen::Absent);
    world.elsewhere.borrow_mut().clear();
    world.engine.borrow_mut().take_restless();
    assert_eq!(world.see_at(&named("y"), Seen::Absent), []);
    assert_eq!(world.engine.borrow_mut().take_restless(), [x()], "it is to be looked at");
    if is_found {
        let found = world.engine.borrow_mut().haunt(&x(), socket, Some(Pid::new(10)));
        assert_eq!(found.len(), 1);
    } else {
        assert_eq!(world.see(Seen::Absent), [(Ghost, Some(10))]);
    }
    world.engine.borrow_mut().take_renamed();
    assert_eq!(world.live(SocketNumber::new(2), Pid::new(10)), [(Rescued, Some(10))]);
    assert_eq!(world.engine.borrow_mut().take_renamed(), [], "at home");
    *world.elsewhere.borrow_mut() = vec![SocketNumber::new(2)];
    world.see(Seen::Absent);
    world.see_at(&named("y"), Seen::Live { socket: Some(SocketNumber::new(2)), pid: None });
    assert_eq!(world.engine.borrow_mut().take_renamed().len(), 1);
    // It makes its socket anew, at home.
    assert_eq!(world.live(SocketNumber::new(3), Pid::new(10)), []);
    let told = Renamed { home: x(), to: x(), pid: Some(Pid::new(10)) };
    assert_eq!(world.engine.borrow_mut().take_renamed(), [told]);
    world.listening(&[]);
    assert_eq!(world.see(Seen::Removed), [(ServerGone, Some(10)), (SocketRemoved, Some(10))]);
}
