//! The local certificate authority, and the server certificates it issues.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};

use super::{IdentityError, certificate_for};
use crate::data_dir::DataDir;

const CERTIFICATE_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca-key.pem";

/// Users install the authority by hand, so it should outlive a machine.
const AUTHORITY_LIFETIME: Duration = Duration::days(3650);

/// The longest that browsers accept for a server certificate.
const SERVER_LIFETIME: Duration = Duration::days(397);

/// A server certificate is replaced this long before it ends.
const RENEWAL_LEAD: Duration = Duration::days(30);

/// Certificates are valid from a little in the past, for clients whose clock is slow.
const BACKDATE: Duration = Duration::hours(1);

/// Issues the server's certificate, and a new one in time.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    names: Vec<String>,
    current: Mutex<Arc<Current>>,
}

struct Current {
    certified: Arc<CertifiedKey>,
    renew_at: OffsetDateTime,
}

impl Authority {
    /// The authority of the data directory, created if there is none, with a certificate for `names`
    /// (DNS names and IP addresses).
    pub(crate) fn open(dir: &DataDir, names: &[String], now: OffsetDateTime) -> Result<Self, IdentityError> {
        let files = AuthorityFiles { certificate: CERTIFICATE_FILE.to_owned(), key: KEY_FILE.to_owned() };
        let (issuer, _) = load_or_create(dir, &files, "the local authority", authority_params(now))?;
        let current = Arc::new(issue(&issuer, names, now)?);
        Ok(Self { issuer, names: names.to_vec(), current: Mutex::new(current) })
    }

    fn current(&self, now: OffsetDateTime) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= current.renew_at {
            match issue(&self.issuer, &self.names, now) {
                Ok(renewed) => *current = Arc::new(renewed),
                Err(error) => tracing::error!(%error, "the server's certificate could not be renewed"),
            }
        }
        Arc::clone(&current.certified)
    }
}

impl ResolvesServerCert for Authority {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current(OffsetDateTime::now_utc()))
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("names", &self.names).finish_non_exhaustive()
    }
}

/// Where an authority is kept in the data directory.
#[derive(Debug, Clone)]
pub(crate) struct AuthorityFiles {
    /// Its certificate, PEM.
    pub(crate) certificate: String,
    /// Its key, PEM.
    pub(crate) key: String,
}

/// The authority in `files`, and its certificate in PEM; what is not there is made, the certificate as `params` say.
pub(crate) fn load_or_create(
    dir: &DataDir,
    files: &AuthorityFiles,
    subject: &str,
    params: CertificateParams,
) -> Result<(Issuer<'static, KeyPair>, String), IdentityError> {
    let AuthorityFiles { certificate: certificate_file, key: key_file } = files;
    let invalid = |file: &str, expected| IdentityError::Invalid {
        file: file.to_owned(),
        expected,
        remove: format!("`{certificate_file}` and `{key_file}`"),
    };
    let key = match dir.read_private(key_file)? {
        Some(pem) => std::str::from_utf8(&pem)
            .ok()
            .and_then(|pem| KeyPair::from_pem(pem).ok())
            .ok_or_else(|| invalid(key_file, "a private key in PEM"))?,
        // A certificate without its key is a loss that an operator should hear of.
        None if dir.read(certificate_file)?.is_some() => {
            return Err(invalid(key_file, "there, although its certificate is"));
        }
        None => {
            let key = KeyPair::generate().map_err(certificate_error(subject))?;
            dir.write_private(key_file, key.serialize_pem().as_bytes())?;
            key
        }
    };
    let pem = match dir.read(certificate_file)? {
        Some(pem) => pem,
        None => {
            let certificate = params.self_signed(&key).map_err(certificate_error(subject))?;
            dir.write(certificate_file, certificate.pem().as_bytes())?;
            certificate.pem().into_bytes()
        }
    };
    if certificate_for(&pem, &key).is_none() {
        return Err(invalid(certificate_file, "the certificate of its key"));
    }
    let pem = String::from_utf8_lossy(&pem).into_owned();
    let issuer = Issuer::from_ca_cert_pem(&pem, key).map_err(certificate_error(subject))?;
    Ok((issuer, pem))
}

