//! Why a response of the origin is not stored, or not kept.

use sandbar_http::semantics::standing::Standing;
use sandbar_policy::freshness::Obstacle;

use crate::tally::Listed;

/// Why a response is not stored, and so is for one request only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NotStored {
    /// RFC 9111 forbids it.
    Obstacle(Obstacle),
    /// The tenant's policy does not want it stored.
    Policy,
    /// Its body is larger than `body_max`.
    TooLarge,
    /// It is a partial response (206), and no range was asked for.
    UnaskedPart,
    /// The response is an error that may be about the range or the condition that its request was sent with.
    ParticularError,
    /// A newer version is known.
    OlderVersion,
    /// The node has no memory left for the response.
    NoRoom,
    /// The response is an error, and a stale one is served in its place.
    StaleIfError,
}

impl NotStored {
    /// The stable word for it in `Cache-Status`, logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Obstacle(obstacle) => obstacle.as_str(),
            Self::Policy => "policy",
            Self::TooLarge => "body-too-large",
            Self::UnaskedPart => "unasked-part",
            Self::ParticularError => "particular-error",
            Self::OlderVersion => "older-version",
            Self::NoRoom => "no-room",
            Self::StaleIfError => "stale-if-error",
        }
    }

    /// Whether it is the request that forbids to store the response, and not the response itself.
    pub(crate) const fn is_of_the_request(self) -> bool {
        matches!(self, Self::Obstacle(Obstacle::RequestNoStore | Obstacle::Authorization))
    }

    /// Whether requests for the same key are to fetch for themselves from now on. `standing` is what becomes of the
    /// stored response, if there is one: while that stays, what one request got says nothing about the others. Nor does
    /// an error that may be about a range or a condition. Requests that themselves forbid storing are kept apart
    /// anyway: they wait only for each other.
    pub(crate) fn parts_others(self, standing: Option<Standing>) -> bool {
        self.is_of_the_request()
            || self != Self::ParticularError && standing.is_none_or(|standing| standing == Standing::Ended)
    }
}

impl Listed for NotStored {
    fn all() -> impl Iterator<Item = Self> {
        let others = [
            Self::Policy,
            Self::TooLarge,
            Self::UnaskedPart,
            Self::ParticularError,
            Self::OlderVersion,
            Self::NoRoom,
            Self::StaleIfError,
        ];
        Obstacle::ALL.into_iter().map(Self::Obstacle).chain(others)
    }

    fn index(self) -> usize {
        let behind_obstacles = match self {
            Self::Obstacle(obstacle) => return obstacle as usize,
            Self::Policy => 0,
            Self::TooLarge => 1,
            Self::UnaskedPart => 2,
            Self::ParticularError => 3,
            Self::OlderVersion => 4,
            Self::NoRoom => 5,
            Self::StaleIfError => 6,
        };
        Obstacle::ALL.len() + behind_obstacles
    }

    fn word(self) -> &'static str {
        self.as_str()
    }
}
