//! The key that signs tokens, and its self-signed certificate.

use crypto::{SigningAlgorithm, SigningKey};
use rcgen::{CertificateParams, IsCa, KeyPair, PublicKeyData, SerialNumber};
use rustls::pki_types::PrivatePkcs8KeyDer;
use time::macros::datetime;
use token::Signer;
use x509_cert::der::Encode;
use x509_cert::der::pem::{LineEnding, decode_vec, encode_string};

use super::authority::{certificate_error, common_name};
use super::{IdentityError, certificate_for};
use crate::config::DEFAULT_PROVIDER;
use crate::data_dir::DataDir;

const KEY_LABEL: &str = "PRIVATE KEY";

/// The signer of the data directory: the key is made once, the certificate again whenever the
/// provider's URI is another one.
///
/// The certificate is as the real service's signing certificates are: self-signed, subject and issuer
/// `CN=<provider URI>`, serial 1, valid 2019-05-01 to 2050-12-31, CA:FALSE, with both key identifiers.
/// Relying parties take the key from it and check nothing else of it.
pub(crate) fn signer(
    dir: &DataDir,
    algorithm: SigningAlgorithm,
    provider: &str,
    uri: &str,
) -> Result<Signer, IdentityError> {
    let (key_file, certificate_file) = files(algorithm);
    let certificate_file = match provider {
        DEFAULT_PROVIDER => certificate_file.to_owned(),
        other => certificate_file.replace(".pem", &format!("-{other}.pem")),
    };
    let invalid = || IdentityError::Invalid {
        file: key_file.to_owned(),
        expected: "a PKCS #8 private key in PEM",
        remove: "the signing key and certificate".to_owned(),
    };
    let key = match dir.read_private(key_file)? {
        Some(pem) => {
            let (label, der) = decode_vec(&pem).map_err(|_| invalid())?;
            if label != KEY_LABEL {
                return Err(invalid());
            }
            SigningKey::from_pkcs8(algorithm, &der).map_err(|_| invalid())?
        }
        None => {
            let key = SigningKey::generate(algorithm)?;
            let pem = encode_string(KEY_LABEL, LineEnding::LF, &key.to_pkcs8()?).map_err(|_| invalid())?;
            dir.write_private(key_file, pem.as_bytes())?;
            key
        }
    };
    let pkcs8 = key.to_pkcs8()?;
    let pair_algorithm = match algorithm {
        SigningAlgorithm::Es256 => &rcgen::PKCS_ECDSA_P256_SHA256,
        SigningAlgorithm::Rs256 => &rcgen::PKCS_RSA_SHA256,
    };
    let pair =
        KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8.as_slice()), pair_algorithm)
            .map_err(certificate_error(uri))?;
    let kept = dir.read(&certificate_file)?.and_then(|pem| kept_certificate(&pem, &pair, uri));
    let certificate = match kept {
        Some(der) => der,
        None => {
            let certificate =
                certificate_params(&pair, uri).self_signed(&pair).map_err(certificate_error(uri))?;
            dir.write(&certificate_file, certificate.pem().as_bytes())?;
            certificate.der().to_vec()
        }
    };
    Ok(Signer::new(key, vec![certificate])?)
}

/// Whether the data directory has a key for `algorithm`.
pub(crate) fn has_signer(dir: &DataDir, algorithm: SigningAlgorithm) -> Result<bool, IdentityError> {
    Ok(dir.read(files(algorithm).0)?.is_some())
}

/// Key and certificate.
fn files(algorithm: SigningAlgorithm) -> (&'static str, &'static str) {
    match algorithm {
        SigningAlgorithm::Es256 => ("signing-key-es256.pem", "signing-certificate-es256.pem"),
        SigningAlgorithm::Rs256 => ("signing-key-rs256.pem", "signing-certificate-rs256.pem"),
    }
}

fn certificate_params(key: &KeyPair, uri: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(uri);
    params.serial_number = Some(SerialNumber::from(1_u64));
    params.not_before = datetime!(2019-05-01 0:00 UTC);
    params.not_after = datetime!(2050-12-31 23:59:59 UTC);
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    // RFC 5280 §4.2.1.2, method 1: the identifier that other tools compute of this key.
    let identifier = crypto::sha1(key.der_bytes()).to_vec();
    params.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(identifier);
    params
}

