//! How writes to the targets of a class are treated: which strategy, and its details.

use std::time::Duration;

use http::{HeaderMap, HeaderName, Method, StatusCode};

use super::config::{ClassConfig, TenantConfig, WriteConfig};
use crate::consistency::Consistency;
use crate::setting::Key;
use crate::strategy::Strategy;

/// How writes to the targets of a class are treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteRules {
    strategy: Strategy,
    others: Vec<Other>,
    /// Whether `ttl` invalidates the target.
    pub(crate) ttl_invalidates: bool,
    /// The lifetime with which the content of a PUT is stored as its target's representation; `None` where it is not.
    pub(crate) put_lifetime: Option<Duration>,
    /// What a write that is held is answered with.
    pub(crate) accepted: StatusCode,
    /// Methods whose writes may be held although it is not known what they make of their target.
    pub(crate) blind: Vec<Method>,
    /// Whether a later write takes the place of an earlier one that was not sent yet.
    pub(crate) absorb: bool,
}

/// What a held write may be answered with: that it is done, or will be.
const ACCEPTED: [StatusCode; 3] = [StatusCode::OK, StatusCode::ACCEPTED, StatusCode::NO_CONTENT];

/// Writes that have another strategy than the rest of their class.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Other {
    methods: Vec<Method>,
    field: Option<(HeaderName, Option<String>)>,
    strategy: Strategy,
}

