//! Quotes minted with keys of our own: what a verifier must not accept, one case each.

use crypto::{HashAlgorithm, SigningAlgorithm, SigningKey};
use time::OffsetDateTime;

use super::algorithm::hash_id;
use super::public::tests::{AK_ATTRIBUTES, RSASSA_SHA256, rsa_attestation_key};
use super::*;
use crate::eventlog::WindowsBoot;
use crate::verdict::Explain;

const SHA256: HashAlgorithm = HashAlgorithm::Sha256;
const SHA1: HashAlgorithm = HashAlgorithm::Sha1;

struct Tpm {
    key: SigningKey,
    area: Vec<u8>,
}

impl Tpm {
    fn new() -> Self {
        Self::with(AK_ATTRIBUTES, RSASSA_SHA256)
    }

    fn with(attributes: u32, scheme: &[u8]) -> Self {
        let key = SigningKey::generate(SigningAlgorithm::Rs256).unwrap();
        let public = spki::parse(&key.public_key_der().unwrap()).unwrap();
        let area = rsa_attestation_key(attributes, scheme, public.rsa_numbers().unwrap().0);
        Self { key, area }
    }

    fn attestation_key(&self) -> AttestationKey {
        AttestationKey::from_trusted_public(&PublicArea::parse(&self.area).unwrap()).unwrap()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.key.sign(message).unwrap();
        let mut bytes = vec![0, 0x14, 0, 0x0b, 1, 0];
        bytes.extend(signature);
        bytes
    }
}

fn attest(tag: u16, extra_data: &[u8], attested: &[u8]) -> Vec<u8> {
    let mut bytes = b"\xffTCG".to_vec();
    bytes.extend(tag.to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(u16::try_from(extra_data.len()).unwrap().to_be_bytes());
    bytes.extend(extra_data);
    bytes.extend([0; 16]);
    bytes.push(1);
    bytes.extend([0; 8]);
    bytes.extend(attested);
    bytes
}

/// A quote of these banks and PCRs, with the digest over these values.
fn quote(nonce: &[u8], banks: &[(HashAlgorithm, &[u8])], values: &[&[u8]]) -> Vec<u8> {
    let mut body = u32::try_from(banks.len()).unwrap().to_be_bytes().to_vec();
    for (bank, indices) in banks {
        body.extend(hash_id(*bank).to_be_bytes());
        let mask = indices.iter().fold(0_u32, |mask, index| mask | 1 << index);
        body.push(3);
        body.extend(&mask.to_le_bytes()[..3]);
    }
    body.extend([0, 32]);
    body.extend(SHA256.digest(values).as_slice());
    attest(0x8018, nonce, &body)
}

const NONCE: &[u8] = b"nonce of sixteen";

fn expectations(mask: u32) -> Expectations<'static> {
    Expectations { nonce: NONCE, required: PcrSet::from_mask(mask), allow_sha1: false }
}

fn verify(
    tpm: &Tpm,
    message: &[u8],
    supplied: &PcrValues,
    expectations: &Expectations<'_>,
) -> Result<VerifiedQuote, VerifyError> {
    let signature = tpm.sign(message);
    let attest = Attest::parse(message)?;
    let signature = Signature::parse(&signature)?;
    attest.verify_quote(&signature, supplied, &tpm.attestation_key(), expectations).map_err(|rejection| {
        assert_eq!(rejection.verdict.first_failure(), Some(&rejection.error.check()));
        rejection.error
    })
}

fn values(list: &[(HashAlgorithm, u8, &[u8])]) -> PcrValues {
    let mut values = PcrValues::new();
    for (bank, index, value) in list {
        values.insert(*bank, *index, value).unwrap();
    }
    values
}