fn authority_params(now: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name("Vouchsafe local certificate authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - BACKDATE;
    params.not_after = now + AUTHORITY_LIFETIME;
    params
}

fn issue(
    issuer: &Issuer<'static, KeyPair>,
    names: &[String],
    now: OffsetDateTime,
) -> Result<Current, IdentityError> {
    let failed = || certificate_error("the server");
    let key = KeyPair::generate().map_err(failed())?;
    let mut params = CertificateParams::new(names).map_err(failed())?;
    params.distinguished_name = common_name("Vouchsafe server");
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = now - BACKDATE;
    params.not_after = now + SERVER_LIFETIME;
    let certificate = params.signed_by(&key, issuer).map_err(failed())?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let signing_key = provider.key_provider.load_private_key(private)?;
    let certified = CertifiedKey::new(vec![certificate.der().clone()], signing_key);
    Ok(Current { certified: Arc::new(certified), renew_at: now + SERVER_LIFETIME - RENEWAL_LEAD })
}

/// The names a server certificate needs: the host of the provider's URI, the address listened on, the
/// loopback names, and the configured ones.
pub(crate) fn names(uri: &str, listening: IpAddr, configured: &[String]) -> Vec<String> {
    let host = reqwest::Url::parse(uri).ok().and_then(|uri| uri.host_str().map(str::to_owned));
    let host = host.map(|host| host.trim_matches(['[', ']']).to_owned());
    let mut names: Vec<String> = host.into_iter().collect();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    if !listening.is_unspecified() {
        names.push(listening.to_string());
    }
    names.extend(configured.iter().cloned());
    names.sort_unstable();
    names.dedup();
    names
}

pub(crate) fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

pub(crate) fn certificate_error(subject: &str) -> impl FnOnce(rcgen::Error) -> IdentityError {
    let subject = subject.to_owned();
    move |source| IdentityError::Certificate { subject, source }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::test_support::scratch;

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    #[test]
    fn the_authority_is_created_once_and_kept() {
        let dir = DataDir::open(&scratch("authority_once")).unwrap();
        Authority::open(&dir, &["localhost".to_owned()], NOW).unwrap();
        let first = dir.read(CERTIFICATE_FILE).unwrap();
        Authority::open(&dir, &["other.example".to_owned(), "192.0.2.1".to_owned()], NOW).unwrap();
        assert_eq!(dir.read(CERTIFICATE_FILE).unwrap(), first);
    }

    #[test]
    fn the_certificate_is_renewed_before_it_ends() {
        let dir = DataDir::open(&scratch("authority_renewal")).unwrap();
        let authority = Authority::open(&dir, &["localhost".to_owned()], NOW).unwrap();
        let first = authority.current(NOW + Duration::days(366)).cert.clone();
        assert_eq!(authority.current(NOW).cert, first);
        assert_ne!(authority.current(NOW + Duration::days(368)).cert, first);
    }

    #[test]
    fn a_lost_or_foreign_key_is_reported() {
        let dir = DataDir::open(&scratch("authority_lost_key")).unwrap();
        Authority::open(&dir, &["localhost".to_owned()], NOW).unwrap();
        std::fs::remove_file(dir.file(KEY_FILE)).unwrap();
        let error = Authority::open(&dir, &["localhost".to_owned()], NOW).unwrap_err();
        assert!(matches!(&error, IdentityError::Invalid { file, .. } if file == KEY_FILE), "{error}");
        let foreign = KeyPair::generate().unwrap();
        dir.write_private(KEY_FILE, foreign.serialize_pem().as_bytes()).unwrap();
        let error = Authority::open(&dir, &["localhost".to_owned()], NOW).unwrap_err();
        assert!(matches!(&error, IdentityError::Invalid { file, .. } if file == CERTIFICATE_FILE), "{error}");
    }

    #[test]
    fn a_name_that_no_certificate_can_have_is_reported() {
        let dir = DataDir::open(&scratch("authority_name")).unwrap();
        let error = Authority::open(&dir, &["attest.\u{e9}xample".to_owned()], NOW).unwrap_err();
        assert!(matches!(error, IdentityError::Certificate { .. }), "{error}");
    }

    #[test]
    fn a_crash_between_key_and_certificate_is_healed() {
        let dir = DataDir::open(&scratch("authority_crash")).unwrap();
        let key = KeyPair::generate().unwrap();
        dir.write_private(KEY_FILE, key.serialize_pem().as_bytes()).unwrap();
        Authority::open(&dir, &["localhost".to_owned()], NOW).unwrap();
        assert!(certificate_for(&dir.read(CERTIFICATE_FILE).unwrap().unwrap(), &key).is_some());
    }

    #[test]
    fn names_of_a_certificate() {
        let names = names("https://[2001:db8::1]:8443/team1", "0.0.0.0".parse().unwrap(), &[]);
        assert_eq!(names, ["127.0.0.1", "2001:db8::1", "::1", "localhost"]);
    }
}
