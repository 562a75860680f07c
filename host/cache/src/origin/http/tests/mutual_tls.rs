//! Origins that ask for a certificate.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::server::WebPkiClientVerifier;

use super::*;

/// An authority, and a certificate for each side that it has signed, in files.
struct Certificates {
    authority: CertifiedIssuer<'static, KeyPair>,
    dir: tempfile::TempDir,
}

impl Certificates {
    fn make() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let made = Self { authority, dir: tempfile::tempdir().expect("a directory") };
        std::fs::write(made.file("ca.pem"), made.authority.pem()).expect("written");
        let (cert, key) = made.signed("edge.example");
        std::fs::write(made.file("edge.pem"), cert.pem()).expect("written");
        std::fs::write(made.file("edge.key"), key.serialize_pem()).expect("written");
        made
    }

    fn signed(&self, name: &str) -> (rcgen::Certificate, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        (params.signed_by(&key, &self.authority).expect("a certificate"), key)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The settings of an origin that is shown the certificate in `cert`, with the key in `key`.
    fn config(&self, server: &OriginConfig, cert: &Path, key: &Path) -> OriginConfig {
        OriginConfig {
            servers: vec![server.url.authority().as_str().parse().expect("a server")],
            tls_ca_file: Some(self.file("ca.pem")),
            tls_cert_file: Some(cert.to_owned()),
            tls_key_file: Some(key.to_owned()),
            ..OriginConfig::new("https://app.internal".parse().expect("a URL"))
        }
    }

    /// A server for `app.internal` that takes only clients with a certificate of the authority.
    async fn server(&self) -> OriginConfig {
        let (cert, key) = self.signed("app.internal");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.authority.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier.build().expect("a verifier"))
            .with_single_cert(vec![cert.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
            .expect("a certificate");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        origin(move |stream, _| {
            let acceptor = acceptor.clone();
            async move { serve(TokioIo::new(acceptor.accept(stream).await?)).await }
        })
        .await
    }
}

#[tokio::test]
async fn an_origin_that_asks_for_a_certificate_is_shown_it() {
    let made = Certificates::make();
    let server = made.server().await;
    let config = made.config(&server, &made.file("edge.pem"), &made.file("edge.key"));
    let said = text(answer(&config, get("http://shop.example/a")).await.expect("a response")).await;
    assert_eq!(said, "HTTP/1.1 shop.example");

    let nothing = OriginConfig { tls_cert_file: None, tls_key_file: None, ..config };
    assert_refused(&nothing).await;
}

#[tokio::test]
async fn a_certificate_that_the_origin_does_not_trust_is_refused_by_it() {
    let (made, stranger) = (Certificates::make(), Certificates::make());
    let server = made.server().await;
    let config = made.config(&server, &stranger.file("edge.pem"), &stranger.file("edge.key"));
    assert_refused(&config).await;
}

/// The server ends the connection; whether its alert is read before that is a matter of chance.
async fn assert_refused(config: &OriginConfig) {
    let error = failure(config).await;
    assert!(matches!(error, OriginError::Broken { .. } | OriginError::Connect { .. }), "{error}");
}

#[tokio::test]
async fn files_that_can_not_be_used_are_named_and_no_key_is_told() {
    let made = Certificates::make();
    let server = OriginConfig::new("http://127.0.0.1:1".parse().expect("a URL"));
    let (cert, key) = (made.file("edge.pem"), made.file("edge.key"));
    let secret = std::fs::read_to_string(&key).expect("a key");
    let half = secret.lines().nth(1).expect("a line of it").to_owned();
    std::fs::write(made.file("half.key"), format!("-----BEGIN PRIVATE KEY-----\n{half}!\n-----END PRIVATE KEY-----\n"))
        .expect("written");
    let other = Certificates::make();
    for (cert, key, expected) in [
        (made.file("none.pem"), key.clone(), "tls_cert_file"),
        (key.clone(), key.clone(), "there is no certificate in it"),
        (cert.clone(), made.file("none.key"), "tls_key_file"),
        (cert.clone(), cert.clone(), "there is no private key in it"),
        (cert.clone(), made.file("half.key"), "it is not in PEM form"),
        (cert, other.file("edge.key"), "tls_key_file"),
    ] {
        let refused = HttpOrigin::new(&made.config(&server, &cert, &key)).map(|_| ()).expect_err("it can't be used");
        let said = refused.to_string();
        assert!(said.contains(expected) && said.contains("; it must hold"), "{said}");
        assert!(!said.contains(&half[..20]) && !format!("{refused:?}").contains(&half[..20]), "{said}");
    }
}
