//! Endorsements: what Intel publishes about a platform family, verified once and kept.

use crypto::sha256_of_parts;
use time::OffsetDateTime;

use super::endorsement_error::{PCK_CRL, QE_IDENTITY, ROOT_CRL, TCB_INFO};
use super::pck::PckIssuer;
use super::qe_identity::QeIdentity;
use super::signed_json::SignedJson;
use super::tcb_info::TcbInfo;
use super::{EndorsementError, EndorsementsId, PckCa};
use crate::anchors::TrustAnchors;
use crate::crl::Crl;
use crate::error::VerifyError;
use crate::pem;
use crate::verdict::{Check, Rejection, Rule, Verdict, rules};
use crate::x509::{self, CERTIFICATE, Certificate, CertificateRole, Validity};

/// Endorsements as fetched or sent: nothing of them is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawEndorsements {
    /// The whole signed document, `{"tcbInfo":…,"signature":"…"}`.
    pub tcb_info: Vec<u8>,
    /// PEM: TCB signing certificate, root.
    pub tcb_info_issuer_chain: Vec<u8>,
    /// The whole signed document, `{"enclaveIdentity":…,"signature":"…"}`.
    pub qe_identity: Vec<u8>,
    /// PEM: TCB signing certificate, root.
    pub qe_identity_issuer_chain: Vec<u8>,
    /// DER.
    pub root_ca_crl: Vec<u8>,
    /// DER.
    pub pck_crl: Vec<u8>,
    /// PEM: PCK CA, root. Where it did not come with the CRL, that of the quote will do
    /// ([`super::PckChain::issuer_chain_pem`]).
    pub pck_crl_issuer_chain: Vec<u8>,
}

/// The first of the endorsements, or of the certificates that signed them, to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// Its name, e.g. `TCB info`.
    pub item: &'static str,
    /// When it ends.
    pub at: OffsetDateTime,
}

/// The digests that Azure Attestation's `x-ms-sgx-collateral` claim shows. SHA-256 each: chains as PEM
/// text and one NUL, documents as text and one NUL, the CRL as DER and one NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollateralDigests {
    /// `qeidcertshash`.
    pub qe_identity_issuer_chain: [u8; 32],
    /// `qeidcrlhash`: the root CRL, which covers the signer.
    pub qe_identity_crl: [u8; 32],
    /// `qeidhash`.
    pub qe_identity: [u8; 32],
    /// `tcbinfocertshash`.
    pub tcb_info_issuer_chain: [u8; 32],
    /// `tcbinfocrlhash`: the root CRL, which covers the signer.
    pub tcb_info_crl: [u8; 32],
    /// `tcbinfohash`.
    pub tcb_info: [u8; 32],
}

