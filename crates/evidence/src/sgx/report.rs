//! What is left of a quote once it is verified, and once it is bound to the data sent with it.

use crypto::sha256;

use super::{Quote, ReportBody, VerifiedPck};
use crate::dcap::{CollateralDigests, Endorsements, PckExtension, TcbVerdict};
use crate::error::BindingError;
use crate::verdict::{Check, Rejection, Verdict, rules};

/// A genuine SGX report: made by Intel's quoting enclave on a platform of known TCB.
///
/// Only [`Quote::verify`] makes one; this does not compile:
///
/// ```compile_fail,E0451
/// fn forged(rest: evidence::sgx::VerifiedReport, body: evidence::sgx::ReportBody) {
///     let _ = evidence::sgx::VerifiedReport { body, ..rest };
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedReport {
    body: ReportBody,
    tcb: TcbVerdict,
    verdict: Verdict,
    pck: PckExtension,
    digests: CollateralDigests,
    evidence_sha256: [u8; 32],
    custom_claims: Option<Box<[u8]>>,
}

impl VerifiedReport {
    pub(super) fn new(
        quote: &Quote<'_>,
        pck: &VerifiedPck,
        endorsements: &Endorsements,
        tcb: TcbVerdict,
        verdict: Verdict,
    ) -> Self {
        Self {
            body: quote.body,
            tcb,
            verdict,
            pck: pck.extension().clone(),
            digests: *endorsements.digests(),
            evidence_sha256: sha256(quote.submitted),
            custom_claims: quote.custom_claims.map(Into::into),
        }
    }

    /// The enclave's report.
    #[must_use]
    pub fn body(&self) -> &ReportBody {
        &self.body
    }

    /// What Intel says of the platform.
    #[must_use]
    pub fn tcb(&self) -> &TcbVerdict {
        &self.tcb
    }

    /// The checks made, all passed or noted.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// What the PCK certificate says of the platform.
    #[must_use]
    pub fn pck_extension(&self) -> &PckExtension {
        &self.pck
    }

    /// The digests of the endorsements used.
    #[must_use]
    pub fn collateral_digests(&self) -> &CollateralDigests {
        &self.digests
    }

    /// SHA-256 of the evidence as it was sent, with any wrapping and padding (`quotehash`).
    #[must_use]
    pub fn evidence_sha256(&self) -> &[u8; 32] {
        &self.evidence_sha256
    }

    /// Open Enclave custom claims, whose digest is the report data.
    #[must_use]
    pub fn custom_claims(&self) -> Option<&[u8]> {
        self.custom_claims.as_deref()
    }

    /// Binds the report to the data sent with it (Azure Attestation REST API, `runtimeData` and
    /// `initTimeData`), over the bytes exactly as decoded:
    /// 1. SHA-256 of the runtime data is the first half of REPORTDATA,
    /// 2. SHA-256 of the init-time data is the first half of CONFIGID.
    ///
    /// The other halves are the enclave's own. Without data there is nothing to check, and neither field
    /// gets a meaning.
    ///
    /// # Errors
    /// [`BindingError`], with all checks made up to then.
    pub fn bind(
        self,
        runtime_data: Option<&[u8]>,
        init_time_data: Option<&[u8]>,
    ) -> Result<BoundReport, Rejection<BindingError>> {
        let mut report = self;
        if let Some(data) = runtime_data {
            let (expected, found) = (sha256(data), first_half(&report.body.report_data));
            if expected != found {
                return Err(Rejection::new(BindingError::RuntimeData { expected, found }, report.verdict));
            }
            report.verdict.push(Check::passed(rules::RUNTIME_DATA_BINDING, &expected, &found));
        }
        if let Some(data) = init_time_data {
            let (expected, found) = (sha256(data), first_half(&report.body.config_id));
            if expected != found {
                return Err(Rejection::new(BindingError::InitTimeData { expected, found }, report.verdict));
            }
            report.verdict.push(Check::passed(rules::INIT_TIME_DATA_BINDING, &expected, &found));
        }
        Ok(BoundReport {
            report,
            runtime_data: runtime_data.map(Into::into),
            init_time_data: init_time_data.map(Into::into),
        })
    }
}

/// The first 32 of 64 bytes.
pub(super) fn first_half(bytes: &[u8; 64]) -> [u8; 32] {
    let mut half = [0; 32];
    for (to, from) in half.iter_mut().zip(bytes) {
        *to = *from;
    }
    half
}

/// A genuine SGX report whose binding to the data sent with it was checked.
///
/// Only [`VerifiedReport::bind`] makes one; this does not compile:
///
/// ```compile_fail,E0451
/// fn forged(report: evidence::sgx::VerifiedReport) -> evidence::sgx::BoundReport {
///     evidence::sgx::BoundReport { report, runtime_data: None, init_time_data: None }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundReport {
    report: VerifiedReport,
    runtime_data: Option<Box<[u8]>>,
    init_time_data: Option<Box<[u8]>>,
}

impl BoundReport {
    /// The genuine report; its verdict includes the checks of the binding.
    #[must_use]
    pub fn report(&self) -> &VerifiedReport {
        &self.report
    }

    /// The runtime data that were sent, and are those of the enclave.
    #[must_use]
    pub fn runtime_data(&self) -> Option<&[u8]> {
        self.runtime_data.as_deref()
    }

    /// The init-time data that were sent, and are those the enclave was started with.
    #[must_use]
    pub fn init_time_data(&self) -> Option<&[u8]> {
        self.init_time_data.as_deref()
    }
}

impl std::ops::Deref for BoundReport {
    type Target = VerifiedReport;

    fn deref(&self) -> &VerifiedReport {
        &self.report
    }
}
