//! The tests themselves: none of them sleeps, or says how long something may take. They wait for what they want to see, with
//! patience ([`sandbar_tests::wait`]), count, or step a clock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What sleeps, reads a clock, or gives something a moment in which it shall not happen.
const WORDS: [&str; 9] = [
    "sleep(",
    "sleep_until(",
    "interval(",
    "Instant::now(",
    ".elapsed(",
    ".monotonic(",
    "timeout(Duration::from_millis",
    "timeout(Some(Duration::from_millis",
    "ready(Duration::from_millis",
];

/// In which file how many lines do so all the same, and why.
const LISTED: [(&str, usize, &str); 13] = [
    ("src/wait.rs", 2, "it is the one that waits: a step, and the same question again"),
    ("src/crowd.rs", 1, "clients rest between two requests"),
    ("src/fault_proxy.rs", 1, "a network that is slow"),
    (
        "src/history/clock.rs",
        4,
        "a plan's pace, and times that a checker compares with what a node promises in milliseconds",
    ),
    ("src/node.rs", 3, "a clock that is stepped goes on by itself, too"),
    ("src/origin/reply.rs", 2, "an origin that is slow"),
    (
        "tests/client_faults.rs",
        1,
        "a client that sends a byte now and then, to a gateway that reads the machine's clock",
    ),
    ("tests/fetch_deadlines.rs", 1, "by a clock that is stepped"),
    ("tests/fleet.rs", 5, "a process that is stopped measures that by the kernel's clock, and so does who stops it"),
    ("tests/many_tenants.rs", 8, "what the long proof prints"),
    ("tests/nodes/trouble.rs", 1, "the long proof lasts a minute"),
    ("tests/redis_tier.rs", 2, "a call does not fail before its deadline: at least so long, by the tier's own clock"),
    ("tests/tls/cost.rs", 2, "a measurement, run by hand"),
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether a line of source has one of the words, which no longer name ends with.
fn keeps_time(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    WORDS.iter().any(|word| {
        let begins = |at: usize| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        code.match_indices(word).any(|(at, _)| word.starts_with('.') || word.starts_with("timeout") || begins(at))
    })
}

#[test]
fn nobody_sleeps_or_measures_time_but_for_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in ["src", "tests"] {
        sources(&root.join(dir), &mut files);
    }
    assert!(files.len() > 100, "these are not the tests: {files:?}");
    let (mut found, mut lines) = (BTreeMap::new(), Vec::new());
    for file in files {
        let name = file.strip_prefix(root).expect("below it").to_string_lossy().into_owned();
        if name == "tests/clocks.rs" {
            continue;
        }
        let source = std::fs::read_to_string(&file).expect("a source");
        for (number, line) in source.lines().enumerate().filter(|(_, line)| keeps_time(line)) {
            *found.entry(name.clone()).or_insert(0) += 1;
            lines.push(format!("{name}:{}: {}", number + 1, line.trim()));
        }
    }
    let listed: BTreeMap<String, usize> = LISTED.iter().map(|(name, lines, _)| ((*name).to_owned(), *lines)).collect();
    assert_eq!(
        found,
        listed,
        "wait for an event (`sandbar_tests::wait`), or list it with its reason:\n{}",
        lines.join("\n")
    );
}

#[test]
fn what_keeps_time_is_recognised() {
    for line in [
        "    sleep(HEARTBEAT).await;",
        "thread::sleep(STEP);",
        "let until = Instant::now() + PATIENCE;",
        "assert!(began.elapsed() < DEADLINE);",
        "let early = tokio::time::timeout(Duration::from_millis(50), frame).await;",
        "stream.set_read_timeout(Some(Duration::from_millis(200)))?;",
        "assert!(!tier.ready(Duration::from_millis(300)).await);",
    ] {
        assert!(keeps_time(line), "{line}");
    }
    for line in ["// sleep(HEARTBEAT)", "let asleep = oversleep(setup);", "timeout(PATIENCE, tasks.join_next())"] {
        assert!(!keeps_time(line), "{line}");
    }
}
