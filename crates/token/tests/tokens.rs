//! What is signed verifies, and nothing else does.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod support;

use serde_json::json;
use support::{ISSUER, Identity, NOW, expectations, now, payload};
use token::json::{self, MAX_DEPTH, MAX_VALUES};
use token::jws::{MAX_HEADER_BYTES, MAX_JWS_BYTES};
use token::{
    Algorithm, Claims, Expectations, JsonError, JwkError, Jwks, JwsError, SignError, Signer, TokenError,
    UnverifiedToken, base64url,
};

fn claims(value: serde_json::Value) -> Claims {
    value.as_object().unwrap().clone()
}

fn verify(token: &str, keys: &Jwks) -> Result<Claims, TokenError> {
    UnverifiedToken::parse(token)?.verify(keys, &expectations(), now()).map(|token| token.claims().clone())
}

fn good_claims() -> Claims {
    claims(
        json!({"x-ms-ver": "1.0", "iss": ISSUER, "nbf": NOW, "iat": NOW, "exp": NOW + 28800, "B": {"b": 1, "a": [true]}}),
    )
}

#[test]
fn a_signed_token_has_the_recorded_form_and_verifies() {
    for (identity, name) in [(Identity::rs256(), "RS256"), (Identity::es256(), "ES256")] {
        let signer = identity.signer();
        let token = signer.sign(ISSUER, &good_claims()).unwrap();
        let mut parts = token.split('.').map(|part| base64url::decode(part).unwrap());
        let header =
            format!(r#"{{"alg":"{name}","jku":"{ISSUER}/certs","kid":"{}","typ":"JWT"}}"#, signer.key_id());
        assert_eq!(String::from_utf8(parts.next().unwrap()).unwrap(), header);
        let body = format!(
            r#"{{"B":{{"a":[true],"b":1}},"exp":{},"iat":{NOW},"iss":"{ISSUER}","nbf":{NOW},"x-ms-ver":"1.0"}}"#,
            NOW + 28800
        );
        assert_eq!(String::from_utf8(parts.next().unwrap()).unwrap(), body);

        let verified = UnverifiedToken::parse(&token).unwrap();
        let verified = verified.verify(&identity.jwks(), &expectations(), now()).unwrap();
        assert_eq!(verified.claims(), &good_claims());
        assert_eq!(verified.claim("x-ms-ver"), Some(&json!("1.0")));
        assert_eq!(verified.key_id(), Some(signer.key_id()));
        assert_eq!(verified.algorithm().as_str(), name);
        assert_eq!(verified.expires_at().unix_timestamp(), NOW + 28800);
        assert_eq!(verified.issued_at().unwrap().unix_timestamp(), NOW);
        assert_eq!(verified.into_claims(), good_claims());
    }
}

/// A service that accepts data as claims, and relying parties that cannot read them, would be of no use.
#[test]
fn the_largest_documents_fit_into_a_token() {
    let array = format!("{}{}", "[".repeat(MAX_DEPTH - 1), "]".repeat(MAX_DEPTH - 1));
    let zeros = format!("[{}0]", "0,".repeat(MAX_VALUES - 200));
    let document = json::parse_object(format!("{{\"deep\":{array},\"long\":{zeros}}}").as_bytes()).unwrap();
    let mut claims = good_claims();
    claims.insert("x-ms-runtime".to_owned(), document.clone().into());
    claims.insert("x-ms-inittime".to_owned(), document.into());
    let identity = Identity::es256();
    let token = identity.signer().sign(ISSUER, &claims).unwrap();
    assert_eq!(verify(&token, &identity.jwks()), Ok(claims));
}

#[test]
fn an_issuer_that_needs_escapes_cannot_change_the_header() {
    let identity = Identity::es256();
    let token = identity.signer().sign(r#"https://a","alg":"none"#, &good_claims()).unwrap();
    let jws = UnverifiedToken::parse(&token).unwrap();
    assert_eq!(jws.jws().unverified_algorithm(), "ES256");
    assert_eq!(jws.jws().unverified_header().len(), 4);
}

#[test]
fn a_draft_token_is_never_verified() {
    let identity = Identity::rs256();
    let draft = identity.signer().unsigned(ISSUER, &good_claims()).unwrap();
    assert!(draft.ends_with('.') && draft.matches('.').count() == 2);
    let parsed = UnverifiedToken::parse(&draft).unwrap();
    assert!(parsed.is_unsigned() && parsed.jws().has_no_signature());
    assert_eq!(parsed.unverified_claims(), &good_claims());
    let header = serde_json::to_string(parsed.jws().unverified_header()).unwrap();
    let key_id = identity.signer().key_id().to_owned();
    assert_eq!(header, format!(r#"{{"alg":"none","jku":"{ISSUER}/certs","kid":"{key_id}","typ":"JWT"}}"#));
    assert_eq!(verify(&draft, &identity.jwks()), Err(TokenError::Unsigned));
    for alg in ["none", "None", "NONE", "nOnE"] {
        let signed = identity.forge(&format!(r#"{{"alg":"{alg}"}}"#), &payload(""));
        assert_eq!(verify(&signed, &identity.jwks()), Err(TokenError::Unsigned), "{alg}");
        let stripped = &signed[..=signed.rfind('.').unwrap()];
        assert_eq!(verify(stripped, &identity.jwks()), Err(TokenError::Unsigned), "{alg}");
    }
}

#[test]
fn a_removed_or_altered_signature_is_refused() {
    for identity in [Identity::rs256(), Identity::es256()] {
        let token = identity.signer().sign(ISSUER, &good_claims()).unwrap();
        let keys = identity.jwks();
        let cut = &token[..=token.rfind('.').unwrap()];
        assert_eq!(verify(cut, &keys), Err(TokenError::Signature));
        let zero = format!("{cut}{}", base64url::encode(&[0; 64]));
        assert_eq!(verify(&zero, &keys), Err(TokenError::Signature));
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            assert!(verify(&altered, &keys).is_err(), "byte {at}");
        }
    }
}

/// Known attack: the public key, which everyone has, used as the secret of an HMAC.
#[test]
fn hmac_with_the_public_key_is_refused() {
    let identity = Identity::rs256();
    let spki = identity.key().public_key_der().unwrap();
    let input = format!(
        "{}.{}",
        base64url::encode(br#"{"alg":"HS256","typ":"JWT"}"#),
        base64url::encode(payload("").as_bytes())
    );
    let token = format!("{input}.{}", base64url::encode(&hmac_sha256(&spki, input.as_bytes())));
    let found = "HS256".to_owned();
    assert_eq!(verify(&token, &identity.jwks()), Err(TokenError::AlgorithmNotAllowed { found }));
}

/// RFC 2104.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    block[..32].copy_from_slice(&crypto::sha256(key));
    let inner = crypto::sha256_of_parts(&[&block.map(|b| b ^ 0x36), message]);
    crypto::sha256_of_parts(&[&block.map(|b| b ^ 0x5c), &inner])
}

/// Known attack: a signature of one algorithm offered as one of another.
#[test]
fn algorithms_are_not_confused() {
    let (rsa, ec) = (Identity::rs256(), Identity::es256());
    for (identity, wrong, right) in [(&rsa, "ES256", "RS256"), (&ec, "RS256", "ES256")] {
        let key_id = identity.signer().key_id().to_owned();
        let named = identity.forge(&format!(r#"{{"alg":"{wrong}","kid":"{key_id}"}}"#), &payload(""));
        assert_eq!(verify(&named, &identity.jwks()), Err(TokenError::Signature));
        let unnamed = identity.forge(&format!(r#"{{"alg":"{wrong}"}}"#), &payload(""));
        let algorithm = Algorithm::from_name(wrong).unwrap();
        assert_eq!(verify(&unnamed, &identity.jwks()), Err(TokenError::NoKey { algorithm }));
        // The allow-list is the verifier's, whatever the key could do.
        let token = identity.forge(&format!(r#"{{"alg":"{right}"}}"#), &payload(""));
        let other = [algorithm];
        let strict = Expectations { algorithms: &other, ..expectations() };
        let refused = UnverifiedToken::parse(&token).unwrap().verify(&identity.jwks(), &strict, now());
        let found = right.to_owned();
        assert_eq!(refused.err(), Some(TokenError::AlgorithmNotAllowed { found }));
    }
    for alg in ["PS256", "RS384", "rs256", "RSA256", "EdDSA", "ES256K", ""] {
        let token = rsa.forge(&format!(r#"{{"alg":"{alg}"}}"#), &payload(""));
        let found = alg.to_owned();
        assert_eq!(verify(&token, &rsa.jwks()), Err(TokenError::AlgorithmNotAllowed { found }));
    }
}

/// Known attack: a header that brings or points to the attacker's own key.
#[test]
fn keys_in_the_header_are_not_followed() {
    let (ours, theirs) = (Identity::es256(), Identity::es256());
    let jwk = serde_json::to_string(theirs.signer().jwk()).unwrap();
    let x5c = base64url::encode_standard(&theirs.certificate);
    let key_id = ours.signer().key_id().to_owned();
    for header in [
        format!(r#"{{"alg":"ES256","jwk":{jwk}}}"#),
        format!(r#"{{"alg":"ES256","kid":"{key_id}","jwk":{jwk}}}"#),
        format!(r#"{{"alg":"ES256","x5c":["{x5c}"]}}"#),
        format!(r#"{{"alg":"ES256","kid":"{key_id}","jku":"https://attacker.example/certs"}}"#),
        format!(r#"{{"alg":"ES256","kid":"{key_id}","x5u":"https://attacker.example/cert"}}"#),
    ] {
        let token = theirs.forge(&header, &payload(""));
        assert_eq!(verify(&token, &ours.jwks()), Err(TokenError::Signature), "{header}");
        // The same header over our key's signature: it is ignored, not an error.
        assert!(verify(&ours.forge(&header, &payload("")), &ours.jwks()).is_ok(), "{header}");
    }
}

#[test]
fn a_key_id_is_only_looked_up() {
    let identity = Identity::es256();
    for key_id in ["../../etc/passwd", "https://attacker.example/k?x=1", "' or 1=1 --", ""] {
        let token = identity.forge(&format!(r#"{{"alg":"ES256","kid":"{key_id}"}}"#), &payload(""));
        let key_id = key_id.to_owned();
        assert_eq!(verify(&token, &identity.jwks()), Err(TokenError::UnknownKey { key_id }));
    }
}

#[test]
fn keys_rotate() {
    let (old, new, other) = (Identity::rs256(), Identity::es256(), Identity::rs256());
    let set = |ids: &[&Identity]| {
        let keys = ids.iter().map(|id| id.signer().jwk().clone()).collect();
        Jwks::parse(Jwks::from_keys(keys).to_json().as_bytes()).unwrap()
    };
    let keys = set(&[&new, &old]);
    for identity in [&old, &new] {
        assert!(verify(&identity.signer().sign(ISSUER, &good_claims()).unwrap(), &keys).is_ok());
        let unnamed =
            identity.forge(&format!(r#"{{"alg":"{}"}}"#, identity.signer().algorithm()), &payload(""));
        assert!(verify(&unnamed, &keys).is_ok());
    }
    let token = other.signer().sign(ISSUER, &good_claims()).unwrap();
    let key_id = other.signer().key_id().to_owned();
    assert_eq!(verify(&token, &keys), Err(TokenError::UnknownKey { key_id }));
    assert_eq!(verify(&other.forge(r#"{"alg":"RS256"}"#, &payload("")), &keys), Err(TokenError::Signature));
    // A key of the right name and the wrong type does not verify, and is not tried as another.
    let header = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, old.signer().key_id());
    assert_eq!(verify(&new.forge(&header, &payload("")), &keys), Err(TokenError::Signature));
}

#[test]
fn a_named_key_that_is_unusable_is_said_to_be() {
    let identity = Identity::es256();
    let jwks = br#"{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}"#;
    let token = identity.forge(r#"{"alg":"ES256","kid":"a"}"#, &payload(""));
    let reason = JwkError::Type { found: "oct".into() };
    assert_eq!(
        verify(&token, &Jwks::parse(jwks).unwrap()),
        Err(TokenError::UnusableKey { key_id: "a".into(), reason })
    );
}

#[test]
fn headers_must_be_understood() {
    let identity = Identity::es256();
    let keys = identity.jwks();
    for header in [
        r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","crit":null}"#,
        r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
    ] {
        assert_eq!(
            verify(&identity.forge(header, &payload("")), &keys),
            Err(TokenError::Critical),
            "{header}"
        );
    }
    for header in [r#"{"alg":"ES256","typ":"attReq"}"#, r#"{"alg":"ES256","typ":7}"#] {
        assert_eq!(verify(&identity.forge(header, &payload("")), &keys), Err(TokenError::Type), "{header}");
    }
    for header in
        [r#"{"alg":"ES256","typ":"jwt"}"#, r#"{"alg":"ES256","typ":"at+jwt"}"#, r#"{"alg":"ES256"}"#]
    {
        assert!(verify(&identity.forge(header, &payload("")), &keys).is_ok(), "{header}");
    }
    for (header, member) in [
        (r#"{"typ":"JWT"}"#, "alg"),
        (r#"{"alg":null}"#, "alg"),
        (r#"{"alg":["ES256"]}"#, "alg"),
        (r#"{"alg":"ES256","kid":1}"#, "kid"),
        (r#"{"alg":"ES256","kid":null}"#, "kid"),
    ] {
        let error = TokenError::Jws(JwsError::HeaderMember { member });
        assert_eq!(verify(&identity.forge(header, &payload("")), &keys), Err(error), "{header}");
    }
    let token = identity.forge(r#"{"alg":"ES256","alg":"none"}"#, &payload(""));
    let error = JsonError::DuplicateName { name: "alg".into(), offset: 15 };
    assert_eq!(verify(&token, &keys), Err(TokenError::Jws(JwsError::Header(error))));
}

/// Known attack (jsonwebtoken CVE-2026-25537): a time of another type taken for an absent one.
#[test]
fn times_are_integers_or_the_token_is_refused() {
    let identity = Identity::es256();
    let keys = identity.jwks();
    let late = NOW + 60;
    for claim in ["exp", "nbf", "iat"] {
        for value in [
            format!("\"{late}\""),
            format!("{late}.0"),
            format!("{late}.5"),
            "1e9".to_owned(),
            "-1".to_owned(),
            "null".to_owned(),
            "true".to_owned(),
            "[1]".to_owned(),
            "{}".to_owned(),
            "9007199254740993".to_owned(),
            "18446744073709551616".to_owned(),
            "253402300800".to_owned(),
        ] {
            let mut members = vec![("iss", format!("\"{ISSUER}\"")), ("exp", late.to_string())];
            members.retain(|(name, _)| *name != claim);
            members.push((claim, value));
            let body: Vec<String> =
                members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            let token = identity.forge(r#"{"alg":"ES256"}"#, &format!("{{{}}}", body.join(",")));
            match verify(&token, &keys) {
                Err(TokenError::Claim { claim: found, .. }) => assert_eq!(found, claim),
                other => panic!("{body:?}: {other:?}"),
            }
        }
    }
    let token = identity.forge(r#"{"alg":"ES256"}"#, &format!(r#"{{"iss":"{ISSUER}"}}"#));
    assert!(matches!(verify(&token, &keys), Err(TokenError::Claim { claim: "exp", .. })));
}

#[test]
fn a_token_is_valid_from_nbf_up_to_exp() {
    let identity = Identity::es256();
    let keys = identity.jwks();
    let token = identity
        .forge(r#"{"alg":"ES256"}"#, &format!(r#"{{"iss":"{ISSUER}","nbf":{NOW},"exp":{}}}"#, NOW + 10));
    let at = |seconds: i64, leeway_secs| {
        let token = UnverifiedToken::parse(&token).unwrap();
        let now = now() + time::Duration::seconds(seconds);
        token.verify(&keys, &Expectations { leeway_secs, ..expectations() }, now).map(|_| ())
    };
    let expired = Err(TokenError::Expired { expired_at: now() + time::Duration::seconds(10) });
    let early = Err(TokenError::NotYetValid { not_before: now() });
    assert_eq!(at(0, 0), Ok(()));
    assert_eq!(at(9, 0), Ok(()));
    assert_eq!(at(10, 0), expired);
    assert_eq!(at(-1, 0), early);
    assert_eq!(at(-5, 5), Ok(()));
    assert_eq!(at(-6, 5), early);
    assert_eq!(at(14, 5), Ok(()));
    assert_eq!(at(15, 5), expired);
}

#[test]
fn issuer_and_audience_match_exactly() {
    let identity = Identity::es256();
    let keys = identity.jwks();
    for found in
        ["https://attest.example.org/", "https://attest.example.orG", "https://attest.example.org.evil", ""]
    {
        let body = payload("").replace(&format!("\"{ISSUER}\""), &format!("\"{found}\""));
        let error = TokenError::Issuer { found: found.into(), expected: ISSUER.into() };
        assert_eq!(verify(&identity.forge(r#"{"alg":"ES256"}"#, &body), &keys), Err(error));
    }
    for body in
        [payload("").replace("\"iss\"", "\"isz\""), payload("").replace(&format!("\"{ISSUER}\""), "[1]")]
    {
        let error = TokenError::Claim { claim: "iss", expected: "a string" };
        assert_eq!(verify(&identity.forge(r#"{"alg":"ES256"}"#, &body), &keys), Err(error));
    }
    let verify_for = |aud: &str| {
        let token = identity.forge(r#"{"alg":"ES256"}"#, &payload(aud));
        let expectations = Expectations { audience: Some("https://attest.azure.net"), ..expectations() };
        UnverifiedToken::parse(&token).unwrap().verify(&keys, &expectations, now()).map(|_| ())
    };
    assert_eq!(verify_for(r#","aud":"https://attest.azure.net""#), Ok(()));
    assert_eq!(verify_for(r#","aud":["x","https://attest.azure.net"]"#), Ok(()));
    for aud in
        ["", r#","aud":"x""#, r#","aud":[]"#, r#","aud":null"#, r#","aud":{"https://attest.azure.net":1}"#]
    {
        let expected = "https://attest.azure.net".to_owned();
        assert_eq!(verify_for(aud), Err(TokenError::Audience { expected }), "{aud}");
    }
}

#[test]
fn claims_are_strict_json() {
    let identity = Identity::es256();
    let keys = identity.jwks();
    let twice = payload(r#","exp":9999999999"#);
    assert!(matches!(
        verify(&identity.forge(r#"{"alg":"ES256"}"#, &twice), &keys),
        Err(TokenError::Claims(JsonError::DuplicateName { name, .. })) if name == "exp"
    ));
    for body in ["", "[]", "\"text\"", "{", "null"] {
        let token = identity.forge(r#"{"alg":"ES256"}"#, body);
        assert!(matches!(verify(&token, &keys), Err(TokenError::Claims(_))), "{body}");
    }
}

#[test]
fn only_the_compact_form_is_a_token() {
    for (text, found) in [("", 1), ("a", 1), ("a.b", 2), ("a.b.c.d", 4), ("a.b.c.d.e", 5), ("........", 6)] {
        assert_eq!(UnverifiedToken::parse(text).err(), Some(TokenError::Jws(JwsError::Parts { found })));
    }
    let token = Identity::es256().forge(r#"{"alg":"ES256"}"#, &payload(""));
    let parts: Vec<&str> = token.split('.').collect();
    for (altered, part) in [
        (format!("{token}="), "signature"),
        (format!("{token}\n"), "signature"),
        (format!(" {token}"), "header"),
        (format!("{}.{}=.{}", parts[0], parts[1], parts[2]), "payload"),
        (format!("{}.{} .{}", parts[0], parts[1], parts[2]), "payload"),
    ] {
        assert_eq!(UnverifiedToken::parse(&altered).err(), Some(TokenError::Jws(JwsError::Base64 { part })));
    }
    let long = "a".repeat(MAX_JWS_BYTES + 1);
    let error = JwsError::TooLong { part: "text", bytes: MAX_JWS_BYTES + 1, limit: MAX_JWS_BYTES };
    assert_eq!(UnverifiedToken::parse(&long).err(), Some(TokenError::Jws(error)));
    let long = format!("{}..", "a".repeat(MAX_HEADER_BYTES + 1));
    let error = JwsError::TooLong { part: "header", bytes: MAX_HEADER_BYTES + 1, limit: MAX_HEADER_BYTES };
    assert_eq!(UnverifiedToken::parse(&long).err(), Some(TokenError::Jws(error)));
}

#[test]
fn a_signer_needs_the_certificate_of_its_key() {
    let (one, two) = (Identity::es256(), Identity::rs256());
    let new = |certificates| Signer::new(one.key(), certificates).err();
    assert_eq!(new(vec![two.certificate.clone()]), Some(SignError::CertificateKey));
    assert_eq!(new(vec![]), Some(SignError::Certificate(JwkError::Certificate)));
    assert_eq!(new(vec![b"certificate".to_vec()]), Some(SignError::Certificate(JwkError::Certificate)));
    assert_eq!(new(vec![one.certificate.clone(), two.certificate.clone()]), None);
    let signer = Signer::new(one.key(), vec![one.certificate.clone(), two.certificate]).unwrap();
    assert_eq!(signer.jwk().certificates().len(), 2);
}

#[test]
fn token_ids_are_fresh_lower_case_hex() {
    let (one, two) = (token::signer::token_id().unwrap(), token::signer::token_id().unwrap());
    assert_ne!(one, two);
    assert_eq!(one.len(), 64);
    assert!(one.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)));
}
