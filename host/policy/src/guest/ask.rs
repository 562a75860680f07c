//! Guests of the roles freshness and invalidation: each question stands alone, so that any instance can answer it.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use sandbar_base::clock::Timestamp;
use sandbar_http::purge::Purge;

use super::instances::Instances;
use crate::engine::{Maker, wit};
use crate::freshness::{Fill, FreshnessPolicy, Plan};
use crate::invalidation::{Event, InvalidationPolicy, Written, sensible};
use crate::{BindError, Fault, GuestText};

/// Header fields that a policy may ask for.
const FIELDS_MAX: usize = 32;

/// A freshness policy that is a guest.
pub(crate) struct FreshnessGuest {
    instances: Arc<Instances<Box<dyn wit::Freshness>, Vec<String>>>,
    fields: Vec<HeaderName>,
}

impl FreshnessGuest {
    /// Opens a guest: its first instance is made and has taken the settings.
    pub(crate) fn open(maker: Maker, settings: String, seed: u64) -> Result<Self, BindError> {
        let (instances, wishes) = Instances::open(maker, move |maker| {
            maker.make(
                maker.engine.config().memory_bytes,
                |store, instance| wit::freshness(&maker.compiled, store, instance),
                |store, guest| guest.configure(store, &settings, seed),
            )
        })?;
        Ok(Self { instances, fields: field_names(wishes)? })
    }
}

impl FreshnessPolicy for FreshnessGuest {
    fn plan(&self, now: Timestamp, fill: &Fill<'_>, standard: &Plan) -> Result<Plan, Fault> {
        let request = lines(&self.fields, &[fill.request]);
        let response = lines(&self.fields, &[fill.response]);
        self.instances.ask(|engine, instance| {
            instance.call(engine, |store, guest| guest.plan(store, now, fill, (&request, &response), standard))
        })
    }
}

/// An invalidation policy that is a guest.
pub(crate) struct InvalidationGuest {
    instances: Arc<Instances<Box<dyn wit::Invalidation>, Vec<String>>>,
    fields: Vec<HeaderName>,
}

impl InvalidationGuest {
    /// Opens a guest: its first instance is made and has taken the settings.
    pub(crate) fn open(maker: Maker, settings: String, seed: u64) -> Result<Self, BindError> {
        let (instances, wishes) = Instances::open(maker, move |maker| {
            maker.make(
                maker.engine.config().memory_bytes,
                |store, instance| wit::invalidation(&maker.compiled, store, instance),
                |store, guest| guest.configure(store, &settings, seed),
            )
        })?;
        Ok(Self { instances, fields: field_names(wishes)? })
    }
}

impl InvalidationPolicy for InvalidationGuest {
    fn purges(&self, now: Timestamp, written: &Written<'_>) -> Result<(Vec<Purge>, u64), Fault> {
        let fields = lines(&self.fields, &[written.request, written.response]);
        let named = self
            .instances
            .ask(|engine, instance| instance.call(engine, |store, guest| guest.purges(store, now, written, &fields)))?;
        Ok(sensible(named))
    }

    fn event_purges(&self, now: Timestamp, event: &Event<'_>) -> Result<(Vec<Purge>, u64), Fault> {
        let named = self
            .instances
            .ask(|engine, instance| instance.call(engine, |store, guest| guest.event_purges(store, now, event)))?;
        Ok(sensible(named))
    }
}

/// The names of header fields that a guest asked for, each once.
fn field_names(wishes: Vec<String>) -> Result<Vec<HeaderName>, BindError> {
    let nonsense = |sentence: String| BindError::Faulted(Fault::nonsense(sentence));
    if wishes.len() > FIELDS_MAX {
        return Err(nonsense(format!("it wants to see {} header fields, the limit is {FIELDS_MAX}", wishes.len())));
    }
    let parse = |wish: &String| {
        let shown = GuestText::within(wish, 64);
        HeaderName::from_bytes(wish.as_bytes())
            .map(|name| name.as_str().to_owned())
            .map_err(|_| nonsense(format!("it wants to see the header field `{shown}`, which can't be one")))
    };
    let names = wishes.iter().map(parse).collect::<Result<BTreeSet<String>, _>>()?;
    Ok(names.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect())
}

/// The lines of the wanted fields. A value that is not text can't be passed to a guest, and is left out.
fn lines<'a>(wanted: &'a [HeaderName], fields: &[&'a HeaderMap]) -> Vec<(&'a str, &'a str)> {
    let lines_of = |fields: &'a HeaderMap| {
        wanted.iter().flat_map(move |name| {
            fields.get_all(name).iter().filter_map(move |value| Some((name.as_str(), value.to_str().ok()?)))
        })
    };
    fields.iter().copied().flat_map(lines_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_can_not_be_are_refused_by_name() {
        let refused = field_names(vec!["a b".to_owned()]).unwrap_err().to_string();
        assert!(refused.contains("`a b`"), "{refused}");
        let many = (0..=FIELDS_MAX).map(|number| format!("x-{number}")).collect();
        assert!(field_names(many).unwrap_err().to_string().contains("33"));
    }

    #[test]
    fn only_the_wanted_lines_cross_in_their_order() {
        let wanted = field_names(vec!["X-Tag".to_owned(), "x-tag".to_owned()]).unwrap();
        let mut fields = HeaderMap::new();
        fields.append("x-tag", "one".parse().unwrap());
        fields.append("cookie", "secret".parse().unwrap());
        fields.append("x-tag", "two".parse().unwrap());
        assert_eq!(lines(&wanted, &[&fields]), [("x-tag", "one"), ("x-tag", "two")]);
    }
}