/// Verified endorsements of one platform family. Callers keep them (`Arc`) and verify quotes with them;
/// their validity is compared with `now` each time.
///
/// Only [`Endorsements::verify`] makes them; this does not compile:
///
/// ```compile_fail,E0451
/// fn forged(rest: evidence::dcap::Endorsements, id: evidence::dcap::EndorsementsId) {
///     let _ = evidence::dcap::Endorsements { id, ..rest };
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Endorsements {
    id: EndorsementsId,
    tcb_info: TcbInfo,
    qe_identity: QeIdentity,
    root_crl: Crl,
    pck_crl: Crl,
    pck_issuer: PckIssuer,
    windows: Vec<(&'static str, Validity)>,
    digests: CollateralDigests,
    verdict: Verdict,
}

impl Endorsements {
    /// Verifies endorsements, in the order of Intel's quote verification library:
    /// 1. the PCK CRL's issuer chain ends in a root trusted for PCK chains,
    /// 2. the root CRL is that root's, and signed by it; the PCK CRL is its issuer's, and signed by it,
    /// 3. the root CRL lists neither that issuer nor the root,
    /// 4. TCB info and QE identity: signer chain to a root trusted for TCB signing, signer not revoked,
    ///    signature over the exact bytes, then the document itself,
    /// 5. all of them, and all certificates, are valid at `now`.
    ///
    /// # Errors
    /// [`EndorsementError`], with the checks made up to then.
    pub fn verify(
        raw: &RawEndorsements,
        anchors: &TrustAnchors,
        now: OffsetDateTime,
    ) -> Result<Self, Rejection<EndorsementError>> {
        let mut verdict = Verdict::new();
        match Self::verify_steps(raw, anchors, now, &mut verdict) {
            Ok(endorsements) => Ok(Self { verdict, ..endorsements }),
            Err(error) => Err(Rejection::new(error, verdict)),
        }
    }

    fn verify_steps(
        raw: &RawEndorsements,
        anchors: &TrustAnchors,
        now: OffsetDateTime,
        verdict: &mut Verdict,
    ) -> Result<Self, EndorsementError> {
        let mut pass = |rule| verdict.push(Check::passed(rule, "valid", "valid"));

        let chain = |error| EndorsementError::Chain { item: PCK_CRL, error };
        let pck_chain = x509::parse_chain(&raw.pck_crl_issuer_chain, PCK_CRL_CHAIN).map_err(chain)?;
        x509::verify_chain(&pck_chain, PCK_CRL_CHAIN, anchors.pck()).map_err(chain)?;
        let [pck_ca, root] = &pck_chain;
        pass(rules::PCK_CRL_CHAIN);

        let root_crl = verify_crl(&raw.root_ca_crl, root, ROOT_CRL)?;
        pass(rules::ROOT_CRL_SIGNATURE);
        let pck_crl = verify_crl(&raw.pck_crl, pck_ca, PCK_CRL)?;
        pass(rules::PCK_CRL_SIGNATURE);
        let ca = PckCa::from_common_name(&pck_crl.issuer_common_name).ok_or(EndorsementError::PckCa)?;
        for (certificate, role) in pck_chain.iter().zip(PCK_CRL_CHAIN) {
            refuse_revoked(&root_crl, certificate, role, PCK_CRL)?;
        }

        let covered = Coverage { root_crl: &root_crl, root };
        let (signers, value) = SignedItem {
            item: TCB_INFO,
            member: "tcbInfo",
            document: &raw.tcb_info,
            chain: &raw.tcb_info_issuer_chain,
            rules: [rules::TCB_INFO_CHAIN, rules::TCB_INFO_SIGNER_REVOCATION, rules::TCB_INFO_SIGNATURE],
        }
        .verify(&covered, anchors, verdict)?;
        let tcb_info =
            TcbInfo::parse(value).map_err(|error| EndorsementError::Document { item: TCB_INFO, error })?;
        verdict.push(Check::passed(rules::TCB_INFO_STRUCTURE, "valid", "valid"));

        let (qe_signers, value) = SignedItem {
            item: QE_IDENTITY,
            member: "enclaveIdentity",
            document: &raw.qe_identity,
            chain: &raw.qe_identity_issuer_chain,
            rules: [
                rules::QE_IDENTITY_CHAIN,
                rules::QE_IDENTITY_SIGNER_REVOCATION,
                rules::QE_IDENTITY_SIGNATURE,
            ],
        }
        .verify(&covered, anchors, verdict)?;
        let qe_identity = QeIdentity::parse(value)
            .map_err(|error| EndorsementError::Document { item: QE_IDENTITY, error })?;
        if qe_identity.tee != tcb_info.tee {
            return Err(EndorsementError::Tee { tcb_info: tcb_info.tee, qe_identity: qe_identity.tee });
        }
        verdict.push(Check::passed(rules::QE_IDENTITY_STRUCTURE, "valid", "valid"));

        let [tcb_signer, tcb_root] = &signers;
        let [qe_signer, qe_root] = &qe_signers;
        let endorsements = Self {
            id: EndorsementsId { tee: tcb_info.tee, fmspc: tcb_info.fmspc, ca },
            windows: vec![
                (TCB_INFO, tcb_info.validity),
                (QE_IDENTITY, qe_identity.validity),
                (PCK_CRL, pck_crl.validity),
                (ROOT_CRL, root_crl.validity),
                ("TCB signing certificate of the TCB info", tcb_signer.validity),
                ("TCB signing certificate of the QE identity", qe_signer.validity),
                ("issuer certificate of the PCK CRL", pck_ca.validity),
                ("root certificate of the TCB info", tcb_root.validity),
                ("root certificate of the QE identity", qe_root.validity),
                ("root certificate of the PCK CRL", root.validity),
            ],
            digests: CollateralDigests {
                qe_identity_issuer_chain: chain_digest(&qe_signers),
                qe_identity_crl: digest_with_nul(&raw.root_ca_crl),
                qe_identity: digest_with_nul(&raw.qe_identity),
                tcb_info_issuer_chain: chain_digest(&signers),
                tcb_info_crl: digest_with_nul(&raw.root_ca_crl),
                tcb_info: digest_with_nul(&raw.tcb_info),
            },
            pck_issuer: PckIssuer::of(pck_ca, root),
            tcb_info,
            qe_identity,
            root_crl,
            pck_crl,
            verdict: Verdict::new(),
        };
        if let Some((item, validity)) = endorsements.outside_validity(now) {
            return Err(EndorsementError::Validity { item, validity, at: now });
        }
        Ok(endorsements)
    }

    /// What they are for.
    #[must_use]
    pub fn id(&self) -> EndorsementsId {
        self.id
    }

    /// The lower of the TCB evaluation data numbers of TCB info and QE identity.
    #[must_use]
    pub fn tcb_evaluation_data_number(&self) -> u32 {
        self.tcb_info.evaluation_data_number.min(self.qe_identity.evaluation_data_number)
    }

    /// The TCB evaluation data number of the TCB info, which never decreases.
    #[must_use]
    pub fn tcb_info_evaluation_data_number(&self) -> u32 {
        self.tcb_info.evaluation_data_number
    }

    /// The TCB evaluation data number of the QE identity, which never decreases.
    #[must_use]
    pub fn qe_identity_evaluation_data_number(&self) -> u32 {
        self.qe_identity.evaluation_data_number
    }

    /// The number of the root CRL, which never decreases.
    #[must_use]
    pub fn root_crl_number(&self) -> u64 {
        self.root_crl.number
    }

    /// The number of the PCK CRL, which never decreases.
    #[must_use]
    pub fn pck_crl_number(&self) -> u64 {
        self.pck_crl.number
    }

    /// When the older of TCB info and QE identity was issued.
    #[must_use]
    pub fn issued_at(&self) -> OffsetDateTime {
        self.tcb_info.validity.not_before.min(self.qe_identity.validity.not_before)
    }

    /// When each item was issued: name and `issueDate`, `thisUpdate` or `notBefore`, and its end.
    #[must_use]
    pub fn validities(&self) -> &[(&'static str, Validity)] {
        &self.windows
    }

    /// The first of all ends, those of the signing certificates included.
    #[must_use]
    pub fn expires(&self) -> Expiry {
        let first = self.windows.iter().min_by_key(|(_, validity)| validity.not_after);
        first.map_or(Expiry { item: TCB_INFO, at: self.tcb_info.validity.not_after }, |(item, validity)| {
            Expiry { item, at: validity.not_after }
        })
    }

    /// How many certificates the PCK CRL lists.
    #[must_use]
    pub fn pck_crl_revoked_count(&self) -> usize {
        self.pck_crl.revoked_count()
    }

    /// The digests of the collateral claim.
    #[must_use]
    pub fn digests(&self) -> &CollateralDigests {
        &self.digests
    }

    /// The checks made by [`Self::verify`].
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    pub(crate) fn tcb_info(&self) -> &TcbInfo {
        &self.tcb_info
    }

    pub(crate) fn qe_identity(&self) -> &QeIdentity {
        &self.qe_identity
    }

    pub(crate) fn pck_issuer(&self) -> &PckIssuer {
        &self.pck_issuer
    }

    pub(crate) fn revokes_pck(&self, serial: &[u8]) -> bool {
        self.pck_crl.revokes(serial)
    }

    pub(crate) fn revokes_ca(&self, serial: &[u8]) -> bool {
        self.root_crl.revokes(serial)
    }

    /// Checks that everything is valid at `now`.
    pub(crate) fn check_validity(&self, now: OffsetDateTime) -> Result<Check, VerifyError> {
        match self.outside_validity(now) {
            Some((item, validity)) => Err(VerifyError::EndorsementsValidity { item, validity, at: now }),
            None => Ok(Check::passed(rules::ENDORSEMENTS_VALIDITY, self.expires().at, now)),
        }
    }

    fn outside_validity(&self, now: OffsetDateTime) -> Option<(&'static str, Validity)> {
        self.windows.iter().find(|(_, validity)| !validity.contains(now)).copied()
    }
}

/// The root CRL, and whose certificates it speaks about.
struct Coverage<'a> {
    root_crl: &'a Crl,
    root: &'a Certificate,
}

/// A document signed by a TCB signer, as received.
struct SignedItem<'a> {
    item: &'static str,
    member: &'static str,
    document: &'a [u8],
    chain: &'a [u8],
    /// Chain, revocation, signature.
    rules: [Rule; 3],
}

