//! The routes that purge, and that say what a purge would reach: what they read from JSON, and their answers.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use sandbar::barrier::{Purge, PurgeMode, Scope};
use sandbar::cache::{PreviewError, PurgePreview, PurgeReport};
use sandbar_http::key::{KeyRules, Target, TargetPrefix};
use serde::Deserialize;

use super::site::{EntryUrl, no_url};
use super::upload::Upload;
use super::{Admin, Refused};
use crate::config::Scheme;

/// How many purges one request may hold.
const PURGES_MAX: usize = 1000;

/// One purge as it is written in JSON.
#[derive(Debug, Deserialize)]
#[serde(tag = "scope", rename_all = "kebab-case", deny_unknown_fields)]
enum PurgeBody {
    /// One URL with all its variants.
    Key {
        url: String,
        #[serde(default)]
        mode: PurgeMode,
    },
    /// Every path and query that begins with `prefix`: on one site where that is a URL, on all sites where it is a
    /// path.
    Prefix {
        prefix: String,
        #[serde(default)]
        mode: PurgeMode,
    },
    /// Every entry with a surrogate key.
    SurrogateKey {
        key: String,
        #[serde(default)]
        mode: PurgeMode,
    },
    /// Everything the tenant has.
    Everything {
        #[serde(default)]
        mode: PurgeMode,
    },
}

pub(super) async fn purge(
    State(admin): State<Arc<Admin>>,
    Path(tenant): Path<String>,
    body: Upload,
) -> Result<(StatusCode, Json<PurgeReport>), Refused> {
    let tenant = &admin.tenant(&tenant)?;
    let purges = purges(&body.into_bytes(), &admin.schemes, &tenant.settings.key)?;
    let report = admin.cache.purge(tenant, &purges).await;
    tracing::info!(tenant = &*tenant.name, purges = purges.len(), pending = report.pending, "purged");
    Ok((report.status(), Json(report)))
}

/// What the purges of a request would reach on this node.
pub(super) async fn preview(
    State(admin): State<Arc<Admin>>,
    Path(tenant): Path<String>,
    body: Upload,
) -> Result<Json<PurgePreview>, Refused> {
    let tenant = &admin.tenant(&tenant)?;
    let purges = purges(&body.into_bytes(), &admin.schemes, &tenant.settings.key)?;
    let refused = |error: PreviewError| match error {
        PreviewError::UnderWay => Refused::new(StatusCode::CONFLICT, error.to_string()),
        _ => Refused::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
    };
    admin.cache.preview_purge(tenant, &purges).await.map(Json).map_err(refused)
}

/// Reads the purges of a request: one object, or an array of them. Where clients come under both schemes, what names a URL
/// is a purge for each.
fn purges(body: &[u8], schemes: &[Scheme], rules: &KeyRules) -> Result<Vec<Purge>, Refused> {
    let wrong = |error: serde_json::Error| {
        let example = r#"{"scope": "key", "url": "http://host/path", "mode": "soft"}"#;
        Refused::bad(format!("that is no purge: {error}; write it like {example}"))
    };
    let asked: Vec<serde_json::Value> = match serde_json::from_slice(body).map_err(wrong)? {
        serde_json::Value::Array(several) => several,
        one => vec![one],
    };
    if asked.is_empty() || asked.len() > PURGES_MAX {
        return Err(Refused::bad(format!("send 1 to {PURGES_MAX} purges at once, not {}", asked.len())));
    }
    let mut purges = Vec::with_capacity(asked.len());
    for asked in asked {
        let (scopes, mode) = read(serde_json::from_value(asked).map_err(wrong)?, schemes, rules)?;
        purges.extend(scopes.into_iter().map(|scope| Purge { scope, mode }));
    }
    Ok(purges)
}

