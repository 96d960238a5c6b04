//! GUIDs of UEFI: the first three fields little-endian on the wire.

use std::fmt;

/// A GUID as UEFI structures hold it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guid([u8; 16]);

impl Guid {
    /// Takes the bytes of a UEFI structure.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Takes the number that the text shows, all its digits in order.
    pub(crate) const fn from_text(digits: u128) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = digits.to_be_bytes();
        Self([d, c, b, a, f, e, h, g, i, j, k, l, m, n, o, p])
    }
}

/// Upper case, as Azure Attestation's `VariableGuid`.
impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g, h, i, rest @ ..] = self.0;
        write!(f, "{d:02X}{c:02X}{b:02X}{a:02X}-{g:02X}{e:02X}-{i:02X}{h:02X}-")?;
        for (index, byte) in rest.iter().enumerate() {
            if index == 2 {
                f.write_str("-")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `EFI_GLOBAL_VARIABLE`.
pub(crate) const GLOBAL_VARIABLE: Guid = Guid::from_text(0x8be4_df61_93ca_11d2_aa0d_00e0_9803_2b8c);
/// `EFI_IMAGE_SECURITY_DATABASE`.
pub(crate) const IMAGE_SECURITY_DATABASE: Guid = Guid::from_text(0xd719_b2cb_3d3a_4596_a3bc_dad0_0e67_656f);
/// Shim's own.
pub(crate) const SHIM_LOCK: Guid = Guid::from_text(0x605d_ab50_e046_4300_abb6_3dd8_10dd_8b23);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        assert_eq!(GLOBAL_VARIABLE.to_string(), "8BE4DF61-93CA-11D2-AA0D-00E098032B8C");
        assert_eq!(
            GLOBAL_VARIABLE,
            Guid::from_bytes([
                0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b,
                0x8c
            ])
        );
    }
}
