//! Evidence of machines with TPMs, and their messages.

use std::sync::OnceLock;

use api::enrolment::{ActivateTpm, EnrollTpm, RevokeMachine};
use api::tpm::{Message, SignedRequest};
use crypto::HashAlgorithm;
use evidence::eventlog::{
    EventLog, ImaLog, MeasuredIma, MeasuredLog, unverified_cc_log_report, unverified_log_report,
};
use evidence::tpm::{
    AkCertificate, Attest, AttestationKey, Expectations, KeyRole, PcrSet, PcrValues, PlatformClaim,
    PublicArea, QuotedPcrs, Signature, TpmTrust, VbsReport, check_application_key, check_attestation_key,
};

use crate::scenarios::NOW;
use crate::tpm::{BootLog, Machine, Makers};

/// A machine, whose quote the logs are held against.
pub(super) struct World {
    pub(super) machine: Machine,
    pub(super) makers: Makers,
    key: AttestationKey,
    pcrs: QuotedPcrs,
}

pub(super) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let makers = Makers::new(NOW);
        let machine = Machine::booted(BootLog::linux(true), &makers);
        let public = machine.public();
        let area = PublicArea::parse(&public).expect("a public area");
        let key = AttestationKey::from_trusted_public(&area).expect("an attestation key");
        let (quote, signature) = machine.quote(b"nonce", &ALL);
        let verified = verify_quote(&machine, &key, &quote, &signature).expect("a genuine quote");
        World { machine, makers, key, pcrs: verified }
    })
}

fn verify_quote(
    machine: &Machine,
    key: &AttestationKey,
    quote: &[u8],
    signature: &[u8],
) -> Option<QuotedPcrs> {
    let (attest, signature) = (Attest::parse(quote).ok()?, Signature::parse(signature).ok()?);
    let mut values = PcrValues::new();
    for (index, value) in ALL.iter().zip(&machine.pcrs) {
        values.insert(HashAlgorithm::Sha256, *index, value).expect("a value");
    }
    let expectations = Expectations { nonce: b"nonce", required: PcrSet::from_mask(0), allow_sha1: true };
    let verified = attest.verify_quote(&signature, &values, key, &expectations).ok()?;
    Some(verified.pcrs().clone())
}

/// Certificates of keys in TPMs, their issuers and lists.
pub fn ak_certificate(data: &[u8]) {
    let mut trust = TpmTrust::new();
    let _ = trust.add_issuers(data);
    let _ = trust.add_crl(data);
    trust.add_issuers(&world().makers.certificate()).expect("an issuer");
    if let Ok(certificate) = AkCertificate::parse(data) {
        for role in [KeyRole::Attestation, KeyRole::Endorsement] {
            let _ = certificate.verify_as(role, &trust, NOW);
        }
    }
}

/// Logs of confidential VMs, with the claims they would make.
pub fn cc_event_log(data: &[u8]) {
    let _ = unverified_cc_log_report(data);
}

/// The bodies of enrolment.
pub fn enrolment_request(data: &[u8]) {
    let _ = EnrollTpm::parse(data);
    let _ = ActivateTpm::parse(data);
    let _ = RevokeMachine::parse(data);
}

/// IMA logs, held against a quote.
pub fn ima_log(data: &[u8]) {
    if let Ok(log) = ImaLog::parse(data) {
        let _ = MeasuredIma::verify(&log, &world().pcrs, false);
    }
}

/// Platform claims of Windows, with the quote inside.
pub fn platform_claim(data: &[u8]) {
    if let Ok(claim) = PlatformClaim::parse(data)
        && let Ok(attest) = Attest::parse(claim.quote)
        && let Some(selection) = attest.unverified_selection()
    {
        let _ = claim.pcr_values(selection);
    }
}

/// Logs of boots: what they would claim, and what explains that they are not that of a quote.
pub fn tcg_event_log(data: &[u8]) {
    let _ = unverified_log_report(data);
    if let Ok(log) = EventLog::parse(data) {
        let _ = MeasuredLog::verify(&[&log], &world().pcrs, false);
    }
}

/// Quotes and certifications.
///
/// # Panics
/// If a quote verifies that the machine did not make.
pub fn tpm_attest(data: &[u8]) {
    let World { machine, key, .. } = world();
    let (genuine, signature) = machine.quote(b"nonce", &ALL);
    let verified = verify_quote(machine, key, data, &signature);
    assert!(verified.is_none() || data == genuine, "a quote that nobody made verifies");
    if let Ok(attest) = Attest::parse(data) {
        let area = machine.public();
        let area = PublicArea::parse(&area).expect("a public area");
        let signature = Signature::parse(&signature).expect("a signature");
        let certified = attest.verify_certified_key(&area, &signature, key, b"nonce");
        assert!(certified.is_err(), "a certification that nobody made verifies");
    }
}

/// The messages of attestation.
pub fn tpm_message(data: &[u8]) {
    if let Ok((Message::Request(request), _)) = Message::parse(data)
        && let Ok(request) = SignedRequest::parse(&request)
    {
        let _ = request.content();
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(request) = SignedRequest::parse(text)
    {
        let _ = request.content();
    }
}

/// Public areas.
pub fn tpm_public_area(data: &[u8]) {
    for area in [PublicArea::parse(data), PublicArea::parse_sized(data)].into_iter().flatten() {
        let _ = (check_attestation_key(&area), check_application_key(&area), area.name());
    }
}

/// Signatures by keys of all kinds.
///
/// # Panics
/// If one verifies that nobody made.
pub fn tpm_signature(data: &[u8]) {
    let World { machine, key, .. } = world();
    let (quote, genuine) = machine.quote(b"nonce", &ALL);
    let verified = verify_quote(machine, key, &quote, data);
    assert!(verified.is_none() || data == genuine, "a signature that nobody made verifies");
}

/// Reports of enclaves of virtualisation-based security.
pub fn vbs_report(data: &[u8]) {
    if let Ok(report) = VbsReport::parse(data) {
        assert!(report.verify(None).is_err(), "a report verifies without a key");
    }
}

/// Every PCR.
pub(super) const ALL: [u8; 24] =
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
