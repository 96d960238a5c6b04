//! The server certificate of an operator's own files, which are read again when they change: whoever
//! renews certificates needs no restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::IdentityError;
use crate::data_dir::read_bounded;

/// Largest certificate or key file; a chain of four RSA certificates has about 8 KiB.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// How often the files are looked at, on a handshake.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A certificate chain and its key, in PEM files.
pub(crate) struct CertificateFiles {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    certified: Arc<CertifiedKey>,
    looked_at: Instant,
    modified: [Option<SystemTime>; 2],
}

impl CertificateFiles {
    /// Reads `certificate` (PEM, leaf first) and `key` (PEM: PKCS #8, PKCS #1 or SEC 1).
    ///
    /// # Errors
    /// [`IdentityError::TlsFile`] if one cannot be read or is no such file, [`IdentityError::Tls`] if the
    /// key is not that of the certificate.
    pub(crate) fn open(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let modified = [modified(certificate), modified(key)];
        let certified = Arc::new(load(certificate, key)?);
        let current = Mutex::new(Current { certified, looked_at: Instant::now(), modified });
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), current })
    }

    /// The current certificate, read again if the files have changed since they were last looked at.
    fn current(&self, now: Instant) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(current.looked_at) >= LOOK_EVERY {
            current.looked_at = now;
            let modified = [modified(&self.certificate), modified(&self.key)];
            if modified != current.modified {
                match load(&self.certificate, &self.key) {
                    Ok(certified) => {
                        current.certified = Arc::new(certified);
                        current.modified = modified;
                        tracing::info!("the server's certificate was read again");
                    }
                    // The two files are not written at once: the next look may find them in order.
                    Err(error) => tracing::warn!(%error, "the changed certificate files are not usable"),
                }
            }
        }
        Arc::clone(&current.certified)
    }
}

impl ResolvesServerCert for CertificateFiles {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current(Instant::now()))
    }
}

impl std::fmt::Debug for CertificateFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateFiles").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

fn load(certificate: &Path, key: &Path) -> Result<CertifiedKey, IdentityError> {
    let file = |setting, path: &Path, problem: String| IdentityError::TlsFile {
        setting,
        path: path.to_owned(),
        problem,
    };
    let read = |setting, path: &Path| {
        read_bounded(path, MAX_FILE_BYTES)
            .map_err(|error| file(setting, path, format!("cannot be read: {error}")))
    };
    let chain = CertificateDer::pem_slice_iter(&read("tls.cert_file", certificate)?)
        .collect::<Result<Vec<_>, _>>()
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| file("tls.cert_file", certificate, "holds no PEM certificate".to_owned()))?;
    let private = PrivateKeyDer::from_pem_slice(&read("tls.key_file", key)?)
        .map_err(|_| file("tls.key_file", key, "holds no PEM private key".to_owned()))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Ok(CertifiedKey::from_der(chain, private, &provider)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::scratch;

    fn write(directory: &Path, name: &str) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        std::fs::write(directory.join("cert.pem"), made.cert.pem()).unwrap();
        std::fs::write(directory.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }

    #[test]
    fn changed_files_are_read_again_and_damaged_ones_are_not_used() {
        let directory = scratch("certificate_files");
        std::fs::create_dir_all(&directory).unwrap();
        let first = write(&directory, "first.example");
        let files = CertificateFiles::open(&directory.join("cert.pem"), &directory.join("key.pem")).unwrap();
        let served = |at| files.current(at).cert[0].clone();
        let start = Instant::now();
        assert_eq!(served(start), first);

        std::thread::sleep(Duration::from_millis(20));
        std::fs::write(directory.join("cert.pem"), "nothing").unwrap();
        assert_eq!(served(start + LOOK_EVERY * 2), first);

        let second = write(&directory, "second.example");
        assert_eq!(served(start + LOOK_EVERY * 2), first, "not looked at again so soon");
        assert_eq!(served(start + LOOK_EVERY * 4), second);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_setting() {
        let directory = scratch("certificate_files_wrong");
        std::fs::create_dir_all(&directory).unwrap();
        write(&directory, "one.example");
        let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        let open = |certificate: &Path, key: &Path| {
            CertificateFiles::open(certificate, key).unwrap_err().to_string()
        };
        assert!(open(&directory.join("none.pem"), &key).starts_with("`tls.cert_file`: "));
        assert!(open(&key, &key).contains("holds no PEM certificate"));
        assert!(open(&certificate, &certificate).contains("holds no PEM private key"));
        let other = rcgen::KeyPair::generate().unwrap();
        std::fs::write(&key, other.serialize_pem()).unwrap();
        assert!(open(&certificate, &key).contains("refused by the TLS library"));
    }
}
