//! Policy JWS in every form that clients send, and chains that must not be relied on.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::panic, reason = "helpers of tests fail a test where they fail")]

use crypto::{SigningAlgorithm, SigningKey};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use token::policy_jws::{ChainError, Trust, token_hash, unsigned};
use token::{JwkError, JwsError, PolicyJws, PolicyJwsError, PolicySigner, VerifiedPolicyJws, base64url};

const NOW: OffsetDateTime = time::macros::datetime!(2026-01-01 0:00 UTC);
/// The worked example of the published documentation's data.
const PAYLOAD: &str = r#"{"AttestationPolicy":"dmVyc2lvbj0xLjA7IGF1dGhvcml6YXRpb25ydWxlc3s9PiBwZXJtaXQoKTt9OyBpc3N1YW5jZXJ1bGVze307"}"#;

/// A key with its certificate, and those above it.
struct Party {
    key: SigningKey,
    pair: KeyPair,
    params: CertificateParams,
    der: Vec<u8>,
}

fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = NOW - Duration::days(1);
    params.not_after = NOW + Duration::days(1);
    params.is_ca = is_ca;
    params
}

const CA: IsCa = IsCa::Ca(BasicConstraints::Unconstrained);

impl Party {
    fn new(algorithm: SigningAlgorithm, params: CertificateParams, issuer: Option<&Self>) -> Self {
        let key = SigningKey::generate(algorithm).unwrap();
        let pair = KeyPair::try_from(key.to_pkcs8().unwrap().as_slice()).unwrap();
        let certificate = match issuer {
            None => params.self_signed(&pair).unwrap(),
            Some(issuer) => {
                let above = rcgen::Issuer::from_params(&issuer.params, &issuer.pair);
                params.signed_by(&pair, &above).unwrap()
            }
        };
        Self { key, pair, params, der: certificate.der().to_vec() }
    }

    fn es256(name: &str, is_ca: IsCa, issuer: Option<&Self>) -> Self {
        Self::new(SigningAlgorithm::Es256, params(name, is_ca), issuer)
    }

    fn signer(&self) -> PolicySigner {
        PolicySigner::stored(vec![self.der.clone()]).unwrap()
    }

    fn sign(&self, header: &Value, payload: &str) -> String {
        let input = format!(
            "{}.{}",
            base64url::encode(header.to_string().as_bytes()),
            base64url::encode(payload.as_bytes())
        );
        format!("{input}.{}", base64url::encode(&self.key.sign(input.as_bytes()).unwrap()))
    }

    fn sign_with_chain(&self, chain: &[&[u8]], payload: &str) -> String {
        self.sign(&json!({ "alg": "ES256", "x5c": x5c(chain) }), payload)
    }
}

fn x5c(chain: &[&[u8]]) -> Vec<String> {
    chain.iter().map(|der| base64url::encode_standard(der)).collect()
}

fn verify(text: &str, trust: &Trust<'_>) -> Result<VerifiedPolicyJws, PolicyJwsError> {
    PolicyJws::parse(text)?.verify(trust, NOW)
}

