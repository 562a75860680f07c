//! The scripts of the register, and how their answers are read. All of its keys have the hash tag of the bus, so that one step
//! changes a record and tells of it, on a Cluster too.
//!
//! | key | what |
//! |---|---|
//! | `sandbar:{bus}:tenants` | hash: `epoch`, a random name that is chosen when the register is made; `order`, the highest in use |
//! | `sandbar:{bus}:tenants:order` | sorted set: tenant → number that rises with every record that is written |
//! | `sandbar:{bus}:tenants:records` | hash: tenant → its [record](super::record) |
//! | `sandbar:{bus}:tenants:gone` | sorted set: tenant that was removed → when, in ms |
//! | `sandbar:{bus}:tenants:applied` | hash: run of a node → up to which order it has applied the register, and what it could not |

use std::sync::LazyLock;

use redis::{FromRedisValue, Script, Value};

use super::record::{Record, Unapplied};
use crate::fleet::scripts::{APPEND, MAKE, NOW};

/// The keys of the register.
pub(super) const STATE: &str = "sandbar:{bus}:tenants";
pub(super) const ORDER: &str = "sandbar:{bus}:tenants:order";
pub(super) const RECORDS: &str = "sandbar:{bus}:tenants:records";
pub(super) const GONE: &str = "sandbar:{bus}:tenants:gone";
pub(super) const APPLIED: &str = "sandbar:{bus}:tenants:applied";

/// Reads the version of a record, and what else is a number of the register; none where that makes no sense: no number can be
/// more than a day ahead of the server's time. After [`NOW`].
const VERSION: &str = r"
    local function number(text)
      local found = tonumber(text)
      return found and found >= 0 and found <= now + 86400000 and found or nil
    end
    local function version(record)
      return number(string.match(record or '', '^1 (%d+) '))
    end
";

/// What is read of a record whose version no register has given out: one that makes no sense. After [`VERSION`].
const FAR: &str = r"
    local function near(record)
      local is_far = record and string.match(record, '^1 %d+ ') and not version(record)
      return is_far and '1 9007199254740992 ' or record
    end
";

/// Writes a record, in the place of the one of the given version, and tells the other nodes of it. Answers with `{1, version}`;
/// with `{0, the other's version, the beginning of its record}` where there is another one by now; with `{2}` where there are
/// too many. A record that makes no sense is in nobody's way.
/// KEYS: state and stream of the bus; state, order, records, gone. ARGV: those of [`APPEND`]; tenant, version expected, record
/// without its version, ms for which it is kept that a tenant is gone or 0 where it is not, most tenants.
pub(super) static CHANGE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"{NOW} {VERSION}
        local name, present = ARGV[6], redis.call('HGET', KEYS[5], ARGV[6])
        local known = present and version(present) or (present and -1 or 0)
        if known ~= -1 and known ~= (number(ARGV[7]) or 0) then
          local own = string.format('1 %.0f ', known) .. ARGV[8]
          if present == own then return {{1, known}} end
          return {{0, known, string.sub(present or '', 1, 1024)}}
        end
        if not present and redis.call('HLEN', KEYS[5]) >= tonumber(ARGV[10]) then return {{2}} end
        {MAKE}
        local raised
        {APPEND}
        redis.call('HSETNX', KEYS[3], 'epoch', ARGV[1])
        local order = math.max((number(redis.call('HGET', KEYS[3], 'order')) or 0) + 1, known + 1, now)
        local text = string.format('%.0f', order)
        redis.call('HSET', KEYS[3], 'order', text)
        redis.call('ZADD', KEYS[4], text, name)
        redis.call('HSET', KEYS[5], name, '1 ' .. text .. ' ' .. ARGV[8])
        if tonumber(ARGV[9]) == 0 then
          redis.call('ZREM', KEYS[6], name)
        else
          redis.call('ZADD', KEYS[6], now, name)
          for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', now - ARGV[9], 'LIMIT', 0, 16)) do
            redis.call('ZREM', KEYS[6], old)
            redis.call('ZREM', KEYS[4], old)
            redis.call('HDEL', KEYS[5], old)
          end
        end
        return {{1, order}}
        "
    ))
});

