//! The scripts of the fleet that run inside Redis, and how their answers are read.
//!
//! | key | what |
//! |---|---|
//! | `sandbar:{bus}:P:state` | hash of partition P: `epoch`, when it was `born` (ms), `seq` and `nonce` of the newest message |
//! | `sandbar:{bus}:P:stream` | its messages: id `seq-0`, fields nonce `n`, previous nonce `p`, origin `o`, body `b`, sequence `s` of a purge recorded with it |
//! | `sandbar:{bus}:P:members` | sorted set: run of a node → its last heartbeat (ms) |
//! | `sandbar:{bus}:P:heard` | hash: run of a node → the number up to which it has heard the partition |
//! | `sandbar:{tenant}:l:<hash>` | a lease: hash of `token`, purge `sequence`, whether anybody waits; or that each response is for one request |
//! | `sandbar:{tenant}:fence` | the highest token given out |
//! | `sandbar:wake` | channel: `tenant hash` of a lease that was given back |
//! | `sandbar:{bus}:tenants…` | the register of tenants ([`register`](super::register)) |
//!
//! All of the bus has one hash tag, so that on a Cluster one read waits for all partitions; a tenant's leases have the
//! tenant as hash tag.

use std::collections::HashMap;
use std::sync::LazyLock;

use redis::{FromRedisValue, Script, Value};

use super::position::{Message, State};
use crate::tier::redis::raising;

/// Messages that one look brings at most.
pub(super) const MESSAGES_MAX: usize = 1000;

/// Makes a partition where there is none. A stream without a state is from before an eviction or a restore: it is
/// deleted.
pub(super) const MAKE: &str = r"
    if redis.call('EXISTS', KEYS[1]) == 0 then
      redis.call('DEL', KEYS[2])
      local born = redis.call('TIME')
      redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', '0', 'nonce', '',
        'born', string.format('%.0f', born[1] * 1000 + math.floor(born[2] / 1000)))
    end
";

/// The server's time in ms.
pub(super) const NOW: &str = r"
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
";

/// Appends a message to a partition that [`MAKE`] has made; `raised` is the number of a purge that goes with it, or nil.
/// KEYS: state, stream. ARGV: an epoch, nonce, origin, body, messages kept.
pub(super) const APPEND: &str = r"
    local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
    local previous = redis.call('HGET', KEYS[1], 'nonce')
    redis.call('HSET', KEYS[1], 'nonce', ARGV[2])
    local fields = {'n', ARGV[2], 'p', previous, 'o', ARGV[3], 'b', ARGV[4]}
    if raised then
      fields[9], fields[10] = 's', string.format('%.0f', raised)
    end
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], seq .. '-0', unpack(fields))
";

/// Appends a message and answers with its number, the partition's epoch, and what [`raising::FUNCTION`] returned for the purge
/// that it has recorded in the same step, or zeros. So a purge that is recorded and told costs one round trip.
/// KEYS: state, stream, and those of [`raising::FUNCTION`] or none. ARGV: an epoch, nonce, origin, body, messages kept, and
/// those of the function.
pub(super) static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"{} {MAKE}
        local raised, before
        if KEYS[3] then raised, before = raise({{unpack(KEYS, 3)}}, {{unpack(ARGV, 6)}}) end
        {APPEND}
        return {{seq, redis.call('HGET', KEYS[1], 'epoch'), raised or 0, before or 0}}
        ",
        raising::FUNCTION
    ))
});

