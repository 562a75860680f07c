//! A Redis whose clients connect with TLS, with a certificate that an authority of the test's own has signed.

use std::path::PathBuf;

use crate::ports::free_port;
use crate::redis_server::RedisServer;
use crate::tls::Authority;

/// A running server.
#[derive(Debug)]
pub struct RedisTls {
    port: u16,
    authority: Authority,
    _server: RedisServer,
}

impl RedisTls {
    /// Starts a server with more arguments.
    ///
    /// # Errors
    /// When no certificate can be made, or the server does not come up.
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let (authority, port) = (Authority::new()?, free_port()?);
        let files = authority.issue("server", &["localhost", "127.0.0.1"])?;
        let [certificate, key, ca] = [files.cert, files.key, authority.file()].map(|file| file.display().to_string());
        let tls_port = port.to_string();
        let tls = ["--tls-port", &tls_port, "--tls-auth-clients", "no", "--tls-ca-cert-file", &ca];
        let own = ["--tls-cert-file", &certificate, "--tls-key-file", &key];
        let server = RedisServer::start_with(&[&tls[..], &own[..], arguments].concat())?;
        Ok(Self { port, authority, _server: server })
    }

    /// The server's URL; `user` is a user and a password, as `name:password`.
    pub fn url(&self, user: &str) -> String {
        format!("rediss://{user}@127.0.0.1:{}/", self.port)
    }

    /// The file with the certificate of the authority.
    pub fn authority(&self) -> PathBuf {
        self.authority.file()
    }
}
