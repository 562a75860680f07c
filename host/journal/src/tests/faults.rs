//! Disks that refuse.

use super::double::{Double, Faults};
use super::support::{Driven, NOW, contents, many, small, write};
use crate::{AppendError, OpenError, Settings};

fn refused(driven: &mut Driven, key: &str, content: &str) -> String {
    match driven.append(&[write(key, content)]).pop().expect("one") {
        Err(error @ AppendError::Refused { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn crashed(files: &Double) -> (Double, Driven) {
    let files = files.after_crash();
    let driven = Driven::open(&files, small()).expect("it opens");
    assert_eq!(driven.found.damage, []);
    (files, driven)
}

/// After a failed `fsync` a second one says that all is well, and it is not: the file must not be used again.
#[test]
fn a_failed_fsync_fails_its_writes_alone_and_its_file_is_not_trusted_again() {
    for seed in 0..200 {
        let files = Double::new(seed);
        let mut driven = Driven::open(&files, small()).expect("it opens");
        assert!(driven.append(&[write("a", "1")])[0].is_ok());
        files.set_faults(Faults { syncs: 1, ..Faults::default() });
        assert!(refused(&mut driven, "a", "2").contains("the disk fails"));
        assert!(driven.append(&[write("a", "3")])[0].is_ok(), "the next one is taken, into another file");
        assert!(driven.append(&[write("a", "4")])[0].is_ok());
        assert_eq!(files.segments().len(), 2);
        assert_eq!(driven.writer.shared.stats(NOW).commits_failed, 1);
        let (_, driven) = crashed(&files);
        assert_eq!(contents(&driven.drain("shop")), ["1", "3", "4"], "what failed never comes back");
    }
}

#[test]
fn a_new_file_whose_name_can_not_be_synced_holds_nothing() {
    for seed in 0..100 {
        let files = Double::new(seed);
        let mut driven = Driven::open(&files, Settings { segment_bytes: 512, ..small() }).expect("it opens");
        assert!(driven.append(&[write("a", &"1".repeat(600))])[0].is_ok());
        files.set_faults(Faults { dir_syncs: 1, ..Faults::default() });
        assert!(refused(&mut driven, "a", "2").contains("the disk fails"));
        if seed % 2 == 0 {
            assert!(driven.append(&[write("a", "3")])[0].is_ok());
        }
        let (_, driven) = crashed(&files);
        let mut delivered = contents(&driven.drain("shop"));
        assert_eq!(delivered.remove(0).len(), 600);
        match seed % 2 {
            0 => assert_eq!(delivered, ["3"]),
            // The machine stopped before anything else was written: it may be there.
            _ => assert!(delivered.is_empty() || delivered == ["2"]),
        }
    }
}

#[test]
fn a_full_disk_refuses_with_a_remedy_hands_out_what_it_has_and_takes_writes_again() {
    let files = Double::new(7);
    let mut driven = Driven::open(&files, Settings { segment_bytes: 512, ..small() }).expect("it opens");
    for number in 0..4 {
        assert!(driven.append(&[write(&format!("k{number}"), &"x".repeat(400))])[0].is_ok());
    }
    files.set_faults(Faults { room: Some(100), ..Faults::default() });
    for _ in 0..3 {
        let said = refused(&mut driven, "a", &"x".repeat(400));
        assert!(said.contains("the journal /journal can't be written") && said.contains("free some room"), "{said}");
    }
    let report = driven.writer.shared.stats(NOW).disk;
    assert_eq!(report.refused["no-space"], 3);
    assert!(report.now.expect("it goes on").contains("write-behind writes can't be written to /journal"));
    for handed in driven.take("shop", &many(9), NOW) {
        handed.done();
    }
    // What is done makes room without a byte being written.
    let _ = driven.writer.round();
    assert!(driven.append(&[write("a", "1")])[0].is_ok(), "{:?}", files.faults());
    let (_, driven) = crashed(&files);
    assert_eq!(contents(&driven.drain("shop")), ["1"]);
}

#[test]
fn a_read_only_disk_refuses_and_what_was_done_is_told_later() {
    let files = Double::new(7);
    let mut driven = Driven::open(&files, small()).expect("it opens");
    assert!(driven.append(&[write("a", "1"), write("b", "2")])[0].is_ok());
    files.set_faults(Faults { is_read_only: true, ..Faults::default() });
    assert!(refused(&mut driven, "a", "3").contains("mount that file system for writing"));
    driven.take("shop", &many(1), NOW).pop().expect("one").done();
    assert!(driven.writer.round().is_err());
    files.set_faults(Faults::default());
    driven.writer.round().expect("the disk is well");
    let (_, driven) = crashed(&files);
    assert_eq!(contents(&driven.drain("shop")), ["2"]);
    let files = Double::new(8);
    files.set_faults(Faults { is_read_only: true, ..Faults::default() });
    match Driven::open(&files, small()) {
        Err(error @ OpenError::Refused { .. }) => {
            let said = error.to_string();
            assert!(said.contains("the journal /journal can't be used") && said.contains("for writing"), "{said}");
        }
        _ => panic!("it can't be opened"),
    }
}

#[test]
fn a_write_that_can_not_be_read_now_is_handed_out_later() {
    let files = Double::new(7);
    let mut driven = Driven::open(&files, Settings { held_bytes_max: 0, ..small() }).expect("it opens");
    assert!(driven.append(&[write("a", "1")])[0].is_ok());
    files.set_faults(Faults { reads: true, ..Faults::default() });
    assert!(driven.take("shop", &many(1), NOW).is_empty());
    assert!(driven.writer.shared.read(1).is_err());
    files.set_faults(Faults::default());
    assert!(driven.take("shop", &many(1), NOW).is_empty(), "after a pause");
    assert_eq!(contents(&driven.drain("shop")), ["1"]);
}

#[test]
fn a_note_that_could_not_be_written_is_not_forgotten() {
    let files = Double::new(9);
    let mut driven = Driven::open(&files, small()).expect("it opens");
    assert!(driven.append(&[write("a", "1")])[0].is_ok());
    driven.take("shop", &many(1), NOW).pop().expect("one").dead("no", NOW);
    let buried = driven.writer.shared.queue.read().buried("shop", None, 9)[0].seq;
    let mut told = {
        let mut queue = driven.writer.shared.queue.write();
        assert!(queue.drop_dead("shop", buried));
        queue.ack_last()
    };
    files.set_faults(Faults { syncs: 1, ..Faults::default() });
    assert!(driven.writer.round().is_err());
    assert!(matches!(told.try_recv(), Ok(Err(AppendError::Refused { .. }))));
    driven.writer.round().expect("the disk is well");
    let (_, driven) = crashed(&files);
    assert_eq!((driven.found.pending, driven.found.dead), (0, 0));
}
