//! Tenants that are made, changed and removed over the admin API, one at a time. In a fleet they are recorded in its register
//! first, from which the other nodes take them.

use std::sync::Arc;

use sandbar::fleet::{Changed, Record, Register, Standing};
use sandbar::tenant::config::TenantConfig;
use sandbar::tier::TierError;
use sandbar_policy::Digest;

use super::step::{Step, To};
use super::{ReloadError, Reloads, State, to_its_end};

/// How often a change is tried again whose record the register had lost.
const TRIES: usize = 3;

/// What a change over the admin API has done.
#[derive(Debug)]
pub(crate) struct Made {
    /// Whether there was no tenant of that name before; of a removal, whether the file's is back.
    pub(crate) is_so: bool,
    /// In a fleet, the nodes that have not applied it yet, or can't; why that is not known, where they could not be asked for.
    pub(crate) missing: Option<Result<Vec<String>, TierError>>,
}

impl Reloads {
    /// Makes a tenant, or gives the one of that name other settings. It is kept, and outranks one of the file's. With `only_if`
    /// that is done if the present settings have this [tag](settings_tag) alone.
    ///
    /// # Errors
    /// When its settings are wrong, another tenant has one of its hosts, or the fleet can't be told. Nothing has changed on this
    /// node then; the fleet may have recorded it where it says so.
    pub(crate) async fn make_tenant(
        self: &Arc<Self>,
        tenant: TenantConfig,
        only_if: Option<String>,
    ) -> Result<Made, ReloadError> {
        let reloads = Arc::clone(self);
        to_its_end(async move { reloads.make(tenant, only_if.as_deref()).await }).await
    }

    async fn make(&self, mut tenant: TenantConfig, only_if: Option<&str>) -> Result<Made, ReloadError> {
        let right = self.change()?;
        let mut state = self.state.lock().await;
        self.first_reading(&mut state).await?;
        self.check_tag(&state, &tenant.name, only_if)?;
        let (name, tenants) = (tenant.name.clone(), &state.tenants);
        tenant.incarnation = match self.register() {
            Some(_) => tenants.incarnation_in_fleet(&name, self.clock.now()).max(state.unapplied_incarnation(&name)),
            None => tenants.incarnation(&name),
        };
        let is_new = self.settings_of(&name).is_none();
        let step = self.step(&name, To::Made(tenant)).await?;
        let version = self.carry_out(&mut state, step).await?;
        drop((state, right));
        tracing::info!(tenant = name, is_new, "a tenant was made or changed over the admin API");
        Ok(Made { is_so: is_new, missing: self.missing(&name, version).await })
    }

    /// Removes a tenant that was made over the admin API; where the file has one of that name, that is back. `only_if` is as for
    /// [`Self::make_tenant`].
    ///
    /// # Errors
    /// When none of that name was made over the API, the file's can't be brought back, or the fleet can't be told; what has changed
    /// then is as for [`Self::make_tenant`].
    pub(crate) async fn remove_tenant(
        self: &Arc<Self>,
        name: &str,
        only_if: Option<String>,
    ) -> Result<Made, ReloadError> {
        let (reloads, name) = (Arc::clone(self), name.to_owned());
        to_its_end(async move { reloads.unmake(&name, only_if.as_deref()).await }).await
    }

    async fn unmake(&self, name: &str, only_if: Option<&str>) -> Result<Made, ReloadError> {
        let right = self.change()?;
        let mut state = self.state.lock().await;
        self.first_reading(&mut state).await?;
        self.check_tag(&state, name, only_if)?;
        let made = state.tenants.made(name).map(|made| made.incarnation.max(state.unapplied_incarnation(name)));
        let Some(incarnation) = made else {
            return Err(match state.file.iter().any(|tenant| tenant.name == name) {
                true => ReloadError::OfFile(name.to_owned()),
                false => ReloadError::NotMade(name.to_owned()),
            });
        };
        let back = Self::of_file(&state, name, incarnation);
        let is_back = back.is_some();
        let step = self.step(name, To::Gone { incarnation, back }).await?;
        let version = self.carry_out(&mut state, step).await?;
        drop((state, right));
        tracing::info!(tenant = name, is_back, "a tenant was removed over the admin API");
        Ok(Made { is_so: is_back, missing: self.missing(name, version).await })
    }

