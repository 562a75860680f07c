//! How values become bytes for the L2, and bytes become values.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::body::BoxError;

/// Encodes and decodes values of type `T`. Bytes that are decoded come from an L2 that others may write to: they may be
/// anything. An error is a miss, and so is a panic.
pub trait Codec<T>: Send + Sync + 'static {
    /// The codec's name: a part of each key, so that what another codec has written is a miss. Letters of ASCII, digits, `-`,
    /// `_` and `.`.
    fn name(&self) -> &str;

    /// The version of the type: a part of each key too. It has to change whenever bytes that were written before could be taken
    /// for something else.
    fn version(&self) -> u32;

    /// The bytes of a value.
    ///
    /// # Errors
    /// When the value has none.
    fn encode(&self, value: &T) -> Result<Vec<u8>, BoxError>;

    /// The value of these bytes.
    ///
    /// # Errors
    /// When they are none.
    fn decode(&self, bytes: &[u8]) -> Result<T, BoxError>;

    /// How many bytes the value takes in memory, which it is charged with; by default as many as it has when it is encoded.
    fn weight_bytes(&self, value: &T, encoded_bytes: usize) -> u64 {
        let _ = value;
        encoded_bytes as u64
    }
}

/// What [postcard](https://docs.rs/postcard) carries: any type of serde's that is not self-describing. It notes no names of fields
/// and no types: a change of the type needs another version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Postcard {
    /// The version of the type.
    pub version: u32,
}

impl<T: Serialize + DeserializeOwned> Codec<T> for Postcard {
    fn name(&self) -> &'static str {
        "postcard"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn encode(&self, value: &T) -> Result<Vec<u8>, BoxError> {
        Ok(postcard::to_allocvec(value)?)
    }

    fn decode(&self, bytes: &[u8]) -> Result<T, BoxError> {
        let (value, rest) = postcard::take_from_bytes(bytes)?;
        if rest.is_empty() { Ok(value) } else { Err(format!("{} bytes are left", rest.len()).into()) }
    }
}
