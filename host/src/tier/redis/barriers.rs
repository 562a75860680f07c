//! Barriers in Redis: a counter and two sorted sets per tenant, changed by one script each.

use std::sync::LazyLock;

use redis::{Script, Value};

use crate::barrier::{Barrier, Purge, PurgeMode, Scope};
use crate::clock::Timestamp;

/// A double, which is what a sorted set's score and a Lua number are, counts no further.
pub(super) const SEQUENCE_MAX: u64 = 1 << 53;
/// Barriers kept per tenant.
pub(super) const BARRIERS_MAX: u64 = 16_384;
/// The form of a set's members.
const VERSION: u8 = 1;

/// Takes the next sequence and records a purge under it. Sequences are microseconds of the server's clock, or one more than
/// the last where that is higher: so they rise also over a server that has forgotten the last ones, or a replica that had
/// not got them, and an entry from before is below every purge that comes after. None of the keys expires: under
/// `volatile-*` a key with an expiry may be evicted, and a purge would be forgotten.
/// KEYS: seq, barriers, raised. ARGV: above, purge, now ms, lifetime ms, most barriers, the purge of everything.
pub(super) static RAISE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local time = redis.call('TIME')
        local last = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') or 0, tonumber(ARGV[1]))
        local seq = math.max(last + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
        redis.call('SET', KEYS[1], string.format('%.0f', seq))
        redis.call('ZADD', KEYS[2], seq, ARGV[2])
        redis.call('ZADD', KEYS[3], ARGV[3], ARGV[2])
        -- Nothing that these could hold back is left.
        local old = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(' .. (ARGV[3] - ARGV[4]), 'LIMIT', 0, 64)
        for _, purge in ipairs(old) do
          redis.call('ZREM', KEYS[2], purge)
          redis.call('ZREM', KEYS[3], purge)
        end
        -- Too many: the older half becomes one purge of everything.
        local len = redis.call('ZCARD', KEYS[2])
        if len > tonumber(ARGV[5]) then
          local gone = redis.call('ZRANGE', KEYS[2], 0, len - math.floor(ARGV[5] / 2) - 1, 'WITHSCORES')
          local highest = gone[#gone]
          for i = 1, #gone, 2 do
            redis.call('ZREM', KEYS[2], gone[i])
            redis.call('ZREM', KEYS[3], gone[i])
          end
          redis.call('ZADD', KEYS[2], 'GT', highest, ARGV[6])
          redis.call('ZADD', KEYS[3], 'GT', ARGV[3], ARGV[6])
        end
        return seq
        ",
    )
});

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

/// Reads what [`RAISED_SINCE`] answers. What can't be read holds everything back.
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
