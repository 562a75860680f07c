//! The URIs at which an origin is asked: below its base path.

use std::borrow::Cow;

use ::http::Uri;
use ::http::uri::{Authority, PathAndQuery};
use sandbar_http::key::{equivalent, spelled};

use super::url::OriginUrl;

impl OriginUrl {
    /// The URI to dial.
    pub(super) fn to_uri(&self) -> Uri {
        self.at(self.authority.clone(), "/").unwrap_or_default()
    }

    /// The URI of a target that is not below the base path.
    pub(super) fn at_root(&self, target: PathAndQuery) -> Option<Uri> {
        let parts = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone()).path_and_query(target);
        parts.build().ok()
    }

    /// The URI of `target` (path and query) below the base path, on `authority`; none where they make no URI.
    pub(super) fn at(&self, authority: Authority, target: &str) -> Option<Uri> {
        let target = match target {
            "*" => "*".to_owned(), // OPTIONS * (RFC 9110 section 9.3.7) asks the server, not a path.
            target if self.base.is_empty() => target.to_owned(),
            target => format!("{}{}", self.base, below_the_root(target)),
        };
        let parts = Uri::builder().scheme(self.scheme.clone()).authority(authority).path_and_query(target);
        parts.build().ok()
    }
}

/// A target without dot segments that reach above its root, so that only what is below the base path is asked for. RFC
/// 3986 section 5.2.4: `/../a` is `/a`.
fn below_the_root(target: &str) -> Cow<'_, str> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    if !spelled(path).contains("/..") {
        return target.into();
    }
    let path = equivalent(path);
    query.map_or_else(|| path.clone().into_owned(), |query| format!("{path}?{query}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_go_below_the_base_path() {
        let url: OriginUrl = "http://example.com/shop/".parse().expect("a URL");
        let at = |target| url.at(url.authority().clone(), target).map(|uri| uri.to_string());
        assert_eq!(at("/a?b=c").as_deref(), Some("http://example.com/shop/a?b=c"));
        assert_eq!(at("/").as_deref(), Some("http://example.com/shop/"));
        for (target, below) in
            [("/../a", "a"), ("/..", ""), ("/b/%2e%2E/../a?x=/..", "a?x=/.."), ("/b/./..a", "b/..a"), ("/b/.", "b/.")]
        {
            assert_eq!(at(target), Some(format!("http://example.com/shop/{below}")), "{target}");
        }
        assert_eq!(at("/a b"), None);
        let server = url.at(url.authority().clone(), "*").expect("a URI");
        assert_eq!(server.path(), "*", "OPTIONS * asks the server, not a path");
    }
}
