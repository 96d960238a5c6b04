use evidence::tpm::{KeyRole, PublicArea};
use time::macros::datetime;

use super::*;
use crate::test_support::scratch;

const NOW: OffsetDateTime = datetime!(2026-06-01 0:00 UTC);

fn open(name: &str) -> (DataDir, AttestationAuthority) {
    let dir = DataDir::open(&scratch(name)).unwrap();
    let authority = AttestationAuthority::open(&dir, "default", "id1", "https://attest.example/a", NOW);
    (dir, authority.unwrap())
}

/// A restricted ECDSA signing key on P-256, fixed to its TPM.
fn attestation_key() -> AttestationKey {
    let key = crypto::SigningKey::generate(crypto::SigningAlgorithm::Es256).unwrap();
    let point = key.public_key().unwrap().point().unwrap()[1..].to_vec();
    let mut area = vec![0, 0x23, 0, 0x0b, 0, 5, 0, 0x72, 0, 0, 0, 0x10, 0, 0x18, 0, 0x0b, 0, 3, 0, 0x10];
    for coordinate in point.chunks(32) {
        area.extend([0, 32]);
        area.extend(coordinate);
    }
    AttestationKey::from_trusted_public(&PublicArea::parse(&area).unwrap()).unwrap()
}

fn machine() -> MachineId {
    MachineId::parse(&"0123456789abcdef".repeat(4)).unwrap()
}

#[test]
fn its_certificates_are_those_of_attestation_keys() {
    let (_dir, authority) = open("attestation_ca");
    let mut trust = TpmTrust::new();
    authority.trust(&mut trust).unwrap();
    let key = attestation_key();
    let certified = authority.certify(&key, &machine(), 30, NOW).unwrap();
    let parsed = AkCertificate::parse(&certified.der).unwrap();
    parsed.verify_as(KeyRole::Attestation, &trust, NOW).unwrap();
    assert!(parsed.verify_as(KeyRole::Endorsement, &trust, NOW).is_err());
    assert_eq!(parsed.spki(), key.spki());
    assert_eq!(parsed.serial(), certified.serial);
    assert_eq!(certified.serial.len(), 16);
    assert_eq!(parsed.validity().not_after, NOW + Duration::days(30));
    assert_eq!(certified.not_after, parsed.validity().not_after);
    assert!(parsed.verify_as(KeyRole::Attestation, &trust, NOW + Duration::days(31)).is_err());
    assert_eq!(parsed.subject(), format!("CN={}", machine()));
    assert!(authority.is_named_by(&parsed));
    let text = String::from_utf8_lossy(&certified.der).into_owned();
    assert!(text.contains(&format!("https://attest.example/a/tpm/machines/{}", machine())));
    assert!(text.contains("https://attest.example/a/tpm/ca.crl"));
    let again = authority.certify(&key, &machine(), 30, NOW).unwrap();
    assert_ne!(again.serial, certified.serial);
    // RSA keys, too.
    let rsa = crypto::SigningKey::generate(crypto::SigningAlgorithm::Rs256).unwrap();
    let rsa = AttestationKey::from_trusted_spki(&rsa.public_key_der().unwrap()).unwrap();
    let certified = authority.certify(&rsa, &machine(), 1, NOW).unwrap();
    let parsed = AkCertificate::parse(&certified.der).unwrap();
    parsed.verify_as(KeyRole::Attestation, &trust, NOW).unwrap();
    assert_eq!(parsed.spki(), rsa.spki());
}

#[test]
fn no_certificate_outlives_the_authority() {
    let (_dir, authority) = open("attestation_ca_end");
    let late = NOW + AUTHORITY_LIFETIME - Duration::days(1);
    let certified = authority.certify(&attestation_key(), &machine(), 30, late).unwrap();
    assert_eq!(certified.not_after, NOW + AUTHORITY_LIFETIME);
}

#[test]
fn it_is_made_once_for_each_provider() {
    let (dir, authority) = open("attestation_ca_kept");
    let open = |name: &str, id: &str| AttestationAuthority::open(&dir, name, id, "https://x.example", NOW);
    assert_eq!(open("default", "id1").unwrap().der(), authority.der());
    let other = open("team", "id2").unwrap();
    assert_ne!(other.der(), authority.der());
    assert!(other.certificate.subject().contains("id2"));
    let certified = other.certify(&attestation_key(), &machine(), 30, NOW).unwrap();
    let parsed = AkCertificate::parse(&certified.der).unwrap();
    assert!(!authority.is_named_by(&parsed));
    let mut trust = TpmTrust::new();
    authority.trust(&mut trust).unwrap();
    assert!(matches!(
        parsed.verify_as(KeyRole::Attestation, &trust, NOW),
        Err(CertificateError::Chain { .. })
    ));
    assert!(authority.pem().starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(format!("{authority:?}").contains("id1"));
    let odd = AttestationAuthority::open(&dir, "odd", "id3", "https://\u{e9}.example", NOW);
    assert!(matches!(odd, Err(AuthorityError::Identity(IdentityError::Certificate { .. }))));
}

#[test]
fn a_damaged_authority_is_reported() {
    let (dir, _) = open("attestation_ca_damaged");
    std::fs::write(dir.file("attestation-ca.pem"), "nothing").unwrap();
    let error = AttestationAuthority::open(&dir, "default", "id1", "https://x.example", NOW).unwrap_err();
    assert!(error.to_string().contains("attestation-ca.pem"), "{error}");
    // One that the exchange would not take either.
    let key = std::fs::read_to_string(dir.file("attestation-ca-key.pem")).unwrap();
    let mut params = authority_params("id1", "https://x.example", NOW).unwrap();
    let mut unknown = rcgen::CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]);
    unknown.set_criticality(true);
    params.custom_extensions = vec![unknown];
    let odd = params.self_signed(&KeyPair::from_pem(&key).unwrap()).unwrap();
    std::fs::write(dir.file("attestation-ca.pem"), odd.pem()).unwrap();
    let error = AttestationAuthority::open(&dir, "default", "id1", "https://x.example", NOW).unwrap_err();
    assert!(matches!(error, AuthorityError::Certificate(_)), "{error}");
}

#[test]
fn revoked_certificates_are_listed() {
    let (_dir, authority) = open("attestation_ca_crl");
    let certify = || authority.certify(&attestation_key(), &machine(), 30, NOW).unwrap();
    let (good, bad) = (certify(), certify());
    let revoked = RevokedCertificate { revoked_at: NOW, serial: bad.serial.clone() };
    let crl = authority.crl(&[revoked], NOW).unwrap();
    let mut trust = TpmTrust::new();
    authority.trust(&mut trust).unwrap();
    trust.add_crl(&crl).unwrap();
    let verify = |certified: &Certified| {
        AkCertificate::parse(&certified.der).unwrap().verify_as(KeyRole::Attestation, &trust, NOW)
    };
    verify(&good).unwrap();
    assert!(matches!(verify(&bad), Err(CertificateError::Revoked { serial, .. }) if serial == bad.serial));
    trust.add_crl(&authority.crl(&[], NOW).unwrap()).unwrap();
}
