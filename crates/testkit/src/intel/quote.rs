//! SGX ECDSA quotes, version 3 (Intel SGX ECDSA QuoteLib, appendix A.4).

use super::certificates::Chain;
use super::report::ReportBody;
use crate::key::Key;

/// What certifies the quoting enclave's report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certification {
    /// Type 5: the PCK chain in PEM, followed by these bytes (the real ones often end with a NUL).
    PckChain {
        /// Bytes after the chain.
        suffix: Vec<u8>,
    },
    /// Type 6 around data of another type: QE report, signature and authentication data repeated, then
    /// the PCK chain under type `inner`.
    Wrapped {
        /// The type number inside.
        inner: u16,
    },
    /// Any type with any content.
    Other {
        /// The type number.
        kind: u16,
        /// The content.
        data: Vec<u8>,
    },
}

/// A quote, field by field.
#[derive(Debug, Clone)]
pub struct Quote {
    /// Header: version.
    pub version: u16,
    /// Header: attestation key type; 2 is ECDSA P-256.
    pub key_type: u16,
    /// Header: TEE type; 0 is SGX.
    pub tee_type: u32,
    /// Header: security version of the quoting enclave.
    pub qe_svn: u16,
    /// Header: security version of the provisioning certification enclave.
    pub pce_svn: u16,
    /// Header: vendor of the quoting enclave.
    pub qe_vendor_id: [u8; 16],
    /// Header: user data.
    pub user_data: [u8; 20],
    /// The enclave's report.
    pub body: ReportBody,
    /// The key in the quote.
    pub attestation_key: Key,
    /// The key that signs the quote.
    pub signer: Key,
    /// The quoting enclave's report; its report data are filled in unless `qe_report_data` is set.
    pub qe_report: ReportBody,
    /// Report data of the quoting enclave's report, if not the hash of key and authentication data.
    pub qe_report_data: Option<[u8; 64]>,
    /// The key that signs the quoting enclave's report: the PCK.
    pub qe_signer: Key,
    /// The quoting enclave's authentication data.
    pub qe_authentication_data: Vec<u8>,
    /// What certifies the quoting enclave.
    pub certification: Certification,
    /// Bytes after the quote.
    pub trailing: Vec<u8>,
}

/// Intel's vendor id for quoting enclaves, `939A7233F79C4CA9940A0DB3957F0607`.
pub const INTEL_QE_VENDOR_ID: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];

impl Quote {
    pub(super) fn new(chain: &Chain) -> Self {
        let attestation_key = Key::generate();
        Self {
            version: 3,
            key_type: 2,
            tee_type: 0,
            qe_svn: 8,
            pce_svn: 13,
            qe_vendor_id: INTEL_QE_VENDOR_ID,
            user_data: [0x1d; 20],
            body: ReportBody::enclave(),
            signer: attestation_key.clone(),
            attestation_key,
            qe_report: ReportBody::quoting_enclave(),
            qe_report_data: None,
            qe_signer: chain.leaf.key.clone(),
            qe_authentication_data: (0..32).collect(),
            certification: Certification::PckChain { suffix: vec![0] },
            trailing: Vec::new(),
        }
    }

    /// Header and body: what the attestation key signs.
    #[must_use]
    pub fn signed_part(&self) -> Vec<u8> {
        [
            &self.version.to_le_bytes()[..],
            &self.key_type.to_le_bytes(),
            &self.tee_type.to_le_bytes(),
            &self.qe_svn.to_le_bytes(),
            &self.pce_svn.to_le_bytes(),
            &self.qe_vendor_id,
            &self.user_data,
            &self.body.bytes(),
        ]
        .concat()
    }

    /// The whole quote around `pck_chain` (PEM).
    ///
    /// # Panics
    /// If a part is longer than its length field can say.
    #[must_use]
    pub fn around(&self, pck_chain: &[u8]) -> Vec<u8> {
        let signed = self.signed_part();
        let key = self.attestation_key.coordinates();
        let mut qe_report = self.qe_report.clone();
        qe_report.report_data = self.qe_report_data.unwrap_or_else(|| {
            let mut data = [0; 64];
            data[..32].copy_from_slice(&crypto::sha256_of_parts(&[&key, &self.qe_authentication_data]));
            data
        });
        let qe_report = qe_report.bytes();
        let u16_of = |bytes: &[u8]| u16::try_from(bytes.len()).expect("short").to_le_bytes();
        let u32_of = |bytes: &[u8]| u32::try_from(bytes.len()).expect("short").to_le_bytes();
        let certified = [
            &qe_report[..],
            &self.qe_signer.sign_fixed(&qe_report),
            &u16_of(&self.qe_authentication_data),
            &self.qe_authentication_data,
        ]
        .concat();
        let (kind, data) = match &self.certification {
            Certification::PckChain { suffix } => (5_u16, [pck_chain, suffix].concat()),
            Certification::Wrapped { inner } => {
                let header = [&inner.to_le_bytes()[..], &u32_of(pck_chain)].concat();
                (6, [&certified[..], &header, pck_chain].concat())
            }
            Certification::Other { kind, data } => (*kind, data.clone()),
        };
        let authentication = [
            &self.signer.sign_fixed(&signed)[..],
            &key,
            &certified,
            &kind.to_le_bytes(),
            &u32_of(&data),
            &data,
        ]
        .concat();
        [&signed[..], &u32_of(&authentication), &authentication, &self.trailing].concat()
    }
}
