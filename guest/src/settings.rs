//! Settings: the JSON text that `configure` gets.

use serde::de::DeserializeOwned;

/// Reads settings into a policy's own type; an empty text (or `null`) stands for the type's defaults. Put `#[serde(default,
/// deny_unknown_fields)]` on the type, so that a misspelt setting is an error.
///
/// # Errors
/// A sentence that names the setting that is wrong.
pub fn parse<T: DeserializeOwned + Default>(text: &str) -> Result<T, String> {
    if matches!(text.trim(), "" | "null") {
        return Ok(T::default());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let settings =
        serde_path_to_error::deserialize(&mut json).map_err(|error| match error.path().to_string().as_str() {
            "." => format!("settings: {}", error.inner()),
            key => format!("setting `{key}`: {}", error.inner()),
        })?;
    json.end().map_err(|error| format!("settings: {error}"))?;
    Ok(settings)
}

/// The settings of a policy for which there is nothing to set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NoSettings {}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, serde::Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Sample {
        share: f64,
        ghosts: bool,
    }

    #[test]
    fn an_empty_text_stands_for_the_defaults() {
        assert_eq!(parse("  "), Ok(Sample::default()));
        assert_eq!(parse("{}"), Ok(Sample::default()));
        assert_eq!(parse("{}"), Ok(NoSettings {}));
    }

    #[test]
    fn an_error_names_the_setting() {
        for (text, key) in [
            (r#"{"shares": 1}"#, "shares"),
            (r#"{"share": "much"}"#, "share"),
            (r#"{"ghosts": 3, "share": 0.5}"#, "ghosts"),
        ] {
            let error = parse::<Sample>(text).unwrap_err();
            assert!(error.contains(&format!("`{key}`")), "{error}");
        }
        assert!(parse::<NoSettings>(r#"{"share": 1}"#).unwrap_err().contains("`share`"));
        assert!(parse::<Sample>("{} x").is_err());
        assert!(parse::<Sample>("share=1").is_err());
    }
}
