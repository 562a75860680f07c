//! The requests that the origin hears, and its answers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};

use super::{ANSWER, VISITOR};

/// A request as it reached the origin.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The request's number, from 0 on.
    pub number: usize,
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Its fields.
    pub fields: HeaderMap,
}

impl Heard {
    /// The first value of a field; empty where there is none that is text.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The visitor whose request caused the fetch.
    pub fn visitor(&self) -> &str {
        self.field(VISITOR)
    }
}

/// For whom an answer is, beside the visitor whose request brought it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// For everybody whose request selects it (RFC 9111 section 4.1).
    Everybody,
    /// For everybody who had asked before that request was sent, as each use must be validated (section 5.2.2.4).
    WhoAskedBefore,
    /// For nobody else.
    ItsRequest,
}

/// An answer of the origin.
#[derive(Clone, Debug)]
pub struct Says {
    /// Its status code.
    pub status: u16,
    /// Its fields, one to a line; `{who}` stands for the visitor.
    fields: String,
    /// The content; none for a page that names the visitor for whom it was made.
    content: Option<Bytes>,
    /// For whom the answer is.
    pub audience: Audience,
}

impl Says {
    /// A 200 whose content names the visitor for whom it was made.
    pub fn page(fields: &str) -> Self {
        Self::status(200, fields)
    }

    /// Like [`Self::page`], with another status.
    pub fn status(status: u16, fields: &str) -> Self {
        Self { status, fields: fields.to_owned(), content: None, audience: Audience::Everybody }
    }

    /// A 304 with the request's entity tag for a request that validates; for any other the page, with an entity tag of
    /// its own.
    pub fn renewed(heard: &Heard, fields: &str) -> Self {
        match heard.field("if-none-match") {
            "" => Self::page(&format!("{fields}\netag: \"new-{}\"", heard.number)),
            tag => Self::status(304, &format!("{fields}\netag: {tag}")),
        }
    }

    /// The representation, or the range of it that is asked for, unless `If-Range` names another entity tag.
    pub fn of(whole: &[u8], tag: &str, heard: &Heard, fields: &str) -> Self {
        let fields = format!("{fields}\netag: {tag}");
        let if_range = heard.field("if-range");
        let range = heard.field("range").strip_prefix("bytes=").filter(|_| if_range.is_empty() || if_range == tag);
        let Some((first, last)) = range.and_then(|range| bounds(range, whole.len())) else {
            return Self { content: Some(Bytes::copy_from_slice(whole)), ..Self::page(&fields) };
        };
        let fields = format!("{fields}\ncontent-range: bytes {first}-{last}/{}", whole.len());
        let content = Some(Bytes::copy_from_slice(&whole[first..=last]));
        Self { content, ..Self::status(206, &fields) }
    }

    /// Sets the audience of the answer.
    #[must_use]
    pub fn to(self, audience: Audience) -> Self {
        Self { audience, ..self }
    }

    /// The field names in its `Vary`, in lower case.
    pub(super) fn selected_by(&self) -> Vec<String> {
        let vary = self.fields.lines().filter_map(|line| line.split_once(':'));
        let vary = vary.filter(|(name, _)| name.trim().eq_ignore_ascii_case("vary"));
        vary.flat_map(|(_, names)| names.split(',').map(|name| name.trim().to_ascii_lowercase())).collect()
    }

    /// The answer as the response to a request.
    ///
    /// # Panics
    /// When a test has written an invalid field.
    pub(super) fn response(&self, heard: &Heard) -> Response<Bytes> {
        let page = || format!("answer {} for {}\n", heard.number, heard.visitor()).into();
        let content = match (&self.content, self.status, &heard.method) {
            (_, 304, _) | (_, _, &Method::HEAD) => Bytes::new(),
            (Some(content), ..) => content.clone(),
            (None, ..) => page(),
        };
        let mut response = Response::new(content);
        *response.status_mut() = StatusCode::from_u16(self.status).expect("a status code");
        let fields = response.headers_mut();
        fields.insert(ANSWER, heard.number.into());
        for line in self.fields.lines().filter(|line| !line.trim().is_empty()) {
            let (name, value) = line.split_once(':').expect("a field");
            let value = value.trim().replace("{who}", heard.visitor());
            let name = HeaderName::from_bytes(name.trim().as_bytes()).expect("a field's name");
            fields.append(name, HeaderValue::try_from(value).expect("a field's value"));
        }
        response
    }
}

/// First and last byte of one range that lies within `length` bytes.
fn bounds(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let last = last.parse().unwrap_or(length - 1).min(length - 1);
    (first <= last).then_some((first, last))
}
