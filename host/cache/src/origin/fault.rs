//! Whose fault it is that an exchange with the origin failed. A client's fault is answered as the client's error, and
//! counts neither for the breaker nor as a failure of the origin.

use http::StatusCode;

use crate::body::BoxError;

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The origin's: it counts as a failure of the origin.
    Origin,
    /// That of the client whose request it was.
    Client,
    /// Nobody's: the origin was not asked, to protect it.
    Nobody,
}

/// What a client did wrong while its request was at the origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientFault {
    /// The content of the client's request broke off, or is not framed as it should be (RFC 9112 section 8, RFC 9113
    /// section 8.1.1).
    #[error("the request's content broke off: {reason}")]
    BadUpload {
        /// What went wrong.
        reason: String,
    },
    /// The content of the client's request came too slowly (`protect.progress_deadline`), or held up a place that
    /// others waited for.
    #[error("the request's content came too slowly")]
    LateUpload,
    /// The client read the response too slowly (`protect.progress_deadline`), or held up a place that others waited
    /// for.
    #[error("the client read a response that is passed through too slowly")]
    SlowReader,
}

impl ClientFault {
    /// The stable word for the fault in `Cache-Status`, logs and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::BadUpload { .. } => "bad-body",
            Self::LateUpload => "late-body",
            Self::SlowReader => "slow-reader",
        }
    }

    /// The status code that the client is answered with, where no response has begun yet.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::BadUpload { .. } => StatusCode::BAD_REQUEST,
            // RFC 9110 section 15.5.9: "the server did not receive a complete request message within the time that it was
            // prepared to wait".
            Self::LateUpload | Self::SlowReader => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// Whether a client's fault is why a body ended.
    pub(crate) fn ended(error: &BoxError) -> bool {
        error.is::<Self>()
    }
}
