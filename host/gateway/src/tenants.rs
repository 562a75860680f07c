//! Which tenants there are: those of the configuration file and those made over the admin API, and which making of its name
//! each of them is. It is kept in `data_dir/tenants`:
//!
//! | file | what |
//! |---|---|
//! | `file.json` | the tenants of the configuration file when it was last applied |
//! | `made/NAME.json` | a tenant made over the API: its settings |
//! | `gone/NAME` | how often a tenant of that name has been removed; for as long as anything of it may be in an L2 |
//! | `register.json` | which register of a fleet was read last |
//!
//! One that was made over the API outranks the file's of the same name. In a fleet each of them has the version of its record
//! in the fleet's register, of which this is a copy.

mod kept;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use sandbar::fleet::{Record, Standing};
use sandbar::tenant::config::TenantConfig;
use sandbar_base::clock::Timestamp;

pub use self::kept::KeptError;
use self::kept::{Gone, Kept, Made, OfFile};

/// The tenants, and where they are kept.
#[derive(Debug)]
pub(super) struct Tenants {
    kept: Kept,
    /// Tenants that were made over the API, with their incarnations.
    made: BTreeMap<String, Made>,
    /// The tenants of the file when it was last applied.
    of_file: BTreeMap<String, OfFile>,
    gone: BTreeMap<String, Gone>,
    /// The epoch of the fleet's register that was read last; empty where none was.
    epoch: String,
    /// Tenants whose last change could not be written.
    unwritten: BTreeSet<String>,
    /// Tenants that were made over the API and can't be served on this node as they are kept.
    left_out: BTreeSet<String>,
}

impl Tenants {
    /// Reads what is kept in `data_dir`, which need not be there yet.
    ///
    /// # Errors
    /// When something is there that can't be read.
    pub(super) fn open(data_dir: &Path, now: Timestamp) -> Result<Self, KeptError> {
        let kept = Kept::new(data_dir);
        let (made, of_file, gone, epoch) = (kept.made()?, kept.of_file()?, kept.gone(now)?, kept.epoch()?);
        let (unwritten, left_out) = Default::default();
        Ok(Self { kept, made, of_file, gone, epoch, unwritten, left_out })
    }

    /// The tenants that there are where the file names `file`, each with its incarnation: those of the file in their order,
    /// then those that were made over the API alone. Without those that are [left out](Self::leave_out).
    pub(super) fn all(&self, file: &[TenantConfig]) -> Vec<TenantConfig> {
        let of_file = file.iter().map(|tenant| match self.made(&tenant.name) {
            Some(made) if !self.left_out.contains(&tenant.name) => made.clone(),
            _ => TenantConfig { incarnation: self.incarnation(&tenant.name), ..tenant.clone() },
        });
        let names: HashSet<&str> = file.iter().map(|tenant| &*tenant.name).collect();
        let others = self.made.values().map(|made| &made.settings).filter(|made| !names.contains(&*made.name));
        of_file.chain(others.filter(|made| !self.left_out.contains(&made.name)).cloned()).collect()
    }

    /// Leaves out a tenant that was made over the API and can't be served as it is kept: the fleet's register decides what becomes
    /// of it.
    pub(super) fn leave_out(&mut self, name: &str) {
        self.left_out.insert(name.to_owned());
    }

    /// Takes back a tenant that was left out.
    pub(super) fn take_back(&mut self, name: &str) {
        self.left_out.remove(name);
    }

    /// Whether a record that is applied here has to be applied again: what it says could not be written, or is not served.
    pub(super) fn owes(&self, name: &str) -> bool {
        self.unwritten.contains(name) || self.left_out.contains(name)
    }

    /// The tenant of that name that was made over the API.
    pub(super) fn made(&self, name: &str) -> Option<&TenantConfig> {
        self.made.get(name).map(|made| &made.settings)
    }

    /// Names of tenants that were made over the API and outrank one of the file.
    pub(super) fn outranking(&self, file: &[TenantConfig]) -> Vec<String> {
        let names = file.iter().map(|tenant| &tenant.name);
        names.filter(|name| self.made.contains_key(*name)).cloned().collect()
    }

