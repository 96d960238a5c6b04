//! The keys and certificates of a service, made once and kept in its data directory.
//!
//! - who the server is on the wire: `authority` (`ca.pem`, `ca-key.pem`; the server's own
//!   certificate is issued at start and lives in memory), or `files` (the operator's own).
//! - who signs its tokens: `signing` (`signing-key.pem`, `signing-certificate.pem`).

mod authority;
mod files;
mod signing;

pub(crate) use authority::{
    Authority, AuthorityFiles, certificate_error, common_name, load_or_create, names,
};
pub(crate) use files::CertificateFiles;
pub(crate) use signing::{has_signer, signer};

use rcgen::{KeyPair, PublicKeyData};
use x509_cert::der::{DecodePem, Encode};

use crate::data_dir::DataDirError;

/// Why the service has no identity. The operator must act, unless it is ours.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file of the data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A file does not hold what it should.
    #[error(
        "`{file}` in the data directory is not {expected}; restore it, or remove {remove} to have new ones made"
    )]
    Invalid {
        /// Name of the file.
        file: String,
        /// What it should hold.
        expected: &'static str,
        /// What to remove to start over.
        remove: String,
    },
    /// A key could not be made.
    #[error("a key could not be made")]
    Key(#[from] crypto::sign::SignError),
    /// A certificate could not be made.
    #[error("a certificate for `{subject}` could not be made: {source}")]
    Certificate {
        /// Whom the certificate is for.
        subject: String,
        /// What the library said.
        source: rcgen::Error,
    },
    /// The token signer refused its key or certificate.
    #[error("the token signer could not be made: {0}")]
    Signer(#[from] token::SignError),
    /// A file of the operator's own certificate cannot be used.
    #[error("`{setting}`: `{}` {problem}", path.display())]
    TlsFile {
        /// The configuration key that names it.
        setting: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The TLS library refused the certificate.
    #[error("the server's certificate was refused by the TLS library: {0}")]
    Tls(#[from] rustls::Error),
}

/// Whether a PEM certificate is for this key, and its DER.
fn certificate_for(pem: &[u8], key: &KeyPair) -> Option<x509_cert::Certificate> {
    let certificate = x509_cert::Certificate::from_pem(pem).ok()?;
    let public_key = certificate.tbs_certificate().subject_public_key_info().to_der().ok()?;
    (public_key == key.subject_public_key_info()).then_some(certificate)
}
