//! What has become of purges, as their caller is told.

use http::StatusCode;
use serde::Serialize;

/// The result of one or several purges. On this node all of them have taken effect, unless `reason` says that the process
/// is being stopped: then how many of them have is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PurgeReport {
    /// Purges that are recorded where they outlive this node, and told to the others.
    pub recorded: usize,
    /// Purges that only this node knows of yet; they are delivered as soon as that is possible.
    pub pending: usize,
    /// Pending purges whose consistency promises more than that.
    pub failed: usize,
    /// The other nodes that have confirmed the last purge that all must confirm.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub confirmed: Vec<String>,
    /// Nodes that have not confirmed the last pending purge, where all must.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Why the last pending purge could not be delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl PurgeReport {
    /// The status of HTTP that says this. Whatever it is, all of it has taken effect on this node.
    pub const fn status(&self) -> StatusCode {
        if self.failed > 0 {
            // The class's consistency promises more than was reached; the purge is delivered later.
            StatusCode::SERVICE_UNAVAILABLE
        } else if self.pending > 0 {
            // The purge is not yet where other nodes see it (RFC 9110 section 15.3.3).
            StatusCode::ACCEPTED
        } else {
            StatusCode::OK
        }
    }
}
