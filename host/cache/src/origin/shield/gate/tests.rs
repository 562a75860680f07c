use std::net::IpAddr;

use futures_util::FutureExt;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(100);
const PATIENCE: Patience = Patience { deadline: Duration::from_secs(30), bytes_min: 1024 };

fn gate(limit: usize, queue_max: usize) -> Arc<Gate> {
    Gate::new(limit, queue_max, PATIENCE)
}

/// A connection of the address that ends with this number.
fn client(address: u8, connection: u64) -> Option<ShareKey> {
    Some(ShareKey { connection, address: Some(IpAddr::from([192, 0, 2, address])) })
}

fn now_for(gate: &Arc<Gate>, client: Option<ShareKey>) -> Permit {
    match gate.enter(Urgency::Awaited, client, Duration::ZERO) {
        Ok(Entered::Now(permit)) => permit,
        other => panic!("it had to wait: {other:?}"),
    }
}

fn queued_for(gate: &Arc<Gate>, client: Option<ShareKey>, now: Duration) -> Waiting {
    match gate.enter(Urgency::Awaited, client, now) {
        Ok(Entered::Queued(waiting)) => waiting,
        other => panic!("it did not queue: {other:?}"),
    }
}

fn now(gate: &Arc<Gate>) -> Permit {
    now_for(gate, None)
}

fn queued(gate: &Arc<Gate>) -> Waiting {
    queued_for(gate, None, Duration::ZERO)
}

/// The permit, if the request's turn has come.
fn turn(waiting: &mut Waiting) -> Option<Permit> {
    waiting.now_or_never().map(|turn| turn.expect("no refusal"))
}

fn check(gate: &Gate, running: usize, queued: usize) {
    let load = gate.load();
    assert_eq!((load.running, load.queued), (running, queued));
}

#[test]
fn the_first_to_come_is_the_first_to_go() {
    let gate = gate(1, 2);
    let first = now(&gate);
    let (mut second, mut third) = (queued(&gate), queued(&gate));
    assert_eq!(gate.enter(Urgency::Awaited, None, Duration::ZERO).unwrap_err(), Refusal::QueueFull);
    assert!(turn(&mut second).is_none());
    drop(first);
    assert!(turn(&mut third).is_none(), "it is the second's turn");
    let second = turn(&mut second).expect("its turn");
    check(&gate, 1, 1);
    drop(second);
    drop(turn(&mut third).expect("its turn"));
    check(&gate, 0, 0);
}

#[test]
fn whoever_goes_away_hands_its_turn_on() {
    let gate = gate(1, 10);
    let first = now(&gate);
    let (left, called, mut last) = (queued(&gate), queued(&gate), queued(&gate));
    drop(left);
    check(&gate, 1, 2);
    drop(first);
    // `called` has got its turn and has not noticed.
    drop(called);
    drop(turn(&mut last).expect("its turn"));
    check(&gate, 0, 0);
}

#[test]
fn what_nobody_waits_for_goes_only_where_nobody_waits() {
    let gate = gate(2, 10);
    let refresh = || gate.enter(Urgency::Background, None, Duration::ZERO);
    let first = refresh();
    assert!(matches!(first, Ok(Entered::Now(_))));
    let _client = now(&gate);
    assert_eq!(refresh().unwrap_err(), Refusal::Background);
    let _queued = queued(&gate);
    assert_eq!(refresh().unwrap_err(), Refusal::Background);
}

#[test]
fn a_limit_moves_both_ways() {
    let gate = gate(1, 10);
    let first = now(&gate);
    let mut second = queued(&gate);
    gate.set_limit(2);
    let second = turn(&mut second).expect("room");
    gate.set_limit(1);
    let mut third = queued(&gate);
    drop(first);
    assert!(turn(&mut third).is_none(), "one is still under way");
    drop(second);
    assert!(turn(&mut third).is_some());
}

#[test]
fn nobody_is_limited_while_there_is_room() {
    let gate = gate(100, 0);
    let held: Vec<_> = (0..100).map(|_| now_for(&gate, client(1, 1))).collect();
    check(&gate, 100, 0);
    drop(held);
    check(&gate, 0, 0);
    assert!(gate.state.lock().places.is_empty());
}

#[test]
fn the_next_place_goes_to_the_client_that_holds_fewest() {
    let gate = gate(4, 10);
    let mut held: Vec<_> =
        [client(1, 1), client(1, 1), client(1, 2), client(2, 3)].map(|client| now_for(&gate, client)).into();
    let came = [client(1, 1), client(1, 2), client(2, 3), client(1, 9), client(3, 4), client(3, 5)];
    let mut waiting: Vec<_> =
        came.into_iter().enumerate().map(|(came, client)| (came, queued_for(&gate, client, Duration::ZERO))).collect();
    let mut turns = Vec::new();
    for limit in 5..=10 {
        gate.set_limit(limit);
        waiting.retain_mut(|(came, waits)| match turn(waits) {
            Some(permit) => {
                held.push(permit);
                turns.push(*came);
                false
            }
            None => true,
        });
    }
    // By what each address holds, then by what each connection does, then in the order in which they came.
    assert_eq!(turns, [4, 5, 2, 3, 1, 0]);
}

