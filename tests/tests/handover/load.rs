//! Clients of several kinds that ask on and on, and tolerate nothing: no failed request, no refused connection, no
//! content that is wrong or older than what has been purged.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use sandbar_tests::client::{Answer, Client};
use sandbar_tests::origin::{Origin, Reply, Seen};
use sandbar_tests::tls::{TlsClient, TlsConnection};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::served::{HOST, Served};

/// What the origin says at present, and what of it no client may be given any more.
#[derive(Default)]
pub(crate) struct Truth {
    version: AtomicU64,
    purged_below: AtomicU64,
}

impl Truth {
    /// The reply of an origin that follows this: its version, below `/live/` with a surrogate key.
    pub(crate) fn reply(&self, seen: &Seen) -> Reply {
        let content = format!("{} {}", seen.path(), self.version.load(Ordering::SeqCst));
        let reply = Reply::ok(content).field("cache-control", "max-age=600");
        if seen.path().starts_with("/live/") { reply.field("surrogate-key", "live") } else { reply }
    }

    /// Changes what the origin says.
    pub(crate) fn change(&self) -> u64 {
        self.version.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Has the origin say something new, purges what is old, and expects only the new from then on.
    pub(crate) async fn change_and_purge(&self, served: &Served) {
        let version = self.change();
        let answer = served.purge("live").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.purged_below.fetch_max(version, Ordering::SeqCst);
    }
}

/// An origin that follows a truth.
pub(crate) async fn origin(truth: &Arc<Truth>) -> Origin {
    let truth = Arc::clone(truth);
    Origin::start(move |seen| truth.reply(seen)).await.unwrap()
}

/// How a client connects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    KeptAlive,
    NewEachTime,
    Http2,
    TlsHttp1,
    TlsHttp2,
}

/// Clients that ask until they are told to stop.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    clients: JoinSet<anyhow::Result<()>>,
}

impl Load {
    pub(crate) fn start(served: &Served, truth: &Arc<Truth>, kinds: &[Kind]) -> Self {
        let mut load = Self { stop: Arc::default(), answers: Arc::default(), clients: JoinSet::new() };
        for (number, kind) in kinds.iter().enumerate() {
            let asker = Asker {
                kind: *kind,
                address: served.address,
                tls: served.tls,
                tls_client: TlsClient::trusting(&served.authority).unwrap(),
                client: served.client(),
                http2: None,
                secure: None,
            };
            let (stop, answers, truth) = (Arc::clone(&load.stop), Arc::clone(&load.answers), Arc::clone(truth));
            load.clients.spawn(ask_on(asker, number, truth, stop, answers));
        }
        load
    }

    /// Answers so far.
    pub(crate) fn answers(&self) -> u64 {
        self.answers.load(Ordering::SeqCst)
    }

    /// Ends it; all must have gone well.
    pub(crate) async fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap().unwrap();
        }
    }
}

async fn ask_on(
    mut asker: Asker,
    number: usize,
    truth: Arc<Truth>,
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let kind = asker.kind;
    for round in 0_usize.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let path = format!("/{}/{}", ["live", "kept"][round % 2], (number + round) % 40);
        let at_least = if round % 2 == 0 { truth.purged_below.load(Ordering::SeqCst) } else { 0 };
        let answer = asker.ask(&path).await.with_context(|| format!("{kind:?}, round {round}"))?;
        ensure!(answer.status == 200, "{kind:?} {path}: {} {}", answer.status, answer.text());
        let text = answer.text();
        let (said, version) = text.split_once(' ').context("two words")?;
        ensure!(said == path, "{kind:?} {path}: {text}");
        let version: u64 = version.parse()?;
        ensure!(version >= at_least, "{kind:?} {path}: {version} was purged, {at_least} is the least");
        answers.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

/// Whether GOAWAY says that the server has not looked at the request, which then may be sent again (RFC 9113 section 6.8): it was
/// written just after the client had answered the PING that precedes the last GOAWAY.
fn is_above_the_last(error: &hyper::Error) -> bool {
    let error = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    error.is_some_and(|error| error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR))
}

struct Asker {
    kind: Kind,
    address: SocketAddr,
    tls: SocketAddr,
    tls_client: TlsClient,
    client: Client,
    http2: Option<http2::SendRequest<Empty<Bytes>>>,
    secure: Option<TlsConnection>,
}

impl Asker {
    async fn ask(&mut self, path: &str) -> anyhow::Result<Answer> {
        match self.kind {
            Kind::KeptAlive => self.client.get(path).await,
            Kind::NewEachTime => {
                self.client.hang_up();
                self.client.get(path).await
            }
            Kind::Http2 => self.over_http2(path).await,
            Kind::TlsHttp1 => self.over_tls("http/1.1", path).await,
            Kind::TlsHttp2 => self.over_tls("h2", path).await,
        }
    }

    async fn over_http2(&mut self, path: &str) -> anyhow::Result<Answer> {
        loop {
            let mut connection = self.http2_connection().await?;
            let request = Request::get(format!("http://{HOST}{path}")).body(Empty::new())?;
            let mut error = match connection.try_send_request(request).await {
                Ok(response) => {
                    self.http2 = Some(connection);
                    let (head, body) = response.into_parts();
                    let body = body.collect().await.context("the answer broke off")?.to_bytes();
                    return Ok(Answer { status: head.status, fields: head.headers, body });
                }
                Err(error) => error,
            };
            // Where the request was not sent, GOAWAY has come before it.
            if error.take_message().is_none() && !is_above_the_last(error.error()) {
                return Err(error.into_error().into());
            }
        }
    }

    async fn http2_connection(&mut self) -> anyhow::Result<http2::SendRequest<Empty<Bytes>>> {
        if let Some(mut connection) = self.http2.take()
            && connection.ready().await.is_ok()
        {
            return Ok(connection);
        }
        let stream = TcpStream::connect(self.address).await?;
        let (connection, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(connection)
    }

    /// A handshake, and as many requests as the server lets the connection have.
    async fn over_tls(&mut self, protocol: &str, path: &str) -> anyhow::Result<Answer> {
        let mut connection = match self.secure.take() {
            Some(connection) => connection,
            None => self.tls_client.offering(&[protocol]).connect(self.tls, HOST).await?,
        };
        let answer = connection.get(HOST, path).await?;
        // A client over HTTP/2 is told by GOAWAY, which this one does not look for: it asks once on each connection.
        let is_last = protocol == "h2" || answer.field("connection") == Some("close");
        self.secure = (!is_last).then_some(connection);
        Ok(answer)
    }
}
