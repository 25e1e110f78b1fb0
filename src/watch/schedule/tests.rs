//! Time is handed in.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use super::*;

fn name(label: &str) -> Name {
    Name { dir: Dir(0), label: Label::new(label).unwrap() }
}

fn begun(interval: u64) -> (Schedule, Instant) {
    let now = Instant::now();
    let mut schedule = Schedule::new(Some(Duration::from_secs(interval)), now);
    assert_eq!(schedule.due(now), Some(Due::Rescan));
    (schedule, now)
}

#[test]
fn without_events_only_the_rescan_wakes() {
    let (mut schedule, now) = begun(600);
    assert_eq!(schedule.due(now), None);
    assert_eq!(schedule.next(), Some(now + Duration::from_secs(600)));
    schedule.reload(None, now);
    assert_eq!(schedule.due(now), Some(Due::Rescan));
    assert_eq!(schedule.next(), None);
}

#[test]
fn an_interval_beyond_the_clock_is_never() {
    let (mut schedule, now) = begun(u64::MAX);
    assert_eq!((schedule.due(now), schedule.next()), (None, None));
}

#[test]
fn a_birth_is_glanced_at_and_after_a_costly_look_it_waits() {
    let (mut schedule, now) = begun(600);
    schedule.unsettled(name("a"), now);
    assert_eq!(schedule.next(), Some(now));
    assert_eq!(schedule.due(now), Some(Due::Glance(vec![name("a")])));
    schedule.looked(now, now + Duration::from_millis(3));
    schedule.unsettled(name("b"), now);
    let later = now + Duration::from_millis(15);
    assert_eq!(schedule.due(now + Duration::from_millis(14)), None);
    assert_eq!(schedule.next(), Some(later));
    assert_eq!(schedule.due(later), Some(Due::Glance(vec![name("b")])));
}

#[test]
fn what_is_unclear_gets_time_to_settle() {
    let (mut schedule, now) = begun(600);
    schedule.unclear(name("a"), now);
    assert_eq!(schedule.due(now), None);
    assert_eq!(schedule.next(), Some(now + SETTLE));
    assert_eq!(schedule.due(now + SETTLE), Some(Due::Look(vec![name("a")])));
}

#[test]
fn what_no_table_lists_is_looked_at_once_more() {
    let (mut schedule, now) = begun(600);
    assert!(schedule.unlisted(&name("a"), now));
    assert!(!schedule.is_settled());
    assert_eq!(schedule.due(now + SETTLE), Some(Due::Look(vec![name("a")])));
    assert!(!schedule.unlisted(&name("a"), now), "then it is taken as it is");
    assert!(schedule.is_settled());
}

#[test]
fn an_emptied_directory_is_looked_for_a_little_later() {
    let (mut schedule, now) = begun(600);
    schedule.emptied(now);
    schedule.emptied(now + EMPTIED / 2);
    assert_eq!(schedule.due(now), None);
    assert_eq!(schedule.next(), Some(now + EMPTIED));
    assert_eq!(schedule.due(now + EMPTIED), Some(Due::Directories));
    schedule.directories_changed(now);
    assert_eq!(schedule.due(now), Some(Due::Directories));
    schedule.ghost_seen(now);
    assert_eq!(schedule.next(), Some(now + SETTLE));
    assert_eq!(schedule.due(now + SETTLE), Some(Due::Ghosts));
}

#[test]
fn a_lock_that_is_let_go_leads_to_few_looks() {
    let (mut schedule, now) = begun(600);
    schedule.lock_released(name("a"), now);
    assert_eq!(schedule.due(now), None, "nobody waits for it");
    let mut looks = 0;
    schedule.lock_held(name("a"));
    schedule.lock_released(name("a"), now);
    while let Some(Due::Look(_)) = schedule.due(now) {
        looks += 1;
        schedule.lock_held(name("a"));
        schedule.lock_released(name("a"), now);
    }
    assert_eq!(looks, TRIES - 1);
}

#[test]
fn a_socket_that_does_not_listen_yet_is_looked_at_ever_more_rarely() {
    let (mut schedule, now) = begun(600);
    let mut waits = Vec::new();
    loop {
        schedule.bound_only(name("a"), now);
        match schedule.next() {
            Some(at) if at < now + Duration::from_secs(600) => waits.push((at - now).as_millis()),
            _ => break,
        }
        assert_eq!(schedule.due(now + Duration::from_secs(6)), Some(Due::Look(vec![name("a")])));
    }
    assert_eq!(waits, [80, 320, 1280, 5120]);
}

#[test]
fn lost_events_lead_to_one_rescan_and_a_storm_to_one_per_second() {
    let (mut schedule, now) = begun(600);
    schedule.events_lost(now);
    schedule.events_lost(now);
    assert_eq!(schedule.due(now), None);
    let later = now + BETWEEN_RESCANS;
    assert_eq!(schedule.due(later), Some(Due::Rescan));
    assert_eq!(schedule.due(later), None);
    assert_eq!(schedule.next(), Some(later + Duration::from_secs(600)));
}

#[test]
fn too_many_names_are_a_rescan() {
    let (mut schedule, now) = begun(600);
    for number in 0..=MOST_NAMES {
        schedule.unsettled(name(&number.to_string()), now);
    }
    assert_eq!(schedule.due(now + BETWEEN_RESCANS), Some(Due::Rescan));
}

#[test]
fn a_rescan_is_taken_in_parts_and_events_come_between() {
    let (mut schedule, now) = begun(600);
    schedule.look_at_all(Dir(0), (0..=CHUNK).map(|n| name(&n.to_string()).label).collect());
    assert!(matches!(schedule.due(now), Some(Due::Chunk(Dir(0), labels)) if labels.len() == CHUNK));
    schedule.unsettled(name("new"), now);
    assert_eq!(schedule.due(now), Some(Due::Glance(vec![name("new")])));
    assert!(matches!(schedule.due(now), Some(Due::Chunk(Dir(0), labels)) if labels.len() == 1));
    assert!(!schedule.is_rescanning());
}
