//! A key's hash, as in the host.

/// 128 well-mixed bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub u128);