/// Writes records that a server may have lost, where it has none of the same version or a newer one; makes the register where
/// there is none. A record without a version gets one, and counts where the register has none of its name, or one that says
/// that it is gone. Records that have lost their order get one. Answers nothing.
/// KEYS: state, order, records, gone. ARGV: an epoch; for each record tenant, version, record without its version, when the
/// tenant was removed in ms or 0.
pub(super) static RESTORE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"{NOW} {VERSION}
        local newest = redis.call('ZREVRANGEBYSCORE', KEYS[2], now + 86400000, 0, 'WITHSCORES', 'LIMIT', 0, 1)[2]
        local order = math.max(number(redis.call('HGET', KEYS[1], 'order')) or 0, math.ceil(number(newest) or 0))
        local function enter(name, least)
          order = math.max(order + 1, least, now)
          local text = string.format('%.0f', order)
          redis.call('ZADD', KEYS[2], text, name)
          return text
        end
        for i = 2, #ARGV, 4 do
          local name, present, ours = ARGV[i], redis.call('HGET', KEYS[3], ARGV[i]), number(ARGV[i + 1])
          if ours == 0 and present and redis.call('ZSCORE', KEYS[4], name) then present = nil end
          if ours and ours > (present and (version(present) or 0) or -1) then
            local text = enter(name, ours)
            local own = ours == 0 and text or ARGV[i + 1]
            redis.call('HSET', KEYS[3], name, '1 ' .. own .. ' ' .. ARGV[i + 2])
            if tonumber(ARGV[i + 3]) == 0 then
              redis.call('ZREM', KEYS[4], name)
            else
              redis.call('ZADD', KEYS[4], ARGV[i + 3], name)
            end
          end
        end
        if redis.call('ZCARD', KEYS[2]) ~= redis.call('HLEN', KEYS[3]) then
          for _, name in ipairs(redis.call('HKEYS', KEYS[3])) do
            if not redis.call('ZSCORE', KEYS[2], name) then enter(name, 0) end
          end
          for _, name in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
            if redis.call('HEXISTS', KEYS[3], name) == 0 then redis.call('ZREM', KEYS[2], name) end
          end
        end
        if redis.call('EXISTS', KEYS[3]) == 0 then return end
        redis.call('HSETNX', KEYS[1], 'epoch', ARGV[1])
        redis.call('HSET', KEYS[1], 'order', string.format('%.0f', order))
        "
    ))
});

/// Reads the records above an order, or all where the epoch is another one: `{epoch, tenant, order, record, …}`. The epoch is
/// empty where there is no register, or one that has lost a part of itself. What is longer than a record can be is left out, and
/// so is what goes beyond the bytes of one answer, or has an order that was never given out. An order is told as a whole number.
/// KEYS: state, order, records. ARGV: epoch, order, most records, most bytes of one, most bytes.
pub(super) static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"{NOW} {VERSION} {FAR}
        local epoch, order = redis.call('HGET', KEYS[1], 'epoch') or '', number(redis.call('HGET', KEYS[1], 'order'))
        local ordered, recorded = redis.call('ZCARD', KEYS[2]), redis.call('HLEN', KEYS[3])
        if not order or recorded == 0 or ordered ~= recorded then epoch = '' end
        local above = epoch == ARGV[1] and ARGV[2] or '0'
        local highest = string.format('%.0f', order or now + 86400000)
        local names = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. above, highest, 'WITHSCORES', 'LIMIT', 0, ARGV[3])
        local answer, bytes = {{epoch}}, 0
        for i = 1, #names, 2 do
          local name, record = names[i], ''
          if #name <= 64 and redis.call('HSTRLEN', KEYS[3], name) <= tonumber(ARGV[4]) then
            record = near(redis.call('HGET', KEYS[3], name) or '')
          end
          bytes = bytes + #record
          if i > 1 and bytes > tonumber(ARGV[5]) then break end
          local last, whole = #answer, string.format('%.0f', math.floor(tonumber(names[i + 1])))
          answer[last + 1], answer[last + 2], answer[last + 3] = string.sub(name, 1, 65), whole, record
        end
        return answer
        "
    ))
});

