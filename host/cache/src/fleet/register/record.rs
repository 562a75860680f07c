//! A tenant's record in the register, and how it is encoded: `1 VERSION JSON`. Scripts read the version; the rest is read here.

use sandbar_base::clock::Timestamp;
use serde::{Deserialize, Serialize};

use crate::tenant::config::TenantConfig;

/// The longest record, in bytes; a tenant's settings take a few hundred.
pub(super) const RECORD_BYTES_MAX: usize = 256 << 10;
/// Numbers from here on are not exact in Redis.
const VERSIONS_END: u64 = 1 << 53;

/// A tenant as the register has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The tenant's name.
    pub name: String,
    /// Rises with every change of any tenant: about the time of the change in milliseconds.
    pub version: u64,
    /// Which making of its name the tenant is, or was.
    pub incarnation: u32,
    /// When it was changed.
    pub at: Timestamp,
    /// The node over whose API it was changed.
    pub node: String,
    /// Whether it is there, and with which settings.
    pub standing: Standing,
}

/// What a record says of a tenant.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It was made or changed over the API.
    Made(Box<TenantConfig>),
    /// It was removed. Where `is_back`, the configuration file has one of that name, which goes on as the same tenant.
    Gone {
        /// Whether the file's tenant is the same making.
        is_back: bool,
    },
}

/// A record that this node can't apply: it goes on with what it has, and tries again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Unapplied {
    /// The tenant.
    pub tenant: String,
    /// The record's version; 0 where that can't be read.
    pub version: u64,
    /// Why it can't be applied.
    pub reason: String,
    /// Which making of its name the tenant is by this record or, where that says that it is gone, the next one would be; 0 where
    /// that can't be read.
    #[serde(skip)]
    pub incarnation: u32,
}

impl Unapplied {
    /// A record that can't be applied for this reason.
    #[doc(hidden)]
    pub const fn new(tenant: String, version: u64, incarnation: u32, reason: String) -> Self {
        Self { tenant, version, reason, incarnation }
    }
}

#[derive(Serialize, Deserialize)]
struct Body {
    incarnation: u32,
    at: Timestamp,
    node: String,
    #[serde(default)]
    back: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settings: Option<TenantConfig>,
}

impl Record {
    /// Which making of its name the tenant is or, where it is gone, the next one would be.
    #[doc(hidden)]
    pub const fn next_incarnation(&self) -> u32 {
        match self.standing {
            Standing::Made(_) | Standing::Gone { is_back: true } => self.incarnation,
            Standing::Gone { is_back: false } => self.incarnation.saturating_add(1),
        }
    }

    /// The record without its version, which the script puts before it.
    ///
    /// # Errors
    /// With a sentence, where it is too long.
    pub(super) fn encode(&self) -> Result<String, String> {
        let (settings, back) = match &self.standing {
            Standing::Made(settings) => (Some((**settings).clone()), false),
            Standing::Gone { is_back } => (None, *is_back),
        };
        let body = Body { incarnation: self.incarnation, at: self.at, node: self.node.clone(), back, settings };
        let text = serde_json::to_string(&body).map_err(|error| error.to_string())?;
        if text.len() > RECORD_BYTES_MAX {
            let (name, bytes) = (&self.name, text.len());
            return Err(format!("the settings of {name:?} take {bytes} bytes, and {RECORD_BYTES_MAX} is the most"));
        }
        Ok(text)
    }

    /// Reads the record of a tenant.
    ///
    /// # Errors
    /// Where it makes no sense; with its version, as far as scripts can read that.
    pub(super) fn read(name: &str, bytes: &[u8]) -> Result<Self, Unapplied> {
        Self::decode(name, bytes).map_err(|reason| {
            let digits = bytes.strip_prefix(b"1 ").and_then(|rest| rest.split(|byte| *byte == b' ').next());
            let version = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            let version = version.filter(|version| *version < VERSIONS_END).unwrap_or(0);
            Unapplied::new(name.to_owned(), version, 0, reason)
        })
    }

    fn decode(name: &str, bytes: &[u8]) -> Result<Self, String> {
        if !TenantConfig::is_name(name) {
            return Err("no tenant can have this name".to_owned());
        }
        if bytes.is_empty() {
            return Err(format!("there is no record, or it is longer than {RECORD_BYTES_MAX} bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let (version, body) = text
            .strip_prefix("1 ")
            .and_then(|text| text.split_once(' '))
            .ok_or("it is of a format that this version of Sandbar does not know")?;
        let version = version.parse().map_err(|error| format!("its version: {error}"))?;
        if version >= VERSIONS_END {
            return Err("its version is none that a register gives out".to_owned());
        }
        let Body { incarnation, at, node, back, settings } =
            serde_json::from_str(body).map_err(|error| error.to_string())?;
        let standing = match settings {
            None => Standing::Gone { is_back: back },
            Some(settings) if settings.name != name => {
                return Err(format!("it holds the settings of the tenant {:?}", settings.name));
            }
            Some(settings) => Standing::Made(Box::new(TenantConfig { incarnation, ..settings })),
        };
        Ok(Self { name: name.to_owned(), version, incarnation, at, node, standing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(standing: Standing) -> Record {
        let at = Timestamp::from_millis(7);
        Record { name: "shop".into(), version: 42, incarnation: 3, at, node: "edge 1".into(), standing }
    }

    #[test]
    fn what_is_written_is_read() {
        let settings = TenantConfig { incarnation: 3, ..TenantConfig::named("shop") };
        for standing in [Standing::Made(Box::new(settings)), Standing::Gone { is_back: true }] {
            let record = record(standing);
            let text = format!("1 42 {}", record.encode().unwrap());
            assert_eq!(Record::decode("shop", text.as_bytes()).unwrap(), record);
        }
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        let whole = record(Standing::Made(Box::new(TenantConfig::named("shop")))).encode().unwrap();
        for (name, bytes, says) in [
            ("../shop", format!("1 42 {whole}").into_bytes(), "this name"),
            ("", vec![], "this name"),
            ("shop", vec![], "no record"),
            ("shop", vec![0xff, 0xfe], "utf-8"),
            ("shop", format!("2 42 {whole}").into_bytes(), "format"),
            ("shop", format!("1 x {whole}").into_bytes(), "version"),
            ("shop", b"1 9007199254740992 {}".to_vec(), "none that a register gives out"),
            ("shop", b"1 42 {}".to_vec(), "incarnation"),
            ("shop", b"1 42 ".repeat(1000), "invalid type"),
            ("shop", [b"1 42 ".to_vec(), vec![b'['; 100_000]].concat(), "invalid type"),
            ("news", format!("1 42 {whole}").into_bytes(), "of the tenant \"shop\""),
        ] {
            let error = Record::decode(name, &bytes).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let versions = [&b"1 42 {"[..], b"1 x {", b"2 42 {", b"1 42", b"1 9007199254740992 {}"]
            .map(|bytes| Record::read("shop", bytes).unwrap_err().version);
        assert_eq!(versions, [42, 0, 0, 42, 0]);
    }

    #[test]
    fn what_is_too_long_is_not_written() {
        let hosts = (0..20_000).map(|n| format!("host-{n}.example")).collect();
        let settings = TenantConfig { hosts, ..TenantConfig::named("shop") };
        assert!(record(Standing::Made(Box::new(settings))).encode().unwrap_err().contains("is the most"));
    }
}
