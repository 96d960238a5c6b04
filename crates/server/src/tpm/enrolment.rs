//! Enrolment: a machine shows that an attestation key lives in the TPM whose endorsement key its maker certified, and
//! gets a certificate for it (TPM 2.0 Library Part 1, 24: credential activation).
//!
//! 1. The client sends both public areas and the endorsement certificate. What it gets back is a secret that only that
//!    TPM reads, and only while it holds exactly that attestation key, and what the service must remember, sealed.
//! 2. The client sends the secret back, once.

use crypto::{equal_in_constant_time, random_bytes, sha256, sha256_of_parts};
use evidence::tpm::{
    AkCertificate, AttestationKey, CertificateError, CredentialError, EndorsementKey, KeyError, KeyRole,
    ParseError, PublicArea, VerifyError, make_credential,
};
use evidence::verdict::Rejection;
use time::{Duration, OffsetDateTime};

use super::Tpm;
use super::authority::{AuthorityError, Certified};
use super::context::{OpenError, Purpose};
use super::machines::MachineId;
use crate::store::StoreError;
use crate::store::tpm_machines::{Enrolled, StoredCertificate, StoredRevocation};

/// What a client gets for its keys.
#[derive(Debug)]
pub(crate) struct Offer {
    /// `TPM2B_ID_OBJECT`.
    pub(crate) credential_blob: Vec<u8>,
    /// `TPM2B_ENCRYPTED_SECRET`.
    pub(crate) encrypted_secret: Vec<u8>,
    /// What comes back with the secret.
    pub(crate) context: Vec<u8>,
    pub(crate) machine: MachineId,
}

/// An attestation key that is known to live in the TPM of a machine.
///
/// Only [`Tpm::prove`] makes one: whoever has it was sent the secret.
#[derive(Debug)]
pub(crate) struct Proven {
    context_digest: [u8; 32],
    content: Content,
    expires_at: OffsetDateTime,
    machine: MachineId,
}

/// A machine's new certificate.
#[derive(Debug)]
pub(crate) struct Enrolment {
    pub(crate) certified: Certified,
    /// The issuers of the certificate, DER.
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) machine: MachineId,
}

/// Why a machine is not enrolled. The client must act, its operator or ours, or it is ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnrolmentError {
    #[error("the attestation key `aikPublic`: {0}")]
    AttestationKey(#[source] KeyError),
    #[error("`aikPublic` is no TPMT_PUBLIC: {0}")]
    AttestationKeyShape(#[source] ParseError),
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The maker of the TPM is not trusted, or the certificate is no endorsement certificate.
    #[error(
        "the endorsement certificate is not accepted: {0}; which makers of TPMs are trusted is up to the provider's \
         operator (`provider.tpm.roots`)"
    )]
    Certificate(#[source] CertificateError),
    #[error("`enrollmentContext` is not taken: {0}; enrol anew with `POST /tpm/enrollments`")]
    Context(#[source] OpenError),
    #[error("no credential for this TPM: {0}")]
    Credential(#[source] CredentialError),
    #[error("the endorsement key `ekPublic`: {0}")]
    EndorsementKey(#[source] KeyError),
    #[error("`ekPublic` is no TPMT_PUBLIC: {0}")]
    EndorsementKeyShape(#[source] ParseError),
    #[error(
        "this provider enrols no machines, for it trusts no maker of TPMs; its operator sets `provider.tpm.roots` or \
         `vouchsafe serve --tpm-roots DIR`"
    )]
    NoRoots,
    #[error(transparent)]
    NoRandomness(#[from] crypto::random::NoRandomness),
    #[error("the machine `{machine}` is revoked since {at}; the provider's operator can restore it")]
    Revoked { machine: MachineId, at: OffsetDateTime },
    #[error(
        "`secret` is not the one that was sent for this TPM and attestation key; send what TPM2_ActivateCredential \
         gave for the credential of this `enrollmentContext`"
    )]
    Secret,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the machine `{machine}` has too many certificates that have not ended; keep the client's state from one \
         start to the next"
    )]
    TooManyCertificates { machine: MachineId },
    #[error("`enrollmentContext` was used already; enrol anew with `POST /tpm/enrollments`")]
    Used,
}