/// A quote over these values by a TPM of our own: how the tests of logs get values to believe.
pub(crate) fn quoted(list: &[(HashAlgorithm, u8, &[u8])]) -> QuotedPcrs {
    let mut banks: Vec<(HashAlgorithm, Vec<u8>)> = Vec::new();
    for (bank, index, _) in list {
        match banks.iter_mut().find(|(found, _)| found == bank) {
            Some((_, indices)) => indices.push(*index),
            None => banks.push((*bank, vec![*index])),
        }
    }
    let banks: Vec<_> = banks.iter().map(|(bank, indices)| (*bank, indices.as_slice())).collect();
    let in_order: Vec<_> = list.iter().map(|(_, _, value)| *value).collect();
    let message = quote(NONCE, &banks, &in_order);
    verify(&Tpm::new(), &message, &values(list), &expectations(0)).unwrap().pcrs().clone()
}

#[test]
fn a_genuine_quote() {
    let tpm = Tpm::new();
    let message = quote(NONCE, &[(SHA256, &[0, 7])], &[&[1; 32], &[2; 32]]);
    let supplied = values(&[(SHA256, 7, &[2; 32]), (SHA256, 0, &[1; 32])]);
    let verified = verify(&tpm, &message, &supplied, &expectations(0x81)).unwrap();
    assert!(verified.verdict().passed());
    assert_eq!(verified.pcrs().get(SHA256, 7).unwrap().as_slice(), [2; 32]);
    assert_eq!(verified.pcrs().get(SHA256, 1), None);
    assert_eq!(verified.pcrs().get(SHA1, 7), None);
    assert_eq!(verified.pcrs().banks(), [SHA256]);
    assert_eq!(verified.scheme(), crypto::SignatureScheme::RsaPkcs1(SHA256));
    assert_eq!((verified.firmware_version(), verified.clock_info().safe), (0, true));
}

/// Known attacks 1: the value of a resettable PCR offered as another one's.
#[test]
fn values_are_bound_to_their_places() {
    let tpm = Tpm::new();
    let message = quote(NONCE, &[(SHA256, &[16, 23])], &[&[1; 32], &[2; 32]]);
    let moved = values(&[(SHA256, 0, &[1; 32]), (SHA256, 7, &[2; 32])]);
    let error = verify(&tpm, &message, &moved, &expectations(0)).unwrap_err();
    assert_eq!(error, VerifyError::NotQuoted { bank: SHA256, index: 0 });
    let swapped = values(&[(SHA256, 16, &[2; 32]), (SHA256, 23, &[1; 32])]);
    let error = verify(&tpm, &message, &swapped, &expectations(0)).unwrap_err();
    assert!(matches!(error, VerifyError::PcrDigest { .. }));
    let fewer = values(&[(SHA256, 16, &[1; 32])]);
    let error = verify(&tpm, &message, &fewer, &expectations(0)).unwrap_err();
    assert_eq!(error, VerifyError::PcrMissing { bank: SHA256, index: 23 });
}

/// Known attacks 2, 3, 4 and 8: empty selections, fewer PCRs than needed, other banks.
#[test]
fn selections_must_cover_what_is_required() {
    let tpm = Tpm::new();
    let empty = quote(NONCE, &[(SHA256, &[])], &[]);
    let error = verify(&tpm, &empty, &PcrValues::new(), &expectations(0)).unwrap_err();
    assert_eq!(error, VerifyError::EmptySelection);
    let one = quote(NONCE, &[(SHA256, &[0])], &[&[1; 32]]);
    let supplied = values(&[(SHA256, 0, &[1; 32])]);
    let error = verify(&tpm, &one, &supplied, &expectations(0x91)).unwrap_err();
    assert_eq!(error, VerifyError::NotCovered { missing: vec![4, 7] });
    assert_eq!(error.to_string(), "the quote does not cover PCR 4, 7 in a bank of SHA-256 or stronger");
    let sha1 = quote(NONCE, &[(SHA1, &[0])], &[&[1; 20]]);
    let supplied = values(&[(SHA1, 0, &[1; 20])]);
    let error = verify(&tpm, &sha1, &supplied, &expectations(1)).unwrap_err();
    assert_eq!(error, VerifyError::NotCovered { missing: vec![0] });
    let allowed = Expectations { allow_sha1: true, ..expectations(1) };
    assert!(verify(&tpm, &sha1, &supplied, &allowed).is_ok());
    let both = quote(NONCE, &[(SHA1, &[0]), (SHA256, &[0])], &[&[1; 20], &[2; 32]]);
    let supplied = values(&[(SHA1, 0, &[1; 20]), (SHA256, 0, &[2; 32])]);
    let verified = verify(&tpm, &both, &supplied, &expectations(1)).unwrap();
    assert_eq!(verified.pcrs().banks(), [SHA256, SHA1]);
}

