//! Whom the operator trusts to certify keys in TPMs: a directory with one subdirectory per role.
//!
//! `ek/` has the issuers of endorsement keys, the makers of TPMs; `aik/` those of attestation keys, and single keys
//! that the operator vouches for. Certificates that name themselves as issuer are trusted, and those in `anchors/` below
//! it, for makers whose root another one issued; others only help to reach those. A file that cannot be used is an error: a root or a CRL that is silently left out
//! makes a service that refuses genuine machines, or takes revoked ones.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use evidence::tpm::{CertificateError, KeyError, KeyRole, KeyTrust, TpmTrust};
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;

use crate::data_dir::read_bounded;

/// Who is trusted, by role.
#[derive(Debug, Clone)]
pub(crate) struct Roots {
    /// Issuers of attestation keys, and attestation keys.
    pub(crate) aik: KeyTrust,
    /// Issuers of endorsement keys.
    pub(crate) ek: TpmTrust,
}

/// Why a directory of roots cannot be used. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// A file does not hold the certificates or the CRL that its name says.
    #[error(
        "roots of TPMs: `{}` cannot be used: {source}; replace it or take it out of the directory",
        path.display()
    )]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: CertificateError,
    },
    /// A file of a kind that no roots are in.
    #[error(
        "roots of TPMs: `{}` is no file with roots; name certificates *.pem, *.crt, *.cer or *.der, CRLs *.crl, and \
         attestation keys in aik/ *.pub, and take other files out of the directory",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The system refused.
    #[error("roots of TPMs: `{}` cannot be read: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold the public key that its name says.
    #[error(
        "roots of TPMs: `{}` holds no attestation key: {source}; write a TPMT_PUBLIC or a public key in PEM to it, \
         or take it out of the directory",
        path.display()
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyError,
    },
    /// Nothing says for which role a file is.
    #[error(
        "roots of TPMs: `{}` is neither in `ek` nor in `aik`; move issuers of endorsement keys to `{}` and issuers of \
         attestation keys to `{}`",
        path.display(), root.join(EK).display(), root.join(AIK).display()
    )]
    Misplaced {
        /// The file or directory.
        path: PathBuf,
        /// The directory of roots.
        root: PathBuf,
    },
    /// The directory is not there.
    #[error(
        "roots of TPMs: `{0}` is not a directory; make it with `mkdir -p {0}/ek {0}/aik`, or fill it with `vouchsafe \
         tpm roots import --role ek --to {0} FILE...`, or unset `provider.tpm.roots`",
        path.display()
    )]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// More than any set of roots has.
    #[error("roots of TPMs: `{}` has {what}", path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// Of what there is too much.
        what: &'static str,
    },
}

/// A file of a directory of roots that a service can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootFile {
    /// Whether its certificates are trusted by themselves, also those that another one issued.
    pub is_anchor: bool,
    /// The file.
    pub path: PathBuf,
    /// The keys that it says something about.
    pub role: KeyRole,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Every file of a directory of roots, if a service can use them all.
///
/// # Errors
/// [`RootsError`], as a service that is started with the directory.
pub fn root_files(root: &Path) -> Result<Vec<RootFile>, RootsError> {
    let mut roots = Roots::nobody();
    let files = files(root)?;
    for file in &files {
        roots.add(file)?;
    }
    Ok(files)
}

impl Roots {
    fn nobody() -> Self {
        Self { aik: KeyTrust::new(TpmTrust::new()), ek: TpmTrust::new() }
    }

    /// Reads a directory of roots; without one, nobody is trusted.
    ///
    /// # Errors
    /// [`RootsError`].
    pub(crate) fn load(directory: Option<&Path>) -> Result<Self, RootsError> {
        let mut roots = Self::nobody();
        let Some(root) = directory else { return Ok(roots) };
        let files = files(root)?;
        for file in &files {
            roots.add(file)?;
        }
        tracing::info!(directory = %root.display(), files = files.len(), "roots of TPMs were read");
        if roots.ek.is_empty() {
            tracing::warn!(
                directory = %root.join(EK).display(),
                "no root of endorsement keys is trusted: no machine can enrol"
            );
        }
        Ok(roots)
    }

