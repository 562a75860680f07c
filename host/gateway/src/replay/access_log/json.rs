//! Access logs in JSON, as this gateway writes them: an object a line.

use std::borrow::Cow;
use std::time::SystemTime;

use sandbar_http::key::KeyHash;
use serde::Deserialize;

use super::{Entry, size_of_answer};

/// What a trace needs of a line.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    tenant: Cow<'a, str>,
    #[serde(borrow, default)]
    host: Cow<'a, str>,
    #[serde(borrow)]
    target: Cow<'a, str>,
    status: u16,
    bytes: u64,
    #[serde(borrow, default)]
    cache: Cow<'a, str>,
    #[serde(default)]
    first_byte_us: u64,
    #[serde(borrow, default)]
    end: Cow<'a, str>,
}

pub(super) fn parse(text: &str) -> Result<Option<Entry>, String> {
    let line: Line<'_> =
        serde_json::from_str(text).map_err(|error| format!("it is no line of an access log: {error}"))?;
    let is_whole = line.end.is_empty() || line.end == "complete";
    let Some(body_bytes) = size_of_answer(line.status, line.bytes, is_whole) else { return Ok(None) };
    if line.method != "GET" {
        return Ok(None);
    }
    let key = KeyHash::of(&format!("{}\n{}\n{}", line.tenant, line.host, line.target));
    let time_ms = time_ms(&line.time).ok_or_else(|| format!("`{}` is no time", line.time))?;
    let cost_us = line.cache.starts_with("fwd=").then_some(line.first_byte_us);
    Ok(Some(Entry { time_ms, key, body_bytes, cost_us }))
}

/// `2026-11-30T12:34:56.789Z` in milliseconds since 1970.
fn time_ms(text: &str) -> Option<u64> {
    let since = humantime::parse_rfc3339(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"time":"1970-01-01T00:00:01.005Z","method":"GET","tenant":"t","host":"h","target":"/a\"b","#;

    fn entry(rest: &str) -> Option<Entry> {
        parse(&format!("{LINE}{rest}}}")).expect(rest)
    }

    #[test]
    fn a_line_has_size_cost_and_a_key_of_its_tenant_and_host() {
        let fetched = entry(r#""status":200,"bytes":7,"cache":"fwd=uri-miss","first_byte_us":900,"end":"complete""#);
        let fetched = fetched.expect("a request");
        assert_eq!((fetched.time_ms, fetched.body_bytes, fetched.cost_us), (1005, Some(7), Some(900)));
        let hit = entry(r#""status":304,"bytes":0,"cache":"hit","first_byte_us":9"#).expect("a request");
        assert_eq!((hit.key, hit.body_bytes, hit.cost_us), (fetched.key, None, None));
        let cut = entry(r#""status":200,"bytes":3,"end":"cut""#).expect("a request");
        assert_eq!(cut.body_bytes, None, "it does not tell how large the whole is");
        assert!(entry(r#""status":404,"bytes":3"#).is_none());
        let other =
            parse(&LINE.replace("\"h\"", "\"i\"").replace("/a\\\"b\",", "/a\\\"b\",\"status\":200,\"bytes\":1}"));
        assert_ne!(other.expect("a line").expect("a request").key, fetched.key);
    }

    #[test]
    fn what_is_no_line_says_why() {
        for (text, part) in [
            ("{}", "missing field `time`"),
            ("{", "EOF"),
            (r#"{"time":"soon","method":"GET","target":"/","status":200,"bytes":1}"#, "`soon` is no time"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_line_costs_what_it_is_long() {
        for (before, repeated) in [("{", "\"a\":1,"), ("{\"a\":", "["), ("{\"target\":\"", "\\u0000"), ("{", "{")] {
            let line = |length: usize| before.to_owned() + &repeated.repeat(length / repeated.len());
            crate::proportion::check(repeated, 4096, line, |line| drop(parse(line)));
        }
    }
}
