//! Purges by this node that could not be recorded yet.
//!
//! Such a purge has a sequence of this node's own, and entries that other nodes stored meanwhile may carry higher ones
//! although they were fetched before it. So as long as it is not recorded, no entry of L2 in its scope is trusted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use sandbar_http::entry::{Entry, StoredResponse};

use super::Scope;
use super::marks::target_of;

/// The scopes of one tenant's purges that are not recorded yet: those that wait to be delivered, and those under way.
#[derive(Debug, Default)]
pub(crate) struct Unrecorded {
    count: AtomicUsize,
    scopes: Mutex<HashMap<Scope, usize>>,
}

/// A purge that is being recorded. When this is dropped, the purge counts as recorded, unless it waits.
#[derive(Debug)]
pub(crate) struct BeingRecorded<'a> {
    of: &'a Unrecorded,
    scope: &'a Scope,
    waits: bool,
}

impl Unrecorded {
    /// Notes that a purge begins to be recorded.
    pub(crate) fn begin<'a>(&'a self, scope: &'a Scope) -> BeingRecorded<'a> {
        let mut scopes = self.scopes.lock();
        *scopes.entry(scope.clone()).or_default() += 1;
        self.count.store(scopes.len(), Ordering::Release);
        BeingRecorded { of: self, scope, waits: false }
    }

    /// Notes that a purge that waited has been recorded.
    pub(crate) fn settle(&self, scope: &Scope) {
        let mut scopes = self.scopes.lock();
        if let Some(count) = scopes.get_mut(scope) {
            *count -= 1;
            if *count == 0 {
                scopes.remove(scope);
            }
        }
        self.count.store(scopes.len(), Ordering::Release);
    }

    /// Has one scope stand for all purges that wait, because there were too many to tell apart.
    pub(crate) fn become_one(&self, scope: Scope) {
        let mut scopes = self.scopes.lock();
        *scopes = HashMap::from([(scope, 1)]);
        self.count.store(1, Ordering::Release);
    }

    /// Whether one of the purges reaches an entry. Costs an atomic load where there are none.
    pub(crate) fn reaches(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Response(response) => self.reaches_response(response),
            Entry::Variants(_) => self.reaches_key(entry.key(), &[]),
        }
    }

    /// Like [`Self::reaches`], for a response.
    pub(crate) fn reaches_response(&self, response: &StoredResponse) -> bool {
        self.reaches_key(&response.key, &response.plan.surrogate_keys)
    }

    fn reaches_key(&self, key_text: &str, surrogate_keys: &[String]) -> bool {
        if self.count.load(Ordering::Acquire) == 0 {
            return false;
        }
        let scopes = self.scopes.lock();
        let target = target_of(key_text);
        scopes.contains_key(&Scope::Everything)
            || scopes.contains_key(&Scope::Target(target.clone()))
            || surrogate_keys.iter().any(|key| scopes.contains_key(&Scope::SurrogateKey(key.clone())))
            || scopes.keys().any(|scope| matches!(scope, Scope::Prefix(prefix) if prefix.covers(&target)))
    }
}

impl BeingRecorded<'_> {
    /// Notes that the purge could not be recorded and waits: [`Unrecorded::settle`] has to be called once it is
    /// recorded.
    pub(crate) fn waits(mut self) {
        self.waits = true;
    }
}

impl Drop for BeingRecorded<'_> {
    fn drop(&mut self) {
        if !self.waits {
            self.of.settle(self.scope);
        }
    }
}

#[cfg(test)]
mod tests {
    use sandbar_http::entry::Variants;
    use sandbar_http::key::{KeyRules, Target, TargetPrefix};

    use super::*;

    fn entry(target: &str) -> Entry {
        Entry::Variants(Variants {
            key: format!("t\nhttp://h\n{target}\n").into(),
            sets: Vec::new(),
            sequence: u64::MAX,
        })
    }

    fn target(target: &str) -> Scope {
        Scope::Target(Target::on_site(&KeyRules::default(), "http://h", target).expect("a target"))
    }

    #[test]
    fn what_is_not_recorded_reaches_entries_whatever_their_number() {
        let unrecorded = Unrecorded::default();
        let check = |reached: &[&str]| {
            for path in ["/a/1", "/a/2", "/b"] {
                assert_eq!(unrecorded.reaches(&entry(path)), reached.contains(&path), "{path}: {reached:?}");
            }
        };
        check(&[]);
        let (one, all_of_a) = (target("/a/1"), Scope::Prefix(TargetPrefix::new(None, "/a/").expect("a prefix")));
        let recording = unrecorded.begin(&one);
        check(&["/a/1"]);
        unrecorded.begin(&one).waits();
        drop(recording);
        check(&["/a/1"]);
        unrecorded.begin(&all_of_a).waits();
        check(&["/a/1", "/a/2"]);
        unrecorded.settle(&one);
        unrecorded.settle(&all_of_a);
        check(&[]);
        unrecorded.become_one(Scope::Everything);
        check(&["/a/1", "/a/2", "/b"]);
        unrecorded.settle(&one);
        unrecorded.settle(&Scope::Everything);
        check(&[]);
    }
}
