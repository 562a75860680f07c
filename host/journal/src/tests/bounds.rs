//! Bounds, and what happens when they are reached: back-pressure, never a silent drop.

use std::num::NonZeroU64;
use std::time::Duration;

use super::double::Double;
use super::support::{Driven, NOW, contents, many, put, roomy, small, write};
use crate::{AppendError, Batch, Bound, Handed, OpenError, Overtaken, Settings, TenantBounds, Write};

fn open(settings: Settings) -> (Double, Driven) {
    let files = Double::new(1);
    let driven = Driven::open(&files, settings).expect("it opens");
    (files, driven)
}

/// Appends until a bound is reached; says which, and how many writes were taken.
fn fill(driven: &mut Driven) -> (Bound, usize) {
    for number in 0.. {
        match driven.append(&[write(&format!("k{number}"), &"x".repeat(100))]).pop().expect("one") {
            Ok(_) => {}
            Err(error @ AppendError::Full { bound, .. }) => {
                assert_eq!(error.retry_after(), Some(Duration::from_secs(10)), "{error}");
                return (bound, number);
            }
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("there is a bound")
}

#[test]
fn a_journal_that_is_full_refuses_until_something_is_done() {
    let tenant = TenantBounds { bytes_max: 1000, ..roomy() };
    for (settings, bound) in [
        (Settings { tenant, ..small() }, Bound::TenantBytes),
        (Settings { tenant: TenantBounds { writes_max: 6, ..roomy() }, ..small() }, Bound::TenantWrites),
        (Settings { bytes_max: 2048, ..small() }, Bound::Bytes),
        (Settings { writes_max: 5, ..small() }, Bound::Writes),
    ] {
        let (_, mut driven) = open(settings);
        let (reached, taken) = fill(&mut driven);
        assert_eq!(reached, bound);
        let other = Write { tenant: "news".into(), ..write("a", &"x".repeat(150)) };
        let is_the_tenants = matches!(bound, Bound::TenantBytes | Bound::TenantWrites);
        assert_eq!(driven.append(&[other])[0].is_ok(), is_the_tenants, "{bound}");
        driven.take("shop", &many(1), NOW).pop().expect("one").done();
        assert!(driven.append(&[write("z", "1")])[0].is_ok() || bound == Bound::Bytes);
        let stats = driven.writer.shared.stats(NOW);
        assert!(taken >= 4 && stats.refused[&bound] >= 1);
    }
}

#[test]
fn a_client_has_an_eighth_at_most_once_half_is_used_and_gets_back_what_is_done() {
    let few = TenantBounds { writes_max: 16, ..roomy() };
    let small_ones = TenantBounds { bytes_max: 16 * 150, ..roomy() };
    for (tenant, len) in [(few, 1), (small_ones, 80)] {
        let (files, mut driven) = open(Settings { tenant, ..small() });
        let mut number = 0;
        let mut try_one = |driven: &mut Driven, client: u64| {
            number += 1;
            let by = Write { client: NonZeroU64::new(client), ..put(&format!("k{number}"), &"x".repeat(len)) };
            driven.append(&[by]).pop().expect("one").map_err(|error| match error {
                AppendError::Full { bound, .. } => bound,
                other => panic!("{other}"),
            })
        };
        let taken = std::iter::from_fn(|| try_one(&mut driven, 1).ok()).count();
        assert!((6..=11).contains(&taken), "a client alone has half of it: {taken}");
        let others = std::iter::from_fn(|| try_one(&mut driven, 2).ok()).count();
        assert!((1..=2).contains(&others), "another one has an eighth: {others}");
        assert_eq!(try_one(&mut driven, 1), Err(Bound::Client));
        assert_eq!(driven.writer.shared.stats(NOW).refused[&Bound::Client], 3);
        // Found again after a restart, and given back with what is done.
        drop(driven);
        let mut driven = Driven::open(&files, Settings { tenant, ..small() }).expect("it opens");
        assert_eq!(try_one(&mut driven, 1), Err(Bound::Client));
        driven.take("shop", &many(9), NOW).into_iter().for_each(Handed::done);
        assert!(try_one(&mut driven, 1).is_ok());
        driven.drain("shop");
        assert!(driven.writer.shared.stats(NOW).tenants.is_empty());
    }
}

#[test]
fn a_client_that_writes_the_same_key_again_and_again_takes_room_for_one() {
    let (_, mut driven) = open(Settings { tenant: TenantBounds { writes_max: 16, ..roomy() }, ..small() });
    let by = |client| Write { client: NonZeroU64::new(client), ..put("a", "1") };
    for _ in 0..100 {
        assert!(driven.append(&[by(1)])[0].is_ok());
    }
    assert_eq!(driven.writer.shared.stats(NOW).tenants["shop"].pending, 1);
}

#[test]
fn too_many_dead_letters_stop_new_writes_however_small_they_are() {
    let (_, mut driven) = open(Settings { tenant: TenantBounds { dead_writes_max: 2, ..roomy() }, ..small() });
    driven.append(&[write("a", ""), write("b", "")]);
    driven.take("shop", &many(9), NOW).into_iter().for_each(|handed| handed.dead("400", NOW));
    let refused = driven.append(&[write("c", "")]).pop().expect("one").expect_err("it is full");
    assert!(matches!(refused, AppendError::Full { bound: Bound::DeadLetters, .. }), "{refused}");
}

#[test]
fn what_waits_for_the_disk_is_bounded_and_refused_with_a_short_pause() {
    let (_, driven) = open(Settings { queued_bytes_max: 2048, ..small() });
    let shared = &driven.writer.shared;
    let submit = || shared.submit(&write("a", &"x".repeat(500)));
    let _waiting = [submit().expect("room"), submit().expect("room"), submit().expect("room")];
    let refused = submit().expect_err("it is full");
    assert_eq!(refused, AppendError::Full { bound: Bound::Queue, retry_after: Duration::from_secs(1) });
    assert_eq!(shared.stats(NOW).refused[&Bound::Queue], 1);
    assert_eq!(shared.stats(NOW).bytes, shared.stats(NOW).queued_bytes, "what was refused is not counted");
}

#[test]
fn what_is_too_large_is_refused_for_good() {
    let (_, driven) = open(small());
    for (write, what) in [
        (write("a", &"x".repeat(2049)), "content"),
        (write("a", &"x".repeat(2040)), "write"),
        (write(&"k".repeat(70_000), ""), "key"),
        (Write { idempotency_key: "x".repeat(256), ..write("a", "") }, "idempotency key"),
        (Write { tenant: "x".repeat(256).into(), ..write("a", "") }, "tenant's name"),
    ] {
        let refused = driven.writer.shared.submit(&write).expect_err(what);
        assert!(refused.to_string().starts_with(&format!("the {what} has ")), "{refused}");
        assert_eq!(refused.retry_after(), None);
    }
    assert_eq!(driven.writer.shared.stats(NOW).bytes, 0);
}

#[test]
fn a_full_list_of_dead_letters_stops_new_writes_of_the_tenant_and_loses_none() {
    let tenant = TenantBounds { dead_bytes_max: 300, ..roomy() };
    let (_, mut driven) = open(Settings { tenant, ..small() });
    driven.append(&[write("a", &"x".repeat(150)), write("b", &"x".repeat(150)), write("c", &"x".repeat(150))]);
    for handed in driven.take("shop", &many(9), NOW) {
        handed.dead(&"why ".repeat(1000), NOW);
    }
    let stats = driven.writer.shared.stats(NOW).tenants["shop"].clone();
    assert_eq!((stats.pending, stats.dead), (0, 3), "all are kept, though two would be too many");
    let refused = driven.append(&[write("d", "1")]).pop().expect("one").expect_err("it is full");
    assert!(matches!(refused, AppendError::Full { bound: Bound::DeadLetters, .. }), "{refused}");
    assert!(driven.append(&[Write { tenant: "news".into(), ..write("d", "1") }])[0].is_ok());
    let buried = driven.writer.shared.queue.read().buried("shop", None, 9);
    assert_eq!(buried[0].grave.reason.len(), 1024);
    driven.writer.shared.settle(|queue| queue.drop_dead("shop", buried[0].seq));
    driven.writer.shared.settle(|queue| queue.revive("shop", buried[1].seq, Overtaken::Refuse, NOW));
    assert!(driven.append(&[write("d", "1")])[0].is_ok());
    driven
        .writer
        .shared
        .queue
        .write()
        .bound_tenant("shop", TenantBounds { bytes_max: 10, dead_bytes_max: 0, ..roomy() });
    assert!(driven.append(&[write("d", "1")])[0].is_err());
}

/// One write that is never done, while others come and go.
#[test]
fn an_old_write_holds_no_more_of_the_disk_than_itself() {
    for held_bytes_max in [0, 1 << 20] {
        let settings = Settings { held_bytes_max, ..small() };
        let (files, mut driven) = open(settings.clone());
        let old = [write("old", "pending"), write("dead", "dead"), put("sent", "sent")];
        driven.append(&old);
        let mut handed = driven.take("shop", &many(9), NOW);
        drop(handed.pop().expect("sent"));
        handed.pop().expect("dead").dead("no", NOW);
        handed.pop().expect("old").failed(NOW.saturating_add(Duration::from_secs(1_000_000)));
        for number in 0..500 {
            driven.append(&[write("k", &format!("{number} {}", "x".repeat(200)))]);
            driven.take("shop", &Batch::default(), NOW).pop().expect("one").done();
        }
        let stats = driven.writer.shared.stats(NOW);
        assert!(files.bytes() < 6 * 1024 && stats.segments < 6, "{} bytes, {stats:?}", files.bytes());
        assert!(stats.carried_bytes > 0 && stats.disk_bytes == files.bytes());
        drop(driven);
        let driven = Driven::open(&files.after_crash(), settings).expect("it opens");
        let letters = driven.writer.shared.queue.read().buried("shop", None, 9);
        assert_eq!((letters.len(), letters[0].grave.reason.as_str()), (1, "no"));
        let delivered = driven.drain("shop");
        assert_eq!(delivered[..2], [old[0].clone(), old[2].clone()], "{:?}", contents(&delivered));
    }
}

#[test]
fn many_restarts_leave_few_files() {
    let files = Double::new(1);
    for number in 0..100 {
        let mut driven = Driven::open(&files, small()).expect("it opens");
        driven.append(&[write("a", &number.to_string())]);
    }
    assert!(files.segments().len() < 30, "{:?}", files.segments());
    let driven = Driven::open(&files, small()).expect("it opens");
    let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    assert_eq!(contents(&driven.drain("shop")), expected);
    drop(driven);
    for _ in 0..100 {
        Driven::open(&files, small()).expect("it opens");
    }
    assert!(files.segments().len() < 30, "{:?}", files.segments());
}

/// What `WRITE_OVERHEAD_BYTES` says, measured: run it alone.
#[test]
#[cfg(target_os = "linux")]
#[ignore = "a measurement: the memory that a write takes"]
fn a_write_takes_no_more_memory_than_is_said() {
    const WRITES: usize = 200_000;
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").expect("it is there");
        pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
    };
    let dir = tempfile::tempdir().expect("a directory");
    let settings = Settings { writes_max: WRITES, held_bytes_max: 0, ..Settings::default() };
    let clock = std::sync::Arc::new(sandbar_base::clock::ManualClock::starting_at(NOW));
    let files = std::sync::Arc::new(crate::files::DiskFiles);
    let id = crate::format::head::JournalId([1; 16]);
    let (writer, found) = crate::journal::writer_on(files, dir.path(), settings, clock, id).expect("it opens");
    let (mut driven, before) = (Driven { writer, found }, resident());
    for batch in 0..WRITES / 1000 {
        let writes: Vec<Write> = (0..1000).map(|number| write(&format!("{batch} {number}"), "x")).collect();
        assert!(driven.append(&writes).iter().all(Result::is_ok));
    }
    let each = (resident() - before) / WRITES;
    eprintln!("{each} bytes for each write");
    assert!(each as u64 <= crate::WRITE_OVERHEAD_BYTES);
}

#[test]
fn settings_that_make_no_sense_are_refused_with_what_to_do() {
    for (settings, said) in [
        (Settings { segment_bytes: 1, ..small() }, "segment_bytes is 1: give from 512 bytes"),
        (Settings { write_bytes_max: 1 << 21, ..small() }, "lower it, or raise these"),
        (Settings { writes_max: 0, ..small() }, "give one write at least"),
    ] {
        match Driven::open(&Double::new(1), settings) {
            Err(error @ OpenError::Settings(_)) => assert!(error.to_string().contains(said), "{error}"),
            other => panic!("{said}: {:?}", other.map(|driven| driven.found)),
        }
    }
}
