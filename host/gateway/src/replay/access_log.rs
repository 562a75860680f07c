//! Traces as access logs: in the common log format (and the combined one, which only adds fields behind it),
//! `host ident user [30/Aug/1995:23:53:25 -0400] "GET /path HTTP/1.0" 200 1497`, and in this gateway's JSON ([`json`]).
//!
//! A trace gets the GET requests that were answered with 200 or 304. A 304 has no body: it is taken to be as large as
//! the last 200 of its target, or the first that follows; a target without any is left out. So is a response that was
//! cut. A fetch costs what the last one that the log tells of took.

mod json;

use hashbrown::HashMap;
use sandbar_http::key::KeyHash;

use super::trace::Trace;

/// The requests of a log that is being read. They go into the trace at its end, when all sizes are known.
#[derive(Debug, Default)]
pub(super) struct AccessLog {
    requests: Vec<Entry>,
    /// What is known of each key: its first 200; once the log is read, the last 200 before each request.
    known: HashMap<KeyHash, Known>,
}

#[derive(Debug)]
struct Known {
    size_bytes: u64,
    cost_us: u64,
}

/// A request of a log that a trace may get.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) time_ms: u64,
    pub(super) key: KeyHash,
    /// None where the answer does not tell the size: a 304, or a 200 that was cut.
    pub(super) body_bytes: Option<u64>,
    /// None where the log does not tell how long a fetch took, or none was made.
    pub(super) cost_us: Option<u64>,
}

impl AccessLog {
    /// Reads a line. A line of anything but a storable GET is skipped.
    pub(super) fn line(&mut self, text: &str) -> Result<(), String> {
        let entry = if is_json(text) { json::parse(text)? } else { parse(text)? };
        let Some(entry) = entry else { return Ok(()) };
        if let Some(size_bytes) = entry.body_bytes {
            self.known.entry(entry.key).or_insert(Known { size_bytes, cost_us: 0 });
        }
        self.requests.push(entry);
        Ok(())
    }

    /// Puts the requests that were read into the trace.
    pub(super) fn finish(mut self, trace: &mut Trace) {
        for Entry { time_ms, key, body_bytes, cost_us } in self.requests {
            let Some(known) = self.known.get_mut(&key) else { continue };
            known.size_bytes = body_bytes.unwrap_or(known.size_bytes);
            known.cost_us = cost_us.unwrap_or(known.cost_us);
            if trace.push(time_ms, key, known.size_bytes, known.cost_us).is_err() {
                break;
            }
        }
    }
}

/// Whether a line is one of an access log, in either form.
pub(super) fn is_log(text: &str) -> bool {
    is_json(text) || text.contains('[') && text.contains('"')
}

fn is_json(text: &str) -> bool {
    text.starts_with('{')
}

/// The size of a storable answer, or none where it does not tell; no such answer is none at all.
pub(super) fn size_of_answer(status: u16, bytes: u64, is_whole: bool) -> Option<Option<u64>> {
    match status {
        200 => Some(is_whole.then_some(bytes.max(1))),
        304 => Some(None),
        _ => None,
    }
}

fn parse(text: &str) -> Result<Option<Entry>, String> {
    let (_, rest) = text.split_once('[').ok_or("it has no [time]")?;
    let (time, rest) = rest.split_once(']').ok_or("its [time] does not end")?;
    let (_, rest) = rest.split_once('"').ok_or("it has no \"request\"")?;
    let (request, rest) = quoted(rest).ok_or("its \"request\" does not end")?;
    let mut fields = rest.split_whitespace();
    let (status, bytes) = (fields.next().ok_or("it has no status")?, fields.next().unwrap_or("-"));
    let mut words = request.split_whitespace();
    let (Some("GET"), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let status = status.parse().unwrap_or(0);
    let Some(body_bytes) = size_of_answer(status, bytes.parse().unwrap_or(0), true) else { return Ok(None) };
    let time_ms = time_ms(time).ok_or_else(|| format!("`{time}` is no time"))?;
    Ok(Some(Entry { time_ms, key: KeyHash::of(target), body_bytes, cost_us: None }))
}

/// What comes before the quote that ends a text, and what comes behind that. A quote with a backslash before it belongs
/// to the text, and so does one that no space follows: not every server escapes quotes.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let mut escapes = false;
    let end = text.bytes().zip(text.bytes().skip(1)).position(|(byte, next)| {
        let is_end = byte == b'"' && next == b' ' && !escapes;
        escapes = byte == b'\\' && !escapes;
        is_end
    })?;
    Some((&text[..end], &text[end + 1..]))
}

