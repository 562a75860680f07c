//! One rule for all errors: what an error says includes its causes, and `source` gives none that was said already. Whoever
//! prints a chain (`{error:#}` of anyhow) says nothing twice then, and whoever prints an error alone leaves nothing out.

use std::path::{Path, PathBuf};

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for file in std::fs::read_dir(dir).expect("a directory").map(|file| file.expect("a file").path()) {
        match file.is_dir() {
            true => sources(&file, found),
            false if file.extension().is_some_and(|kind| kind == "rs") => found.push(file),
            false => {}
        }
    }
}

/// The declarations of errors in a text that say their cause and give it as `source` too.
fn twice(text: &str) -> Vec<&str> {
    let declarations = text.split("#[error(").skip(1);
    let says_twice = |declaration: &&str| {
        // Up to the next variant: `thiserror` takes these for the source.
        let end = declaration.find("\n}").unwrap_or(declaration.len());
        let own = &declaration[..end];
        let has_source = ["#[from]", "#[source]", " source:"].iter().any(|mark| own.contains(mark));
        !own.starts_with("transparent") && has_source
    };
    declarations.filter(says_twice).filter_map(|declaration| declaration.lines().next()).collect()
}

#[test]
fn no_error_gives_as_its_source_what_it_has_said() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut files);
    files.retain(|file| file.iter().any(|folder| folder == "src"));
    assert!(files.len() > 250, "{}", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source");
        assert_eq!(twice(&text), Vec::<&str>::new(), "{}", file.display());
    }
}

#[test]
fn the_test_finds_what_it_is_for() {
    let twice_said = "    #[error(\"can't: {0}\")]\n    A(#[from] io::Error),\n}";
    let once = "    #[error(transparent)]\n    A(#[from] io::Error),\n    #[error(\"b: {reason}\")]\n    B { reason: String },\n}";
    assert_eq!((twice(twice_said).len(), twice(once).len()), (1, 0));
}
