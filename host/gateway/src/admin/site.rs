//! The URL of an entry as an operator writes it, and the sites that it means. The scheme is part of every key, and clients
//! choose none: it is that of the listener. So the scheme of a URL counts only where clients come under both.

use http::Uri;
use sandbar_http::key::{sent_target, site_of};

use super::Refused;
use crate::config::Scheme;

/// The URL of an entry.
pub(super) struct EntryUrl {
    uri: Uri,
    /// The site under each scheme that clients come under, at least one.
    sites: Vec<(Scheme, String)>,
}

impl EntryUrl {
    /// Reads a URL; `schemes` are those that clients come under, at least one.
    ///
    /// # Errors
    /// When it is no URL with a host.
    pub(super) fn read(url: &str, schemes: &[Scheme]) -> Result<Self, Refused> {
        let uri: Uri = url.parse().map_err(|_| no_url(url))?;
        let authority = uri.authority().ok_or_else(|| no_url(url))?;
        let site = |scheme: &Scheme| Ok((*scheme, site_of(&format!("{}://{authority}", scheme.to_uri()))?));
        let sites: Result<Vec<_>, sandbar_http::key::NoKey> = schemes.iter().map(site).collect();
        Ok(Self { sites: sites.map_err(|_| no_url(url))?, uri })
    }

    /// The target on the site.
    pub(super) fn target(&self) -> String {
        sent_target(&self.uri).into_owned()
    }

    /// All sites that clients may mean with the host, whatever the URL's scheme: what a purge must reach.
    pub(super) fn sites(&self) -> impl Iterator<Item = &str> {
        self.sites.iter().map(|(_, site)| site.as_str())
    }

    /// The site with the URL's own scheme, where clients come under that; else the only one: where an entry lies.
    pub(super) fn site(&self) -> &str {
        let own = self.sites.iter().find(|(scheme, _)| Some(&scheme.to_uri()) == self.uri.scheme());
        own.or(self.sites.first()).map_or("", |(_, site)| site)
    }
}

/// The refusal of what is no URL of an entry.
pub(super) fn no_url(url: &str) -> Refused {
    Refused::bad(format!("{url:?} is not the URL of an entry; write http://host/path?query"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_of_a_url_counts_where_clients_come_under_both() {
        let (http, https) = (&[Scheme::Http][..], &[Scheme::Https][..]);
        let both = &[Scheme::Http, Scheme::Https][..];
        for (url, schemes, site, sites) in [
            ("https://shop.example/a", http, "http://shop.example", &["http://shop.example"][..]),
            ("http://shop.example:443/a", https, "https://shop.example", &["https://shop.example"]),
            ("http://shop.example/a", both, "http://shop.example", &["http://shop.example", "https://shop.example"]),
            ("https://Shop.example/a", both, "https://shop.example", &["http://shop.example", "https://shop.example"]),
        ] {
            let read = EntryUrl::read(url, schemes).unwrap_or_else(|_| panic!("{url}"));
            assert_eq!(
                (read.site(), read.sites().collect::<Vec<_>>(), read.target().as_str()),
                (site, sites.to_vec(), "/a")
            );
        }
        assert!(["/a", "", "http://a:80a/", "http://u@a/"].iter().all(|url| EntryUrl::read(url, both).is_err()));
    }
}
