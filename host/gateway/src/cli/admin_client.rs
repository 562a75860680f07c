//! A client of the admin API of a running gateway, for the subcommands that need one.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::Args;
use http::{HeaderName, HeaderValue, Method, Request, Response, header, request};
use http_body_util::{BodyExt, Limited};
use sandbar::body::{self, Body};
use sandbar::origin::http::{BadOrigin, HttpOrigin, OriginConfig, OriginUrl};
use sandbar::origin::{Origin, OriginError};
use sandbar::setting::Span;
use sandbar_policy::GuestText;
use serde_json::Value;

use crate::config::Secret;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Arguments of each subcommand that talks to a gateway: its admin API, and the token for it.
#[derive(Debug, Args)]
pub(super) struct AdminArgs {
    /// URL of the gateway's admin API.
    #[arg(long, value_name = "URL", env = "SANDBAR_ADMIN", default_value = "http://127.0.0.1:8081")]
    admin: OriginUrl,
    /// Token of the admin API; better given as SANDBAR_ADMIN_TOKEN.
    #[arg(long, env = "SANDBAR_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Certificates in PEM form that the gateway's may be signed with, beside those that the system trusts.
    #[arg(long, value_name = "FILE", env = "SANDBAR_ADMIN_CA_FILE")]
    ca_file: Option<PathBuf>,
    /// The certificate in PEM form that the gateway is shown, where it asks for one.
    #[arg(long, value_name = "FILE", env = "SANDBAR_ADMIN_CERT_FILE", requires = "key_file")]
    cert_file: Option<PathBuf>,
    /// The key of that certificate, without a passphrase.
    #[arg(long, value_name = "FILE", env = "SANDBAR_ADMIN_KEY_FILE", requires = "cert_file")]
    key_file: Option<PathBuf>,
}

/// The gateway may have been asked, but gave no answer: whether it did anything is not known.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoAnswer(String);

/// A client of the admin API.
pub(super) struct AdminClient {
    origin: HttpOrigin,
    token: Option<Secret>,
}

impl AdminArgs {
    pub(super) fn client(self) -> anyhow::Result<AdminClient> {
        self.client_for(Duration::from_secs(90))
    }

    /// A client whose requests may take `total_deadline`; an answer may also begin as late as that.
    pub(super) fn client_for(self, total_deadline: Duration) -> anyhow::Result<AdminClient> {
        let (total_deadline, first_byte_deadline) = (Span::new(total_deadline)?, Span::new(total_deadline)?);
        let config = OriginConfig {
            total_deadline,
            first_byte_deadline,
            tls_ca_file: self.ca_file,
            tls_cert_file: self.cert_file,
            tls_key_file: self.key_file,
            ..OriginConfig::new(self.admin)
        };
        let origin = HttpOrigin::new(&config).map_err(|error| bad_file(&error))?;
        Ok(AdminClient { origin, token: self.token.map(Secret::new) })
    }
}

/// The error where files can't be used, with the names that they have on the command line.
fn bad_file(error: &BadOrigin) -> anyhow::Error {
    match error {
        BadOrigin::CaFile { file, reason } => {
            anyhow!("--ca-file {}: {reason}; it must hold certificates in PEM form", file.display())
        }
        BadOrigin::CertFile { file, reason } => {
            anyhow!("--cert-file {}: {reason}; it must hold a certificate in PEM form", file.display())
        }
        BadOrigin::KeyFile { file, reason } => {
            anyhow!("--key-file {}: {reason}; it must hold the certificate's private key in PEM form", file.display())
        }
        BadOrigin::NoRoots => {
            anyhow!("this machine trusts no certificates; name the gateway's authority with --ca-file")
        }
        other => anyhow!("{other}"),
    }
}

