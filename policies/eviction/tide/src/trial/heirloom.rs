//! What is handed on of the trials to a policy that takes over: all of it, so that it goes on where they were.

use sandbar_guest::eviction::knowledge::{Reader, Writer};

use super::{Ghost, Keys, Run, Settled, Share, Trials};
use crate::constants::{keys_max, period};
use crate::duel::Duel;
use crate::pools::Pools;
use crate::view::View;

impl Trials {
    pub(crate) fn write(&self, own: &mut Writer) {
        own.word(self.sample.salt);
        own.word(self.sample.max);
        own.float(self.share.get());
        own.number(self.followed as u64);
        own.number(self.followed_for);
        own.float(self.switches.into());
        own.number(self.wait);
        self.keys.write(own);
        self.duel.write(own);
        self.runs.iter().for_each(|run| run.write(own));
        self.settled.write(own);
    }

    /// Trials of the same views, for a cache of perhaps another capacity.
    pub(crate) fn read(capacity_bytes: u64, views: &[View], by_cost: bool, own: &mut Reader<'_>) -> Option<Self> {
        let mut trials = Self::new(capacity_bytes, views, by_cost, 0, own.word()?);
        trials.sample.max = own.word()?;
        trials.share = Share::known(trials.sample.share(), own.float()?);
        trials.followed = usize::try_from(own.number()?).ok().filter(|followed| *followed < views.len())?;
        trials.followed_for = own.short()?;
        trials.switches = Some(own.float()? as f32).filter(|switches| (0.0..=f32::MAX).contains(switches))?;
        trials.wait = own.short()?.clamp(1, period());
        trials.keys = Keys::read(keys_max(), own)?;
        trials.duel = Duel::read(views.len(), own)?;
        trials.runs = views.iter().map(|view| Run::read(*view, own)).collect::<Option<_>>()?;
        let held_by = |number| trials.held_by(number);
        trials.settled = Settled::read(views.len(), keys_max(), held_by, own)?;
        Some(trials)
    }
}

impl Run {
    fn write(&self, own: &mut Writer) {
        self.entries.write(own);
        own.number(self.entries.len());
        for slot in self.entries.slots() {
            own.number(slot);
            own.number(self.entries.weight(slot));
            self.entries.write_entry(slot, own);
        }
        own.number(self.ghosts.len() as u64);
        self.ghosts.iter().for_each(|ghost| self.write_ghost(ghost, own));
    }

    fn read(view: View, own: &mut Reader<'_>) -> Option<Self> {
        let mut entries = Pools::read_under(&view, own)?;
        for _ in 0..own.count()? {
            let number = own.short().filter(|number| *number < keys_max())?;
            let weight_bytes = own.number()?;
            let heirloom = entries.read_entry(own)??;
            entries.remove(number);
            entries.inherit(number, weight_bytes.min(1 << 48), heirloom, ());
        }
        let ghosts = (0..own.count()?).map(|_| Self::read_ghost(&entries, own)).collect::<Option<_>>()?;
        Some(Self { view, entries, ghosts })
    }

    fn write_ghost(&self, ghost: &Ghost, own: &mut Writer) {
        if ghost.evicted_bytes > self.entries.evicted_bytes() {
            return own.number(0_u32);
        }
        let (age, bytes) = self.entries.ages(ghost.read, ghost.evicted_bytes);
        own.number(bytes + 1);
        own.number(age);
        own.byte(ghost.reads);
    }

    fn read_ghost(entries: &Pools<()>, own: &mut Reader<'_>) -> Option<Ghost> {
        let Some(bytes) = own.number()?.checked_sub(1) else { return Some(Ghost::NONE) };
        let (read, evicted_bytes) = entries.at_age(own.short()?, bytes);
        Some(Ghost { evicted_bytes, read, reads: own.byte()? })
    }
}
