use std::sync::Arc;

use testkit::endorsed_tpm::{Maker, SoftwareTpm};
use time::macros::datetime;

use super::*;
use crate::config::ProviderConfig;
use crate::data_dir::DataDir;
use crate::store::{FILE, Store};
use crate::test_support::scratch;
use crate::tpm::Sealer;
use crate::tpm::machines::{MachineFailure, StandingError};

const NOW: OffsetDateTime = datetime!(2026-06-01 0:00 UTC);

/// A provider that trusts a maker of TPMs, and one that trusts nobody, with one database and one key for contexts.
struct World {
    _dir: DataDir,
    maker: Maker,
    provider: Tpm,
    other: Tpm,
}

fn world(name: &str) -> World {
    let path = scratch(name);
    let dir = DataDir::open(&path.join("data")).unwrap();
    let maker = Maker::new("a maker");
    std::fs::create_dir_all(path.join("roots/ek")).unwrap();
    std::fs::write(path.join("roots/ek/maker.pem"), maker.root_pem()).unwrap();
    let store = Arc::new(Store::open(&dir.file(FILE)).unwrap());
    let sealer = Arc::new(Sealer::open(None, &dir).unwrap());
    let prepare = |id: &str, roots| {
        let tpm = crate::config::TpmConfig { roots, ..Default::default() };
        let config = ProviderConfig { name: Some(id.to_owned()), tpm, ..ProviderConfig::default() };
        let names = (id, "https://attest.example");
        Tpm::prepare(&config, names, &dir, Arc::clone(&store), Arc::clone(&sealer), NOW).unwrap()
    };
    let provider = prepare("one", Some(path.join("roots")));
    let other = prepare("other", None);
    World { maker, provider, other, _dir: dir }
}

impl World {
    fn offer(&self, tpm: &SoftwareTpm) -> Result<Offer, EnrolmentError> {
        self.provider.offer(&[self.maker.certify(tpm)], &tpm.ek_public(), &tpm.ak_public(), NOW)
    }

    fn proven(&self, tpm: &SoftwareTpm) -> Proven {
        let offer = self.offer(tpm).unwrap();
        let secret = tpm.activate(&offer.credential_blob, &offer.encrypted_secret).unwrap();
        self.provider.prove(&offer.context, &secret, NOW).unwrap()
    }

    fn enrol(&self, tpm: &SoftwareTpm) -> Enrolment {
        self.provider.enrol(&self.proven(tpm), NOW).unwrap()
    }
}

#[test]
fn a_machine_enrols_and_is_the_same_with_every_key() {
    let world = world("enrolment");
    let tpm = SoftwareTpm::new();
    let first = world.enrol(&tpm);
    let certificate = AkCertificate::parse(&first.certified.der).unwrap();
    let area = tpm.ak_public();
    let key = PublicArea::parse(&area).unwrap().public_key().unwrap();
    assert_eq!(certificate.public_key(), &key);
    let mut trust = world.provider.trusted().roots.aik.clone();
    certificate.verify_as(KeyRole::Attestation, trust.issuers_mut(), NOW).unwrap();
    assert_eq!(first.machine.as_str(), hex::encode(sha256(&tpm.ek_spki())));
    assert_eq!(first.chain, [world.provider.authority.der()]);
    assert_eq!(first.certified.not_after, NOW + Duration::days(30));
    let tpm = tpm.with_new_attestation_key();
    let second = world.enrol(&tpm);
    assert_eq!(second.machine, first.machine);
    let details = world.provider.machine(&first.machine).unwrap();
    assert_eq!(details.certificates.len(), 2);
    let area = tpm.ak_public();
    let name = PublicArea::parse(&area).unwrap().name();
    assert!(details.certificates.iter().any(|certificate| certificate.key_name == name));
    assert_ne!(world.enrol(&SoftwareTpm::new()).machine, first.machine);
}

#[test]
fn only_genuine_endorsement_certificates() {
    let world = world("enrolment_certificates");
    let tpm = SoftwareTpm::new();
    let offer = |certificates: &[Vec<u8>]| {
        world.provider.offer(certificates, &tpm.ek_public(), &tpm.ak_public(), NOW)
    };
    let refused = |certificates: &[Vec<u8>]| match offer(certificates) {
        Err(EnrolmentError::Certificate(error)) => error,
        other => panic!("{other:?}"),
    };
    let good = world.maker.certify(&tpm);
    offer(std::slice::from_ref(&good)).unwrap();
    let impostor = Maker::new("a maker").certify(&tpm);
    assert!(matches!(refused(&[impostor]), CertificateError::Chain { .. }));
    let expired = world.maker.certify_with(&tpm, |params| params.not_after = NOW - Duration::DAY);
    assert!(matches!(refused(&[expired]), CertificateError::Validity { .. }));
    let usage = world.maker.certify_with(&tpm, |params| params.extended_key_usages.clear());
    assert!(matches!(refused(&[usage]), CertificateError::Profile { .. }));
    assert!(matches!(refused(&[b"none".to_vec()]), CertificateError::Malformed { .. }));
    assert!(matches!(refused(&[]), CertificateError::Malformed { .. }));
    assert!(matches!(refused(&vec![good.clone(); 9]), CertificateError::TooMany { .. }));
    // A certificate of a machine's attestation key is none of its endorsement key.
    let attestation = world.enrol(&tpm).certified.der;
    assert!(matches!(refused(&[attestation]), CertificateError::Profile { .. }));
    let nobody = world.other.offer(&[good], &tpm.ek_public(), &tpm.ak_public(), NOW);
    assert!(matches!(nobody, Err(EnrolmentError::NoRoots)));
}

