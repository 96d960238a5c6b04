//! SGX evidence as the Open Enclave SDK wraps it (openenclave `internal/report.h`,
//! `attestation/sgx/evidence.h`): the older report with a 16-byte header, and the newer evidence whose
//! header names a format. Inside is an SGX quote, which is verified as any other.

use crate::error::ParseError;
use crate::read::Reader;
use crate::sgx::Quote;

/// What the wrapper says of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// A report: header of 16 bytes, then the quote.
    Report,
    /// Evidence of format `c8303454-d923-4c2c-a691-df7def460a76`: a report inside the newer header.
    LegacyReport,
    /// Evidence of format `1923d91e-12d2-4c72-b220-25cd8dace871`: the quote alone.
    RawQuote,
    /// Evidence of format `a3a21e87-1b4d-4014-b70a-a125d2fbcd8c`: the quote, then custom claims whose
    /// SHA-256 is the report data.
    SgxEcdsa,
}

/// Parsed Open Enclave evidence. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<'a> {
    format: Format,
    quote: Quote<'a>,
}

impl<'a> Report<'a> {
    /// Parses a remote report or evidence.
    ///
    /// # Errors
    /// [`ParseError`], also for local reports and unknown formats.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Reader::all(bytes, "Open Enclave evidence", |r| {
            let (format, quote) = match r.u32_le("version")? {
                REPORT_VERSION => (Format::Report, report(r)?),
                EVIDENCE_VERSION => evidence(r)?,
                found => {
                    let structure = "Open Enclave evidence";
                    return Err(ParseError::UnsupportedVersion { structure, found, supported: "1 or 3" });
                }
            };
            Ok(Self { format, quote: Quote::parse(quote)?.wrapped(bytes) })
        })
    }

    /// What the wrapper says of its content.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The quote inside; it keeps the wrapped evidence, whose digest its verified report has.
    #[must_use]
    pub fn quote(&self) -> &Quote<'a> {
        &self.quote
    }

    /// As [`Self::quote`], giving up the wrapper.
    #[must_use]
    pub fn into_quote(self) -> Quote<'a> {
        self.quote
    }
}

/// The rest of an `oe_report_header_t`, after its version: type, size, report.
fn report<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], ParseError> {
    match r.u32_le("report_type")? {
        REMOTE => {}
        found => return Err(ParseError::LocalReport { found }),
    }
    let size = r.u64_le("report_size")?;
    Ok(r.take("report", usize::try_from(size).unwrap_or(usize::MAX))?)
}

/// The rest of an `oe_attestation_header_t`, after its version: format id, size, data.
fn evidence<'a>(r: &mut Reader<'a>) -> Result<(Format, &'a [u8]), ParseError> {
    let format: &[u8; 16] = r.array("format_id")?;
    let size = r.u64_le("data_size")?;
    let data = r.take("data", usize::try_from(size).unwrap_or(usize::MAX))?;
    match *format {
        LEGACY_REPORT => {
            let quote = Reader::all(data, "Open Enclave report", |r| match r.u32_le("version")? {
                REPORT_VERSION => report(r),
                found => {
                    let structure = "Open Enclave report";
                    Err(ParseError::UnsupportedVersion { structure, found, supported: "1" })
                }
            })?;
            Ok((Format::LegacyReport, quote))
        }
        RAW_QUOTE => Ok((Format::RawQuote, data)),
        SGX_ECDSA => Ok((Format::SgxEcdsa, data)),
        found => Err(ParseError::UnknownFormat { found }),
    }
}

/// `OE_REPORT_HEADER_VERSION`.
const REPORT_VERSION: u32 = 1;
/// `OE_ATTESTATION_HEADER_VERSION`.
const EVIDENCE_VERSION: u32 = 3;
/// `OE_REPORT_TYPE_SGX_REMOTE`.
const REMOTE: u32 = 2;
/// `OE_FORMAT_UUID_LEGACY_REPORT_REMOTE`.
const LEGACY_REPORT: [u8; 16] =
    [0xc8, 0x30, 0x34, 0x54, 0xd9, 0x23, 0x4c, 0x2c, 0xa6, 0x91, 0xdf, 0x7d, 0xef, 0x46, 0x0a, 0x76];
/// `OE_FORMAT_UUID_RAW_SGX_QUOTE_ECDSA`.
const RAW_QUOTE: [u8; 16] =
    [0x19, 0x23, 0xd9, 0x1e, 0x12, 0xd2, 0x4c, 0x72, 0xb2, 0x20, 0x25, 0xcd, 0x8d, 0xac, 0xe8, 0x71];
/// `OE_FORMAT_UUID_SGX_ECDSA`.
const SGX_ECDSA: [u8; 16] =
    [0xa3, 0xa2, 0x1e, 0x87, 0x1b, 0x4d, 0x40, 0x14, 0xb7, 0x0a, 0xa1, 0x25, 0xd2, 0xfb, 0xcd, 0x8c];
