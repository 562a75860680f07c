//! Standing: what an answer of the origin means for the stored response that was being validated, where the answer
//! neither freshens nor replaces that response (RFC 9111 section 4.3.3).

use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, StatusCode};

/// What becomes of the stored response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The stored response is unaffected.
    Stands,
    /// It is validated before its next use: the answer was about the request, and proves nothing for other requests.
    Doubtful,
    /// The origin has replaced or removed it: it must not be used again.
    Ended,
}

/// What an answer with this status that is not stored means for the stored response. `of_the_request`: only the request
/// forbids storing the answer.
///
/// The status decides, not the client, so that no client can empty the cache by unusual requests: 404, 410 and 451 are
/// about the resource, and so is a success or a redirection in its place. 401 and 403 are about the resource where the
/// request brought no credentials or cookies that could have been refused. All other 4xx are about the request. A 500,
/// 502, 503 or 504 says that the origin is in trouble (RFC 5861 section 4).
pub fn standing(request: &HeaderMap, status: StatusCode, of_the_request: bool) -> Standing {
    let names_nobody = !request.contains_key(AUTHORIZATION) && !request.contains_key(COOKIE);
    match status.as_u16() {
        500 | 502 | 503 | 504 => Standing::Stands,
        // An unexpected part says nothing about the whole.
        206 => Standing::Doubtful,
        404 | 410 | 451 => Standing::Ended,
        200..=399 if !of_the_request => Standing::Ended,
        401 | 403 if names_nobody => Standing::Ended,
        _ => Standing::Doubtful,
    }
}

/// Whether an error may be about the `Range` or the condition that its request was sent with: then it answers no
/// request without them. A 404, 410 or 451 does not depend on a condition, and neither does a 5xx; but where a range
/// was asked for, too little is known of any error.
pub fn is_particular(status: StatusCode, ranged: bool, conditional: bool) -> bool {
    let is_error = status.is_client_error() || status.is_server_error();
    let about_the_request = status.is_client_error() && !matches!(status.as_u16(), 404 | 410 | 451);
    is_error && ranged || about_the_request && conditional
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_status_decides() {
        let nobody = HeaderMap::new();
        let mut somebody = HeaderMap::new();
        somebody.insert(COOKIE, HeaderValue::from_static("sid=1"));
        let mut user = HeaderMap::new();
        user.insert(AUTHORIZATION, HeaderValue::from_static("Basic eDp5"));
        let of = |request: &HeaderMap, status: u16| standing(request, StatusCode::from_u16(status).unwrap(), false);
        for status in [200, 203, 204, 299, 301, 302, 307, 308, 404, 410, 451] {
            for request in [&nobody, &somebody, &user] {
                assert_eq!(of(request, status), Standing::Ended, "{status}");
            }
        }
        for status in [401, 403] {
            assert_eq!(of(&nobody, status), Standing::Ended, "{status}");
            assert_eq!(of(&somebody, status), Standing::Doubtful, "{status}");
            assert_eq!(of(&user, status), Standing::Doubtful, "{status}");
        }
        for status in (405..=408).chain(411..=417).chain(421..=431).chain([206, 400, 402, 409, 501]) {
            assert_eq!(of(&nobody, status), Standing::Doubtful, "{status}");
        }
        for status in [500, 502, 503, 504] {
            assert_eq!(of(&nobody, status), Standing::Stands, "{status}");
        }
        assert_eq!(standing(&user, StatusCode::OK, true), Standing::Doubtful, "only the request forbids to store it");
    }

    #[test]
    fn errors_about_a_range_or_a_condition_answer_nobody_else() {
        for (status, ranged, conditional, is_it) in [
            (400, false, false, false),
            (400, true, false, true),
            (400, false, true, true),
            (404, false, true, false),
            (404, true, false, true),
            (503, true, false, true),
            (503, false, true, false),
            (200, true, true, false),
            (301, true, false, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_particular(status, ranged, conditional), is_it, "{status} {ranged} {conditional}");
        }
    }
}
