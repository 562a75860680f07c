//! The name of a setting, from the outermost table inwards.

use std::fmt;

/// The name of a setting: `l2.disk.capacity`, or `tenant.class.path` of the second class of the first tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key(Vec<Step>);

/// One step of a key, inwards.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Into the value under a name in a table.
    Named(String),
    /// Into an element of an array, counted from 0.
    At(usize),
}

impl Key {
    /// The key of a setting inside this one; each dot in `name` goes one level further in.
    #[must_use]
    pub fn then(mut self, name: &str) -> Self {
        self.0.extend(name.split('.').map(|name| Step::Named(name.to_owned())));
        self
    }

    /// The key of an element of this array, counted from 0.
    #[must_use]
    pub fn at(mut self, index: usize) -> Self {
        self.0.push(Step::At(index));
        self
    }

    /// The key of the setting `inner` inside this one.
    #[must_use]
    pub fn within(mut self, inner: &Self) -> Self {
        self.0.extend(inner.0.iter().cloned());
        self
    }

    /// The key of the setting `inner` of a tenant; tenants are counted from 0.
    pub fn of_tenant(index: usize, inner: &Self) -> Self {
        Self::from("tenant").at(index).within(inner)
    }

    /// The key that is one step further in.
    #[must_use]
    pub fn step(&self, step: Step) -> Self {
        let mut key = self.clone();
        key.0.push(step);
        key
    }

    /// The steps, outermost first.
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The tenant whose setting this is, counted from 0; `None` for a setting outside of tenants.
    pub fn tenant(&self) -> Option<usize> {
        match &self.0[..] {
            [Step::Named(name), Step::At(index), ..] if name == "tenant" => Some(*index),
            _ => None,
        }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::default().then(text)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.0.iter().filter_map(|step| match step {
            Step::Named(name) => Some(name),
            Step::At(_) => None,
        });
        f.write_str(names.next().map_or("", String::as_str))?;
        names.try_for_each(|name| write!(f, ".{name}"))
    }
}
