//! The sources of a crate as modules: what is compiled with the default features, outside of tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Item, Lit, Meta, Token};

/// The crates of the workspace that the library may show, with their folders.
const CRATES: [(&str, &str); 6] = [
    ("sandbar", "host/cache"),
    ("sandbar_base", "host/base"),
    ("sandbar_http", "host/http"),
    ("sandbar_memory", "host/memory"),
    ("sandbar_policy", "host/policy"),
    ("sandbar_guest", "guest"),
];

/// The items of a module, those of modules inside it under their own paths.
pub(crate) struct Module {
    pub(crate) items: Vec<Item>,
}

/// All modules, by their paths: `["sandbar", "tenant", "config"]`.
pub(crate) struct Sources(pub(crate) BTreeMap<Vec<String>, Module>);

impl Sources {
    pub(crate) fn read(root: &Path) -> Self {
        let mut sources = Self(BTreeMap::new());
        for (name, folder) in CRATES {
            let src = root.join(folder).join("src");
            sources.add_file(vec![name.to_owned()], &src.join("lib.rs"), &src);
        }
        sources
    }

    /// Adds the module in a file; `inside` is the folder of the modules in it.
    fn add_file(&mut self, path: Vec<String>, file: &Path, inside: &Path) {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.add(path, parsed.items, file, inside);
    }

    fn add(&mut self, path: Vec<String>, items: Vec<Item>, file: &Path, inside: &Path) {
        let items: Vec<Item> = items.into_iter().filter(|item| is_compiled(attributes(item))).collect();
        for item in &items {
            let Item::Mod(module) = item else { continue };
            let name = module.ident.to_string();
            let (mut path, folder) = (path.clone(), inside.join(&name));
            path.push(name.clone());
            if let Some((_, items)) = &module.content {
                self.add(path, items.clone(), file, &folder);
            } else {
                let file = named_path(&module.attrs, file).unwrap_or_else(|| inside.join(format!("{name}.rs")));
                self.add_file(path, &file, &folder);
            }
        }
        self.0.insert(path, Module { items });
    }
}

/// The file that `#[path]` names, which counts from the folder of the file that says so.
fn named_path(attributes: &[Attribute], file: &Path) -> Option<PathBuf> {
    let named = attributes.iter().find(|attribute| attribute.path().is_ident("path"))?;
    let Meta::NameValue(pair) = &named.meta else { return None };
    let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &pair.value else { return None };
    Some(file.parent()?.join(text.value()))
}

/// The attributes of an item.
pub(crate) fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether the conditions of these attributes hold.
pub(crate) fn is_compiled(attributes: &[Attribute]) -> bool {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).all(|attribute| {
        let Meta::List(list) = &attribute.meta else { return true };
        list.parse_args::<Meta>().map_or(true, |condition| holds(&condition))
    })
}

fn holds(condition: &Meta) -> bool {
    let parts = |list: &syn::MetaList| {
        let parsed = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
        parsed.expect("conditions").into_iter().collect::<Vec<_>>()
    };
    match condition {
        Meta::List(list) if list.path.is_ident("not") => !parts(list).iter().any(holds),
        Meta::List(list) if list.path.is_ident("all") => parts(list).iter().all(holds),
        Meta::List(list) if list.path.is_ident("any") => parts(list).iter().any(holds),
        Meta::NameValue(pair) => pair.path.is_ident("feature"),
        _ => false,
    }
}

/// Whether an item is no part of what is promised.
pub(crate) fn is_hidden(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let hides = |list: &syn::MetaList| list.path.is_ident("doc") && list.tokens.to_string() == "hidden";
        matches!(&attribute.meta, Meta::List(list) if hides(list))
    })
}