impl Tpm {
    /// Makes a credential for the TPM with the certified endorsement key, which it opens if it holds the attestation
    /// key:
    /// 1. the endorsement certificate chains to a trusted maker and is one of an endorsement key, now,
    /// 2. it is that of `ek_public`, whose algorithms are those that the TPM opens credentials with,
    /// 3. the machine is not revoked,
    /// 4. `aik_public` is a restricted signing key fixed to its TPM, whose name is computed from the bytes received,
    /// 5. the secret is fresh and goes to the client under the endorsement key only.
    ///
    /// # Errors
    /// [`EnrolmentError`].
    pub(crate) fn offer(
        &self,
        ek_certificates: &[Vec<u8>],
        ek_public: &[u8],
        aik_public: &[u8],
        now: OffsetDateTime,
    ) -> Result<Offer, EnrolmentError> {
        let trusted = self.trusted();
        if trusted.roots.ek.is_empty() {
            return Err(EnrolmentError::NoRoots);
        }
        let certificate = AkCertificate::of_chain(ek_certificates).map_err(EnrolmentError::Certificate)?;
        certificate
            .verify_as(KeyRole::Endorsement, &trusted.roots.ek, now)
            .map_err(EnrolmentError::Certificate)?;
        let area = PublicArea::parse(ek_public).map_err(EnrolmentError::EndorsementKeyShape)?;
        let ek = EndorsementKey::certified(certificate.public_key(), &area)
            .map_err(EnrolmentError::EndorsementKey)?;
        let machine = MachineId::of(&certificate);
        self.refuse_revoked(&machine)?;
        let area = PublicArea::parse(aik_public).map_err(EnrolmentError::AttestationKeyShape)?;
        attestation_key(&area)?;
        let secret: [u8; SECRET_BYTES] = random_bytes()?;
        let credential = make_credential(&ek, &area.name(), &secret).map_err(EnrolmentError::Credential)?;
        let content = Content {
            secret_digest: sha256(&secret),
            aik_public: area.bytes().to_vec(),
            ek_certificate: certificate.der().to_vec(),
        };
        let expires_at = now.saturating_add(LIFETIME);
        let context =
            self.sealer.seal(Purpose::Enrollment, &self.challenger, &content.write(), expires_at)?;
        Ok(Offer {
            credential_blob: sized(&credential.id_object)?,
            encrypted_secret: sized(&credential.encrypted_secret)?,
            context,
            machine,
        })
    }

    /// Takes the secret back:
    /// 1. the context is one that [`Self::offer`] sealed for this provider, and has not expired,
    /// 2. the secret is the one that was sent.
    ///
    /// # Errors
    /// [`EnrolmentError`].
    pub(crate) fn prove(
        &self,
        context: &[u8],
        secret: &[u8],
        now: OffsetDateTime,
    ) -> Result<Proven, EnrolmentError> {
        let (content, expires_at) = self
            .sealer
            .unseal(Purpose::Enrollment, &self.challenger, context, now)
            .map_err(EnrolmentError::Context)?;
        let content = Content::read(&content).ok_or(EnrolmentError::Context(OpenError::Foreign))?;
        if !equal_in_constant_time(&sha256(secret), &content.secret_digest) {
            return Err(EnrolmentError::Secret);
        }
        let certificate =
            AkCertificate::parse(&content.ek_certificate).map_err(EnrolmentError::Certificate)?;
        let context_digest = sha256_of_parts(&[b"tpm enrollment\0", context]);
        Ok(Proven { context_digest, content, expires_at, machine: MachineId::of(&certificate) })
    }

