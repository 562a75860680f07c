//! What runs inside Redis, and how its answers are read.
//!
//! | key | what |
//! |---|---|
//! | `sandbar:{bus-P}:state` | hash of partition P: `epoch`, `seq`, `nonce` of the newest message |
//! | `sandbar:{bus-P}:stream` | its messages: id `seq-0`, fields nonce `n`, previous nonce `p`, origin `o`, body `b` |
//! | `sandbar:{tenant}:l:<hash>` | a lease: hash of `token` and whether anybody waits |
//! | `sandbar:{tenant}:fence` | the highest token given out |
//! | `sandbar:wake` | channel: `tenant hash` of a lease that was given back |

use std::collections::HashMap;
use std::sync::LazyLock;

use redis::{FromRedisValue, Script, Value};

use super::position::{Message, State};

/// Messages that one look brings at most.
pub(super) const MESSAGES_MAX: usize = 1000;

/// Makes a partition where there is none. A stream without a state is from before an eviction or a restore: it goes.
const MAKE: &str = r"
    if redis.call('EXISTS', KEYS[1]) == 0 then
      redis.call('DEL', KEYS[2])
      redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'seq', '0', 'nonce', '')
    end
";

/// Appends a message and answers with its number.
/// KEYS: state, stream. ARGV: an epoch, nonce, origin, body, messages kept.
pub(super) static PUBLISH: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"{MAKE}
        local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
        local previous = redis.call('HGET', KEYS[1], 'nonce')
        redis.call('HSET', KEYS[1], 'nonce', ARGV[2])
        redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], seq .. '-0',
          'n', ARGV[2], 'p', previous, 'o', ARGV[3], 'b', ARGV[4])
        return seq
        "
    ))
});

/// The state, and the messages above a number that it counts: one moment's picture.
/// KEYS: state, stream. ARGV: an epoch, above, most messages.
pub(super) static LOOK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"{MAKE}
        local state = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'nonce')
        local messages = {{}}
        if tonumber(state[2]) > tonumber(ARGV[2]) then
          messages = redis.call('XRANGE', KEYS[2], '(' .. ARGV[2] .. '-0', '+', 'COUNT', ARGV[3])
        end
        return {{state[1], state[2], state[3], messages}}
        "
    ))
});

/// Takes a lease: `{1, token}`, or `{0, ms}` where another holds it for so long yet.
/// KEYS: lease, fence. ARGV: ms.
pub(super) static ACQUIRE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local left = redis.call('PTTL', KEYS[1])
        if left > 0 then
          redis.call('HSET', KEYS[1], 'waiting', '1')
          return {0, left}
        end
        -- Tokens only ever rise, also over a server that has forgotten the last one: time is their floor.
        local time = redis.call('TIME')
        local token = tonumber(time[1]) * 1000000 + tonumber(time[2])
        local last = tonumber(redis.call('GET', KEYS[2]) or '0') or 0
        if token <= last then token = last + 1 end
        local text = string.format('%.0f', token)
        redis.call('SET', KEYS[2], text)
        redis.call('DEL', KEYS[1])
        redis.call('HSET', KEYS[1], 'token', text)
        redis.call('PEXPIRE', KEYS[1], ARGV[1])
        return {1, token}
        ",
    )
});

/// Gives a lease back, if it is still the caller's, and wakes those who wait for it.
/// KEYS: lease. ARGV: token, channel, what to say there.
pub(super) static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local lease = redis.call('HMGET', KEYS[1], 'token', 'waiting')
        if lease[1] ~= ARGV[1] then return 0 end
        redis.call('DEL', KEYS[1])
        if lease[2] then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
        return 1
        ",
    )
});

/// The keys of a partition: state, stream.
pub(super) fn partition_keys(partition: u32) -> [String; 2] {
    [format!("sandbar:{{bus-{partition}}}:state"), format!("sandbar:{{bus-{partition}}}:stream")]
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
    let sequence = id.strip_suffix("-0")?.parse().ok()?;
    Some(Message { sequence, nonce, previous, origin, body: fields.remove("b")? })
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
        assert_eq!(read_message(Value::Nil), None);
        assert!(read_look(Value::Array(vec![text("e"), text("x"), text(""), Value::Array(vec![])])).is_none());
        assert!(read_look(Value::Okay).is_none());
    }
}