/// A setting that can't work: its key below the class's table, its value, what is wrong, and what would be right.
pub(super) type Wrong = (Key, String, String, &'static str);

impl WriteRules {
    /// The rules of a class, with its tenant's strategy where it has none.
    pub(super) fn of(tenant: &TenantConfig, class: &ClassConfig) -> Result<Self, Wrong> {
        let consistency = class.consistency.unwrap_or(tenant.consistency);
        let strategy = class.strategy.unwrap_or(tenant.strategy);
        let others = class.write.iter().enumerate().map(|(at, other)| Other::of(at, other));
        let rules = Self {
            strategy,
            others: others.collect::<Result<_, _>>()?,
            ttl_invalidates: class.ttl_invalidates.unwrap_or(true),
            put_lifetime: class.put_lifetime.map(|lifetime| lifetime.get()),
            accepted: accepted(class)?,
            blind: blind(class)?,
            absorb: class.absorb.unwrap_or(true),
        };
        rules.fit(class, consistency)?;
        Ok(rules)
    }

    /// The strategy of a write.
    pub(crate) fn strategy(&self, method: &Method, fields: &HeaderMap) -> Strategy {
        self.others.iter().find(|other| other.fits(method, fields)).map_or(self.strategy, |other| other.strategy)
    }

    /// Whether some write of the class has this strategy.
    pub(crate) fn has(&self, strategy: Strategy) -> bool {
        self.strategy == strategy || self.others.iter().any(|other| other.strategy == strategy)
    }

    /// Checks the rules against each other, and against what the class promises.
    fn fit(&self, class: &ClassConfig, consistency: Consistency) -> Result<(), Wrong> {
        let wrong = |key: &str, value: String, reason: String, remedy| Err((Key::from(key), value, reason, remedy));
        let is_strict = consistency.reaches_beyond_the_node();
        if is_strict && self.has(Strategy::Ttl) {
            let reason = format!("it tells no other node of a write, and consistency is \"{consistency}\"");
            let remedy = "set consistency = \"eventual\" for the class, or another strategy";
            return wrong("strategy", "\"ttl\"".to_owned(), reason, remedy);
        }
        if let Some(invalidates) = class.ttl_invalidates.filter(|_| !self.has(Strategy::Ttl)) {
            let reason = "it is about writes whose strategy is \"ttl\", and the class has none".to_owned();
            return wrong(
                "ttl_invalidates",
                invalidates.to_string(),
                reason,
                "leave it out, or set strategy = \"ttl\"",
            );
        }
        self.fit_behind(class, consistency)?;
        let Some(lifetime) = class.put_lifetime else { return Ok(()) };
        if !self.has(Strategy::WriteThrough) {
            let reason = "it is about writes whose strategy is \"write-through\", and the class has none".to_owned();
            let remedy = "leave it out, or set strategy = \"write-through\"";
            return wrong("put_lifetime", format!("\"{lifetime}\""), reason, remedy);
        }
        if consistency == Consistency::Versioned {
            let reason = "the version of a representation comes with the response to a GET, not with a PUT".to_owned();
            let remedy = "leave it out: the new representation is fetched instead";
            return wrong("put_lifetime", format!("\"{lifetime}\""), reason, remedy);
        }
        Ok(())
    }
}

impl WriteRules {
    /// Checks what is about writes that are held.
    fn fit_behind(&self, class: &ClassConfig, consistency: Consistency) -> Result<(), Wrong> {
        let wrong = |key: &str, value: String, reason: String, remedy| Err((Key::from(key), value, reason, remedy));
        if self.has(Strategy::WriteBehind) {
            if matches!(consistency, Consistency::WriteAll | Consistency::Versioned) {
                let reason = format!(
                    "other nodes see a held write once its origin has it, and consistency is \"{consistency}\""
                );
                let remedy = "set consistency = \"bus\" or \"eventual\" for the class, or another strategy";
                return wrong("strategy", "\"write-behind\"".to_owned(), reason, remedy);
            }
            let is_held =
                |method: &Method| matches!(*method, Method::PUT | Method::DELETE) || self.blind.contains(method);
            let held = self.others.iter().filter(|other| other.strategy == Strategy::WriteBehind);
            if let Some(method) = held.flat_map(|other| &other.methods).find(|method| !is_held(method)) {
                let reason =
                    "nobody knows what such a write makes of its target, so that readers could not be shown it"
                        .to_owned();
                let remedy = "name it in `blind`, which says that they need not be, or leave it out";
                return wrong("write.methods", format!("\"{method}\""), reason, remedy);
            }
            return Ok(());
        }
        let status = class.held_status.map(|status| ("held_status", status.to_string()));
        let blind = (!class.blind.is_empty()).then(|| ("blind", format!("{:?}", class.blind)));
        let absorb = class.absorb.map(|absorb| ("absorb", absorb.to_string()));
        let Some((key, value)) = status.or(blind).or(absorb) else { return Ok(()) };
        let reason = "it is about writes whose strategy is \"write-behind\", and the class has none".to_owned();
        wrong(key, value, reason, "leave it out, or set strategy = \"write-behind\"")
    }
}

/// What a held write of the class is answered with.
fn accepted(class: &ClassConfig) -> Result<StatusCode, Wrong> {
    let Some(status) = class.held_status else { return Ok(StatusCode::ACCEPTED) };
    ACCEPTED.into_iter().find(|accepted| accepted.as_u16() == status).ok_or_else(|| {
        let reason = "it is what a write that will be done is answered with".to_owned();
        (Key::from("held_status"), status.to_string(), reason, "set 200, 202 or 204")
    })
}

/// The methods of the class whose writes may be held blind.
fn blind(class: &ClassConfig) -> Result<Vec<Method>, Wrong> {
    let method = |name: &String| {
        let wrong = |reason: &str, remedy| Err((Key::from("blind"), format!("{name:?}"), reason.to_owned(), remedy));
        match Method::from_bytes(name.as_bytes()) {
            Ok(Method::PUT | Method::DELETE) => wrong("it is held anyway", "leave it out"),
            Ok(method) if sandbar_http::semantics::request::is_safe(&method) => {
                wrong("it is a safe method, which writes nothing", "leave it out")
            }
            Ok(method) => Ok(method),
            Err(_) => wrong("it is no name of a method", "write one such as \"PATCH\""),
        }
    };
    class.blind.iter().map(method).collect()
}

impl Other {
    fn of(at: usize, config: &WriteConfig) -> Result<Self, Wrong> {
        let wrong = |key: &str, value: String, reason: &str, remedy| {
            Err((Key::from("write").at(at).then(key), value, reason.to_owned(), remedy))
        };
        let mut methods = Vec::new();
        for name in &config.methods {
            match Method::from_bytes(name.as_bytes()) {
                Ok(method) if !sandbar_http::semantics::request::is_safe(&method) => methods.push(method),
                Ok(_) => {
                    let (reason, remedy) = ("it is a safe method, which writes nothing", "leave it out");
                    return wrong("methods", format!("{name:?}"), reason, remedy);
                }
                Err(_) => {
                    let remedy = "write one such as \"PUT\"";
                    return wrong("methods", format!("{name:?}"), "it is no name of a method", remedy);
                }
            }
        }
        let Some(name) = &config.field else {
            if let Some(value) = &config.value {
                let remedy = "name the field with `field`, or leave the value out";
                return wrong("value", format!("{value:?}"), "it is the value of no field", remedy);
            }
            if methods.is_empty() {
                let reason = "it fits every write of the class, which has a setting for that";
                return wrong("strategy", format!("\"{}\"", config.strategy), reason, "set methods or a field");
            }
            return Ok(Self { methods, field: None, strategy: config.strategy });
        };
        let Ok(field) = HeaderName::from_bytes(name.as_bytes()) else {
            let remedy = "write one such as \"prefer\"";
            return wrong("field", format!("{name:?}"), "it is not a header field name", remedy);
        };
        Ok(Self { methods, field: Some((field, config.value.clone())), strategy: config.strategy })
    }

    fn fits(&self, method: &Method, fields: &HeaderMap) -> bool {
        let by_method = self.methods.is_empty() || self.methods.contains(method);
        by_method
            && self.field.as_ref().is_none_or(|(name, value)| match value {
                None => fields.contains_key(name),
                Some(value) => fields.get_all(name).iter().any(|found| found.as_bytes() == value.as_bytes()),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(class: &str) -> Result<WriteRules, Wrong> {
        let class: ClassConfig = toml::from_str(class).expect("a class");
        WriteRules::of(&TenantConfig::default(), &class)
    }

    #[test]
    fn the_first_rule_that_fits_a_write_gives_its_strategy() {
        let rules = rules(
            "strategy = \"ttl\"\n\
             write = [{ field = \"x-now\", value = \"1\", strategy = \"write-through\" },\n\
             { methods = [\"PUT\", \"DELETE\"], strategy = \"invalidate\" }]",
        )
        .expect("they are sound");
        let now = HeaderMap::from_iter([(HeaderName::from_static("x-now"), "1".parse().expect("a value"))]);
        let later = HeaderMap::from_iter([(HeaderName::from_static("x-now"), "10".parse().expect("a value"))]);
        for (method, fields, strategy) in [
            (Method::PUT, &now, Strategy::WriteThrough),
            (Method::PUT, &later, Strategy::Invalidate),
            (Method::DELETE, &HeaderMap::new(), Strategy::Invalidate),
            (Method::POST, &HeaderMap::new(), Strategy::Ttl),
        ] {
            assert_eq!(rules.strategy(&method, fields), strategy, "{method} {fields:?}");
        }
        assert!(rules.ttl_invalidates && rules.put_lifetime.is_none());
    }

    #[test]
    fn what_can_not_work_is_refused() {
        for (class, key) in [
            ("strategy = \"ttl\"\nconsistency = \"bus\"", "strategy"),
            ("consistency = \"bus\"\nwrite = [{ methods = [\"PUT\"], strategy = \"ttl\" }]", "strategy"),
            ("ttl_invalidates = false", "ttl_invalidates"),
            ("put_lifetime = \"5s\"", "put_lifetime"),
            ("strategy = \"write-through\"\nconsistency = \"versioned\"\nput_lifetime = \"5s\"", "put_lifetime"),
            ("write = [{ strategy = \"ttl\" }]", "write.strategy"),
            ("write = [{ methods = [\"PUT\"] }, { methods = [\"GET\"] }]", "write.methods"),
            ("write = [{ methods = [\"P T\"] }]", "write.methods"),
            ("write = [{ methods = [\"PUT\"], value = \"1\" }]", "write.value"),
            ("write = [{ field = \"a b\" }]", "write.field"),
            ("strategy = \"write-behind\"\nconsistency = \"write-all\"", "strategy"),
            ("strategy = \"write-behind\"\nheld_status = 201", "held_status"),
            ("strategy = \"write-behind\"\nblind = [\"GET\"]", "blind"),
            ("strategy = \"write-behind\"\nblind = [\"PUT\"]", "blind"),
            ("held_status = 204", "held_status"),
            ("absorb = false", "absorb"),
            ("blind = [\"PATCH\"]", "blind"),
            ("write = [{ methods = [\"POST\"], strategy = \"write-behind\" }]", "write.methods"),
        ] {
            let wrong = rules(class).expect_err(class);
            assert_eq!(wrong.0.to_string(), key, "{class}: {wrong:?}");
        }
    }
}
