//! The 384-byte SGX report body.

/// An SGX report body (Intel SDM Vol. 3D, `REPORT`), integers in little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportBody {
    /// Offset 0.
    pub cpu_svn: [u8; 16],
    /// Offset 16.
    pub misc_select: u32,
    /// Offset 20, reserved.
    pub reserved1: [u8; 12],
    /// Offset 32.
    pub isv_ext_prod_id: [u8; 16],
    /// Offset 48: flags.
    pub flags: u64,
    /// Offset 56: extended feature request mask.
    pub xfrm: u64,
    /// Offset 64.
    pub mr_enclave: [u8; 32],
    /// Offset 96, reserved.
    pub reserved2: [u8; 32],
    /// Offset 128.
    pub mr_signer: [u8; 32],
    /// Offset 160, reserved.
    pub reserved3: [u8; 32],
    /// Offset 192.
    pub config_id: [u8; 64],
    /// Offset 256.
    pub isv_prod_id: u16,
    /// Offset 258.
    pub isv_svn: u16,
    /// Offset 260.
    pub config_svn: u16,
    /// Offset 262, reserved.
    pub reserved4: [u8; 42],
    /// Offset 304.
    pub isv_family_id: [u8; 16],
    /// Offset 320.
    pub report_data: [u8; 64],
}

/// Attribute flag: the enclave is initialised.
pub const INIT: u64 = 0x1;
/// Attribute flag: the enclave can be debugged.
pub const DEBUG: u64 = 0x2;
/// Attribute flag: the enclave runs in 64-bit mode.
pub const MODE64BIT: u64 = 0x4;
/// Attribute flag: the enclave can use the provisioning key.
pub const PROVISION_KEY: u64 = 0x10;
/// Attribute flag: key separation and sharing.
pub const KSS: u64 = 0x80;

impl ReportBody {
    /// A production enclave with recognisable measurements.
    #[must_use]
    pub fn enclave() -> Self {
        Self {
            cpu_svn: [12, 12, 3, 3, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            misc_select: 0,
            reserved1: [0; 12],
            isv_ext_prod_id: [0; 16],
            flags: INIT | MODE64BIT,
            xfrm: 0xe7,
            mr_enclave: [0xe1; 32],
            reserved2: [0; 32],
            mr_signer: [0x51; 32],
            reserved3: [0; 32],
            config_id: [0; 64],
            isv_prod_id: 1,
            isv_svn: 2,
            config_svn: 0,
            reserved4: [0; 42],
            isv_family_id: [0; 16],
            report_data: [0; 64],
        }
    }

    /// Intel's quoting enclave, as its published identity describes it.
    #[must_use]
    pub fn quoting_enclave() -> Self {
        Self {
            flags: INIT | MODE64BIT | PROVISION_KEY,
            mr_enclave: [0xce; 32],
            mr_signer: QE_MRSIGNER,
            isv_prod_id: 1,
            isv_svn: 8,
            ..Self::enclave()
        }
    }

    /// The 384 bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; 384] {
        [
            &self.cpu_svn[..],
            &self.misc_select.to_le_bytes(),
            &self.reserved1,
            &self.isv_ext_prod_id,
            &self.flags.to_le_bytes(),
            &self.xfrm.to_le_bytes(),
            &self.mr_enclave,
            &self.reserved2,
            &self.mr_signer,
            &self.reserved3,
            &self.config_id,
            &self.isv_prod_id.to_le_bytes(),
            &self.isv_svn.to_le_bytes(),
            &self.config_svn.to_le_bytes(),
            &self.reserved4,
            &self.isv_family_id,
            &self.report_data,
        ]
        .concat()
        .try_into()
        .expect("the fields add up to 384 bytes")
    }
}

/// `MRSIGNER` of Intel's quoting enclave.
pub const QE_MRSIGNER: [u8; 32] = [
    0x8c, 0x4f, 0x57, 0x75, 0xd7, 0x96, 0x50, 0x3e, 0x96, 0x13, 0x7f, 0x77, 0xc6, 0x8a, 0x82, 0x9a, 0x00,
    0x56, 0xac, 0x8d, 0xed, 0x70, 0x14, 0x0b, 0x08, 0x1b, 0x09, 0x44, 0x90, 0xc5, 0x7b, 0xff,
];
