//! Which class a target belongs to, and which settings hold for it.

use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use http::HeaderName;
use sandbar_http::entry::VersionKind;
use sandbar_http::key::{equivalent, spelled};
use sandbar_http::purge::Scope;
use sandbar_http::semantics::StoreRules;

use super::config::{ClassConfig, TenantConfig};
use super::write_rules::WriteRules;
use crate::consistency::Consistency;
use crate::strategy::Strategy;

/// The settings for the targets of one class: its own, and the tenant's where it has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Class {
    /// The class's name; empty for targets that are in no class.
    pub name: String,
    /// Its place among the tenant's classes; that for targets that are in none comes last.
    pub place: usize,
    /// What a purge promises about other nodes.
    pub consistency: Consistency,
    /// Where the versions of its responses come from.
    pub version_kind: VersionKind,
    /// Up to how many per cent are taken off a freshness lifetime at random.
    pub lifetime_jitter_percent: u32,
    /// Rules for what may be stored, beside RFC 9111.
    pub store_rules: StoreRules,
    /// The protocols that clients may switch to on targets of the class.
    pub upgrade: Vec<String>,
    /// How writes to its targets are treated.
    pub writes: WriteRules,
    path: String,
}

/// The classes of a tenant, compiled.
#[derive(Clone, Debug)]
pub struct Classes {
    classes: Vec<Arc<Class>>,
    patterns: GlobSet,
    none: Arc<Class>,
}

/// Why a class is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path pattern {path:?} of class {name:?} is wrong: {reason}")]
pub struct ClassError {
    /// Which class it is, counted from 0.
    pub index: usize,
    /// The class's name.
    pub name: String,
    /// The class's path pattern.
    pub path: String,
    /// What is wrong with the class, and what would be right.
    pub reason: String,
}

impl Classes {
    /// Compiles the classes of a tenant.
    ///
    /// # Errors
    /// When a pattern can't be understood, or can never match, or a version field is no name of a field.
    pub fn new(config: &TenantConfig) -> Result<Self, ClassError> {
        let patterns = patterns(&config.classes)?;
        let class = |(index, class)| resolved(config, index, class).map(Arc::new);
        let classes = config.classes.iter().enumerate().map(class).collect::<Result<_, _>>()?;
        Ok(Self { classes, patterns, none: Arc::new(resolved(config, config.classes.len(), &ClassConfig::default())?) })
    }

    /// Whether the targets of each class, and those of none, are promised the same as under `other`.
    pub(crate) fn promise_as(&self, other: &Self) -> bool {
        let promises = |classes: &Self| {
            let each = classes.classes.iter().chain([&classes.none]);
            each.map(|class| (class.path.clone(), class.consistency, class.version_kind.clone())).collect::<Vec<_>>()
        };
        let is_one = |(_, consistency, kind): &(String, Consistency, VersionKind)| {
            *consistency == self.none.consistency && *kind == self.none.version_kind
        };
        let (ours, theirs) = (promises(self), promises(other));
        ours == theirs || ours.iter().chain(&theirs).all(is_one)
    }

    /// The first class whose pattern matches the path of `target` (path and query); a nameless one where none does.
    ///
    /// All spellings of one resource are in one class, so that `/account` is not treated like targets below `/static/`
    /// when it is asked for as `/static/../account`. A path that only some recipients would take out of its class is in
    /// no class.
    pub fn of(&self, target: &str) -> &Arc<Class> {
        if self.classes.is_empty() {
            return &self.none;
        }
        let path = equivalent(target.split_once('?').map_or(target, |(path, _)| path));
        if climbs(&path) {
            return &self.none;
        }
        self.patterns.matches(&*path).into_iter().min().map_or(&self.none, |first| &self.classes[first])
    }

    /// Whether some write is held (write-behind).
    pub fn write_behind(&self) -> bool {
        self.all().any(|class| class.writes.has(Strategy::WriteBehind))
    }

    /// All classes, in the order of their places.
    pub fn all(&self) -> impl Iterator<Item = &Class> {
        self.classes.iter().chain([&self.none]).map(|class| &**class)
    }

