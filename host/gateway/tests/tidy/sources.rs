//! The source files of the host's crates.

use std::path::{Path, PathBuf};

/// A source file.
#[derive(Debug)]
pub(crate) struct Source {
    /// The folder of its crate.
    pub(crate) of: String,
    /// Its path within the crate's `src`.
    pub(crate) path: PathBuf,
    /// Its content.
    pub(crate) text: String,
}

/// All source files of the host's crates.
pub(crate) fn all() -> Vec<Source> {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut sources = Vec::new();
    for of in within(&host).filter(|of| of.join("src").is_dir()) {
        read(&of, &of.join("src"), &mut sources);
    }
    assert!(sources.len() > 250, "{}", sources.len());
    sources
}

fn read(of: &Path, dir: &Path, sources: &mut Vec<Source>) {
    for file in within(dir) {
        match file.is_dir() {
            true => read(of, &file, sources),
            false if file.extension().is_some_and(|kind| kind == "rs") => sources.push(source(of, &file)),
            false => {}
        }
    }
}

fn within(dir: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(dir).expect("a directory").map(|file| file.expect("a file").path())
}

fn source(of: &Path, file: &Path) -> Source {
    Source {
        of: of.file_name().expect("a folder has a name").to_string_lossy().into_owned(),
        path: file.strip_prefix(of.join("src")).expect("it lies there").to_owned(),
        text: std::fs::read_to_string(file).expect("a source"),
    }
}
