//! Traces as access logs in the common log format (and the combined one, which only adds fields behind it):
//! `host ident user [30/Aug/1995:23:53:25 -0400] "GET /path HTTP/1.0" 200 1497`.
//!
//! A trace gets the GET requests that were answered with 200 or 304. A 304 has no body: it is taken to be as large as
//! the last 200 of its target, or the first that follows; a target without any is left out.

use hashbrown::HashMap;
use sandbar_http::key::KeyHash;

use super::trace::Trace;

/// The requests of a log that is being read. They go into the trace at its end, when all sizes are known.
#[derive(Debug, Default)]
pub(super) struct AccessLog {
    requests: Vec<Logged>,
    /// By target, the size of its first 200; once the log is read, that of the last 200 before each request.
    sizes: HashMap<KeyHash, u64>,
}

#[derive(Debug)]
struct Logged {
    time_ms: u64,
    key: KeyHash,
    size_bytes: Option<u64>,
}

impl AccessLog {
    /// Reads a line. A line of anything but a storable GET is skipped.
    pub(super) fn line(&mut self, text: &str, _trace: &mut Trace) -> Result<(), String> {
        let Some(entry) = parse(text)? else { return Ok(()) };
        let key = KeyHash::of(entry.target);
        if let Some(size_bytes) = entry.body_bytes {
            self.sizes.entry(key).or_insert(size_bytes);
        }
        self.requests.push(Logged { time_ms: entry.time_ms, key, size_bytes: entry.body_bytes });
        Ok(())
    }

    /// Puts the requests that were read into the trace.
    pub(super) fn finish(mut self, trace: &mut Trace) {
        for request in self.requests {
            let Some(size) = self.sizes.get_mut(&request.key) else { continue };
            *size = request.size_bytes.unwrap_or(*size);
            if trace.push(request.time_ms, request.key, *size, 0).is_err() {
                break;
            }
        }
    }
}

struct Entry<'a> {
    time_ms: u64,
    target: &'a str,
    /// None where the answer was a 304.
    body_bytes: Option<u64>,
}

fn parse(text: &str) -> Result<Option<Entry<'_>>, String> {
    let (_, rest) = text.split_once('[').ok_or("it has no [time]")?;
    let (time, rest) = rest.split_once(']').ok_or("its [time] does not end")?;
    let (_, rest) = rest.split_once('"').ok_or("it has no \"request\"")?;
    let (request, rest) = rest.split_once("\" ").ok_or("its \"request\" does not end")?;
    let mut fields = rest.split_whitespace();
    let (status, bytes) = (fields.next().ok_or("it has no status")?, fields.next().unwrap_or("-"));
    let mut words = request.split_whitespace();
    let (Some("GET"), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let body_bytes = match status {
        "200" => Some(bytes.parse().unwrap_or(0)).map(|bytes: u64| bytes.max(1)),
        "304" => None,
        _ => return Ok(None),
    };
    Ok(Some(Entry { time_ms: time_ms(time).ok_or_else(|| format!("`{time}` is no time"))?, target, body_bytes }))
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
        lines.iter().for_each(|text| log.line(text, &mut trace).unwrap());
        log.finish(&mut trace);
        assert_eq!(trace.requests().iter().map(|request| request.size_bytes).collect::<Vec<_>>(), [50, 50, 50]);
        assert!(AccessLog::default().line("10.0.0.1 GET /a", &mut Trace::default()).is_err());
    }
}
