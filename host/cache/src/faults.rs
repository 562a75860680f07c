//! Faults that a test can switch on, to see that it would notice them. No released program does: no setting, no
//! environment variable and no feature leads here, only a call of [`switch_on`], which the tests' own program makes.

use std::sync::OnceLock;

static SWITCHED_ON: OnceLock<Faults> = OnceLock::new();

/// Makes this process break its promises, from its first cache on.
///
/// # Panics
/// When faults were switched on before.
pub fn switch_on(faults: Faults) {
    tracing::error!(?faults, "this process breaks its promises on purpose");
    SWITCHED_ON.set(faults).expect("faults are switched on once");
}

/// The faults that are switched on: none except in the tests' own program.
#[inline]
pub(crate) fn switched_on() -> Faults {
    SWITCHED_ON.get().copied().unwrap_or_default()
}

/// Which safeguards are left out on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// `no-barriers`: barriers judge a fill as of its end instead of its beginning.
    pub no_barriers: bool,
    /// `no-fencing`: what a fill stores does not carry the token of its lease.
    pub no_fencing: bool,
    /// `ignore-gaps`: the node goes on as if it had missed no message of the bus.
    pub ignore_gaps: bool,
    /// `no-self-fencing`: the node serves what it has, whether it hears the bus or not.
    pub no_self_fencing: bool,
    /// `no-retried-purges`: a purge that could not be recorded or told is not tried again.
    pub no_retried_purges: bool,
}

impl Faults {
    /// Reads a list such as `no-barriers,ignore-gaps`.
    ///
    /// # Errors
    /// With a sentence about the first word that names no fault.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let fault = match word {
                "no-barriers" => &mut faults.no_barriers,
                "no-fencing" => &mut faults.no_fencing,
                "ignore-gaps" => &mut faults.ignore_gaps,
                "no-self-fencing" => &mut faults.no_self_fencing,
                "no-retried-purges" => &mut faults.no_retried_purges,
                other => {
                    return Err(format!(
                        "{other:?} is no fault; there are no-barriers, no-fencing, ignore-gaps, no-self-fencing and \
                         no-retried-purges"
                    ));
                }
            };
            *fault = true;
        }
        Ok(faults)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_named_one_by_one() {
        let two = Faults { no_barriers: true, ignore_gaps: true, ..Faults::default() };
        assert_eq!(Faults::parse("no-barriers, ignore-gaps"), Ok(two));
        assert_eq!(Faults::parse(""), Ok(Faults::default()));
        assert!(Faults::parse("no-brakes").is_err());
    }
}
