//! Names of request fields by which a client could mislead origins that trust them.

/// What a field tells an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing by which a client could mislead the origin.
    Ordinary,
    /// Who the client is.
    Client,
    /// By which host, scheme or port the client asked.
    Place,
    /// Which method or target to take instead of the request's own.
    Override,
    /// A value that a program takes for a setting of its own: CGI makes `HTTP_PROXY` of `Proxy` (CVE-2016-5385,
    /// "httpoxy"), and Rack lets the client say how files are sent.
    Setting,
}

impl Kind {
    /// The kind of a field; `name` is in lower case and its own twin.
    pub(super) fn of(name: &str) -> Self {
        // Nearly all of the listed names begin with "x-": a look at the first byte settles most other names.
        match name.as_bytes() {
            [b'x', b'-', ..] => Self::of_extension(name),
            [b'f' | b'c' | b't' | b'b' | b'w' | b'p' | b'h', ..] => Self::of_other(name),
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
            | "x-envoy-original-host"
            | "x-forwarded-authority"
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
            | "x-host-override"
            | "x-hostname"
            | "x-http-host"
            | "x-http-host-override"
            | "x-https"
            | "x-original-host"
            | "x-original-port"
            | "x-original-proto"
            | "x-original-scheme"
            | "x-proto"
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
            | "x-invoke-path"
            | "x-invoke-query"
            | "x-invoke-status"
            | "x-matched-path"
            | "x-method"
            | "x-method-override"
            | "x-middleware-subrequest"
            | "x-now-route-matches"
            | "x-original-method"
            | "x-original-path"
            | "x-original-uri"
            | "x-original-url"
            | "x-override-url"
            | "x-replaced-path"
            | "x-request-uri"
            | "x-rewrite-uri"
            | "x-rewrite-url"
            | "x-script-name"
            | "x-waws-unencoded-url" => Self::Override,
            "x-accel-mapping" | "x-sendfile-type" => Self::Setting,
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
            | "https"
            | "wl-proxy-ssl" => Self::Place,
            "base-url" => Self::Override,
            "proxy" => Self::Setting,
            _ => Self::Ordinary,
        }
    }
}
