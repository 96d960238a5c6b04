//! A TPM in software, as far as enrolment needs one: an endorsement key and an attestation key, both on P-256, and
//! credentials opened (TPM 2.0 Library Part 1, 24; Part 2, 12.2.4). What it opens was made for it.

use crypto::tpm_kdf::{AgreementKey, aes_cfb_zero_iv, hmac, kdf_a, kdf_e};
use crypto::{Curve, HashAlgorithm, SigningAlgorithm, SigningKey};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SubjectPublicKeyInfo,
};

/// A TPM.
#[derive(Debug)]
pub struct SoftwareTpm {
    ek: AgreementKey,
    ak: SigningKey,
}

impl SoftwareTpm {
    /// A TPM with fresh keys.
    #[must_use]
    pub fn new() -> Self {
        let ek = AgreementKey::generate(Curve::P256).expect("a key");
        Self { ek, ak: attestation_key() }
    }

    /// The same TPM with another attestation key.
    #[must_use]
    pub fn with_new_attestation_key(self) -> Self {
        Self { ak: attestation_key(), ..self }
    }

    /// The endorsement key's DER `SubjectPublicKeyInfo`, which its maker certifies.
    #[must_use]
    pub fn ek_spki(&self) -> Vec<u8> {
        [&hex::decode(P256_SPKI).expect("hexadecimal")[..], self.ek.point()].concat()
    }

    /// The endorsement key's `TPMT_PUBLIC`, of the template L-2 (TCG EK Credential Profile, B.3.4).
    #[must_use]
    pub fn ek_public(&self) -> Vec<u8> {
        public(self.ek.point(), 0x0003_00b2, &hex::decode(EK_POLICY).expect("hexadecimal"), &AES_128_CFB)
    }

    /// The attestation key's `TPMT_PUBLIC`: restricted, signs by ECDSA with SHA-256.
    #[must_use]
    pub fn ak_public(&self) -> Vec<u8> {
        self.ak_public_with(0x0005_0472)
    }

    /// The same with other attributes: what a TPM would not say of a restricted key.
    #[must_use]
    pub fn ak_public_with(&self, attributes: u32) -> Vec<u8> {
        let key = self.ak.public_key().expect("a key");
        public(key.point().expect("a point"), attributes, &[], &[0x00, 0x10, 0x00, 0x18, 0x00, 0x0b])
    }

    /// The private attestation key.
    #[must_use]
    pub fn attestation_key(&self) -> &SigningKey {
        &self.ak
    }

    /// `TPM2_ActivateCredential` of a `TPM2B_ID_OBJECT` and a `TPM2B_ENCRYPTED_SECRET` with the attestation key;
    /// `None` where a TPM answers `TPM_RC_INTEGRITY`.
    #[must_use]
    pub fn activate(&self, credential_blob: &[u8], encrypted_secret: &[u8]) -> Option<Vec<u8>> {
        let hash = HashAlgorithm::Sha256;
        let (_, rest) = encrypted_secret.split_first_chunk::<2>()?;
        let (x, rest) = sized(rest)?;
        let (y, _) = sized(rest)?;
        let z = self.ek.agree(&[&[4], x, y].concat()).ok()?;
        let seed = kdf_e(hash, &z, "IDENTITY", [x, self.ek.point().get(1..33)?], 32);
        let (_, blob) = credential_blob.split_first_chunk::<2>()?;
        let (integrity, identity) = sized(blob)?;
        let public = self.ak_public();
        let name = [&[0x00, 0x0b], &crypto::sha256(&public)[..]].concat();
        let key = kdf_a(hash, &seed, "INTEGRITY", [b"", b""], 32);
        if hmac(hash, &key, &[identity, &name]) != integrity {
            return None;
        }
        let key = kdf_a(hash, &seed, "STORAGE", [&name, b""], 16);
        let plain = decrypt(&key, identity)?;
        sized(&plain).map(|(secret, _)| secret.to_vec())
    }
}

impl Default for SoftwareTpm {
    fn default() -> Self {
        Self::new()
    }
}

/// A maker of TPMs: a root that certifies endorsement keys.
#[derive(Debug)]
pub struct Maker {
    issuer: Issuer<'static, KeyPair>,
    root: Certificate,
}

