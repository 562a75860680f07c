//! Which class a target belongs to.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::config::ClassConfig;

/// The classes of a tenant, compiled.
#[derive(Clone, Debug, Default)]
pub struct Classes {
    classes: Vec<ClassConfig>,
    patterns: GlobSet,
    none: ClassConfig,
}

/// Why a class is refused.
#[derive(Debug, thiserror::Error)]
#[error("class {name:?}: the path pattern {path:?} is wrong: {reason}; write a pattern such as \"/img/**\"")]
pub struct ClassError {
    /// The class.
    pub name: String,
    /// Its pattern.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Classes {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// When a pattern can't be understood or does not begin with `/`.
    pub fn new(classes: &[ClassConfig]) -> Result<Self, ClassError> {
        let mut patterns = GlobSetBuilder::new();
        for class in classes {
            let wrong = |reason: String| ClassError { name: class.name.clone(), path: class.path.clone(), reason };
            if !class.path.starts_with('/') {
                return Err(wrong("it does not begin with \"/\"".into()));
            }
            let glob = GlobBuilder::new(&class.path).literal_separator(true).build();
            patterns.add(glob.map_err(|error| wrong(error.kind().to_string()))?);
        }
        let none = ClassConfig::default();
        let wrong = |error: globset::Error| ClassError {
            name: String::new(),
            path: error.glob().unwrap_or_default().into(),
            reason: error.kind().to_string(),
        };
        Ok(Self { classes: classes.to_vec(), patterns: patterns.build().map_err(wrong)?, none })
    }

    /// The first class whose pattern matches the path of `target` (path and query); a nameless one where none does.
    pub fn of(&self, target: &str) -> &ClassConfig {
        if self.classes.is_empty() {
            return &self.none;
        }
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        self.patterns.matches(path).into_iter().min().map_or(&self.none, |first| &self.classes[first])
    }
}

impl Classes {
    /// The classes that a purge of everything, or of what begins with `prefix`, may reach.
    pub fn reached<'a>(&'a self, prefix: Option<&'a str>) -> impl Iterator<Item = &'a ClassConfig> {
        self.classes.iter().filter(move |class| {
            let literal = class.path.split(['*', '?', '[', '{', '\\']).next().unwrap_or("");
            prefix.is_none_or(|prefix| literal.starts_with(prefix) || prefix.starts_with(literal))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, path: &str) -> ClassConfig {
        ClassConfig { name: name.into(), path: path.into(), ..ClassConfig::default() }
    }

    #[test]
    fn the_first_pattern_that_matches_counts() {
        let classes =
            Classes::new(&[class("thumb", "/img/*/thumb"), class("img", "/img/**"), class("all", "/**")]).unwrap();
        let check = |target: &str, name: &str| assert_eq!(classes.of(target).name, name, "{target}");
        check("/img/1/thumb", "thumb");
        check("/img/1/2/thumb", "img");
        check("/img/1?x=/thumb", "img");
        check("/", "all");
    }

    #[test]
    fn purge_of_a_prefix_reaches_the_classes_that_may_hold_it() {
        let classes = Classes::new(&[class("img", "/img/**"), class("thumb", "/*/thumb"), class("api", "/api/v1/**")]);
        let classes = classes.unwrap();
        let check = |prefix: Option<&str>, names: &[&str]| {
            let reached: Vec<_> = classes.reached(prefix).map(|class| class.name.as_str()).collect();
            assert_eq!(reached, names, "{prefix:?}");
        };
        check(None, &["img", "thumb", "api"]);
        check(Some("/img/a"), &["img", "thumb"]);
        check(Some("/i"), &["img", "thumb"]);
        check(Some("/api/"), &["thumb", "api"]);
        check(Some("/x"), &["thumb"]);
    }

    #[test]
    fn a_wrong_pattern_is_named() {
        let error = Classes::new(&[class("broken", "/a[")]).unwrap_err().to_string();
        assert!(error.contains("broken") && error.contains("/a["), "{error}");
        assert!(Classes::new(&[class("relative", "img/*")]).is_err());
    }
}
