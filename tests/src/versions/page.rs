//! Pages: for whom they are, by their names; their content; and the check whether an answer is a true copy.

use anyhow::{Context, bail, ensure};

use super::VERSION;
use crate::client::Answer;
use crate::origin::Seen;

/// The field by which the origin knows a visitor; no response varies on it.
pub const VISITOR: &str = "x-visitor";
/// The field that names the visitor whose request brought an answer.
pub const MADE_FOR: &str = "x-made-for";

/// For whom a page is, by the letters of its last segment: `/p0/k1` is the same for all, `/p1/cookie5` another one for
/// each cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `k` and every other name: the same for all.
    Alike,
    /// `cookie`: public, and selected by `Cookie`.
    Cookie,
    /// `language`: selected by `Accept-Language`.
    Language,
    /// `private`: for one visitor alone.
    Private,
    /// `account`: the same for all without credentials, and for one request alone where it has some (RFC 9111 section
    /// 3.5).
    Account,
    /// `welcome`: the same for all, but each validation brings its visitor a cookie.
    Welcome,
}

/// A variant of a page, by whom it is for; the empty one is the same for all.
pub type Variant = String;

impl Kind {
    /// The kind of a page.
    pub fn of(page: &str) -> Self {
        let name = page.rsplit('/').next().unwrap_or(page);
        match name.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "cookie" => Self::Cookie,
            "language" => Self::Language,
            "private" => Self::Private,
            "account" => Self::Account,
            "welcome" => Self::Welcome,
            _ => Self::Alike,
        }
    }

    /// The variant that a request with these fields selects; `field` returns the value of a field, if
    /// there is one.
    pub fn variant<'a>(self, field: impl Fn(&str) -> Option<&'a str>) -> Variant {
        let name = match self {
            Self::Alike | Self::Welcome => return Variant::new(),
            Self::Cookie => "cookie",
            Self::Language => "accept-language",
            Self::Private => VISITOR,
            Self::Account => "authorization",
        };
        let value = field(name).unwrap_or("");
        // Without credentials a request selects what is the same for all; without a cookie a variant of its own.
        if value.is_empty() && self == Self::Account { Variant::new() } else { format!("<{value}>") }
    }

    /// `Cache-Control` of a page, without its lifetime.
    pub(super) const fn cache_control(self) -> &'static str {
        match self {
            Self::Cookie => "public, ",
            Self::Private => "private, ",
            _ => "",
        }
    }

    /// `Vary` of a page.
    pub(super) const fn vary(self) -> Option<&'static str> {
        match self {
            Self::Cookie => Some("cookie"),
            Self::Language => Some("accept-language"),
            _ => None,
        }
    }
}

/// The variant of a page that a request to the origin selects.
pub(super) fn selected(page: &str, seen: &Seen) -> Variant {
    Kind::of(page).variant(|name| seen.field(name))
}

/// The entity tag of a variant at a version.
pub(super) fn tag(version: u64, variant: &str) -> String {
    format!("\"{version}{variant}\"")
}

/// The content of a variant of a page, by which variants can't be confused, nor a part with the whole.
pub(super) fn content(page: &str, version: u64, variant: &str, bytes: usize) -> String {
    let line = match variant {
        "" => format!("{page} is at version {version}\n"),
        variant => format!("{page} is at version {version} for {variant}\n"),
    };
    line.repeat(bytes.div_ceil(line.len()).max(1))
}

/// What an answer shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The version of the page.
    pub version: u64,
    /// The variant of the page.
    pub variant: Variant,
    /// The visitor whose request brought the answer, where the answer says so.
    pub made_for: Option<String>,
    /// The visitor whom a cookie names.
    pub cookie_of: Option<String>,
}

/// What an answer shows, if it is a true copy of the page: of the whole, of a part, or without content (304, and to
/// HEAD).
///
/// # Errors
/// What is wrong with the answer, when it is no true copy.
pub fn shown(page: &str, answer: &Answer) -> anyhow::Result<Shown> {
    let tag = answer.field("etag").with_context(|| format!("{page}: no entity tag in {answer:?}"))?;
    let tag = tag.trim_matches('"');
    let (version, variant) = tag.split_at(tag.find(|c: char| !c.is_ascii_digit()).unwrap_or(tag.len()));
    let version: u64 = version.parse().with_context(|| format!("{page}: tagged {tag:?}"))?;
    let whole = |bytes| content(page, version, variant, bytes).into_bytes();
    match answer.status.as_u16() {
        200 if answer.body.is_empty() => {}
        200 => {
            ensure!(
                answer.body == whole(answer.body.len()),
                "{page}: tagged {tag:?}, but it reads {:?}",
                answer.text()
            );
        }
        206 => {
            let range = answer.field("content-range").and_then(|range| range.strip_prefix("bytes "));
            let (range, length) = range.and_then(|range| range.split_once('/')).context("no range")?;
            let (first, last) = range.split_once('-').context("no range")?;
            let (first, last, length): (usize, usize, usize) = (first.parse()?, last.parse()?, length.parse()?);
            let part = whole(length).get(first..=last).map(<[u8]>::to_vec);
            ensure!(
                part.as_deref() == Some(&answer.body),
                "{page}: tagged {tag:?}, bytes {first} to {last}, but it reads {:?}",
                answer.text()
            );
        }
        304 => {}
        _ => bail!("{page}: {} {:?}: {}", answer.status, answer.fields, answer.text()),
    }
    let (made_for, cookie) = (answer.field(MADE_FOR).map(str::to_owned), answer.field("set-cookie"));
    Ok(Shown { version, variant: variant.to_owned(), made_for, cookie_of: cookie.map(str::to_owned) })
}

/// The version that an answer shows, if it is a whole and true copy of a page that is the same for all.
///
/// # Errors
/// What is wrong with the answer, when it is no such copy.
pub fn version_shown(page: &str, answer: &Answer) -> anyhow::Result<u64> {
    ensure!(answer.status == 200, "{page}: {} {:?}: {}", answer.status, answer.fields, answer.text());
    let version = answer.field(VERSION).and_then(|version| version.parse().ok()).context("no version")?;
    let whole = content(page, version, "", answer.body.len());
    ensure!(answer.body == whole, "{page}: version {version}, but it reads {:?}", answer.text());
    Ok(version)
}