/// Known attacks 5 and 6: other attestations, and nonces that match in part.
#[test]
fn only_fresh_quotes() {
    let tpm = Tpm::new();
    let certify = attest(0x8017, NONCE, &[0, 0, 0, 0]);
    let error = verify(&tpm, &certify, &PcrValues::new(), &expectations(0)).unwrap_err();
    assert_eq!(error, VerifyError::Type { expected: "quote", found: "certification" });
    for nonce in [&NONCE[..8], b"", &[NONCE, b"x"].concat()] {
        let message = quote(nonce, &[(SHA256, &[0])], &[&[1; 32]]);
        let supplied = values(&[(SHA256, 0, &[1; 32])]);
        let error = verify(&tpm, &message, &supplied, &expectations(1)).unwrap_err();
        assert_eq!(error, VerifyError::Nonce { expected: NONCE.to_vec(), found: nonce.to_vec() });
    }
}

/// Known attacks 7: schemes are those of the key.
#[test]
fn signatures_have_the_scheme_of_the_key() {
    let tpm = Tpm::new();
    let message = quote(NONCE, &[(SHA256, &[0])], &[&[1; 32]]);
    let supplied = values(&[(SHA256, 0, &[1; 32])]);
    let attest = Attest::parse(&message).unwrap();
    let good = tpm.key.sign(&message).unwrap();
    let check = |signature: Signature<'_>| {
        let key = tpm.attestation_key();
        attest.verify_quote(&signature, &supplied, &key, &expectations(1)).map(|_| ()).map_err(|r| r.error)
    };
    assert_eq!(check(Signature::RawRsa(&good)), Ok(()));
    assert_eq!(check(Signature::RsaSsa { hash: SHA256, signature: &good }), Ok(()));
    for other in [
        Signature::RsaPss { hash: SHA256, signature: &good },
        Signature::RsaSsa { hash: HashAlgorithm::Sha384, signature: &good },
        Signature::RsaSsa { hash: SHA1, signature: &good },
        Signature::Ecdsa { hash: SHA256, r: &good, s: &good },
    ] {
        assert_eq!(check(other), Err(VerifyError::SignatureScheme));
    }
    let error = check(Signature::RawRsa(&good[1..]));
    assert_eq!(error, Err(VerifyError::Signature { what: "quote" }));
    // A key of which only the public half is known takes the scheme of the signature, never SHA-1.
    let bare = AttestationKey::from_trusted_spki(&tpm.key.public_key_der().unwrap()).unwrap();
    let sha1 = Signature::RsaSsa { hash: SHA1, signature: &good };
    let error = attest.verify_quote(&sha1, &supplied, &bare, &expectations(1)).unwrap_err().error;
    assert_eq!(error, KeyError::WeakHash { what: "signing scheme", found: SHA1 }.into());
}

