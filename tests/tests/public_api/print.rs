//! Items as lines of the list: the path in the place of the name, without bodies, docs and what is private.

use quote::ToTokens;
use syn::{Attribute, Fields, ImplItem, Item, ItemImpl, TraitItem, Visibility};

use super::source::is_hidden;

/// The lines of an item under its public path.
pub(crate) fn item(item: &Item, path: &str) -> Vec<String> {
    match item {
        Item::Const(item) => vec![format!("pub const {path}: {}", text(&item.ty))],
        Item::Static(item) => vec![format!("pub static {path}: {}", text(&item.ty))],
        Item::Type(item) => vec![format!("pub type {path}{} = {}", text(&item.generics), text(&item.ty))],
        Item::Fn(item) => vec![function(&item.sig, path)],
        Item::Struct(item) => {
            let more = marks(&item.attrs);
            let mut lines = vec![format!("pub struct {path}{}{more}", text(&item.generics))];
            lines.extend(fields(&item.fields, path, true));
            lines
        }
        Item::Enum(item) => {
            let mut lines = vec![format!("pub enum {path}{}{}", text(&item.generics), marks(&item.attrs))];
            for variant in &item.variants {
                let path = format!("{path}::{}", variant.ident);
                lines.push(format!("variant {path}{}", marks(&variant.attrs)));
                lines.extend(fields(&variant.fields, &path, false));
            }
            lines
        }
        Item::Trait(item) => {
            let bounds =
                if item.supertraits.is_empty() { String::new() } else { format!(": {}", text(&item.supertraits)) };
            let mut lines = vec![format!("pub trait {path}{}{bounds}", text(&item.generics))];
            lines.extend(item.items.iter().filter_map(|item| in_trait(item, path)));
            lines
        }
        Item::Macro(item) => {
            let name = item.mac.path.segments.last().map(|part| part.ident.to_string()).unwrap_or_default();
            match &item.ident {
                Some(name) => vec![format!("macro {path}::{name}!")],
                None => vec![format!("made by {path}::{name}!: {}", without_attributes(&item.mac.tokens))],
            }
        }
        _ => Vec::new(),
    }
}

/// The lines of what a block implements for the type with the public path `path`.
pub(crate) fn implementation(block: &ItemImpl, path: &str) -> Vec<String> {
    if let Some((of, _)) = &block.trait_ {
        return vec![format!("impl{} {} for {path}", text(&block.generics), text(of))];
    }
    let public = |visibility: &Visibility, attributes: &[Attribute]| {
        matches!(visibility, Visibility::Public(_)) && !is_hidden(attributes)
    };
    let lines = block.items.iter().filter_map(|item| match item {
        ImplItem::Fn(item) if public(&item.vis, &item.attrs) => {
            Some(function(&item.sig, &format!("{path}::{}", item.sig.ident)))
        }
        ImplItem::Const(item) if public(&item.vis, &item.attrs) => {
            Some(format!("pub const {path}::{}: {}", item.ident, text(&item.ty)))
        }
        _ => None,
    });
    lines.collect()
}

fn in_trait(item: &TraitItem, path: &str) -> Option<String> {
    match item {
        TraitItem::Fn(item) if !is_hidden(&item.attrs) => {
            let provided = if item.default.is_some() { " (provided)" } else { "" };
            Some(format!("{}{provided}", function(&item.sig, &format!("{path}::{}", item.sig.ident))))
        }
        TraitItem::Const(item) => Some(format!("pub const {path}::{}: {}", item.ident, text(&item.ty))),
        TraitItem::Type(item) => Some(format!("pub type {path}::{}: {}", item.ident, text(&item.bounds))),
        _ => None,
    }
}

fn fields(fields: &Fields, path: &str, need_pub: bool) -> Vec<String> {
    let public = |field: &syn::Field| !need_pub || matches!(field.vis, Visibility::Public(_));
    let shown = fields.iter().enumerate().filter(|(_, field)| public(field) && !is_hidden(&field.attrs));
    shown
        .map(|(index, field)| {
            let name = field.ident.as_ref().map_or_else(|| index.to_string(), ToString::to_string);
            format!("field {path}::{name}: {}", text(&field.ty))
        })
        .collect()
}

/// A function's signature, with the path in the place of its name.
fn function(signature: &syn::Signature, path: &str) -> String {
    let shown = text(signature);
    let name = format!("fn {}", signature.ident);
    format!("pub {}", shown.replacen(&name, &format!("fn {path}"), 1))
}

/// What is derived, and whether more may come.
fn marks(attributes: &[Attribute]) -> String {
    let mut marks = String::new();
    for attribute in attributes {
        if attribute.path().is_ident("non_exhaustive") {
            marks.push_str(" #[non_exhaustive]");
        }
        if attribute.path().is_ident("derive")
            && let syn::Meta::List(list) = &attribute.meta
        {
            marks.push_str(&format!(" derives {}", text(&list.tokens)));
        }
    }
    marks
}

/// Tokens as they are usually written: with fewer spaces than between all of them.
fn text(tokens: &impl ToTokens) -> String {
    const TIGHT: [(&str, &str); 20] = [
        (" :: ", "::"),
        (":: ", "::"),
        (" ::", "::"),
        (" < ", "<"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
        (" : ", ": "),
        (" ;", ";"),
        ("& ", "&"),
        (" (", "("),
        ("->(", "-> ("),
        (",(", ", ("),
        ("=(", "= ("),
        (":(", ": ("),
        (",)", ")"),
        (",>", ">"),
        (" ?", "?"),
        ("? ", "?"),
    ];
    let spaced = tokens.to_token_stream().to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    TIGHT.iter().fold(spaced, |text, (wide, tight)| text.replace(wide, tight)).trim_end_matches(',').to_owned()
}

/// What a macro is given, without docs.
fn without_attributes(tokens: &proc_macro2::TokenStream) -> String {
    let mut kept = proc_macro2::TokenStream::new();
    let mut is_attribute = false;
    for token in tokens.clone() {
        match &token {
            proc_macro2::TokenTree::Punct(punct) if punct.as_char() == '#' => is_attribute = true,
            proc_macro2::TokenTree::Group(_) if is_attribute => is_attribute = false,
            proc_macro2::TokenTree::Group(group) => {
                let inner = without_attributes(&group.stream());
                kept.extend(format!("{{ {inner} }}").parse::<proc_macro2::TokenStream>().unwrap_or_default());
            }
            _ => kept.extend([token]),
        }
    }
    text(&kept)
}
