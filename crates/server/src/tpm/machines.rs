//! Machines: who one is, namely its TPM's endorsement key, which ones are enrolled, and whether one is still welcome.

use std::sync::{Mutex, PoisonError};

use evidence::tpm::{AkCertificate, CertificateError};
use time::{Duration, OffsetDateTime};

use super::Tpm;
use super::authority::{AuthorityError, RevokedCertificate};
use crate::store::StoreError;
use crate::store::tpm_machines::{CertifiedMachine, StoredCertificate, StoredMachine, StoredRevocation};

/// SHA-256 of the endorsement key's `SubjectPublicKeyInfo`, in 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MachineId(String);

impl MachineId {
    /// The machine with the endorsement key of this certificate.
    pub(crate) fn of(ek_certificate: &AkCertificate) -> Self {
        Self(hex::encode(crypto::sha256(ek_certificate.spki())))
    }

    /// Reads what [`Self::as_str`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn unknown(&self) -> MachineFailure {
        MachineFailure::Unknown { id: self.0.clone() }
    }
}

impl std::fmt::Display for MachineId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// An enrolled machine and its certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MachineDetails {
    pub(crate) certificates: Vec<StoredCertificate>,
    pub(crate) machine: StoredMachine,
}

/// Why nothing is said of machines, or done to one. The caller must act, unless it is ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MachineFailure {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no machine `{id}` is enrolled; `GET /tpm/machines` lists those that are")]
    Unknown { id: String },
}

/// Why a machine with a certificate of this provider may not attest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StandingError {
    #[error("the attestation key's certificate: {0}")]
    Certificate(#[from] CertificateError),
    /// Such as after an old copy of the database was put back: nobody can say whether it is revoked.
    #[error(
        "this provider does not know the certificate with serial number {} that names it as issuer; enrol the \
         machine again",
        hex::encode(serial)
    )]
    Forgotten { serial: Vec<u8> },
    #[error("the machine `{machine}` is revoked; the provider's operator can restore it")]
    Revoked { machine: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The list of revoked certificates as it was last made.
#[derive(Debug, Default)]
pub(super) struct KeptCrl(Mutex<Option<(OffsetDateTime, Vec<u8>)>>);

impl Tpm {
    /// The machine that a certificate of an attestation key, DER, was issued for by this provider's CA, if it is
    /// welcome; `None` if another CA issued it. The certificate must have been verified, or be verified after.
    ///
    /// # Errors
    /// [`StandingError`].
    pub(crate) fn machine_of(&self, aik_certificate: &[u8]) -> Result<Option<MachineId>, StandingError> {
        let certificate = AkCertificate::parse(aik_certificate)?;
        if !self.authority.is_named_by(&certificate) {
            return Ok(None);
        }
        match self.store.machine_of_certificate(&self.provider_id, certificate.serial())? {
            Some(CertifiedMachine { machine, revoked: false }) => Ok(Some(MachineId(machine))),
            Some(CertifiedMachine { machine, revoked: true }) => Err(StandingError::Revoked { machine }),
            None => Err(StandingError::Forgotten { serial: certificate.serial().to_vec() }),
        }
    }

    /// At most `limit` machines whose ids come after `after`.
    ///
    /// # Errors
    /// [`MachineFailure`].
    pub(crate) fn machines(&self, after: &str, limit: u32) -> Result<Vec<StoredMachine>, MachineFailure> {
        Ok(self.store.machines(&self.provider_id, after, limit)?)
    }

    /// A machine.
    ///
    /// # Errors
    /// [`MachineFailure`].
    pub(crate) fn machine(&self, id: &MachineId) -> Result<MachineDetails, MachineFailure> {
        let machine = self.store.machine(&self.provider_id, id.as_str())?.ok_or_else(|| id.unknown())?;
        let certificates = self.store.certificates_of_machine(&self.provider_id, id.as_str())?;
        Ok(MachineDetails { certificates, machine })
    }

    /// Revokes a machine: from now on it neither attests nor enrols.
    ///
    /// # Errors
    /// [`MachineFailure`].
    pub(crate) fn revoke(
        &self,
        id: &MachineId,
        reason: String,
        now: OffsetDateTime,
    ) -> Result<MachineDetails, MachineFailure> {
        self.set_revocation(id, Some(&StoredRevocation { at: now, reason }))
    }

    /// Takes back that a machine is revoked. Certificates that have not ended are good again.
    ///
    /// # Errors
    /// [`MachineFailure`].
    pub(crate) fn restore(&self, id: &MachineId) -> Result<MachineDetails, MachineFailure> {
        self.set_revocation(id, None)
    }

    fn set_revocation(
        &self,
        id: &MachineId,
        revocation: Option<&StoredRevocation>,
    ) -> Result<MachineDetails, MachineFailure> {
        let changed = self.store.set_revocation(&self.provider_id, id.as_str(), revocation)?;
        if changed.is_none() {
            return Err(id.unknown());
        }
        self.crl.forget();
        tracing::info!(
            provider = self.provider_id,
            machine = id.as_str(),
            revoked = revocation.is_some(),
            "whether a machine is revoked was changed"
        );
        self.machine(id)
    }

    /// The list of revoked certificates, DER, at most [`CRL_AGE`] old.
    ///
    /// # Errors
    /// [`MachineFailure`].
    pub(crate) fn crl(&self, now: OffsetDateTime) -> Result<Vec<u8>, MachineFailure> {
        // Held while the list is made, so that none from before a change is kept after it.
        let mut kept = self.crl.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_at, crl)) = &*kept
            && (Duration::ZERO..CRL_AGE).contains(&(now - *made_at))
        {
            return Ok(crl.clone());
        }
        let revoked = self.store.revoked_certificates(&self.provider_id, now)?;
        let revoked: Vec<_> = revoked
            .into_iter()
            .map(|(serial, revoked_at)| RevokedCertificate { revoked_at, serial })
            .collect();
        let crl = self.authority.crl(&revoked, now)?;
        *kept = Some((now, crl.clone()));
        Ok(crl)
    }
}

impl KeptCrl {
    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Anybody may ask for the list, and it is signed each time.
const CRL_AGE: Duration = Duration::MINUTE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_digests() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(MachineId::parse(&id).unwrap().to_string(), id);
        for wrong in [&id[1..], &id.to_uppercase(), &format!("{id}0"), "", "../../0123456789"] {
            assert_eq!(MachineId::parse(wrong), None, "{wrong}");
        }
    }
}