    /// Checks that the present settings of a tenant are those that an operator has seen. Where this node can't apply newer ones of
    /// the fleet, she has not.
    fn check_tag(&self, state: &State, name: &str, only_if: Option<&str>) -> Result<(), ReloadError> {
        let Some(wanted) = only_if else { return Ok(()) };
        if state.known_version(name) > state.tenants.version(name) {
            return Err(ReloadError::Unseen(name.to_owned()));
        }
        let present = self.settings_of(name).map(|settings| settings_tag(&settings));
        let is_so =
            present.is_some_and(|present| wanted.trim() == "*" || wanted.split(',').any(|tag| tag.trim() == present));
        if is_so { Ok(()) } else { Err(ReloadError::Unseen(name.to_owned())) }
    }

    /// Records a change where it belongs, and makes it. Returns the version of its record in the fleet, 0 where there is none.
    async fn carry_out(&self, state: &mut State, step: Step) -> Result<u64, ReloadError> {
        let steps = [step];
        self.fits(&steps)?;
        let Some(register) = self.register() else { return self.carry_out_alone(state, &steps).await.map(|()| 0) };
        self.hosts_fit(&steps)?;
        let version = self.record(state, register, &steps).await?;
        if let Err(error) = self.take(&steps).await {
            // The other nodes have it by now, so this one goes on trying.
            register.news().came();
            return Err(ReloadError::Recorded(error.to_string()));
        }
        let was_unapplied = state.unapplied.contains_key(&steps[0].name);
        let is_kept = self.keep_or_owe(state, &steps[0], version);
        if was_unapplied || !is_kept {
            let unapplied = state.unapplied.values().cloned().collect();
            // It is told again with the next reading.
            let _ = register.note_applied(state.place.order(), unapplied).await;
        }
        Ok(version)
    }

    /// Keeps a change on this node, and makes it.
    async fn carry_out_alone(&self, state: &mut State, steps: &[Step; 1]) -> Result<(), ReloadError> {
        let name = &steps[0].name;
        let before = state.tenants.made(name).cloned();
        self.keep(state, &steps[0], 0)?;
        let Err(error) = self.take(steps).await else { return Ok(()) };
        match before {
            Some(before) => state.tenants.make(before, 0)?,
            None => {
                let present = self.settings_of(name);
                let incarnation = state.tenants.incarnation(name);
                state.tenants.unmake(name, incarnation, present.as_deref(), 0, self.clock.now())?;
            }
        }
        Err(error)
    }

    /// Writes a change into the register of the fleet, unless there was another one that this node had not heard of.
    async fn record(&self, state: &mut State, register: &Register, steps: &[Step; 1]) -> Result<u64, ReloadError> {
        let Step { name, to, .. } = &steps[0];
        let (incarnation, standing) = match to {
            To::Made(settings) => (settings.incarnation, Standing::Made(Box::new(settings.clone()))),
            To::Gone { incarnation, back } => (*incarnation, Standing::Gone { is_back: back.is_some() }),
        };
        let (at, node) = (self.clock.now(), register.node().to_owned());
        let record = Record { name: name.clone(), version: 0, incarnation, at, node, standing };
        let mut by = String::new();
        for _ in 0..TRIES {
            let expected = state.known_version(name);
            match register.change(&record, expected).await.map_err(ReloadError::Fleet)? {
                Changed::Recorded(version) => return Ok(version),
                Changed::Overtaken { by: other } => by = other,
            }
            self.read_register(state, true).await.map_err(ReloadError::Fleet)?;
            if state.known_version(name) != expected {
                break;
            }
            // The register had lost the tenant's record, and has it again.
            self.fits(steps)?;
            self.hosts_fit(steps)?;
        }
        Err(ReloadError::Overtaken { tenant: name.clone(), by })
    }

    /// The nodes that have not applied a change after a while; none where there is no fleet.
    async fn missing(&self, name: &str, version: u64) -> Option<Result<Vec<String>, TierError>> {
        let fleet = self.cache.fleet()?;
        let missing = fleet.register().behind(name, version, fleet.confirm_deadline()).await;
        if let Err(error) = &missing {
            tracing::warn!(%error, tenant = name, "it is not known which nodes have applied a change");
        }
        Some(missing)
    }
}

/// An entity tag of a tenant's settings (RFC 9110 section 8.8.3): another one where any of them differs.
pub(crate) fn settings_tag(settings: &TenantConfig) -> String {
    let text = serde_json::to_vec(settings).unwrap_or_default();
    format!("\"{}-{}\"", Digest::of(&text), settings.incarnation)
}
