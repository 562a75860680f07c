//! The visitors who read, and the ways in which they ask.

use fastrand::Rng;

use super::{Page, Read, Run, Seen, Source};
use crate::client::{Answer, Client};
use crate::versions::{Kind, VISITOR, shown};

/// A visitor. Two visitors have the same language, and one sends no field that tells it apart.
#[derive(Clone, Copy, Debug)]
struct Visitor {
    name: &'static str,
    fields: &'static [(&'static str, &'static str)],
}

const VISITORS: [Visitor; 5] = [
    Visitor { name: "alice", fields: &[("cookie", "u=alice"), ("authorization", "alice"), ("accept-language", "de")] },
    Visitor { name: "bob", fields: &[("cookie", "u=bob"), ("authorization", "bob"), ("accept-language", "en")] },
    Visitor { name: "carol", fields: &[("cookie", "u=carol"), ("accept-language", "de")] },
    Visitor { name: "dave", fields: &[("authorization", "dave"), ("accept-language", "fr")] },
    Visitor { name: "anybody", fields: &[] },
];

/// The way in which a visitor asks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Manner {
    /// For the page.
    Plain,
    /// For the page's fields alone.
    Head,
    /// For the page, validated now (`no-cache`, RFC 9111 section 5.2.1.4).
    Reload,
    /// For some of the page's bytes.
    Range(&'static str),
    /// For the page unless it is the one with this entity tag.
    Unless(String),
}

/// A request that is about to be made: by whom, and in which way.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    visitor: Visitor,
    manner: Manner,
}

/// The facts about an answer that [`Asking::read`] puts into the history.
pub(super) struct Noted {
    pub(super) page: Page,
    pub(super) by: Run,
    pub(super) asked: std::time::Duration,
    pub(super) answered: std::time::Duration,
    /// The page's version when it was asked for.
    pub(super) version_then: u64,
}

impl Asking {
    /// A random visitor in a random manner; `held` is the entity tag of a copy that the visitor might have.
    pub(super) fn any(rng: &mut Rng, held: Option<&str>) -> Self {
        let manner = match (rng.u8(..12), held) {
            (0, _) => Manner::Head,
            (1, _) => Manner::Reload,
            (2, _) => Manner::Range("bytes=0-69"),
            (3, _) => Manner::Range("bytes=40-"),
            (4, Some(tag)) => Manner::Unless(tag.to_owned()),
            _ => Manner::Plain,
        };
        Self { visitor: VISITORS[rng.usize(..VISITORS.len())], manner }
    }

    /// Sends the request.
    pub(super) async fn ask(&self, client: &mut Client, page: &str) -> anyhow::Result<Answer> {
        let mut fields = vec![(VISITOR, self.visitor.name)];
        fields.extend(self.visitor.fields);
        match &self.manner {
            Manner::Plain | Manner::Head => {}
            Manner::Reload => fields.push(("cache-control", "no-cache")),
            Manner::Range(range) => fields.push(("range", range)),
            Manner::Unless(tag) => fields.push(("if-none-match", tag)),
        }
        let method = if self.manner == Manner::Head { "HEAD" } else { "GET" };
        client.send(method, page, &fields, "").await
    }

    /// The read that an answer amounts to.
    ///
    /// # Errors
    /// When the answer is no true copy of any version.
    pub(super) fn read(&self, page: &str, answer: &Answer, noted: Noted) -> anyhow::Result<Read> {
        let shown = shown(page, answer)?;
        let known_as = |name: &str| {
            let own = self.visitor.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
            if name == VISITOR { Some(self.visitor.name) } else { own }
        };
        let seen = Seen {
            visitor: self.visitor.name.to_owned(),
            selects: Kind::of(page).variant(known_as),
            shows: shown.variant,
            made_for: shown.made_for,
            cookie_of: shown.cookie_of,
            insists_on: (self.manner == Manner::Reload).then_some(noted.version_then),
        };
        let Noted { page, by, asked, answered, .. } = noted;
        Ok(Read { page, version: shown.version, by, source: source(answer), asked, answered, seen })
    }
}

fn source(answer: &Answer) -> Source {
    match answer.cache_status().value("detail") {
        Some("l1") if answer.is_hit() => Source::L1,
        Some("redis" | "disk") if answer.is_hit() => Source::L2,
        _ => Source::Origin,
    }
}