/// Known attacks 11: what a key that quotes must be.
#[test]
fn attestation_keys_are_restricted_to_their_tpm() {
    let refused = |attributes, scheme: &[u8]| {
        let tpm = Tpm::with(attributes, scheme);
        let area = PublicArea::parse(&tpm.area).unwrap();
        match AttestationKey::from_trusted_public(&area).unwrap_err().error {
            VerifyError::Key(error) => error,
            other => panic!("{other}"),
        }
    };
    for (bit, attribute) in [
        (Attributes::FIXED_TPM, "fixedTPM"),
        (Attributes::FIXED_PARENT, "fixedParent"),
        (Attributes::SENSITIVE_DATA_ORIGIN, "sensitiveDataOrigin"),
        (Attributes::RESTRICTED, "restricted"),
        (Attributes::SIGN, "sign"),
    ] {
        let error = refused(AK_ATTRIBUTES & !bit, RSASSA_SHA256);
        assert_eq!(error, KeyError::Attribute { attribute, required: true });
    }
    let error = refused(AK_ATTRIBUTES | Attributes::DECRYPT, RSASSA_SHA256);
    assert_eq!(error, KeyError::Attribute { attribute: "decrypt", required: false });
    assert_eq!(refused(AK_ATTRIBUTES, &[0, 0x10]), KeyError::Scheme);
    assert_eq!(refused(AK_ATTRIBUTES, &[0, 0x15]), KeyError::Scheme);
    let error = refused(AK_ATTRIBUTES, &[0, 0x14, 0, 4]);
    assert_eq!(error, KeyError::WeakHash { what: "signing scheme", found: SHA1 });

    let mut tpm = Tpm::new();
    tpm.area[3] = 4;
    let area = PublicArea::parse(&tpm.area).unwrap();
    let error = check_attestation_key(&area).unwrap_err();
    assert_eq!(error, KeyError::WeakHash { what: "name algorithm", found: SHA1 });
    let restricted = Tpm::new();
    let area = PublicArea::parse(&restricted.area).unwrap();
    let error = check_application_key(&area).unwrap_err();
    assert_eq!(error, KeyError::Attribute { attribute: "restricted", required: false });
    assert!(matches!(
        AttestationKey::from_trusted_spki(b"no key").unwrap_err().error,
        VerifyError::Key(KeyError::Malformed)
    ));
}

fn evidence<'a>(tpm: &'a Tpm, message: &'a [u8], signature: &'a [u8], values: &'a PcrValues) -> Evidence<'a> {
    Evidence {
        quote: message,
        signature: SignatureBytes::Tpmt(signature),
        pcrs: PcrBytes::Values(values),
        event_logs: &[],
        ima_log: None,
        ak_public: Some(&tpm.area),
        ak_certificate: None,
    }
}

