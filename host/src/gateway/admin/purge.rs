//! Purges.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use bytes::Bytes;
use serde::Deserialize;

use super::{Admin, Refused};
use crate::barrier::{Purge, PurgeMode, Scope};
use crate::cache::PurgeReport;
use crate::gateway::config::Scheme;

/// How many purges one request may hold.
const PURGES_MAX: usize = 1000;

/// One purge as it is written in JSON.
#[derive(Debug, Deserialize)]
#[serde(tag = "scope", rename_all = "kebab-case", deny_unknown_fields)]
enum Asked {
    /// One URL with all its variants.
    Key {
        url: String,
        #[serde(default)]
        mode: PurgeMode,
    },
    /// Every path and query that begins so: on one site where `prefix` is a URL, on all where it is a path.
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
    body: Bytes,
) -> Result<(StatusCode, Json<PurgeReport>), Refused> {
    let tenant = admin.tenant(&tenant)?;
    let purges = purges(&body, admin.scheme)?;
    let report = admin.cache.purge(tenant, &purges).await;
    tracing::info!(tenant = &*tenant.name, purges = purges.len(), pending = report.pending, "purged");
    Ok((status(&report), Json(report)))
}

/// What a purge is answered with. All of it has taken effect on this node.
pub(super) const fn status(report: &PurgeReport) -> StatusCode {
    if report.failed > 0 {
        // Its consistency promises more than has been reached; it is delivered later.
        StatusCode::SERVICE_UNAVAILABLE
    } else if report.pending > 0 {
        // Not yet where other nodes see it (RFC 9110 section 15.3.3).
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    }
}

/// One purge, or an array of them.
fn purges(body: &[u8], scheme: Scheme) -> Result<Vec<Purge>, Refused> {
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
    asked.into_iter().map(|asked| to_purge(serde_json::from_value(asked).map_err(wrong)?, scheme)).collect()
}

fn to_purge(asked: Asked, scheme: Scheme) -> Result<Purge, Refused> {
    let (scope, mode) = match asked {
        Asked::Everything { mode } => (Scope::Everything, mode),
        Asked::SurrogateKey { key, .. } if key.is_empty() => return Err(Refused::bad("the surrogate key is empty")),
        Asked::SurrogateKey { key, mode } => (Scope::SurrogateKey(key), mode),
        Asked::Prefix { prefix, mode } if prefix.starts_with('/') => (Scope::Prefix { site: None, prefix }, mode),
        Asked::Prefix { prefix, mode } => {
            let (site, prefix) = site_and_target(&prefix, scheme)?;
            (Scope::Prefix { site: Some(site), prefix }, mode)
        }
        Asked::Key { url, mode } => {
            let (site, target) = site_and_target(&url, scheme)?;
            (Scope::Target { site, target }, mode)
        }
    };
    Ok(Purge { scope, mode })
}

/// Splits the URL of an entry as its key does. The scheme is the one that clients use, whichever is written.
pub(super) fn site_and_target(url: &str, scheme: Scheme) -> Result<(String, String), Refused> {
    let wrong = || Refused::bad(format!("{url:?} is not the URL of an entry; write http://host/path?query"));
    let uri: http::Uri = url.parse().map_err(|_| wrong())?;
    let authority = uri.authority().ok_or_else(wrong)?;
    let alone = http::Uri::builder().scheme(scheme.to_uri()).authority(authority.clone()).path_and_query("/");
    let site = crate::http::key::site(&alone.build().map_err(|_| wrong())?, &http::HeaderMap::new(), "http");
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    Ok((site.map_err(|_| wrong())?, target.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &Scope) {
        let purges = purges(body.as_bytes(), Scheme::Https).expect("purges");
        assert_eq!(&purges[0].scope, expected, "{body}");
    }

    #[test]
    fn purges_are_read_from_json() {
        let site = || "https://shop.example".to_owned();
        check(r#"{"scope":"everything"}"#, &Scope::Everything);
        check(r#"{"scope":"surrogate-key","key":"p1"}"#, &Scope::SurrogateKey("p1".into()));
        check(
            r#"{"scope":"key","url":"http://Shop.Example:443/a?b=c"}"#,
            &Scope::Target { site: site(), target: "/a?b=c".into() },
        );
        check(r#"{"scope":"prefix","prefix":"/img/"}"#, &Scope::Prefix { site: None, prefix: "/img/".into() });
        check(
            r#"[{"scope":"prefix","prefix":"https://shop.example/img/","mode":"soft"}]"#,
            &Scope::Prefix { site: Some(site()), prefix: "/img/".into() },
        );
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
            r#"{"scope":"surrogate-key","key":""}"#,
            r#"{"scope":"key","url":"http://a/","typo":1}"#,
        ] {
            assert!(purges(body.as_bytes(), Scheme::Http).is_err(), "{body}");
        }
    }
}
