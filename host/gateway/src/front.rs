//! The clients' side of the gateway: checks a request, finds its tenant, and has the cache answer it.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use sandbar::body::{self, Body, Whole};
use sandbar::cache::{CACHE, Cache};
use sandbar::not_stored::NotStored;
use sandbar::tenant::Tenant;
use sandbar_http::client::{Client, TrustedProxies};
use sandbar_http::key::{self, Site};
use sandbar_http::semantics::CacheStatus;
use sandbar_http::semantics::cache_status::Outcome;
use sandbar_http::semantics::request::{Ambiguous, check_framing};

use super::access::{Answered, Logged, Switch};
use super::config::GatewayConfig;
use super::first_chunk::{NoFirstChunk, begun};
use super::opening::Peer;
use super::room::{RequestCharge, Sending};

/// Answers the requests of clients.
pub(super) struct Front {
    pub(super) cache: Cache,
    /// The scheme of what comes without TLS.
    pub(super) scheme: Scheme,
    /// Where each request is told, if it is.
    pub(super) access: Arc<Switch>,
    /// Settings that may change while the gateway runs.
    pub(super) settings: ArcSwap<FrontSettings>,
}

/// Settings of the clients' side.
pub(super) struct FrontSettings {
    /// The host that an HTTP/1.0 request without one is taken to ask for.
    default_host: String,
    /// How long the first part of an announced body may take to arrive.
    begin_deadline: Duration,
    /// Proxies that are believed about the client's address.
    trusted_proxies: TrustedProxies,
}

impl From<&GatewayConfig> for FrontSettings {
    fn from(config: &GatewayConfig) -> Self {
        Self {
            default_host: config.gateway.default_host.clone(),
            begin_deadline: config.limits.head_deadline.get(),
            trusted_proxies: config.gateway.trusted_proxies.clone(),
        }
    }
}

impl Front {
    /// Answers a request for which `room` was found, else with 503. The room is held until the response is sent.
    pub(super) async fn answer_within(
        &self,
        request: Request<Whole>,
        peer: &Peer,
        room: Option<RequestCharge>,
    ) -> Response<Sending<Logged<Body>>> {
        let settings = self.settings.load_full();
        let client = Client::seen(peer.connection, peer.address.ip(), request.headers(), &settings.trusted_proxies);
        let log = self.access.present();
        let told = log.and_then(|log| log.asked(&request, peer.address.ip(), &client).map(|asked| (log, asked)));
        let (response, answered, room) = match room {
            None => (no_room(), Answered::refused(NotStored::NoRoom.as_str()), None),
            Some(mut room) => {
                let asked = (request, peer, client);
                let names_class = told.as_ref().is_some_and(|(log, _)| log.names_class());
                let (response, answered) = self.answer(asked, &settings, names_class).await;
                match room.covers_head(response.headers()) {
                    true => (response, answered, Some(room)),
                    false => (no_room(), Answered::refused(NotStored::NoRoom.as_str()), Some(room)),
                }
            }
        };
        let (head, content) = response.into_parts();
        let content = match told {
            Some((log, asked)) => Logged::new(content, &head, log, (asked, answered)),
            None => Logged::unlogged(content),
        };
        Response::from_parts(head, Sending { content, room })
    }

    /// Answers a request: from the cache, or with the reason why it is refused.
    async fn answer(
        &self,
        (mut request, peer, client): (Request<Whole>, &Peer, Client),
        settings: &FrontSettings,
        names_class: bool,
    ) -> (Response<Body>, Answered) {
        request.extensions_mut().insert(client);
        match self.route(request, peer, settings).await {
            Ok((tenant, request)) => {
                let told = names_class.then(|| {
                    let class = tenant.settings.classes.of(&key::sent_target(request.uri()));
                    (Arc::clone(&tenant), Arc::clone(class))
                });
                let (response, provenance) = self.cache.respond_and_tell(&tenant, request).await;
                (response, Answered { tenant: told, provenance })
            }
            Err(refusal) => {
                let answered = Answered::refused(refusal.detail);
                (refusal.into_response(), answered)
            }
        }
    }

