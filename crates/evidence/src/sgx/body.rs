//! The body of an SGX report (Intel SDM volume 3D, REPORT; QuoteLib Reference A.4, Enclave Report Body).

use crate::read::{ReadError, Reader};

/// What the processor says of an enclave. 384 bytes; numbers are little-endian, byte fields are in
/// memory order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReportBody {
    /// CPUSVN, offset 0.
    pub cpu_svn: [u8; 16],
    /// MISCSELECT, offset 16.
    pub misc_select: u32,
    /// ISVEXTPRODID, offset 32 (KSS).
    pub isv_ext_prod_id: [u8; 16],
    /// ATTRIBUTES, offset 48: flags and XFRM, see [`Self::attributes`].
    pub attributes: [u8; 16],
    /// MRENCLAVE, offset 64.
    pub mr_enclave: [u8; 32],
    /// MRSIGNER, offset 128.
    pub mr_signer: [u8; 32],
    /// CONFIGID, offset 192 (KSS).
    pub config_id: [u8; 64],
    /// ISVPRODID, offset 256.
    pub isv_prod_id: u16,
    /// ISVSVN, offset 258.
    pub isv_svn: u16,
    /// CONFIGSVN, offset 260 (KSS).
    pub config_svn: u16,
    /// ISVFAMILYID, offset 304 (KSS).
    pub isv_family_id: [u8; 16],
    /// REPORTDATA, offset 320.
    pub report_data: [u8; 64],
}

impl ReportBody {
    /// Size of a report body in bytes.
    pub const SIZE: usize = 384;

    pub(crate) fn read(r: &mut Reader<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            cpu_svn: *r.array("cpu_svn")?,
            misc_select: r.u32_le("misc_select")?,
            isv_ext_prod_id: {
                r.take("reserved1", 12)?;
                *r.array("isv_ext_prod_id")?
            },
            attributes: *r.array("attributes")?,
            mr_enclave: *r.array("mr_enclave")?,
            mr_signer: {
                r.take("reserved2", 32)?;
                *r.array("mr_signer")?
            },
            config_id: {
                r.take("reserved3", 32)?;
                *r.array("config_id")?
            },
            isv_prod_id: r.u16_le("isv_prod_id")?,
            isv_svn: r.u16_le("isv_svn")?,
            config_svn: r.u16_le("config_svn")?,
            isv_family_id: {
                r.take("reserved4", 42)?;
                *r.array("isv_family_id")?
            },
            report_data: *r.array("report_data")?,
        })
    }

    /// The flags half of ATTRIBUTES.
    #[must_use]
    pub fn flags(&self) -> Attributes {
        let [flags @ .., _, _, _, _, _, _, _, _] = self.attributes;
        Attributes(u64::from_le_bytes(flags))
    }

    /// Whether a debugger can read and write the enclave's memory (ATTRIBUTES.DEBUG). A fact: policy decides.
    #[must_use]
    pub fn is_debuggable(&self) -> bool {
        self.flags().contains(Attributes::DEBUG)
    }

    /// Whether the enclave uses Key Separation and Sharing (ATTRIBUTES.KSS), which gives meaning to
    /// CONFIGID, CONFIGSVN, ISVEXTPRODID and ISVFAMILYID.
    #[must_use]
    pub fn has_kss(&self) -> bool {
        self.flags().contains(Attributes::KSS)
    }
}

/// ATTRIBUTES.FLAGS (Intel SDM volume 3D, 34.7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attributes(pub u64);

impl Attributes {
    /// The enclave is initialised.
    pub const INIT: Self = Self(0x1);
    /// A debugger has access.
    pub const DEBUG: Self = Self(0x2);
    /// 64-bit mode.
    pub const MODE64BIT: Self = Self(0x4);
    /// Access to the provisioning key.
    pub const PROVISION_KEY: Self = Self(0x10);
    /// Access to the EINITTOKEN key.
    pub const EINITTOKEN_KEY: Self = Self(0x20);
    /// Control-flow enforcement.
    pub const CET: Self = Self(0x40);
    /// Key Separation and Sharing.
    pub const KSS: Self = Self(0x80);
    /// Notification of asynchronous exits.
    pub const AEX_NOTIFY: Self = Self(0x400);

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}
