//! Why an origin can't be used.

use std::path::PathBuf;

/// Why an origin can't be used at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadOrigin {
    /// The certificates to trust could not be read.
    #[error("tls_ca_file {file:?} could not be read: {reason}; it must hold certificates in PEM form")]
    CaFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate that the origin is shown could not be read.
    #[error("tls_cert_file {file:?} could not be read: {reason}; it must hold a certificate in PEM form")]
    CertFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The private key of that certificate could not be read, or is that of another one.
    #[error("tls_key_file {file:?} can't be used: {reason}; it must hold the private key of tls_cert_file in PEM form")]
    KeyFile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it. Nothing of the key is in here.
        reason: String,
    },
    /// This machine trusts no certificates, so no `https` origin can be reached.
    #[error(
        "this machine trusts no certificates, so no https origin can be reached; install its CA certificates (the \
         package ca-certificates) or name a tls_ca_file"
    )]
    NoRoots,
    /// TLS could not be set up.
    #[error("TLS could not be set up: {reason}")]
    Tls {
        /// The error of rustls.
        reason: String,
    },
}