/// `30/Aug/1995:23:53:25 -0400` in milliseconds since 1970.
fn time_ms(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (date, zone) = text.split_once(' ').unwrap_or((text, "+0000"));
    let mut parts = date.split(['/', ':']);
    let mut next = || parts.next();
    let day: i64 = next()?.parse().ok()?;
    let month_name = next()?;
    let month = MONTHS.iter().position(|name| *name == month_name)? as i64 + 1;
    let [year, hour, minute, second] = [next()?, next()?, next()?, next()?].map(|part| part.parse::<i64>().ok());
    let local = ((days_since_1970(year?, month, day) * 24 + hour?) * 60 + minute?) * 60 + second?;
    let zone: i64 = zone.parse().ok()?;
    let offset = (zone / 100 * 60 + zone % 100) * 60;
    u64::try_from((local - offset).checked_mul(1000)?).ok()
}

/// Days from 1970-01-01 to a date (H. Hinnant: chrono-compatible low-level date algorithms, `days_from_civil`).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_zone() {
        assert_eq!(time_ms("01/Jan/1970:00:00:01 +0000"), Some(1000));
        assert_eq!(time_ms("29/Feb/2000:12:00:00 +0100"), Some(951_822_000_000));
        assert_eq!(time_ms("30/Aug/1995:23:53:25 -0400"), Some(809_841_205_000));
        for text in ["", "30/Foo/1995:23:53:25 -0400", "30/Aug/1995", "30/Aug/x:1:1:1 +0000"] {
            assert_eq!(time_ms(text), None, "{text}");
        }
    }

    #[test]
    fn a_line_costs_what_it_is_long() {
        for (before, repeated) in
            [("", "["), ("[", "]"), ("[]", "\""), ("[]\"", "\" "), ("[01/Jan/1970:", "1:"), ("[]\"GET ", "/ ")]
        {
            let line = |length: usize| before.to_owned() + &repeated.repeat(length / repeated.len());
            crate::proportion::check(repeated, 4096, line, |line| drop(parse(line)));
        }
    }

    #[test]
    fn only_storable_gets_count_and_a_304_has_the_size_of_its_200() {
        let line = |request: &str, status: &str| {
            format!(r#"h - - [30/Aug/1995:00:00:01 +0000] "{request}" {status} "-" "agent""#)
        };
        let lines = [
            line("GET /a HTTP/1.0", "304 -"),
            line("POST /a HTTP/1.0", "200 9"),
            line("GET /a HTTP/1.0", "200 50"),
            line("GET /a HTTP/1.0", "304 0"),
            line("GET /b HTTP/1.0", "304 0"),
            line("GET /c HTTP/1.0", "404 7"),
            line("-", "400 7"),
        ];
        let (mut log, mut trace) = (AccessLog::default(), Trace::default());
        lines.iter().for_each(|text| log.line(text).unwrap());
        log.finish(&mut trace);
        assert_eq!(trace.requests().iter().map(|request| request.size_bytes).collect::<Vec<_>>(), [50, 50, 50]);
        assert!(AccessLog::default().line("10.0.0.1 GET /a").is_err());
    }

    #[test]
    fn a_quote_in_a_target_ends_nothing() {
        let line = |target: &str| format!(r#"h - - [30/Aug/1995:00:00:01 +0000] "GET {target} HTTP/1.1" 200 7"#);
        for target in [r#"/a\""#, r#"/a\" 304 1"#, r#"/a"b"#, r"/a\\", r#"/a\\\""#] {
            let entry = parse(&line(target)).expect(target).expect(target);
            assert_eq!(entry.body_bytes, Some(7), "{target}");
        }
    }
}
