//! The quote structure (QuoteLib Reference A.4, version 3): parsing, and the fields for people to read.

use super::certification::authentication_data;
use super::{CertificationData, ReportBody};
use crate::dcap::{CertificateSummary, PckChain, Tee};
use crate::error::{ParseError, VerifyError};
use crate::read::Reader;
use crate::verdict::{Check, Rejection, Verdict, rules};

/// A parsed quote. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote<'a> {
    /// The evidence as it was sent, with any wrapping and padding.
    pub(super) submitted: &'a [u8],
    /// Header and report body: what the attestation key signed.
    pub(super) signed: &'a [u8],
    pub(super) header: Header,
    pub(super) body: ReportBody,
    pub(super) signature: &'a [u8; 64],
    pub(super) attestation_key: &'a [u8; 64],
    pub(super) qe_report_bytes: &'a [u8; ReportBody::SIZE],
    pub(super) qe_report: ReportBody,
    pub(super) qe_report_signature: &'a [u8; 64],
    pub(super) qe_authentication_data: &'a [u8],
    pub(super) certification: CertificationData<'a>,
    pub(super) custom_claims: Option<&'a [u8]>,
    padding: usize,
}

/// The quote header, 48 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// Security version of the quoting enclave. The QE report has the one that counts.
    pub qe_svn: u16,
    /// Security version of the provisioning certification enclave. The PCK certificate has the one that counts.
    pub pce_svn: u16,
    /// Vendor of the quoting enclave: Intel's, by parsing.
    pub qe_vendor_id: [u8; 16],
    /// User data; the first 16 bytes are the id of the quoting enclave's platform key.
    pub user_data: [u8; 20],
}

