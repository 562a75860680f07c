//! A Redis whose clients connect with TLS, with a certificate that an authority of the test's own has signed.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::ports::free_port;
use crate::redis_server::RedisServer;

/// A running server.
#[derive(Debug)]
pub struct RedisTls {
    port: u16,
    dir: TempDir,
    _server: RedisServer,
}

impl RedisTls {
    /// Starts a server with more arguments.
    ///
    /// # Errors
    /// When no certificate can be made, or the server does not come up.
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let (dir, port) = (tempfile::tempdir()?, free_port()?);
        make_certificates(dir.path())?;
        let file = |name: &str| dir.path().join(name).display().to_string();
        let (certificate, key, authority, tls_port) =
            (file("server.pem"), file("server.key"), file("ca.pem"), port.to_string());
        let tls = ["--tls-port", &tls_port, "--tls-auth-clients", "no", "--tls-ca-cert-file", &authority];
        let own = ["--tls-cert-file", &certificate, "--tls-key-file", &key];
        let server = RedisServer::start_with(&[&tls[..], &own[..], arguments].concat())?;
        Ok(Self { port, dir, _server: server })
    }

    /// The server's URL; `user` is a user and a password, as `name:password`.
    pub fn url(&self, user: &str) -> String {
        format!("rediss://{user}@127.0.0.1:{}/", self.port)
    }

    /// The file with the certificate of the authority.
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }
}

fn make_certificates(dir: &Path) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server = CertificateParams::new(names)?.signed_by(&key, &authority)?;
    std::fs::write(dir.join("ca.pem"), authority.pem())?;
    std::fs::write(dir.join("server.pem"), server.pem())?;
    std::fs::write(dir.join("server.key"), key.serialize_pem())?;
    Ok(())
}
