//! Where settings come from: errors name the file, line and column of their key, or the flag that set it, and only this
//! module finds them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeArray, DeTable, DeValue};

use sandbar::setting::{Key, Step};

/// The sources of the settings: a file, and what takes precedence over it on the command line or in the environment.
#[derive(Clone, Default)]
pub struct Source {
    file: Option<Arc<File>>,
    /// Keys that a flag or an environment variable sets, each with the name of that.
    said: Vec<(Key, &'static str)>,
}

struct File {
    name: String,
    text: String,
}

/// The place that an error names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In a file that does not set the key, or is no TOML.
    File(String),
    /// In a file, at a line and a column, counted from 1.
    Line(String, usize, usize),
    /// On the command line or in the environment.
    Said(&'static str),
}

/// The setting at a position of the file.
pub(super) struct Spot {
    pub(super) place: Place,
    pub(super) key: Key,
    /// The value as it is written; none where it is a table or an array.
    pub(super) value: Option<String>,
    /// The name of the tenant that the setting belongs to.
    pub(super) tenant: Option<String>,
}

impl Source {
    pub(super) fn file(name: &str, text: &str) -> Self {
        Self { file: Some(Arc::new(File { name: name.to_owned(), text: text.to_owned() })), said: Vec::new() }
    }

    /// Notes that `who` (a flag, a variable of the environment) has set `key`, whatever the file says.
    pub fn say(&mut self, key: &str, who: &'static str) {
        self.said.push((Key::from(key), who));
    }

    /// The flag or variable that has set a key instead of the file, if one has; the last one counts.
    pub(super) fn said(&self, key: &Key) -> Option<&'static str> {
        self.said.iter().rev().find(|(said, _)| said == key).map(|(_, who)| *who)
    }

    /// The place where a key is set, or else that of the innermost table around it; and the name of its tenant.
    pub(super) fn find(&self, key: &Key) -> (Option<Place>, Option<String>) {
        if let Some(who) = self.said(key) {
            return (Some(Place::Said(who)), None);
        }
        let Some(file) = &self.file else { return (None, None) };
        let Ok(root) = DeTable::parse(&file.text) else { return (Some(Place::File(file.name.clone())), None) };
        let root = root.get_ref();
        let tenant = key.tenant().and_then(|index| tenant_name(root, index));
        match walk(root, key.steps()) {
            Some(at) => (Some(file.place(at.start)), tenant),
            None => (Some(Place::File(file.name.clone())), tenant),
        }
    }

    /// The setting at a position of the file, in bytes from its beginning.
    pub(super) fn spot(&self, position: usize) -> Option<Spot> {
        let file = self.file.as_ref()?;
        let root = DeTable::parse(&file.text).ok()?;
        let mut deepest = None;
        look_in_table(root.get_ref(), &Key::default(), position, &mut deepest);
        let Seen { key, at, value } = deepest?;
        let tenant = key.tenant().and_then(|index| tenant_name(root.get_ref(), index));
        let value = value.map(|value| file.text[value].trim().to_owned());
        Some(Spot { place: file.place(at.start), key, value, tenant })
    }

    /// The place and the line of a position of the file, in bytes from its beginning.
    pub(super) fn line(&self, position: usize) -> Option<(Place, String)> {
        let file = self.file.as_ref()?;
        let position = position.min(file.text.len());
        let start = file.text[..position].rfind('\n').map_or(0, |newline| newline + 1);
        Some((file.place(position), file.text[start..].lines().next().unwrap_or_default().trim().to_owned()))
    }
}

impl File {
    fn place(&self, position: usize) -> Place {
        let before = &self.text[..position.min(self.text.len())];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        Place::Line(self.name.clone(), line, before[line_start..].chars().count() + 1)
    }
}

/// The position of a key, or of the innermost table around it that exists.
fn walk(root: &DeTable<'_>, steps: &[Step]) -> Option<Range<usize>> {
    let (mut at, mut value): (Option<Range<usize>>, Option<&DeValue<'_>>) = (None, None);
    for step in steps {
        let next = match (step, value) {
            (Step::Named(name), None) => root.get_key_value(name.as_str()),
            (Step::Named(name), Some(DeValue::Table(table))) => table.get_key_value(name.as_str()),
            (Step::At(index), Some(DeValue::Array(array))) => {
                let Some(element) = array.get(*index) else { return at };
                (at, value) = (Some(element.span()), Some(element.get_ref()));
                continue;
            }
            _ => None,
        };
        match next {
            Some((key, inner)) => (at, value) = (Some(key.span()), Some(inner.get_ref())),
            None => return at,
        }
    }
    at
}

fn tenant_name(root: &DeTable<'_>, index: usize) -> Option<String> {
    let tenants = root.get("tenant")?.get_ref().as_array()?;
    Some(tenants.get(index)?.get_ref().as_table()?.get("name")?.get_ref().as_str()?.to_owned())
}

/// A key, or an element of an array, that a position lies in.
struct Seen {
    key: Key,
    at: Range<usize>,
    value: Option<Range<usize>>,
}

/// Looks for the deepest key at a position. A table's header lies outside of what the table holds, so all of it is
/// searched.
fn look_in_table(table: &DeTable<'_>, above: &Key, position: usize, deepest: &mut Option<Seen>) {
    for (name, value) in table {
        let key = above.step(Step::Named(name.get_ref().to_string()));
        if name.span().contains(&position) || holds(&value.span(), position) {
            let is_plain = !matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
            let shown = is_plain.then(|| value.span());
            *deepest = Some(Seen { key: key.clone(), at: name.span(), value: shown });
        }
        look_inside(value.get_ref(), &key, position, deepest);
    }
}

fn look_in_array(array: &DeArray<'_>, above: &Key, position: usize, deepest: &mut Option<Seen>) {
    for (index, element) in array.iter().enumerate() {
        let key = above.step(Step::At(index));
        if holds(&element.span(), position) {
            let is_plain = !matches!(element.get_ref(), DeValue::Table(_) | DeValue::Array(_));
            *deepest = Some(Seen { key: key.clone(), at: element.span(), value: is_plain.then(|| element.span()) });
        }
        look_inside(element.get_ref(), &key, position, deepest);
    }
}

fn look_inside(value: &DeValue<'_>, key: &Key, position: usize, deepest: &mut Option<Seen>) {
    match value {
        DeValue::Table(table) => look_in_table(table, key, position, deepest),
        DeValue::Array(array) => look_in_array(array, key, position, deepest),
        _ => {}
    }
}

fn holds(span: &Range<usize>, position: usize) -> bool {
    span.start <= position && position < span.end.max(span.start + 1)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => f.write_str(name),
            Self::Line(name, line, column) => write!(f, "{name}:{line}:{column}"),
            Self::Said(who) => f.write_str(who),
        }
    }
}

/// Sources are always equal: two configurations are the same if all their settings are.
impl PartialEq for Source {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// Shows the file's name alone: its text may hold secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("file", &self.file.as_ref().map(|file| &file.name)).finish_non_exhaustive()
    }
}
