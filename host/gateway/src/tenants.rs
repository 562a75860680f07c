//! Which tenants there are: those of the configuration file and those made over the admin API, and which making of its name
//! each of them is. It is kept in `data_dir/tenants`:
//!
//! | file | what |
//! |---|---|
//! | `file.json` | the tenants of the configuration file when it was last applied |
//! | `made/NAME.json` | a tenant made over the API: its settings |
//! | `gone/NAME` | how often a tenant of that name has been removed; for as long as anything of it may be in an L2 |
//!
//! One that was made over the API outranks the file's of the same name.

mod kept;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use sandbar::tenant::config::TenantConfig;
use sandbar_base::clock::Timestamp;

pub use self::kept::KeptError;
use self::kept::{Kept, OfFile};

/// The tenants, and where they are kept.
#[derive(Debug)]
pub(super) struct Tenants {
    kept: Kept,
    /// Tenants that were made over the API, with their incarnations.
    made: BTreeMap<String, TenantConfig>,
    /// The tenants of the file when it was last applied.
    of_file: BTreeMap<String, OfFile>,
    /// Incarnations of tenants that are gone.
    gone: BTreeMap<String, u32>,
}

impl Tenants {
    /// Reads what is kept in `data_dir`, which need not be there yet.
    ///
    /// # Errors
    /// When something is there that can't be read.
    pub(super) fn open(data_dir: &Path, now: Timestamp) -> Result<Self, KeptError> {
        let kept = Kept::new(data_dir);
        let (made, of_file, gone) = (kept.made()?, kept.of_file()?, kept.gone(now)?);
        Ok(Self { kept, made, of_file, gone })
    }

    /// The tenants that there are where the file names `file`, each with its incarnation: those of the file in their order,
    /// then those that were made over the API alone.
    pub(super) fn all(&self, file: &[TenantConfig]) -> Vec<TenantConfig> {
        let of_file = file.iter().map(|tenant| match self.made.get(&tenant.name) {
            Some(made) => made.clone(),
            None => TenantConfig { incarnation: self.incarnation(&tenant.name), ..tenant.clone() },
        });
        let names: HashSet<&str> = file.iter().map(|tenant| &*tenant.name).collect();
        let others = self.made.values().filter(|made| !names.contains(&*made.name));
        of_file.chain(others.cloned()).collect()
    }

    /// The tenant of that name that was made over the API.
    pub(super) fn made(&self, name: &str) -> Option<&TenantConfig> {
        self.made.get(name)
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
        let present = self.of_file.get(name).map(|known| known.incarnation);
        let present = present.or_else(|| self.made.get(name).map(|made| made.incarnation));
        present.unwrap_or_else(|| self.gone.get(name).map_or(0, |gone| gone.saturating_add(1)))
    }

    /// Keeps which tenants the file has, before they are served. Those that it had before and that are not there any more are
    /// gone.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn keep_file(&mut self, all: &[TenantConfig], now: Timestamp) -> Result<(), KeptError> {
        let of_file = all.iter().filter(|tenant| !self.made.contains_key(&tenant.name)).map(|tenant| {
            let known = OfFile { incarnation: tenant.incarnation, key: key_of(tenant) };
            (tenant.name.clone(), known)
        });
        let of_file: BTreeMap<_, _> = of_file.collect();
        let left = self.of_file.iter().filter(|(name, _)| !of_file.contains_key(*name));
        for (name, known) in left.filter(|(name, _)| !self.made.contains_key(*name)) {
            self.kept.write_gone(name, known.incarnation, now)?;
            self.gone.insert(name.clone(), known.incarnation);
        }
        if of_file != self.of_file {
            self.kept.write_file(&of_file)?;
            for name in of_file.keys().filter(|name| self.gone.remove(*name).is_some()) {
                self.kept.remove_gone(name);
            }
            self.of_file = of_file;
        }
        Ok(())
    }

    /// Keeps a tenant that is being made over the API.
    ///
    /// # Errors
    /// When it can't be written; nothing has changed then.
    pub(super) fn make(&mut self, tenant: TenantConfig) -> Result<(), KeptError> {
        self.kept.write_made(&tenant)?;
        if self.gone.remove(&tenant.name).is_some() {
            self.kept.remove_gone(&tenant.name);
        }
        self.made.insert(tenant.name.clone(), tenant);
        Ok(())
    }

    /// Forgets a tenant that was made over the API. It is gone unless the file has one of the name, which is `given_back`.
    ///
    /// # Errors
    /// When it can't be written; nothing has changed then.
    pub(super) fn unmake(&mut self, name: &str, given_back: bool, now: Timestamp) -> Result<(), KeptError> {
        let Some(made) = self.made.get(name) else { return Ok(()) };
        if given_back {
            let known = OfFile { incarnation: made.incarnation, key: key_of(made) };
            let mut of_file = self.of_file.clone();
            of_file.insert(name.to_owned(), known);
            self.kept.write_file(&of_file)?;
            self.of_file = of_file;
        } else {
            self.kept.write_gone(name, made.incarnation, now)?;
            self.gone.insert(name.to_owned(), made.incarnation);
        }
        self.kept.remove_made(name)?;
        self.made.remove(name);
        Ok(())
    }
}

fn key_of(tenant: &TenantConfig) -> String {
    format!("{:032x}", tenant.key.digest().0)
}

#[cfg(test)]
mod tests;
