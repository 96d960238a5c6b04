//! The seeds of the committed corpus, made anew: sound inputs, whose mutations come close to every rule.

use api::management;
use token::policy_jws::unsigned;

use super::sgx::world;
use super::text::KEYS;
use super::tpm;
use crate::endorsed_tpm::SoftwareTpm;
use crate::intel::{Ca, Certification, Forge};
use crate::key::Key;
use crate::open_enclave::{self, RAW_QUOTE};
use crate::scenarios::NOW;
use crate::tpm::{Binding, BootLog, Request, Version, structures, vbs};
use crate::{formats, x509};

/// A seed: target, name, bytes.
pub type Seed = (&'static str, &'static str, Vec<u8>);

/// All seeds.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    [quotes(), certificates(), endorsements(), texts(), machines()].concat()
}

fn quotes() -> Vec<Seed> {
    let (forge, minted) = (&world().forge, &world().minted);
    let certified = |certification| {
        let mut forge = forge.clone();
        forge.quote.certification = certification;
        forge.mint().quote
    };
    vec![
        ("sgx_quote", "platform", minted.quote.clone()),
        ("sgx_quote", "wrapped", certified(Certification::Wrapped { inner: 5 })),
        ("sgx_quote", "ppid", certified(Certification::Other { kind: 3, data: vec![1; 404] })),
        ("open_enclave_report", "report", open_enclave::report(&minted.quote)),
        ("open_enclave_report", "raw_quote", open_enclave::evidence(3, RAW_QUOTE, &minted.quote)),
    ]
}

fn certificates() -> Vec<Seed> {
    let (forge, minted) = (&world().forge, &world().minted);
    let processor = Forge::new(Ca::Processor, NOW);
    let chain = |quote: &[u8]| {
        let start = quote.windows(5).position(|window| window == b"-----").expect("PEM");
        quote[start..].to_vec()
    };
    let mut revoking = forge.pck_crl.clone();
    revoking.revoked = (1..20).map(|serial| vec![serial; 20]).collect();
    vec![
        ("pck_chain", "platform", chain(&minted.quote)),
        ("pck_chain", "processor", chain(&processor.mint().quote)),
        ("sgx_extension", "platform", forge.sgx.der()),
        ("sgx_extension", "processor", processor.sgx.der()),
        ("signer_chain", "tcb_signing", minted.tcb_info_issuer_chain.clone()),
        ("trust_anchor", "root", minted.root.clone()),
        ("crl", "root", minted.root_ca_crl.clone()),
        ("crl", "processor", processor.pck_crl.der()),
        ("crl", "revoking", revoking.der()),
    ]
}

fn endorsements() -> Vec<Seed> {
    let (forge, minted) = (&world().forge, &world().minted);
    let mut v2 = forge.tcb_info.clone();
    v2.version = 2;
    vec![
        ("tcb_info", "value_v3", forge.tcb_info.body().into_bytes()),
        ("tcb_info", "value_v2", v2.body().into_bytes()),
        ("tcb_info", "document", minted.tcb_info.clone()),
        ("qe_identity", "value", forge.qe_identity.body().into_bytes()),
        ("qe_identity", "document", minted.qe_identity.clone()),
        ("endorsement_file", "open_enclave", formats::open_enclave(minted, "2026-01-01T00:00:00Z")),
        ("endorsement_file", "serialised", formats::serialised_collateral(minted)),
        ("endorsement_file", "dcap_qvl", formats::dcap_qvl(minted)),
        ("endorsement_file", "tcb_info_wrapper", formats::tcb_info_wrapper(minted)),
        ("endorsement_file", "qe_identity_wrapper", formats::qe_identity_wrapper(minted)),
        ("endorsement_file", "tcb_info", minted.tcb_info.clone()),
        ("endorsement_file", "crl_pem", x509::pem("X509 CRL", &minted.pck_crl).into_bytes()),
        ("endorsement_file", "crl_hex", hex::encode(&minted.root_ca_crl).into_bytes()),
        ("endorsement_file", "chain", minted.tcb_info_issuer_chain.clone()),
    ]
}