    /// What a purge of this scope promises about other nodes.
    pub fn consistency_reached(&self, scope: &Scope) -> Consistency {
        match scope {
            Scope::Target(target) => self.of(target.path_and_query()).consistency,
            Scope::Prefix(prefix) => self.strictest(Some(prefix.as_str())),
            Scope::SurrogateKey(_) | Scope::Everything => self.strictest(None),
        }
    }

    /// The strictest of all promises, or of those of classes that a purge of what begins with `prefix` may reach.
    pub fn strictest(&self, prefix: Option<&str>) -> Consistency {
        self.reached(prefix).map(|class| class.consistency).fold(self.none.consistency, Consistency::max)
    }

    /// The classes that a purge of everything, or of what begins with `prefix`, may reach.
    fn reached<'a>(&'a self, prefix: Option<&'a str>) -> impl Iterator<Item = &'a Class> {
        self.classes.iter().map(|class| &**class).filter(move |class| {
            let path = spelled(&class.path);
            let literal = path.split(['*', '?', '[', '{', '\\']).next().unwrap_or("");
            prefix.is_none_or(|prefix| literal.starts_with(prefix) || prefix.starts_with(literal))
        })
    }
}

/// The settings of a class, with its tenant's where the class has none.
fn resolved(config: &TenantConfig, index: usize, class: &ClassConfig) -> Result<Class, ClassError> {
    let wrong = |reason| ClassError { index, name: class.name.clone(), path: class.path.clone(), reason };
    let target = |target: &String| HeaderName::from_bytes(target.as_bytes()).ok();
    Ok(Class {
        name: class.name.clone(),
        place: index,
        consistency: class.consistency.unwrap_or(config.consistency),
        version_kind: VersionKind::parse(class.version_field.as_deref()).map_err(wrong)?,
        lifetime_jitter_percent: class.lifetime_jitter_percent.unwrap_or(config.lifetime_jitter_percent).get(),
        store_rules: StoreRules {
            targets: config.targets.iter().filter_map(target).collect(),
            store_set_cookie: class.store_set_cookie,
            heuristic_max: config.heuristic_max.get(),
            understood_only: false,
        },
        upgrade: class.upgrade.clone(),
        writes: WriteRules::of(config, class).map_err(|(.., reason, remedy)| wrong(format!("{reason}; {remedy}")))?,
        path: class.path.clone(),
    })
}

/// Compiles the patterns of classes.
fn patterns(classes: &[ClassConfig]) -> Result<GlobSet, ClassError> {
    let mut patterns = GlobSetBuilder::new();
    for (index, class) in classes.iter().enumerate() {
        let wrong = |reason: String| ClassError { index, name: class.name.clone(), path: class.path.clone(), reason };
        if let Some(reason) = never_matches(&class.path) {
            return Err(wrong(reason.to_owned()));
        }
        if let Some(earlier) = classes[..index].iter().find(|earlier| covers(&earlier.path, &class.path)) {
            let earlier = format!("class {:?} with path {:?} comes first", earlier.name, earlier.path);
            return Err(wrong(format!("it never counts, for {earlier}; put it before that one, or leave it out")));
        }
        let glob = GlobBuilder::new(&spelled(&class.path)).literal_separator(true).build();
        let not_understood = |error: globset::Error| format!("{}; write one such as \"/img/**\"", error.kind());
        patterns.add(glob.map_err(|error| wrong(not_understood(error)))?);
    }
    let too_large = |error: globset::Error| ClassError {
        index: 0,
        name: String::new(),
        path: error.glob().unwrap_or_default().into(),
        reason: format!("{}; write fewer or shorter patterns", error.kind()),
    };
    patterns.build().map_err(too_large)
}

/// Whether a path has a segment `..` for a recipient that takes an encoded slash or a backslash for a slash, or that lets
/// parameters follow a segment (`..;a=b`).
fn climbs(path: &str) -> bool {
    if !path.contains("..") {
        return false;
    }
    let plain = path.replace("%2F", "/").replace("%5C", "/").replace('\\', "/");
    plain.split('/').any(|segment| segment.split(';').next() == Some(".."))
}