fn read(asked: PurgeBody, schemes: &[Scheme], rules: &KeyRules) -> Result<(Vec<Scope>, PurgeMode), Refused> {
    Ok(match asked {
        PurgeBody::Everything { mode } => (vec![Scope::Everything], mode),
        // Surrogate keys of responses are read without the white space around them too.
        PurgeBody::SurrogateKey { key, .. } if key.trim().is_empty() => {
            return Err(Refused::bad("the surrogate key is empty"));
        }
        PurgeBody::SurrogateKey { key, mode } => (vec![Scope::SurrogateKey(key.trim().to_owned())], mode),
        PurgeBody::Prefix { prefix, mode } if prefix.starts_with('/') => (vec![prefix_on(None, &prefix)?], mode),
        PurgeBody::Prefix { prefix, mode } => {
            let begin = EntryUrl::read(&prefix, schemes)?;
            let scopes = begin.sites().map(|site| prefix_on(Some(site), &begin.target()));
            (scopes.collect::<Result<_, _>>()?, mode)
        }
        PurgeBody::Key { url, mode } => {
            let entry = EntryUrl::read(&url, schemes)?;
            let scopes = entry.sites().map(|site| Target::on_site(rules, site, &entry.target()).map(Scope::Target));
            (scopes.collect::<Result<_, _>>().map_err(|_| no_url(&url))?, mode)
        }
    })
}

fn prefix_on(site: Option<&str>, prefix: &str) -> Result<Scope, Refused> {
    TargetPrefix::new(site, prefix).map(Scope::Prefix).map_err(|_| no_url(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &Scope) {
        let purges = purges(body.as_bytes(), &[Scheme::Https], &KeyRules::default()).expect("purges");
        assert_eq!(&purges[0].scope, expected, "{body}");
    }

    #[test]
    fn purges_are_read_from_json() {
        let target = |url| Scope::Target(Target::of_url(&KeyRules::default(), url).expect("a target"));
        let prefix = |site| Scope::Prefix(TargetPrefix::new(site, "/img/").expect("a prefix"));
        check(r#"{"scope":"everything"}"#, &Scope::Everything);
        check(r#"{"scope":"surrogate-key","key":"p1"}"#, &Scope::SurrogateKey("p1".into()));
        check(r#"{"scope":"key","url":"http://Shop.Example:443/a?b=c"}"#, &target("https://shop.example/a?b=c"));
        check(r#"{"scope":"key","url":"http://shop.example:0443?b=c"}"#, &target("https://shop.example/?b=c"));
        check(r#"{"scope":"surrogate-key","key":" p1 "}"#, &Scope::SurrogateKey("p1".into()));
        check(r#"{"scope":"prefix","prefix":"/img/"}"#, &prefix(None));
        check(
            r#"[{"scope":"prefix","prefix":"https://shop.example/img/","mode":"soft"}]"#,
            &prefix(Some("https://shop.example")),
        );
    }

    #[test]
    fn what_names_a_url_is_purged_under_both_schemes_where_clients_use_both() {
        let both = [Scheme::Http, Scheme::Https];
        let read = |body: &str| purges(body.as_bytes(), &both, &KeyRules::default()).expect("purges");
        let target = |url| Scope::Target(Target::of_url(&KeyRules::default(), url).expect("a target"));
        let purges = read(r#"[{"scope":"key","url":"https://a.example/x"},{"scope":"everything"}]"#);
        let scopes: Vec<_> = purges.iter().map(|purge| &purge.scope).collect();
        assert_eq!(scopes, [&target("http://a.example/x"), &target("https://a.example/x"), &Scope::Everything]);
        assert_eq!(read(r#"{"scope":"prefix","prefix":"http://a.example/x"}"#).len(), 2);
        assert_eq!(read(r#"{"scope":"prefix","prefix":"/x"}"#).len(), 1);
    }

    #[test]
    fn wrong_purges_are_refused() {
        for body in [
            "",
            "[]",
            r#"{"scope":"key"}"#,
            r#"{"scope":"key","url":"/a"}"#,
            r#"{"scope":"all"}"#,
            r#"{"scope":"everything","mode":"gently"}"#,
            r#"{"scope":"surrogate-key","key":" "}"#,
            r#"{"scope":"key","url":"http://a:80a/"}"#,
            r#"{"scope":"key","url":"http://u@a/"}"#,
            r#"{"scope":"key","url":"http://a/","typo":1}"#,
        ] {
            assert!(purges(body.as_bytes(), &[Scheme::Http], &KeyRules::default()).is_err(), "{body}");
        }
    }
}
