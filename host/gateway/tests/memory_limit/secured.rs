//! Clients over TLS that stall: in the handshake, or once they have asked.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::stalled::connect;

/// `[gateway.tls]` with a certificate for `h` that is written to `dir`, and the settings of a client that trusts it.
pub(crate) fn settings(dir: &Path) -> (String, Arc<ClientConfig>) {
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(vec!["h".into()]).expect("a name").self_signed(&key).expect("signed");
    let (cert_file, key_file) = (dir.join("h.pem"), dir.join("h.key"));
    std::fs::write(&cert_file, certificate.pem()).expect("written");
    std::fs::write(&key_file, key.serialize_pem()).expect("written");
    let text = format!(
        "[gateway.tls]\nlisten = \"127.0.0.1:0\"\nonly = true\n[[gateway.tls.certificate]]\ncert_file = \
         {cert_file:?}\nkey_file = {key_file:?}"
    );
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&cert_file).expect("a certificate")).expect("it can be trusted");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    (text, Arc::new(builder.expect("versions").with_root_certificates(roots).with_no_client_auth()))
}

/// A client that asks for a target over TLS and reads nothing of the answer.
pub(crate) fn reader(
    address: &str,
    client: &Arc<ClientConfig>,
    target: &str,
) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("h").expect("a name");
    let session = ClientConnection::new(Arc::clone(client), name).expect("a session");
    let mut stream = StreamOwned::new(session, connect(address));
    write!(stream, "GET {target} HTTP/1.1\r\nhost: h\r\n\r\n").expect("it takes the request");
    stream
}

/// A client whose first message is as long as one may be, and lacks its last byte.
pub(crate) fn endless_hello(address: &str) -> TcpStream {
    let message_bytes = 0xffff_u32;
    let message = [&[1][..], &message_bytes.to_be_bytes()[1..], &vec![0; message_bytes as usize - 1]].concat();
    let mut stream = connect(address);
    for part in message.chunks(1 << 14) {
        let length = u16::try_from(part.len()).expect("a record").to_be_bytes();
        // A gateway that refuses it may close the connection.
        let _ = stream.write_all(&[&[22, 3, 1][..], &length, part].concat());
    }
    stream
}