    /// Certifies the attestation key, unless the machine is revoked, and keeps both. Each proof counts once.
    ///
    /// # Errors
    /// [`EnrolmentError`].
    pub(crate) fn enrol(&self, proven: &Proven, now: OffsetDateTime) -> Result<Enrolment, EnrolmentError> {
        let Proven { context_digest, content, expires_at, machine } = proven;
        self.refuse_revoked(machine)?;
        if !self.store.use_challenge(&self.provider_id, context_digest, *expires_at, now)? {
            return Err(EnrolmentError::Used);
        }
        let area = PublicArea::parse(&content.aik_public).map_err(EnrolmentError::AttestationKeyShape)?;
        let key = attestation_key(&area)?;
        let certified = self.authority.certify(&key, machine, self.config.aik_certificate_days, now)?;
        let stored = StoredCertificate {
            serial: certified.serial.clone(),
            key_name: area.name(),
            issued_at: now,
            not_after: certified.not_after,
        };
        let machine_and_key = (machine.as_str(), content.ek_certificate.as_slice());
        match self.store.enrol_machine(&self.provider_id, machine_and_key, &stored, now)? {
            Enrolled::Kept => {}
            Enrolled::Revoked(StoredRevocation { at, .. }) => {
                return Err(EnrolmentError::Revoked { machine: machine.clone(), at });
            }
            Enrolled::TooManyCertificates => {
                return Err(EnrolmentError::TooManyCertificates { machine: machine.clone() });
            }
        }
        tracing::info!(provider = self.provider_id, machine = machine.as_str(), "machine enrolled");
        Ok(Enrolment { certified, chain: vec![self.authority.der().to_vec()], machine: machine.clone() })
    }

    fn refuse_revoked(&self, machine: &MachineId) -> Result<(), EnrolmentError> {
        let stored = self.store.machine(&self.provider_id, machine.as_str())?;
        match stored.and_then(|stored| stored.revocation) {
            Some(StoredRevocation { at, .. }) => {
                Err(EnrolmentError::Revoked { machine: machine.clone(), at })
            }
            None => Ok(()),
        }
    }
}

impl Proven {
    pub(crate) const fn machine(&self) -> &MachineId {
        &self.machine
    }
}

/// The key of a public area, if it is one that attests.
fn attestation_key(area: &PublicArea<'_>) -> Result<AttestationKey, EnrolmentError> {
    AttestationKey::from_trusted_public(area).map_err(|Rejection { error, .. }| match error {
        VerifyError::Key(error) => EnrolmentError::AttestationKey(error),
        _ => EnrolmentError::AttestationKey(KeyError::Kind),
    })
}

/// What is sealed between the two requests.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    secret_digest: [u8; 32],
    aik_public: Vec<u8>,
    ek_certificate: Vec<u8>,
}

impl Content {
    fn write(&self) -> Vec<u8> {
        // A public area has less than 64 KiB, or it would not have been read.
        let length = u16::try_from(self.aik_public.len()).unwrap_or(u16::MAX).to_be_bytes();
        [&self.secret_digest[..], &length, &self.aik_public, &self.ek_certificate].concat()
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (secret_digest, rest) = bytes.split_first_chunk::<32>()?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let (aik_public, ek_certificate) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        Some(Self {
            secret_digest: *secret_digest,
            aik_public: aik_public.to_vec(),
            ek_certificate: ek_certificate.to_vec(),
        })
    }
}

/// A `TPM2B`: with its length before it.
fn sized(bytes: &[u8]) -> Result<Vec<u8>, EnrolmentError> {
    let length = u16::try_from(bytes.len()).map_err(|_| EnrolmentError::Credential(CredentialError::Key))?;
    Ok([&length.to_be_bytes()[..], bytes].concat())
}

/// As long as a digest of SHA-256, the shortest that endorsement keys have here.
const SECRET_BYTES: usize = 32;
/// Slow TPMs take seconds to make an endorsement key and to open a credential.
const LIFETIME: Duration = Duration::minutes(10);

#[cfg(test)]
#[path = "enrolment/tests.rs"]
mod tests;
