//! Which purges hide an entry, for operators who ask.

use sandbar_http::entry::Entry;

use super::{Barriers, Mark, target_of};
use crate::barrier::{Purge, PurgeMode, Scope};

impl Barriers {
    /// The purges that this node remembers and that an entry is behind, each scope with the stricter of its two modes.
    pub fn hiding(&self, entry: &Entry) -> Vec<Purge> {
        let (marks, target, sequence) = (self.marks.read(), target_of(entry.key()), entry.sequence());
        let keys = match entry {
            Entry::Response(response) => &response.plan.surrogate_keys[..],
            Entry::Variants(_) => &[],
        };
        let everything = Some((Scope::Everything, &marks.everything));
        let by_target = marks.targets.get(&target).map(|mark| (Scope::Target(target.clone()), mark));
        let prefixes = marks.prefixes.iter().filter(|(prefix, _)| prefix.covers(&target));
        let by_prefix = prefixes.map(|(prefix, mark)| (Scope::Prefix(prefix.clone()), mark));
        let by_key = keys
            .iter()
            .filter_map(|key| Some((Scope::SurrogateKey(key.clone()), marks.surrogate_keys.get(key.as_str())?)));
        let all = everything.into_iter().chain(by_target).chain(by_prefix).chain(by_key);
        all.filter_map(|(scope, mark)| Some(Purge { scope, mode: mark.mode(sequence)? })).collect()
    }
}

impl Mark {
    /// How an entry of this sequence was purged; `None` where it was not.
    const fn mode(&self, sequence: u64) -> Option<PurgeMode> {
        if sequence < self.hard {
            Some(PurgeMode::Hard)
        } else if sequence < self.soft {
            Some(PurgeMode::Soft)
        } else {
            None
        }
    }
}
