//! Trust anchors: the keys in which certificate chains must end, one list per role.
//!
//! A role's root is a public key, not a certificate: Intel has issued several root certificates for the
//! same key. Nothing inside evidence, endorsements or a request can add to these lists.

use crypto::P256PublicKey;

use crate::x509::{self, CertificateRole, ChainError};

/// The x and y coordinates (big-endian) of the key of "Intel SGX Root CA", "Intel SGX PCK Certificate
/// and CRL Profile Specification" 1.2.
pub const INTEL_SGX_ROOT_KEY: [u8; 64] = [
    0x0b, 0xa9, 0xc4, 0xc0, 0xc0, 0xc8, 0x61, 0x93, 0xa3, 0xfe, 0x23, 0xd6, 0xb0, 0x2c, 0xda, 0x10, 0xa8,
    0xbb, 0xd4, 0xe8, 0x8e, 0x48, 0xb4, 0x45, 0x85, 0x61, 0xa3, 0x6e, 0x70, 0x55, 0x25, 0xf5, 0x67, 0x91,
    0x8e, 0x2e, 0xdc, 0x88, 0xe4, 0x0d, 0x86, 0x0b, 0xd0, 0xcc, 0x4e, 0xe2, 0x6a, 0xac, 0xc9, 0x88, 0xe5,
    0x05, 0xa9, 0x53, 0x55, 0x8c, 0x45, 0x3f, 0x6b, 0x09, 0x04, 0xae, 0x73, 0x94,
];

/// SHA-256 of the DER of the current "Intel SGX Root CA" certificate, serial number
/// 22650cd65a9d3489f383b49552bf501b392706ac, for people who compare it by eye.
pub const INTEL_SGX_ROOT_FINGERPRINT: [u8; 32] = [
    0x44, 0xa0, 0x19, 0x6b, 0x2b, 0x99, 0xf8, 0x89, 0xb8, 0xe1, 0x49, 0xe9, 0x5b, 0x80, 0x7a, 0x35, 0x0e,
    0x74, 0x24, 0x96, 0x43, 0x99, 0xe8, 0x85, 0xa7, 0xcb, 0xb8, 0xcc, 0xfa, 0xb6, 0x74, 0xd3,
];

/// The root keys trusted, per role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustAnchors {
    pck: Vec<P256PublicKey>,
    tcb_signing: Vec<P256PublicKey>,
}

/// Why a configured root is no trust anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// The file is not one self-signed root certificate of Intel's profile, in PEM.
    #[error("trust anchor {index} for {role}: {error}; give one self-signed root certificate in PEM")]
    Root {
        /// `PCK chains` or `TCB signing`.
        role: &'static str,
        /// Which of the role's roots, from 0.
        index: usize,
        /// What is wrong with it.
        error: ChainError,
    },
}

impl TrustAnchors {
    /// Intel's root for both roles.
    #[must_use]
    pub fn pinned() -> Self {
        // A test holds the constant to be a point of the curve; were it none, nothing would be trusted.
        let intel: Vec<_> = P256PublicKey::from_coordinates(&INTEL_SGX_ROOT_KEY).into_iter().collect();
        Self { pck: intel.clone(), tcb_signing: intel }
    }

    /// The operator's own roots: each PEM text holds one self-signed root certificate, and the texts of
    /// a role replace that role's pinned root. An empty list keeps it.
    ///
    /// # Errors
    /// [`AnchorError`] for a text that holds no such certificate.
    pub fn with_roots(pck: &[&[u8]], tcb_signing: &[&[u8]]) -> Result<Self, AnchorError> {
        let mut anchors = Self::pinned();
        if !pck.is_empty() {
            anchors.pck = roots(pck, "PCK chains")?;
        }
        if !tcb_signing.is_empty() {
            anchors.tcb_signing = roots(tcb_signing, "TCB signing")?;
        }
        Ok(anchors)
    }

    /// The roots of PCK chains and of the CRLs.
    pub(crate) fn pck(&self) -> &[P256PublicKey] {
        &self.pck
    }

    /// The roots of those who sign TCB info and enclave identities.
    pub(crate) fn tcb_signing(&self) -> &[P256PublicKey] {
        &self.tcb_signing
    }
}

fn roots(texts: &[&[u8]], role: &'static str) -> Result<Vec<P256PublicKey>, AnchorError> {
    let mut keys = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let parsed = x509::parse_chain(text, ROOT_ONLY).and_then(|chain| {
            let [root] = &chain;
            x509::verify_chain(&chain, ROOT_ONLY, std::slice::from_ref(&root.key))?;
            Ok(root.key.clone())
        });
        keys.push(parsed.map_err(|error| AnchorError::Root { role, index, error })?);
    }
    Ok(keys)
}

const ROOT_ONLY: [CertificateRole; 1] = [CertificateRole::Root];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pinned_key_is_a_key() {
        assert_eq!(TrustAnchors::pinned().pck().len(), 1);
        assert_eq!(TrustAnchors::pinned().tcb_signing().len(), 1);
    }

    #[test]
    fn no_certificate_is_no_anchor() {
        let error = TrustAnchors::with_roots(&[], &[b"hello"]).unwrap_err();
        assert!(matches!(error, AnchorError::Root { role: "TCB signing", index: 0, .. }));
        assert_eq!(TrustAnchors::with_roots(&[], &[]), Ok(TrustAnchors::pinned()));
    }
}
