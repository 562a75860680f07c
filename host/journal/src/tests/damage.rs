//! Files that are not as they were written: told, never passed over in silence, never given out.

use proptest::prelude::*;

use super::double::Double;
use super::support::{Driven, NOW, contents, many, small, write};
use crate::format::head::{HEAD_BYTES, Head, JournalId};
use crate::format::record::{Kind, RECORD_BYTES, Record, Seen};
use crate::format::scan::scan;
use crate::{OpenError, Settings};

/// A journal with writes `0` to `9`, each in a group commit of its own, in several files.
fn ten(settings: &Settings) -> Double {
    let files = Double::new(3);
    let mut driven = Driven::open(&files, settings.clone()).expect("it opens");
    for number in 0..10 {
        assert!(driven.append(&[write("a", &number.to_string().repeat(200))])[0].is_ok());
    }
    files
}

fn first_digits(driven: &Driven) -> String {
    contents(&driven.drain("shop")).iter().map(|content| &content[..1]).collect()
}

fn in_many_files() -> Settings {
    Settings { segment_bytes: 512, ..small() }
}

fn in_one_file() -> Settings {
    Settings { segment_bytes: 1 << 20, ..small() }
}

#[test]
fn damage_in_the_middle_is_told_and_what_follows_is_read() {
    let files = ten(&in_one_file());
    let name = files.segments().pop().expect("one");
    let record = (files.bytes() as usize - HEAD_BYTES as usize) / 10;
    let at = HEAD_BYTES as usize + 3 * record;
    // The length of the fourth, the content of the sixth, and all of the eighth.
    files.meddle(&name, |bytes| bytes[at + 12] ^= 0x40);
    files.meddle(&name, |bytes| bytes[at + 2 * record + 100] ^= 1);
    files.meddle(&name, |bytes| bytes[at + 4 * record..at + 5 * record].fill(0));
    let mut driven = Driven::open(&files, in_one_file()).expect("it opens");
    let ranges: Vec<(u64, u64)> = driven.found.damage.iter().map(|damage| (damage.from, damage.to)).collect();
    let range = |number: usize| ((at + number * record) as u64, (at + (number + 1) * record) as u64);
    assert_eq!(ranges, [range(0), range(2), range(4)]);
    assert!(driven.found.damage[0].path.ends_with(&name) && driven.found.torn_bytes == 0);
    assert_eq!(driven.writer.shared.stats(NOW).damaged, 3);
    assert_eq!(first_digits(&driven), "0124689");
    driven.writer.round().expect("the disk is well");
    driven.append(&[write("b", "1")]);
    assert!(files.has_file(&(name + ".damaged")), "it is kept for whoever wants to look: {:?}", files.segments());
}

#[test]
fn a_torn_end_is_cut_off_and_told() {
    for cut in [1, 40, 150] {
        let files = ten(&in_one_file());
        let name = files.segments().pop().expect("one");
        files.meddle(&name, |bytes| bytes.truncate(bytes.len() - cut));
        let driven = Driven::open(&files, in_one_file()).expect("it opens");
        assert!(driven.found.torn_bytes > 0 && driven.found.damage.is_empty(), "{:?}", driven.found);
        assert_eq!(first_digits(&driven), "012345678");
    }
}

#[test]
fn a_file_that_is_short_missing_or_has_no_head_is_told() {
    let files = ten(&in_many_files());
    let names = files.segments();
    assert!(names.len() >= 4, "{names:?}");
    files.remove_file(&names[1]);
    let driven = Driven::open(&files, small()).expect("it opens");
    assert!(driven.found.damage[0].path.ends_with(&names[1]), "{:?}", driven.found);
    assert!(first_digits(&driven).ends_with("6789"));

    let files = ten(&in_many_files());
    files.meddle(&names[1], |bytes| bytes.truncate(bytes.len() - 10));
    let driven = Driven::open(&files, small()).expect("it opens");
    assert_eq!((driven.found.damage.len(), first_digits(&driven).len()), (2, 9), "{:?}", driven.found);

    let files = ten(&in_many_files());
    files.meddle(&names[1], |bytes| bytes[..20].fill(0));
    let driven = Driven::open(&files, small()).expect("it opens");
    assert_eq!((driven.found.damage.len(), driven.found.damage[0].to), (1, 64), "{:?}", driven.found);
    assert_eq!(first_digits(&driven), "0123456789", "its records are found all the same");

    let files = ten(&in_one_file());
    files.meddle(&files.segments()[0], |bytes| bytes[..20].fill(0));
    let error = Driven::open(&files, small()).map(|_| ()).expect_err("nothing can be found");
    assert!(error.to_string().contains("bring the files back from a backup"), "{error}");
}

