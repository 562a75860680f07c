//! Who may use the admin API: whoever has the token; without one, whoever is on this machine and no web page.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Admin, Refused};

pub(super) async fn check(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let allowed = match &admin.token {
        Some(token) => bearer(request.headers(), token.expose()),
        None => local(request.headers()),
    };
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

/// RFC 6750 section 2.1.
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

/// A web page in a browser on this machine reaches loopback addresses as well: by asking another origin, or by giving
/// its own host name this address. Browsers say so.
fn local(fields: &HeaderMap) -> Result<(), Refused> {
    let forbidden = |reason: &str| Err(Refused::new(StatusCode::FORBIDDEN, reason));
    let host = fields.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if !is_loopback_name(host) {
        return forbidden(
            "without a token the admin API is asked by a loopback address; set admin.token_file for more",
        );
    }
    let origin = fields.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    if origin.is_some_and(|origin| origin.strip_prefix("http://") != Some(host)) {
        return forbidden("without a token the admin API is not for other web pages");
    }
    Ok(())
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
    fn without_token_only_this_machine_and_no_foreign_page() {
        let allowed = |pairs: &[(&'static str, &'static str)]| local(&fields(pairs)).is_ok();
        assert!(allowed(&[("host", "127.0.0.1:8081")]));
        assert!(allowed(&[("host", "localhost:8081"), ("origin", "http://localhost:8081")]));
        assert!(allowed(&[("host", "[::1]:8081")]));
        assert!(allowed(&[("host", "[::1]")]));
        assert!(!allowed(&[("host", "rebound.example:8081")]));
        assert!(!allowed(&[]));
        assert!(!allowed(&[("host", "127.0.0.1:8081"), ("origin", "http://evil.example")]));
        assert!(!allowed(&[("host", "127.0.0.1:8081"), ("origin", "null")]));
    }
}