/// Reads a partition's state and the messages above a number, both at the same moment. It is the caller's heartbeat
/// too: the caller lives, and has heard up to that number, if the message with that number is the one that it has
/// heard.
/// KEYS: state, stream, members, heard. ARGV: an epoch, above, most messages, the run, the epoch and nonce that it has heard,
/// ms after which a run that says nothing is forgotten.
pub(super) static LOOK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"{MAKE} {NOW}
        redis.call('ZADD', KEYS[3], now, ARGV[4])
        local newest = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'nonce')
        local above, same = tonumber(ARGV[2]), newest[1] == ARGV[5]
        if same and above == tonumber(newest[2]) then
          same = newest[3] == ARGV[6]
        elseif same and above > 0 then
          local message = redis.call('XRANGE', KEYS[2], ARGV[2] .. '-0', ARGV[2] .. '-0')[1]
          same = false
          for i = 1, message and #message[2] or 0, 2 do
            if message[2][i] == 'n' then same = message[2][i + 1] == ARGV[6] end
          end
        end
        redis.call('HSET', KEYS[4], ARGV[4], same and ARGV[2] or '-1')
        for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - ARGV[7], 'LIMIT', 0, 64)) do
          redis.call('ZREM', KEYS[3], gone)
          redis.call('HDEL', KEYS[4], gone)
        end
        local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'nonce')
        local messages = {{}}
        if tonumber(state[2]) > tonumber(ARGV[2]) then
          messages = redis.call('XRANGE', KEYS[2], '(' .. ARGV[2] .. '-0', '+', 'COUNT', ARGV[3])
        end
        return {{state[1], state[2], state[3], messages}}
        "
    ))
});

/// Which live nodes have not heard a message, and which others have: `{0, {run, …}, {run, …}}`; `{-1}` where the epoch is another one by now, `{-2}` where
/// the epoch is so young that nodes may live that have not said so yet.
/// KEYS: state, members, heard. ARGV: epoch, number, ms for which a node counts as live, the caller's run.
pub(super) static CONFIRMED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"{NOW}
        local state = redis.call('HMGET', KEYS[1], 'epoch', 'born')
        if state[1] ~= ARGV[1] then return {{-1}} end
        if now - tonumber(state[2] or '0') < tonumber(ARGV[3]) then return {{-2}} end
        local missing, confirmed = {{}}, {{}}
        for _, run in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], now - ARGV[3], '+inf')) do
          local heard = tonumber(redis.call('HGET', KEYS[3], run) or '-1')
          if run ~= ARGV[4] then
            local which = heard < tonumber(ARGV[2]) and missing or confirmed
            which[#which + 1] = run
          end
        end
        return {{0, missing, confirmed}}
        "
    ))
});

/// Removes a run of a node from the members: from now on no purge waits for it.
/// KEYS: members, heard. ARGV: the run.
pub(super) static LEAVE: LazyLock<Script> =
    LazyLock::new(|| Script::new("redis.call('ZREM', KEYS[1], ARGV[1]) return redis.call('HDEL', KEYS[2], ARGV[1])"));

/// Takes a lease, if need be over from a holder whose fetch began before a purge that reaches the key. Answers with
/// `{1, token}`, with `{0, ms}` where another holds the lease for so long yet, or with `{2, ms}` where it is known for
/// so long yet that each response is for one request.
/// KEYS: lease, fence. ARGV: ms, purge sequence, sequence below which all has been purged.
pub(super) static ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local left, waiting = redis.call('PTTL', KEYS[1]), false
        if left > 0 then
          if redis.call('HEXISTS', KEYS[1], 'unshared') == 1 then return {2, left} end
          local began = tonumber(redis.call('HGET', KEYS[1], 'sequence') or '0') or 0
          if began >= tonumber(ARGV[3]) then
            redis.call('HSET', KEYS[1], 'waiting', '1')
            return {0, left}
          end
          waiting = redis.call('HGET', KEYS[1], 'waiting')
        end
        -- Tokens only ever rise, also over a server that has forgotten the last one: time is their floor.
        local time = redis.call('TIME')
        local token = tonumber(time[1]) * 1000000 + tonumber(time[2])
        local last = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
        if token <= last then token = last + 1 end
        local text = string.format('%.0f', token)
        redis.call('SET', KEYS[2], text)
        redis.call('DEL', KEYS[1])
        redis.call('HSET', KEYS[1], 'token', text, 'sequence', ARGV[2])
        if waiting then redis.call('HSET', KEYS[1], 'waiting', '1') end
        redis.call('PEXPIRE', KEYS[1], ARGV[1])
        return {1, token}
        ",
    )
});