#[test]
fn keys_must_be_trusted() {
    let (tpm, other) = (Tpm::new(), Tpm::new());
    let message = quote(NONCE, &[(SHA256, &[0])], &[&[1; 32]]);
    let signature = tpm.sign(&message);
    let supplied = values(&[(SHA256, 0, &[1; 32])]);
    let now = OffsetDateTime::UNIX_EPOCH;
    let verify = |trust: &KeyTrust, evidence: &Evidence<'_>| {
        evidence.verify(trust, &expectations(1), now).map(|_| ()).map_err(|rejection| {
            assert!(rejection.verdict.first_failure().is_some());
            rejection.error
        })
    };
    let sent = evidence(&tpm, &message, &signature, &supplied);
    let untrusted = Err(EvidenceError::Verify(KeyError::Untrusted.into()));
    assert_eq!(verify(&KeyTrust::default(), &sent), untrusted);
    let mut trust = KeyTrust::default();
    trust.add_key(&other.area).unwrap();
    assert_eq!(verify(&trust, &sent), untrusted);
    trust.add_key(&tpm.area).unwrap();
    assert_eq!(verify(&trust, &sent), Ok(()));
    assert_eq!(verify(&trust, &Evidence { ak_public: None, ..sent }), untrusted);
    assert_eq!(trust.add_key(b"no key"), Err(KeyError::Malformed));

    // The operator knows the public area: nobody else may say what it is.
    let mut forged = tpm.area.clone();
    forged[7] |= 4;
    let mismatch = Err(EvidenceError::Verify(KeyError::Mismatch.into()));
    assert_eq!(verify(&trust, &Evidence { ak_public: Some(&forged), ..sent }), mismatch);
    // Only the key is known: the public area sent says the rest, and must be in order.
    let mut bare = KeyTrust::default();
    bare.add_key(&tpm.key.public_key_der().unwrap()).unwrap();
    assert_eq!(verify(&bare, &sent), Ok(()));
    forged[5] &= !1;
    assert!(verify(&bare, &Evidence { ak_public: Some(&forged), ..sent }).is_err());
    let spki = tpm.key.public_key_der().unwrap();
    assert_eq!(verify(&bare, &Evidence { ak_public: Some(&spki), ..sent }), Ok(()));

    let time = attest(0x8019, NONCE, &[0; 33]);
    let error = verify(&trust, &Evidence { quote: &time, ..sent }).unwrap_err();
    let expected = VerifyError::Type { expected: "quote", found: "time" };
    assert_eq!(error, EvidenceError::Verify(expected));
    let error = verify(&trust, &Evidence { ak_certificate: Some(b"none"), ..sent }).unwrap_err();
    assert!(error.to_string().contains("no certificate in it"), "{error}");
    let error = verify(&trust, &Evidence { event_logs: &[b"log"], ..sent }).unwrap_err();
    assert!(matches!(error, EvidenceError::Log(_)), "{error}");
    let error = verify(&trust, &Evidence { ima_log: Some(b"log"), ..sent }).unwrap_err();
    assert!(matches!(error, EvidenceError::Ima(_)), "{error}");
    let error = verify(&trust, &Evidence { pcrs: PcrBytes::Concatenated(&[1; 33]), ..sent }).unwrap_err();
    assert!(matches!(error, EvidenceError::Parse(_)), "{error}");
    assert_eq!(verify(&trust, &Evidence { pcrs: PcrBytes::Concatenated(&[1; 32]), ..sent }), Ok(()));
}

/// The same made with another implementation of KDFa, AES-CFB and HMAC.
#[test]
fn credentials_have_the_specified_layout() {
    let tpm = Tpm::new();
    let key = spki::parse(&tpm.key.public_key_der().unwrap()).unwrap();
    let ek = EndorsementKey { key: &key, name_algorithm: SHA256, symmetric_bits: 128 };
    let name = [&[0, 0x0b][..], &crypto::sha256(b"key")].concat();
    let seed: Vec<u8> = (0..32).collect();
    let made = credential::protect(&ek, &seed, &name, b"a secret of 20 bytes").unwrap();
    assert_eq!(
        hex::encode(made),
        "0020ae55ba93107f3af3fc230f7d0cef1fdb593e63be93c72190ce3284b24cfcd1c4\
         f71ce719870ef6be6ace83fdfe7a375955eb0d91002a"
    );
    let made = make_credential(&ek, &name, b"secret").unwrap();
    assert_eq!((made.encrypted_secret.len(), made.id_object.len()), (256, 34 + 8));
    assert_ne!(make_credential(&ek, &name, b"secret").unwrap(), made);
    assert_eq!(
        make_credential(&ek, &name, &[0; 33]),
        Err(CredentialError::SecretSize { found: 33, limit: 32 })
    );
    let odd = EndorsementKey { symmetric_bits: 192, ..ek };
    assert_eq!(make_credential(&odd, &name, b"secret"), Err(CredentialError::Key));
}

/// Made with another implementation of RSASSA-PSS.
const VBS_MODULUS: &str = "88a60647f157d575056a7de1dccbc4990c1f3be9c26610ae15a92cfd243b3bd14e6d4904840ca521768dba0fa86450c6\
     7083fa5415003bc8170242b64e06b360b17291b3c8e887260d455261fc3b895db9e41c38fba8f679a469c83421fda5ec\
     fec552cc41f6b250c2973b2fc6ab98c3afc4cc0eec5ed233a646a18510dcda8de1bc76c681be0fcb593fe70b74cc458a\
     7de0154bf5f0cac557981d2869c7c67ef3c313e89f6ca0fcf13dfc136fd4fde6f8708803de2c198113aa500d6480ec5f\
     91c361fbad3ba60dae107cc04e34c8a9f6ea290e1da3f5430aabde794ad52b750b52a09e91efa614be616203a4a78d56\
     6cfdcccaf2aaaad9cc69ff14ecaac435";
