//! The stages of one attestation of a machine by its TPM, with their floors, measured in turn in one run.
//!
//!     cargo bench --manifest-path bench/Cargo.toml --bench tpm
//!
//! The machine is minted: firmware with Secure Boot and a `dbx` of 20 KiB, shim and GRUB with the commands of a usual
//! configuration, 120 events. Times are medians in microseconds on one core; what counts are the ratios.

use api::tpm::{KeyInfo, Message, SignedRequest};
use appraisal::{Issuer, TpmRequestData, TpmSettings, appraise_tpm};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench::rounds::{Subject, measure};
use crypto::{HashAlgorithm, PublicKey, SignatureScheme, SigningAlgorithm, SigningKey};
use evidence::eventlog::{EventLog, MeasuredLog};
use evidence::tpm::{
    Attest, Attestation, AttestationKey, Binding, Expectations, Key, KeyTrust, PcrSet, PcrValues, QuoteBytes,
    Quoted, Signature, TpmTrust,
};
use policy::Policy;
use serde_json::json;
use testkit::tpm::{BootLog, Machine, Makers, Request};
use time::OffsetDateTime;

const POLICY: &str = r#"version=1.0;
authorizationrules {
    [type=="aikValidated", value==true] && [type=="secureBootEnabled", value==true] => permit();
};
issuancerules { c:[type=="secureBootEnabled"] => issue(claim=c); };"#;
/// Its rules look through all events; what that costs is the policy's.
const FLEET: &str = include_str!("../../docs/policies/linux-fleet.policy");
const CHALLENGE: [u8; 16] = [7; 16];

fn main() {
    let now = OffsetDateTime::now_utc();
    let makers = Makers::new(now);
    let machine = Machine::booted(log(), &makers);
    let mut issuers = TpmTrust::new();
    issuers.add_issuers(&makers.certificate()).expect("a root");
    let trust = KeyTrust::new(issuers);
    let log = machine.log.bytes();
    let parsed = EventLog::parse(&log).expect("a log");
    println!("a log of {} events, {} KiB", parsed.events().len(), log.len() / 1024);

    let request = Request::new(machine.clone(), &CHALLENGE, b"context");
    let body = json!({ "data": b64(json!({ "request": request.jws() }).to_string().as_bytes()) }).to_string();
    let all: Vec<u8> = (0..24).collect();
    let (quote, signature) = machine.quote(b"nonce", &all);
    let mut values = PcrValues::new();
    for (index, value) in (0..).zip(&machine.pcrs) {
        values.insert(HashAlgorithm::Sha256, index, value).expect("a value");
    }
    let kept = attestation_key(&machine, &trust, now);
    let attest = Attest::parse(&quote).expect("a quote");
    let signature = Signature::parse(&signature).expect("a signature");
    let every = PcrSet::from_mask(0x00ff_ffff);
    let expectations = Expectations { nonce: b"nonce", required: every, allow_sha1: false };
    let verified = attest.verify_quote(&signature, &values, &kept, &expectations).expect("a genuine quote");
    let policies = [POLICY, FLEET].map(|text| Policy::analyze(text).expect("a policy"));
    let issuer = issuer();
    let answer = |policy: &Policy| token(&body, &kept, policy, &issuer, now);
    answer(&policies[0]);

    let key = SigningKey::generate(SigningAlgorithm::Rs256).expect("a key");
    let public = key.public_key().expect("its public half");
    // A quote, and a request as long as this one's JWS: its hash is part of the floor.
    let long = vec![7; request.jws().len()];
    let (pkcs1, pss) = (key.sign(&[7; 200]).expect("one"), key.sign_ps256(&long).expect("one"));
    let times = measure(vec![
        Subject::new("floor: two RSA-2048", || {
            (
                public.verify(SignatureScheme::RsaPkcs1(HashAlgorithm::Sha256), &[7; 200], &pkcs1),
                public.verify(SignatureScheme::RsaPss(HashAlgorithm::Sha256), &long, &pss),
            )
        }),
        Subject::new("floor: RS256 signature", || key.sign(&[7; 2000])),
        Subject::new("tpm_key_cold", || attestation_key(&machine, &trust, now)),
        Subject::new("tpm_quote_verify", || {
            attest.verify_quote(&signature, &values, &kept, &expectations).is_ok()
        }),
        Subject::new("tpm_log_parse_replay", || {
            let log = EventLog::parse(&log).expect("a log");
            MeasuredLog::verify(&[&log], verified.pcrs(), false).expect("the machine's").events().len()
        }),
        Subject::new("tpm_message_parse", || {
            let Ok((Message::Request(request), _)) = Message::parse(body.as_bytes()) else {
                panic!("no request")
            };
            let request = SignedRequest::parse(&request).expect("a request");
            request.content().expect("its content").challenge.len()
        }),
        Subject::new("tpm_request_in_process", || answer(&policies[0])),
        Subject::new("the same under linux-fleet.policy", || answer(&policies[1])),
    ]);
    let time = |name: &str| times.iter().find(|(stage, _)| *stage == name).expect("a stage").1;
    println!("{:<36} {:>10}  ratio", "stage", "µs");
    for (name, time) in &times {
        println!("{name:<36} {time:>10.1}");
    }
    let floor = time("floor: two RSA-2048") + time("floor: RS256 signature");
    let beyond_log = time("tpm_request_in_process") - time("tpm_log_parse_replay");
    println!(
        "tpm_request_in_process without the log's time is {:.2} × (two RSA-2048 and one RS256 signature).",
        beyond_log / floor
    );
}