    /// Names of the file's tenants whose key rules are not those under which they were last served.
    pub(super) fn with_other_keys(&self, all: &[TenantConfig]) -> Vec<String> {
        let changed =
            |tenant: &&TenantConfig| self.of_file.get(&tenant.name).is_some_and(|before| before.key != key_of(tenant));
        all.iter().filter(changed).map(|tenant| tenant.name.clone()).collect()
    }

    /// Which making of its name a tenant is, or would be.
    pub(super) fn incarnation(&self, name: &str) -> u32 {
        self.present_incarnation(name)
            .unwrap_or_else(|| self.gone.get(name).map_or(0, |gone| gone.incarnation.saturating_add(1)))
    }

    /// Which making of its name a tenant is that a fleet agrees on. One that is new is numbered by the second in which it is
    /// made: so that it is another one than all before, even where nobody remembers those.
    pub(super) fn incarnation_in_fleet(&self, name: &str, now: Timestamp) -> u32 {
        let second = u32::try_from(now.as_millis() / 1000).unwrap_or(u32::MAX);
        self.present_incarnation(name).unwrap_or_else(|| self.incarnation(name).max(second))
    }

    fn present_incarnation(&self, name: &str) -> Option<u32> {
        let of_file = self.of_file.get(name).map(|known| known.incarnation);
        self.made(name).map(|made| made.incarnation).or(of_file)
    }

    /// The version of the tenant's record that is applied here; 0 where it has none.
    pub(super) fn version(&self, name: &str) -> u64 {
        let made = self.made.get(name).map(|made| made.version);
        let of_file = self.of_file.get(name).map(|known| known.version);
        made.or(of_file).or(self.gone.get(name).map(|gone| gone.version)).unwrap_or(0)
    }

    /// The epoch of the fleet's register that was read last; empty where none was.
    pub(super) fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Names of tenants whose records are applied here as made.
    pub(super) fn registered(&self) -> impl Iterator<Item = &str> {
        self.made.iter().filter(|(_, made)| made.version > 0).map(|(name, _)| &**name)
    }

    /// Whether a tenant is served as a record says that makes it.
    pub(super) fn is_registered(&self, name: &str) -> bool {
        self.made.get(name).is_some_and(|made| made.version > 0) && !self.left_out.contains(name)
    }

    /// Whether a tenant was made over the API that has no record: before there was a fleet. Without those that `is_known` is true
    /// of: of them the register has another record.
    pub(super) fn has_unrecorded(&self, is_known: impl Fn(&str) -> bool) -> bool {
        self.made.iter().any(|(name, made)| made.version == 0 && !is_known(name))
    }

    /// All that this node knows of tenants that were made over the API, for a register that may have lost it.
    pub(super) fn records(&self, node: &str, now: Timestamp) -> Vec<Record> {
        let record = |name: &str, version, incarnation, at, standing| {
            let (name, node) = (name.to_owned(), node.to_owned());
            Record { name, version, incarnation, at, node, standing }
        };
        let made = self.made.values().map(|Made { version, settings }| {
            let standing = Standing::Made(Box::new(settings.clone()));
            record(&settings.name, *version, settings.incarnation, now, standing)
        });
        let gone = self.gone.iter().filter(|(_, gone)| gone.version > 0).map(|(name, gone)| {
            record(name, gone.version, gone.incarnation, gone.since, Standing::Gone { is_back: false })
        });
        let back =
            self.of_file.iter().filter(|(_, known)| known.version > 0).map(|(name, known)| {
                record(name, known.version, known.incarnation, now, Standing::Gone { is_back: true })
            });
        made.chain(gone).chain(back).collect()
    }

