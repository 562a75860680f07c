//! A request and its answer as a line, in three forms.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use sandbar::cache::Provenance;
use sandbar_base::clock::Timestamp;
use sandbar_http::semantics::cache_status::Outcome;
use serde::{Serialize, Serializer};

use super::Asked;
use super::text::{Ascii, push_escaped};
use crate::config::AccessFormat;

/// How a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum End {
    /// All of it was handed to the connection.
    Complete,
    /// Its client left, or was cut off, before that.
    Cut,
    /// Its content broke off on the way here: at the origin, or because the client was too slow for what is not stored.
    Broken,
}

/// All that a line tells.
pub(super) struct Line<'a> {
    pub(super) asked: &'a Asked,
    pub(super) tenant: Option<&'a str>,
    pub(super) class: Option<&'a str>,
    pub(super) provenance: Provenance,
    pub(super) status: StatusCode,
    pub(super) sent_bytes: u64,
    pub(super) first_byte: Duration,
    pub(super) duration: Duration,
    pub(super) end: End,
}

impl Line<'_> {
    /// The line with its line feed: ASCII, of less than 64 KiB.
    pub(super) fn to_text(&self, format: AccessFormat) -> String {
        let mut text = match format {
            AccessFormat::Common => self.common(),
            AccessFormat::Combined => {
                let mut text = self.common();
                for field in [&self.asked.referer, &self.asked.user_agent] {
                    text.push_str(" \"");
                    push_escaped(&mut text, field.as_deref().unwrap_or(b"-"));
                    text.push('"');
                }
                text
            }
            AccessFormat::Json => self.json(),
        };
        text.push('\n');
        text
    }

    /// `%h %l %u %t "%r" %>s %b` of Apache. Nobody is asked for a name (`%l`), nor is one believed (`%u`).
    fn common(&self) -> String {
        let asked = self.asked;
        let mut text = format!("{} - - [{}] \"{} ", asked.client, common_time(asked.at), asked.method);
        push_escaped(&mut text, &asked.target);
        let _ = write!(text, " {:?}\" {} ", asked.version, self.status.as_u16());
        match self.sent_bytes {
            0 => text.push('-'),
            bytes => _ = write!(text, "{bytes}"),
        }
        text
    }

    fn json(&self) -> String {
        let (asked, provenance) = (self.asked, self.provenance);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stored, collapsed) = match provenance.outcome {
            Outcome::Fwd { stored, collapsed, .. } => (stored, collapsed),
            Outcome::Hit | Outcome::Refused => (false, false),
        };
        let json = Json {
            time: humantime::format_rfc3339_millis(system_time(asked.at)).to_string(),
            client: asked.client.to_string(),
            peer: asked.peer.to_string(),
            tenant: self.tenant,
            class: self.class.filter(|class| !class.is_empty()),
            method: asked.method.as_str(),
            host: text(&asked.host),
            target: text(&asked.target),
            version: asked.version,
            status: self.status.as_u16(),
            bytes: self.sent_bytes,
            cache: cache_words(provenance.outcome),
            stored,
            collapsed,
            stale: provenance.stale,
            detail: provenance.detail,
            by: provenance.by,
            first_byte_us: micros(self.first_byte),
            duration_us: micros(self.duration),
            end: self.end,
            referer: asked.referer.as_deref().map(text),
            user_agent: asked.user_agent.as_deref().map(text),
        };
        let mut out = Vec::with_capacity(512);
        json.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Ascii)).expect("plain values are JSON");
        String::from_utf8(out).expect("ASCII")
    }
}

/// The words of `Cache-Status` for an outcome.
fn cache_words(outcome: Outcome) -> String {
    match outcome {
        Outcome::Hit | Outcome::Refused => outcome.as_str().to_owned(),
        Outcome::Fwd { .. } => format!("fwd={}", outcome.as_str()),
    }
}

/// A line as JSON. What is not known, or not there, is left out.
#[derive(Serialize)]
struct Json<'a> {
    time: String,
    client: String,
    peer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    method: &'a str,
    host: String,
    target: String,
    #[serde(serialize_with = "version")]
    version: http::Version,
    status: u16,
    bytes: u64,
    cache: String,
    stored: bool,
    collapsed: bool,
    stale: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'static str>,
    by: &'static str,
    first_byte_us: u64,
    duration_us: u64,
    end: End,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn version<S: Serializer>(version: &http::Version, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{version:?}"))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn system_time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(at.as_millis())
}

/// `10/Oct/2000:13:55:36 +0000`.
fn common_time(at: Timestamp) -> String {
    // `Tue, 10 Oct 2000 13:55:36 GMT`
    let date = httpdate::fmt_http_date(system_time(at));
    let part = |range| date.get(range).unwrap_or_default();
    format!("{}/{}/{}:{} +0000", part(5..7), part(8..11), part(12..16), part(17..25))
}
