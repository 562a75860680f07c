//! The content of a message of the bus, and how it is encoded.

use sandbar_base::clock::Timestamp;
use sandbar_http::entry::Version;
use sandbar_http::key::KeyHash;
use serde::{Deserialize, Serialize};

use crate::barrier::{Barrier, Purge};
use crate::fleet::position::Message;

/// The format version of a message's body.
const VERSION: u8 = 2;

/// A version that L2 has from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newer {
    /// The key whose version it is.
    pub key: KeyHash,
    /// The newer version.
    pub version: Version,
    /// The purge sequence that the version was fetched under.
    pub sequence: u64,
}

/// A message after decoding.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) tenant: String,
    pub(super) said: Said,
    /// Whether the sender waits until all nodes have heard the message.
    pub(super) confirm: bool,
}

/// What a message says.
#[derive(Debug)]
pub(super) enum Said {
    Purged(Barrier),
    Stored(Newer),
    /// The register has another record of the tenant.
    Registered,
}

#[derive(Serialize, Deserialize)]
struct Body {
    tenant: String,
    form: Form,
    confirm: bool,
}

/// The encoded forms of a message. New ones come last: a node that does not know a form drops what it has in memory.
#[derive(Serialize, Deserialize)]
enum Form {
    Purged(Barrier),
    Stored(Newer),
    /// A purge whose sequence is given out as the message is sent, so that it stands beside the body.
    Raised {
        purge: Purge,
        raised: Timestamp,
    },
    /// The register of tenants has another record of the tenant.
    Registered,
}

/// Encodes a purge that has its sequence already.
pub(super) fn purged(tenant: &str, barrier: &Barrier, confirm: bool) -> Vec<u8> {
    write(tenant, Form::Purged(barrier.clone()), confirm)
}

/// Encodes a purge that gets its sequence as the message is sent.
pub(super) fn raised(tenant: &str, barrier: &Barrier, confirm: bool) -> Vec<u8> {
    write(tenant, Form::Raised { purge: barrier.purge.clone(), raised: barrier.raised }, confirm)
}

/// Encodes a newer version.
pub(super) fn stored(tenant: &str, newer: &Newer) -> Vec<u8> {
    write(tenant, Form::Stored(*newer), false)
}

/// Encodes that the register has another record of a tenant.
pub(super) fn registered(tenant: &str) -> Vec<u8> {
    write(tenant, Form::Registered, false)
}

fn write(tenant: &str, form: Form, confirm: bool) -> Vec<u8> {
    let content = Body { tenant: tenant.to_owned(), form, confirm };
    let mut body = vec![VERSION];
    body.extend(postcard::to_allocvec(&content).expect("plain data in a growing buffer always serialises"));
    body
}

/// Decodes a message; `None` where it makes no sense.
pub(super) fn read(message: &Message) -> Option<Heard> {
    let Body { tenant, form, confirm } = postcard::from_bytes(message.body.strip_prefix(&[VERSION])?).ok()?;
    let said = match form {
        Form::Purged(barrier) => Said::Purged(barrier),
        Form::Stored(newer) => Said::Stored(newer),
        Form::Registered => Said::Registered,
        Form::Raised { purge, raised } => Said::Purged(Barrier { purge, raised, sequence: message.raised? }),
    };
    Some(Heard { tenant, said, confirm })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::{PurgeMode, Scope};

    fn barrier() -> Barrier {
        let purge = Purge { scope: Scope::Everything, mode: PurgeMode::Soft };
        Barrier { purge, sequence: 1, raised: Timestamp::from_millis(7) }
    }

    fn message(body: Vec<u8>, raised: Option<u64>) -> Message {
        Message { sequence: 1, nonce: "n".into(), previous: String::new(), origin: "o".into(), raised, body }
    }

    #[test]
    fn a_number_that_stands_beside_the_body_is_the_barriers() {
        let body = raised("shop", &barrier(), true);
        let Some(Heard { said: Said::Purged(read), confirm: true, .. }) = read(&message(body.clone(), Some(42))) else {
            panic!("it is a purge")
        };
        assert_eq!(read, Barrier { sequence: 42, ..barrier() });
        assert!(read_is_none(body, None), "a purge without a number");
    }

    #[test]
    fn nonsense_is_no_message() {
        let whole = purged("shop", &barrier(), false);
        assert!(!read_is_none(whole.clone(), None));
        for body in [vec![], vec![VERSION], vec![VERSION + 1], whole[..whole.len() - 1].to_vec()] {
            assert!(read_is_none(body, None));
        }
    }

    fn read_is_none(body: Vec<u8>, raised: Option<u64>) -> bool {
        read(&message(body, raised)).is_none()
    }
}
