//! The filter of the log, which is refused where it would tell nothing by mistake.
//!
//! The filters of `tracing` take a misspelt level (`waarn`) for the name of a module, and tell nothing from then on. So
//! filters are parsed here: only levels, and levels for modules that exist, are valid.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

use sandbar::setting::BadValue;

/// The levels, the quietest first.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// The modules of the library, as `sandbar::NAME`.
const MODULES: [&str; 41] = [
    "barrier",
    "body",
    "cache",
    "cached",
    "collapse",
    "commons",
    "consistency",
    "embed",
    "errand",
    "events",
    "exchange",
    "explain",
    "faults",
    "fill",
    "fleet",
    "holdings",
    "hosts",
    "ingest",
    "layer",
    "memory_budget",
    "not_stored",
    "origin",
    "owed",
    "parts",
    "peers",
    "purge",
    "read",
    "recording",
    "request",
    "respond",
    "setting",
    "sql",
    "storability",
    "store",
    "strategy",
    "tally",
    "tenant",
    "tier",
    "tunnel",
    "values",
    "write",
];

/// Other crates that write to the log.
const CRATES: [&str; 19] = [
    "axum",
    "cranelift_codegen",
    "globset",
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "mio",
    "redb",
    "redis",
    "rustls",
    "sandbar_base",
    "sandbar_gateway",
    "sandbar_memory",
    "sandbar_policy",
    "tokio",
    "tokio_util",
    "tower",
    "wasmtime",
];

/// A filter of the log: a level for all modules, and others for single ones (`info`, `sandbar=debug,warn`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    text: String,
    rest: LevelFilter,
    modules: BTreeMap<String, LevelFilter>,
}

impl Default for LogFilter {
    fn default() -> Self {
        Self { text: "info".into(), rest: LevelFilter::INFO, modules: BTreeMap::new() }
    }
}

impl LogFilter {
    /// The filter in the form that `tracing` applies.
    pub fn targets(&self) -> Targets {
        self.modules.iter().fold(Targets::new().with_default(self.rest), |targets, (module, level)| {
            targets.with_target(module.clone(), *level)
        })
    }
}

impl FromStr for LogFilter {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let mut filter = Self { text: text.to_owned(), rest: LevelFilter::OFF, modules: BTreeMap::new() };
        let mut is_said = false;
        for part in text.split(',').map(str::trim) {
            match part.split_once('=') {
                Some((module, level)) => {
                    let (module, level) = (self::module(module.trim())?, self::level(level.trim())?);
                    if filter.modules.insert(module.to_owned(), level).is_some() {
                        return Err(BadValue::from(format!("{module} is named twice; leave one of them out")));
                    }
                }
                None => {
                    filter.rest = self::level(part)?;
                    if std::mem::replace(&mut is_said, true) {
                        let reason = format!("{part:?} is the second level for all; leave one of them out");
                        return Err(BadValue::from(reason));
                    }
                }
            }
        }
        Ok(filter)
    }
}

fn level(text: &str) -> Result<LevelFilter, BadValue> {
    let found = LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, level)| *level).ok_or_else(|| {
        let names = LEVELS.map(|(name, _)| name).join(", ");
        BadValue::from(format!(
            "{text:?} is no log level; write one of {names}, or levels for single modules, such as \"sandbar=debug,warn\""
        ))
    })
}

/// Checks the path of a module: one of the library or inside one, or of another crate.
fn module(text: &str) -> Result<&str, BadValue> {
    let mut names = text.split("::");
    let (first, second) = (names.next().unwrap_or_default(), names.next());
    let is_path = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:".contains(&byte));
    match second {
        _ if !is_path => {}
        Some(inner) if first == "sandbar" && MODULES.contains(&inner) => return Ok(text),
        Some(_) if first == "sandbar" => {
            return Err(BadValue::from(format!(
                "there is no module {text:?}; there are sandbar::{}",
                MODULES.join(", sandbar::")
            )));
        }
        _ if first == "sandbar" || CRATES.contains(&first) => return Ok(text),
        _ => {}
    }
    Err(BadValue::from(format!(
        "there is no module {text:?}; write sandbar=debug, sandbar::cache=debug, or one of {}",
        CRATES.join(", ")
    )))
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

sandbar_base::serde_as_text!(LogFilter);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_nothing_by_mistake_is_refused_with_the_right_words() {
        for (text, part) in [
            ("loud", "\"loud\" is no log level; write one of off, error, warn, info, debug, trace"),
            ("waarn", "\"waarn\" is no log level"),
            ("", "\"\" is no log level"),
            ("5", "\"5\" is no log level"),
            ("info,", "\"\" is no log level"),
            ("info,foo=bar", "there is no module \"foo\""),
            ("sandbr=debug,warn", "there is no module \"sandbr\"; write sandbar=debug"),
            ("sandbar::cahce=debug", "there is no module \"sandbar::cahce\"; there are sandbar::barrier"),
            ("sandbar", "\"sandbar\" is no log level"),
            ("sandbar=loud", "\"loud\" is no log level"),
            ("info,warn", "\"warn\" is the second level for all"),
            ("hyper=info,hyper=warn", "hyper is named twice"),
            ("sandbar[request]=debug", "there is no module"),
        ] {
            let error = text.parse::<LogFilter>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_filter_does_what_it_says() {
        let enabled = |text: &str, target: &str, level: tracing::Level| {
            text.parse::<LogFilter>().expect(text).targets().would_enable(target, &level)
        };
        use tracing::Level;
        assert!(enabled("info", "sandbar::cache", Level::INFO));
        assert!(!enabled("info", "sandbar::cache", Level::DEBUG));
        assert!(enabled("WARN, sandbar::cache=trace", "sandbar::cache::read", Level::TRACE));
        assert!(!enabled("WARN, sandbar::cache=trace", "sandbar::fleet", Level::INFO));
        assert!(!enabled("off", "sandbar", Level::ERROR));
    }

    #[test]
    fn modules_of_the_program_can_be_named() {
        for module in ["sandbar::cache", "sandbar::read", "sandbar::tier::disk", "sandbar_gateway::front"] {
            let text = format!("warn,{module}=debug");
            assert_eq!(text.parse::<LogFilter>().map(|filter| filter.to_string()), Ok(text));
        }
    }

    #[test]
    fn all_modules_of_the_library_are_known() {
        let root = include_str!("../../../cache/src/lib.rs").lines();
        let root = root.take_while(|line| *line != "#[cfg(test)]");
        let declared = root.filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
        let mut known: Vec<_> = declared.collect();
        // A module that a feature replaces is declared twice.
        known.dedup();
        assert_eq!(known, MODULES);
    }
}