fn texts() -> Vec<Seed> {
    let quote = &world().minted.quote;
    let text = |text: &str| text.as_bytes().to_vec();
    let request = |member: &str, evidence: &[u8]| {
        let evidence = token::base64url::encode(evidence);
        let data = token::base64url::encode(br#"{"key":"value"}"#);
        text(&format!(
            concat!(
                r#"{{"{}":"{}","runtimeData":{{"data":"{}","dataType":"JSON"}},"initTimeData":null,"#,
                r#""nonce":"7","draftPolicyForAttestation":"dmVyc2lvbj0xLjA7"}}"#
            ),
            member, evidence, data
        ))
    };
    let chain = &world().forge.chain;
    let (root_der, signing_der) = (chain.root.der(), chain.tcb_signing.der());
    let root = token::base64url::encode_standard(&root_der);
    let signed = |header: &str| {
        let header = token::base64url::encode(header.as_bytes());
        text(&format!("{header}.e30.{}", token::base64url::encode(&[7; 64])))
    };
    let lengths = |chain: &[&Vec<u8>]| -> Vec<u8> {
        let length = |der: &[u8]| u16::try_from(der.len()).expect("a short certificate").to_be_bytes();
        chain.iter().flat_map(|der| length(der).into_iter().chain((*der).clone())).collect()
    };
    vec![
        ("attest_open_enclave_request", "full", request("report", &open_enclave::report(quote))),
        (
            "attest_open_enclave_request",
            "preview",
            text(r#"{"Quote":"AQAAAAIAAAA","EnclaveHeldData":"e30"}"#),
        ),
        ("attest_sgx_enclave_request", "full", request("quote", quote)),
        ("attest_sgx_enclave_request", "preview", text(r#"{"Quote":"AwACAA","EnclaveHeldData":"e30"}"#)),
        ("json", "values", text(r#"{"a":[1,-2.5e3,true,null,"\u00e9\ud83d\ude00"],"b":{"c":{}}}"#)),
        ("jwks", "ec", text(KEYS)),
        (
            "jwks",
            "rsa",
            text(r#"{"keys":[{"kty":"RSA","kid":"a","n":"u1SU1Lfo","e":"AQAB","x5c":["MIIB"]}]}"#),
        ),
        (
            "management_request",
            "certificate",
            text(&format!(r#"{{"policyCertificate":{{"kty":"EC","x5c":["{root}"]}}}}"#)),
        ),
        ("management_request", "body", text(r#"{"policyCertificateToAdd":"eyJhbGciOiJub25lIn0.e30."}"#)),
        ("management_request", "policy", management::policy_payload(policy::defaults::TDX)),
        ("policy_jws", "unsigned", unsigned(&management::policy_payload(policy::defaults::TDX)).into_bytes()),
        ("policy_jws", "reset", text("eyJhbGciOiJub25lIn0..")),
        ("policy_jws", "x5c", signed(&format!(r#"{{"alg":"ES256","x5c":["{root}"]}}"#))),
        ("policy_jws", "jwk", signed(&format!(r#"{{"alg":"RSA256","jwk":{{"x5c":["{root}"]}}}}"#))),
        ("policy_signer", "root", lengths(&[&root_der])),
        ("policy_signer", "chain", lengths(&[&signing_der, &root_der])),
        ("policy_text", "default", text(policy::defaults::SGX)),
        ("policy_text", "rules", text(POLICY)),
        ("token_text", "es256", text(TOKEN)),
    ]
}

fn machines() -> Vec<Seed> {
    let (machine, makers) = (&tpm::world().machine, &tpm::world().makers);
    let (quote, signature) = machine.quote(b"nonce", &tpm::ALL);
    let certification = structures::certify(b"nonce", &machine.public(), machine.counters);
    let identity = Key::generate_rsa();
    let windows = BootLog::windows(&vbs::measured(&identity));
    let mut request = Request::new(machine.clone(), b"challenge", b"context");
    request.other_keys = vec![(Key::generate_rsa(), Binding::Certify)];
    request.history = Some(machine.clone());
    let mut first = Request::new(machine.clone(), b"challenge", b"context");
    (first.version, first.enclave) = (Version::V1, Some(identity.clone()));
    let body = |message: &str| {
        let data = token::base64url::encode(message.as_bytes());
        format!(r#"{{"data":"{data}"}}"#).into_bytes()
    };
    let certificate = machine.certificate.clone().expect("a certificate");
    let ek = token::base64url::encode(&certificate);
    let public = token::base64url::encode(&machine.public());
    vec![
        ("ak_certificate", "leaf", certificate.clone()),
        (
            "ak_certificate",
            "chain",
            x509::pem("CERTIFICATE", &[certificate, makers.certificate()].concat()).into_bytes(),
        ),
        ("ak_certificate", "issuer", makers.certificate()),
        ("cc_event_log", "linux", machine.log.bytes()),
        (
            "enrolment_request",
            "begin",
            format!(r#"{{"ekCertificates":["{ek}"],"ekPublic":"{public}","aikPublic":"{public}"}}"#)
                .into_bytes(),
        ),
        ("enrolment_request", "activate", br#"{"enrollmentContext":"AQID","secret":"BAUG"}"#.to_vec()),
        ("enrolment_request", "revoke", br#"{"reason":"stolen"}"#.to_vec()),
        ("ima_log", "ima_ng", ima_log()),
        ("platform_claim", "linux", machine.platform_claim(b"nonce")),
        ("tcg_event_log", "linux", machine.log.bytes()),
        ("tcg_event_log", "insecure", BootLog::linux(false).bytes()),
        ("tcg_event_log", "windows", windows.bytes()),
        ("tpm_attest", "quote", quote),
        ("tpm_attest", "certification", certification),
        ("tpm_message", "init", body(r#"{"payload":{"type":"aikcert"}}"#)),
        ("tpm_message", "request", body(&format!(r#"{{"request":"{}"}}"#, request.jws()))),
        ("tpm_message", "jws_v1", first.jws().into_bytes()),
        ("tpm_public_area", "rsa", machine.public()),
        ("tpm_public_area", "ecc", SoftwareTpm::new().ak_public()),
        ("tpm_public_area", "endorsement", SoftwareTpm::new().ek_public()),
        ("tpm_signature", "rsassa", signature),
        ("tpm_signature", "ecdsa", [&[0, 0x18, 0, 0x0b, 0, 32][..], &[1; 32], &[0, 32], &[2; 32]].concat()),
        ("vbs_report", "report", vbs::report(&identity, &[7; 64])),
    ]
}

/// Two records of the template `ima-ng`.
fn ima_log() -> Vec<u8> {
    let field = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).expect("a length").to_le_bytes();
        [&length[..], bytes].concat()
    };
    let mut log = Vec::new();
    for name in [&b"boot_aggregate\0"[..], b"/usr/bin/true\0"] {
        let template = [field(&[&b"sha256:\0"[..], &[7; 32]].concat()), field(name)].concat();
        log.extend(10_u32.to_le_bytes());
        log.extend(crypto::sha1(&template));
        log.extend(field(b"ima-ng"));
        log.extend(field(&template));
    }
    log
}

/// A policy with a rule of each kind.
const POLICY: &str = r#"version=1.1;
configurationrules { => issueproperty(type="x-ms-sgx-tcbidentifier", value="azuredefault"); };
authorizationrules {
    c:[type=="x-ms-sgx-is-debuggable", value==false] && [type=="x-ms-sgx-svn", value>=2] => permit();
    ![type=="x-ms-sgx-mrsigner", issuer=="AttestationService"] => deny();
};
issuancerules {
    c:[type=="x-ms-sgx-mrsigner"] => issue(type="signer", value=c.value);
    c:[type=="x-ms-sgx-svn"] => add(type="svn", value=JmesPath(c.value, "a[?b > `1`] | [0]"));
};
"#;

/// The example token of RFC 7515, appendix A.3.
const TOKEN: &str = concat!(
    "eyJhbGciOiJFUzI1NiJ9.",
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
);