/// Reads the record of one tenant; nil where there is none, empty where it is too long.
/// KEYS: records. ARGV: tenant, most bytes.
pub(super) static ONE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"{NOW} {VERSION} {FAR}
        if redis.call('HSTRLEN', KEYS[1], ARGV[1]) > tonumber(ARGV[2]) then return '' end
        return near(redis.call('HGET', KEYS[1], ARGV[1]))
        "
    ))
});

/// Notes what a run of a node has applied, and forgets runs that live no more.
/// KEYS: applied, members. ARGV: the run, what it has applied.
pub(super) static NOTE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
        if redis.call('HLEN', KEYS[1]) > 2 * redis.call('ZCARD', KEYS[2]) + 8 then
          for _, run in ipairs(redis.call('HKEYS', KEYS[1])) do
            if run ~= ARGV[1] and not redis.call('ZSCORE', KEYS[2], run) then redis.call('HDEL', KEYS[1], run) end
          end
        end
        ",
    )
});

/// Which live runs have not applied the record of a version: they have not come so far, or could not.
/// KEYS: members, applied. ARGV: version, ms for which a node counts as live, the caller's run.
pub(super) static BEHIND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(&format!(
        r"{NOW}
        local answer = {{}}
        for _, run in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now - ARGV[2], '+inf')) do
          local noted = (redis.call('HGET', KEYS[2], run) or '0') .. ' '
          local order = tonumber(string.match(noted, '^%d+'))
          local is_there = order and order >= tonumber(ARGV[1]) and not string.find(noted, ' ' .. ARGV[1] .. ' ', 1, true)
          if run ~= ARGV[3] and not is_there then answer[#answer + 1] = run end
        end
        return answer
        "
    ))
});

/// What one reading brings.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// The register's epoch; empty where there is none, or it has lost a part of itself.
    pub epoch: String,
    /// The records, each under its tenant's name, in the order in which they were written.
    pub records: Vec<(String, Result<Record, Unapplied>)>,
    /// Up to where this was read; 0 where there is nothing more.
    pub order: u64,
}

/// Reads what [`READ`] answers.
pub(super) fn page(value: Value) -> Option<Page> {
    let mut answer = Vec::<Value>::from_redis_value(value).ok()?.into_iter();
    let epoch = String::from_redis_value(answer.next()?).ok()?;
    let (mut records, mut order) = (Vec::new(), 0);
    while let Some(name) = answer.next() {
        let name = String::from_utf8_lossy(&Vec::<u8>::from_redis_value(name).ok()?).into_owned();
        order = order.max(String::from_redis_value(answer.next()?).ok()?.parse().ok()?);
        let record = Vec::<u8>::from_redis_value(answer.next()?).ok()?;
        records.push((name.clone(), Record::read(&name, &record)));
    }
    Some(Page { epoch, records, order })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(parts: &[&[u8]]) -> Option<Page> {
        page(Value::Array(parts.iter().map(|part| Value::BulkString(part.to_vec())).collect()))
    }

    #[test]
    fn nonsense_is_no_page_and_a_bad_record_is_told() {
        let read = answer(&[b"e", b"shop", b"1732700000000", b"1 7 {}", b"\xff", b"5", b""]).unwrap();
        assert_eq!((read.records.len(), read.order), (2, 1_732_700_000_000));
        assert!(read.records.iter().all(|(_, record)| record.is_err()));
        assert_eq!(answer(&[b"e"]).map(|page| (page.epoch, page.order)), Some(("e".to_owned(), 0)));
        assert_eq!((answer(&[]), answer(&[b"e", b"shop"]), answer(&[b"e", b"shop", b"x", b""])), (None, None, None));
        for no_order in ["1.7327e+12", "-1", "7.5", "inf", "nan", "99999999999999999999"] {
            assert_eq!(answer(&[b"e", b"shop", no_order.as_bytes(), b""]), None, "{no_order}");
        }
        assert_eq!(page(Value::Okay), None);
    }
}