/// What the service does with a request, from its bytes to a token, with a key that it has seen before.
fn token(
    body: &str,
    key: &AttestationKey,
    policy: &Policy,
    issuer: &Issuer,
    now: OffsetDateTime,
) -> appraisal::Token {
    let Ok((Message::Request(request), _)) = Message::parse(body.as_bytes()) else { panic!("no request") };
    let request = SignedRequest::parse(&request).expect("a request");
    let content = request.content().expect("its content");
    let current = content.current.as_ref().expect("evidence");
    let api::tpm::Quote::Tpm { quote, signature, pcrs } = &current.quote else { panic!("another version") };
    let pcrs: Vec<(u16, u8, &[u8])> = pcrs
        .iter()
        .flat_map(|bank| {
            bank.values.iter().map(|(index, digest)| (bank.algorithm, *index, digest.as_slice()))
        })
        .collect();
    let aik = public_key(&current.aik_pub);
    assert!(matches!(content.request_key.info, KeyInfo::Quote));
    let attestation = Attestation {
        challenge: &content.challenge,
        current: Quoted {
            quote: QuoteBytes::Tpm { attest: quote, signature, pcrs: &pcrs },
            event_logs: current.tcg_logs.iter().map(Vec::as_slice).collect(),
            ima_log: None,
            key: &aik,
            certificate: current.aik_cert.as_deref(),
        },
        history: None,
        request_key: Key {
            jwk_text: content.request_key.jwk.text,
            key: public_key(&content.request_key.jwk),
            binding: Binding::Quote,
        },
        other_keys: Vec::new(),
        enclave: None,
        signing_input: request.signing_input.as_bytes(),
        signature: &request.signature,
    };
    let settings = TpmSettings::of(policy).expect("settings");
    let verified = attestation.verify(key.clone(), settings.required_pcrs).expect("a genuine request");
    let result = appraise_tpm(&verified, TpmRequestData::default(), policy, None).expect("permitted");
    issuer.issue(result, now).expect("a token")
}

fn public_key(jwk: &api::tpm::Jwk<'_>) -> PublicKey {
    let api::tpm::JwkNumbers::Rsa { modulus, exponent } = &jwk.numbers else { panic!("another key") };
    PublicKey::rsa(modulus, exponent).expect("a key")
}

fn attestation_key(machine: &Machine, trust: &KeyTrust, now: OffsetDateTime) -> AttestationKey {
    let key = machine.key.public();
    let quoted = Quoted {
        quote: QuoteBytes::PlatformClaim(b""),
        event_logs: Vec::new(),
        ima_log: None,
        key: &key,
        certificate: machine.certificate.as_deref(),
    };
    quoted.attestation_key(trust, true, now).expect("a certified key")
}

/// 120 events, as a server writes that is started by shim and GRUB.
fn log() -> BootLog {
    let mut log = BootLog::linux(true);
    let dbx = log.events.iter_mut().find(|event| event.data.ends_with(b"x\0")).expect("dbx");
    dbx.data.extend([7; 20 * 1024]);
    dbx.data[24..32].copy_from_slice(&(20_u64 * 1024).to_le_bytes());
    dbx.digest = crypto::sha256(&dbx.data);
    for index in 0.. {
        // With the record that says what the log is made of.
        if log.events.len() == 119 {
            break;
        }
        let command = format!("grub_cmd: menuentry {index} Linux --class gnu-linux --unrestricted\0");
        log.add(
            8,
            0xd,
            command.clone().into_bytes(),
            command.trim_end_matches('\0')["grub_cmd: ".len()..].as_bytes(),
        );
    }
    log
}

fn issuer() -> Issuer {
    let key = SigningKey::generate(SigningAlgorithm::Rs256).expect("a key");
    let pair = rcgen::KeyPair::try_from(key.to_pkcs8().expect("its bytes").as_slice()).expect("a pair");
    let certificate = rcgen::CertificateParams::default().self_signed(&pair).expect("a certificate");
    let signer = token::Signer::new(key, vec![certificate.der().to_vec()]).expect("a signer");
    Issuer::new("https://127.0.0.1:8443".to_owned(), signer)
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
