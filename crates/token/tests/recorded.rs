//! Tokens and key sets recorded from Azure Attestation, which stand outside the repository: the
//! directory that `VOUCHSAFE_VECTORS` names, or `shared` beside the repository, holds `vectors` and
//! `vectors-sdk`. Without them the tests say so and pass, unless `CI` is `true`.
#![expect(clippy::indexing_slicing, reason = "JSON values answer null for what they lack")]
#![expect(clippy::panic, reason = "a test names the vector that failed")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]
#![expect(clippy::print_stderr, reason = "a test that was skipped must say so")]

use std::path::{Path, PathBuf};

use serde_json::Value;
use time::OffsetDateTime;
use token::{Algorithm, Expectations, JwkError, Jwks, TokenError, UnverifiedToken, base64url, json, signer};
use x509_cert::der::{Decode, Encode};

/// How many there were when this was written; fewer means that a vector was lost.
const SIGNED_TOKENS: usize = 59;
const DRAFT_TOKENS: usize = 3;
const EXCHANGES_WITH_SIGNED_TOKENS: usize = 31;
const KEY_SETS: usize = 16;

#[test]
fn recorded_tokens_verify() {
    let Some(root) = vectors() else { return };
    let (mut signed, mut drafts, mut without_keys) = (0, 0, 0);
    for (path, entry) in &entries(&root, "maa-jwt") {
        let token = read_text(&root, path);
        let unverified = UnverifiedToken::parse(token.trim()).unwrap();
        for (name, expected) in entry["expected"]["claims"].as_object().unwrap() {
            // Long values are not repeated in the manifest.
            if !expected.to_string().contains(" chars, see token)") {
                assert_eq!(unverified.unverified_claims().get(name), Some(expected), "{path}");
            }
        }
        match &entry["expected"]["signature_ok"] {
            Value::Bool(true) => {
                assert_verifies(token.trim(), &key_set_for(&root, path), path);
                signed += 1;
            }
            Value::String(note) if note.starts_with("none") => {
                let refused = verify(token.trim(), &key_set_for(&root, path));
                assert_eq!(refused, Err(TokenError::Unsigned), "{path}");
                drafts += 1;
            }
            _ => without_keys += 1,
        }
    }
    eprintln!("tokens: {signed} verified, {drafts} drafts refused, {without_keys} without their keys");
    assert!(signed >= SIGNED_TOKENS && drafts >= DRAFT_TOKENS, "{signed} {drafts}");
}

#[test]
fn tokens_of_the_sdk_recordings_verify() {
    let Some(root) = vectors() else { return };
    let recorded = read_json(&root, "vectors-sdk/recorded-2021.json");
    let keys = Jwks::parse(recorded["certs"].to_string().as_bytes()).unwrap();
    let (mut signed, mut drafts) = (0, 0);
    for exchange in recorded["exchanges"].as_array().unwrap() {
        let Some(token) = exchange["response"]["token"].as_str() else { continue };
        let path = exchange["path"].as_str().unwrap();
        if exchange["tokenHeader"]["alg"] == "none" {
            assert_eq!(verify(token, &keys), Err(TokenError::Unsigned), "{path}");
            drafts += 1;
        } else {
            assert_verifies(token, &keys, path);
            signed += 1;
        }
    }
    eprintln!("exchanges: {signed} tokens verified, {drafts} drafts refused");
    assert!(signed >= EXCHANGES_WITH_SIGNED_TOKENS, "{signed}");
}

#[test]
fn recorded_keys_have_the_ids_of_our_rule() {
    let Some(root) = vectors() else { return };
    let (mut sets, mut ids) = (0, 0);
    for (path, _) in &entries(&root, "jwks") {
        let text = without_comment_lines(&read_text(&root, path));
        let document = json::parse_object(text.as_bytes()).unwrap();
        for key in document["keys"].as_array().unwrap() {
            let (Some(key_id), Some(leaf)) = (key["kid"].as_str(), key["x5c"][0].as_str()) else { continue };
            // Keys of Microsoft's public-key infrastructure are named by a certificate thumbprint.
            if key_id.len() != 44 {
                continue;
            }
            let leaf = base64_standard(leaf);
            let certificate = x509_cert::Certificate::from_der(&leaf).unwrap();
            let spki = certificate.tbs_certificate().subject_public_key_info().to_der().unwrap();
            assert_eq!(signer::key_id(&spki), key_id, "{path}");
            ids += 1;
        }
        let set = Jwks::parse(text.as_bytes()).unwrap();
        assert!(!set.keys().is_empty(), "{path}");
        for ignored in set.ignored() {
            // The instance key of 2020.
            assert_eq!(ignored.reason, JwkError::RsaSize { bits: 1024 }, "{path}");
        }
        sets += 1;
    }
    eprintln!("key sets: {sets}, with {ids} keys named by our rule");
    assert!(sets >= KEY_SETS && ids >= sets, "{sets} {ids}");
}

