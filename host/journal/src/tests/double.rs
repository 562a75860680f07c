//! A file system in memory that keeps after a crash what it must and anything of the rest: of bytes that were not
//! synced any pattern of sectors, of names that were not synced any, of those that failed to sync nothing that a later
//! `fsync` says is there.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastrand::Rng;
use parking_lot::Mutex;

use crate::files::{Files, LogFile};

const SECTOR: usize = 512;

/// The file system; clones are the same one.
#[derive(Clone, Debug)]
pub(super) struct Double(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    /// As they were when the directory was last synced, and what was done to them since.
    durable_names: BTreeMap<PathBuf, usize>,
    renames: Vec<Change>,
    locks: BTreeSet<PathBuf>,
    random: Rng,
    /// After so many more operations the machine stops.
    stops_in: Option<u64>,
    has_stopped: bool,
    faults: Faults,
}

/// What is the matter with the disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    /// So many of the next calls of `fsync` fail.
    pub(super) syncs: u32,
    /// So many of the next synced directories fail.
    pub(super) dir_syncs: u32,
    /// So many of the next writes fail half way.
    pub(super) appends: u32,
    /// So many bytes are left.
    pub(super) room: Option<u64>,
    pub(super) is_read_only: bool,
    pub(super) reads: bool,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// What a failed `fsync` has left: it is read as if it were there, and is never written any more.
    lost: Vec<Range<usize>>,
}

/// A change of names that happens as a whole or not at all.
#[derive(Clone, Debug)]
struct Change {
    removed: Option<PathBuf>,
    set: Option<(PathBuf, usize)>,
}

impl Double {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State::new(Rng::with_seed(seed)))))
    }

    /// Has the machine stop within so many operations.
    pub(super) fn stop_in(&self, operations: u64) {
        self.0.lock().stops_in = Some(operations);
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.0.lock().has_stopped
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.0.lock().faults = faults;
    }

    pub(super) fn faults(&self) -> Faults {
        self.0.lock().faults.clone()
    }

    /// What is there when the machine has started again.
    pub(super) fn after_crash(&self) -> Self {
        let mut state = self.0.lock();
        state.has_stopped = true;
        let mut random = state.random.fork();
        let mut names = state.durable_names.clone();
        let kept_percent = [0, 50, 90, 100][random.usize(0..4)];
        for change in &state.renames {
            if random.u32(0..100) < kept_percent {
                change.apply(&mut names);
            }
        }
        let mut next = State::new(random);
        for (name, inode) in names {
            let content = state.inodes[inode].after_crash(&mut next.random);
            next.inodes.push(Inode { now: content.clone(), durable: content, lost: Vec::new() });
            next.names.insert(name, next.inodes.len() - 1);
        }
        next.durable_names = next.names.clone();
        Self(Arc::new(Mutex::new(next)))
    }

    /// Changes a file behind the journal's back.
    pub(super) fn meddle(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let path = state.names.keys().find(|path| path.ends_with(name)).expect("such a file").clone();
        let inode = state.names[&path];
        change(&mut state.inodes[inode].now);
        state.inodes[inode].durable = state.inodes[inode].now.clone();
    }

    pub(super) fn remove_file(&self, name: &str) {
        let mut state = self.0.lock();
        state.names.retain(|path, _| !path.ends_with(name));
        state.durable_names = state.names.clone();
        state.renames.clear();
    }

    /// The names of all segments, in order.
    pub(super) fn segments(&self) -> Vec<String> {
        let state = self.0.lock();
        let names = state.names.keys().filter_map(|path| path.file_name()?.to_str());
        names.filter(|name| name.ends_with(".journal")).map(str::to_owned).collect()
    }

    pub(super) fn has_file(&self, name: &str) -> bool {
        self.0.lock().names.keys().any(|path| path.ends_with(name))
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        let state = self.0.lock();
        state.names.values().map(|inode| state.inodes[*inode].now.len() as u64).sum()
    }
}

impl State {
    fn new(random: Rng) -> Self {
        Self {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renames: Vec::new(),
            locks: BTreeSet::new(),
            random,
            stops_in: None,
            has_stopped: false,
            faults: Faults::default(),
        }
    }

    /// An operation that changes something: false where the machine stops before it has begun.
    fn step(&mut self) -> io::Result<bool> {
        if self.has_stopped {
            return Err(io::Error::other("the machine has stopped"));
        }
        if self.faults.is_read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let Some(left) = &mut self.stops_in else { return Ok(true) };
        *left = left.saturating_sub(1);
        self.has_stopped = *left == 0;
        Ok(!self.has_stopped)
    }

    /// As [`Self::step`], for operations that have happened or not when the machine stops.
    fn all_or_nothing(&mut self) -> io::Result<bool> {
        Ok(self.step()? || self.random.bool())
    }

    fn end(&self) -> io::Result<()> {
        match self.has_stopped {
            true => Err(io::Error::other("the machine has stopped")),
            false => Ok(()),
        }
    }

