//! One rule for all errors: the text of an error includes its causes, and `source` returns no cause that is in the
//! text. So a printed chain (`{error:#}` of anyhow) says nothing twice, and an error printed alone leaves nothing out.

use crate::sources;

/// The declarations of errors in a text that include their cause and return it as `source` too.
fn twice(text: &str) -> Vec<&str> {
    let declarations = text.split("#[error(").skip(1);
    let says_twice = |declaration: &&str| {
        // Up to the next variant, or to the end of the type. `thiserror` returns fields with these marks as the source.
        let end = declaration.find("\n}").unwrap_or(declaration.len());
        let own = &declaration[..end];
        let has_source = ["#[from]", "#[source]", " source:"].iter().any(|mark| own.contains(mark));
        !own.starts_with("transparent") && has_source
    };
    declarations.filter(says_twice).filter_map(|declaration| declaration.lines().next()).collect()
}

#[test]
fn no_error_gives_as_its_source_what_it_has_said() {
    for source in sources::all() {
        assert_eq!(twice(&source.text), Vec::<&str>::new(), "{} {}", source.of, source.path.display());
    }
}

#[test]
fn the_test_finds_what_it_is_for() {
    let twice_said = "    #[error(\"can't: {0}\")]\n    A(#[from] io::Error),\n}";
    let once = "    #[error(transparent)]\n    A(#[from] io::Error),\n    #[error(\"b: {reason}\")]\n    B { reason: String },\n}";
    assert_eq!((twice(twice_said).len(), twice(once).len()), (1, 0));
}
