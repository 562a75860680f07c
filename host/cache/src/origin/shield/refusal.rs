//! Why an origin is not asked.

use crate::tally::Listed;

/// Which protection refused a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// As many requests are under way at the origin as may be, and as many wait as may.
    QueueFull,
    /// The request waited for its turn for as long as it may.
    QueueDeadline,
    /// Too many of the last requests failed: the breaker is open.
    BreakerOpen,
    /// Nobody waits for the response, and the origin has no free place.
    Background,
    /// The node has no memory left for a response (`memory.total`).
    NoRoom,
}

impl Refusal {
    /// All refusals.
    pub const ALL: [Self; 5] =
        [Self::QueueFull, Self::QueueDeadline, Self::BreakerOpen, Self::Background, Self::NoRoom];

    /// The stable word for the refusal in `Cache-Status`, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "origin-busy",
            Self::QueueDeadline => "origin-queue-deadline",
            Self::BreakerOpen => "origin-open",
            Self::Background => "origin-background",
            Self::NoRoom => "no-room",
        }
    }
}

impl Listed for Refusal {
    fn all() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter()
    }

    fn index(self) -> usize {
        self as usize
    }

    fn word(self) -> &'static str {
        self.as_str()
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::QueueFull => {
                "as many requests as it may have are under way or wait (protect.requests_max, queue_max)"
            }
            Self::QueueDeadline => "the request's turn did not come in time (protect.queue_deadline)",
            Self::BreakerOpen => "too many of the last requests failed (protect.breaker)",
            Self::Background => "it has enough to do for clients who wait",
            Self::NoRoom => "the node has no memory left for its response (memory.total)",
        })
    }
}
