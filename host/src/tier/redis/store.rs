//! Storing an entry on terms: one script compares and stores.

use std::sync::LazyLock;

use redis::Script;

/// It is stored.
pub(super) const STORED: i64 = -1;
/// An entry was stored under a later token.
pub(super) const FENCED: i64 = -2;

/// How long the highest token that stored is remembered: longer than any fill runs.
pub(super) const FENCE_MS: u64 = 15 * 60 * 1000;

/// Stores an entry, unless the tenant's sequence has moved on from what the entry was judged by (the sequence is the
/// answer then), or an entry was stored under a later token.
/// KEYS: entry, seq, fence. ARGV: judged at or -1, token or 0, value, lifetime ms, fence ms.
pub(super) static STORE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local judged, token = tonumber(ARGV[1]), tonumber(ARGV[2])
        if judged >= 0 then
          local seq = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
          if seq > judged then return seq end
        end
        if token > 0 then
          local fence = tonumber(redis.call('GET', KEYS[3]) or '0') or 0
          if fence > token then return -2 end
          redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[5])
        end
        redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
        return -1
        ",
    )
});