impl<'a> Quote<'a> {
    /// Parses a quote. Quotes are often sent in larger buffers: zero bytes after the authentication data
    /// are passed over. Anything else there must be Open Enclave custom claims whose SHA-256 is the
    /// report data.
    ///
    /// # Errors
    /// [`ParseError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if bytes.len() > MAX_QUOTE_BYTES {
            return Err(ParseError::TooLong { length: bytes.len(), limit: MAX_QUOTE_BYTES });
        }
        let (quote, rest) = Reader::prefix(bytes, "quote", |r| Self::read(bytes, r))?;
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(Self { padding: rest.len(), ..quote });
        }
        let (digest, zeros) = quote.body.report_data.split_at(32);
        if crypto::sha256(rest) == digest && zeros.iter().all(|byte| *byte == 0) {
            return Ok(Self { custom_claims: Some(rest), ..quote });
        }
        Err(ParseError::TrailingBytes { offset: bytes.len() - rest.len(), length: rest.len() })
    }

    fn read(bytes: &'a [u8], r: &mut Reader<'a>) -> Result<Self, ParseError> {
        let signed = r.take("header and report body", SIGNED_BYTES)?;
        let (header, body) =
            Reader::all(signed, "quote", |r| Ok::<_, ParseError>((Header::read(r)?, ReportBody::read(r)?)))?;
        let length = r.u32_le("authentication data size")?;
        let authentication = r.take_u32("authentication data", length)?;
        let quote = Reader::all(authentication, "authentication data", |r| {
            let (signature, attestation_key) = (r.array("signature")?, r.array("attestation_key")?);
            let qe_report_bytes: &[u8; ReportBody::SIZE] = r.array("qe_report")?;
            Ok::<_, ParseError>(Self {
                submitted: bytes,
                signed,
                header,
                body,
                signature,
                attestation_key,
                qe_report_bytes,
                qe_report: Reader::all(qe_report_bytes, "QE report", ReportBody::read)?,
                qe_report_signature: r.array("qe_report_signature")?,
                qe_authentication_data: authentication_data(r)?,
                certification: CertificationData::read(r)?,
                custom_claims: None,
                padding: 0,
            })
        })?;
        // A version 3 quote has its QE report outside; one inside the certification data must be the same.
        if let CertificationData::QeReport(inner) = &quote.certification
            && (inner.qe_report != quote.qe_report_bytes
                || inner.signature != quote.qe_report_signature
                || inner.authentication_data != quote.qe_authentication_data)
        {
            return Err(ParseError::WrappedQeReport);
        }
        Ok(quote)
    }

    /// The same quote, sent inside `submitted`.
    pub(crate) fn wrapped(self, submitted: &'a [u8]) -> Self {
        Self { submitted, ..self }
    }

    /// The evidence as it was sent, with any wrapping and padding.
    #[must_use]
    pub fn submitted(&self) -> &'a [u8] {
        self.submitted
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The enclave's report, **unverified**.
    #[must_use]
    pub fn body(&self) -> &ReportBody {
        &self.body
    }

    /// The quoting enclave's report, **unverified**.
    #[must_use]
    pub fn qe_report(&self) -> &ReportBody {
        &self.qe_report
    }

    /// The QE authentication data.
    #[must_use]
    pub fn qe_authentication_data(&self) -> &'a [u8] {
        self.qe_authentication_data
    }

    /// The attestation key: x ‖ y, big-endian.
    #[must_use]
    pub fn attestation_key(&self) -> &'a [u8; 64] {
        self.attestation_key
    }

    /// The signature by the attestation key: r ‖ s, big-endian.
    #[must_use]
    pub fn signature(&self) -> &'a [u8; 64] {
        self.signature
    }

    /// The certification data, **unverified**.
    #[must_use]
    pub fn certification(&self) -> &CertificationData<'a> {
        &self.certification
    }

    /// Open Enclave custom claims after the quote; the report data are their digest.
    #[must_use]
    pub fn custom_claims(&self) -> Option<&'a [u8]> {
        self.custom_claims
    }

    /// How many zero bytes follow the quote.
    #[must_use]
    pub fn padding_bytes(&self) -> usize {
        self.padding
    }

    /// What [`PckChain::cache_key`] would be, without parsing the chain.
    ///
    /// # Errors
    /// As [`Self::pck_chain`], for certification data without a chain.
    pub fn pck_cache_key(&self) -> Result<[u8; 32], Rejection<VerifyError>> {
        self.pck_chain_pem()
            .map(crypto::sha256)
            .map_err(|error| Rejection::new(error, self.structure_verdict()))
    }

    /// The PCK chain, parsed and unverified: from certification data of type 5, alone or inside type 6.
    ///
    /// # Errors
    /// [`VerifyError::CertificationType`] names the type of other certification data;
    /// [`VerifyError::PckChain`] and [`VerifyError::PckExtension`] say what is wrong with a chain.
    pub fn pck_chain(&self) -> Result<PckChain<'a>, Rejection<VerifyError>> {
        let mut verdict = self.structure_verdict();
        match self.pck_chain_pem() {
            Ok(pem) => {
                verdict.push(Check::passed(rules::CERTIFICATION_TYPE, 5_u16, 5_u16));
                PckChain::parse(pem, Tee::Sgx, verdict)
            }
            Err(error) => Err(Rejection::new(error, verdict)),
        }
    }

    /// The certificates of the certification data for people to read, **unverified** and in whatever
    /// order; none if there is no chain. [`Self::pck_chain`] is the way to verify them.
    #[must_use]
    pub fn unverified_certificates(&self) -> Vec<CertificateSummary> {
        self.pck_chain_pem().map(CertificateSummary::list).unwrap_or_default()
    }

    pub(super) fn pck_chain_pem(&self) -> Result<&'a [u8], VerifyError> {
        let data = match &self.certification {
            CertificationData::QeReport(certification) => &certification.inner,
            data => data,
        };
        match data {
            CertificationData::PckChain(pem) => Ok(pem),
            data => Err(VerifyError::CertificationType { found: data.type_number(), name: data.name() }),
        }
    }

    fn structure_verdict(&self) -> Verdict {
        let mut verdict = Verdict::new();
        verdict.push(Check::passed(
            rules::QUOTE_STRUCTURE,
            "an ECDSA quote version 3",
            "an ECDSA quote version 3",
        ));
        verdict
    }
}

impl Header {
    fn read(r: &mut Reader<'_>) -> Result<Self, ParseError> {
        match r.u16_le("version")? {
            3 => {}
            found => {
                let (structure, found) = ("quote", found.into());
                return Err(ParseError::UnsupportedVersion { structure, found, supported: "3" });
            }
        }
        match r.u16_le("attestation_key_type")? {
            ECDSA_P256 => {}
            found => return Err(ParseError::UnsupportedAttestationKey { found }),
        }
        match r.u32_le("tee_type")? {
            0 => {}
            found => return Err(ParseError::UnsupportedTee { found }),
        }
        let (qe_svn, pce_svn) = (r.u16_le("qe_svn")?, r.u16_le("pce_svn")?);
        let qe_vendor_id = *r.array("qe_vendor_id")?;
        if qe_vendor_id != INTEL_QE_VENDOR_ID {
            return Err(ParseError::UnknownQeVendor { found: qe_vendor_id });
        }
        Ok(Self { qe_svn, pce_svn, qe_vendor_id, user_data: *r.array("user_data")? })
    }
}

/// Header (48 bytes) and report body.
const SIGNED_BYTES: usize = 48 + ReportBody::SIZE;
/// Quotes are below 6 KB, the buffers they come in 8000 bytes; the rest is room for custom claims.
const MAX_QUOTE_BYTES: usize = 64 * 1024;
/// Attestation key type: ECDSA-256-with-P-256 curve.
const ECDSA_P256: u16 = 2;
/// Intel as vendor of the quoting enclave.
const INTEL_QE_VENDOR_ID: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
