//! Recording a purge in Redis: by a script of its own, or by a part of the script that tells the fleet of the purge,
//! where both are for the same server.

use std::sync::LazyLock;
use std::time::Duration;

use redis::{Script, ScriptInvocation};
use sandbar_base::clock::Timestamp;

use super::{barriers, keys};
use crate::barrier::Purge;

/// Barriers kept per tenant.
const BARRIERS_MAX: u64 = 16_384;

/// Takes the next sequence and records a purge under it. Sequences are microseconds of the server's clock, or one more
/// than the last where that is higher. So they also rise when the server has forgotten the last ones, or a replica
/// takes over that had not got them, and an entry from before is below every purge that comes after. None of the keys
/// expires: under `volatile-*` a key with an expiry may be evicted, and a purge would be forgotten. Those of a tenant that was
/// removed do, until it is purged again: there is another one of its name, or a node that has not heard.
/// Returns the sequence, and that of the same purge when it was last recorded, or 0.
/// KEYS: seq, barriers, raised. ARGV: above, purge, now ms, lifetime ms, most barriers, the purge of everything.
pub(crate) const FUNCTION: &str = r"
    local function raise(KEYS, ARGV)
      local time = redis.call('TIME')
      local last = math.max(tonumber(redis.call('GET', KEYS[1]) or '0') or 0, tonumber(ARGV[1]))
      local seq = math.max(last + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
      redis.call('SET', KEYS[1], string.format('%.0f', seq))
      local before = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[2]) or '0') or 0
      redis.call('ZADD', KEYS[2], seq, ARGV[2])
      redis.call('ZADD', KEYS[3], ARGV[3], ARGV[2])
      redis.call('PERSIST', KEYS[2])
      redis.call('PERSIST', KEYS[3])
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
      return seq, before
    end
";

/// The names of the keys that hold a tenant's records.
pub(super) const NAMES: [&str; 3] = ["seq", "barriers", "raised"];

static RAISE: LazyLock<Script> = LazyLock::new(|| Script::new(&format!("{FUNCTION} return {{raise(KEYS, ARGV)}}")));

/// A purge that is to be recorded in a Redis.
#[derive(Debug)]
pub struct Raising {
    server: String,
    keys: [String; 3],
    above: u64,
    purge: Vec<u8>,
    at: Timestamp,
    lifetime_max: Duration,
}

impl Raising {
    pub(super) fn new(
        server: &str,
        tenant: &str,
        purge: &Purge,
        above: u64,
        at: Timestamp,
        lifetime_max: Duration,
    ) -> Self {
        Self {
            server: server.to_owned(),
            keys: NAMES.map(|name| keys::control(tenant, name)),
            above,
            purge: barriers::member(purge),
            at,
            lifetime_max,
        }
    }

    /// Whether the purge is to be recorded on the server of this URL.
    pub(crate) fn is_on(&self, url: &str) -> bool {
        self.server == url
    }

    /// Adds the keys and arguments of [`FUNCTION`] after those that `script` has already.
    pub(crate) fn add_to(&self, script: &mut ScriptInvocation<'_>) {
        self.keys.iter().for_each(|key| _ = script.key(key));
        script.arg(self.above).arg(&self.purge).arg(self.at.as_millis());
        script.arg(u64::try_from(self.lifetime_max.as_millis()).unwrap_or(u64::MAX));
        script.arg(BARRIERS_MAX).arg(barriers::member(&barriers::everything()));
    }

    /// The script that records the purge and does nothing else.
    pub(super) fn script(&self) -> ScriptInvocation<'static> {
        let mut script = RAISE.prepare_invoke();
        self.add_to(&mut script);
        script
    }
}
