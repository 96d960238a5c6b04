//! The attestation CA of a provider: it certifies attestation keys of TPMs whose endorsement keys were checked, and
//! says which of these certificates are revoked.
//!
//! Certificates are those that the exchange asks for (TCG "EK Credential Profile", 2.23.133.8.3 for attestation keys),
//! so it takes them as it takes those of any other issuer. The key of the CA is of one data directory.

use evidence::tpm::{AkCertificate, AttestationKey, CertificateError, TpmTrust};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason,
    RevokedCertParams, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use time::{Duration, OffsetDateTime};

use super::machines::MachineId;
use crate::config::DEFAULT_PROVIDER;
use crate::data_dir::DataDir;
use crate::identity::{AuthorityFiles, IdentityError, certificate_error, common_name, load_or_create};

/// Certifies attestation keys.
pub(crate) struct AttestationAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: AkCertificate,
    pem: String,
    provider_uri: String,
}

/// A certificate of an attestation key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certified {
    pub(crate) der: Vec<u8>,
    pub(crate) not_after: OffsetDateTime,
    /// Big-endian, without leading zeros.
    pub(crate) serial: Vec<u8>,
}

/// A certificate that is not to be accepted any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RevokedCertificate {
    pub(crate) revoked_at: OffsetDateTime,
    /// Big-endian, without leading zeros.
    pub(crate) serial: Vec<u8>,
}

/// Why the attestation CA could not be made or used. The operator must act, unless it is ours.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Its certificate is none that can be used here.
    #[error("the certificate of the attestation CA in the data directory cannot be used: {0}")]
    Certificate(#[from] CertificateError),
    /// Its files cannot be used, or a certificate could not be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The system gave no random bytes for a serial number.
    #[error(transparent)]
    NoRandomness(#[from] crypto::random::NoRandomness),
}

impl AttestationAuthority {
    /// The CA of the data directory for the provider of this name, id and URI; one is made if there is none.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(crate) fn open(
        dir: &DataDir,
        provider: &str,
        provider_id: &str,
        provider_uri: &str,
        now: OffsetDateTime,
    ) -> Result<Self, AuthorityError> {
        let suffix = match provider {
            DEFAULT_PROVIDER => String::new(),
            other => format!("-{other}"),
        };
        let files = AuthorityFiles {
            certificate: format!("attestation-ca{suffix}.pem"),
            key: format!("attestation-ca-key{suffix}.pem"),
        };
        let params = authority_params(provider_id, provider_uri, now)?;
        let (issuer, pem) = load_or_create(dir, &files, SUBJECT, params)?;
        let certificate = AkCertificate::parse(pem.as_bytes())?;
        Ok(Self { issuer, certificate, pem, provider_uri: provider_uri.to_owned() })
    }

    /// Its own certificate, DER.
    pub(crate) fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// Its own certificate, PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// Adds it to those who are trusted.
    ///
    /// # Errors
    /// [`CertificateError`] if there are too many already.
    pub(crate) fn trust(&self, issuers: &mut TpmTrust) -> Result<(), CertificateError> {
        issuers.add_issuers(self.der()).map(|_| ())
    }

    /// Whether a certificate names this CA as its issuer; only the signature says whether it is.
    pub(crate) fn is_named_by(&self, certificate: &AkCertificate) -> bool {
        certificate.issuer() == self.certificate.subject()
    }

    /// Certifies that an attestation key lives in the TPM of a machine, for `days` days.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(crate) fn certify(
        &self,
        key: &AttestationKey,
        machine: &MachineId,
        days: u32,
        now: OffsetDateTime,
    ) -> Result<Certified, AuthorityError> {
        let failed = || certificate_error(SUBJECT_OF_KEYS);
        let key = SubjectPublicKeyInfo::from_der(key.spki()).map_err(failed())?;
        let mut serial: [u8; SERIAL_BYTES] = crypto::random_bytes()?;
        // Positive, and without a leading zero that the encoding would drop (X.690 §8.3).
        let [first, ..] = &mut serial;
        *first = (*first & 0x7f) | 0x40;
        let mut params = CertificateParams::default();
        // Whole seconds, as the encoding has them.
        let now = now.replace_nanosecond(0).unwrap_or(now);
        let not_after = now.saturating_add(Duration::days(i64::from(days)));
        params.not_before = now.saturating_sub(BACKDATE);
        params.not_after = not_after.min(self.certificate.validity().not_after);
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.distinguished_name = common_name(machine.as_str());
        params.subject_alt_names =
            vec![uri(&format!("{}/tpm/machines/{machine}", self.provider_uri)).map_err(failed())?];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(AIK_CERTIFICATE.to_vec())];
        params.crl_distribution_points =
            vec![CrlDistributionPoint { uris: vec![format!("{}/tpm/ca.crl", self.provider_uri)] }];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed())?;
        Ok(Certified {
            der: certificate.der().to_vec(),
            not_after: params.not_after,
            serial: serial.to_vec(),
        })
    }

    /// The list of revoked certificates, DER. What is listed may be taken off it again (RFC 5280 §5.3.1,
    /// certificateHold).
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(crate) fn crl(
        &self,
        revoked: &[RevokedCertificate],
        now: OffsetDateTime,
    ) -> Result<Vec<u8>, AuthorityError> {
        let revoked_certs = revoked.iter().map(|revoked| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&revoked.serial),
            revocation_time: revoked.revoked_at,
            reason_code: Some(RevocationReason::CertificateHold),
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: now.saturating_sub(BACKDATE),
            next_update: now.saturating_add(CRL_LIFETIME),
            // Grows as time does; lists are made at most once in a second.
            crl_number: SerialNumber::from(u64::try_from(now.unix_timestamp()).unwrap_or_default()),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).map_err(certificate_error(SUBJECT))?;
        Ok(list.der().to_vec())
    }
}

impl std::fmt::Debug for AttestationAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AttestationAuthority")
            .field("subject", &self.certificate.subject())
            .finish_non_exhaustive()
    }
}

fn authority_params(
    provider_id: &str,
    provider_uri: &str,
    now: OffsetDateTime,
) -> Result<CertificateParams, IdentityError> {
    let mut params = CertificateParams::default();
    // No other CA has the name: what names it as issuer is of this data directory, or forged.
    params.distinguished_name = common_name(&format!("Vouchsafe attestation CA {provider_id}"));
    params.subject_alt_names = vec![uri(provider_uri).map_err(certificate_error(SUBJECT))?];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now.saturating_sub(BACKDATE);
    params.not_after = now.saturating_add(AUTHORITY_LIFETIME);
    Ok(params)
}

fn uri(uri: &str) -> Result<SanType, rcgen::Error> {
    Ok(SanType::URI(Ia5String::try_from(uri)?))
}

const SUBJECT: &str = "the attestation CA";
const SUBJECT_OF_KEYS: &str = "an attestation key";
/// tcg-kp-AIKCertificate.
const AIK_CERTIFICATE: [u64; 5] = [2, 23, 133, 8, 3];
/// RFC 5280 §4.1.2.2 allows 20; 126 of these bits are random.
const SERIAL_BYTES: usize = 16;
/// Longer than a machine lives; when it ends, machines enrol with a new one.
const AUTHORITY_LIFETIME: Duration = Duration::days(3650);
/// Certificates are valid from a little in the past, for verifiers whose clock is slow.
const BACKDATE: Duration = Duration::hours(1);
/// Who keeps a copy of the list fetches it anew by then. The service itself asks its database.
const CRL_LIFETIME: Duration = Duration::days(7);

#[cfg(test)]
#[path = "authority/tests.rs"]
mod tests;
