//! Whose fault it is that an exchange came to nothing. What a client does wrong is its own: it is answered as its error, and
//! neither the breaker nor a counter of the origin's failures hears of it.

use http::StatusCode;

use crate::body::BoxError;

/// Whose fault an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The origin's.
    Origin,
    /// The client's whose request it was.
    Client,
    /// Nobody's: the origin was not asked, to protect it.
    Nobody,
}

/// What a client did wrong while its request was at the origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientFault {
    /// The content of its request broke off, or is not framed as it should be (RFC 9112 section 8, RFC 9113 section 8.1.1).
    #[error("the request's content broke off: {reason}")]
    BadUpload {
        /// What went wrong.
        reason: String,
    },
    /// The content of its request came too slowly (`protect.progress_deadline`), or held a place that others waited for.
    #[error("the request's content came too slowly")]
    LateUpload,
    /// It read the response too slowly (`protect.progress_deadline`), or held a place that others waited for.
    #[error("the client read a response that is passed through too slowly")]
    SlowReader,
}

impl ClientFault {
    /// The stable word for it in `Cache-Status`, logs and metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::BadUpload { .. } => "bad-body",
            Self::LateUpload => "late-body",
            Self::SlowReader => "slow-reader",
        }
    }

    /// What it is answered with, where it can still be.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::BadUpload { .. } => StatusCode::BAD_REQUEST,
            // RFC 9110 section 15.5.9: "the server did not receive a complete request message within the time that it was
            // prepared to wait".
            Self::LateUpload | Self::SlowReader => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// Whether that is why a body ended.
    pub(crate) fn ended(error: &BoxError) -> bool {
        error.is::<Self>()
    }
}
