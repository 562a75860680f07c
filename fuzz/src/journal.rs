//! Any bytes as a file of the journal: reading it ends, and gives out nothing that is not whole. The fuzz target runs
//! it on what the fuzzer makes up, an ordinary test on the saved corpus.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use sandbar_base::clock::{ManualClock, Timestamp};
use sandbar_journal::files::{Files, LogFile};
use sandbar_journal::{Batch, Journal, OpenError, Settings};

/// A directory with one file that was there, and those that the journal makes.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<Named>>>);

/// A file and its name.
type Named = (String, Arc<Content>);

#[derive(Debug, Default)]
struct Content(Mutex<Vec<u8>>);

impl Memory {
    fn find(&self, path: &Path) -> io::Result<Arc<Content>> {
        let files = self.0.lock().expect("nobody panicked");
        let found = files.iter().find(|(name, _)| path.ends_with(name));
        found.map(|(_, content)| Arc::clone(content)).ok_or(io::ErrorKind::NotFound.into())
    }
}

impl Files for Memory {
    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(()))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<String>> {
        Ok(self.0.lock().expect("nobody panicked").iter().map(|(name, _)| name.clone()).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        let content = Arc::<Content>::default();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.0.lock().expect("nobody panicked").push((name, Arc::clone(&content)));
        Ok(content)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn LogFile>> {
        Ok(self.find(path)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let content = self.find(from)?;
        self.0.lock().expect("nobody panicked").retain(|(name, _)| !from.ends_with(name) && !to.ends_with(name));
        let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.0.lock().expect("nobody panicked").push((name, content));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.find(path)?;
        self.0.lock().expect("nobody panicked").retain(|(name, _)| !path.ends_with(name));
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl LogFile for Content {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let content = self.0.lock().expect("nobody panicked");
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(len).ok_or(io::ErrorKind::UnexpectedEof)?;
        content.get(start..end).map(<[u8]>::to_vec).ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().expect("nobody panicked").len() as u64)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.0.lock().expect("nobody panicked").truncate(usize::try_from(len).map_err(io::Error::other)?);
        Ok(())
    }
}

/// Opens a journal whose one file has these bytes, has everything in it delivered, and opens it again.
///
/// # Panics
/// When it has something else the second time, or what it has can't be handed out.
pub(crate) fn look(bytes: &[u8]) {
    let files = Memory::default();
    let content = Arc::new(Content(Mutex::new(bytes.to_vec())));
    files.0.lock().expect("nobody panicked").push(("0000000000000001.journal".into(), content));
    let open = || {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_millis(1_000_000)));
        // What is in memory is given out without the disk, which needs no runtime.
        Journal::open_on(Arc::new(files.clone()), Path::new("/journal"), Settings::default(), clock)
    };
    let found = match open() {
        Ok((_journal, found)) => found,
        Err(OpenError::NoHead { .. } | OpenError::Newer { .. }) => return,
        Err(other) => panic!("{other}"),
    };
    let (journal, again) = open().expect("it could be opened");
    assert_eq!((found.pending, found.dead), (again.pending, again.dead), "it is read as it was written again");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let tenants: Vec<String> = journal.stats(Timestamp::default()).tenants.into_keys().collect();
        let mut delivered = 0;
        for tenant in tenants {
            loop {
                let handed = journal.take(&tenant, &Batch::default(), Timestamp::from_millis(u64::MAX)).await;
                let Some(handed) = handed.into_iter().next() else { break };
                assert_eq!(*handed.write().tenant, *tenant);
                handed.done();
                delivered += 1;
            }
        }
        assert_eq!(delivered, found.pending, "all of it can be handed out");
    });
}
