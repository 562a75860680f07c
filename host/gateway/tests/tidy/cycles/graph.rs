//! The graph of which module names which among its siblings.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::named::Module;

/// The modules of a crate, with the edges between siblings.
#[derive(Debug)]
pub(super) struct Graph {
    modules: BTreeSet<Vec<String>>,
    levels: BTreeMap<Vec<String>, Level>,
}

/// The edges between the children of one module: from, to, and the place that names it.
type Level = BTreeMap<String, BTreeMap<String, String>>;

impl Graph {
    pub(super) fn new(modules: impl Iterator<Item = Vec<String>>) -> Self {
        Self { modules: modules.collect(), levels: BTreeMap::new() }
    }

    /// Adds the edges from a module to all that it names.
    pub(super) fn add(&mut self, file: &Path, module: &Module) {
        let imported = module.uses.iter().filter_map(|(_, path)| self.resolved(&module.path, path));
        let in_code = module.paths.iter().filter_map(|path| self.found(module, path));
        let named: Vec<Vec<String>> = imported.chain(in_code).collect();
        for path in named {
            let at = format!("{} names {}", file.display(), path.join("::"));
            self.add_edge(&module.path, self.holder(&path), at);
        }
    }

    fn add_edge(&mut self, from: &[String], to: &[String], at: String) {
        let common = from.iter().zip(to).take_while(|(one, other)| one == other).count();
        if let (Some(one), Some(other)) = (from.get(common), to.get(common)) {
            let level = self.levels.entry(from[..common].to_vec()).or_default();
            level.entry(one.clone()).or_default().entry(other.clone()).or_insert(at);
        }
    }

    /// A path in code, from the root: its first segment may be the name of an import.
    fn found(&self, module: &Module, path: &[String]) -> Option<Vec<String>> {
        let behind_import = || {
            let (_, import) = module.uses.iter().find(|(name, _)| *name == path[0])?;
            Some([&self.resolved(&module.path, import)?, &path[1..]].concat())
        };
        self.resolved(&module.path, path).or_else(behind_import)
    }

    /// A path that is written in a module, from the root; none where it leads out of the crate.
    fn resolved(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => {
                let supers = path.iter().take_while(|segment| *segment == "super").count();
                Some([module.get(..module.len().checked_sub(supers)?)?, &path[supers..]].concat())
            }
            _ => Some([module, path].concat()).filter(|whole| self.modules.contains(&whole[..=module.len()])),
        }
    }

    /// The innermost module that a path leads through.
    fn holder<'a>(&self, path: &'a [String]) -> &'a [String] {
        let len = (1..=path.len()).rev().find(|len| self.modules.contains(&path[..*len])).unwrap_or(0);
        &path[..len]
    }

    /// The edges that lie on a cycle.
    pub(super) fn cycles(&self) -> Vec<String> {
        self.levels.iter().flat_map(|(of, level)| cycles(of, level)).collect()
    }
}

fn cycles(of: &[String], level: &Level) -> Vec<String> {
    let of = if of.is_empty() { String::new() } else { format!("{}: ", of.join("::")) };
    let edges = level.iter().flat_map(|(from, named)| named.iter().map(move |(to, at)| (from, to, at)));
    let on_cycle = edges.filter(|(from, to, _)| reached(level, to).contains(from.as_str()));
    on_cycle.map(|(from, to, at)| format!("{of}{from} -> {to}: {at}")).collect()
}

/// The modules that can be reached from a module, itself included.
fn reached<'a>(level: &'a Level, from: &'a str) -> BTreeSet<&'a str> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(level.get(module).into_iter().flat_map(BTreeMap::keys).map(String::as_str));
        }
    }
    reached
}
