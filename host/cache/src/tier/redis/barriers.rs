//! Barriers in Redis: a counter and two sorted sets per tenant ([`raising`](super::raising) adds to them).

use std::sync::LazyLock;

use redis::{Script, Value};
use sandbar_base::clock::Timestamp;

use crate::barrier::{Barrier, Purge, PurgeMode, Scope};

/// Scores of sorted sets and numbers of Lua are doubles, which count no further.
pub(super) const SEQUENCE_MAX: u64 = 1 << 53;
/// The format version of a set's members.
const VERSION: u8 = 1;

/// Barriers read at once: a read waits for them, so no answer may take long.
pub(super) const SLICE: usize = 1000;

/// The lowest barriers above a sequence, as purge, sequence, when; purge, sequence, when; …
/// KEYS: barriers, raised. ARGV: above, most.
pub(super) static RAISED_SINCE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
        local rows = {}
        for i = 1, #found, 2 do
          rows[#rows + 1] = found[i]
          rows[#rows + 1] = found[i + 1]
          rows[#rows + 1] = redis.call('ZSCORE', KEYS[2], found[i]) or '0'
        end
        return rows
        ",
    )
});

/// A purge as a set's member: the same purge again is the same member, so it is kept once.
pub(super) fn member(purge: &Purge) -> Vec<u8> {
    let mut member = vec![VERSION];
    member.extend(postcard::to_allocvec(purge).expect("plain data in a growing buffer always serialises"));
    member
}

pub(super) const fn everything() -> Purge {
    Purge { scope: Scope::Everything, mode: PurgeMode::Hard }
}

/// Reads what [`RAISED_SINCE`] answers; `None` where that makes no sense. A purge that can't be read becomes one of
/// everything.
pub(super) fn read(rows: &[Value]) -> Option<Vec<Barrier>> {
    let (rows, rest) = rows.as_chunks::<3>();
    let barriers: Option<Vec<Barrier>> =
        rows.iter().map(|[purge, sequence, raised]| barrier(purge, sequence, raised)).collect();
    barriers.filter(|_| rest.is_empty())
}

fn barrier(purge: &Value, sequence: &Value, raised: &Value) -> Option<Barrier> {
    let sequence = number(sequence)?;
    let raised = Timestamp::from_millis(number(raised).unwrap_or(0));
    let purge = match purge {
        Value::BulkString(bytes) if bytes.first() == Some(&VERSION) => postcard::from_bytes(&bytes[1..]).ok(),
        _ => None,
    };
    Some(Barrier { purge: purge.unwrap_or_else(everything), sequence, raised })
}

/// A whole number, as Redis writes scores and counters.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(text) => std::str::from_utf8(text).ok()?.parse().ok().or_else(|| float(text)),
        _ => None,
    }
}

/// Large scores come as `1.7e+12`.
fn float(text: &[u8]) -> Option<u64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is in range")]
    (0.0..=9_007_199_254_740_992.0).contains(&number).then_some(number as u64)
}
