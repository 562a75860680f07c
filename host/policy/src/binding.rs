//! A binding: the policy and settings that a tenant gives a role, and what is reported about it afterwards.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use sandbar_base::clock::Timestamp;
use serde::{Deserialize, Serialize};

use sandbar_guest::eviction::Eviction;

use super::freshness::Freshness;
use super::invalidation::Invalidation;
use super::{Digest, Fault, FaultReport, Own, Role};

/// A policy and its settings, to be bound to a role.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// The role that the policy is to answer for.
    pub role: Role,
    /// Where the policy comes from.
    pub source: Source,
    /// The policy's settings; `null` where there are none. A guest is given them as JSON text.
    pub settings: serde_json::Value,
    /// Whether a stock policy runs compiled in, at native speed, rather than as a guest. Only for [`Source::Stock`].
    pub native: bool,
    /// Name under which a component is reported; without one, that of its file or the beginning of its digest.
    pub name: Option<String>,
}

impl Binding {
    /// A stock policy as a guest, without settings.
    pub fn stock(role: Role, name: &str) -> Self {
        Self {
            role,
            source: Source::Stock(name.to_owned()),
            settings: serde_json::Value::Null,
            native: false,
            name: None,
        }
    }

    /// A component, without settings.
    pub fn component(role: Role, bytes: impl Into<Bytes>) -> Self {
        Self {
            role,
            source: Source::Component(bytes.into()),
            settings: serde_json::Value::Null,
            native: false,
            name: None,
        }
    }

    /// The component in a file, without settings. The file is read when the policy is bound.
    pub fn file(role: Role, path: impl Into<PathBuf>) -> Self {
        Self { role, source: Source::File(path.into()), settings: serde_json::Value::Null, native: false, name: None }
    }

    /// A freshness policy of this program, reported as `name`.
    pub fn freshness(name: &str, policy: impl Freshness) -> Self {
        Self::own(Own::freshness(name, policy))
    }

    /// An invalidation policy of this program, reported as `name`.
    pub fn invalidation(name: &str, policy: impl Invalidation) -> Self {
        Self::own(Own::invalidation(name, policy))
    }

    /// An eviction policy of this program, reported as `name`. Each shard has an instance of its own, made from the
    /// binding's settings. Of a [`Replacement`](sandbar_guest::eviction::Replacement), name its
    /// [`Shard`](sandbar_guest::eviction::Shard).
    pub fn eviction<E: Eviction + Send + 'static>(name: &str) -> Self {
        Self::own(Own::eviction::<E>(name))
    }

    fn own(own: Own) -> Self {
        Self { role: own.role(), source: Source::Own(own), settings: serde_json::Value::Null, native: true, name: None }
    }

    /// This binding with other settings, as JSON.
    #[must_use]
    pub fn with_settings(mut self, settings: serde_json::Value) -> Self {
        self.settings = settings;
        self
    }

    /// This binding with other settings, as a value that serde makes JSON of.
    ///
    /// # Errors
    /// When no JSON can be made of it, such as of a map whose keys are no texts.
    pub fn with(self, settings: impl Serialize) -> Result<Self, serde_json::Error> {
        serde_json::to_value(settings).map(|settings| self.with_settings(settings))
    }

    /// This binding of a component under a name, which is shown beside its digest.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Checks the given name, if there is one.
    ///
    /// # Errors
    /// With a sentence, where it can't be used.
    pub(super) fn check_name(&self) -> Result<(), &'static str> {
        let Some(name) = &self.name else { return Ok(()) };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !matches!(self.source, Source::Component(_) | Source::File(_)) {
            Err("a stock policy has a name already; leave it out")
        } else if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
            Err("it has 1 to 64 characters: letters, digits, `.`, `_` and `-`")
        } else {
            Ok(())
        }
    }

    /// This binding with the stock policy that is compiled in, instead of a guest.
    #[must_use]
    pub const fn native(mut self) -> Self {
        self.native = true;
        self
    }
}

