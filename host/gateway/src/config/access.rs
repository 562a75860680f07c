//! `[log.access]`: the access log, as a table or as `true` for one with its defaults.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};

/// `[log.access]`: a line for each request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AccessLogConfig {
    /// Whether there is one. Default no; yes in a table that does not say.
    pub enabled: bool,
    /// The form of its lines. Default the combined one.
    pub format: AccessFormat,
    /// The file that lines are appended to. Default: standard output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

/// The form of an access log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessFormat {
    /// The common log format of NCSA.
    Common,
    /// The common one with `Referer` and `User-Agent` behind it, as Apache's `combined`.
    #[default]
    Combined,
    /// One JSON object a line, with all that is known.
    Json,
}

impl<'de> Deserialize<'de> for AccessLogConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SwitchOrTable)
    }
}

struct SwitchOrTable;

impl<'de> serde::de::Visitor<'de> for SwitchOrTable {
    type Value = AccessLogConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false, or a table such as { format = \"json\", file = \"access.log\" }")
    }

    fn visit_bool<E>(self, enabled: bool) -> Result<AccessLogConfig, E> {
        Ok(AccessLogConfig { enabled, ..AccessLogConfig::default() })
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<AccessLogConfig, A::Error> {
        let Table { enabled, format, file } = Table::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        Ok(AccessLogConfig { enabled, format, file })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    format: AccessFormat,
    #[serde(default)]
    file: Option<PathBuf>,
}

const fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_or_a_table_turns_it_on() {
        #[derive(Debug, Deserialize)]
        struct Log {
            access: AccessLogConfig,
        }
        let read = |text: &str| toml::from_str::<Log>(text).map(|log| log.access);
        let on = AccessLogConfig { enabled: true, ..AccessLogConfig::default() };
        assert_eq!(read("access = true").expect("a switch"), on);
        assert_eq!(read("[access]").expect("a table"), on);
        assert_eq!(read("access = false").expect("a switch"), AccessLogConfig::default());
        let json = AccessLogConfig { format: AccessFormat::Json, file: Some("a.log".into()), ..on };
        assert_eq!(read("access = { format = \"json\", file = \"a.log\" }").expect("a table"), json);
        for (text, part) in [
            ("access = 1", "expected true, false, or a table"),
            ("access = { format = \"xml\" }", "expected one of `common`, `combined`, `json`"),
            ("access = { colour = 1 }", "unknown field `colour`"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
