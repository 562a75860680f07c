//! Authorisation of the admin API: a request must carry the token or, where none is configured, name this machine as
//! its host; a client certificate that was verified takes the place of that. In all cases requests that a browser makes for
//! a page of another site are refused.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Admin, ClientCertificate, Outdated, Refused};

pub(super) async fn check(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let host = host(&request);
    let is_certified = request.extensions().get::<ClientCertificate>().is_some();
    let allowed = no_foreign_page(request.headers(), &host).and_then(|()| match &*admin.token.load() {
        Some(token) => bearer(request.headers(), token.expose()),
        // A name that a page has given this address is in no certificate of this gateway, so no page gets here.
        None if is_certified => Ok(()),
        None => local(&host),
    });
    match allowed {
        Ok(()) => next.run(request).await,
        Err(refused) => {
            let mut response = refused.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                let challenge = header::HeaderValue::from_static("Bearer realm=\"sandbar\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }
}

/// Refuses what is asked on a connection that was made with a certificate of authorities that may be believed no more: RFC 9110
/// section 15.5.20 has the client open another one.
pub(super) async fn on_a_present_connection(request: Request, next: Next) -> Response {
    if request.extensions().get::<Outdated>().is_none() {
        return next.run(request).await;
    }
    let reason = "clients are asked for certificates of other authorities by now: open another connection";
    Refused::new(StatusCode::MISDIRECTED_REQUEST, reason).into_response()
}

/// The host that the request names: in the `Host` field or, with HTTP/2, in its target.
fn host(request: &Request) -> String {
    let field = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let target = request.uri().authority().map(|authority| authority.as_str());
    field.or(target).unwrap_or_default().to_owned()
}

/// Refuses requests that a browser sends for a page of another site: those of forms and images no other check would
/// stop. Browsers name the page's site in `Sec-Fetch-Site` (Fetch Metadata), older ones in `Origin`, and a page can
/// change neither. `none` is a person who typed the address or followed a bookmark; clients that are no browsers send
/// neither field.
fn no_foreign_page(fields: &HeaderMap, host: &str) -> Result<(), Refused> {
    let forbidden = || Err(Refused::new(StatusCode::FORBIDDEN, "the admin API is not for web pages of other sites"));
    let mut sites = fields.get_all("sec-fetch-site").iter();
    if !sites.all(|site| ["same-origin", "none"].iter().any(|own| site.as_bytes() == own.as_bytes())) {
        return forbidden();
    }
    let mut origins = fields.get_all(header::ORIGIN).iter();
    let is_own = |origin: &header::HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        // A proxy in front of the gateway may have terminated TLS, so both schemes are right.
        let from = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        from.is_some_and(|from| !from.is_empty() && from.eq_ignore_ascii_case(host))
    };
    if origins.all(is_own) { Ok(()) } else { forbidden() }
}

/// Checks the bearer token (RFC 6750 section 2.1).
fn bearer(fields: &HeaderMap, token: &str) -> Result<(), Refused> {
    let refused = |reason: &str| Err(Refused::new(StatusCode::UNAUTHORIZED, reason));
    let Some(field) = fields.get(header::AUTHORIZATION) else {
        return refused("the admin API wants a token: send it as `Authorization: Bearer TOKEN`");
    };
    let Some((scheme, given)) = field.as_bytes().split_at_checked(7) else {
        return refused("the Authorization field is not `Bearer TOKEN`");
    };
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return refused("the Authorization field is not `Bearer TOKEN`");
    }
    // BLAKE3 hashes compare in constant time, and hide the token's length too.
    if blake3::hash(given.trim_ascii()) != blake3::hash(token.as_bytes()) {
        return refused("the token is wrong");
    }
    Ok(())
}

/// Without a token, only requests that name a loopback host are allowed. A web page may give its own host name a
/// loopback address, to be of the same origin ("DNS rebinding"), but its requests then carry that host name.
fn local(host: &str) -> Result<(), Refused> {
    if is_loopback_name(host) {
        return Ok(());
    }
    let reason = "without a token the admin API is asked by a loopback address; set admin.token_file for more";
    Err(Refused::new(StatusCode::FORBIDDEN, reason))
}

fn is_loopback_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || bare.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn only_the_whole_token_opens() {
        let opens = |value| bearer(&fields(&[("authorization", value)]), "secret").is_ok();
        assert!(opens("Bearer secret"));
        assert!(opens("bearer secret"));
        for wrong in ["Bearer secre", "Bearer secrets", "Bearer ", "Basic secret", "secret", "Bearer"] {
            assert!(!opens(wrong), "{wrong}");
        }
        assert!(bearer(&fields(&[]), "secret").is_err());
    }

    #[test]
    fn without_a_token_only_this_machine_is_asked() {
        for own in ["127.0.0.1:8081", "localhost:8081", "LOCALHOST", "[::1]:8081", "[::1]"] {
            assert!(local(own).is_ok(), "{own}");
        }
        for other in ["rebound.example:8081", "", "127.0.0.1.example", "localhost.example:8081", "10.0.0.1:8081"] {
            assert!(local(other).is_err(), "{other}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_kept_out() {
        let allowed =
            |pairs: &[(&'static str, &'static str)]| no_foreign_page(&fields(pairs), "127.0.0.1:8081").is_ok();
        assert!(allowed(&[]), "no browser");
        assert!(allowed(&[("sec-fetch-site", "none")]), "an address that was typed");
        assert!(allowed(&[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:8081")]), "the dashboard");
        for site in ["cross-site", "same-site", "", "sideways"] {
            assert!(!allowed(&[("sec-fetch-site", site)]), "{site}");
        }
        for origin in ["http://evil.example", "null", "", "http://", "http://127.0.0.1:9999", "ftp://127.0.0.1:8081"] {
            assert!(!allowed(&[("origin", origin)]), "{origin}");
        }
        assert!(!allowed(&[("origin", "http://127.0.0.1:8081"), ("origin", "http://evil.example")]));
    }
}
