//! Verification of a quote (Intel SGX DCAP quote verification library, `sgxAttestationVerifyQuote`).

use std::cmp::min;

use time::OffsetDateTime;

use super::report::first_half;
use super::{Quote, VerifiedPck, VerifiedReport};
use crate::dcap::{Endorsements, TcbComponent, TcbStatus, TcbVerdict, Tee};
use crate::error::{PLATFORM, QUOTING_ENCLAVE, VerifyError};
use crate::verdict::{Check, Rejection, Verdict, rules};

impl<'a> Quote<'a> {
    /// Checks what needs no endorsements, so that nothing has to be fetched for a forged quote:
    /// 1. `pck` is the chain inside this quote, and its certificates are valid at `now`,
    /// 2. the PCK key signed the QE report,
    /// 3. its report data are SHA-256 of attestation key and QE authentication data,
    /// 4. the attestation key signed header and report body.
    ///
    /// # Errors
    /// [`VerifyError`], with the checks made up to then.
    pub fn authenticate<'q>(
        &'q self,
        pck: &'q VerifiedPck,
        now: OffsetDateTime,
    ) -> Result<AuthenticQuote<'q>, Rejection<VerifyError>> {
        let mut verdict = Verdict::with_capacity(MOST_CHECKS);
        verdict.extend(pck.verdict().checks());
        match self.check_signatures(pck, now, &mut verdict) {
            Ok(()) => Ok(AuthenticQuote { quote: self, pck, now, verdict }),
            Err(error) => Err(Rejection::new(error, verdict)),
        }
    }

    /// Verifies the quote: [`Quote::authenticate`], then [`AuthenticQuote::verify`].
    ///
    /// # Errors
    /// [`VerifyError`], with the checks made up to then.
    pub fn verify(
        &self,
        pck: &VerifiedPck,
        endorsements: &Endorsements,
        now: OffsetDateTime,
    ) -> Result<VerifiedReport, Rejection<VerifyError>> {
        self.authenticate(pck, now)?.verify(endorsements)
    }

    fn check_signatures(
        &self,
        pck: &VerifiedPck,
        now: OffsetDateTime,
        verdict: &mut Verdict,
    ) -> Result<(), VerifyError> {
        if self.pck_chain_pem()? != pck.pem() {
            return Err(VerifyError::PckIdentity);
        }
        verdict.push(pck.check_validity(now)?);
        self.check_qe_report(pck, verdict)?;
        crypto::verify_p256_fixed_once(self.attestation_key, self.signed, self.signature)
            .map_err(|_| VerifyError::QuoteSignature)?;
        verdict.push(Check::passed(rules::QUOTE_SIGNATURE, "valid", "valid"));
        if self.custom_claims.is_some() {
            // Parsing compared the digest with the report data, which are genuine from here on.
            verdict.push(Check::passed(rules::CUSTOM_CLAIMS_BINDING, "bound", "bound"));
        }
        Ok(())
    }

    fn check_qe_report(&self, pck: &VerifiedPck, verdict: &mut Verdict) -> Result<(), VerifyError> {
        pck.key()
            .verify_fixed(self.qe_report_bytes, self.qe_report_signature)
            .map_err(|_| VerifyError::QeReportSignature)?;
        verdict.push(Check::passed(rules::QE_REPORT_SIGNATURE, "valid", "valid"));

        let expected = crypto::sha256_of_parts(&[self.attestation_key, self.qe_authentication_data]);
        let found = first_half(&self.qe_report.report_data);
        if found != expected {
            return Err(VerifyError::QeReportBinding { expected, found });
        }
        verdict.push(Check::passed(rules::QE_REPORT_BINDING, &expected, &found));
        Ok(())
    }
}

/// A quote signed by its attestation key, which a quoting enclave vouches for, which the platform's PCK
/// key vouches for. What the platform is worth is for the endorsements to say.
///
/// Only [`Quote::authenticate`] makes one; this does not compile:
///
/// ```compile_fail,E0451
/// fn forged<'q>(
///     quote: &'q evidence::sgx::Quote<'q>,
///     rest: evidence::sgx::AuthenticQuote<'q>,
/// ) -> evidence::sgx::AuthenticQuote<'q> {
///     evidence::sgx::AuthenticQuote { quote, ..rest }
/// }
/// ```
#[derive(Debug)]
pub struct AuthenticQuote<'q> {
    quote: &'q Quote<'q>,
    pck: &'q VerifiedPck,
    now: OffsetDateTime,
    verdict: Verdict,
}

impl AuthenticQuote<'_> {
    /// Verifies the quote with endorsements, as of the time it was authenticated for, in the order of
    /// Intel's library:
    /// 1. all endorsements are valid at that time,
    /// 2. they are for SGX; the root CRL lists no CA of the chain,
    /// 3. the PCK CRL comes from the PCK certificate's issuer and doesn't list the certificate,
    /// 4. the TCB info has the FMSPC and PCEID of the PCK certificate,
    /// 5. the quoting enclave is that of the QE identity,
    /// 6. platform and quoting enclave each match a TCB level that isn't revoked; their status converges.
    ///
    /// TCB status, its date, advisories and the debug flag are facts for baseline and policy, not errors.
    ///
    /// # Errors
    /// [`VerifyError`], with the checks made up to then.
    pub fn verify(self, endorsements: &Endorsements) -> Result<VerifiedReport, Rejection<VerifyError>> {
        let mut verdict = self.verdict;
        verdict.extend(endorsements.verdict().checks());
        match judge(self.quote, self.pck, endorsements, self.now, &mut verdict) {
            Ok(tcb) => Ok(VerifiedReport::new(self.quote, self.pck, endorsements, tcb, verdict)),
            Err(error) => Err(Rejection::new(error, verdict)),
        }
    }
}