const VBS_SIGNATURE: &str = "605dc2458361406ea7861b7eefaa53c7cd1267c9956528cc847225f594f67a8b3e02e61d3caa398e3faaedb645a6ea19\
     1faf1fc07a2e5eddfdc03fe4386fff27a1c17f7f84bb0d880b6958bf86f57c9342aad8b3c52e64cdc4de9da8d5e32baa\
     81c4bc9a9f5c037a555891423a29213e3a7bb9c9c534ce365dcdec5fddb10c51214eda35c20197fdf412074151afbf62\
     4400af0bc00b0e649f62ad33cde173c3abb85ff08896b51e040e378061ca05a76d446a6132eda52a5974e713fbc213ad\
     ad29dfceaf4dc7889b160ee5aac99a296e212a5d6ebdb43736d1f215e9b735a60a614d3ba48c0af1aa93b53daa178671\
     81e8c886ec75d5c1bfe0ad30af22025b";

fn vbs_report(flags: u32) -> Vec<u8> {
    let mut statement = Vec::new();
    statement.extend(1_u32.to_le_bytes());
    statement.extend([0xda; 64]);
    for (byte, length) in [(b'O', 32), (b'U', 32), (b'A', 32), (b'F', 16), (b'I', 16)] {
        statement.extend(vec![byte; length]);
    }
    for number in [7, 8, 9, flags, 6, 0x10, 1, 112_u32] {
        statement.extend(number.to_le_bytes());
    }
    for (byte, length) in [(b'u', 32), (b'a', 32), (b'f', 16), (b'i', 16)] {
        statement.extend(vec![byte; length]);
    }
    statement.extend(3_u32.to_le_bytes());
    statement.extend(b"m\0\0\0");
    let size = u32::try_from(statement.len() + 4).unwrap();
    let signature = hex::decode(VBS_SIGNATURE).unwrap();
    let mut bytes = Vec::new();
    for number in [24 + size + 256, 1, 1, size, 256, 0, size] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(statement);
    bytes.extend(signature);
    bytes
}

#[test]
fn enclave_reports_are_signed_by_the_key_measured_at_boot() {
    let key = crypto::PublicKey::rsa(&hex::decode(VBS_MODULUS).unwrap(), &[1, 0, 1]).unwrap();
    let boot = WindowsBoot { vsm_signing_key: Some(key), ..WindowsBoot::default() };
    let bytes = vbs_report(1);
    let report = VbsReport::parse(&bytes).unwrap();
    let verified = report.verify(Some(&boot)).unwrap();
    assert_eq!(verified.enclave_data(), &[0xda; 64]);
    let identity = verified.identity();
    assert_eq!((identity.author_id, identity.image_id), (&[b'A'; 32], &[b'I'; 16]));
    assert_eq!((identity.enclave_svn, identity.platform_svn, identity.flags), (7, 9, 1));
    for boot in [None, Some(&WindowsBoot::default())] {
        let error = report.verify(boot).unwrap_err();
        assert_eq!(error, VbsError::NoKey);
        assert_eq!(error.check().id, "vbs.report.signature");
    }
    let other = vbs_report(0);
    assert_eq!(VbsReport::parse(&other).unwrap().verify(Some(&boot)), Err(VbsError::Signature));
    for index in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[index] ^= 1 << (index % 8);
        // The reserved field of the package is not signed.
        if (20..24).contains(&index) {
            continue;
        }
        let accepted = VbsReport::parse(&flipped).is_ok_and(|report| report.verify(Some(&boot)).is_ok());
        assert!(!accepted, "byte {index}");
        assert!(VbsReport::parse(&bytes[..index]).is_err());
    }
}
