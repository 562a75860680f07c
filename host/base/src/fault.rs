//! Faults of policies: the kind of failure, where in the guest it happened, and what the guest logged.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::GuestText;

/// A failure of a policy to answer a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The kind of failure.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// The function of the guest in which it failed, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<GuestText>,
    /// The last line at level `error` that the guest logged in that call: the message of its panic, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<GuestText>,
}

/// How a call of a policy can fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The guest trapped.
    #[error("trapped: {trap}")]
    Trap {
        /// Which trap it was.
        trap: GuestText,
    },
    /// The guest ran for longer than a call may.
    #[error("ran for more than {budget_us} us of processor time")]
    Deadline {
        /// The budget of one call in microseconds of the thread's processor time.
        budget_us: u64,
    },
    /// The guest wanted more memory than it may have.
    #[error("wanted more than {limit_bytes} bytes of memory")]
    Memory {
        /// The limit in bytes.
        limit_bytes: u64,
    },
    /// The policy's answer makes no sense.
    #[error("nonsense: {reason}")]
    Nonsense {
        /// What is wrong with the answer.
        reason: GuestText,
    },
    /// The policy was not called: its tenant's guests have used up their share of the processor.
    #[error("its tenant's guests have used up their share of the processor")]
    OverShare,
    /// There was no instance for the call: the pool is used up.
    #[error("no instance: {reason}")]
    NoInstance {
        /// What is used up.
        reason: GuestText,
    },
}

impl Fault {
    /// A fault of kind [`FaultKind::Trap`], without place or log line.
    pub fn trap(trap: impl AsRef<str>) -> Self {
        FaultKind::Trap { trap: trap.as_ref().into() }.into()
    }

    /// A fault of kind [`FaultKind::Nonsense`], without place or log line.
    pub fn nonsense(reason: impl AsRef<str>) -> Self {
        FaultKind::Nonsense { reason: reason.as_ref().into() }.into()
    }

    /// A fault of kind [`FaultKind::NoInstance`], without place or log line.
    pub fn no_instance(reason: impl AsRef<str>) -> Self {
        FaultKind::NoInstance { reason: reason.as_ref().into() }.into()
    }

    /// Whether the policy itself did something wrong; false where it could not be called.
    pub const fn is_the_policys(&self) -> bool {
        !matches!(self.kind, FaultKind::OverShare | FaultKind::NoInstance { .. })
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self { kind, place: None, said: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(place) = &self.place {
            write!(f, " in {place}")?;
        }
        match &self.said {
            Some(said) => write!(f, "; it said: {said}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_what_where_and_in_the_guests_own_words() {
        let fault = Fault {
            place: Some("brief::plan".into()),
            said: Some("panicked at src/lib.rs:7:5: no\nprice".into()),
            ..Fault::trap("wasm `unreachable` instruction executed")
        };
        assert_eq!(
            fault.to_string(),
            r"trapped: wasm `unreachable` instruction executed in brief::plan; it said: panicked at src/lib.rs:7:5: no\nprice"
        );
        let json = serde_json::to_value(&fault).expect("JSON");
        assert_eq!((&json["kind"], &json["place"]), (&"trap".into(), &"brief::plan".into()));
        assert_eq!(serde_json::from_value::<Fault>(json).expect("a fault"), fault);
    }
}
