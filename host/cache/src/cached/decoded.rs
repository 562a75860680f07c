//! A value in the form in which the program uses it, so that a hit in L1 decodes nothing.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use sandbar_http::entry::StoredResponse;

/// What L1 holds of a value in place of its encoded bytes.
#[derive(Clone, Debug)]
pub(crate) struct Decoded {
    /// The value; `None` where what is stored says that there is none.
    pub(crate) value: Option<Arc<dyn Any + Send + Sync>>,
    /// What the value takes in memory, by its codec.
    pub(crate) weight_bytes: u64,
    /// Its size in the L2, before compression.
    pub(crate) encoded_bytes: u64,
}

/// How the values of one name are read from what is stored.
pub(crate) trait Form: Debug + Send + Sync {
    /// The name that the values are kept under.
    fn name(&self) -> &str;

    /// The value of a stored response; `None` where its bytes are none, which is a miss.
    fn decode(&self, stored: &StoredResponse) -> Option<Decoded>;

    /// Whether a value is one of these, and not one of another type that is kept under the same name.
    fn owns(&self, decoded: &Decoded) -> bool;
}
