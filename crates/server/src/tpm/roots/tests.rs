use evidence::tpm::{AkCertificate, KeyRole};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, SerialNumber,
};
use time::OffsetDateTime;
use time::macros::datetime;

use super::*;
use crate::test_support::scratch;

const NOW: OffsetDateTime = datetime!(2026-06-01 0:00 UTC);

/// A maker's root, an intermediate below it and an endorsement certificate.
struct Maker {
    root: rcgen::Certificate,
    middle: rcgen::Certificate,
    leaf: AkCertificate,
    crl: rcgen::CertificateRevocationList,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = datetime!(2026-01-01 0:00 UTC);
    params.not_after = datetime!(2027-01-01 0:00 UTC);
    params
}

fn ca(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn maker() -> Maker {
    let (root_key, middle_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root = ca("root").self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(ca("root"), root_key);
    let middle = ca("middle").signed_by(&middle_key, &root_issuer).unwrap();
    let issuer = Issuer::new(ca("middle"), middle_key);
    let mut leaf = params("leaf");
    leaf.serial_number = Some(SerialNumber::from(77_u64));
    leaf.key_usages = vec![KeyUsagePurpose::KeyAgreement];
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])];
    let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    let crl = CertificateRevocationListParams {
        this_update: datetime!(2026-02-01 0:00 UTC),
        next_update: datetime!(2027-02-01 0:00 UTC),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: vec![rcgen::RevokedCertParams {
            serial_number: SerialNumber::from(77_u64),
            revocation_time: datetime!(2026-02-01 0:00 UTC),
            reason_code: None,
            invalidity_date: None,
        }],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let crl = crl.signed_by(&issuer).unwrap();
    Maker { root, middle, leaf: AkCertificate::parse(leaf.der()).unwrap(), crl }
}

/// An empty directory of roots.
fn directory(name: &str) -> PathBuf {
    let root = scratch(name);
    fs::create_dir_all(root.join("ek/maker")).unwrap();
    fs::create_dir_all(root.join("aik")).unwrap();
    root
}

fn load(root: &Path) -> Result<Roots, RootsError> {
    Roots::load(Some(root))
}

#[test]
fn a_directory_of_roots_by_role() {
    let (maker, root) = (maker(), directory("roots_by_role"));
    let verify = |roots: &Roots| maker.leaf.verify_as(KeyRole::Endorsement, &roots.ek, NOW);
    assert!(verify(&Roots::load(None).unwrap()).is_err());
    assert!(verify(&load(&root).unwrap()).is_err());
    fs::write(root.join("ek/root.PEM"), maker.root.pem()).unwrap();
    fs::write(root.join("ek/.hidden"), "of a tool").unwrap();
    assert!(verify(&load(&root).unwrap()).is_err(), "the intermediate is missing");
    fs::write(root.join("ek/maker/middle.cer"), maker.middle.der()).unwrap();
    verify(&load(&root).unwrap()).unwrap();
    for (name, crl) in
        [("middle.crl", maker.crl.der().to_vec()), ("pem.crl", maker.crl.pem().unwrap().into_bytes())]
    {
        let path = root.join("ek").join(name);
        fs::write(&path, crl).unwrap();
        assert!(matches!(verify(&load(&root).unwrap()), Err(CertificateError::Revoked { .. })), "{name}");
        fs::remove_file(path).unwrap();
    }
    // An intermediate is trusted by itself where the operator says so, and only there.
    fs::remove_file(root.join("ek/root.PEM")).unwrap();
    assert!(verify(&load(&root).unwrap()).is_err());
    fs::create_dir_all(root.join("ek/anchors")).unwrap();
    fs::rename(root.join("ek/maker/middle.cer"), root.join("ek/anchors/middle.cer")).unwrap();
    assert!(verify(&load(&root).unwrap()).is_ok());
    fs::rename(root.join("ek/anchors/middle.cer"), root.join("ek/maker/middle.cer")).unwrap();
    fs::write(root.join("ek/root.PEM"), maker.root.pem()).unwrap();
    // Roots of one role say nothing of the other.
    fs::rename(root.join("ek/root.PEM"), root.join("aik/root.pem")).unwrap();
    assert!(verify(&load(&root).unwrap()).is_err());
    let key = KeyPair::generate().unwrap();
    fs::write(root.join("aik/machine.pub"), key.public_key_pem()).unwrap();
    load(&root).unwrap();
}

#[test]
fn what_cannot_be_used_is_named() {
    let root = directory("roots_unusable");
    let missing = load(&root.join("nowhere")).unwrap_err();
    assert!(matches!(missing, RootsError::Missing { .. }));
    assert!(missing.to_string().contains("mkdir -p"), "{missing}");

    let refused = |path: &str, content: &[u8]| {
        let path = root.join(path);
        fs::write(&path, content).unwrap();
        let error = load(&root).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        fs::remove_file(path).unwrap();
        error
    };
    let certificate = |error| matches!(error, RootsError::Certificate { .. });
    assert!(certificate(refused("ek/empty.pem", b"")));
    assert!(certificate(refused("ek/maker/cut.der", &maker().root.der()[..100])));
    assert!(certificate(refused("aik/not.crl", b"-----BEGIN CERTIFICATE-----")));
    assert!(certificate(refused("aik/not.der.crl", &[0x30, 0])));
    assert!(matches!(refused("ek/README", b"text"), RootsError::Foreign { .. }));
    assert!(matches!(refused("ek/machine.pub", b"key"), RootsError::Foreign { .. }));
    assert!(matches!(refused("aik/machine.pub", b"no key"), RootsError::Key { .. }));
    assert!(matches!(refused("root.pem", b""), RootsError::Misplaced { .. }));
    std::os::unix::fs::symlink(root.join("nowhere"), root.join("ek/link.pem")).unwrap();
    assert!(matches!(load(&root), Err(RootsError::Io { .. })));
    fs::remove_file(root.join("ek/link.pem")).unwrap();
    std::os::unix::fs::symlink(root.join("ek"), root.join("ek/maker/again")).unwrap();
    assert!(matches!(load(&root), Err(RootsError::TooMany { .. })));
}
