//! Reports of enclaves of virtualisation-based security (Windows SDK, `ntenclv.h`:
//! `EnclaveGetAttestationReport`). Little-endian.
//!
//! The key that must have signed one is measured at boot ([`crate::eventlog::WindowsBoot`]). No captured
//! report was at hand when this was written: it follows the published structure, see
//! `docs/divergences.md`.

use crypto::{HashAlgorithm, PublicKey, SignatureScheme};

use super::error::ParseError;
use crate::eventlog::WindowsBoot;
use crate::read::Reader;
use crate::verdict::{Check, Explain, rules};

/// A parsed report; who signed it is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VbsReport<'a> {
    statement: &'a [u8],
    signature: &'a [u8],
    identity: EnclaveIdentity<'a>,
    enclave_data: &'a [u8; 64],
}

/// `ENCLAVE_IDENTITY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnclaveIdentity<'a> {
    /// Who owns it.
    pub owner_id: &'a [u8; 32],
    /// The digest of its image.
    pub unique_id: &'a [u8; 32],
    /// Who signed it.
    pub author_id: &'a [u8; 32],
    /// What family it belongs to.
    pub family_id: &'a [u8; 16],
    /// What image it is, whatever its version.
    pub image_id: &'a [u8; 16],
    /// Its security version.
    pub enclave_svn: u32,
    /// The secure kernel's.
    pub secure_kernel_svn: u32,
    /// The platform's.
    pub platform_svn: u32,
    /// 1 fully debuggable, 2 debuggable on demand, 4 being debugged.
    pub flags: u32,
    /// The level of its signature.
    pub signing_level: u32,
}

/// Why a report is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VbsError {
    /// The boot log has no key that signs reports.
    #[error("no identity key of virtualisation-based security was measured at boot")]
    NoKey,
    /// The key measured at boot did not sign the report.
    #[error("the enclave report is not signed by the identity key measured at boot")]
    Signature,
}

impl Explain for VbsError {
    fn check(&self) -> Check {
        Check::failed(rules::VBS_SIGNATURE, "signed by the key measured at boot", self.to_string())
    }
}

/// A report signed by the key that the quoted boot log measured.
///
/// Only [`VbsReport::verify`] makes one; this does not compile:
///
/// ```compile_fail,E0451
/// fn forged<'a>(report: evidence::tpm::VbsReport<'a>) -> evidence::tpm::VerifiedVbsReport<'a> {
///     evidence::tpm::VerifiedVbsReport { report }
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedVbsReport<'a> {
    report: VbsReport<'a>,
}

impl<'a> VbsReport<'a> {
    /// Parses a `VBS_ENCLAVE_REPORT_PKG_HEADER` with what follows it, all of the bytes.
    ///
    /// # Errors
    /// [`ParseError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let expect = |field, found: u32, expected: u32| {
            if found == expected { Ok(()) } else { Err(ParseError::InvalidValue { field, found }) }
        };
        let (statement, signature) = Reader::all(bytes, "VBS report package", |r| {
            let size = r.u32_le("PackageSize")?;
            if usize::try_from(size).ok() != Some(bytes.len()) {
                return Err(ParseError::InvalidValue { field: "PackageSize", found: size });
            }
            expect("Version", r.u32_le("Version")?, 1)?;
            expect("SignatureScheme", r.u32_le("SignatureScheme")?, RSASSA_PSS_SHA256)?;
            let (statement, signature) = (r.u32_le("SignedStatementSize")?, r.u32_le("SignatureSize")?);
            r.u32_le("Reserved")?;
            Ok((r.take_u32("SignedStatement", statement)?, r.take_u32("Signature", signature)?))
        })?;
        let ((enclave_data, identity), mut rest) = Reader::prefix(statement, "VBS report", |r| {
            let size = r.u32_le("ReportSize")?;
            if usize::try_from(size).ok() != Some(statement.len()) {
                return Err(ParseError::InvalidValue { field: "ReportSize", found: size });
            }
            expect("ReportVersion", r.u32_le("ReportVersion")?, 1)?;
            let enclave_data = r.array("EnclaveData")?;
            let identity = EnclaveIdentity::read(r)?;
            expect("EnclaveType", r.u32_le("EnclaveType")?, ENCLAVE_TYPE_VBS)?;
            Ok((enclave_data, identity))
        })?;
        // The modules in it are measured into the identity; their records only have to be whole.
        let mut records = 0;
        while !rest.is_empty() {
            if records == MAX_RECORDS {
                let found = records + 1;
                return Err(ParseError::TooMany {
                    what: "records in a VBS report",
                    found,
                    limit: MAX_RECORDS,
                });
            }
            records += 1;
            ((), rest) = Reader::prefix(rest, "VBS report record", |r| {
                let kind = r.u32_le("DataType")?;
                let size = r.u32_le("Size")?;
                let body = size.checked_sub(8);
                match (kind, body) {
                    (1.., Some(body)) => r.take_u32("record", body).map(|_| ()).map_err(Into::into),
                    _ => Err(ParseError::InvalidValue { field: "VBS report record", found: size }),
                }
            })?;
        }
        Ok(Self { statement, signature, identity, enclave_data })
    }

    /// Verifies the report: the identity key that the boot log measured signed exactly the statement, with
    /// RSASSA-PSS and SHA-256.
    ///
    /// # Errors
    /// [`VbsError`].
    pub fn verify(self, boot: Option<&WindowsBoot>) -> Result<VerifiedVbsReport<'a>, VbsError> {
        let key: &PublicKey = boot.and_then(|boot| boot.vsm_signing_key.as_ref()).ok_or(VbsError::NoKey)?;
        key.verify(SignatureScheme::RsaPss(HashAlgorithm::Sha256), self.statement, self.signature)
            .map_err(|_| VbsError::Signature)?;
        Ok(VerifiedVbsReport { report: self })
    }
}

impl<'a> EnclaveIdentity<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, ParseError> {
        Ok(Self {
            owner_id: r.array("OwnerId")?,
            unique_id: r.array("UniqueId")?,
            author_id: r.array("AuthorId")?,
            family_id: r.array("FamilyId")?,
            image_id: r.array("ImageId")?,
            enclave_svn: r.u32_le("EnclaveSvn")?,
            secure_kernel_svn: r.u32_le("SecureKernelSvn")?,
            platform_svn: r.u32_le("PlatformSvn")?,
            flags: r.u32_le("Flags")?,
            signing_level: r.u32_le("SigningLevel")?,
        })
    }
}

impl<'a> VerifiedVbsReport<'a> {
    /// Which enclave it is.
    #[must_use]
    pub const fn identity(&self) -> &EnclaveIdentity<'a> {
        &self.report.identity
    }

    /// What the enclave said: 64 bytes of its choice.
    #[must_use]
    pub const fn enclave_data(&self) -> &'a [u8; 64] {
        self.report.enclave_data
    }
}

const RSASSA_PSS_SHA256: u32 = 1;
const ENCLAVE_TYPE_VBS: u32 = 0x10;
/// A record for each module of the enclave.
const MAX_RECORDS: usize = 4096;
