//! Values of constants out of the environment.

use std::env::{VarError, var};
use std::str::FromStr;

/// The value that the environment says for a constant, else its own.
///
/// # Panics
/// Where the variable holds no number of that type.
pub(super) fn or<T: FromStr>(name: &str, own: T) -> T {
    let variable = format!("TIDE_{}", name.to_uppercase());
    match var(&variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is no number that fits: {text:?}")),
        Err(VarError::NotPresent) => own,
        Err(VarError::NotUnicode(text)) => panic!("{variable} is no number: {text:?}"),
    }
}
