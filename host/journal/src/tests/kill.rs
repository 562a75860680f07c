//! A process that is killed at random moments: what it was told is held is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sandbar_base::clock::SystemClock;
use tempfile::TempDir;

use super::support::{NOW, many, small, write};
use crate::{Journal, OpenError, Settings, TenantBounds};

const DIR_VARIABLE: &str = "SANDBAR_JOURNAL_TEST_DIR";
const FIRST_VARIABLE: &str = "SANDBAR_JOURNAL_TEST_FIRST";
const KEYS: u64 = 5;

fn settings() -> Settings {
    Settings {
        segment_bytes: 16 << 10,
        bytes_max: 64 << 20,
        writes_max: 1_000_000,
        tenant: TenantBounds::default(),
        ..small()
    }
}

/// The process that is killed, as a test that does nothing where nobody asks it to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() {
    let Ok(dir) = std::env::var(DIR_VARIABLE) else { return };
    let first: u64 = std::env::var(FIRST_VARIABLE).expect("set beside it").parse().expect("a number");
    let journal = Arc::new(Journal::open(Path::new(&dir), settings(), Arc::new(SystemClock)).expect("it opens").0);
    let say = |line: String| writeln!(std::io::stdout(), "\n{line}").expect("somebody listens");
    let sender = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move {
            loop {
                for handed in journal.take("shop", &many(3), NOW).await {
                    say(format!("D {}", handed.write().idempotency_key));
                    handed.done();
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let writers = (0..KEYS).map(|key| {
        let journal = Arc::clone(&journal);
        tokio::spawn(async move {
            for number in (first..).step_by(KEYS as usize) {
                let number = number + key;
                let mut write = write(&key.to_string(), &"x".repeat((number % 900) as usize));
                write.idempotency_key = number.to_string();
                journal.append(&write).await.expect("it is taken");
                say(format!("A {number}"));
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.expect("it goes on until the end");
    }
    sender.abort();
}

/// The process, and what it says.
fn start(dir: &Path, first: u64) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "tests::kill::the_process_that_is_killed", "--nocapture", "--test-threads=1"])
        .env(DIR_VARIABLE, dir)
        .env(FIRST_VARIABLE, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    (child, lines)
}

/// What the process said before it was killed: numbers that were acknowledged, and that were about to be done.
fn run(dir: &Path, first: u64, lives_for: Duration) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let (mut child, mut lines) = start(dir, first);
    let (mut acknowledged, mut done) = (BTreeSet::new(), BTreeSet::new());
    let mut hear = |line: &str| match line.split_once(' ') {
        Some(("A", number)) => acknowledged.insert(number.parse().expect("a number")),
        Some(("D", number)) => done.insert(number.parse().expect("a number")),
        _ => false,
    };
    // From its first word on it lives for a moment.
    while !hear(&lines.next().expect("it says something").expect("text")) {}
    let killer = std::thread::spawn(move || {
        std::thread::sleep(lives_for);
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    });
    while let Some(Ok(line)) = lines.next() {
        hear(&line);
    }
    killer.join().expect("it is killed");
    (acknowledged, done)
}

fn rounds(rounds: u64) {
    let dir = TempDir::new().expect("a directory");
    let mut random = fastrand::Rng::with_seed(rounds);
    let (mut owed, mut first, mut total) = (BTreeSet::new(), 0, 0);
    for round in 0..rounds {
        let (acknowledged, done) = run(dir.path(), first, Duration::from_millis(random.u64(0..120)));
        total += acknowledged.len();
        owed.extend(&acknowledged);
        owed.retain(|number| !done.contains(number));
        let (journal, found) = Journal::open(dir.path(), settings(), Arc::new(SystemClock)).expect("it opens");
        assert_eq!(found.damage, [], "round {round}");
        let mut held: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        let seqs = journal.shared.queue.read().seqs();
        for seq in seqs {
            let write = journal.shared.read(seq).expect("it can be read").expect("it is there");
            let number: u64 = write.write.idempotency_key.parse().expect("a number");
            assert_eq!(write.write.content.len() as u64, number % 900);
            held.entry(number % KEYS).or_default().push(number);
        }
        let all: BTreeSet<u64> = held.values().flatten().copied().collect();
        let lost: Vec<&u64> = owed.difference(&all).collect();
        assert!(lost.is_empty(), "round {round} lost {lost:?}");
        assert!(held.values().all(|numbers| numbers.is_sorted()), "round {round}: out of order");
        // What was never acknowledged may be held, and is to be kept from here on.
        first = (acknowledged.last().max(all.last()).copied().unwrap_or(first) / KEYS + 2) * KEYS;
        owed = all;
    }
    eprintln!("{rounds} kills, {total} writes acknowledged, none lost");
    assert!(total > 0);
}

#[test]
fn a_journal_that_another_process_has_is_refused_until_that_is_gone() {
    let dir = TempDir::new().expect("a directory");
    let (mut child, mut lines) = start(dir.path(), 0);
    while !lines.next().expect("it says something").expect("text").starts_with("A ") {}
    let open = || Journal::open(dir.path(), settings(), Arc::new(SystemClock));
    // It goes on meanwhile: somebody must listen to it.
    let listener = std::thread::spawn(move || lines.count());
    let error = open().map(|_| ()).expect_err("it is in use");
    assert!(matches!(&error, OpenError::InUse { path } if path == dir.path()), "{error}");
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    listener.join().expect("it has ended");
    let (_journal, found) = open().expect("it is free");
    assert_eq!(found.damage, []);
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    rounds(8);
}

#[test]
#[ignore = "takes half a minute: 200 kills"]
fn what_was_acknowledged_outlives_many_kills() {
    rounds(200);
}