fn chain_error(text: &str, trust: &Trust<'_>) -> ChainError {
    match verify(text, trust) {
        Err(PolicyJwsError::Chain(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_unsigned_form_is_kept_byte_for_byte() {
    let text = unsigned(PAYLOAD.as_bytes());
    assert_eq!(token_hash(&text), "c6sEJQItV50OeP9IrP_bzywAMOVvj5uDPbklA_bwdYQ");
    for body in [text.clone(), format!("\"{text}\""), format!("  {text}\r\n"), format!("\"{text}\"\n")] {
        let verified = verify(&body, &Trust::anyone()).unwrap();
        assert_eq!((verified.text(), verified.payload()), (text.as_str(), PAYLOAD.as_bytes()), "{body}");
        assert!(verified.signer().is_none());
    }
    assert_eq!(unsigned(b""), "eyJhbGciOiJub25lIn0..");
    assert!(verify("eyJhbGciOiJub25lIn0..", &Trust::anyone()).unwrap().payload().is_empty());
    let wordy = format!("{}.{}.", base64url::encode(br#"{ "typ":"JWT", "alg" : "none" }"#), "e30");
    assert_eq!(verify(&wordy, &Trust::anyone()).unwrap().text(), wordy);
}

#[test]
fn every_header_of_the_clients_is_read() {
    for (algorithm, names, kty) in [
        (SigningAlgorithm::Rs256, ["RS256", "RSA256"], "RSA"),
        (SigningAlgorithm::Es256, ["ES256", "ECDH256"], "EC"),
    ] {
        let party = Party::new(algorithm, params("signer", CA), None);
        let chain = x5c(&[&party.der]);
        let signers = [party.signer()];
        for name in names {
            for header in [
                json!({ "alg": name, "x5c": chain }),
                json!({ "alg": name, "jwk": { "x5c": chain } }),
                json!({ "alg": name, "jwk": { "x5c": chain }, "x5c": chain, "typ": "JWT" }),
            ] {
                for payload in [PAYLOAD, ""] {
                    let text = party.sign(&header, payload);
                    for trust in [Trust::anyone(), Trust::only(&signers)] {
                        let verified = verify(&text, &trust).unwrap();
                        assert_eq!(
                            (verified.text(), verified.payload()),
                            (text.as_str(), payload.as_bytes())
                        );
                        let jwk = verified.signer().unwrap().to_jwk();
                        assert_eq!(jwk, json!({ "alg": names[0], "kty": kty, "use": "sig", "x5c": chain }));
                        assert_eq!(verified.signer().unwrap().subject(), "signer");
                    }
                }
            }
        }
    }
}

#[test]
fn an_ecdsa_signature_may_be_der() {
    let party = Party::es256("signer", CA, None);
    let text = party.sign_with_chain(&[&party.der], PAYLOAD);
    let (input, signature) = text.rsplit_once('.').unwrap();
    let fixed = base64url::decode(signature).unwrap();
    let integer = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = &bytes[zeros..];
        let sign = if bytes[0] >= 0x80 { vec![0] } else { vec![] };
        [vec![2, u8::try_from(bytes.len() + sign.len()).unwrap()], sign, bytes.to_vec()].concat()
    };
    let body = [integer(&fixed[..32]), integer(&fixed[32..])].concat();
    let der = [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat();
    let text = format!("{input}.{}", base64url::encode(&der));
    assert!(verify(&text, &Trust::anyone()).unwrap().signer().is_some());
}

#[test]
fn malformed_and_altered_texts_are_refused() {
    let party = Party::es256("signer", CA, None);
    let chain = x5c(&[&party.der]);
    let good = party.sign_with_chain(&[&party.der], PAYLOAD);
    let anyone = Trust::anyone();
    let refused = |text: &str| verify(text, &anyone).unwrap_err();
    let signed = |header: Value| refused(&party.sign(&header, PAYLOAD));

    assert!(matches!(
        refused("version=1.0; ..."),
        PolicyJwsError::Jws(JwsError::Parts { .. } | JwsError::Base64 { .. })
    ));
    assert_eq!(refused("version=1"), PolicyJwsError::Jws(JwsError::Parts { found: 1 }));
    assert_eq!(refused("e)0.e30."), PolicyJwsError::Jws(JwsError::Base64 { part: "header" }));
    let payload = base64url::encode(PAYLOAD.replace("dmVy", "dmVz").as_bytes());
    let parts: Vec<_> = good.split('.').collect();
    assert_eq!(refused(&format!("{}.{payload}.{}", parts[0], parts[2])), PolicyJwsError::Signature);
    assert_eq!(refused(&format!("{}.{}.", parts[0], parts[1])), PolicyJwsError::Signature);
    let none = base64url::encode(br#"{"alg":"none"}"#);
    assert_eq!(refused(&format!("{none}.{}.{}", parts[1], parts[2])), PolicyJwsError::UnsignedWithSignature);
    for name in ["None", "HS256", "PS256", "ES384", ""] {
        assert_eq!(
            signed(json!({ "alg": name, "x5c": chain })),
            PolicyJwsError::Algorithm { found: name.into() }
        );
    }
    assert_eq!(signed(json!({ "alg": "ES256" })), PolicyJwsError::NoCertificate);
    assert_eq!(signed(json!({ "alg": "ES256", "jwk": {} })), PolicyJwsError::NoCertificate);
    assert_eq!(
        signed(json!({ "alg": "ES256", "jwk": [] })),
        PolicyJwsError::Key(JwkError::Member { member: "jwk" })
    );
    assert_eq!(
        signed(json!({ "alg": "ES256", "x5c": "MII" })),
        PolicyJwsError::Key(JwkError::Member { member: "x5c" })
    );
    assert_eq!(
        signed(json!({ "alg": "ES256", "x5c": ["AAAA"] })),
        PolicyJwsError::Key(JwkError::Certificate)
    );
    assert_eq!(
        signed(json!({ "alg": "RS256", "x5c": chain })),
        PolicyJwsError::KeyKind { found: "RS256".into(), kind: "EC" }
    );
    assert_eq!(signed(json!({ "alg": "ES256", "x5c": chain, "crit": ["b64"] })), PolicyJwsError::Critical);
    let other = Party::es256("other", CA, None);
    let both = json!({ "alg": "ES256", "x5c": chain, "jwk": { "x5c": x5c(&[&other.der]) } });
    assert_eq!(signed(both), PolicyJwsError::Conflicting);
    assert_eq!(signed(json!({ "alg": "ES256", "x5c": x5c(&[&other.der]) })), PolicyJwsError::Signature);
}

#[test]
fn unsigned_or_foreign_texts_do_not_pass_where_signers_are_configured() {
    let (ours, theirs) = (Party::es256("ours", CA, None), Party::es256("theirs", CA, None));
    let signers = [ours.signer()];
    let only = Trust::only(&signers);
    assert_eq!(verify(&unsigned(PAYLOAD.as_bytes()), &only).unwrap_err(), PolicyJwsError::Unsigned);
    assert_eq!(verify("eyJhbGciOiJub25lIn0..", &only).unwrap_err(), PolicyJwsError::Unsigned);
    let foreign = theirs.sign_with_chain(&[&theirs.der], PAYLOAD);
    assert_eq!(chain_error(&foreign, &only), ChainError::Untrusted { common_name: "theirs".into() });
    let nobody = Trust::only(&[]);
    let own = ours.sign_with_chain(&[&ours.der], PAYLOAD);
    assert_eq!(chain_error(&own, &nobody), ChainError::Untrusted { common_name: "ours".into() });
    assert!(verify(&own, &only).is_ok());
    // Another certificate of the same name and with a key of its own.
    let namesake = Party::es256("ours", CA, None);
    let text = namesake.sign_with_chain(&[&namesake.der], PAYLOAD);
    assert_eq!(chain_error(&text, &only), ChainError::Untrusted { common_name: "ours".into() });
    let below = Party::es256("leaf", IsCa::NoCa, Some(&namesake));
    let text = below.sign_with_chain(&[&below.der], PAYLOAD);
    assert_eq!(chain_error(&text, &only), ChainError::Signature { position: 0 });
}

#[test]
fn a_self_signed_signer_must_be_an_authority() {
    let party = Party::es256("MyPolicySigner", IsCa::ExplicitNoCa, None);
    let signers = [party.signer()];
    let text = party.sign_with_chain(&[&party.der], PAYLOAD);
    for trust in [Trust::anyone(), Trust::only(&signers), Trust::new_signer(&[])] {
        let error = chain_error(&text, &trust);
        assert_eq!(error, ChainError::IssuerNotFound { common_name: "MyPolicySigner".into() });
        assert!(error.to_string().contains("find issuer certificate CN=MyPolicySigner"), "{error}");
    }
}

#[test]
fn a_self_signed_certificate_without_authority_may_be_listed_and_signs_nothing() {
    let (plain, ca) = (Party::es256("plain", IsCa::ExplicitNoCa, None), Party::es256("ca", CA, None));
    let listed = |chain| PolicySigner::verify(chain, &Trust::listed_signer(&[]), NOW);
    let signer = listed(vec![plain.der.clone()]).unwrap();
    assert!(!signer.can_sign(NOW));
    assert!(listed(vec![ca.der.clone()]).unwrap().can_sign(NOW));
    assert!(!listed(vec![ca.der.clone()]).unwrap().can_sign(NOW + Duration::days(2)), "expired");
    let signers = [signer];
    let text = plain.sign_with_chain(&[&plain.der], PAYLOAD);
    assert_eq!(
        chain_error(&text, &Trust::only(&signers)),
        ChainError::IssuerNotFound { common_name: "plain".into() }
    );
    let mut altered = plain.der.clone();
    *altered.last_mut().unwrap() ^= 1;
    assert!(listed(vec![altered]).is_err());
    let below = Party::es256("below", IsCa::NoCa, Some(&plain));
    assert!(listed(vec![below.der, plain.der.clone()]).is_err(), "nor does it vouch for others");
    assert!(listed(vec![plain.der.clone(), ca.der.clone()]).is_err());
}

#[test]
fn a_chain_leads_to_a_configured_signer_or_a_root() {
    let root = Party::es256("root", CA, None);
    let middle = Party::es256("middle", IsCa::Ca(BasicConstraints::Constrained(0)), Some(&root));
    let leaf = Party::es256("leaf", IsCa::NoCa, Some(&middle));
    let sign = |chain: &[&[u8]]| leaf.sign_with_chain(chain, PAYLOAD);
    let whole = sign(&[&leaf.der, &middle.der, &root.der]);
    let without_root = sign(&[&leaf.der, &middle.der]);
    let alone = sign(&[&leaf.der]);
    for anchor in [&root, &middle, &leaf] {
        let signers = [anchor.signer()];
        assert!(verify(&whole, &Trust::only(&signers)).is_ok(), "{}", anchor.signer().subject());
        assert!(verify(&without_root, &Trust::only(&signers)).is_ok(), "{}", anchor.signer().subject());
    }
    let (root_only, middle_only) = ([root.signer()], [middle.signer()]);
    assert!(verify(&alone, &Trust::only(&middle_only)).is_ok());
    let missing = ChainError::IssuerNotFound { common_name: "middle".into() };
    assert_eq!(chain_error(&alone, &Trust::only(&root_only)), missing);
    assert_eq!(chain_error(&alone, &Trust::anyone()), missing);
    assert!(verify(&whole, &Trust::anyone()).is_ok());
    assert_eq!(
        chain_error(&without_root, &Trust::anyone()),
        ChainError::IssuerNotFound { common_name: "root".into() }
    );
    // The order is leaf first, and nothing unrelated may follow.
    assert_eq!(
        chain_error(&sign(&[&leaf.der, &root.der, &middle.der]), &Trust::anyone()),
        ChainError::Issuer { position: 0 }
    );
    assert_eq!(
        chain_error(&sign(&[&leaf.der, &middle.der, &root.der, &leaf.der]), &Trust::anyone()),
        ChainError::Issuer { position: 2 }
    );
    // The chain of a new signer may hang below a configured one.
    let chain = vec![leaf.der.clone(), middle.der.clone()];
    assert!(PolicySigner::verify(chain.clone(), &Trust::new_signer(&root_only), NOW).is_ok());
    assert!(PolicySigner::verify(chain, &Trust::new_signer(&[]), NOW).is_err());
    assert!(matches!(
        PolicySigner::verify(Vec::new(), &Trust::anyone(), NOW),
        Err(PolicyJwsError::NoCertificate)
    ));
}

#[test]
fn issuers_must_be_authorities_of_that_depth() {
    let root = Party::es256("root", IsCa::Ca(BasicConstraints::Constrained(0)), None);
    let middle = Party::es256("middle", CA, Some(&root));
    let leaf = Party::es256("leaf", IsCa::NoCa, Some(&middle));
    let text = leaf.sign_with_chain(&[&leaf.der, &middle.der, &root.der], PAYLOAD);
    assert_eq!(chain_error(&text, &Trust::anyone()), ChainError::NotAuthority { position: 2 });

    let root = Party::es256("root", CA, None);
    let plain = Party::es256("plain", IsCa::NoCa, Some(&root));
    let leaf = Party::es256("leaf", IsCa::NoCa, Some(&plain));
    let text = leaf.sign_with_chain(&[&leaf.der, &plain.der, &root.der], PAYLOAD);
    assert_eq!(chain_error(&text, &Trust::anyone()), ChainError::NotAuthority { position: 1 });
    // Nor does a configured signer that is no authority vouch for others.
    let signers = [plain.signer()];
    let text = leaf.sign_with_chain(&[&leaf.der], PAYLOAD);
    assert_eq!(chain_error(&text, &Trust::only(&signers)), ChainError::NotAuthority { position: 1 });

    let mut restricted = params("restricted", CA);
    restricted.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let restricted = Party::new(SigningAlgorithm::Es256, restricted, Some(&root));
    let leaf = Party::es256("leaf", IsCa::NoCa, Some(&restricted));
    let text = leaf.sign_with_chain(&[&leaf.der, &restricted.der, &root.der], PAYLOAD);
    assert_eq!(chain_error(&text, &Trust::anyone()), ChainError::NotAuthority { position: 1 });
}

#[test]
fn every_certificate_must_be_valid_now() {
    let mut expired = params("expired", CA);
    expired.not_after = NOW - Duration::seconds(1);
    let mut early = params("early", CA);
    early.not_before = NOW + Duration::seconds(1);
    for params in [expired, early] {
        let root = Party::new(SigningAlgorithm::Es256, params, None);
        let text = root.sign_with_chain(&[&root.der], PAYLOAD);
        let signers = [root.signer()];
        for trust in [Trust::anyone(), Trust::only(&signers)] {
            assert!(matches!(chain_error(&text, &trust), ChainError::Validity { position: 0, .. }));
        }
        let leaf = Party::es256("leaf", IsCa::NoCa, Some(&root));
        let text = leaf.sign_with_chain(&[&leaf.der], PAYLOAD);
        assert!(matches!(chain_error(&text, &Trust::only(&signers)), ChainError::Validity { .. }));
    }
}

#[test]
fn certificates_that_cannot_be_judged_are_refused() {
    let mut strange = params("strange", CA);
    let mut extension = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    strange.custom_extensions = vec![extension];
    let party = Party::new(SigningAlgorithm::Es256, strange, None);
    let text = party.sign_with_chain(&[&party.der], PAYLOAD);
    assert_eq!(
        chain_error(&text, &Trust::anyone()),
        ChainError::UnknownCriticalExtension { position: 0, found: "1.2.3.4".into() }
    );

    let root = Party::es256("root", CA, None);
    let leaf = Party::es256("leaf", IsCa::NoCa, Some(&root));
    let text = leaf.sign_with_chain(&[&leaf.der, b"0"], PAYLOAD);
    assert_eq!(chain_error(&text, &Trust::anyone()), ChainError::Malformed { position: 1 });
    // A flipped bit of the signature at the end.
    let mut altered = root.der.clone();
    *altered.last_mut().unwrap() ^= 1;
    let text = leaf.sign_with_chain(&[&leaf.der, &altered], PAYLOAD);
    assert_eq!(chain_error(&text, &Trust::anyone()), ChainError::Signature { position: 1 });

    // An issuer with a key of another kind, which signs in another way.
    let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let root_params = params("ed25519", CA);
    let der = root_params.self_signed(&pair).unwrap().der().to_vec();
    let below = params("leaf", IsCa::NoCa);
    let key = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
    let leaf_pair = KeyPair::try_from(key.to_pkcs8().unwrap().as_slice()).unwrap();
    let leaf_der =
        below.signed_by(&leaf_pair, &rcgen::Issuer::from_params(&root_params, &pair)).unwrap().der().to_vec();
    let leaf = Party { key, pair: leaf_pair, params: below, der: leaf_der };
    let text = leaf.sign_with_chain(&[&leaf.der, &der], PAYLOAD);
    assert_eq!(
        chain_error(&text, &Trust::anyone()),
        ChainError::SignatureAlgorithm { position: 0, found: "1.3.101.112".into() }
    );
    let odd = params("odd key", CA);
    let odd = odd.signed_by(&pair, &rcgen::Issuer::from_params(&root.params, &root.pair)).unwrap();
    let text = root.sign_with_chain(&[&root.der, odd.der()], PAYLOAD);
    assert_eq!(chain_error(&text, &Trust::anyone()), ChainError::Key { position: 1 });
}

#[test]
fn issuers_may_have_longer_keys_than_signers() {
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let root_params = params("p384", CA);
    let root = root_params.self_signed(&pair).unwrap().der().to_vec();
    let leaf_params = params("leaf", IsCa::NoCa);
    let key = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
    let leaf_pair = KeyPair::try_from(key.to_pkcs8().unwrap().as_slice()).unwrap();
    let der = leaf_params.signed_by(&leaf_pair, &rcgen::Issuer::from_params(&root_params, &pair)).unwrap();
    let leaf = Party { key, pair: leaf_pair, params: leaf_params, der: der.der().to_vec() };
    assert!(verify(&leaf.sign_with_chain(&[&leaf.der, &root], PAYLOAD), &Trust::anyone()).is_ok());
    // Signing itself takes RSA and P-256 only.
    let header = json!({ "alg": "ES256", "x5c": x5c(&[&root]) });
    let text = leaf.sign(&header, PAYLOAD);
    assert!(matches!(verify(&text, &Trust::anyone()), Err(PolicyJwsError::Key(JwkError::Curve { .. }))));
}

#[test]
fn thumbprints_are_sha1_of_the_certificate() {
    let party = Party::es256("signer", CA, None);
    let thumbprint = party.signer().thumbprint();
    assert_eq!(thumbprint.len(), 40);
    assert_eq!(thumbprint, thumbprint.to_uppercase());
    assert_eq!(base64url::encode(&crypto::sha1(&party.der)).len(), 27);
    let hex: String = crypto::sha1(&party.der).iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(thumbprint, hex);
}
