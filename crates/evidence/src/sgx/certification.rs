//! QE certification data (QuoteLib Reference A.4): what a quote says of its platform, types 1 to 7.

use super::ReportBody;
use crate::error::ParseError;
use crate::read::{ReadError, Reader};

/// Certification data, parsed and unverified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificationData<'a> {
    /// Type 1: the platform's PPID in plain text, with its TCB.
    PpidPlain(PlatformId<'a>),
    /// Type 2: PPID encrypted with RSA-2048-OAEP, with the platform's TCB.
    PpidRsa2048(PlatformId<'a>),
    /// Type 3: PPID encrypted with RSA-3072-OAEP, with the platform's TCB.
    PpidRsa3072(PlatformId<'a>),
    /// Type 4: the PCK leaf certificate alone.
    PckLeaf(&'a [u8]),
    /// Type 5: the PCK certificate chain in PEM: leaf, intermediate, root.
    PckChain(&'a [u8]),
    /// Type 6: a QE report with certification data of its own.
    QeReport(QeReportCertification<'a>),
    /// Type 7: the platform manifest.
    PlatformManifest(&'a [u8]),
}

/// The platform that a PCK certificate has to be fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlatformId<'a> {
    /// The provisioning id, plain (16 bytes) or encrypted (256 or 384 bytes).
    pub ppid: &'a [u8],
    /// CPUSVN.
    pub cpu_svn: &'a [u8; 16],
    /// PCESVN.
    pub pce_svn: u16,
    /// PCEID, in memory order. Intel's own sample quotes are without it.
    pub pce_id: Option<&'a [u8; 2]>,
}

/// A QE report and what certifies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QeReportCertification<'a> {
    /// The QE report, 384 bytes.
    pub qe_report: &'a [u8; ReportBody::SIZE],
    /// Its signature by the PCK key: raw r ‖ s, big-endian.
    pub signature: &'a [u8; 64],
    /// The QE authentication data.
    pub authentication_data: &'a [u8],
    /// Certification data of type 1 to 5.
    pub inner: Box<CertificationData<'a>>,
}

impl<'a> CertificationData<'a> {
    /// Reads type, size and data.
    pub(crate) fn read(r: &mut Reader<'a>) -> Result<Self, ParseError> {
        let (found, data) = (r.u16_le("certification data type")?, sized(r)?);
        match found {
            6 => Reader::all(data, "QE report certification data", |r| {
                Ok(Self::QeReport(QeReportCertification {
                    qe_report: r.array("qe_report")?,
                    signature: r.array("qe_report_signature")?,
                    authentication_data: authentication_data(r)?,
                    inner: {
                        // Wrapping once more is not defined, so 6 is unknown here.
                        let (found, data) = (r.u16_le("certification data type")?, sized(r)?);
                        Box::new(Self::of_type(found, data)?)
                    },
                }))
            }),
            7 => Ok(Self::PlatformManifest(data)),
            found => Self::of_type(found, data),
        }
    }

    fn of_type(found: u16, data: &'a [u8]) -> Result<Self, ParseError> {
        match found {
            1 => Ok(Self::PpidPlain(platform_id(data, 16)?)),
            2 => Ok(Self::PpidRsa2048(platform_id(data, 256)?)),
            3 => Ok(Self::PpidRsa3072(platform_id(data, 384)?)),
            4 => Ok(Self::PckLeaf(data)),
            5 => Ok(Self::PckChain(data)),
            found => Err(ParseError::UnknownCertificationType { found }),
        }
    }

    /// The type's number.
    #[must_use]
    pub fn type_number(&self) -> u16 {
        match self {
            Self::PpidPlain(_) => 1,
            Self::PpidRsa2048(_) => 2,
            Self::PpidRsa3072(_) => 3,
            Self::PckLeaf(_) => 4,
            Self::PckChain(_) => 5,
            Self::QeReport(_) => 6,
            Self::PlatformManifest(_) => 7,
        }
    }

    /// What the type holds, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PpidPlain(_) => "PPID in plain text",
            Self::PpidRsa2048(_) => "PPID encrypted with RSA-2048",
            Self::PpidRsa3072(_) => "PPID encrypted with RSA-3072",
            Self::PckLeaf(_) => "PCK leaf certificate",
            Self::PckChain(_) => "PCK certificate chain",
            Self::QeReport(_) => "QE report certification data",
            Self::PlatformManifest(_) => "platform manifest",
        }
    }
}

/// A 32-bit length and as many bytes.
fn sized<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], ReadError> {
    let length = r.u32_le("certification data size")?;
    r.take_u32("certification data", length)
}

/// A 16-bit length and as many bytes of QE authentication data.
pub(crate) fn authentication_data<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], ReadError> {
    let length = r.u16_le("qe_authentication_data size")?;
    r.take("qe_authentication_data", length.into())
}

fn platform_id(data: &[u8], ppid_length: usize) -> Result<PlatformId<'_>, ReadError> {
    Reader::all(data, "platform id", |r| {
        Ok(PlatformId {
            ppid: r.take("ppid", ppid_length)?,
            cpu_svn: r.array("cpu_svn")?,
            pce_svn: r.u16_le("pce_svn")?,
            pce_id: if data.len() == ppid_length + TCB_WITHOUT_PCE_ID {
                None
            } else {
                Some(r.array("pce_id")?)
            },
        })
    })
}

/// CPUSVN and PCESVN.
const TCB_WITHOUT_PCE_ID: usize = 18;