impl<'a> SignedItem<'a> {
    fn verify(
        &self,
        covered: &Coverage<'_>,
        anchors: &TrustAnchors,
        verdict: &mut Verdict,
    ) -> Result<([Certificate; 2], &'a [u8]), EndorsementError> {
        let item = self.item;
        let [chain_rule, revocation_rule, signature_rule] = self.rules;
        let chain = |error| EndorsementError::Chain { item, error };
        let signers = x509::parse_chain(self.chain, SIGNER_CHAIN).map_err(chain)?;
        x509::verify_chain(&signers, SIGNER_CHAIN, anchors.tcb_signing()).map_err(chain)?;
        verdict.push(Check::passed(chain_rule, "valid", "valid"));

        let [signer, root] = &signers;
        if root.key == covered.root.key {
            refuse_revoked(covered.root_crl, signer, CertificateRole::TcbSigning, item)?;
            refuse_revoked(covered.root_crl, root, CertificateRole::Root, item)?;
            verdict.push(Check::passed(revocation_rule, "not listed", "not listed"));
        } else {
            // An operator's own TCB signing root, configured apart from the PCK root: Intel's CRL says
            // nothing of its certificates, and the operator withdraws them by configuration.
            verdict.push(Check::noted(revocation_rule, "signed under another root than the CRL's"));
        }

        let document = |error| EndorsementError::Document { item, error };
        let signed = SignedJson::split(self.document, self.member).map_err(document)?;
        let value = signed.verify(&signer.key).map_err(document)?;
        verdict.push(Check::passed(signature_rule, "valid", "valid"));
        Ok((signers, value))
    }
}