#[test]
fn only_keys_that_a_tpm_keeps() {
    let world = world("enrolment_keys");
    let (tpm, other) = (SoftwareTpm::new(), SoftwareTpm::new());
    let certificate = [world.maker.certify(&tpm)];
    let offer = |ek: &[u8], ak: &[u8]| world.provider.offer(&certificate, ek, ak, NOW).unwrap_err();
    let (ek, ak) = (tpm.ek_public(), tpm.ak_public());
    assert!(matches!(offer(&other.ek_public(), &ak), EnrolmentError::EndorsementKey(KeyError::Mismatch)));
    assert!(matches!(offer(&ek[1..], &ak), EnrolmentError::EndorsementKeyShape(_)));
    assert!(matches!(offer(&ek, &ak[1..]), EnrolmentError::AttestationKeyShape(_)));
    for (attributes, attribute, required) in [
        (0x0004_0472, "restricted", true),
        (0x0005_0470, "fixedTPM", true),
        (0x0005_0462, "fixedParent", true),
        (0x0005_0452, "sensitiveDataOrigin", true),
        (0x0007_0472, "decrypt", false),
    ] {
        let error = offer(&ek, &tpm.ak_public_with(attributes));
        let expected = KeyError::Attribute { attribute, required };
        assert!(matches!(error, EnrolmentError::AttestationKey(found) if found == expected), "{attribute}");
    }
}

#[test]
fn the_secret_opens_for_one_tpm_with_one_key_once() {
    let world = world("enrolment_secret");
    let (tpm, other) = (SoftwareTpm::new(), SoftwareTpm::new());
    let offer = world.offer(&tpm).unwrap();
    assert_eq!(other.activate(&offer.credential_blob, &offer.encrypted_secret), None);
    let secret = tpm.activate(&offer.credential_blob, &offer.encrypted_secret).unwrap();
    let prove = |context: &[u8], secret: &[u8], now| world.provider.prove(context, secret, now).map(|_| ());
    for wrong in [&secret[1..], &[0; 32], b""] {
        assert!(matches!(prove(&offer.context, wrong, NOW), Err(EnrolmentError::Secret)));
    }
    // The secret of another enrolment.
    let another = world.offer(&tpm).unwrap();
    assert!(matches!(prove(&another.context, &secret, NOW), Err(EnrolmentError::Secret)));
    let foreign = |result| matches!(result, Err(EnrolmentError::Context(OpenError::Foreign)));
    let mut changed = offer.context.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert!(foreign(prove(&changed, &secret, NOW)));
    assert!(foreign(world.other.prove(&offer.context, &secret, NOW).map(|_| ())), "another provider's");
    let sealer = &world.provider.sealer;
    let end = NOW + Duration::MINUTE;
    let provider = &world.provider.challenger;
    let challenge = sealer.seal(Purpose::Challenge, provider, &[0; 80], end).unwrap();
    assert!(foreign(prove(&challenge, &secret, NOW)), "made for another purpose");
    let short = sealer.seal(Purpose::Enrollment, provider, &[0; 33], end).unwrap();
    assert!(foreign(prove(&short, &secret, NOW)));
    let late = NOW + LIFETIME;
    let expired = prove(&offer.context, &secret, late);
    assert!(matches!(expired, Err(EnrolmentError::Context(OpenError::Expired { at })) if at == late));

    let in_time = late - Duration::SECOND;
    let proven = world.provider.prove(&offer.context, &secret, in_time).unwrap();
    let again = world.provider.prove(&offer.context, &secret, in_time).unwrap();
    world.provider.enrol(&proven, in_time).unwrap();
    assert!(matches!(world.provider.enrol(&again, in_time), Err(EnrolmentError::Used)));
    let machine = proven.machine();
    assert_eq!(world.provider.machine(machine).unwrap().certificates.len(), 1);
}

