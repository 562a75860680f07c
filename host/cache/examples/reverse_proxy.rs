//! A reverse proxy of tower services: hyper-util's client asks the origin, and the cache is a layer in front of it.
//!
//! `cargo run --release -p sandbar --example reverse_proxy -- 127.0.0.1:8000 127.0.0.1:8090`

use anyhow::Context;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use sandbar::Sandbar;
use sandbar::body::Body;
use tokio::net::TcpListener;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let origin = arguments.next().context("name the origin: 127.0.0.1:8000")?;
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:8090".into());
    proxy(TcpListener::bind(listen).await?, origin.parse()?).await
}

pub(crate) async fn proxy(listener: TcpListener, origin: Authority) -> anyhow::Result<()> {
    let sandbar = Sandbar::builder().build()?;
    let to_origin = move |mut request: Request<Body>| {
        let target = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let uri = Uri::builder().scheme(Scheme::HTTP).authority(origin.clone()).path_and_query(target);
        *request.uri_mut() = uri.build().expect("parts of URIs make one");
        request
    };
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let service = ServiceBuilder::new().layer(sandbar.layer()).map_request(to_origin).service(client);
    loop {
        let (socket, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            let served = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
            if let Err(error) = served {
                eprintln!("{error}");
            }
        });
    }
}
