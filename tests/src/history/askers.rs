//! Who reads: visitors who are told apart, and the ways in which they ask.

use fastrand::Rng;

use super::{Page, Read, Run, Seen, Source};
use crate::client::{Answer, Client};
use crate::versions::{Kind, VISITOR, shown};

/// A visitor. Two of them share a language, and one has nothing to be known by.
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

/// The way in which somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Manner {
    /// For the page.
    Plain,
    /// For its fields alone.
    Head,
    /// For what is new (RFC 9111 section 5.2.1.4).
    Reload,
    /// For some of its bytes.
    Range(&'static str),
    /// For the page unless it is the one with this entity tag.
    Unless(String),
}

/// What somebody is about to ask for.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    visitor: Visitor,
    manner: Manner,
}

/// What somebody was shown, as [`Asking::read`] is to note it.
pub(super) struct Noted {
    pub(super) page: Page,
    pub(super) by: Run,
    pub(super) asked: std::time::Duration,
    pub(super) answered: std::time::Duration,
    /// The page's version when it was asked for.
    pub(super) version_then: u64,
}

impl Asking {
    /// Somebody, at random, in some manner; `held` is the entity tag of a copy that they might have.
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

    /// Asks for it.
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

    /// What they have seen.
    ///
    /// # Errors
    /// When the answer is no true copy of anything.
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
