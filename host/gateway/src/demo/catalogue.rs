//! The objects of the demo's origin: of realistic sizes, in a database, with bytes that follow from an object's number,
//! so that every body from the cache can be checked.

use std::path::Path;

use redb::{Database, ReadableDatabase, TableDefinition};

use super::random::{Random, mix};

const OBJECTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("objects");

/// Smallest and largest object in bytes.
const SIZE_BYTES: (f64, f64) = (1024.0, 256.0 * 1024.0);
/// Sizes on the web are log-normal with a heavy tail: this is the median in bytes, and the deviation of the logarithm.
const SIZE_MEDIAN_BYTES: f64 = 10.0 * 1024.0;
const SIZE_SIGMA: f64 = 1.1;

/// The objects, in a database on disk.
pub(super) struct Catalogue {
    database: Database,
}

impl Catalogue {
    /// Creates the database in `file` and fills it with the objects `ids`.
    pub(super) fn create(file: &Path, ids: impl Iterator<Item = u64>) -> anyhow::Result<Self> {
        let database = Database::create(file)?;
        let write = database.begin_write()?;
        {
            let mut objects = write.open_table(OBJECTS)?;
            for id in ids {
                objects.insert(id, body(id).as_slice())?;
            }
        }
        write.commit()?;
        Ok(Self { database })
    }

    /// Reads an object's bytes from the database; none where it has no such object.
    pub(super) fn read(&self, id: u64) -> anyhow::Result<Option<Vec<u8>>> {
        let objects = self.database.begin_read()?.open_table(OBJECTS)?;
        Ok(objects.get(id)?.map(|bytes| bytes.value().to_vec()))
    }
}

/// The bytes that object `id` must have.
pub(super) fn body(id: u64) -> Vec<u8> {
    let size = size_bytes(id);
    let mut bytes = Vec::with_capacity(size + 8);
    let mut random = Random::seeded(mix(id));
    while bytes.len() < size {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// The size that object `id` must have, in bytes.
pub(super) fn size_bytes(id: u64) -> usize {
    let deviation = Random::seeded(mix(!id)).normal();
    (SIZE_MEDIAN_BYTES * (SIZE_SIGMA * deviation).exp()).clamp(SIZE_BYTES.0, SIZE_BYTES.1) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_database_holds_what_the_numbers_promise() {
        let directory = tempfile::tempdir().unwrap();
        let catalogue = Catalogue::create(&directory.path().join("catalogue.redb"), 5..25).unwrap();
        for id in 5..25 {
            assert_eq!(catalogue.read(id).unwrap().unwrap(), body(id));
        }
        assert_eq!(catalogue.read(25).unwrap(), None);
        assert_ne!(body(5)[..64], body(6)[..64]);
    }

    #[test]
    fn sizes_are_log_normal_within_their_bounds() {
        let mut sizes: Vec<_> = (0..4000).map(size_bytes).collect();
        sizes.sort_unstable();
        assert!(sizes[0] >= 1024 && sizes[3999] <= 256 * 1024);
        assert!((9_000..11_500).contains(&sizes[2000]), "median {}", sizes[2000]);
        assert!((55_000..90_000).contains(&sizes[3840]), "96th percentile {}", sizes[3840]);
    }
}
