//! Names of request fields that origins believe more than they should.

/// What a field tells an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing that the gateway knows better.
    Ordinary,
    /// Who the client is.
    Client,
    /// By which host, scheme or port it was asked.
    Place,
    /// Which method or target to take instead of the request's own.
    Override,
}

impl Kind {
    /// Of a name in lower case that is its own twin.
    pub(super) fn of(name: &str) -> Self {
        // All of them but a few begin so: most names are passed over by one comparison.
        match name.as_bytes() {
            [b'x', b'-', ..] => Self::of_extension(name),
            [b'f' | b'c' | b't' | b'b' | b'w' | b'p', ..] => Self::of_other(name),
            _ => Self::Ordinary,
        }
    }

    fn of_extension(name: &str) -> Self {
        match name {
            "x-appengine-user-ip"
            | "x-azure-clientip"
            | "x-azure-socketip"
            | "x-client-ip"
            | "x-cluster-client-ip"
            | "x-custom-ip-authorization"
            | "x-envoy-external-address"
            | "x-forwarded"
            | "x-forwarded-by"
            | "x-forwarded-client-cert"
            | "x-forwarded-for"
            | "x-original-for"
            | "x-original-forwarded-for"
            | "x-originating-ip"
            | "x-proxyuser-ip"
            | "x-real-ip"
            | "x-remote-addr"
            | "x-remote-ip"
            | "x-true-client-ip" => Self::Client,
            "x-arr-ssl"
            | "x-backend-host"
            | "x-forwarded-host"
            | "x-forwarded-hostname"
            | "x-forwarded-https"
            | "x-forwarded-port"
            | "x-forwarded-proto"
            | "x-forwarded-protocol"
            | "x-forwarded-scheme"
            | "x-forwarded-server"
            | "x-forwarded-ssl"
            | "x-host"
            | "x-hostname"
            | "x-http-host"
            | "x-http-host-override"
            | "x-original-host"
            | "x-original-port"
            | "x-original-proto"
            | "x-original-scheme"
            | "x-real-host"
            | "x-real-port"
            | "x-real-scheme"
            | "x-scheme"
            | "x-server-name"
            | "x-url-scheme" => Self::Place,
            "x-envoy-original-path"
            | "x-forwarded-context"
            | "x-forwarded-method"
            | "x-forwarded-path"
            | "x-forwarded-prefix"
            | "x-forwarded-uri"
            | "x-forwarded-url"
            | "x-http-destinationurl"
            | "x-http-method"
            | "x-http-method-override"
            | "x-method"
            | "x-method-override"
            | "x-original-method"
            | "x-original-path"
            | "x-original-uri"
            | "x-original-url"
            | "x-override-url"
            | "x-replaced-path"
            | "x-request-uri"
            | "x-rewrite-uri"
            | "x-rewrite-url"
            | "x-script-name" => Self::Override,
            _ => Self::Ordinary,
        }
    }

    fn of_other(name: &str) -> Self {
        match name {
            "cf-connecting-ip" | "cf-connecting-ipv6" | "cf-pseudo-ipv4" | "client-ip" | "fastly-client-ip"
            | "forwarded-for" | "forwarded-for-ip" | "proxy-client-ip" | "true-client-ip" | "wl-proxy-client-ip" => {
                Self::Client
            }
            "cf-visitor"
            | "cloudfront-forwarded-proto"
            | "fastly-ssl"
            | "forwarded"
            | "forwarded-host"
            | "forwarded-proto"
            | "front-end-https"
            | "wl-proxy-ssl" => Self::Place,
            "base-url" => Self::Override,
            _ => Self::Ordinary,
        }
    }
}