/// Makes a lease last for so long from now, if it is still the caller's.
/// KEYS: lease. ARGV: token, ms.
pub(super) static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        if redis.call('HGET', KEYS[1], 'token') ~= ARGV[1] then return 0 end
        return redis.call('PEXPIRE', KEYS[1], ARGV[2])
        ",
    )
});

/// Deletes the note that each response is for one request.
/// KEYS: lease.
pub(super) static CLEAR_UNSHARED: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HEXISTS', KEYS[1], 'unshared') == 1 then return redis.call('DEL', KEYS[1]) end return 0",
    )
});

/// Gives a lease back, if it is still the caller's, and wakes those who wait for it. Where its response turned out to
/// be for one request only, that is noted for a while, so that nobody waits in vain.
/// KEYS: lease. ARGV: token, channel, the message for it, ms for which that is noted or 0.
pub(super) static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local lease = redis.call('HMGET', KEYS[1], 'token', 'waiting')
        if lease[1] ~= ARGV[1] then return 0 end
        redis.call('DEL', KEYS[1])
        if tonumber(ARGV[4]) > 0 then
          redis.call('HSET', KEYS[1], 'unshared', '1')
          redis.call('PEXPIRE', KEYS[1], ARGV[4])
        end
        if lease[2] then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
        return 1
        ",
    )
});

/// The keys of a partition: state, stream.
pub(super) fn partition_keys(partition: u32) -> [String; 2] {
    [format!("sandbar:{{bus}}:{partition}:state"), format!("sandbar:{{bus}}:{partition}:stream")]
}

/// The keys of a partition's members: which runs live, and up to where each has heard the partition.
pub(super) fn member_keys(partition: u32) -> [String; 2] {
    [format!("sandbar:{{bus}}:{partition}:members"), format!("sandbar:{{bus}}:{partition}:heard")]
}

/// Reads what [`LOOK`] answers.
pub(super) fn read_look(value: Value) -> Option<(State, Vec<Message>)> {
    let (epoch, sequence, nonce, messages) = <(String, u64, String, Vec<Value>)>::from_redis_value(value).ok()?;
    let messages: Option<Vec<Message>> = messages.into_iter().map(read_message).collect();
    Some((State { epoch, sequence, nonce }, messages?))
}

/// Reads one message of a stream, `[id, [field, value, …]]`.
pub(super) fn read_message(value: Value) -> Option<Message> {
    let (id, fields) = <(String, Value)>::from_redis_value(value).ok()?;
    let mut fields = HashMap::<String, Vec<u8>>::from_redis_value(fields).ok()?;
    let mut text = |name: &str| String::from_utf8(fields.remove(name)?).ok();
    let (nonce, previous, origin) = (text("n")?, text("p")?, text("o")?);
    let raised = match text("s") {
        Some(sequence) => Some(sequence.parse().ok()?),
        None => None,
    };
    let sequence = id.strip_suffix("-0")?.parse().ok()?;
    Some(Message { sequence, nonce, previous, origin, raised, body: fields.remove("b")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn nonsense_in_a_stream_is_no_message() {
        let fields = |fields: &[&str]| Value::Array(fields.iter().map(|field| text(field)).collect());
        let message = |id: &str, f: &[&str]| read_message(Value::Array(vec![text(id), fields(f)]));
        let whole = ["n", "a", "p", "", "o", "node", "b", "body"];
        assert!(message("7-0", &whole).is_some_and(|message| message.sequence == 7 && message.body == b"body"));
        for (id, f) in [("7-1", &whole[..]), ("x-0", &whole), ("7-0", &whole[..6]), ("7-0", &["n"]), ("7-0", &[])] {
            assert_eq!(message(id, f), None);
        }
        let raised = |sequence| message("7-0", &["n", "a", "p", "", "o", "node", "b", "body", "s", sequence]);
        assert_eq!(raised("1732790000000001").and_then(|message| message.raised), Some(1_732_790_000_000_001));
        assert_eq!(raised("-1"), None);
        assert_eq!(read_message(Value::Nil), None);
        assert!(read_look(Value::Array(vec![text("e"), text("x"), text(""), Value::Array(vec![])])).is_none());
        assert!(read_look(Value::Okay).is_none());
    }
}
