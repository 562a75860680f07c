//! What is wrong with a configuration: one sentence with the place, the key, its value, the reason, and what to do.
//! Every error of a configuration is made here.

use std::fmt::{self, Display};
use std::path::Path;

use sandbar::setting::Key;
use sandbar::tenant::SettingsError;

use super::source::{Place, Source, Spot};

/// Why a configuration is refused: `sandbar.toml:12:1: tenant.l1 = "2GiB" (tenant "shop"): why; what to do`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(Box<Wrong>);

/// The parts of an error; boxed, as an error is rare and a `Result` should stay small.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wrong {
    place: Option<Place>,
    /// The key and its value; none where the text is no TOML, so that no key is known.
    setting: Option<(Key, String)>,
    tenant: Option<String>,
    /// Why the value is wrong, and what would be right.
    reason: String,
}

/// Endings of keys whose values are never shown, in whichever table they were written.
const SECRET: [&str; 5] = ["token", "password", "secret", "redis.url", "control_url"];

impl ConfigError {
    /// The error where the file can't be read.
    pub(super) fn unreadable(file: &Path, error: &std::io::Error) -> Self {
        let reason = format!(
            "can't read the configuration file {}: {error}; name an existing one with --config, or leave it out",
            file.display()
        );
        Wrong { place: None, setting: None, tenant: None, reason }.into()
    }

    /// The error where a value contradicts another one, or can't work.
    pub(crate) fn wrong(key: impl Into<Key>, value: impl Display, reason: impl Display, remedy: impl Display) -> Self {
        let reason = format!("{reason}; {remedy}");
        Wrong { place: None, setting: Some((key.into(), value.to_string())), tenant: None, reason }.into()
    }

    /// The error of the settings of one tenant; tenants are counted from 0.
    pub(crate) fn of_tenant(index: usize, error: SettingsError) -> Self {
        let SettingsError { key, value, reason, .. } = error;
        let reason = with_remedy(reason);
        Wrong { place: None, setting: Some((Key::of_tenant(index, &key), value)), tenant: None, reason }.into()
    }

    /// The error where the text can't be read: with the key at its position or, where there is none, with the line.
    pub(super) fn in_text(error: &toml::de::Error, source: &Source) -> Self {
        let position = error.span().map_or(0, |span| span.start);
        let message = one_line(error.message());
        if let Some(Spot { place, key, value, tenant }) = source.spot(position) {
            let name = key.to_string();
            let is_secret = SECRET.iter().any(|ending| name.ends_with(ending));
            let value = if is_secret { Some("…".to_owned()) } else { value };
            let reason = if is_secret { without_value(&message) } else { message };
            let setting = Some((key, value.unwrap_or_default()));
            return Wrong { place: Some(place), setting, tenant, reason: with_remedy(reason) }.into();
        }
        let (place, line) = source.line(position).unzip();
        let line = line.map(|line| hide_secret(&line)).unwrap_or_default();
        let reason = format!("`{line}`: {}", with_remedy(message));
        Wrong { place, setting: None, tenant: None, reason }.into()
    }

    /// The same error with the place where its key is set.
    #[must_use]
    pub(crate) fn placed(mut self, source: &Source) -> Self {
        let wrong = &mut *self.0;
        if let (None, Some((key, _))) = (&wrong.place, &wrong.setting) {
            (wrong.place, wrong.tenant) = source.find(key);
        }
        self
    }

    /// The key of the wrong setting, with its section; none where the text is no TOML.
    pub fn key(&self) -> Option<String> {
        self.0.setting.as_ref().map(|(key, _)| key.to_string())
    }
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wrong { place, setting, tenant, reason } = &*self.0;
        if let Some(place) = place {
            write!(f, "{place}: ")?;
        }
        if let Some((key, value)) = setting {
            write!(f, "{key}")?;
            if !value.is_empty() {
                write!(f, " = {value}")?;
            }
            if let Some(tenant) = tenant {
                write!(f, " (tenant {tenant:?})")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(reason)
    }
}

impl std::error::Error for ConfigError {}

impl From<Wrong> for ConfigError {
    fn from(wrong: Wrong) -> Self {
        Self(Box::new(wrong))
    }
}

/// Adds a remedy to a reason that has none, so that each error says what to do.
fn with_remedy(reason: String) -> String {
    let says_what_is_right = reason.contains("; ") || reason.contains("expected");
    if says_what_is_right { reason } else { format!("{reason}; see `sandbar config` for what there is") }
}

fn one_line(message: &str) -> String {
    message.trim().replace('\n', "; ")
}

/// A message of the parser without the value in it: of `invalid type: integer `7`, expected a string`, without the 7.
fn without_value(message: &str) -> String {
    let mut parts = message.split('`');
    let (before, after) = (parts.next().unwrap_or_default(), parts.nth(1).unwrap_or_default());
    match (after.is_empty(), message.contains('"')) {
        (false, _) => format!("{}{after}", before.trim_end()),
        (true, true) => "it is not what it should be; see `sandbar config`".to_owned(),
        (true, false) => before.to_owned(),
    }
}

/// A line as it may be shown: what stands after its key is hidden where it may be a token or a password.
fn hide_secret(line: &str) -> String {
    let shown: String = line.chars().take(120).collect();
    let may_be_secret = ["token", "url", "@"].iter().any(|word| shown.contains(word));
    match shown.split_once('=') {
        Some((key, _)) if may_be_secret => format!("{} = …", key.trim()),
        _ => shown,
    }
}
