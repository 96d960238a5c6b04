//! What is kept between runs: the attestation key as blobs that only its TPM can use, and its certificate of each
//! service. Losing it costs a new key and a new enrolment, nothing else.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

use evidence::{ReadError, Reader};

use crate::failure::Failure;
use crate::output;
use crate::tpm::attestation_key::{self, AttestationKey, Loaded};
use crate::tpm::{KeyAlgorithm, KeyBlobs, Tpm};

/// The state directory, which may not exist yet.
pub(super) struct State {
    directory: PathBuf,
}

impl State {
    pub(super) const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Loads the kept key, or makes and keeps one.
    pub(super) fn attestation_key(
        &self,
        tpm: &mut Tpm,
        algorithm: KeyAlgorithm,
    ) -> Result<AttestationKey, Failure> {
        let name = format!("ak-{}.tpm", algorithm.name());
        if let Some(kept) = self.read(&name)? {
            match parse_blobs(&kept).map(|blobs| attestation_key::load(tpm, blobs)).transpose()? {
                Some(Loaded::Key(key)) => return Ok(key),
                Some(Loaded::Foreign) => output::note(&format!(
                    "note: the key in `{}` is not of this TPM; a new one is made",
                    self.directory.join(&name).display()
                )),
                None => output::note(&format!(
                    "note: `{}` is damaged; a new key is made",
                    self.directory.join(&name).display()
                )),
            }
        }
        let blobs = attestation_key::create(tpm, algorithm)?;
        self.write(&name, &format_blobs(&blobs))?;
        match attestation_key::load(tpm, blobs)? {
            Loaded::Key(key) => Ok(key),
            Loaded::Foreign => Err(Failure::failed("the TPM does not accept the key that it just made")),
        }
    }

    /// What is kept for one service and kind of key.
    pub(super) fn certificate(
        &self,
        endpoint: &str,
        algorithm: KeyAlgorithm,
    ) -> Result<Option<Vec<u8>>, Failure> {
        self.read(&certificate_name(endpoint, algorithm))
    }

    pub(super) fn keep_certificate(
        &self,
        endpoint: &str,
        algorithm: KeyAlgorithm,
        content: &[u8],
    ) -> Result<(), Failure> {
        self.write(&certificate_name(endpoint, algorithm), content)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        let path = self.directory.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(format!("`{}` cannot be read: {error}", path.display()))),
        }
    }

    /// Replaces a file as a whole; only its owner can read it.
    fn write(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        let path = self.directory.join(name);
        let temporary = self.directory.join(format!("{name}.{}", std::process::id()));
        let written = DirBuilder::new().recursive(true).mode(0o700).create(&self.directory).and_then(|()| {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            file.write_all(content)?;
            file.sync_all()?;
            fs::rename(&temporary, &path)
        });
        written.map_err(|error| unusable(format!("`{}` cannot be written: {error}", path.display())))
    }
}

/// `TPM2B_PUBLIC` and `TPM2B_PRIVATE`.
fn format_blobs(blobs: &KeyBlobs) -> Vec<u8> {
    let mut bytes = Vec::new();
    for blob in [&blobs.public, &blobs.private] {
        // They come from a TPM, whose structures have such lengths.
        bytes.extend(u16::try_from(blob.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend(blob);
    }
    bytes
}

fn parse_blobs(bytes: &[u8]) -> Option<KeyBlobs> {
    Reader::all(bytes, "key file", |r| {
        let public = r.sized("public")?.to_vec();
        Ok::<_, ReadError>(KeyBlobs { public, private: r.sized("private")?.to_vec() })
    })
    .ok()
}

/// A service is told by the URI it is reached at.
fn certificate_name(endpoint: &str, algorithm: KeyAlgorithm) -> String {
    let hash = hex::encode(crypto::sha256(endpoint.trim_end_matches('/').as_bytes()));
    format!("certificate-{}-{}.json", algorithm.name(), hash.get(..16).unwrap_or_default())
}

fn unusable(message: String) -> Failure {
    Failure::failed(message).hint("run it as root, or name a directory of your own with `--state-dir`")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn files_are_kept_for_their_owner_alone() {
        let directory = std::env::temp_dir().join(format!("vouchsafe-state-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let state = State::new(directory.join("deep"));
        let rsa = KeyAlgorithm::Rsa;
        assert_eq!(state.certificate("https://a", rsa).unwrap(), None);
        state.keep_certificate("https://a", rsa, b"one").unwrap();
        state.keep_certificate("https://a/", rsa, b"two").unwrap();
        assert_eq!(state.certificate("https://a", rsa).unwrap(), Some(b"two".to_vec()));
        assert_eq!(state.certificate("https://b", rsa).unwrap(), None);
        assert_eq!(state.certificate("https://a", KeyAlgorithm::Ecc).unwrap(), None);
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory.join("deep")), 0o700);
        let files: Vec<_> =
            fs::read_dir(directory.join("deep")).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "no temporary file is left");
        assert_eq!(mode(&files[0]), 0o600);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn key_files_are_both_blobs() {
        let blobs = KeyBlobs { public: b"public".to_vec(), private: b"private".to_vec() };
        let bytes = format_blobs(&blobs);
        let parsed = parse_blobs(&bytes).unwrap();
        assert_eq!((parsed.public, parsed.private), (blobs.public, blobs.private));
        for length in 0..bytes.len() {
            assert!(parse_blobs(&bytes[..length]).is_none());
        }
    }
}
