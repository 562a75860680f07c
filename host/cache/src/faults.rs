//! Faults that a test can switch on, to see that it would notice them: never in production. They are read from the
//! environment's `SANDBAR_FAULTS` when a gateway starts, and told in its log.

/// What is left out on purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// `no-barriers`: fills are judged as of their end instead of their beginning.
    pub no_barriers: bool,
    /// `no-fencing`: what a fill stores does not carry the token of its lease.
    pub no_fencing: bool,
    /// `ignore-gaps`: the node does not mind what it has missed of the bus.
    pub ignore_gaps: bool,
    /// `no-self-fencing`: the node serves what it has, whether it hears the bus or not.
    pub no_self_fencing: bool,
}

impl Faults {
    /// Reads a list such as `no-barriers,ignore-gaps`.
    ///
    /// # Errors
    /// With a sentence, for the first word that is none of them.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut faults = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let fault = match word {
                "no-barriers" => &mut faults.no_barriers,
                "no-fencing" => &mut faults.no_fencing,
                "ignore-gaps" => &mut faults.ignore_gaps,
                "no-self-fencing" => &mut faults.no_self_fencing,
                other => {
                    return Err(format!(
                        "{other:?} is no fault; there are no-barriers, no-fencing, ignore-gaps and no-self-fencing"
                    ));
                }
            };
            *fault = true;
        }
        Ok(faults)
    }

    /// Whether any is on.
    pub fn any(self) -> bool {
        self != Self::default()
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