/// The token verifies, no token with one changed character does, and writing its claims again gives
/// its very bytes.
fn assert_verifies(token: &str, keys: &Jwks, path: &str) {
    let claims = verify(token, keys).unwrap_or_else(|error| panic!("{path}: {error}"));
    let payload = token.split('.').nth(1).unwrap();
    assert_eq!(base64url::encode(claims.as_bytes()), payload, "{path}");
    for at in (0..token.len()).step_by(37).chain([token.len() - 1]) {
        let mut altered = token.to_owned().into_bytes();
        let byte = altered.get_mut(at).unwrap();
        *byte = if *byte == b'A' { b'B' } else { b'A' };
        assert!(verify(&String::from_utf8(altered).unwrap(), keys).is_err(), "{path} at {at}");
    }
    let moved = UnverifiedToken::parse(token).unwrap();
    let elsewhere = Expectations { issuer: "https://attacker.example", ..EXPECTATIONS };
    let refused = moved.verify(keys, &elsewhere, issued_at(token)).err();
    assert!(matches!(refused, Some(TokenError::Issuer { .. })), "{path}");
}

const EXPECTATIONS: Expectations<'static> =
    Expectations { issuer: "", audience: None, algorithms: &Algorithm::ALL, leeway_secs: 0 };

/// Verifies at the time of issue, for the issuer the token names, and gives the claims as text.
fn verify(token: &str, keys: &Jwks) -> Result<String, TokenError> {
    let unverified = UnverifiedToken::parse(token)?;
    let issuer =
        unverified.unverified_claims().get("iss").and_then(Value::as_str).unwrap_or_default().to_owned();
    let expectations = Expectations { issuer: &issuer, ..EXPECTATIONS };
    let verified = unverified.verify(keys, &expectations, issued_at(token))?;
    Ok(serde_json::to_string(verified.claims()).unwrap())
}

fn issued_at(token: &str) -> OffsetDateTime {
    let unverified = UnverifiedToken::parse(token).unwrap();
    let seconds = unverified.unverified_claims().get("iat").and_then(Value::as_i64).unwrap_or_default();
    OffsetDateTime::from_unix_timestamp(seconds).unwrap()
}

/// The key set recorded in the same session, or the one that stands for the guest tokens.
fn key_set_for(root: &Path, token: &str) -> Jwks {
    const GUESTS: &str = "maa-tokens/thomvanl/attestation_result_header_jku_snapshot.jsonc";
    let session = token.strip_suffix(".token.jwt").and_then(|rest| rest.get(..rest.len() - 2));
    let path = entries(root, "jwks")
        .into_iter()
        .map(|(path, _)| path)
        .find(|path| session.is_some_and(|session| path.starts_with(session)))
        .unwrap_or_else(|| GUESTS.to_owned());
    Jwks::parse(without_comment_lines(&read_text(root, &path)).as_bytes()).unwrap()
}

/// The entries of one kind in the manifest, with their paths.
fn entries(root: &Path, kind: &str) -> Vec<(String, Value)> {
    let manifest = read_json(root, "vectors/manifest.json");
    let entries = manifest["entries"].as_array().unwrap().iter().filter(|entry| entry["kind"] == kind);
    entries.map(|entry| (entry["path"].as_str().unwrap().to_owned(), entry.clone())).collect()
}

fn read_text(root: &Path, path: &str) -> String {
    std::fs::read_to_string(root.join("vectors").join(path)).unwrap()
}

fn read_json(root: &Path, path: &str) -> Value {
    serde_json::from_slice(&std::fs::read(root.join(path)).unwrap()).unwrap()
}

/// One snapshot stands under lines of comment.
fn without_comment_lines(text: &str) -> String {
    text.lines().filter(|line| !line.starts_with("//")).collect()
}

fn base64_standard(text: &str) -> Vec<u8> {
    base64url::decode(text.trim_end_matches('=').replace('+', "-").replace('/', "_").as_str()).unwrap()
}

fn vectors() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("VOUCHSAFE_VECTORS").map_or_else(beside, PathBuf::from);
    if root.join("vectors/manifest.json").is_file() {
        return Some(root);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no recorded vectors in {}", root.display());
    eprintln!("SKIPPED: no recorded vectors in {}; set VOUCHSAFE_VECTORS", root.display());
    None
}
