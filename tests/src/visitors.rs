//! Visitors who ask for the same pages and differ: by cookie, authorization, language, coding, range or condition. Each
//! answer of the origin has a number and names the visitor whose request brought it, and the origin remembers for whom
//! else the answer may be ([`Audience`]). So [`judge()`] can tell of every answer whether its visitor was allowed to
//! see it, whatever way the answer took through the tiers ([`Stage`]).
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use sandbar_tests::visitors::{Says, Stage, Tiers, visitor};
//!
//! let stage = Stage::raise(Tiers::Disk).await?;
//! stage.origin.says(|_| Says::page("cache-control: public, max-age=60\nvary: cookie"));
//! let guests = [visitor("alice").with("cookie", "alice"), visitor("bob").with("cookie", "bob")];
//! for got in stage.together("/a", &guests).await {
//!     stage.judge(&got).map_err(|wrong| anyhow::anyhow!("{wrong}"))?;
//! }
//! # Ok(()) }
//! ```

mod judge;
mod says;
mod script;
mod stage;

use http::Method;

pub use judge::{Why, Wrong, judge};
pub use says::{Audience, Heard, Says};
pub use script::{Exchange, Script};
pub use stage::{Got, Stage, Tiers};

/// The field by which the origin knows a visitor. No response varies on it.
pub const VISITOR: &str = "x-visitor";
/// The field that numbers the origin's answers, 304 included.
pub const ANSWER: &str = "x-answer";

/// A visitor: a name, a method, and the fields that distinguish it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Their name; it is in every answer that was made for them.
    pub name: String,
    /// GET, or HEAD.
    pub method: Method,
    /// Fields of their requests, beside [`VISITOR`].
    pub fields: Vec<(&'static str, String)>,
}

/// A visitor of this name who asks by GET and sends nothing more.
pub fn visitor(name: &str) -> Visitor {
    Visitor { name: name.to_owned(), method: Method::GET, fields: Vec::new() }
}

/// So many visitors, each with its own value of this field: `{who}` in `value` stands for the visitor's name.
pub fn crowd(count: usize, field: &'static str, value: &str) -> Vec<Visitor> {
    let one = |n: usize| {
        let name = format!("visitor{n}");
        let value = value.replace("{who}", &name);
        visitor(&name).with(field, value)
    };
    (0..count).map(one).collect()
}

impl Visitor {
    /// Sends this field too.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Asks by HEAD.
    #[must_use]
    pub fn by_head(self) -> Self {
        Self { method: Method::HEAD, ..self }
    }

    /// The value of a field; empty where the visitor doesn't send it.
    pub fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// Whether the visitor accepts no fetch that was under way before it asked (`no-cache`, RFC 9111 section 5.2.1.4).
    pub fn insists(&self) -> bool {
        self.field("cache-control").contains("no-cache")
    }
}