/// The kept certificate, if it is for this key and this URI.
fn kept_certificate(pem: &[u8], key: &KeyPair, uri: &str) -> Option<Vec<u8>> {
    let certificate = certificate_for(pem, key)?;
    let wanted = certificate_params(key, uri);
    // The subject of a fresh certificate is the one thing of it that depends on the URI.
    let fresh = wanted.self_signed(key).ok()?;
    let fresh = certificate_for(fresh.pem().as_bytes(), key)?;
    let subject = |certificate: &x509_cert::Certificate| certificate.tbs_certificate().subject().clone();
    (subject(&certificate) == subject(&fresh)).then(|| certificate.to_der().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use x509_cert::Certificate;
    use x509_cert::der::{Decode, DecodePem};

    use super::*;
    use crate::test_support::scratch;

    #[test]
    fn key_and_certificate_are_kept_and_the_certificate_follows_the_uri() {
        for (name, algorithm) in [("es256", SigningAlgorithm::Es256), ("rs256", SigningAlgorithm::Rs256)] {
            let dir = DataDir::open(&scratch(&format!("signing_{name}"))).unwrap();
            let file = format!("signing-certificate-{name}.pem");
            let first =
                signer(&dir, algorithm, DEFAULT_PROVIDER, "https://a.example").unwrap().key_id().to_owned();
            let certificate = dir.read(&file).unwrap().unwrap();
            assert_eq!(
                signer(&dir, algorithm, DEFAULT_PROVIDER, "https://a.example").unwrap().key_id(),
                first
            );
            assert_eq!(dir.read(&file).unwrap().unwrap(), certificate, "kept for the same URI");
            assert_eq!(
                signer(&dir, algorithm, DEFAULT_PROVIDER, "https://b.example").unwrap().key_id(),
                first
            );
            let reissued = dir.read(&file).unwrap().unwrap();
            assert_ne!(reissued, certificate, "reissued for another URI");
            let reissued = Certificate::from_pem(&reissued).unwrap();
            let tbs = reissued.tbs_certificate();
            assert_eq!(tbs.subject().to_string(), "CN=https://b.example");
            assert_eq!(tbs.issuer(), tbs.subject());
            assert_eq!(tbs.serial_number().as_bytes(), [1]);
            assert_eq!(tbs.validity().not_before.to_string(), "2019-05-01T00:00:00Z");
            assert_eq!(tbs.validity().not_after.to_string(), "2050-12-31T23:59:59Z");
            let mut extensions: Vec<_> =
                tbs.extensions().unwrap().iter().map(|extension| extension.extn_id.to_string()).collect();
            extensions.sort_unstable();
            assert_eq!(extensions, ["2.5.29.14", "2.5.29.19", "2.5.29.35"]);
        }
    }

    #[test]
    fn a_damaged_key_is_reported_and_not_replaced() {
        let dir = DataDir::open(&scratch("signing_damaged")).unwrap();
        signer(&dir, SigningAlgorithm::Es256, DEFAULT_PROVIDER, "https://a.example").unwrap();
        dir.write_private("signing-key-es256.pem", b"damaged").unwrap();
        let error = signer(&dir, SigningAlgorithm::Es256, DEFAULT_PROVIDER, "https://a.example").unwrap_err();
        assert!(matches!(error, IdentityError::Invalid { .. }), "{error}");
        assert_eq!(dir.read("signing-key-es256.pem").unwrap().unwrap(), b"damaged");
    }

    #[test]
    fn a_damaged_certificate_is_replaced() {
        let dir = DataDir::open(&scratch("signing_damaged_certificate")).unwrap();
        signer(&dir, SigningAlgorithm::Es256, DEFAULT_PROVIDER, "https://a.example").unwrap();
        dir.write("signing-certificate-es256.pem", b"damaged").unwrap();
        signer(&dir, SigningAlgorithm::Es256, DEFAULT_PROVIDER, "https://a.example").unwrap();
        let pem = dir.read("signing-certificate-es256.pem").unwrap().unwrap();
        let certificate = Certificate::from_pem(&pem).unwrap();
        assert!(Certificate::from_der(&certificate.to_der().unwrap()).is_ok());
    }
}