    /// Finds the tenant of a request, and makes the request's URI absolute, with the scheme that the connection has: no
    /// client can choose another key for the same target.
    async fn route(
        &self,
        request: Request<Whole>,
        peer: &Peer,
        settings: &FrontSettings,
    ) -> Result<(Arc<Tenant>, Request<Body>), Refusal> {
        if request.method() == Method::CONNECT {
            // The client may have sent bytes for the tunnel already, which must not be read as a request: so it closes.
            let closes = request.version() <= Version::HTTP_11;
            let text = "this gateway opens no tunnels";
            return Err(Refusal { closes, ..Refusal::new(StatusCode::NOT_IMPLEMENTED, "tunnel", text) });
        }
        let (mut head, incoming) = request.into_parts();
        let closes = head.version <= Version::HTTP_11;
        let bad = |detail, reason: String| Refusal { closes, ..Refusal::new(StatusCode::BAD_REQUEST, detail, reason) };
        let no_url = || bad("bad-target", "the request's target makes no URL".into());
        let seen_beneath = head.extensions.get::<Ambiguous>().copied().map_or(Ok(()), Err);
        seen_beneath
            .and_then(|()| check_framing(head.version, &head.headers))
            .map_err(|ambiguous| bad(ambiguous.as_str(), ambiguous.to_string()))?;
        let unclear = |reason: key::NoKey| bad(reason.as_str(), reason.to_string());
        key::check_form(&head.method, &head.uri).map_err(unclear)?;
        if head.uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
            return Err(no_url());
        }
        if peer.secured.as_ref().is_some_and(|secured| secured.is_outdated()) {
            let text = "clients are asked for certificates of other authorities by now; open another connection";
            return Err(Refusal { closes, ..Refusal::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", text) });
        }
        let is_unnamed = self.name_host(&mut head, &settings.default_host);
        let scheme = if peer.secured.is_some() { "https" } else { self.scheme.as_str() };
        let site = Site::under(scheme, &head.uri, &head.headers).map_err(unclear)?;
        let host = site.authority();
        if !is_unnamed && peer.secured.as_ref().is_some_and(|secured| !secured.is_for(host)) {
            // RFC 9113 section 9.1.1: a client may use a connection for other hosts than it was made for, and 421 tells
            // it to open another one.
            let text = format!("the certificate of this connection is not for the host {host:?}; open another one");
            return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "misdirected", text));
        }
        let Some(tenant) = self.cache.tenant_at(host) else {
            // RFC 9110 section 15.5.20: this server can't answer for that authority.
            let text = format!("no tenant of this gateway answers for the host {host:?}");
            return Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, "unknown-host", text));
        };
        head.uri = key::uri_at(site.as_str(), &key::sent_target(&head.uri)).map_err(|_| no_url())?;
        head.extensions.insert(site);
        let content = content(&head.headers, incoming, settings.begin_deadline).await;
        let content = content.map_err(|reason| Refusal { closes, ..Refusal::from(&reason) })?;
        Ok((tenant, Request::from_parts(head, content)))
    }

    /// Gives an HTTP/1.0 request without `Host` the default host, a name that no tenant has: the tenant of all other
    /// hosts (`*`) answers it, if there is one. From HTTP/1.1 on `Host` is required (RFC 9112 section 3.2). True where it
    /// is such a request.
    fn name_host(&self, head: &mut http::request::Parts, default_host: &str) -> bool {
        let is_named = head.uri.authority().is_some() || head.headers.contains_key(header::HOST);
        let takes_default = head.version <= Version::HTTP_10 && !is_named;
        if takes_default && self.cache.tenant_at(default_host).is_some() {
            let host = HeaderValue::from_str(default_host);
            head.headers.extend(host.ok().map(|host| (header::HOST, host)));
        }
        takes_default
    }
}

/// The content of a request; where it is announced, once its first part has come.
async fn content(fields: &HeaderMap, incoming: Whole, begin_deadline: Duration) -> Result<Body, NoFirstChunk> {
    // Over HTTP/2 content may come unannounced, after the response has begun: such content is not waited for.
    let is_announced = fields.contains_key(header::TRANSFER_ENCODING) || fields.contains_key(header::CONTENT_LENGTH);
    if is_announced && !http_body::Body::is_end_stream(&incoming) {
        begun(incoming, begin_deadline).await
    } else {
        Ok(body::boxed(incoming))
    }
}

/// The answer to a request for which there is no memory. It has no content, as that would wait for the stream's window.
fn no_room() -> Response<Body> {
    let response = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, NotStored::NoRoom.as_str(), "").into_response();
    let mut response = response.map(|_| body::empty());
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Why a request reaches no tenant, and the response that says so.
struct Refusal {
    status: StatusCode,
    /// The reason in one word, for `Cache-Status`.
    detail: &'static str,
    reason: String,
    /// Whether the connection is closed: after an ambiguous request it is not known where the next one begins (RFC 9112
    /// section 6.3).
    closes: bool,
}

impl From<&NoFirstChunk> for Refusal {
    fn from(reason: &NoFirstChunk) -> Self {
        let (status, detail) = match reason {
            NoFirstChunk::Bad => (StatusCode::BAD_REQUEST, "bad-body"),
            NoFirstChunk::Late => (StatusCode::REQUEST_TIMEOUT, "late-body"),
        };
        Self::new(status, detail, reason.to_string())
    }
}

impl Refusal {
    fn new(status: StatusCode, detail: &'static str, reason: impl Into<String>) -> Self {
        Self { status, detail, reason: reason.into(), closes: false }
    }

    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(body::full(format!("{}\n", self.reason)));
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let status = CacheStatus { detail: Some(self.detail), ..CacheStatus::new(CACHE, Outcome::Refused) };
        status.append_to(fields);
        if self.closes {
            fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
