//! Checks that sibling modules depend on each other one way only, at every level, so that a module can be read without
//! those that use it. A path counts in a `use` as in an expression; what only tests name does not count.

mod graph;
mod named;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::graph::Graph;
use self::named::{Module, Named};
use crate::sources::{self, Source};

/// The edges of a crate's modules that lie on a cycle, each with a file and a path in it that makes it one.
fn cycles(sources: &[Source]) -> Vec<String> {
    let mut read: Vec<(&Path, Named)> = Vec::new();
    for source in sources {
        read.push((&source.path, named::named(module_of(&source.path), &source.text)));
    }
    let tests: BTreeSet<&[String]> = read.iter().flat_map(|(_, named)| &named.tests).map(Vec::as_slice).collect();
    let is_test = |module: &Module| (1..=module.path.len()).any(|len| tests.contains(&module.path[..len]));
    let modules: Vec<(&Path, &Module)> = read
        .iter()
        .flat_map(|(file, named)| named.modules.iter().map(|module| (*file, module)))
        .filter(|(_, module)| !is_test(module))
        .collect();
    let mut graph = Graph::new(modules.iter().map(|(_, module)| module.path.clone()));
    for (file, module) in modules {
        graph.add(file, module);
    }
    graph.cycles()
}

/// The module that a file holds.
fn module_of(file: &Path) -> Vec<String> {
    let module: Vec<String> =
        file.with_extension("").iter().map(|segment| segment.to_string_lossy().into_owned()).collect();
    match module.as_slice() {
        [root] if root == "lib" || root == "main" => Vec::new(),
        _ => module,
    }
}

#[test]
fn modules_side_by_side_name_each_other_one_way() {
    let mut crates: BTreeMap<String, Vec<Source>> = BTreeMap::new();
    for source in sources::all() {
        crates.entry(source.of.clone()).or_default().push(source);
    }
    let mut found = Vec::new();
    for (name, sources) in &crates {
        found.extend(cycles(sources).into_iter().map(|edge| format!("{name}: {edge}")));
    }
    assert!(found.is_empty(), "these lie on a cycle:\n{}", found.join("\n"));
}

/// The cycles of a crate with these files beside its `lib.rs`.
fn made_up(files: &[(&str, &str)]) -> Vec<String> {
    let source = |(path, text): &(&str, &str)| Source { of: "a".into(), path: path.into(), text: (*text).into() };
    let root = Source { of: "a".into(), path: "lib.rs".into(), text: String::new() };
    cycles(&files.iter().map(source).chain([root]).collect::<Vec<_>>())
}

#[test]
fn a_cycle_is_found_however_it_is_named() {
    let names_a = ("b.rs", "use crate::a::A;");
    for names_b in [
        "use crate::b::B;",
        "use super::{c, b::{self, B}};",
        "use super::b as other;",
        "fn f() { crate::b::f(); }",
        "fn f() -> Vec<super::b::B> { vec![] }",
        "use crate::c;\nfn f<'a>(c: char) -> &'a str { match c { '\"' => super::b::NAME, _ => \"\" } }",
        "macro_rules! m { () => { $crate::b::f() } }",
        "mod inner { fn f() { super::super::b::f() } }",
    ] {
        let found = made_up(&[("a.rs", names_b), names_a, ("c.rs", "")]);
        assert_eq!(found.len(), 2, "{names_b}: {found:?}");
        assert!(found[0].starts_with("a -> b: a.rs names "), "{found:?}");
        assert_eq!(found[1], "b -> a: b.rs names a::A");
    }
}

#[test]
fn a_cycle_is_found_at_any_level_and_through_others() {
    let deep =
        [("x.rs", "mod a;"), ("x/a/y.rs", "use super::super::b;"), ("x/a.rs", ""), ("x/b.rs", "use super::a::y;")];
    assert_eq!(made_up(&deep), ["x: a -> b: x/a/y.rs names x::b", "x: b -> a: x/b.rs names x::a::y"]);
    let long =
        [("a.rs", "use crate::b;"), ("b/x.rs", "use crate::c;"), ("b.rs", ""), ("c.rs", "fn f() { super::a::f() }")];
    assert_eq!(made_up(&long).len(), 3);
    let imported = [
        ("x.rs", "fn f() {}"),
        ("x/a.rs", "use crate::x;\nfn f() { x::b::f() }"),
        ("x/b.rs", "use super::super::x as above;\nfn f() { above::a::f() }"),
    ];
    assert_eq!(made_up(&imported).len(), 2, "what is imported is looked up");
}

#[test]
fn what_names_no_module_is_no_edge() {
    for names_none in [
        "// use crate::b::B;\n/* crate::b /* :: */ crate::b::f() */",
        "/// [`B`](crate::b::B)\nfn f() { g(\"crate::b::f\", r#\"\" crate::b::f()\"#, b\"\\\" crate::b::f\"); }",
        "#[cfg(test)]\nmod tests { use crate::b::B; }",
        "struct A { #[cfg(test)] of: crate::b::B, own: u8 }",
        "fn f() { b::f(); std::b::f(); Self::b::f() }",
        "use other::b::B;",
        "mod b {}\nuse self::b::B;",
    ] {
        let found = made_up(&[("a.rs", names_none), ("b.rs", "use super::a::A;")]);
        assert!(found.is_empty(), "{names_none}: {found:?}");
    }
    for tests in ["#[cfg(test)]\nmod tests;", "#[cfg(all(test, unix))]\n#[expect(dead_code)]\npub(super) mod tests;"] {
        let found = made_up(&[("a.rs", tests), ("a/tests/x.rs", "use crate::b::B;"), ("b.rs", "use super::a::A;")]);
        assert!(found.is_empty(), "{tests}: {found:?}");
    }
    let child = [("a.rs", "mod b;\nfn f() { b::f(); }"), ("a/b.rs", "use super::A;\nuse crate::a::A as B;")];
    assert!(made_up(&child).is_empty(), "what is above may name what is in it");
}
