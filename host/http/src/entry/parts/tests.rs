use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// The byte at a position of the representation: all parts are of one.
fn byte(at: u64) -> u8 {
    (at % 251) as u8
}

fn content(range: Range<u64>) -> Bytes {
    range.map(byte).collect::<Vec<u8>>().into()
}

fn range(range: Range<u64>) -> ByteRange {
    ByteRange { first: range.start, last: range.end - 1 }
}

fn parts(runs: &[Range<u64>], complete: Option<u64>) -> Parts {
    Parts::of(runs.iter().map(|run| (run.start, content(run.clone()))), complete).expect("runs")
}

fn run(only: Range<u64>, complete: Option<u64>) -> Parts {
    Parts::of([(only.start, content(only))], complete).expect("a run")
}

fn shown(parts: &Parts) -> String {
    let range = |range: ByteRange| format!("{}-{}", range.first, range.last);
    parts.ranges().map(range).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_overlaps_or_touches_is_one_run() {
    let held = parts(&[10..20, 30..40, 50..60], Some(100));
    for (added, expected) in [
        (0..5, "0-4 10-19 30-39 50-59"),
        (0..9, "0-8 10-19 30-39 50-59"),
        (0..10, "0-19 30-39 50-59"),
        (5..15, "5-19 30-39 50-59"),
        (12..18, "10-19 30-39 50-59"),
        (10..20, "10-19 30-39 50-59"),
        (10..25, "10-24 30-39 50-59"),
        (20..30, "10-39 50-59"),
        (15..35, "10-39 50-59"),
        (25..45, "10-19 25-44 50-59"),
        (19..51, "10-59"),
        (0..100, "0-99"),
        (60..100, "10-19 30-39 50-99"),
        (62..63, "10-19 30-39 50-59 62-62"),
    ] {
        let joined = held.with(added.start, &content(added.clone()), None).expect("it fits");
        assert_eq!(shown(&joined), expected, "{added:?}");
        assert_eq!(held.bytes_with(range(added.clone())), joined.bytes(), "{added:?}");
        assert!(joined.hold(range(added)));
    }
    assert_eq!(held.with(90, &content(90..101), None), None, "beyond the end");
    assert_eq!(held.with(0, &Bytes::default(), None), None, "nothing");
    assert_eq!(held.with(0, &content(0..5), Some(99)), None, "of another length");
    assert_eq!(held.with(u64::MAX - 1, &content(0..5), None), None, "beyond what can be counted");
    let unknown = run(10..20, None);
    assert_eq!(unknown.with(0, &content(0..5), Some(19)), None, "there is more than that");
    let learnt = unknown.with(0, &content(0..10), Some(20)).expect("it fits");
    assert_eq!(learnt.whole(), Some(content(0..20)));
}

#[test]
fn the_smallest_of_nine_goes_unless_it_is_the_new_one() {
    let eight = parts(&[0..5, 10..14, 20..25, 30..35, 40..45, 50..55, 60..65, 70..75], Some(1000));
    let nine = |added: Range<u64>| {
        let held = eight.with(added.start, &content(added.clone()), None).expect("it fits");
        assert_eq!(eight.bytes_with(range(added)), held.bytes());
        shown(&held)
    };
    assert_eq!(nine(500..501), "0-4 20-24 30-34 40-44 50-54 60-64 70-74 500-500", "the new one stays");
    assert_eq!(nine(6..9), "0-4 6-8 20-24 30-34 40-44 50-54 60-64 70-74", "before it");
    assert_eq!(nine(5..9), "0-8 10-13 20-24 30-34 40-44 50-54 60-64 70-74", "eight are not too many");
}

#[test]
fn one_gap_is_what_is_missing() {
    let held = parts(&[10..20, 30..40], Some(100));
    for (wanted, expected) in [
        (10..20, None),
        (12..15, None),
        (5..20, Some(5..10)),
        (15..25, Some(20..25)),
        (10..40, Some(20..30)),
        (12..35, Some(20..30)),
        (5..35, None),
        (15..45, None),
        (20..30, None),
        (50..60, None),
        (0..100, None),
        (30..100, Some(40..100)),
    ] {
        assert_eq!(held.gap(range(wanted.clone())), expected.map(range), "{wanted:?}");
    }
    assert_eq!(held.gap(ByteRange { first: 35, last: u64::MAX }), Some(ByteRange { first: 40, last: u64::MAX }));
}

#[test]
fn what_are_no_runs_are_refused() {
    let of = |runs: &[(u64, &'static [u8])], complete| {
        Parts::of(runs.iter().map(|(first, content)| (*first, Bytes::from_static(content))), complete)
    };
    assert!(of(&[(0, b"ab"), (3, b"c")], Some(4)).is_some());
    for (what, runs, complete) in [
        ("none", &[][..], None),
        ("an empty one", &[(0, &b""[..])], None),
        ("out of order", &[(3, b"c"), (0, b"ab")], None),
        ("touching", &[(0, b"ab"), (2, b"c")], None),
        ("overlapping", &[(0, b"ab"), (1, b"c")], None),
        ("beyond the end", &[(0, b"ab"), (3, b"c")], Some(3)),
        ("beyond what can be counted", &[(u64::MAX - 1, b"ab")], None),
        ("beyond what can be counted", &[(u64::MAX, b"a")], None),
    ] {
        assert_eq!(of(runs, complete), None, "{what}");
    }
    let nine: Vec<(u64, &'static [u8])> = (0..9).map(|n| (n * 2, &b"a"[..])).collect();
    assert_eq!(of(&nine, None), None, "too many");
}

/// How many bytes were copied to make `after` of `before` and `content`: those in chunks that are in neither.
fn copied(before: Option<&Parts>, content: &Bytes, after: &Parts) -> usize {
    let kept: HashSet<*const u8> =
        before.into_iter().flat_map(Parts::chunks).chain([content]).map(|chunk| chunk.as_ptr()).collect();
    after.chunks().filter(|chunk| !kept.contains(&chunk.as_ptr())).map(|chunk| chunk.len()).sum()
}

/// Joins so many pieces; returns how many bytes were copied, and the largest number of chunks on the way.
fn read_in_pieces(pieces: impl Iterator<Item = u64>, piece_bytes: u64) -> (usize, usize) {
    let (mut held, mut bytes, mut most): (Option<Parts>, _, _) = (None, 0, 0);
    for first in pieces.map(|piece| piece * piece_bytes) {
        let content = content(first..first + piece_bytes);
        let joined = match &held {
            Some(held) => held.with(first, &content, None).expect("it fits"),
            None => Parts::of([(first, content.clone())], None).expect("a run"),
        };
        bytes += copied(held.as_ref(), &content, &joined);
        most = most.max(joined.chunks().count());
        held = Some(joined);
    }
    (bytes, most)
}

#[test]
fn joining_pieces_costs_in_proportion_to_them() {
    let each = |count: u64, piece_bytes| {
        let (bytes, most) = read_in_pieces(0..count, piece_bytes);
        let blocks = usize::try_from(count * piece_bytes).expect("small") / BLOCK_BYTES;
        assert!(most <= SMALL_CHUNKS_MAX + blocks, "{most} chunks of {count} times {piece_bytes} bytes");
        bytes
    };
    let (some, many) = (each(5000, 16), each(20_000, 16));
    assert!(some <= 5000 * 1024, "{some} bytes for 5,000 pieces");
    assert!(many <= 5 * some, "{many} bytes for four times as many pieces as took {some}");
    let large = each(1000, 2000);
    assert!(large <= 1000 * 2000 * 3 / 2, "{large} bytes for 2,000,000 in pieces of 2,000");
    let backwards = read_in_pieces((0..5000).rev(), 4).0;
    assert!(backwards <= 5000 * 1024, "{backwards} bytes backwards");
    // First every other piece, as many as may be separate runs.
    let there_and_back = (0..5000).map(|piece: u64| piece / 8 * 8 + (piece % 8 * 2) % 8 + piece % 8 / 4);
    let there_and_back = read_in_pieces(there_and_back, 4).0;
    assert!(there_and_back <= 5000 * 1024, "{there_and_back} bytes there and back");
}

#[test]
fn no_chunk_is_a_slice_of_a_larger_buffer() {
    let held = run(10..20, Some(100));
    let large = content(15..100);
    let joined = held.with(15, &large, None).expect("it fits");
    let buffer = large.as_ptr_range();
    assert!(joined.chunks().all(|chunk| !buffer.contains(&chunk.as_ptr())), "five bytes of it would be kept unseen");
    let around = content(0..30);
    let joined = held.with(0, &around, None).expect("it fits");
    assert_eq!(joined.chunks().map(|chunk| chunk.as_ptr()).collect::<Vec<_>>(), [around.as_ptr()], "taken as it is");
}

const LENGTH: u64 = 400;

/// A part: short, long, or a single byte.
fn any_part() -> impl Strategy<Value = Range<u64>> {
    let lengths = prop_oneof![Just(1_u64), 1..8_u64, 1..LENGTH];
    (0..LENGTH, lengths).prop_map(|(first, bytes)| first..(first + bytes).min(LENGTH))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn they_are_what_a_map_of_bytes_would_be(added in prop::collection::vec(any_part(), 1..60)) {
        let mut model: Vec<Option<u8>> = vec![None; LENGTH as usize];
        let mut held: Option<Parts> = None;
        for part in added {
            let bytes = content(part.clone());
            let predicted = held.as_ref().map(|held| held.bytes_with(range(part.clone())));
            let joined = match &held {
                Some(held) => held.with(part.start, &bytes, Some(LENGTH)),
                None => Parts::of([(part.start, bytes)], Some(LENGTH)),
            }.expect("it fits");
            part.clone().for_each(|at| model[at as usize] = Some(byte(at)));
            // A run that was dropped is removed from the model too; it was the smallest one, and not the new one.
            let runs: Vec<Range<u64>> = runs_of(&model);
            if runs.len() > Parts::RUNS_MAX {
                let others = runs.iter().filter(|run| !run.contains(&part.start));
                let gone = others.min_by_key(|run| run.end - run.start).expect("others").clone();
                gone.for_each(|at| model[at as usize] = None);
            }
            let expected: Vec<ByteRange> = runs_of(&model).into_iter().map(range).collect();
            prop_assert_eq!(joined.ranges().collect::<Vec<_>>(), expected);
            prop_assert_eq!(joined.bytes(), predicted.unwrap_or_else(|| joined.bytes()));
            prop_assert_eq!(joined.bytes(), model.iter().flatten().count() as u64);
            prop_assert_eq!(joined.chunks().map(|chunk| chunk.len()).sum::<usize>() as u64, joined.bytes());
            held = Some(joined);
        }
        let held = held.expect("at least one");
        for first in 0..LENGTH {
            for last in [first, first + 1, first + 7, first + 100] {
                let there: Option<Vec<u8>> = model.get(first as usize..=last as usize).and_then(|some| some.iter().copied().collect());
                let wanted = ByteRange { first, last };
                prop_assert_eq!(held.hold(wanted), there.is_some());
                prop_assert_eq!(held.slice(wanted).map(|chunks| chunks.concat()), there);
            }
        }
        let whole: Option<Vec<u8>> = model.into_iter().collect();
        prop_assert_eq!(held.whole().map(|whole| whole.to_vec()), whole);
        let runs = held.ranges().map(|range| (range.first, Bytes::from(held.slice(range).expect("its own").concat())));
        prop_assert_eq!(Parts::of(runs, Some(LENGTH)), Some(held.clone()));
    }
}

fn runs_of(model: &[Option<u8>]) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for at in (0..).zip(model).filter(|(_, byte)| byte.is_some()).map(|(at, _)| at) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}