    fn change(&mut self, change: Change) -> io::Result<()> {
        if self.all_or_nothing()? {
            change.apply(&mut self.names);
            self.renames.push(change);
        }
        self.end()
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        if let Some(removed) = &self.removed {
            names.remove(removed);
        }
        if let Some((name, inode)) = &self.set {
            names.insert(name.clone(), *inode);
        }
    }
}

impl Inode {
    fn sync(&mut self) {
        let before = std::mem::replace(&mut self.durable, self.now.clone());
        for range in &self.lost {
            for at in range.start..range.end.min(self.durable.len()) {
                self.durable[at] = before.get(at).copied().unwrap_or(0);
            }
        }
    }

    /// What was to be synced is clean from now on, as the kernel sees it, and not on the disk.
    fn lose(&mut self) {
        let same = self.now.iter().zip(&self.durable).take_while(|(now, durable)| now == durable).count();
        self.lost.push(same..self.now.len());
    }

    fn after_crash(&self, random: &mut Rng) -> Vec<u8> {
        let written_percent = [0, 50, 80, 100][random.usize(0..4)];
        let (short, long) = (self.durable.len().min(self.now.len()), self.durable.len().max(self.now.len()));
        let len = [self.durable.len(), self.now.len(), random.usize(short..=long)][random.usize(0..3)];
        let fill = if random.bool() { 0 } else { 0xA5 };
        let mut content = self.durable.clone();
        content.resize(len, fill);
        for start in (0..len).step_by(SECTOR) {
            if random.u32(0..100) < written_percent {
                for at in (start..len.min(start + SECTOR)).filter(|at| *at < self.now.len()) {
                    if !self.lost.iter().any(|range| range.contains(&at)) {
                        content[at] = self.now[at];
                    }
                }
            }
        }
        content
    }
}

impl Files for Double {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.0.lock().end()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut state = self.0.lock();
        state.end()?;
        match state.locks.insert(path.to_owned()) {
            true => Ok(Box::new(Locked(self.clone(), path.to_owned()))),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        state.end()?;
        let names = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(names.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let mut state = self.0.lock();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if state.faults.room == Some(0) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.change(Change { removed: None, set: Some((path.to_owned(), inode)) })?;
        Ok(Arc::new(Open(self.clone(), inode)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let state = self.0.lock();
        state.end()?;
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Open(self.clone(), inode)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let inode = *state.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        state.change(Change { removed: Some(from.to_owned()), set: Some((to.to_owned(), inode)) })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let bytes = state.inodes[inode].now.len() as u64;
        state.change(Change { removed: Some(path.to_owned()), set: None })?;
        state.faults.room = state.faults.room.map(|room| room + bytes);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.faults.dir_syncs > 0 {
            state.faults.dir_syncs -= 1;
            return Err(io::Error::other("the disk fails"));
        }
        if state.all_or_nothing()? {
            state.durable_names = state.names.clone();
            state.renames.clear();
        }
        state.end()
    }
}

struct Locked(Double, PathBuf);

impl Drop for Locked {
    fn drop(&mut self) {
        self.0.0.lock().locks.remove(&self.1);
    }
}

#[derive(Debug)]
struct Open(Double, usize);

impl LogFile for Open {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.0.lock();
        let (mut len, mut refusal) = (bytes.len(), None);
        if state.faults.appends > 0 {
            state.faults.appends -= 1;
            (len, refusal) = (state.random.usize(0..=len), Some(io::ErrorKind::Other));
        } else if let Some(room) = state.faults.room {
            len = len.min(room as usize);
            refusal = (len < bytes.len()).then_some(io::ErrorKind::StorageFull);
            state.faults.room = Some(room - len as u64);
        }
        if !state.step()? {
            len = state.random.usize(0..=len);
        }
        state.inodes[self.1].now.extend_from_slice(&bytes[..len]);
        state.end()?;
        refusal.map_or(Ok(()), |kind| Err(kind.into()))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.0.lock();
        if state.faults.syncs > 0 {
            state.faults.syncs -= 1;
            state.inodes[self.1].lose();
            return Err(io::Error::other("the disk fails"));
        }
        if state.all_or_nothing()? {
            state.inodes[self.1].sync();
        }
        state.end()
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let state = self.0.0.lock();
        state.end()?;
        if state.faults.reads {
            return Err(io::Error::other("the disk fails"));
        }
        let content = &state.inodes[self.1].now;
        let start = offset as usize;
        content.get(start..start + len).map(<[u8]>::to_vec).ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.0.0.lock();
        state.end()?;
        Ok(state.inodes[self.1].now.len() as u64)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.0.lock();
        if state.all_or_nothing()? {
            let before = state.inodes[self.1].now.len() as u64;
            state.inodes[self.1].now.truncate(len as usize);
            state.faults.room = state.faults.room.map(|room| room + before.saturating_sub(len));
        }
        state.end()
    }
}
