//! The certificates: root, Platform or Processor CA, PCK leaf, TCB signing, with the extension set, key
//! usage and names of the real ones (Intel SGX PCK Certificate and CRL Specification).

use time::{Duration, OffsetDateTime};

use super::root_name;
use crate::asn1::{self, boolean, element, oid, sequence, small_integer};
use crate::key::Key;
use crate::x509::{self, Certificate, Extension, Name};

/// The two authorities that issue PCK certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ca {
    /// For multi-package platforms.
    Platform,
    /// For single-package platforms.
    Processor,
}

impl Ca {
    /// The `ca` parameter of the PCS.
    #[must_use]
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Processor => "processor",
        }
    }

    /// The certificate's name.
    #[must_use]
    pub fn name(self) -> Name {
        match self {
            Self::Platform => Name::intel("Intel SGX PCK Platform CA"),
            Self::Processor => Name::intel("Intel SGX PCK Processor CA"),
        }
    }
}

/// The four certificates of a world.
#[derive(Debug, Clone)]
pub struct Chain {
    /// `Intel SGX Root CA`.
    pub root: Certificate,
    /// The Platform or Processor CA.
    pub intermediate: Certificate,
    /// The PCK certificate, without its SGX extension (see [`SgxExtension`]).
    pub leaf: Certificate,
    /// `Intel SGX TCB Signing`.
    pub tcb_signing: Certificate,
}

const ROOT_CRL: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";
const DAY: Duration = Duration::DAY;

impl Chain {
    pub(super) fn new(ca: Ca, now: OffsetDateTime) -> Self {
        let root_key = Key::generate();
        let ca_key = Key::generate();
        let root =
            issue(root_name(), &root_key, root_name(), &root_key, (now - 2500 * DAY, now + 8500 * DAY))
                .authority(1);
        let intermediate =
            issue(root_name(), &root_key, ca.name(), &ca_key, (now - 2500 * DAY, now + 2900 * DAY))
                .authority(0);
        let pck_crl = format!(
            "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca={}&encoding=der",
            ca.parameter()
        );
        let mut leaf = issue(
            ca.name(),
            &ca_key,
            Name::intel("Intel SGX PCK Certificate"),
            &Key::generate(),
            (now - 400 * DAY, now + 2100 * DAY),
        )
        .end_entity();
        x509::put(&mut leaf.extensions, Extension::crl_point(&pck_crl));
        let tcb_signing = issue(
            root_name(),
            &root_key,
            Name::intel("Intel SGX TCB Signing"),
            &Key::generate(),
            (now - 200 * DAY, now + 2300 * DAY),
        )
        .end_entity();
        Self { root, intermediate, leaf, tcb_signing }
    }
}

fn issue(
    issuer: Name,
    signer: &Key,
    subject: Name,
    key: &Key,
    (not_before, not_after): (OffsetDateTime, OffsetDateTime),
) -> Certificate {
    Certificate {
        version: 2,
        serial: key.id().to_vec(),
        algorithm: x509::ecdsa_with_sha256(),
        issuer,
        not_before,
        not_after,
        subject,
        key: key.clone(),
        signer: signer.clone(),
        extensions: vec![
            Extension::authority_key_id(&signer.id()),
            Extension::crl_point(ROOT_CRL),
            Extension::subject_key_id(&key.id()),
        ],
    }
}

impl Certificate {
    fn authority(mut self, path_length: u64) -> Self {
        self.extensions.push(Extension::key_usage(x509::SIGNS_CERTIFICATES));
        self.extensions.push(Extension::basic_constraints(Some(path_length)));
        self
    }

    fn end_entity(mut self) -> Self {
        self.extensions.push(Extension::key_usage(x509::SIGNS_DATA));
        self.extensions.push(Extension::basic_constraints(None));
        self
    }
}

/// What the PCK certificate says of the platform (1.2.840.113741.1.13.1 and the identifiers below it).
#[derive(Debug, Clone)]
pub struct SgxExtension {
    /// .1 platform provisioning id.
    pub ppid: [u8; 16],
    /// .2.1 to .2.16 component security versions.
    pub components: [u8; 16],
    /// .2.17 security version of the provisioning certification enclave.
    pub pcesvn: u16,
    /// .2.18 CPU security version.
    pub cpusvn: [u8; 16],
    /// .3 id of the provisioning certification enclave.
    pub pceid: [u8; 2],
    /// .4 family, model, stepping, platform type and customer SKU.
    pub fmspc: [u8; 6],
    /// .5 SGX type: 0 standard, 1 scalable, 2 scalable with integrity.
    pub sgx_type: u8,
    /// .6 platform instance id, of Platform CA certificates.
    pub platform_instance_id: Option<[u8; 16]>,
    /// .7 dynamic platform, cached keys, SMT enabled, of Platform CA certificates.
    pub configuration: Option<[bool; 3]>,
    /// Puts these bytes in the place of the extension's value.
    pub value: Option<Vec<u8>>,
    /// Leaves the whole extension out.
    pub absent: bool,
}

const SGX: &str = "1.2.840.113741.1.13.1";

impl SgxExtension {
    pub(super) fn new(ca: Ca) -> Self {
        let platform = ca == Ca::Platform;
        Self {
            ppid: [0xa5; 16],
            components: [12, 12, 3, 3, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            pcesvn: 13,
            cpusvn: [12, 12, 3, 3, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            pceid: [0, 0],
            fmspc: if platform { [0, 0x60, 0x6a, 0, 0, 0] } else { [0, 0x90, 0x6e, 0xd5, 0, 0] },
            sgx_type: u8::from(platform),
            platform_instance_id: platform.then_some([0x5a; 16]),
            configuration: platform.then_some([true, true, true]),
            value: None,
            absent: false,
        }
    }

    /// The DER value.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        if let Some(value) = &self.value {
            return value.clone();
        }
        let octets = |bytes: &[u8]| element(asn1::OCTET_STRING, bytes);
        let entry = |suffix: &str, value: Vec<u8>| sequence(&[oid(&format!("{SGX}.{suffix}")), value]);
        let mut tcb: Vec<Vec<u8>> = self
            .components
            .iter()
            .zip(1..)
            .map(|(svn, index): (&u8, u32)| entry(&format!("2.{index}"), small_integer(u64::from(*svn))))
            .collect();
        tcb.push(entry("2.17", small_integer(u64::from(self.pcesvn))));
        tcb.push(entry("2.18", octets(&self.cpusvn)));
        let mut parts = vec![
            entry("1", octets(&self.ppid)),
            entry("2", sequence(&tcb)),
            entry("3", octets(&self.pceid)),
            entry("4", octets(&self.fmspc)),
            entry("5", element(asn1::ENUMERATED, &[self.sgx_type])),
        ];
        parts.extend(self.platform_instance_id.map(|id| entry("6", octets(&id))));
        parts.extend(self.configuration.map(|flags| {
            let flags: Vec<Vec<u8>> = flags
                .iter()
                .zip(1..)
                .map(|(flag, index): (&bool, u32)| entry(&format!("7.{index}"), boolean(*flag)))
                .collect();
            entry("7", sequence(&flags))
        }));
        sequence(&parts)
    }

    pub(super) fn extension(&self) -> Option<Extension> {
        (!self.absent).then(|| Extension { oid: SGX, critical: false, value: self.der() })
    }
}
