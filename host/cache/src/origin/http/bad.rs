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
