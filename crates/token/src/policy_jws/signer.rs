//! Who may sign policies: certificates, and what is relied on when one arrives.

use serde_json::{Value, json};
use time::OffsetDateTime;
use x509_cert::der::Decode;

use super::certificate::{Certificate, common_name};
use super::chain::{self, ChainError};
use crate::algorithm::Algorithm;
use crate::base64url;
use crate::jwk;
use crate::policy_jws::PolicyJwsError;

/// A certificate that signs policies, with the chain it came with. The chain was sound when it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySigner {
    algorithm: Algorithm,
    chain: Vec<Vec<u8>>,
    subject: String,
}

impl PolicySigner {
    /// Takes DER certificates, leaf first, whose chain is sound at `now` and leads to what `trust` relies on.
    ///
    /// # Errors
    /// [`PolicyJwsError::Key`], [`PolicyJwsError::Chain`], or [`PolicyJwsError::NoCertificate`].
    pub fn verify(
        chain: Vec<Vec<u8>>,
        trust: &Trust<'_>,
        now: OffsetDateTime,
    ) -> Result<Self, PolicyJwsError> {
        let signer = Self::stored(chain)?;
        chain::verify(&signer.chain, trust, now)?;
        Ok(signer)
    }

    /// Takes a chain that was verified before it was stored. Validity times have passed since, perhaps, and
    /// are compared again wherever something is signed with it.
    ///
    /// # Errors
    /// [`PolicyJwsError::Key`] or [`PolicyJwsError::NoCertificate`].
    pub fn stored(chain: Vec<Vec<u8>>) -> Result<Self, PolicyJwsError> {
        let leaf = chain.first().ok_or(PolicyJwsError::NoCertificate)?;
        let algorithm = jwk::certificate_key(leaf).map_err(PolicyJwsError::Key)?.algorithm();
        let subject = x509_cert::Certificate::from_der(leaf)
            .map(|certificate| common_name(certificate.tbs_certificate().subject()))
            .unwrap_or_default();
        Ok(Self { algorithm, chain, subject })
    }

    /// Whether what it signs at `now` passes where it is a configured signer.
    #[must_use]
    pub fn can_sign(&self, now: OffsetDateTime) -> bool {
        let itself = std::slice::from_ref(self);
        chain::verify(&self.chain, &Trust::only(itself), now).is_ok()
    }

    /// The chain in DER, leaf first.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    /// The first certificate in DER.
    #[must_use]
    pub fn leaf(&self) -> &[u8] {
        self.chain.first().map(Vec::as_slice).unwrap_or_default()
    }

    /// The subject's common name, for people.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The claim `x-ms-certificate-thumbprint`: upper-case hex of SHA-1 over the first certificate's DER.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        crypto::sha1(self.leaf()).iter().map(|byte| format!("{byte:02X}")).collect()
    }

    /// The signer as a JSON Web Key with exactly `alg`, `kty`, `use` and `x5c`, as recorded of the real
    /// service in `x-ms-policy-signer` and `x-ms-policy-certificates`.
    #[must_use]
    pub fn to_jwk(&self) -> Value {
        let kty = match self.algorithm {
            Algorithm::Es256 => "EC",
            Algorithm::Rs256 => "RSA",
        };
        let x5c: Vec<_> = self.chain.iter().map(|der| base64url::encode_standard(der)).collect();
        json!({ "alg": self.algorithm.as_str(), "kty": kty, "use": "sig", "x5c": x5c })
    }
}

/// What is relied on when a signature arrives.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'a> {
    signers: &'a [PolicySigner],
    any_root: bool,
    plain_self_signed: bool,
    unsigned: bool,
}

impl<'a> Trust<'a> {
    /// Unsigned texts pass, and signatures of anyone whose chain ends in a self-signed certificate
    /// authority: the caller is authorized by other means, and the signer is only reported.
    #[must_use]
    pub const fn anyone() -> Self {
        Self { signers: &[], any_root: true, plain_self_signed: false, unsigned: true }
    }

    /// Only signatures whose chain leads to one of these certificates pass.
    #[must_use]
    pub const fn only(signers: &'a [PolicySigner]) -> Self {
        Self { signers, any_root: false, plain_self_signed: false, unsigned: false }
    }

    /// For certificates that are about to become signers: their chain ends in a self-signed certificate
    /// authority, or leads to one of these.
    #[must_use]
    pub const fn new_signer(signers: &'a [PolicySigner]) -> Self {
        Self { signers, any_root: true, plain_self_signed: false, unsigned: false }
    }

    /// As [`Self::new_signer`], and a single self-signed certificate that lacks CA:TRUE passes too: the real
    /// service lists such ones, and the published Python client's example adds one. It signs nothing:
    /// [`Self::only`] does not let it pass.
    #[must_use]
    pub const fn listed_signer(signers: &'a [PolicySigner]) -> Self {
        Self { signers, any_root: true, plain_self_signed: true, unsigned: false }
    }

    pub(super) fn accepts_plain_self_signed(&self) -> bool {
        self.plain_self_signed
    }

    pub(super) fn accepts_unsigned(&self) -> bool {
        self.unsigned
    }

    pub(super) fn accepts_any_root(&self) -> bool {
        self.any_root
    }

    /// The certificates that end a chain.
    pub(super) fn anchors(&self) -> Result<Vec<Certificate>, ChainError> {
        self.signers.iter().map(|signer| Certificate::parse(signer.leaf(), 0)).collect()
    }
}
