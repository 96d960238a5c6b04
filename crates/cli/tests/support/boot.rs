//! A machine that boots and quotes, by a key of our own: TPM evidence for the transcripts.

use std::fs;
use std::path::Path;

use time::macros::datetime;

/// Fills `directory`/boot with TPM evidence laid out as `tpm2_quote` and a copy of the logs leave it, its nonce in
/// `directory`/nonce; in `boot-changed` an event of the log is another one, in `boot-longer` the log has one event more.
/// In `boot-certified` the key has a certificate by the authority in `ak-ca.pem`, whose list that revokes it is in
/// `ak-ca.crl` (DER) and `ak-ca.crl.pem`.
pub fn boot(directory: &Path) {
    let key = crypto::SigningKey::generate(crypto::SigningAlgorithm::Rs256).unwrap();
    let area = public_area(&key);
    let nonce = *b"nonce of the verifier";
    fs::write(directory.join("nonce"), nonce).unwrap();
    let events = events();
    let pcrs: Vec<[u8; 32]> = (0..8)
        .map(|pcr| {
            let own = events.iter().filter(|event| event.0 == pcr);
            own.fold([0; 32], |value, event| {
                crypto::sha256(&[&value[..], &crypto::sha256(&event.2)].concat())
            })
        })
        .collect();
    let message = quote(&nonce, &crypto::sha256(&pcrs.concat()));
    let mut signature = vec![0, 0x14, 0, 0x0b, 1, 0];
    signature.extend(key.sign(&message).unwrap());
    let mut changed = events.clone();
    changed[9].2 = b"Returning from EFI Application from Boot Option".to_vec();
    let mut longer = events.clone();
    longer.push((4, 0x8000_0007, b"Returning from EFI Application from Boot Option".to_vec()));
    let boots = [
        ("boot", events.clone()),
        ("boot-changed", changed),
        ("boot-longer", longer),
        ("boot-certified", events),
    ];
    for (name, events) in boots {
        let place = directory.join(name);
        fs::create_dir_all(&place).unwrap();
        let write = |name: &str, bytes: &[u8]| fs::write(place.join(name), bytes).unwrap();
        write("quote.msg", &message);
        write("quote.sig", &signature);
        write("pcrs", &pcrs.concat());
        write("ak.pub", &area);
        write("eventlog", &log(&events));
    }
    certify(directory, &key.public_key_der().unwrap());
}

/// The attestation key's certificate, its authority, and the list that revokes it.
fn certify(directory: &Path, spki: &[u8]) {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "authority of attestation keys");
    (params.not_before, params.not_after) = (datetime!(2026-01-01 0:00 UTC), datetime!(2027-01-01 0:00 UTC));
    let mut leaf = params.clone();
    leaf.distinguished_name.push(rcgen::DnType::CommonName, "attestation key");
    leaf.serial_number = Some(rcgen::SerialNumber::from(77_u64));
    leaf.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 3])];
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign, rcgen::KeyUsagePurpose::CrlSign];
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(directory.join("ak-ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let public = rcgen::SubjectPublicKeyInfo::from_der(spki).unwrap();
    let certificate = leaf.signed_by(&public, &issuer).unwrap();
    fs::write(directory.join("boot-certified/ak.crt"), certificate.der()).unwrap();
    let revoked = rcgen::RevokedCertParams {
        serial_number: rcgen::SerialNumber::from(77_u64),
        revocation_time: datetime!(2026-02-01 0:00 UTC),
        reason_code: None,
        invalidity_date: None,
    };
    let list = rcgen::CertificateRevocationListParams {
        this_update: datetime!(2026-02-01 0:00 UTC),
        next_update: datetime!(2026-03-01 0:00 UTC),
        crl_number: rcgen::SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: rcgen::KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&issuer).unwrap();
    fs::write(directory.join("ak-ca.crl"), list.der()).unwrap();
    fs::write(directory.join("ak-ca.crl.pem"), list.pem().unwrap()).unwrap();
}

type Event = (u32, u32, Vec<u8>);

/// A boot without Secure Boot: PCR, type and data, which are what is measured.
fn events() -> Vec<Event> {
    let mut events = vec![(7, 0x8000_0001, variable("SecureBoot", &[0]))];
    events.extend((0..8).map(|pcr| (pcr, 4, vec![0; 4])));
    let actions = ["Calling EFI Application from Boot Option", "Exit Boot Services Invocation"];
    events.push((4, 0x8000_0007, actions[0].into()));
    events.push((5, 0x8000_0007, actions[1].into()));
    events.push((5, 0x8000_0007, b"Exit Boot Services Returned with Success".to_vec()));
    events
}

fn variable(name: &str, value: &[u8]) -> Vec<u8> {
    // EFI_GLOBAL_VARIABLE.
    let mut data = hex::decode("61dfe48bca93d211aa0d00e098032b8c").unwrap();
    data.extend(u64::try_from(name.len()).unwrap().to_le_bytes());
    data.extend(u64::try_from(value.len()).unwrap().to_le_bytes());
    data.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    data.extend(value);
    data
}

fn log(events: &[Event]) -> Vec<u8> {
    let mut spec = b"Spec ID Event03\0\0\0\0\0\0\x02\0\x02\x01\0\0\0".to_vec();
    spec.extend([0x0b, 0, 32, 0, 0]);
    let mut log = vec![0, 0, 0, 0, 3, 0, 0, 0];
    log.extend([0; 20]);
    log.extend(u32::try_from(spec.len()).unwrap().to_le_bytes());
    log.extend(spec);
    for (pcr, kind, data) in events {
        for number in [*pcr, *kind, 1] {
            log.extend(number.to_le_bytes());
        }
        log.extend([0x0b, 0]);
        log.extend(crypto::sha256(data));
        log.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        log.extend(data);
    }
    log
}

/// `TPMS_ATTEST` of a quote of PCRs 0 to 7, SHA-256.
fn quote(nonce: &[u8], digest: &[u8; 32]) -> Vec<u8> {
    let mut bytes = b"\xffTCG\x80\x18\0\0".to_vec();
    bytes.extend(u16::try_from(nonce.len()).unwrap().to_be_bytes());
    bytes.extend(nonce);
    bytes.extend([0; 16]);
    bytes.push(1);
    bytes.extend([0; 8]);
    bytes.extend([0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0, 0, 0, 32]);
    bytes.extend(digest);
    bytes
}

/// `TPMT_PUBLIC` of a restricted RSA signing key, RSASSA with SHA-256.
fn public_area(key: &crypto::SigningKey) -> Vec<u8> {
    let mut area = vec![0, 1, 0, 0x0b];
    area.extend(0x0005_0072_u32.to_be_bytes());
    area.extend([0, 0, 0, 0x10, 0, 0x14, 0, 0x0b, 8, 0, 0, 0, 0, 0, 1, 0]);
    // The modulus stands before the exponent, 02 03 01 00 01, at the end of the key.
    let der = key.public_key_der().unwrap();
    area.extend(&der[der.len() - 261..der.len() - 5]);
    area
}