fn judge(
    quote: &Quote<'_>,
    pck: &VerifiedPck,
    endorsements: &Endorsements,
    now: OffsetDateTime,
    verdict: &mut Verdict,
) -> Result<TcbVerdict, VerifyError> {
    verdict.push(endorsements.check_validity(now)?);
    check_tee(endorsements, verdict)?;
    check_revocation(pck, endorsements, verdict)?;
    check_platform(pck, endorsements, verdict)?;
    endorsements.qe_identity().check_report(&quote.qe_report, verdict)?;
    let tcb = judge_tcb(quote, pck, endorsements, verdict)?;
    verdict.push(Check::noted(rules::DEBUG, quote.body.is_debuggable()));
    Ok(tcb)
}

/// Matches the TCB levels and converges their status.
fn judge_tcb(
    quote: &Quote<'_>,
    pck: &VerifiedPck,
    endorsements: &Endorsements,
    verdict: &mut Verdict,
) -> Result<TcbVerdict, VerifyError> {
    let extension = pck.extension();
    let platform = endorsements.tcb_info().matching_level(&extension.components, extension.pce_svn);
    let platform = accept_level(platform, PLATFORM)?;
    verdict.push(Check::passed(rules::TCB_PLATFORM, "a level not revoked", platform.status.as_str()));
    let qe = endorsements.qe_identity().matching_level(quote.qe_report.isv_svn);
    let qe = accept_level(qe, QUOTING_ENCLAVE)?;
    verdict.push(Check::passed(rules::TCB_QE, "a level not revoked", qe.status.as_str()));

    let tcb = TcbVerdict {
        status: platform.status.converge(qe.status),
        advisory_ids: platform.advisory_ids.iter().chain(&qe.advisory_ids).cloned().collect(),
        tcb_date: min(platform.tcb_date, qe.tcb_date),
        issued_at: endorsements.issued_at(),
        expires_at: endorsements.expires().at,
        evaluation_data_number: endorsements.tcb_evaluation_data_number(),
        fmspc: endorsements.id().fmspc,
        platform: platform.clone(),
        qe: qe.clone(),
    };
    verdict.push(Check::noted(rules::TCB_STATUS, tcb.status.as_str()));
    verdict.push(Check::noted(rules::TCB_DATE, tcb.tcb_date));
    verdict.push(Check::noted(rules::TCB_ADVISORIES, tcb.advisory_ids.as_slice()));
    verdict.push(Check::noted(rules::TCB_EVALUATION_DATA_NUMBER, tcb.evaluation_data_number));
    Ok(tcb)
}

fn check_tee(endorsements: &Endorsements, verdict: &mut Verdict) -> Result<(), VerifyError> {
    let found = endorsements.id().tee;
    if found != Tee::Sgx {
        return Err(VerifyError::Tee { expected: Tee::Sgx, found });
    }
    verdict.push(Check::passed(rules::TCB_INFO_TEE, "SGX", found.as_str()));
    Ok(())
}

fn check_revocation(
    pck: &VerifiedPck,
    endorsements: &Endorsements,
    verdict: &mut Verdict,
) -> Result<(), VerifyError> {
    if endorsements.pck_issuer() != pck.issuer() {
        return Err(VerifyError::PckCrlIssuer);
    }
    verdict.push(Check::passed(
        rules::PCK_CRL_ISSUER,
        "the PCK certificate's issuer",
        pck.endorsements_id().ca.as_str(),
    ));
    for (role, serial) in pck.ca_serials() {
        if endorsements.revokes_ca(serial) {
            return Err(VerifyError::PckCaRevoked { role: *role, serial: serial.clone() });
        }
    }
    verdict.push(Check::passed(rules::PCK_CA_REVOCATION, "not listed", "not listed"));
    if endorsements.revokes_pck(pck.leaf_serial()) {
        return Err(VerifyError::PckRevoked { serial: pck.leaf_serial().to_vec() });
    }
    verdict.push(Check::passed(rules::PCK_REVOCATION, "not listed", "not listed"));
    Ok(())
}

fn check_platform(
    pck: &VerifiedPck,
    endorsements: &Endorsements,
    verdict: &mut Verdict,
) -> Result<(), VerifyError> {
    let (extension, tcb_info) = (pck.extension(), endorsements.tcb_info());
    if extension.fmspc != tcb_info.fmspc {
        return Err(VerifyError::Fmspc { pck: extension.fmspc, tcb_info: tcb_info.fmspc });
    }
    verdict.push(Check::passed(rules::TCB_INFO_FMSPC, &extension.fmspc, &tcb_info.fmspc));
    if extension.pce_id != tcb_info.pce_id {
        return Err(VerifyError::PceId { pck: extension.pce_id, tcb_info: tcb_info.pce_id });
    }
    verdict.push(Check::passed(rules::TCB_INFO_PCEID, &extension.pce_id, &tcb_info.pce_id));
    Ok(())
}

/// The level that matched, unless it is revoked: that one is never acceptable, so it is no fact to weigh.
fn accept_level<'a>(
    level: Option<&'a TcbComponent>,
    component: &'static str,
) -> Result<&'a TcbComponent, VerifyError> {
    match level {
        None => Err(VerifyError::TcbNotSupported { component }),
        Some(level) if level.status == TcbStatus::Revoked => Err(VerifyError::TcbRevoked { component }),
        Some(level) => Ok(level),
    }
}

/// Room for all checks, so that the verdict is allocated once.
const MOST_CHECKS: usize = 44;
