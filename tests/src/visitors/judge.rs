//! The check whether an answer was for the visitor who got it.

use std::fmt;

use super::script::Exchange;
use super::stage::Got;
use super::{ANSWER, Audience};

/// An answer that was made for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The visitor who got it.
    pub visitor: String,
    /// The visitor for whom it was made.
    pub made_for: String,
    /// What is wrong with that.
    pub why: Why,
    /// The node that gave it.
    pub node: usize,
    /// The answer's `Cache-Status`.
    pub cache_status: String,
}

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is another variant than the request selects: the field by which they differ, and both values.
    Variant(String, String, String),
    /// It was only for the request that brought it: the number of the answer, and whether its fields or its content
    /// show that.
    NotShared(usize, &'static str),
    /// It had to be validated for this request, but was under way before the request came.
    NotValidated(usize),
    /// It has a cookie of another visitor.
    Cookie(String),
    /// It is no answer of the origin.
    NoAnswer(u16),
}

/// Checks an answer against the origin's log.
///
/// # Errors
/// What is wrong with the answer.
pub fn judge(log: &[Exchange], got: &Got) -> Result<(), Box<Wrong>> {
    let wrong = |made_for: &str, why: Why| {
        let (visitor, made_for, cache_status) = (got.visitor.name.clone(), made_for.to_owned(), got.cache_status());
        Err(Box::new(Wrong { visitor, made_for, why, node: got.node, cache_status }))
    };
    let own = got.visitor.name.as_str();
    for cookie in got.fields.get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok()) {
        if cookie != format!("s={own}") {
            return wrong(cookie.trim_start_matches("s="), Why::Cookie(cookie.to_owned()));
        }
    }
    let of_fields = got.field(ANSWER).parse().ok().map(|number: usize| (number, "fields"));
    let of_content = number_in(&got.body).map(|number| (number, "content"));
    if of_fields.is_none() {
        return wrong("nobody", Why::NoAnswer(got.status));
    }
    // By a 304 to this visitor's own request the origin has vouched for the content.
    let vouched = of_fields.and_then(|(number, _)| log.get(number));
    let vouched = vouched.is_some_and(|said| said.status == 304 && said.heard.visitor() == own);
    for (number, shown_by) in of_fields.into_iter().chain(of_content) {
        let Some(said) = log.get(number) else { return wrong("nobody", Why::NoAnswer(got.status)) };
        let made_for = said.heard.visitor();
        if made_for == own {
            continue;
        }
        let differing = said.selected_by.iter().find(|name| said.heard.field(name) != got.visitor.field(name));
        if let Some(name) = differing {
            let values = (got.visitor.field(name).to_owned(), said.heard.field(name).to_owned());
            return wrong(made_for, Why::Variant(name.clone(), values.0, values.1));
        }
        let late = number < got.heard_before;
        match said.audience {
            Audience::ItsRequest if vouched => {}
            Audience::ItsRequest => return wrong(made_for, Why::NotShared(number, shown_by)),
            // Old content may have been validated since; only old fields show that the answer was not.
            Audience::WhoAskedBefore if late && shown_by == "fields" => {
                return wrong(made_for, Why::NotValidated(number));
            }
            Audience::Everybody if late && shown_by == "fields" && got.visitor.insists() => {
                return wrong(made_for, Why::NotValidated(number));
            }
            Audience::Everybody | Audience::WhoAskedBefore => {}
        }
    }
    Ok(())
}

/// The number of the origin's answer that has this content.
fn number_in(content: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(content).ok()?;
    text.strip_prefix("answer ")?.split_once(' ')?.0.parse().ok()
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { visitor, made_for, why, node, cache_status } = self;
        write!(f, "{visitor} got from node {node} an answer made for {made_for}: {why} ({cache_status})")
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variant(name, asked, made) => write!(f, "the variant of {name} {made:?}, asked for with {asked:?}"),
            Self::NotShared(number, by) => write!(f, "answer {number}, by its {by}, was for one request alone"),
            Self::NotValidated(number) => write!(f, "answer {number} was under way before"),
            Self::Cookie(cookie) => write!(f, "the cookie {cookie}"),
            Self::NoAnswer(status) => write!(f, "status {status}, none of the origin's answers"),
        }
    }
}
