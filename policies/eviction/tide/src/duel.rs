//! Which view has done better than which, lately.

use sandbar_guest::eviction::knowledge::{Reader, Writer};

use crate::view::ViewName;

const VIEWS_LEN: usize = ViewName::ALL.len();
/// Sums are scaled down before they lose their precision.
const WEIGHT_MAX: f32 = 1e12;

/// What each view hit that another missed. Older requests count less: instead of shrinking the sums, new ones are
/// weighed more.
#[derive(Debug)]
pub(crate) struct Duel {
    won: [[f32; VIEWS_LEN]; VIEWS_LEN],
    weight: f32,
    /// A bit for each view.
    all: u32,
}

impl Duel {
    /// Of as many views; at most all of them.
    pub(crate) fn new(views: usize) -> Self {
        Self { won: [[0.0; VIEWS_LEN]; VIEWS_LEN], weight: 1.0, all: (1 << views) - 1 }
    }

    /// Writes it down for a policy that takes over.
    pub(crate) fn write(&self, own: &mut Writer) {
        own.float(f64::from(self.weight));
        self.won.iter().flatten().for_each(|sum| own.float(f64::from(*sum)));
    }

    /// Reads one of as many views again.
    pub(crate) fn read(views: usize, own: &mut Reader<'_>) -> Option<Self> {
        let mut duel = Self::new(views);
        let mut sum = || Some(own.float()? as f32).filter(|sum| (0.0..=f32::MAX).contains(sum));
        duel.weight = sum()?.max(1.0);
        for won in duel.won.iter_mut().flatten() {
            *won = sum()?;
        }
        Some(duel)
    }

    /// A request that the views of `hits`, a bit for each, hit, and what a hit gains. Most requests, which all hit or all miss,
    /// say nothing.
    #[inline]
    pub(crate) fn note(&mut self, hits: u32, gain: impl FnOnce() -> f32) {
        if hits == 0 || hits == self.all {
            return;
        }
        let gain = gain() * self.weight;
        for (winner, won) in self.won.iter_mut().enumerate() {
            if hits >> winner & 1 == 1 {
                won.iter_mut()
                    .enumerate()
                    .filter(|(loser, _)| hits >> loser & 1 == 0)
                    .for_each(|(_, sum)| *sum += gain);
            }
        }
    }

    /// What was noted so far counts less from now on.
    pub(crate) fn age(&mut self, decay: f32) {
        self.weight /= decay;
        if self.weight > WEIGHT_MAX {
            self.won.iter_mut().flatten().for_each(|sum| *sum /= self.weight);
            self.weight = 1.0;
        }
    }

    /// Keeps only a share of all sums.
    pub(crate) fn forget(&mut self, keep: f32) {
        self.won.iter_mut().flatten().for_each(|sum| *sum *= keep);
    }

    /// The view that is the most ahead of this one, if that is more than chance: by `margin` standard deviations of a fair
    /// coin that was tossed for each request in which the two differ, and one more.
    pub(crate) fn better(&self, than: usize, margin: f32) -> Option<usize> {
        let lead = |view: usize| {
            let (won, lost) = (self.won[view][than] / self.weight, self.won[than][view] / self.weight);
            (won - lost, won + lost)
        };
        let views = (0..VIEWS_LEN).map(|view| (view, lead(view)));
        let ahead = views.filter(|(_, (lead, differ))| *lead > 1.0 + margin * differ.sqrt());
        ahead.max_by(|a, b| a.1.0.total_cmp(&b.1.0)).map(|(view, _)| view)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lead_that_is_more_than_chance_counts() {
        let mut duel = Duel::new(VIEWS_LEN);
        (0..1_000).for_each(|_| duel.note((1 << VIEWS_LEN) - 1, || 1.0));
        (0..50).for_each(|_| [1, 2].into_iter().for_each(|hits| duel.note(hits, || 1.0)));
        assert_eq!(duel.better(0, 2.0), None);
        (0..30).for_each(|_| duel.note(2, || 1.0));
        assert_eq!(duel.better(0, 2.0), Some(1));
        assert_eq!(duel.better(1, 2.0), None);
        (0..40).for_each(|_| duel.age(0.5));
        assert_eq!(duel.better(0, 2.0), None, "that was long ago");
    }
}