#[test]
fn a_machine_has_so_many_certificates() {
    let world = world("enrolment_many");
    let tpm = SoftwareTpm::new();
    let machine = world.enrol(&tpm).machine;
    for serial in 1_u8..=255 {
        let stored = StoredCertificate {
            serial: vec![serial],
            key_name: Vec::new(),
            issued_at: NOW,
            not_after: NOW + Duration::DAY,
        };
        let kept = world.provider.store.enrol_machine("one", (machine.as_str(), b""), &stored, NOW).unwrap();
        assert_eq!(kept, Enrolled::Kept);
    }
    let refused = world.provider.enrol(&world.proven(&tpm), NOW);
    assert!(matches!(refused, Err(EnrolmentError::TooManyCertificates { .. })), "{refused:?}");
}

#[test]
fn a_revoked_machine_neither_enrols_nor_attests() {
    let world = world("enrolment_revoked");
    let tpm = SoftwareTpm::new();
    let provider = &world.provider;
    let Enrolment { certified, machine, .. } = world.enrol(&tpm);
    assert_eq!(provider.machine_of(&certified.der).unwrap(), Some(machine.clone()));
    let begun = world.proven(&tpm);
    let at = NOW + Duration::MINUTE;
    let revoked = provider.revoke(&machine, "stolen".to_owned(), at).unwrap();
    assert_eq!(revoked.machine.revocation.map(|revocation| revocation.reason).as_deref(), Some("stolen"));
    let id = machine.as_str();
    assert!(matches!(
        provider.machine_of(&certified.der),
        Err(StandingError::Revoked { machine }) if machine == id
    ));
    assert!(matches!(world.offer(&tpm), Err(EnrolmentError::Revoked { at: found, .. }) if found == at));
    assert!(matches!(provider.enrol(&begun, NOW), Err(EnrolmentError::Revoked { .. })));
    // Another key of the same TPM is the same machine.
    let tpm = tpm.with_new_attestation_key();
    assert!(matches!(world.offer(&tpm), Err(EnrolmentError::Revoked { .. })));
    provider.restore(&machine).unwrap();
    assert_eq!(provider.machine_of(&certified.der).unwrap(), Some(machine));
    provider.enrol(&begun, NOW).unwrap();
}

#[test]
fn certificates_that_name_the_authority_are_known_or_refused() {
    let world = world("enrolment_standing");
    let tpm = SoftwareTpm::new();
    let certified = world.enrol(&tpm).certified.der;
    // Another issuer's say nothing here.
    assert_eq!(world.provider.machine_of(&world.maker.certify(&tpm)).unwrap(), None);
    assert_eq!(world.other.machine_of(&certified).unwrap(), None);
    assert!(matches!(world.provider.machine_of(b"none"), Err(StandingError::Certificate(_))));
    // One that the database does not have.
    let area = tpm.ak_public();
    let key = attestation_key(&PublicArea::parse(&area).unwrap()).unwrap();
    let machine = MachineId::parse(&"0".repeat(64)).unwrap();
    let forgotten = world.provider.authority.certify(&key, &machine, 1, NOW).unwrap();
    assert!(matches!(
        world.provider.machine_of(&forgotten.der),
        Err(StandingError::Forgotten { serial }) if serial == forgotten.serial
    ));
    let unknown = |result: Result<_, MachineFailure>| matches!(result, Err(MachineFailure::Unknown { .. }));
    assert!(unknown(world.provider.machine(&machine)));
    assert!(unknown(world.provider.revoke(&machine, String::new(), NOW)));
    assert!(unknown(world.provider.restore(&machine)));
}

#[test]
fn the_list_of_revoked_certificates_follows_at_once() {
    let world = world("enrolment_crl");
    let provider = &world.provider;
    let Enrolment { certified, machine, .. } = world.enrol(&SoftwareTpm::new());
    let other = world.enrol(&SoftwareTpm::new()).certified;
    let verify = |certified: &Certified, now| {
        let mut trust = evidence::tpm::TpmTrust::new();
        provider.authority.trust(&mut trust).unwrap();
        trust.add_crl(&provider.crl(now).unwrap()).unwrap();
        let certificate = AkCertificate::parse(&certified.der).unwrap();
        certificate.verify_as(KeyRole::Attestation, &trust, now).map(|_| ())
    };
    assert_eq!(verify(&certified, NOW), Ok(()));
    provider.revoke(&machine, "stolen".to_owned(), NOW).unwrap();
    assert!(matches!(verify(&certified, NOW), Err(CertificateError::Revoked { .. })));
    assert_eq!(verify(&other, NOW), Ok(()));
    provider.restore(&machine).unwrap();
    assert_eq!(verify(&certified, NOW), Ok(()));
    let now = NOW + Duration::MINUTE;
    let (first, again) = (provider.crl(NOW).unwrap(), provider.crl(now - Duration::SECOND).unwrap());
    assert_eq!(first, again);
    assert_ne!(first, provider.crl(now).unwrap());
}
