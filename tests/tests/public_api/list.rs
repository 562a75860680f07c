//! Which items can be reached from outside, and by which paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use syn::{Item, ItemImpl, Type, UseTree, Visibility};

use super::print;
use super::source::{Sources, attributes, is_hidden};

/// Where an item is defined: the path of its module, and its name.
type Definition = (Vec<String>, String);

/// The items that can be reached, with the paths by which they can be.
pub(crate) struct Listing {
    sources: Sources,
    reached: BTreeMap<String, Definition>,
    others: BTreeSet<String>,
}

impl Listing {
    pub(crate) fn of(root: &Path, name: &str) -> Self {
        let sources = Sources::read(root);
        let mut listing = Self { sources, reached: BTreeMap::new(), others: BTreeSet::new() };
        listing.walk(&[name.to_owned()], name);
        listing
    }

    /// The lines of the list, sorted by path.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.others.iter().cloned().collect();
        for (path, (module, name)) in &self.reached {
            for item in self.items(module, name) {
                lines.extend(print::item(item, path));
            }
            for block in self.impls(module, name) {
                lines.extend(print::implementation(block, path));
            }
        }
        let key =
            |line: &str| line.split_once("sandbar::").map_or_else(|| line.to_owned(), |(_, rest)| rest.to_owned());
        lines.sort_by_cached_key(|line| key(line));
        lines.dedup();
        lines
    }

    /// The items with several public paths.
    pub(crate) fn with_several_paths(&self) -> Vec<String> {
        let mut paths: BTreeMap<&Definition, Vec<&str>> = BTreeMap::new();
        self.reached.iter().for_each(|(path, definition)| paths.entry(definition).or_default().push(path));
        paths.into_values().filter(|paths| paths.len() > 1).map(|paths| paths.join(" and ")).collect()
    }

    fn items(&self, module: &[String], name: &str) -> impl Iterator<Item = &Item> {
        let items = self.sources.0.get(module).into_iter().flat_map(|module| &module.items);
        items.filter(move |item| name_of(item).is_some_and(|known| known == name))
    }

    /// The blocks that implement something for a type, wherever in its crate they are.
    fn impls(&self, module: &[String], name: &str) -> impl Iterator<Item = &ItemImpl> {
        let of_crate = self.sources.0.iter().filter(move |(path, _)| path[0] == module[0]);
        let blocks = of_crate.flat_map(|(path, found)| found.items.iter().map(move |item| (path, item)));
        blocks.filter_map(move |(path, item)| match item {
            Item::Impl(block) if !is_hidden(&block.attrs) => {
                let Type::Path(of) = &*block.self_ty else { return None };
                let written: Vec<String> = of.path.segments.iter().map(|part| part.ident.to_string()).collect();
                let definition = self.resolve(path, &written)?;
                (definition.0 == module && definition.1 == name).then_some(block)
            }
            _ => None,
        })
    }

    /// Walks over what a module shows, under the path `shown`.
    fn walk(&mut self, module: &[String], shown: &str) {
        let Some(found) = self.sources.0.get(module) else { return };
        let public: Vec<Item> = found.items.iter().filter(|item| is_public(item)).cloned().collect();
        for item in public {
            match &item {
                Item::Mod(inner) => {
                    let name = inner.ident.to_string();
                    self.others.insert(format!("pub mod {shown}::{name}"));
                    self.walk(&[module, std::slice::from_ref(&name)].concat(), &format!("{shown}::{name}"));
                }
                Item::Use(import) => self.show(module, &mut Vec::new(), &import.tree, shown),
                Item::Macro(_) => self.others.extend(print::item(&item, shown)),
                _ => {
                    let name = name_of(&item).expect("it has a name");
                    self.reached.insert(format!("{shown}::{name}"), (module.to_vec(), name));
                }
            }
        }
        let made = |item: &Item| matches!(item, Item::Macro(made) if made.ident.is_none());
        let made = self.sources.0[module].items.iter().filter(|item| made(item));
        self.others.extend(made.flat_map(|item| print::item(item, shown)).collect::<Vec<_>>());
    }

    /// Shows what a `pub use` brings into a module.
    fn show(&mut self, module: &[String], before: &mut Vec<String>, tree: &UseTree, shown: &str) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.show(module, before, &path.tree, shown);
                before.pop();
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.show(module, before, tree, shown)),
            UseTree::Name(name) => self.show_as(module, before, &name.ident.to_string(), None, shown),
            UseTree::Rename(name) => {
                self.show_as(module, before, &name.ident.to_string(), Some(name.rename.to_string()), shown)
            }
            UseTree::Glob(_) => panic!("{shown}: name what is shown, so that the list is complete"),
        }
    }

    fn show_as(&mut self, module: &[String], before: &[String], name: &str, rename: Option<String>, shown: &str) {
        let written = [before, &[name.to_owned()]].concat();
        let name = rename.unwrap_or_else(|| name.to_owned());
        let shown = format!("{shown}::{name}");
        if let Some(inner) = self.module(module, &written) {
            self.others.insert(format!("pub mod {shown}"));
            return self.walk(&inner, &shown);
        }
        match self.resolve(module, &written) {
            Some(definition) => drop(self.reached.insert(shown, definition)),
            None => drop(self.others.insert(format!("pub use {shown} = {}", written.join("::")))),
        }
    }

    /// The module that a path names, as it is written in another one.
    fn module(&self, from: &[String], written: &[String]) -> Option<Vec<String>> {
        let path = absolute(from, written);
        if self.sources.0.contains_key(&path) {
            return Some(path);
        }
        let inner = [from, written].concat();
        self.sources.0.contains_key(&inner).then_some(inner)
    }

    /// Where an item is defined that a path names, as it is written in a module.
    fn resolve(&self, from: &[String], written: &[String]) -> Option<Definition> {
        self.resolve_within(from, written, 8)
    }

    fn resolve_within(&self, from: &[String], written: &[String], hops: usize) -> Option<Definition> {
        let (name, before) = written.split_last()?;
        let module = if before.is_empty() { from.to_vec() } else { self.module(from, before)? };
        if self.items(&module, name).next().is_some() {
            return Some((module, name.clone()));
        }
        let hops = hops.checked_sub(1)?;
        let items = &self.sources.0.get(&module)?.items;
        let imports = items.iter().filter_map(|item| if let Item::Use(import) = item { Some(import) } else { None });
        let mut found = imports.flat_map(|import| {
            let mut named = Vec::new();
            imported(&import.tree, &mut Vec::new(), &mut named);
            named
        });
        let (_, origin) = found.find(|(known, _)| known == name)?;
        self.resolve_within(&module, &origin, hops)
    }
}

