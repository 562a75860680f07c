//! Texts for errors of the HTTP client library.

use std::error::Error as StdError;

/// The error and what caused it, the deepest cause last.
pub(super) fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn StdError + 'static)| (*error).source())
}

/// The texts of an error and its causes, the outermost first.
pub(super) fn reason(error: &(dyn StdError + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for error in causes(error) {
        let text = error.to_string();
        // Many errors repeat their source.
        said.retain(|outer| !outer.contains(&text));
        said.push(text);
    }
    // The outermost text only names a step inside the client library.
    let outermost = usize::from(said.len() > 1 && said[0].starts_with("client error"));
    said.split_off(outermost).join(": ")
}