fn verify_crl(der: &[u8], issuer: &Certificate, item: &'static str) -> Result<Crl, EndorsementError> {
    let crl = Crl::parse(der).and_then(|crl| crl.check_issued_by(issuer).map(|()| crl));
    crl.map_err(|error| EndorsementError::Crl { item, error })
}

fn refuse_revoked(
    crl: &Crl,
    certificate: &Certificate,
    role: CertificateRole,
    item: &'static str,
) -> Result<(), EndorsementError> {
    if crl.revokes(&certificate.serial) {
        return Err(EndorsementError::Revoked { item, role, serial: certificate.serial.clone() });
    }
    Ok(())
}

/// SHA-256 of a chain's PEM text and one NUL byte, as Azure Attestation shows it.
fn chain_digest(chain: &[Certificate]) -> [u8; 32] {
    let text = pem::encode(chain.iter().map(|certificate| certificate.der.as_slice()), CERTIFICATE);
    digest_with_nul(&text)
}

fn digest_with_nul(bytes: &[u8]) -> [u8; 32] {
    sha256_of_parts(&[bytes, b"\0"])
}

const PCK_CRL_CHAIN: [CertificateRole; 2] = [CertificateRole::PckCa, CertificateRole::Root];
const SIGNER_CHAIN: [CertificateRole; 2] = [CertificateRole::TcbSigning, CertificateRole::Root];