    fn add(&mut self, RootFile { is_anchor, path, role, bytes }: &RootFile) -> Result<(), RootsError> {
        let issuers = match role {
            KeyRole::Attestation => self.aik.issuers_mut(),
            KeyRole::Endorsement => &mut self.ek,
        };
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let added = match extension.to_ascii_lowercase().as_str() {
            "cer" | "crt" | "der" | "pem" if *is_anchor => issuers.add_anchors(bytes).map(|_| ()),
            "cer" | "crt" | "der" | "pem" => issuers.add_issuers(bytes).map(|_| ()),
            "crl" => add_crls(issuers, bytes),
            "pub" if *role == KeyRole::Attestation => {
                let key = |source| RootsError::Key { path: path.clone(), source };
                return self.aik.add_key(bytes).map_err(key);
            }
            _ => return Err(RootsError::Foreign { path: path.clone() }),
        };
        added.map_err(|source| RootsError::Certificate { path: path.clone(), source })
    }
}

/// The files of a directory of roots, by role, with what is in them.
fn files(root: &Path) -> Result<Vec<RootFile>, RootsError> {
    let mut files = Vec::new();
    for (role, path) in paths(root)? {
        let read = read_bounded(&path, MAX_FILE_BYTES);
        let bytes = read.map_err(|source| RootsError::Io { path: path.clone(), source })?;
        let mut below = path.strip_prefix(root).unwrap_or(&path).components().skip(1);
        let is_anchor = below.next().is_some_and(|name| name.as_os_str() == ANCHORS);
        files.push(RootFile { is_anchor, path, role, bytes });
    }
    Ok(files)
}

/// The files of a directory of roots, by role.
pub(super) fn paths(root: &Path) -> Result<Vec<(KeyRole, PathBuf)>, RootsError> {
    if !root.is_dir() {
        return Err(RootsError::Missing { path: root.to_owned() });
    }
    let mut files = Vec::new();
    for directory in entries(root)? {
        let role = match directory.file_name().and_then(|name| name.to_str()) {
            Some(AIK) => KeyRole::Attestation,
            Some(EK) => KeyRole::Endorsement,
            _ => return Err(RootsError::Misplaced { path: directory, root: root.to_owned() }),
        };
        let mut paths = Vec::new();
        collect(&directory, 0, &mut paths)?;
        files.extend(paths.into_iter().map(|path| (role, path)));
    }
    Ok(files)
}

/// Adds a CRL in DER or those of a PEM text.
fn add_crls(issuers: &mut TpmTrust, bytes: &[u8]) -> Result<(), CertificateError> {
    if bytes.first() == Some(&DER_SEQUENCE) {
        return issuers.add_crl(bytes);
    }
    let bad = |reason| CertificateError::Crl { reason };
    let mut count = 0_usize;
    for crl in CertificateRevocationListDer::pem_slice_iter(bytes) {
        issuers.add_crl(&crl.map_err(|_| bad("neither DER nor PEM"))?)?;
        count = count.saturating_add(1);
    }
    if count == 0 { Err(bad("neither DER nor PEM")) } else { Ok(()) }
}

/// Every file below `directory`.
fn collect(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), RootsError> {
    let too_many = |what| Err(RootsError::TooMany { path: directory.to_owned(), what });
    if depth > MAX_DEPTH {
        return too_many("too many directories in one another");
    }
    for path in entries(directory)? {
        if path.is_dir() {
            collect(&path, depth.saturating_add(1), files)?;
        } else if files.len() < MAX_FILES {
            files.push(path);
        } else {
            return too_many("too many files");
        }
    }
    Ok(())
}

/// What stands in a directory, in order. Names that begin with a dot are those of tools: orchestrators mount
/// directories with such links.
fn entries(directory: &Path) -> Result<Vec<PathBuf>, RootsError> {
    let failed = |source| RootsError::Io { path: directory.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
        if paths.len() > MAX_FILES {
            return Err(RootsError::TooMany { path: directory.to_owned(), what: "too many files" });
        }
    }
    paths.sort();
    Ok(paths)
}

const AIK: &str = "aik";
/// In the directory of a role.
const ANCHORS: &str = "anchors";
const EK: &str = "ek";
/// The first byte of every certificate and CRL (X.690 §8.9).
const DER_SEQUENCE: u8 = 0x30;
/// Bundles of all makers have a few hundred certificates; a maker's CRL can have a MiB.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// All makers together have a few hundred certificates.
const MAX_FILES: usize = 4096;
/// A directory for each maker, and some for its kinds of TPM.
const MAX_DEPTH: usize = 4;

#[cfg(test)]
#[path = "roots/tests.rs"]
mod tests;