impl AdminClient {
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, None).await
    }

    /// Asks for a path with these further fields.
    pub(super) async fn get_with(&self, path: &str, fields: Vec<(HeaderName, HeaderValue)>) -> anyhow::Result<Value> {
        let mut request = self.request(Method::GET, path)?;
        if let Some(all) = request.headers_mut() {
            for (name, value) in fields {
                all.append(name, value);
            }
        }
        self.answer(request.body(body::empty())?).await
    }

    pub(super) async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::DELETE, path, None).await
    }

    pub(super) async fn send_json(&self, method: Method, path: &str, value: &Value) -> anyhow::Result<Value> {
        self.ask(method, path, Some(("application/json", value.to_string().into()))).await
    }

    /// Sends a request and reads its JSON answer. An answer without success becomes an error with the gateway's reason.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        content: Option<(&str, Bytes)>,
    ) -> anyhow::Result<Value> {
        let request = self.request(method, path)?;
        let request = match content {
            Some((kind, bytes)) => request.header(header::CONTENT_TYPE, kind).body(body::full(bytes))?,
            None => request.body(body::empty())?,
        };
        self.answer(request).await
    }

    async fn answer(&self, request: Request<Body>) -> anyhow::Result<Value> {
        let response = self.fetch(request).await?;
        if response.status().is_success() {
            return Ok(serde_json::from_slice(&read(response).await?).unwrap_or(Value::Null));
        }
        Err(self.refused(response).await)
    }

    /// Sends a request, and gives the body of its answer while that arrives.
    pub(super) async fn stream(&self, method: Method, path: &str) -> anyhow::Result<Body> {
        let response = self.fetch(self.request(method, path)?.body(body::empty())?).await?;
        if response.status().is_success() { Ok(response.into_body()) } else { Err(self.refused(response).await) }
    }

    fn request(&self, method: Method, path: &str) -> anyhow::Result<request::Builder> {
        let request = Request::builder().method(method).uri(path);
        let Some(token) = &self.token else { return Ok(request) };
        let value = header::HeaderValue::from_str(&format!("Bearer {}", token.expose()));
        Ok(request.header(header::AUTHORIZATION, value.context("the token can't be sent")?))
    }

    async fn fetch(&self, request: Request<Body>) -> anyhow::Result<Response<Body>> {
        self.origin.fetch(request).await.map_err(|error| self.unanswered(error))
    }

    /// The error where no answer came. It speaks of the gateway, as users need not know of an [`HttpOrigin`] inside.
    fn unanswered(&self, error: OriginError) -> anyhow::Error {
        let gateway = self.origin.name();
        match error {
            OriginError::Connect { reason, .. } => anyhow!(
                "could not connect to {gateway}: {reason}; is a gateway running there? start one with `sandbar serve`, or \
                 name another with --admin"
            ),
            OriginError::Deadline { what, deadline_ms, .. } if what != "connect" => {
                NoAnswer(format!("the gateway at {gateway} gave no answer within {} s", deadline_ms / 1000)).into()
            }
            OriginError::Broken { reason, .. } => {
                NoAnswer(format!("the gateway at {gateway} broke off before it had answered: {reason}")).into()
            }
            other => anyhow!("the gateway at {gateway} could not be asked: {other}"),
        }
    }

    /// The error for an answer without success, with the reason that the gateway gave.
    async fn refused(&self, response: Response<Body>) -> anyhow::Error {
        let status = response.status();
        let value: Value = match read(response).await {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            Err(error) => return error,
        };
        match (value.get("error").or(value.get("reason"))).and_then(Value::as_str) {
            // `GuestText` makes it one line, whatever the gateway sent.
            Some(reason) => anyhow!("{}", GuestText::new(reason)),
            None => anyhow!("{} answered {status}, which is no admin API of a gateway", self.origin.name()),
        }
    }
}

async fn read(response: Response<Body>) -> anyhow::Result<Bytes> {
    let read = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    Ok(read.map_err(|error| anyhow!("the answer could not be read: {error}"))?.to_bytes())
}

/// Encodes a name as one segment of a path: a slash in the name begins no new segment.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