/// Why no path can match a pattern, and what would be right.
fn never_matches(pattern: &str) -> Option<&'static str> {
    if !pattern.starts_with('/') {
        return Some("it does not begin with \"/\"; write one such as \"/img/**\", without scheme and host");
    }
    if pattern.contains(['?', '#']) {
        return Some("it has a query or a fragment, and only paths are compared; leave out what follows the path");
    }
    if !pattern.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("it has characters that are never sent so; write them in per cent, such as %20 for a space");
    }
    if pattern.split('/').any(|part| matches!(part, "." | "..")) {
        return Some(
            "it has \".\" or \"..\" between slashes, which are resolved before paths are compared; write it without",
        );
    }
    if pattern.split('/').any(|part| part.contains("**") && part != "**") {
        return Some("\"**\" stands beside other characters; write it between slashes: \"/img/**/*.jpg\"");
    }
    None
}

/// Whether an earlier pattern matches all that a later one does. Only plain cases are noticed.
fn covers(earlier: &str, later: &str) -> bool {
    let literal = |text: &str| !text.contains(['*', '?', '[', '{', '\\']);
    earlier == later || earlier.strip_suffix("**").is_some_and(|prefix| literal(prefix) && later.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str, path: &str) -> ClassConfig {
        ClassConfig { name: name.into(), path: path.into(), ..ClassConfig::default() }
    }

    fn compiled(classes: &[ClassConfig]) -> Result<Classes, ClassError> {
        Classes::new(&TenantConfig { classes: classes.to_vec(), ..TenantConfig::default() })
    }

    #[test]
    fn the_first_pattern_that_matches_counts() {
        let classes =
            compiled(&[class("thumb", "/img/*/thumb"), class("img", "/img/**"), class("all", "/**")]).unwrap();
        let check = |target: &str, name: &str| assert_eq!(classes.of(target).name, name, "{target}");
        check("/img/1/thumb", "thumb");
        check("/img/1/2/thumb", "img");
        check("/img/1?x=/thumb", "img");
        check("/", "all");
    }

    #[test]
    fn spellings_of_one_path_are_in_one_class() {
        let classes = compiled(&[class("img", "/img/**"), class("home", "/%7Eme/*"), class("b", "/a%2Fb/*")]).unwrap();
        let check = |target: &str, name: &str| assert_eq!(classes.of(target).name, name, "{target}");
        for target in ["/img/a", "/%69mg/a", "/./img/a", "/x/../img/a", "/x/%2e%2E/img/a?/..", "/img/..a", "/img/a../b"]
        {
            check(target, "img");
        }
        check("/%7eme/a", "home");
        check("/a%2fb/c", "b");
        for target in [
            "/img/../account",
            "/img/%2e%2e/account",
            "/img/..%2faccount",
            "/img/%2e%2e%2Faccount",
            "/img/..%5caccount",
            "/img/..\\account",
            "/img/..;/account",
            "/img/..;a=b/account",
            "/img/x%2F..%2F../account",
        ] {
            check(target, "");
        }
    }

    #[test]
    fn purge_of_a_prefix_reaches_the_classes_that_may_hold_it() {
        let classes = compiled(&[class("img", "/img/**"), class("thumb", "/*/thumb"), class("api", "/api/v1/**")]);
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
        let error = compiled(&[class("broken", "/a[")]).unwrap_err().to_string();
        assert!(error.contains("broken") && error.contains("/a["), "{error}");
        for (path, part) in [
            ("img/*", "does not begin with"),
            ("", "does not begin with"),
            ("/search?q=*", "only paths are compared"),
            ("/a b", "%20"),
            ("/img/**.jpg", "between slashes"),
            ("/img/../a", "are resolved"),
        ] {
            let error = compiled(&[class("wrong", path)]).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("wrong"), "{path}: {error}");
        }
    }

    #[test]
    fn a_class_that_an_earlier_one_hides_is_refused() {
        let check = |paths: [&str; 2], hidden: bool| {
            let made = compiled(&[class("first", paths[0]), class("second", paths[1])]);
            assert_eq!(made.as_ref().err().map(|error| error.index), hidden.then_some(1), "{paths:?}: {made:?}");
        };
        check(["/**", "/img/*"], true);
        check(["/img/**", "/img/*/thumb"], true);
        check(["/img/*", "/img/*"], true);
        check(["/img/*", "/img/**"], false);
        check(["/img/**", "/im/**"], false);
        check(["/*/a/**", "/b/a/c"], false);
    }
}
