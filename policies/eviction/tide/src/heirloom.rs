//! What is handed on to a policy that takes over: to another `tide` of the same settings all that there is, so that it
//! goes on where this one was; to others what keys there were, and how often they were read.

use sandbar_guest::eviction::Knowledge;
use sandbar_guest::eviction::knowledge::{KNOWLEDGE_BYTES_MAX, Reader, Writer};

use super::{Ghost, Ghosts, Pools, Tide, Trials, Worth, view};

/// Another one wherever views, pools or what is written change.
const FORM: &str = "tide 5";

/// Slots of which is written what is known of their entries, at most 12 bytes each: half of what is handed on.
const SLOTS_MAX: u32 = KNOWLEDGE_BYTES_MAX as u32 / 24;
/// A ghost's bytes, with what is written of it here.
const GHOST_BYTES_MAX: usize = 16 + 5 + 9;

impl Tide {
    pub(crate) fn all_knowledge(&self) -> Knowledge {
        let mut own = Writer::new(FORM);
        self.write_settings(&mut own);
        self.worth.write(&mut own);
        own.number(self.first as u64);
        own.byte(self.trials.is_some().into());
        if let Some(trials) = &self.trials {
            trials.write(&mut own);
        }
        self.entries.write(&mut own);
        let slots = self.entries.slots_used().min(SLOTS_MAX);
        own.number(slots);
        (0..slots).for_each(|slot| self.entries.write_entry(slot, &mut own));
        let reads = self.entries.all_reads();
        let room_bytes = KNOWLEDGE_BYTES_MAX.saturating_sub(own.bytes() + reads.len());
        let left_out = (self.ghosts.len() as usize).saturating_sub(room_bytes / GHOST_BYTES_MAX);
        let ghosts = self.ghosts.iter(self.entries.evicted()).skip(left_out).map(|(common, ghost)| {
            let (age, bytes) = self.entries.ages(ghost.read, ghost.evicted_bytes);
            own.number(age);
            own.number(bytes);
            common
        });
        let ghosts = ghosts.collect();
        Knowledge { reads, ghosts, private: own.finish() }
    }

    pub(crate) fn take_on(&mut self, knowledge: &Knowledge) {
        if self.take_on_all(knowledge).is_none() {
            if self.settings.ghosts {
                self.take_on_ghosts(knowledge);
            }
            self.begin_full();
        }
    }

    /// Goes on where another one of the same settings was. None where it was not one, and nothing has changed.
    fn take_on_all(&mut self, knowledge: &Knowledge) -> Option<()> {
        let mut own = Reader::new(&knowledge.private, FORM)?;
        let views = view::chosen(&self.settings).ok()?;
        self.read_settings(&mut own)?;
        let worth = Worth::read(self.settings.cost, &mut own)?;
        let first = usize::try_from(own.number()?).ok()?;
        let trials = match own.byte()? {
            0 => None,
            _ => Some(Trials::read(self.capacity_bytes, &views, self.settings.cost, &mut own)?),
        };
        let view = trials.as_ref().map_or(*views.get(first)?, Trials::followed);
        let entries = Pools::read_under(&view, &mut own)?;
        let heirlooms = (0..own.count()?).map(|_| entries.read_entry(&mut own)).collect::<Option<_>>()?;
        let mut ghosts = Ghosts::new(self.capacity_bytes);
        for ghost in &knowledge.ghosts {
            let (read, evicted_bytes) = entries.at_age(own.short()?, own.number()?);
            ghosts.push(ghost.key_hash, Ghost { evicted_bytes, read, reads: ghost.reads });
        }
        (self.worth, self.first, self.trials, self.view) = (worth, first, trials, view);
        (self.entries, self.heirlooms, self.ghosts) = (entries, heirlooms, ghosts);
        Some(())
    }

    /// A cache that is full of what was worth keeping has something to lose to newcomers.
    fn begin_full(&mut self) {
        self.first = view::first_when_full(&self.settings);
        self.follow_first();
    }

    /// Those of another kind of policy, as if they had left just now.
    fn take_on_ghosts(&mut self, knowledge: &Knowledge) {
        for ghost in &knowledge.ghosts {
            self.ghosts.push(ghost.key_hash, Ghost { evicted_bytes: 0, read: 0, reads: ghost.reads });
        }
    }

    /// What trials depend on.
    fn write_settings(&self, own: &mut Writer) {
        let settings = &self.settings;
        let switches = [settings.cost, settings.size, settings.adapt, settings.ghosts, settings.luck];
        switches.into_iter().for_each(|switch| own.byte(switch.into()));
        let names = view::names(settings);
        own.number(names.len() as u64);
        names.iter().for_each(|name| own.number(*name as u64));
    }

    /// None where the settings were other ones.
    fn read_settings(&self, own: &mut Reader<'_>) -> Option<()> {
        let mut mine = Writer::new(FORM);
        self.write_settings(&mut mine);
        let mine = mine.finish();
        let mut mine = Reader::new(&mine, FORM)?;
        while let Some(byte) = mine.byte() {
            own.byte().filter(|written| *written == byte)?;
        }
        Some(())
    }
}
