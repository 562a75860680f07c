//! Going back to a policy that a role had before.

use super::TenantPolicies;
use super::bound::Prepared;
use crate::history::{target, with_present};
use crate::saved::Restored;
use crate::{BindError, Binding, BoundBy, PastBinding, PolicyOrigin, Role};

impl TenantPolicies {
    /// The last bindings of a role, oldest first; the last one is the present one. Where bindings are not kept on disk,
    /// that is all. Blocks on the disk.
    ///
    /// # Errors
    /// When the history can't be read.
    pub fn history(&self, role: Role) -> Result<Vec<PastBinding>, BindError> {
        let mut bindings = match &self.kept {
            Some(kept) => kept.history(role)?,
            None => Vec::new(),
        };
        with_present(&mut bindings, self.bound(role).past());
        Ok(bindings)
    }

    /// Prepares the policy that a role had before: that of the binding with the number `to` or, without a number, of the
    /// last one that differs from the present one. Takes as long as [`Self::prepare`].
    ///
    /// # Errors
    /// When there is none, it is not kept, or it can't be bound any more.
    pub fn prepare_rollback(&self, role: Role, to: Option<u64>) -> Result<Prepared, BindError> {
        let Some(kept) = &self.kept else {
            return Err(BindError::NoPast("bindings are not kept: set `data_dir`".to_owned()));
        };
        let bindings = self.history(role)?;
        let past = target(&bindings, to).map_err(BindError::NoPast)?;
        let source = match past.origin {
            PolicyOrigin::Stock => Binding::stock(role, &past.name),
            PolicyOrigin::StockNative => Binding::stock(role, &past.name).native(),
            PolicyOrigin::Component => {
                let digest = past.digest.ok_or_else(|| BindError::NoPast("its digest is not recorded".to_owned()))?;
                Binding::component(role, kept.component(digest).map_err(BindError::NoPast)?)
            }
            PolicyOrigin::Configured => return self.prepare_configured_again(role, past),
            PolicyOrigin::Program => {
                let gone = format!("{:?} is a policy of the embedding program, which binds it itself", past.name);
                return Err(BindError::NoPast(gone));
            }
        };
        let binding = source.with_settings(past.settings.clone());
        let name = (past.origin == PolicyOrigin::Component).then(|| past.name.clone());
        let restored = Restored { binding: binding.clone(), name, since: self.clock.now() };
        self.prepare_as(binding, BoundBy::Api, Some(restored))
    }

    /// The configured policy, or the native default, unless that is another one by now: who goes back to a policy must not
    /// get one that was never bound.
    fn prepare_configured_again(&self, role: Role, past: &PastBinding) -> Result<Prepared, BindError> {
        let prepared = self.prepare_configured(role).map_err(|error| error.reason)?;
        let prepared = prepared.unwrap_or_else(|| self.native_default(role));
        let is = prepared.bound.past();
        if is.is_like(past) {
            return Ok(prepared);
        }
        Err(BindError::NoPast(format!(
            "{:?} came from the configuration, where {:?} or its settings have taken its place; `sandbar policy unbind` \
             binds what is configured now",
            past.name, is.name
        )))
    }
}
