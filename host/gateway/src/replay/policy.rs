//! The policy to replay, as it is written on the command line.

use std::path::Path;
use std::str::FromStr;

use serde_json::{Map, Value};

use sandbar_policy::{Binding, Role, Source};

/// A policy as it is written: a stock policy's name or a component's path, and settings behind colons:
/// `lru`, `lfu:ageing=off`, `s3-fifo:small=0.2:ghosts=1.0`, `path/to.wasm:depth=3`.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyChoice {
    text: String,
    binding: Binding,
}

impl PolicyChoice {
    /// The policy with its settings, as it was written.
    pub fn name(&self) -> &str {
        &self.text
    }

    /// The same choice, but with a stock policy compiled in instead of run as a guest; a component stays a guest.
    #[must_use]
    pub fn native(&self) -> Self {
        let mut choice = self.clone();
        choice.binding.native = matches!(choice.binding.source, Source::Stock(_));
        choice
    }

    /// The binding of this policy to the role eviction.
    pub fn binding(&self) -> &Binding {
        &self.binding
    }
}

impl FromStr for PolicyChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let name = parts.next().filter(|name| !name.is_empty()).ok_or("a policy needs a name or a path")?;
        let is_file = Path::new(name).extension().is_some_and(|extension| extension == "wasm");
        let source = if is_file { Source::File(name.into()) } else { Source::Stock(name.to_owned()) };
        let mut settings = Map::new();
        for part in parts {
            let (key, value) = part.split_once('=').ok_or_else(|| format!("`{part}` is no setting: say key=value"))?;
            // A value that is no JSON is a text: ageing=off.
            settings.insert(key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)));
        }
        let settings = if settings.is_empty() { Value::Null } else { Value::Object(settings) };
        let binding = Binding { role: Role::Eviction, source, settings, native: false, name: None };
        Ok(Self { text: text.to_owned(), binding })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_paths_and_settings_are_read() {
        let choice: PolicyChoice = "lfu:ageing=off:x=0.5:y=true".parse().unwrap();
        assert_eq!(choice.binding.source, Source::Stock("lfu".to_owned()));
        assert_eq!(choice.binding.settings, json!({ "ageing": "off", "x": 0.5, "y": true }));
        assert!(choice.native().binding.native && !choice.binding.native);
        let choice: PolicyChoice = "a/b.wasm".parse().unwrap();
        assert_eq!(
            (&choice.binding.source, &choice.binding.settings),
            (&Source::File("a/b.wasm".into()), &Value::Null)
        );
        assert!(!choice.native().binding.native);
        for text in ["", ":a=b", "lru:small"] {
            assert!(text.parse::<PolicyChoice>().is_err(), "{text}");
        }
    }
}
