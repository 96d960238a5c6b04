//! Public areas that a TPM makes keys from, `TPMT_PUBLIC` (TPM 2.0 Library Part 2, 12.2.4). Big-endian.

use clap::ValueEnum;
use crypto::{Curve, PublicKey};

/// Of which kind a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeyAlgorithm {
    /// RSA with 2048 bits; signatures are RSASSA with SHA-256
    Rsa,
    /// The curve P-256; signatures are ECDSA with SHA-256
    Ecc,
}

impl KeyAlgorithm {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ecc => "ecc",
            Self::Rsa => "rsa",
        }
    }

    /// The kind of a key that these templates can make.
    pub(crate) fn of(key: &PublicKey) -> Option<Self> {
        match (key.rsa_bits(), key.curve()) {
            (Some(2048), _) => Some(Self::Rsa),
            (_, Some(Curve::P256)) => Some(Self::Ecc),
            _ => None,
        }
    }
}

/// An endorsement key of the low range (TCG EK Credential Profile, B.3.3 and B.3.4: templates L-1 and L-2), made with
/// the nonce that its maker chose; most chose none.
pub(super) fn endorsement_key(algorithm: KeyAlgorithm, nonce: &[u8]) -> Vec<u8> {
    let storage = Storage { attributes: 0x0003_00b2, policy: &EK_POLICY, nonce };
    match algorithm {
        KeyAlgorithm::Ecc => storage.ecc(),
        KeyAlgorithm::Rsa => storage.rsa(),
    }
}

/// The key under which attestation keys are kept: P-256, because a TPM makes such a key in no time. The attributes
/// are those of a storage root key (TCG TPM v2.0 Provisioning Guidance, 7.5.1): no dictionary-attack protection,
/// used with an empty password.
pub(super) fn storage_key() -> Vec<u8> {
    Storage { attributes: 0x0003_0472, policy: &[], nonce: &[] }.ecc()
}

/// An attestation key: it never leaves its TPM, signs only what the TPM says itself, is used with an empty password
/// and without dictionary-attack protection. The same as the one of Azure's virtual TPMs.
pub(super) fn attestation_key(algorithm: KeyAlgorithm) -> Vec<u8> {
    const ATTRIBUTES: u32 = 0x0005_0472;
    match algorithm {
        KeyAlgorithm::Ecc => {
            let head = head(ALG_ECC, ATTRIBUTES, &[]);
            [&head[..], &numbers(&[ALG_NULL, ALG_ECDSA, ALG_SHA256, CURVE_P256, ALG_NULL, 0, 0])].concat()
        }
        KeyAlgorithm::Rsa => {
            let head = head(ALG_RSA, ATTRIBUTES, &[]);
            // Key bits, the default exponent in four bytes, no modulus yet.
            [&head[..], &numbers(&[ALG_NULL, ALG_RSASSA, ALG_SHA256, 2048, 0, 0, 0])].concat()
        }
    }
}

/// A key that protects others with AES-128 in CFB mode.
struct Storage<'a> {
    attributes: u32,
    policy: &'a [u8],
    /// What the unique field starts with; zeros follow.
    nonce: &'a [u8],
}

impl Storage<'_> {
    fn ecc(&self) -> Vec<u8> {
        let unique = [&numbers(&[32])[..], &self.padded(32), &numbers(&[32]), &[0; 32]].concat();
        let parameters = numbers(&[ALG_AES, 128, ALG_CFB, ALG_NULL, CURVE_P256, ALG_NULL]);
        [head(ALG_ECC, self.attributes, self.policy), parameters, unique].concat()
    }

    fn rsa(&self) -> Vec<u8> {
        let parameters = numbers(&[ALG_AES, 128, ALG_CFB, ALG_NULL, 2048, 0, 0, 256]);
        [head(ALG_RSA, self.attributes, self.policy), parameters, self.padded(256)].concat()
    }

    fn padded(&self, length: usize) -> Vec<u8> {
        self.nonce.iter().copied().chain(std::iter::repeat(0)).take(length).collect()
    }
}

/// Type, name algorithm, attributes, policy.
fn head(kind: u16, attributes: u32, policy: &[u8]) -> Vec<u8> {
    let length = u16::try_from(policy.len()).unwrap_or(u16::MAX);
    [&numbers(&[kind, ALG_SHA256])[..], &attributes.to_be_bytes(), &length.to_be_bytes(), policy].concat()
}

fn numbers(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

const ALG_RSA: u16 = 0x0001;
const ALG_AES: u16 = 0x0006;
pub(super) const ALG_SHA256: u16 = 0x000b;
pub(super) const ALG_NULL: u16 = 0x0010;
const ALG_RSASSA: u16 = 0x0014;
const ALG_ECDSA: u16 = 0x0018;
const ALG_ECC: u16 = 0x0023;
const ALG_CFB: u16 = 0x0043;
const CURVE_P256: u16 = 0x0003;

/// `TPM2_PolicySecret` of the endorsement hierarchy (EK Credential Profile, B.6.2: policy A for SHA-256).
const EK_POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd,
    0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

#[cfg(test)]
mod tests {
    use evidence::tpm::{Parameters, PublicArea, Scheme};

    use super::*;

    #[test]
    fn the_endorsement_templates_are_those_of_the_profile() {
        for (algorithm, length) in [(KeyAlgorithm::Rsa, 314), (KeyAlgorithm::Ecc, 122)] {
            let bytes = endorsement_key(algorithm, &[]);
            assert_eq!(bytes.len(), length);
            let area = PublicArea::parse(&bytes).unwrap();
            assert_eq!(area.attributes.bits(), 0x0003_00b2);
            assert_eq!(area.auth_policy, EK_POLICY);
            assert!(area.symmetric().unwrap().is_aes_cfb());
            assert_eq!(area.symmetric().unwrap().key_bits, 128);
        }
        let with_nonce = endorsement_key(KeyAlgorithm::Rsa, b"nonce");
        assert_eq!(with_nonce.len(), 314);
        assert!(with_nonce[58..].starts_with(b"nonce\0"));
        // The policy is the digest over the command code and the name of the hierarchy.
        let extended = [&[0; 32][..], &[0, 0, 1, 0x51], &[0x40, 0, 0, 0x0b]].concat();
        assert_eq!(crypto::sha256(&crypto::sha256(&extended)), EK_POLICY);
    }

    #[test]
    fn attestation_keys_sign_only_what_the_tpm_says() {
        let rsa = attestation_key(KeyAlgorithm::Rsa);
        assert_eq!(hex::encode(&rsa), "0001000b00050472000000100014000b0800000000000000");
        let area = PublicArea::parse(&rsa).unwrap();
        assert_eq!(area.scheme(), Some(Scheme::RsaSsa(crypto::HashAlgorithm::Sha256)));
        let ecc = attestation_key(KeyAlgorithm::Ecc);
        assert_eq!(hex::encode(&ecc), "0023000b00050472000000100018000b0003001000000000");
        assert!(matches!(PublicArea::parse(&ecc).unwrap().parameters, Parameters::Ecc { .. }));
        assert!(PublicArea::parse(&storage_key()).unwrap().symmetric().is_some());
    }
}