#[test]
fn what_is_damaged_after_the_start_is_lost_loudly_and_not_given_out() {
    let settings = Settings { held_bytes_max: 0, ..in_one_file() };
    let files = ten(&settings);
    let name = files.segments().pop().expect("one");
    let driven = Driven::open(&files, settings.clone()).expect("it opens");
    files.meddle(&name, |bytes| bytes[HEAD_BYTES as usize + RECORD_BYTES as usize + 100] ^= 1);
    assert!(driven.writer.shared.read(1).expect_err("it is damaged").to_string().contains("write 1 is damaged"));
    assert_eq!(first_digits(&driven), "123456789");
    assert_eq!(driven.writer.shared.stats(NOW).damaged, 1);
}

#[test]
fn a_newer_journal_and_files_of_another_one_are_refused_untouched() {
    let files = ten(&in_one_file());
    let name = files.segments().pop().expect("one");
    files.meddle(&name, |bytes| bytes[8] = 2);
    match Driven::open(&files, small()) {
        Err(error @ OpenError::Newer { version: 2, known: 1, .. }) => {
            assert!(error.to_string().contains("run the version that wrote it"), "{error}");
        }
        _ => panic!("it is newer"),
    }
    files.meddle(&name, |bytes| bytes[8] = 1);
    let mut driven = Driven::open(&files, Settings { segment_bytes: 512, ..small() }).expect("nothing was changed");
    assert!(driven.append(&[write("b", &"x".repeat(600))])[0].is_ok());
    assert!(driven.append(&[write("b", "1")])[0].is_ok());
    drop(driven);
    let names = files.segments();
    let head = Head { journal: JournalId([9; 16]), number: names.len() as u64, next_seq: 1, previous_end: 64 };
    files.meddle(names.last().expect("some"), |bytes| bytes[..64].copy_from_slice(&head.to_bytes()));
    let error = Driven::open(&files, small()).map(|_| ()).expect_err("it is foreign");
    assert!(matches!(error, OpenError::Foreign { .. }) && error.to_string().contains("another journal"), "{error}");
}

/// A client that knows the format can't have its own records found in a damaged file: it does not know the marker.
#[test]
fn a_content_that_looks_like_a_record_is_never_taken_for_one() {
    let forged = {
        let mut forged = Vec::new();
        let record = Record { kind: Kind::Done, seq: 2, body: bytes::Bytes::new() };
        record.write(JournalId([8; 16]).marker(1), 64, &mut forged);
        forged
    };
    let files = Double::new(5);
    let mut driven = Driven::open(&files, in_one_file()).expect("it opens");
    let hostile = crate::Write { content: forged.into(), ..write("a", "") };
    assert!(driven.append(&[hostile])[0].is_ok() && driven.append(&[write("b", "1")])[0].is_ok());
    drop(driven);
    files.meddle(&files.segments()[0], |bytes| bytes[HEAD_BYTES as usize + 40] ^= 1);
    let driven = Driven::open(&files, in_one_file()).expect("it opens");
    assert_eq!(driven.found.damage.len(), 1);
    assert_eq!(contents(&driven.drain("shop")), ["1"]);
}

#[test]
fn a_second_owner_is_refused_until_the_first_is_gone() {
    let files = ten(&small());
    let first = Driven::open(&files, small()).expect("it opens");
    let error = Driven::open(&files, small()).map(|_| ()).expect_err("it is in use");
    assert!(error.to_string().starts_with("the journal /journal is in use by another process"), "{error}");
    assert!(first.take("shop", &many(1), NOW).len() == 1);
    drop(first);
    Driven::open(&files, small()).expect("it is free");
}

proptest! {
    /// Whatever is in a file: no panic, every record that is found is whole, and nothing is found twice.
    #[test]
    fn any_bytes_are_read(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..8),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        sealed in prop::option::of(0_u32..1000),
    ) {
        let marker = JournalId([1; 16]).marker(1);
        let mut bytes = vec![0; HEAD_BYTES as usize];
        for (number, body) in bodies.into_iter().enumerate() {
            let synced = bytes.len() as u32;
            Record { kind: Kind::Write, seq: number as u64, body: body.into() }.write(marker, synced, &mut bytes);
        }
        for (at, with) in damage {
            let at = at.index(bytes.len());
            bytes[at] ^= with;
        }
        bytes.truncate(cut.index(bytes.len() + 1));
        let scan = scan(&bytes, marker, sealed);
        let mut end = 0;
        for offset in scan.records {
            prop_assert!(offset >= end);
            let seen = Seen::read(&bytes[offset as usize..], marker).expect("it is whole");
            end = offset + seen.bytes() as u32;
        }
        prop_assert!(scan.damage.iter().all(|(from, to)| from < to));
    }
}
