//! An event of another system purges the surrogate keys, URLs and prefixes that the settings map its topic to.
//!
//! ```json
//! { "events": { "product.*": { "keys": ["product-{/id}", "catalogue"], "urls": ["https://shop.example/products/{/id}"] } } }
//! ```
//! A topic ends in `*` where it stands for all that begin so; every one that fits adds what it names. `{/id}` is a JSON pointer (RFC 6901) into
//! the payload, which is replaced by the text or number there; where it points to an array, by each of its elements in turn. What
//! names something that the payload does not have is left out, and said in the log.

use std::collections::BTreeMap;

use sandbar_guest::invalidation::{Event, Invalidation, Purge, Scope, Written};
use sandbar_guest::log::{self, Level};
use serde::Deserialize;
use serde_json::Value;

/// Maps events to purges.
#[derive(Debug)]
pub struct EventMap {
    rules: Vec<Rule>,
    soft: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Topics, each with what its events purge.
    events: BTreeMap<String, Named>,
    /// Whether entries stay, but stale.
    soft: bool,
}

/// What the events of a topic purge.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Named {
    /// Surrogate keys.
    keys: Vec<String>,
    /// Whole URLs.
    urls: Vec<String>,
    /// Beginnings of URLs or, on all sites, of paths.
    prefixes: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    topic: String,
    scopes: Vec<(Kind, Template)>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Key,
    Url,
    Prefix,
}

/// A text with pointers in it.
#[derive(Debug)]
struct Template(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(String),
    Pointer(String),
}

/// Texts that one template makes of one event at most.
const TEXTS_MAX: usize = 256;

impl Template {
    fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let (pointer, behind) = after.split_once('}').ok_or_else(|| format!("`{text}` lacks a `}}`"))?;
            if !pointer.is_empty() && !pointer.starts_with('/') {
                return Err(format!("`{{{pointer}}}` in `{text}` is no JSON pointer: write `{{/{pointer}}}`"));
            }
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Pointer(pointer.to_owned()));
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self(parts))
    }

    /// The texts that it makes of a payload; where a pointer leads nowhere, that pointer.
    fn fill(&self, payload: &Value) -> Result<Vec<String>, &str> {
        let mut texts = vec![String::new()];
        for part in &self.0 {
            match part {
                Part::Text(text) => texts.iter_mut().for_each(|begun| begun.push_str(text)),
                Part::Pointer(pointer) => {
                    let found = payload.pointer(pointer).map(values).filter(|values| !values.is_empty());
                    let values = found.ok_or(pointer.as_str())?;
                    let each = texts.iter().flat_map(|begun| values.iter().map(move |value| format!("{begun}{value}")));
                    texts = each.take(TEXTS_MAX).collect();
                }
            }
        }
        Ok(texts)
    }
}

/// The texts and numbers at a place of a payload.
fn values(found: &Value) -> Vec<String> {
    match found {
        Value::Array(several) => several.iter().filter_map(scalar).collect(),
        one => scalar(one).into_iter().collect(),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is_so) => Some(is_so.to_string()),
        _ => None,
    }
}

impl Rule {
    fn parse(topic: String, named: Named) -> Result<Self, String> {
        if topic.is_empty() || topic.trim_end_matches('*').contains('*') {
            return Err(format!("setting `events`: topic `{topic}` may have a `*` at its end alone"));
        }
        let Named { keys, urls, prefixes } = named;
        let all = [(Kind::Key, keys), (Kind::Url, urls), (Kind::Prefix, prefixes)];
        let scopes = all.into_iter().flat_map(|(kind, texts)| texts.into_iter().map(move |text| (kind, text)));
        let parse = |(kind, text): (Kind, String)| Template::parse(&text).map(|template| (kind, template));
        let scopes = scopes.map(parse).collect::<Result<Vec<_>, _>>();
        let scopes = scopes.map_err(|reason| format!("setting `events.{topic}`: {reason}"))?;
        if scopes.is_empty() {
            return Err(format!("setting `events.{topic}`: it names nothing; give keys, urls or prefixes"));
        }
        Ok(Self { topic, scopes })
    }

    fn fits(&self, topic: &str) -> bool {
        match self.topic.strip_suffix('*') {
            Some(begin) => topic.starts_with(begin.trim_end_matches('*')),
            None => self.topic == topic,
        }
    }
}

