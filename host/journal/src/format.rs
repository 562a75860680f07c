//! How a journal lies on the disk, as pure functions of bytes: what a file begins with ([`head`]), records
//! ([`record`]), what they hold ([`body`]), and reading a whole file, damaged ones too ([`scan`]).

pub(crate) mod body;
pub(crate) mod head;
pub(crate) mod record;
pub(crate) mod scan;

/// The version of the format that this program writes, and the newest that it reads.
pub(crate) const VERSION: u32 = 1;