#[test]
fn one_address_gains_nothing_by_many_connections() {
    let gate = gate(10, 1000);
    let mut held: Vec<_> = (0..10).map(|connection| now_for(&gate, client(1, connection))).collect();
    let mut crowd: Vec<_> =
        (100..1000).map(|connection| queued_for(&gate, client(1, connection), Duration::ZERO)).collect();
    let mut visitor = queued_for(&gate, client(2, 5000), Duration::ZERO);
    held.pop();
    let _place = turn(&mut visitor).expect("its address holds nothing");
    assert!(crowd.iter_mut().all(|waits| turn(waits).is_none()));
}

#[test]
fn a_full_queue_refuses_whoever_has_most_in_it() {
    let gate = gate(1, 4);
    let _held = now_for(&gate, client(9, 9));
    let mut many: Vec<_> = (0..4).map(|_| queued_for(&gate, client(1, 1), Duration::ZERO)).collect();
    assert_eq!(gate.enter(Urgency::Awaited, client(1, 1), Duration::ZERO).unwrap_err(), Refusal::QueueFull);
    let mut visitors =
        [queued_for(&gate, client(2, 2), Duration::ZERO), queued_for(&gate, client(3, 3), Duration::ZERO)];
    let refused = |waits: &mut Waiting| matches!(waits.now_or_never(), Some(Err(Refusal::QueueFull)));
    assert_eq!(many.iter_mut().map(refused).collect::<Vec<_>>(), [false, false, true, true], "the last to come");
    assert!(visitors.iter_mut().all(|waits| turn(waits).is_none()));
    check(&gate, 1, 4);
    let _third = queued_for(&gate, client(1, 7), Duration::ZERO);
    check(&gate, 1, 4);
}

#[test]
fn places_that_lie_yield_where_their_client_holds_more_than_its_part() {
    let gate = gate(4, 10);
    let held: Vec<_> = (0..3).map(|_| now_for(&gate, client(1, 1))).collect();
    let other = now_for(&gate, client(2, 2));
    held[0].place.waits_for_reader(Duration::ZERO);
    other.place.waits_for_reader(Duration::ZERO);
    let mut visitor = queued_for(&gate, client(3, 3), MOMENT);
    assert!(turn(&mut visitor).is_none(), "a moment is no reason");
    gate.reclaim(SECOND);
    let visitor = turn(&mut visitor).expect("the place that lies");
    assert_eq!(held[0].place.lost(), Some(crate::origin::ClientFault::SlowReader));
    assert!(held[1..].iter().all(|permit| permit.place.lost().is_none()), "their origin is waited for");
    assert_eq!(other.place.lost(), None, "it holds no more than its part");
    check(&gate, 4, 0);
    drop((held, other, visitor));
    check(&gate, 0, 0);
}

#[test]
fn a_place_that_lies_for_long_yields_to_whoever_holds_fewer() {
    let gate = gate(2, 10);
    let held = [now_for(&gate, client(1, 1)), now_for(&gate, client(1, 2))];
    held.iter().for_each(|permit| permit.place.waits_for_reader(Duration::ZERO));
    let mut own = queued_for(&gate, client(1, 1), SECOND);
    gate.reclaim(10 * SECOND);
    assert!(turn(&mut own).is_none(), "no client takes from itself");
    let mut visitor = queued_for(&gate, client(1, 3), 11 * SECOND);
    let place = turn(&mut visitor).expect("a connection that holds none");
    let mut second = queued_for(&gate, client(1, 3), 12 * SECOND);
    assert!(turn(&mut second).is_none(), "now it holds as many as the other");
    drop(place);
}

#[test]
fn who_does_not_move_in_time_loses_the_place() {
    let gate = gate(3, 10);
    let (slow, trickles, origin) = (now(&gate), now(&gate), now(&gate));
    slow.place.waits_for_reader(Duration::ZERO);
    trickles.place.upload_begins();
    for second in 0..29 {
        trickles.place.waits_for_upload(second * SECOND);
        trickles.place.uploaded(1, false, (second + 1) * SECOND);
    }
    trickles.place.waits_for_upload(29 * SECOND);
    assert!(gate.sweep(29 * SECOND));
    check(&gate, 3, 0);
    assert!(gate.sweep(30 * SECOND));
    check(&gate, 1, 0);
    assert_eq!(slow.place.lost(), Some(crate::origin::ClientFault::SlowReader));
    assert_eq!(trickles.place.lost(), Some(crate::origin::ClientFault::LateUpload));
    assert_eq!(origin.place.lost(), None);
    drop((slow, trickles, origin));
    check(&gate, 0, 0);
    assert!(!gate.sweep(31 * SECOND), "nothing is left to look at");
}