    /// Keeps which register was read.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn keep_epoch(&mut self, epoch: &str) -> Result<(), KeptError> {
        if self.epoch != epoch {
            epoch.clone_into(&mut self.epoch);
            self.kept.write_epoch(epoch)?;
        }
        Ok(())
    }

    /// Keeps which tenants the file has, before they are served. Those that it had before and that are not there any more are
    /// gone; their names are returned.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn keep_file(&mut self, all: &[TenantConfig], now: Timestamp) -> Result<Vec<String>, KeptError> {
        let of_file = all.iter().filter(|tenant| !self.made.contains_key(&tenant.name)).map(|tenant| {
            let version = self.version(&tenant.name);
            let known = OfFile { incarnation: tenant.incarnation, key: key_of(tenant), version };
            (tenant.name.clone(), known)
        });
        let of_file: BTreeMap<_, _> = of_file.collect();
        let left = self.of_file.iter().filter(|(name, _)| !of_file.contains_key(*name));
        let left = left.filter(|(name, _)| !self.made.contains_key(*name));
        let left: Vec<_> = left.map(|(name, known)| (name.clone(), known.clone())).collect();
        for (name, OfFile { incarnation, version, .. }) in &left {
            self.note_gone(name, Gone { incarnation: *incarnation, version: *version, since: now })?;
        }
        if of_file != self.of_file {
            self.kept.write_file(&of_file)?;
            for name in of_file.keys().filter(|name| self.gone.remove(*name).is_some()) {
                self.kept.remove_gone(name);
            }
            self.of_file = of_file;
        }
        Ok(left.into_iter().map(|(name, _)| name).collect())
    }

    /// Keeps a tenant that was made over the API; `version` is that of its record, 0 where there is no fleet.
    ///
    /// # Errors
    /// When it can't be written. Nothing has changed then where it has no record; where it has one, this process goes by that, and
    /// [owes](Self::owes) what could not be written.
    pub(super) fn make(&mut self, settings: TenantConfig, version: u64) -> Result<(), KeptError> {
        let made = Made { version, settings };
        let name = made.settings.name.clone();
        let written = self.kept.write_made(&made);
        if version == 0 && written.is_err() {
            return written;
        }
        if written.is_ok() {
            self.kept.remove_gone(&name);
        }
        self.note_owed(&name, written.is_err());
        self.gone.remove(&name);
        self.made.insert(name, made);
        written
    }

    /// Forgets a tenant that was made over the API, and keeps that the file's of that name is `back`, or that it is gone as the
    /// given incarnation.
    ///
    /// # Errors
    /// When it can't be written; what that means is as for [`Self::make`].
    pub(super) fn unmake(
        &mut self,
        name: &str,
        incarnation: u32,
        back: Option<&TenantConfig>,
        version: u64,
        now: Timestamp,
    ) -> Result<(), KeptError> {
        let gone = self.gone_after(name, Gone { incarnation, version, since: now });
        let mut of_file = None;
        let noted = if let Some(back) = back {
            let known = OfFile { incarnation: back.incarnation, key: key_of(back), version };
            let of_file = of_file.insert(self.of_file.clone());
            of_file.insert(name.to_owned(), known);
            self.kept.write_file(of_file)
        } else {
            self.kept.write_gone(name, gone)
        };
        let written = noted.and_then(|()| self.kept.remove_made(name));
        if version == 0 && written.is_err() {
            return written;
        }
        self.note_owed(name, written.is_err());
        match of_file {
            Some(of_file) => self.of_file = of_file,
            None => _ = self.gone.insert(name.to_owned(), gone),
        }
        self.made.remove(name);
        written
    }

    /// Notes that what is known of a tenant now is what is to be served, and whether it could not be written.
    fn note_owed(&mut self, name: &str, is_owed: bool) {
        self.left_out.remove(name);
        if is_owed { _ = self.unwritten.insert(name.to_owned()) } else { _ = self.unwritten.remove(name) }
    }

    fn note_gone(&mut self, name: &str, gone: Gone) -> Result<(), KeptError> {
        let gone = self.gone_after(name, gone);
        self.kept.write_gone(name, gone)?;
        self.gone.insert(name.to_owned(), gone);
        Ok(())
    }

    /// What is kept of a tenant that goes, after what was kept already.
    fn gone_after(&self, name: &str, gone: Gone) -> Gone {
        let before = self.gone.get(name).map_or(0, |before| before.incarnation);
        Gone { incarnation: gone.incarnation.max(before), ..gone }
    }
}

fn key_of(tenant: &TenantConfig) -> String {
    format!("{:032x}", tenant.key.digest().0)
}

#[cfg(test)]
mod tests;
