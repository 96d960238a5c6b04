//! Certificate chains minted with keys of our own: what must not be accepted, one case each.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

use evidence::tpm::{AkCertificate, CertificateError, KeyRole, TpmTrust};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, CustomExtension,
    DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;
use time::macros::datetime;

const NOW: OffsetDateTime = datetime!(2026-06-01 00:00 UTC);
const ATTESTATION: &[u64] = &[2, 23, 133, 8, 3];

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = datetime!(2026-01-01 00:00 UTC);
    params.not_after = datetime!(2027-01-01 00:00 UTC);
    params.use_authority_key_identifier_extension = true;
    params
}

fn ca(name: &str, path_length: Option<u8>) -> CertificateParams {
    let mut params = params(name);
    let constraints = path_length.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf() -> CertificateParams {
    let mut params = params("leaf");
    params.serial_number = Some(SerialNumber::from(77_u64));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(ATTESTATION.to_vec())];
    params
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    fn root(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn below(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    fn leaf(&self, params: &CertificateParams) -> AkCertificate {
        let certificate = params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap();
        AkCertificate::parse(certificate.der()).unwrap()
    }

    fn crl(&self, serial: u64, next_update: OffsetDateTime) -> Vec<u8> {
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: datetime!(2026-02-01 00:00 UTC),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: datetime!(2026-02-01 00:00 UTC),
            next_update,
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

fn trust(certificates: &[&Authority]) -> TpmTrust {
    let mut trust = TpmTrust::new();
    for authority in certificates {
        trust.add_issuers(authority.certificate.der()).unwrap();
    }
    trust
}

fn verify(leaf: &AkCertificate, trust: &TpmTrust) -> Result<(), CertificateError> {
    leaf.verify_as(KeyRole::Attestation, trust, NOW).map(|_| ())
}

#[test]
fn what_was_proved_holds_as_long_as_everything_it_rests_on() {
    let mut short = ca("root", None);
    short.not_before = datetime!(2026-02-01 00:00 UTC);
    let root = Authority::root(short);
    let mut middle = ca("middle", None);
    middle.not_after = datetime!(2026-10-01 00:00 UTC);
    let middle = root.below(middle);
    let certified = middle.leaf(&leaf());
    let mut trust = trust(&[&root, &middle]);
    let valid = |trust: &TpmTrust| certified.verify_as(KeyRole::Attestation, trust, NOW).unwrap();
    let proved = valid(&trust);
    assert_eq!(proved.not_before, datetime!(2026-02-01 00:00 UTC), "of the root");
    assert_eq!(proved.not_after, datetime!(2026-10-01 00:00 UTC), "of the intermediate");
    // Until a newer list could revoke it.
    trust.add_crl(&middle.crl(5, datetime!(2026-07-01 00:00 UTC))).unwrap();
    assert_eq!(valid(&trust).not_after, datetime!(2026-07-01 00:00 UTC));
}

#[test]
fn chains_lead_to_a_trusted_root() {
    let root = Authority::root(ca("root", None));
    let first = root.below(ca("first", None));
    let second = first.below(ca("second", None));
    let certified = second.leaf(&leaf());
    assert_eq!(verify(&certified, &trust(&[&root, &first, &second])), Ok(()));
    assert_eq!(verify(&certified, &trust(&[&second, &root, &first])), Ok(()));
    assert!(matches!(verify(&certified, &trust(&[&root, &second])), Err(CertificateError::Chain { .. })));
    assert!(TpmTrust::new().is_empty() && !trust(&[&root]).is_empty());
    // An intermediate that the operator trusts by itself.
    let mut anchors = TpmTrust::new();
    anchors.add_anchors(second.certificate.der()).unwrap();
    assert_eq!(verify(&certified, &anchors), Ok(()));
    // A root of the same name, and an issuer of the right name with another key.
    let impostor = Authority::root(ca("root", None));
    assert!(verify(&certified, &trust(&[&impostor, &first, &second])).is_err());
    // Intermediates may come with the leaf, but no trust does.
    let key = KeyPair::generate().unwrap();
    let pem = [
        leaf().signed_by(&key, &second.issuer).unwrap().pem(),
        second.certificate.pem(),
        first.certificate.pem(),
        root.certificate.pem(),
    ];
    let chain = AkCertificate::parse(pem.concat().as_bytes()).unwrap();
    assert_eq!(verify(&chain, &trust(&[&root])), Ok(()));
    assert!(matches!(verify(&chain, &TpmTrust::new()), Err(CertificateError::Chain { .. })));
    let long = pem[0].clone() + &pem[1].repeat(7);
    assert!(matches!(AkCertificate::parse(long.as_bytes()), Err(CertificateError::TooMany { found: 8, .. })));
}

#[test]
fn many_issuers_of_one_name_are_bounded() {
    let root = Authority::root(ca("same", None));
    let mut trust = TpmTrust::new();
    let mut chain = Authority::root(ca("same", None));
    for _ in 0..40 {
        chain = Authority::root(ca("same", None));
        trust.add_issuers(chain.certificate.der()).unwrap();
    }
    // Without key identifiers every one of them is tried, up to a limit.
    let mut params = leaf();
    params.use_authority_key_identifier_extension = false;
    assert!(matches!(verify(&root.leaf(&params), &trust), Err(CertificateError::Chain { .. })));
    assert!(verify(&chain.leaf(&leaf()), &trust).is_ok());
    let bundle = chain.certificate.pem().repeat(2049);
    assert!(matches!(trust.add_issuers(bundle.as_bytes()), Err(CertificateError::TooMany { .. })));
}

#[test]
fn issuers_are_authorities() {
    let profile = |result: Result<(), CertificateError>| match result {
        Err(CertificateError::Profile { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    let root = Authority::root(ca("root", Some(0)));
    let middle = root.below(ca("middle", None));
    let certified = middle.leaf(&leaf());
    assert_eq!(profile(verify(&certified, &trust(&[&root, &middle]))), "its path length");
    assert_eq!(verify(&root.leaf(&leaf()), &trust(&[&root])), Ok(()));
    let mut no_ca = params("no ca");
    no_ca.is_ca = IsCa::ExplicitNoCa;
    let root = Authority::root(ca("root", None));
    let middle = root.below(no_ca);
    assert_eq!(profile(verify(&middle.leaf(&leaf()), &trust(&[&root, &middle]))), "its basic constraints");
    let mut signs_crls = ca("crls", None);
    signs_crls.key_usages = vec![KeyUsagePurpose::CrlSign];
    let middle = root.below(signs_crls);
    assert_eq!(profile(verify(&middle.leaf(&leaf()), &trust(&[&root, &middle]))), "its key usage");
    let mut old = ca("old", None);
    old.not_after = datetime!(2026-02-01 00:00 UTC);
    let middle = root.below(old);
    let late = verify(&middle.leaf(&leaf()), &trust(&[&root, &middle]));
    assert!(matches!(late, Err(CertificateError::Validity { subject, .. }) if subject == "CN=old"));
}

#[test]
fn leaves_are_those_of_attestation_keys() {
    let root = Authority::root(ca("root", None));
    let trusted = trust(&[&root]);
    let reason = |params: &CertificateParams| match verify(&root.leaf(params), &trusted) {
        Err(CertificateError::Profile { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(&ca("leaf", None)), "it is a CA's");
    let mut other = leaf();
    other.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert_eq!(reason(&other), "its extended key usage");
    other.extended_key_usages = Vec::new();
    assert_eq!(reason(&other), "it has no extended key usage");
    let any = trusted.clone().danger_allow_any_usage();
    assert_eq!(verify(&root.leaf(&other), &any), Ok(()));
    let mut other = leaf();
    other.key_usages = vec![KeyUsagePurpose::KeyEncipherment];
    assert_eq!(reason(&other), "its key usage");
    let mut late = leaf();
    late.not_before = datetime!(2026-07-01 00:00 UTC);
    assert!(matches!(verify(&root.leaf(&late), &trusted), Err(CertificateError::Validity { .. })));
    let mut critical = leaf();
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3], vec![5, 0]);
    extension.set_criticality(true);
    critical.custom_extensions = vec![extension];
    let certificate = critical.signed_by(&KeyPair::generate().unwrap(), &root.issuer).unwrap();
    assert!(matches!(AkCertificate::parse(certificate.der()), Err(CertificateError::Malformed { .. })));
}

#[test]
fn revoked_certificates() {
    let root = Authority::root(ca("root", None));
    let certified = root.leaf(&leaf());
    let with = |crl: &[u8]| {
        let mut trust = trust(&[&root]);
        trust.add_crl(crl).unwrap();
        verify(&certified, &trust)
    };
    let later = datetime!(2026-12-01 00:00 UTC);
    assert!(
        matches!(with(&root.crl(77, later)), Err(CertificateError::Revoked { serial, .. }) if serial == [77])
    );
    assert_eq!(with(&root.crl(78, later)), Ok(()));
    let expired = with(&root.crl(78, datetime!(2026-03-01 00:00 UTC)));
    assert!(matches!(expired, Err(CertificateError::Crl { .. })));
    // A list of another issuer of the same name says nothing.
    let sibling = Authority::root(ca("root", None));
    assert_eq!(with(&sibling.crl(77, later)), Ok(()));
    assert!(matches!(TpmTrust::new().add_crl(b"no list"), Err(CertificateError::Crl { .. })));
}

#[test]
fn every_bit_of_a_certificate_counts() {
    let root = Authority::root(ca("root", None));
    let trusted = trust(&[&root]);
    let key = KeyPair::generate().unwrap();
    let der = leaf().signed_by(&key, &root.issuer).unwrap().der().to_vec();
    let mut flipped = der.clone();
    for index in 0..der.len() {
        for bit in 0..8 {
            flipped[index] ^= 1 << bit;
            let accepted = AkCertificate::parse(&flipped).is_ok_and(|leaf| verify(&leaf, &trusted).is_ok());
            assert!(!accepted, "byte {index}, bit {bit}");
            flipped[index] ^= 1 << bit;
        }
        assert!(AkCertificate::parse(&der[..index]).is_err());
    }
    // TPMs give whole NV indices.
    let padded = [&der[..], &[0; 100]].concat();
    assert_eq!(AkCertificate::parse(&padded).unwrap().der(), der);
    assert!(AkCertificate::parse(&[&der[..], &[0, 1]].concat()).is_err());
}