impl Invalidation for EventMap {
    fn configure(settings: &str, _seed: u64) -> Result<Self, String> {
        let Settings { events, soft } = sandbar_guest::settings::parse(settings)?;
        let rules = events.into_iter().map(|(topic, named)| Rule::parse(topic, named)).collect::<Result<_, _>>()?;
        Ok(Self { rules, soft })
    }

    /// A write through the gateway purges what it purges anyway.
    fn purges(&mut self, _now_ms: u64, _written: &Written) -> Vec<Purge> {
        Vec::new()
    }

    fn event_purges(&mut self, _now_ms: u64, event: &Event) -> Vec<Purge> {
        let payload: Value = serde_json::from_slice(&event.payload).unwrap_or(Value::Null);
        let mut purges: Vec<Purge> = Vec::new();
        for (kind, template) in self.rules.iter().filter(|rule| rule.fits(&event.topic)).flat_map(|rule| &rule.scopes) {
            let texts = match template.fill(&payload) {
                Ok(texts) => texts,
                Err(pointer) => {
                    log::write(Level::Warn, &format!("an event of {} has nothing at {pointer:?}", event.topic));
                    continue;
                }
            };
            for text in texts {
                let scope = match kind {
                    Kind::Key => Scope::SurrogateKey(text),
                    Kind::Url => Scope::Target(text),
                    Kind::Prefix => Scope::Prefix(text),
                };
                let purge = Purge { scope, soft: self.soft };
                if !purges.contains(&purge) {
                    purges.push(purge);
                }
            }
        }
        purges
    }
}

sandbar_guest::export_invalidation!(EventMap);

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &str = r#"{"events": {
        "product.*": {"keys": ["product-{/id}", "catalogue"], "urls": ["https://shop.test/products/{/id}"]},
        "product.moved": {"keys": ["shelf-{/shelves}"], "prefixes": ["/shelves/"]},
        "prices": {"keys": ["price"]}
    }}"#;

    fn purged(topic: &str, payload: &str) -> Vec<Scope> {
        let mut policy = EventMap::configure(SETTINGS, 1).unwrap();
        let event = Event { topic: topic.into(), payload: payload.into() };
        policy.event_purges(0, &event).into_iter().map(|purge| purge.scope).collect()
    }

    fn key(key: &str) -> Scope {
        Scope::SurrogateKey(key.to_owned())
    }

    #[test]
    fn a_topic_and_its_payload_become_keys_and_urls() {
        let url = Scope::Target("https://shop.test/products/7".to_owned());
        assert_eq!(purged("product.changed", r#"{"id": 7}"#), [key("product-7"), key("catalogue"), url.clone()]);
        let moved = purged("product.moved", r#"{"id": "7", "shelves": ["a", "b"]}"#);
        let prefix = Scope::Prefix("/shelves/".to_owned());
        assert_eq!(moved, [key("product-7"), key("catalogue"), url, key("shelf-a"), key("shelf-b"), prefix]);
        assert_eq!(purged("prices", "no JSON at all"), [key("price")]);
        assert_eq!(purged("prices.eur", ""), []);
    }

    #[test]
    fn what_the_payload_does_not_have_is_left_out() {
        for payload in ["", "{}", r#"{"id": null}"#, r#"{"id": {}}"#, r#"{"id": []}"#, "7", "\u{0}"] {
            assert_eq!(purged("product.changed", payload), [key("catalogue")], "{payload}");
        }
    }

    #[test]
    fn an_event_makes_a_bounded_number_of_purges() {
        let many: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
        let payload = serde_json::json!({ "id": many }).to_string();
        assert_eq!(purged("product.changed", &payload).len(), 2 * TEXTS_MAX + 1);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        for (settings, part) in [
            (r#"{"events": {"a*b": {"keys": ["k"]}}}"#, "a*b"),
            (r#"{"events": {"a": {}}}"#, "events.a"),
            (r#"{"events": {"a": {"keys": ["{id}"]}}}"#, "{/id}"),
            (r#"{"events": {"a": {"keys": ["{/id"]}}}"#, "lacks"),
            (r#"{"event": {}}"#, "event"),
        ] {
            let refused = EventMap::configure(settings, 1).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }
}
