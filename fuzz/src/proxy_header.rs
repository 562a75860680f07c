//! Any bytes as the beginning of a connection that a trusted proxy passes on: reading the header ends, within its bound,
//! and never asks for a byte behind it. The fuzz target runs it on what the fuzzer makes up, an ordinary test on the saved
//! corpus.

use sandbar::http::client::proxy_header::{HEADER_BYTES_MAX, Header, read};

/// Receives `bytes` as a gateway does: so many at a time as belong to the header for certain.
///
/// # Panics
/// When reading goes on past the bound, or what was read depends on how it was cut.
pub(crate) fn look(bytes: &[u8]) {
    let mut received = 0;
    let said = loop {
        let said = read(&bytes[..received]);
        match said {
            Ok(Header::Incomplete(more)) => {
                assert!(more > 0, "it asks for nothing and is not done");
                assert!(received + more <= HEADER_BYTES_MAX, "it asks for more than a header has");
                if received + more > bytes.len() {
                    break said;
                }
                received += more;
            }
            said => break said,
        }
    };
    // One byte at a time says the same where it says anything.
    let one_by_one =
        (0..=received).map(|end| read(&bytes[..end])).find(|said| !matches!(said, Ok(Header::Incomplete(_))));
    match said {
        Ok(Header::Incomplete(_)) => assert_eq!(one_by_one, None),
        said => assert_eq!(one_by_one, Some(said)),
    }
}
