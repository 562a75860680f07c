//! A scenario: steps, each a request, what the origin says to it, and what the client then gets.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use sandbar::clock::Timestamp;
use sandbar::http::semantics::date;

/// A scenario and the section it is about.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) about: &'static str,
    pub(crate) steps: Vec<Step>,
}

pub(crate) fn scenario(about: &'static str, steps: impl Into<Vec<Step>>) -> Scenario {
    Scenario { about, steps: steps.into() }
}

/// A request and what comes of it. Unless the origin says something, it must not be asked.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) method: &'static str,
    pub(crate) target: &'static str,
    pub(crate) with: &'static str,
    pub(crate) after: Duration,
    pub(crate) says: Option<Says>,
    /// Whether the origin is asked only after the answer.
    pub(crate) behind: bool,
    pub(crate) status: Option<u16>,
    pub(crate) body: Option<&'static str>,
    pub(crate) has: &'static str,
    pub(crate) lacks: &'static str,
    pub(crate) heard: &'static str,
    pub(crate) not_heard: &'static str,
}

/// What the origin says.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    Response {
        status: u16,
        fields: &'static str,
        body: &'static str,
    },
    /// Nothing: the connection breaks.
    Nothing,
}

/// GET of `/`.
pub(crate) fn get(with: &'static str) -> Step {
    ask("GET", "/", with)
}

/// Any request; its fields one to a line, a value `@N` being the date N seconds from the start.
pub(crate) fn ask(method: &'static str, target: &'static str, with: &'static str) -> Step {
    Step {
        method,
        target,
        with,
        after: Duration::ZERO,
        says: None,
        behind: false,
        status: None,
        body: None,
        has: "",
        lacks: "",
        heard: "",
        not_heard: "",
    }
}

impl Step {
    /// So many seconds after the step before it.
    pub(crate) fn after(self, seconds: u64) -> Self {
        Self { after: Duration::from_secs(seconds), ..self }
    }

    /// The origin is asked and says this, which is what the client gets.
    pub(crate) fn origin(self, status: u16, fields: &'static str, body: &'static str) -> Self {
        Self { says: Some(Says::Response { status, fields, body }), ..self }
    }

    /// The origin is asked and breaks off.
    pub(crate) fn origin_fails(self) -> Self {
        Self { says: Some(Says::Nothing), ..self }
    }

    /// The origin is asked only behind the answer.
    pub(crate) fn behind(self) -> Self {
        Self { behind: true, ..self }
    }

    /// The client gets this.
    pub(crate) fn is(self, status: u16, body: &'static str) -> Self {
        Self { status: Some(status), body: Some(body), ..self }
    }

    /// These fields are in the answer, these lines and no others of their names.
    pub(crate) fn has(self, has: &'static str) -> Self {
        Self { has, ..self }
    }

    /// These names are not.
    pub(crate) fn lacks(self, lacks: &'static str) -> Self {
        Self { lacks, ..self }
    }

    /// The origin has heard these fields, these lines and no others of their names.
    pub(crate) fn heard(self, heard: &'static str) -> Self {
        Self { heard, ..self }
    }

    /// And none of these.
    pub(crate) fn not_heard(self, not_heard: &'static str) -> Self {
        Self { not_heard, ..self }
    }
}

/// What a client got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) fields: HeaderMap,
    /// What it got of the body, where that is not all.
    pub(crate) body: Result<String, String>,
}

/// Fails where the answer, or what the origin heard meanwhile, is not what the step says.
pub(crate) fn judge(about: &str, step: &Step, start: Timestamp, got: &Got, heard: &[HeaderMap]) {
    let about = format!("{about}\n  {step:?}\n  got {got:?}\n  the origin heard {heard:?}");
    let asked = match step.says {
        None => 0..=0,
        Some(Says::Response { .. }) => 1..=1,
        // On a connection that was kept, breaking off looks like one that was closed meanwhile: it is tried once more.
        Some(Says::Nothing) => 1..=2,
    };
    assert!(asked.contains(&heard.len()), "requests to the origin: {about}");
    let (said_status, said_body) = match &step.says {
        Some(Says::Response { status, body, .. }) => (Some(*status), Some(*body)),
        _ => (None, None),
    };
    if let Some(status) = step.status.or(said_status) {
        assert_eq!(got.status, status, "the status: {about}");
    }
    if let Some(body) = step.body.or(said_body) {
        assert_eq!(got.body.as_deref(), Ok(body), "the body: {about}");
    }
    lines_are(&got.fields, step.has, start, "the answer", &about);
    lacks(&got.fields, step.lacks, "the answer", &about);
    let nothing = HeaderMap::new();
    let heard = heard.first().unwrap_or(&nothing);
    lines_are(heard, step.heard, start, "what the origin heard", &about);
    lacks(heard, step.not_heard, "what the origin heard", &about);
}

fn lines_are(found: &HeaderMap, expected: &str, start: Timestamp, what: &str, about: &str) {
    let expected = fields(expected, start);
    for name in expected.keys() {
        let lines = |fields: &HeaderMap| fields.get_all(name).iter().cloned().collect::<Vec<_>>();
        assert_eq!(lines(found), lines(&expected), "{name} of {what}: {about}");
    }
}

fn lacks(found: &HeaderMap, names: &str, what: &str, about: &str) {
    for name in names.split_whitespace() {
        assert!(!found.contains_key(name), "{name} is in {what}: {about}");
    }
}

/// Fields, one to a line.
pub(crate) fn fields(text: &str, start: Timestamp) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap();
        let value = value.trim();
        let value = match value.strip_prefix('@').map(|seconds| seconds.parse::<i64>().unwrap()) {
            Some(seconds) => {
                date::format(Timestamp::from_millis(start.as_millis().checked_add_signed(seconds * 1000).unwrap()))
            }
            None => HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        };
        fields.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
    }
    fields
}