/// The path of an item from the root of its crate, as far as that can be told from how it is written.
fn absolute(from: &[String], written: &[String]) -> Vec<String> {
    let mut path = match written.first().map(String::as_str) {
        Some("crate") => vec![from[0].clone()],
        Some("self") => from.to_vec(),
        Some("super") => from[..from.len() - 1].to_vec(),
        _ => return written.to_vec(),
    };
    for part in &written[1..] {
        if part == "super" {
            path.pop();
        } else {
            path.push(part.clone());
        }
    }
    path
}

/// The names that an import brings, with what they stand for.
fn imported(tree: &UseTree, before: &mut Vec<String>, named: &mut Vec<(String, Vec<String>)>) {
    let of = |before: &[String], name: &syn::Ident| match name.to_string() {
        name if name == "self" => before.to_vec(),
        name => [before, &[name]].concat(),
    };
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            imported(&path.tree, before, named);
            before.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| imported(tree, before, named)),
        UseTree::Name(name) => {
            let path = of(before, &name.ident);
            named.push((path.last().cloned().unwrap_or_default(), path));
        }
        UseTree::Rename(name) => named.push((name.rename.to_string(), of(before, &name.ident))),
        _ => {}
    }
}

fn is_public(item: &Item) -> bool {
    let visibility = match item {
        Item::Const(item) => &item.vis,
        Item::Enum(item) => &item.vis,
        Item::Fn(item) => &item.vis,
        Item::Mod(item) => &item.vis,
        Item::Static(item) => &item.vis,
        Item::Struct(item) => &item.vis,
        Item::Trait(item) => &item.vis,
        Item::Type(item) => &item.vis,
        Item::Use(item) => &item.vis,
        Item::Macro(item) => {
            return item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
        }
        _ => return false,
    };
    matches!(visibility, Visibility::Public(_)) && !is_hidden(attributes(item))
}

fn name_of(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        _ => return None,
    })
}
