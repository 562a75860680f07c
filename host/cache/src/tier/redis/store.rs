//! Storing an entry on terms: one script compares and stores.

use std::sync::LazyLock;

use redis::Script;

use sandbar_http::entry::Version;

/// The entry is stored.
pub(super) const STORED: i64 = -1;
/// An entry was stored under a later token.
pub(super) const FENCED: i64 = -2;
/// A newer version was stored.
pub(super) const OLDER: i64 = -3;
/// The entry is stored in place of an older version with other content.
pub(super) const REPLACED: i64 = -4;

/// How long the highest token under which an entry was stored is remembered: longer than any fill runs.
pub(super) const FENCE_MS: u64 = 15 * 60 * 1000;

/// Stores an entry, unless the tenant's sequence is above the one that the entry was judged at (the sequence is the
/// answer then), an entry was stored under a later token, or a newer version was stored that no purge has reset.
/// Versions are texts of digits, which compare like numbers too large for Lua.
/// KEYS: entry, fence, versions, seq where the entry was judged. ARGV: judged at or -1, token or 0, value, lifetime ms, fence
/// ms, version or "", its sequence, the sequence below which versions are forgotten, its tag or "".
pub(super) static STORE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local judged, token, version, stored = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[6], -1
        if judged >= 0 then
          local seq = tonumber(redis.call('GET', KEYS[4]) or '0') or 0
          if seq > judged then return seq end
        end
        if version ~= '' then
          local newest = redis.call('HMGET', KEYS[3], 'version', 'sequence', 'tag')
          if newest[1] and newest[2] >= ARGV[8] then
            if newest[1] > version then return -3 end
            if newest[1] < version and (ARGV[9] == '' or newest[3] ~= ARGV[9]) then stored = -4 end
          end
        end
        if token > 0 then
          local fence = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
          if fence > token then return -2 end
          redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[5])
        end
        if version ~= '' then
          redis.call('HSET', KEYS[3], 'version', version, 'sequence', ARGV[7], 'tag', ARGV[9])
          redis.call('PEXPIRE', KEYS[3], ARGV[4] + ARGV[5])
        end
        redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
        return stored
        ",
    )
});

/// A version as a text that sorts like it.
pub(super) fn version(version: Version) -> String {
    format!("{:020}{:020}", version.number, version.clock_us)
}

/// A sequence as a text that sorts like it.
pub(super) fn sequence(sequence: u64) -> String {
    format!("{sequence:020}")
}
