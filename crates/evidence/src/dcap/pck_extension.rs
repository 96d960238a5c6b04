//! What a PCK certificate says of its platform: extension 1.2.840.113741.1.13.1 ("Intel SGX PCK
//! Certificate and CRL Profile Specification" 1.3.5), a SEQUENCE of (OID, value) pairs.

use der::asn1::{AnyRef, OctetStringRef};
use der::oid::ObjectIdentifier;
use der::{Decode, Reader as _, SliceReader, Tag, Tagged};

/// How a platform's memory is protected ("Intel SGX PCK Certificate and CRL Profile" 1.3.5, SGX Type).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SgxType {
    /// Client and small server processors: encryption with integrity tree.
    Standard,
    /// Scalable servers: encryption without integrity.
    Scalable,
    /// Scalable servers with integrity.
    ScalableWithIntegrity,
}

impl SgxType {
    /// `Standard`, `Scalable` or `Scalable with Integrity`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "Standard",
            Self::Scalable => "Scalable",
            Self::ScalableWithIntegrity => "Scalable with Integrity",
        }
    }
}

/// Why the SGX extension of a PCK certificate is not as specified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PckExtensionError {
    /// A field is there twice.
    #[error("{field} stands twice")]
    Duplicate {
        /// The field.
        field: &'static str,
    },
    /// A field has another type, length or range.
    #[error("{field} is not as specified")]
    Malformed {
        /// The field.
        field: &'static str,
    },
    /// A field is missing.
    #[error("{field} is missing")]
    Missing {
        /// The field.
        field: &'static str,
    },
}

/// What a PCK certificate says of its platform: extension 1.2.840.113741.1.13.1 ("Intel SGX PCK
/// Certificate and CRL Profile Specification" 1.3.5).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PckExtension {
    /// Provisioning id of the platform.
    pub ppid: [u8; 16],
    /// Security versions of the sixteen TCB components.
    pub components: [u8; 16],
    /// Security version of the provisioning certification enclave.
    pub pce_svn: u16,
    /// The raw CPU security version.
    pub cpu_svn: [u8; 16],
    /// Id of the provisioning certification enclave, in memory order.
    pub pce_id: [u8; 2],
    /// Platform family, in memory order.
    pub fmspc: [u8; 6],
    /// How memory is protected.
    pub sgx_type: SgxType,
    /// Id of the platform instance (Platform CA only).
    pub platform_instance_id: Option<[u8; 16]>,
    /// Whether packages can be added to the platform (Platform CA only).
    pub dynamic_platform: Option<bool>,
    /// Whether Intel keeps the platform's root keys (Platform CA only).
    pub cached_keys: Option<bool>,
    /// Whether simultaneous multithreading is on (Platform CA only).
    pub smt_enabled: Option<bool>,
}

impl PckExtension {
    pub(super) fn parse(der: &[u8]) -> Result<Self, PckExtensionError> {
        let fields = Fields::parse(der, "SGX extension")?;
        let tcb = Fields::of(fields.require(2, "TCB")?, "TCB")?;
        let mut components = [0; 16];
        for (suffix, component) in (1..).zip(&mut components) {
            *component = integer(tcb.require(suffix, "TCB component")?, "TCB component")?;
        }
        let configuration = match fields.find(7) {
            Some(value) => Some(Fields::of(value, "configuration")?),
            None => None,
        };
        let flag = |suffix, field| {
            let value = configuration.as_ref().and_then(|flags| flags.find(suffix));
            value
                .map(|value| value.decode_as().map_err(|_| PckExtensionError::Malformed { field }))
                .transpose()
        };
        Ok(Self {
            ppid: octets(fields.require(1, "PPID")?, "PPID")?,
            components,
            pce_svn: integer(tcb.require(17, "PCESVN")?, "PCESVN")?,
            cpu_svn: octets(tcb.require(18, "CPUSVN")?, "CPUSVN")?,
            pce_id: octets(fields.require(3, "PCEID")?, "PCEID")?,
            fmspc: octets(fields.require(4, "FMSPC")?, "FMSPC")?,
            sgx_type: sgx_type(fields.require(5, "SGX type")?)?,
            platform_instance_id: fields
                .find(6)
                .map(|value| octets(value, "platform instance id"))
                .transpose()?,
            dynamic_platform: flag(1, "dynamic platform")?,
            cached_keys: flag(2, "cached keys")?,
            smt_enabled: flag(3, "SMT enabled")?,
        })
    }
}

/// A SEQUENCE of (OID, value) pairs; fields are known by the last arc of their OID.
struct Fields<'a> {
    fields: Vec<(u32, AnyRef<'a>)>,
}

impl<'a> Fields<'a> {
    fn parse(der: &'a [u8], field: &'static str) -> Result<Self, PckExtensionError> {
        Self::of(AnyRef::from_der(der).map_err(|_| PckExtensionError::Malformed { field })?, field)
    }

    fn of(value: AnyRef<'a>, field: &'static str) -> Result<Self, PckExtensionError> {
        let malformed = PckExtensionError::Malformed { field };
        if value.tag() != Tag::Sequence {
            return Err(malformed);
        }
        let mut reader = SliceReader::new(value.value()).map_err(|_| malformed)?;
        let mut fields: Vec<(u32, AnyRef<'a>)> = Vec::new();
        while !reader.is_finished() {
            let (oid, value): (ObjectIdentifier, AnyRef<'a>) = reader
                .sequence(|pair| Ok::<_, der::Error>((pair.decode()?, pair.decode()?)))
                .map_err(|_| malformed)?;
            let suffix = oid.arcs().last().ok_or(malformed)?;
            if fields.iter().any(|(other, _)| *other == suffix) {
                return Err(PckExtensionError::Duplicate { field });
            }
            if fields.len() == MAX_FIELDS {
                return Err(malformed);
            }
            fields.push((suffix, value));
        }
        Ok(Self { fields })
    }

    fn find(&self, suffix: u32) -> Option<AnyRef<'a>> {
        self.fields.iter().find(|(found, _)| *found == suffix).map(|(_, value)| *value)
    }

    fn require(&self, suffix: u32, field: &'static str) -> Result<AnyRef<'a>, PckExtensionError> {
        self.find(suffix).ok_or(PckExtensionError::Missing { field })
    }
}

fn octets<const N: usize>(value: AnyRef<'_>, field: &'static str) -> Result<[u8; N], PckExtensionError> {
    let malformed = PckExtensionError::Malformed { field };
    let octets: &OctetStringRef = value.decode_as().map_err(|_| malformed)?;
    octets.as_bytes().try_into().map_err(|_| malformed)
}

fn integer<'a, T: der::DecodeValue<'a, Error = der::Error> + der::FixedTag + 'a>(
    value: AnyRef<'a>,
    field: &'static str,
) -> Result<T, PckExtensionError> {
    value.decode_as().map_err(|_| PckExtensionError::Malformed { field })
}

fn sgx_type(value: AnyRef<'_>) -> Result<SgxType, PckExtensionError> {
    match (value.tag(), value.value()) {
        (Tag::Enumerated, [0]) => Ok(SgxType::Standard),
        (Tag::Enumerated, [1]) => Ok(SgxType::Scalable),
        (Tag::Enumerated, [2]) => Ok(SgxType::ScalableWithIntegrity),
        _ => Err(PckExtensionError::Malformed { field: "SGX type" }),
    }
}

/// The TCB has 18 fields, the most of all.
const MAX_FIELDS: usize = 32;