/// The longest name that a component can be given, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Where a policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A stock policy by its name.
    Stock(String),
    /// The bytes of a component.
    Component(Bytes),
    /// A file that holds a component.
    File(PathBuf),
    /// A native policy of the embedding program. Such a binding is not kept over a restart.
    Own(Own),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stock(name) => write!(f, "stock = {name:?}"),
            Self::Component(bytes) => write!(f, "a component of {} bytes", bytes.len()),
            Self::File(path) => write!(f, "file = {path:?}"),
            Self::Own(own) => write!(f, "the program's own {:?}", own.name()),
        }
    }
}

/// A binding as it is written in a configuration file or in the body of an API call: `{ stock = "s3-fifo" }`,
/// `{ file = "my.wasm", settings = { … } }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// Name of a stock policy. Either this or `file`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<String>,
    /// Path of a component. Either this or `stock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The policy's settings; `null` where there are none.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub settings: serde_json::Value,
    /// Whether a stock policy runs compiled in.
    #[serde(default)]
    pub native: bool,
}

impl Choice {
    /// The binding that this choice describes, for the given role.
    ///
    /// # Errors
    /// With a sentence for whoever wrote the choice, unless exactly one of `stock` and `file` is given.
    pub fn into_binding(self, role: Role) -> Result<Binding, String> {
        let source = match (self.stock, self.file) {
            (Some(name), None) => Source::Stock(name),
            (None, Some(path)) => Source::File(path),
            _ => return Err(format!("the {role} policy needs either `stock` (a name) or `file` (a path)")),
        };
        Ok(Binding { role, source, settings: self.settings, native: self.native, name: None })
    }
}

/// Who made a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BoundBy {
    /// Nobody: the native default.
    Default,
    /// The configuration file.
    Config,
    /// The API: it is kept, survives a restart and outranks the configuration file.
    Api,
}

/// Whether the host asks a bound policy at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum BindingState {
    /// The host asks it.
    Active,
    /// The policy failed too often: until the quarantine ends, the native default answers.
    Quarantined {
        /// When the quarantine ends and the policy is asked again.
        until: Timestamp,
    },
}

/// Why an eviction policy took over only the entries of its predecessor, and nothing that the predecessor had learnt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disinherited {
    /// Name of the predecessor, whose hand-over caused the fault.
    pub from: String,
    /// The policy's fault when it was given what the predecessor had learnt.
    #[serde(flatten)]
    pub fault: Fault,
}

/// A report on the policy that is bound to a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundInfo {
    /// The role that the policy answers for.
    pub role: Role,
    /// Name of the policy: a stock policy's, the file's stem, or the beginning of the digest.
    pub name: Arc<str>,
    /// Digest of the component; none where the policy is native.
    pub digest: Option<Digest>,
    /// Who bound the policy.
    pub by: BoundBy,
    /// When the policy was bound.
    pub since: Timestamp,
    /// The policy's settings; `null` where there are none.
    pub settings: serde_json::Value,
    /// Calls into the policy, those that failed included.
    pub calls: u64,
    /// The policy's faults; each time the native default answered instead.
    pub faults: u64,
    /// Parts of plans that the host had to narrow, and parts of answers that it dropped.
    pub clamped: u64,
    /// How often the policy was not asked for want of an instance; the native default answered.
    pub no_instance: u64,
    /// How often the policy was not asked because its tenant's guests had used up their share of the processor.
    #[serde(default)]
    pub over_share: u64,
    /// Lines that the policy logged and the host dropped or cut.
    pub log_dropped: u64,
    /// The policy's last faults, each that differs once, the last one first; at most eight.
    #[serde(default)]
    pub last_faults: Vec<FaultReport>,
    /// Why the policy took over nothing that its predecessor had learnt; none where it did not fail on that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disinherited: Option<Disinherited>,
    /// Whether the host asks the policy at present.
    #[serde(flatten)]
    pub state: BindingState,
}