impl Maker {
    /// A maker of this name, whose root is valid for centuries.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let root = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), root }
    }

    /// The root, PEM.
    #[must_use]
    pub fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// The certificate of a TPM's endorsement key, DER, valid for centuries.
    #[must_use]
    pub fn certify(&self, tpm: &SoftwareTpm) -> Vec<u8> {
        self.certify_with(tpm, |_| {})
    }

    /// The same, changed before it is signed.
    #[must_use]
    pub fn certify_with(&self, tpm: &SoftwareTpm, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name("TPM");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::KeyAgreement];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(EK_CERTIFICATE.to_vec())];
        params.use_authority_key_identifier_extension = true;
        change(&mut params);
        let key = SubjectPublicKeyInfo::from_der(&tpm.ek_spki()).expect("a public key");
        params.signed_by(&key, &self.issuer).expect("a certificate").der().to_vec()
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished_name = DistinguishedName::new();
    distinguished_name.push(DnType::CommonName, name);
    distinguished_name
}

fn attestation_key() -> SigningKey {
    SigningKey::generate(SigningAlgorithm::Es256).expect("a key")
}

/// CFB decryption by encryption alone: the key stream of a block comes out where zeros go in.
fn decrypt(key: &[u8], ciphertext: &[u8]) -> Option<Vec<u8>> {
    let mut plain: Vec<u8> = Vec::new();
    while plain.len() < ciphertext.len() {
        let known = plain.len();
        let zeros = [&plain[..], &[0; 16]].concat();
        let stream = aes_cfb_zero_iv(key, &zeros).ok()?;
        let block = ciphertext.iter().zip(&stream).skip(known).map(|(byte, pad)| byte ^ pad);
        plain.extend(block);
    }
    Some(plain)
}

/// A `TPMT_PUBLIC` on P-256: type, name algorithm, attributes, policy, symmetric algorithm and scheme, curve, no key
/// derivation, point.
fn public(point: &[u8], attributes: u32, policy: &[u8], algorithms: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x00, 0x23, 0x00, 0x0b];
    bytes.extend(attributes.to_be_bytes());
    bytes.extend(with_size(policy));
    bytes.extend_from_slice(algorithms);
    bytes.extend([0x00, 0x03, 0x00, 0x10]);
    bytes.extend(with_size(&point[1..33]));
    bytes.extend(with_size(&point[33..]));
    bytes
}

fn with_size(bytes: &[u8]) -> Vec<u8> {
    let size = u16::try_from(bytes.len()).expect("a short part");
    [&size.to_be_bytes()[..], bytes].concat()
}

fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

/// tcg-kp-EKCertificate.
const EK_CERTIFICATE: [u64; 5] = [2, 23, 133, 8, 1];
/// AES-128 in CFB mode; no scheme.
const AES_128_CFB: [u8; 8] = [0x00, 0x06, 0x00, 0x80, 0x00, 0x43, 0x00, 0x10];
/// PolicySecret of the endorsement hierarchy, by SHA-256.
const EK_POLICY: &str = "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa";
/// What stands before the point in a `SubjectPublicKeyInfo` (RFC 5480 §2).
const P256_SPKI: &str = "3059301306072a8648ce3d020106082a8648ce3d030107034200";

#[cfg(test)]
mod tests {
    use evidence::tpm::{EndorsementKey, PublicArea, make_credential};

    use super::*;

    #[test]
    fn a_credential_opens_in_the_tpm_it_is_for() {
        let (tpm, other) = (SoftwareTpm::new(), SoftwareTpm::new());
        let (ek, ak) = (tpm.ek_public(), tpm.ak_public());
        let (ek, ak) = (PublicArea::parse(&ek).expect("an area"), PublicArea::parse(&ak).expect("an area"));
        let key = ek.public_key().expect("a key");
        let ek = EndorsementKey::certified(&key, &ek).expect("an endorsement key");
        let made =
            make_credential(&ek, &ak.name(), b"32 bytes of secret: two blocks.").expect("a credential");
        let (blob, secret) = (with_size(&made.id_object), with_size(&made.encrypted_secret));
        assert_eq!(tpm.activate(&blob, &secret).as_deref(), Some(&b"32 bytes of secret: two blocks."[..]));
        assert_eq!(other.activate(&blob, &secret), None);
        assert_eq!(tpm.with_new_attestation_key().activate(&blob, &secret), None);
    }
}
