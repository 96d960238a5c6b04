//! Changes of policies and signers against a real database, and what a start makes of it.

use std::path::PathBuf;

use api::management::{CertificateModification, policy_payload};
use api::{ApiVersion, AttestationType};
use crypto::{SigningAlgorithm, SigningKey};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair};
use serde_json::{Value, json};
use time::macros::datetime;
use token::policy_jws::{ChainError, token_hash, unsigned};
use token::{PolicyJwsError, base64url};

use super::*;
use crate::config::ProviderConfig;
use crate::store::FILE;
use crate::store::management::PolicyAction;
use crate::test_support::scratch;

const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);
const V2020: ApiVersion = ApiVersion::V2020_10_01;
const PERMIT: &str = "version=1.0; authorizationrules{=> permit();}; issuancerules{};";
const SGX: AttestationType = AttestationType::SgxEnclave;

/// A provider's configuration and database.
struct Site {
    config: ProviderConfig,
    directory: PathBuf,
}

impl Site {
    fn new(name: &str, trust_model: TrustModel) -> Self {
        let directory = scratch(&format!("management_{name}"));
        std::fs::create_dir_all(&directory).unwrap();
        Self { config: ProviderConfig { trust_model, ..ProviderConfig::default() }, directory }
    }

    fn isolated(name: &str, signers: &[&Signer]) -> Self {
        let mut site = Self::new(name, TrustModel::Isolated);
        for (index, signer) in signers.iter().enumerate() {
            let file = site.write(&format!("signer{index}.pem"), &signer.pem);
            site.config.policy_signer_certificates.push(file);
        }
        site
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn store(&self) -> Arc<Store> {
        Arc::new(Store::open(&self.directory.join(FILE)).unwrap())
    }

    fn open(&self) -> Management {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Management, OpenPoliciesError> {
        Management::open(&self.config, self.store(), None, NOW)
    }
}

/// A self-signed certificate that signs.
struct Signer {
    key: SigningKey,
    der: Vec<u8>,
    pem: String,
}

impl Signer {
    fn new(name: &str) -> Self {
        Self::with(name, IsCa::Ca(BasicConstraints::Unconstrained))
    }

    fn with(name: &str, is_ca: IsCa) -> Self {
        let key = SigningKey::generate(SigningAlgorithm::Es256).unwrap();
        let pair = KeyPair::try_from(key.to_pkcs8().unwrap().as_slice()).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = is_ca;
        let certificate = params.self_signed(&pair).unwrap();
        Self { key, der: certificate.der().to_vec(), pem: certificate.pem() }
    }

    fn x5c(&self) -> Value {
        json!([base64url::encode_standard(&self.der)])
    }

    fn sign(&self, payload: &[u8]) -> String {
        let header = json!({ "alg": "ES256", "x5c": self.x5c() }).to_string();
        let input = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload));
        format!("{input}.{}", base64url::encode(&self.key.sign(input.as_bytes()).unwrap()))
    }

    fn sign_policy(&self, text: &str) -> String {
        self.sign(&policy_payload(text))
    }

    /// A request to add or remove `other`, vouched for by this one.
    fn vouch_for(&self, other: &Self) -> String {
        self.sign(json!({ "policyCertificate": { "kty": "EC", "x5c": other.x5c() } }).to_string().as_bytes())
    }

    fn jwk(&self) -> Value {
        json!({ "alg": "ES256", "kty": "EC", "use": "sig", "x5c": self.x5c() })
    }
}

fn plain(text: &str) -> String {
    unsigned(&policy_payload(text))
}

fn numbered(number: usize) -> String {
    format!("version=1.0; authorizationrules{{[type==\"n\", value=={number}] => permit();}};")
}

impl Management {
    fn set_now(&self, body: &str) -> Result<Outcome, ManagementFailure> {
        self.set(SGX, body, V2020, "someone", NOW)
    }

    fn jws(&self, attestation_type: AttestationType) -> String {
        self.active(attestation_type).unwrap().jws.clone()
    }

    fn hash(&self) -> String {
        self.active(SGX).unwrap().policy.as_ref().unwrap().hash().to_owned()
    }

    fn subjects(&self) -> Vec<String> {
        self.signers().iter().map(|signer| signer.subject().to_owned()).collect()
    }
}

#[test]
fn every_type_begins_with_its_default() {
    let management = Site::new("defaults", TrustModel::Aad).open();
    for (kind, text) in [
        (AttestationType::SgxEnclave, policy::defaults::SGX),
        (AttestationType::OpenEnclave, policy::defaults::SGX),
        (AttestationType::SevSnpVm, policy::defaults::SEV_SNP),
        (AttestationType::TdxVm, policy::defaults::TDX),
        (AttestationType::AzureGuest, policy::defaults::AZURE_GUEST),
    ] {
        assert_eq!(management.jws(kind), plain(text), "{kind}");
        assert_eq!(management.active(kind).unwrap().policy.as_ref().unwrap().text(), text);
    }
    assert_eq!(management.jws(AttestationType::Tpm), "eyJhbGciOiJub25lIn0..");
    assert!(management.active(AttestationType::Tpm).unwrap().policy.is_none());
    for other in [AttestationType::Pluton, AttestationType::KeyGuard, AttestationType::MdepTz] {
        assert!(matches!(management.active(other), Err(ManagementFailure::HoldsNoPolicy { .. })), "{other}");
    }
    assert_eq!(management.provider_id().len(), 32);
}

#[test]
fn a_policy_is_set_reset_and_survives_a_restart() {
    let site = Site::new("set", TrustModel::Aad);
    let management = site.open();
    let body = plain(PERMIT);
    let outcome = management.set_now(&body).unwrap();
    assert_eq!(outcome.token_hash, "c6sEJQItV50OeP9IrP_bzywAMOVvj5uDPbklA_bwdYQ");
    assert_eq!(outcome.policy_hash.as_deref(), Some("z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU"));
    assert_eq!((outcome.version, outcome.removed, outcome.signer), (1, false, None));
    assert_eq!(management.set_now(&body).unwrap().version, 2, "the same again is kept, too");
    drop(management);

    let management = site.open();
    assert_eq!(management.jws(SGX), body);
    assert_eq!(management.active(SGX).unwrap().version, 2);
    assert_eq!(management.jws(AttestationType::OpenEnclave), plain(policy::defaults::SGX), "another type");
    let outcome = management.reset(SGX, &unsigned(b""), "someone", NOW).unwrap();
    assert_eq!((outcome.version, outcome.removed), (3, true));
    assert_eq!(management.jws(SGX), plain(policy::defaults::SGX));
    drop(management);

    let management = site.open();
    assert_eq!(
        (management.jws(SGX), management.active(SGX).unwrap().version),
        (plain(policy::defaults::SGX), 3)
    );
    assert!(management.reset(AttestationType::Tpm, &unsigned(b""), "someone", NOW).unwrap().removed);
    assert_eq!(management.jws(AttestationType::Tpm), "eyJhbGciOiJub25lIn0..");
}

#[test]
fn what_is_refused_changes_nothing() {
    let management = Site::new("refused", TrustModel::Aad).open();
    management.set_now(&plain(PERMIT)).unwrap();
    let refused = |body: &str| management.set_now(body).unwrap_err();
    assert!(matches!(refused("version=1.0;"), ManagementFailure::Jws(PolicyJwsError::Jws(_))));
    assert!(matches!(refused(&unsigned(b"")), ManagementFailure::Payload(_)));
    assert!(matches!(refused(&unsigned(b"{}")), ManagementFailure::Payload(_)));
    assert!(matches!(refused(&plain("version=1.0;[")), ManagementFailure::Policy(_)));
    let setting = "version=1.1; configurationrules{=> issueproperty(type=\"x-ms-sgx-tcbidentifier\", \
                   value=\"newest\");}; authorizationrules{=> permit();};";
    assert!(matches!(refused(&plain(setting)), ManagementFailure::Settings(_)));
    assert!(management.set(AttestationType::TdxVm, &plain(setting), V2020, "someone", NOW).is_ok());
    let unusable = Signer::with("plain", IsCa::ExplicitNoCa).sign_policy(PERMIT);
    assert!(matches!(refused(&unusable), ManagementFailure::Jws(PolicyJwsError::Chain(_))));
    let full = management.reset(SGX, &plain(PERMIT), "someone", NOW).unwrap_err();
    assert!(matches!(full, ManagementFailure::PayloadOfReset));
    let pluton = management.set(AttestationType::Pluton, &plain(PERMIT), V2020, "someone", NOW).unwrap_err();
    assert!(matches!(pluton, ManagementFailure::HoldsNoPolicy { .. }));
    assert_eq!(management.jws(SGX), plain(PERMIT));
    assert_eq!(management.history(SGX, None, 10).unwrap().versions.len(), 1);
}

#[test]
fn a_signature_is_reported_where_it_is_not_needed() {
    let site = Site::new("aad_signed", TrustModel::Aad);
    let signer = Signer::new("anyone");
    let management = site.open();
    let outcome = management.set_now(&signer.sign_policy(PERMIT)).unwrap();
    assert_eq!(outcome.signer, Some(signer.jwk()));
    drop(management);
    let management = site.open();
    assert_eq!(management.active(SGX).unwrap().signer.as_ref().unwrap().to_jwk(), signer.jwk());
    assert!(management.signers().is_empty());
    for outcome in [
        management.add_signer(&signer.vouch_for(&signer), "someone", NOW),
        management.remove_signer(&signer.vouch_for(&signer), "someone", NOW),
    ] {
        let error = outcome.unwrap_err();
        assert!(matches!(error, ManagementFailure::NoSigners), "{error}");
        assert!(error.to_string().contains("The operation is disallowed"), "{error}");
    }
    assert!(management.set_now(&plain(PERMIT)).unwrap().signer.is_none());
}

#[test]
fn an_isolated_provider_takes_what_its_signers_signed() {
    let (ours, theirs) = (Signer::new("ours"), Signer::new("theirs"));
    let management = Site::isolated("isolated", &[&ours]).open();
    for body in [plain(PERMIT), theirs.sign_policy(PERMIT)] {
        assert!(matches!(management.set_now(&body), Err(ManagementFailure::Jws(_))));
    }
    let reset = |body: &str| management.reset(SGX, body, "someone", NOW);
    assert!(matches!(reset(&unsigned(b"")), Err(ManagementFailure::Jws(PolicyJwsError::Unsigned))));
    let signed = ours.sign_policy(PERMIT);
    assert_eq!(management.set_now(&signed).unwrap().signer, Some(ours.jwk()));
    assert_eq!(management.jws(SGX), signed);
    assert!(reset(&theirs.sign(b"")).is_err());
    assert!(reset(&ours.sign(b"")).unwrap().removed);
}

#[test]
fn signers_come_and_go_and_one_always_stays() {
    let (first, second, third) = (Signer::new("first"), Signer::new("second"), Signer::new("third"));
    let site = Site::isolated("signers", &[&first]);
    let management = site.open();
    let add = |by: &Signer, who: &Signer| management.add_signer(&by.vouch_for(who), "someone", NOW);
    let remove = |by: &Signer, who: &Signer| management.remove_signer(&by.vouch_for(who), "someone", NOW);

    assert!(matches!(
        add(&second, &second),
        Err(ManagementFailure::Jws(PolicyJwsError::Chain(ChainError::Untrusted { .. })))
    ));
    assert!(matches!(remove(&first, &first), Err(ManagementFailure::LastSigner)));
    let added = add(&first, &second).unwrap();
    assert_eq!((added.changed, added.result), (true, CertificateModification::IsPresent));
    assert_eq!(added.thumbprint.len(), 40);
    assert!(!add(&first, &second).unwrap().changed, "the same again");
    assert!(!remove(&second, &third).unwrap().changed, "it never was one");
    assert_eq!(management.subjects(), ["first", "second"]);
    // One that cannot sign may be listed, and does not count.
    let plain_certificate = Signer::with("plain", IsCa::ExplicitNoCa);
    assert!(add(&first, &plain_certificate).unwrap().changed);
    assert!(matches!(
        management.set_now(&plain_certificate.sign_policy(PERMIT)),
        Err(ManagementFailure::Jws(PolicyJwsError::Chain(ChainError::IssuerNotFound { .. })))
    ));
    assert!(remove(&second, &first).unwrap().changed);
    assert!(matches!(remove(&second, &second), Err(ManagementFailure::LastSigner)));
    assert!(add(&second, &first).unwrap().changed);
    assert!(remove(&first, &plain_certificate).unwrap().changed);
    assert_eq!(management.subjects(), ["second", "first"]);
    for (payload, by) in [("{}", &first), (r#"{"policyCertificate":7}"#, &first)] {
        let error = management.add_signer(&by.sign(payload.as_bytes()), "someone", NOW).unwrap_err();
        assert!(matches!(error, ManagementFailure::Payload(_)), "{error}");
    }
    assert!(matches!(
        management.add_signer(&plain(PERMIT), "someone", NOW),
        Err(ManagementFailure::Jws(PolicyJwsError::Unsigned))
    ));

    // A signer that is removed signs nothing any more, not even what was accepted of it before.
    let by_first = first.sign_policy(PERMIT);
    management.set_now(&by_first).unwrap();
    assert_eq!(remove(&second, &first).unwrap().result, CertificateModification::IsAbsent);
    assert!(matches!(management.set_now(&by_first), Err(ManagementFailure::Jws(_))));
    assert!(matches!(management.roll_back(SGX, 1, "someone", NOW), Err(ManagementFailure::Jws(_))));
    assert!(add(&first, &third).is_err() && remove(&first, &second).is_err());
    assert_eq!(management.jws(SGX), by_first, "what was set stays until something else is");
    drop(management);

    // The configuration still names the first one; it was removed and stays so.
    let management = site.open();
    assert_eq!(management.subjects(), ["second"]);
    assert_eq!(management.jws(SGX), by_first);
}

#[test]
fn there_is_a_most_of_signers() {
    let first = Signer::new("first");
    let management = Site::isolated("many_signers", &[&first]).open();
    for _ in 1..64 {
        assert!(
            management.add_signer(&first.vouch_for(&Signer::new("more")), "someone", NOW).unwrap().changed
        );
    }
    let error = management.add_signer(&first.vouch_for(&Signer::new("more")), "someone", NOW).unwrap_err();
    assert!(matches!(error, ManagementFailure::TooManySigners { limit: 64 }));
}

#[test]
fn history_and_rollback() {
    let site = Site::new("history", TrustModel::Aad);
    let management = site.open();
    for number in 1..=3 {
        management.set(SGX, &plain(&numbered(number)), V2020, &format!("user{number}"), NOW).unwrap();
    }
    management.reset(SGX, &unsigned(b""), "resetter", NOW).unwrap();
    let back = management.roll_back(SGX, 2, "back", NOW).unwrap();
    assert_eq!((back.version, back.removed), (5, false));
    assert_eq!(management.jws(SGX), plain(&numbered(2)));
    assert_eq!(management.hash(), Policy::analyze(&numbered(2)).unwrap().hash());
    let back = management.roll_back(SGX, 4, "back", NOW).unwrap();
    assert_eq!((back.version, back.removed), (6, true));
    assert_eq!(management.jws(SGX), plain(policy::defaults::SGX));
    for missing in [0, 7, u64::MAX] {
        let error = management.roll_back(SGX, missing, "back", NOW).unwrap_err();
        assert!(matches!(error, ManagementFailure::NoSuchVersion { .. }), "{error}");
    }
    let page = management.history(SGX, None, 4).unwrap();
    let facts: Vec<_> = page
        .versions
        .iter()
        .map(|row| (row.version, row.change.action, row.change.restored, row.change.actor.as_str()))
        .collect();
    assert_eq!(
        facts,
        [
            (6, PolicyAction::Rollback, Some(4), "back"),
            (5, PolicyAction::Rollback, Some(2), "back"),
            (4, PolicyAction::Reset, None, "resetter"),
            (3, PolicyAction::Set, None, "user3"),
        ]
    );
    assert_eq!(page.next_before, Some(3));
    let rest = management.history(SGX, page.next_before, 4).unwrap();
    assert_eq!((rest.versions.len(), rest.next_before), (2, None));
    assert_eq!(management.version(SGX, 1).unwrap().change.token_hash, token_hash(&plain(&numbered(1))));
    drop(management);
    assert_eq!(site.open().jws(SGX), plain(policy::defaults::SGX));
}

#[test]
fn a_policy_of_2018_is_text_in_its_payload_and_comes_back() {
    let site = Site::new("2018", TrustModel::Aad);
    let management = site.open();
    let body = unsigned(json!({ "AttestationPolicy": PERMIT }).to_string().as_bytes());
    let version = ApiVersion::V2018_09_01Preview;
    let (jws, sha256) = management.prepare(SGX, &body, version, NOW).unwrap();
    assert_eq!((jws.as_str(), sha256), (body.as_str(), crypto::sha256(PERMIT.as_bytes())));
    assert_eq!(management.active(SGX).unwrap().version, 0, "nothing changed yet");
    assert!(management.prepare(SGX, &plain(PERMIT), version, NOW).is_err());
    management.set(SGX, &body, version, "someone", NOW).unwrap();
    management.set_now(&plain(&numbered(1))).unwrap();
    management.roll_back(SGX, 1, "someone", NOW).unwrap();
    assert_eq!(management.jws(SGX), body);
    drop(management);
    assert_eq!(site.open().hash(), "z0FRjKS0ssQTNur1V6BV8WIrh9M3fzgTo0EfHRvapWU");
}

#[test]
fn two_providers_of_one_database_do_not_touch_each_other() {
    let (one, other) = (Signer::new("one"), Signer::new("other"));
    let site = Site::isolated("two", &[&one]);
    let mut second = Site::isolated("two_second", &[&other]);
    second.config.name = Some("second".to_owned());
    let first = site.open();
    let second = Management::open(&second.config, site.store(), None, NOW).unwrap();
    assert_ne!(first.provider_id(), second.provider_id());
    let signed = one.sign_policy(PERMIT);
    first.set_now(&signed).unwrap();
    assert_eq!(second.jws(SGX), plain(policy::defaults::SGX));
    assert!(matches!(second.set_now(&signed), Err(ManagementFailure::Jws(_))));
    assert!(second.add_signer(&one.vouch_for(&one), "someone", NOW).is_err());
    assert!(matches!(
        second.roll_back(SGX, 1, "x", NOW),
        Err(ManagementFailure::NoSuchVersion { version: 1 })
    ));
    assert_eq!((first.subjects(), second.subjects()), (vec!["one".to_owned()], vec!["other".to_owned()]));
}

#[test]
fn the_configuration_declares_what_a_provider_begins_with() {
    let mut site = Site::new("declared", TrustModel::Aad);
    let file = site.write("policy.txt", PERMIT);
    site.config.policies.insert("SgxEnclave".to_owned(), file.clone());
    let management = site.open();
    assert_eq!(management.jws(SGX), plain(PERMIT));
    assert_eq!(management.version(SGX, 1).unwrap().change.actor, "configuration");
    management.set_now(&plain(&numbered(1))).unwrap();
    drop(management);
    assert_eq!(site.open().jws(SGX), plain(&numbered(1)), "what was set goes before the file");

    for (text, word) in [("version=1.0;[", "mismatched"), ("\u{feff}", "not a policy")] {
        let mut site = Site::new("declared_wrong", TrustModel::Aad);
        let file = site.write("policy.txt", text);
        site.config.policies.insert("Tpm".to_owned(), file);
        let message = site.try_open().unwrap_err().to_string();
        assert!(message.contains("provider.policies.Tpm") && message.contains(word), "{message}");
    }
    site.config.policies.insert("Tpm".to_owned(), site.directory.join("none"));
    assert!(site.try_open().unwrap_err().to_string().contains("cannot be read"));

    // An isolated provider wants its own signers' word here, too.
    let signer = Signer::new("signer");
    let mut site = Site::isolated("declared_isolated", &[&signer]);
    let file = site.write("policy.jws", PERMIT);
    site.config.policies.insert("SgxEnclave".to_owned(), file);
    assert!(site.try_open().unwrap_err().to_string().contains("unsigned"));
    site.write("policy.jws", &format!("{}\n", signer.sign_policy(PERMIT)));
    assert_eq!(
        site.open().jws(SGX),
        signer.sign_policy(PERMIT).split('.').take(2).collect::<Vec<_>>().join(".")
            + "."
            + site.open().jws(SGX).rsplit('.').next().unwrap()
    );
}

#[test]
fn a_shared_provider_follows_its_configuration_and_nothing_else() {
    let mut site = Site::new("shared", TrustModel::Shared);
    let management = site.open();
    for outcome in [
        management.set_now(&plain(PERMIT)).map(drop),
        management.set_now(&Signer::new("anyone").sign_policy(PERMIT)).map(drop),
        management.reset(SGX, &unsigned(b""), "someone", NOW).map(drop),
        management.prepare(SGX, &plain(PERMIT), V2020, NOW).map(drop),
    ] {
        assert!(matches!(outcome, Err(ManagementFailure::Fixed)));
    }
    drop(management);
    for text in [PERMIT, &numbered(1)] {
        let file = site.write("policy.txt", text);
        site.config.policies.insert("SgxEnclave".to_owned(), file);
        assert_eq!(site.open().jws(SGX), plain(text));
    }
    let management = site.open();
    assert_eq!(management.active(SGX).unwrap().version, 2, "the same file changes nothing");
    assert!(matches!(management.roll_back(SGX, 1, "someone", NOW), Err(ManagementFailure::Fixed)));
    drop(management);
    site.config.policies.clear();
    assert_eq!(site.open().jws(SGX), plain(policy::defaults::SGX));
    let management = site.open();
    assert_eq!(management.active(SGX).unwrap().version, 3);
}

#[test]
fn a_start_refuses_what_it_cannot_stand_for() {
    let signer = Signer::new("signer");
    let mut site = Site::isolated("start", &[&signer]);
    drop(site.open());
    site.config.trust_model = TrustModel::Aad;
    assert!(site.try_open().unwrap_err().to_string().contains("chosen once"));

    let wrong = |name: &str, text: Option<&str>, word: &str| {
        let mut site = Site::new(name, TrustModel::Isolated);
        if let Some(text) = text {
            site.config.policy_signer_certificates = vec![site.write("signer.pem", text)];
        }
        let message = site.try_open().unwrap_err().to_string();
        assert!(message.contains("policy_signer_certificates") && message.contains(word), "{message}");
    };
    wrong("no_signers", None, "at least one");
    wrong("empty_signers", Some(""), "PEM");
    wrong(
        "key_signer",
        Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        "cannot sign",
    );
    wrong("plain_signer", Some(&Signer::with("plain", IsCa::ExplicitNoCa).pem), "CN=plain");
    let mut site = Site::new("aad_signers", TrustModel::Aad);
    site.config.policy_signer_certificates = vec![site.write("signer.pem", &signer.pem)];
    assert!(site.try_open().unwrap_err().to_string().contains("isolated"));
    let with_words = format!("subject=CN = signer\n{}", signer.pem);
    site.config = ProviderConfig {
        name: Some("words".to_owned()),
        trust_model: TrustModel::Isolated,
        policy_signer_certificates: vec![site.write("words.pem", &with_words)],
        ..ProviderConfig::default()
    };
    assert_eq!(site.open().subjects(), ["signer"]);
}

#[test]
fn damaged_rows_are_found_at_start() {
    for (name, column, value) in [
        ("damaged_jws", "jws", "'a.b.'"),
        ("damaged_text", "text", "text || ' '"),
        ("damaged_hash", "policy_hash", "'x'"),
        ("damaged_signer", "signer", "'[]'"),
    ] {
        let site = Site::new(name, TrustModel::Aad);
        site.open().set_now(&Signer::new("signer").sign_policy(PERMIT)).unwrap();
        let connection = rusqlite::Connection::open(site.directory.join(FILE)).unwrap();
        connection.execute("DROP TRIGGER policy_version_unchanged", []).unwrap();
        connection.execute(&format!("UPDATE policy_version SET {column} = {value}"), []).unwrap();
        let error = site.try_open().unwrap_err();
        assert!(matches!(error, OpenPoliciesError::Corrupt { version: 1, .. }), "{name}: {error}");
    }
    let site = Site::isolated("damaged_chain", &[&Signer::new("signer")]);
    drop(site.open());
    let connection = rusqlite::Connection::open(site.directory.join(FILE)).unwrap();
    connection.execute("DROP TRIGGER policy_signer_change_unchanged", []).unwrap();
    connection.execute("UPDATE policy_signer_change SET chain = '[\"AAAA\"]'", []).unwrap();
    assert!(matches!(site.try_open(), Err(OpenPoliciesError::CorruptSigner { .. })));
}

#[test]
fn concurrent_changes_are_one_after_the_other() {
    let site = Site::new("concurrent", TrustModel::Aad);
    let management = site.open();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let management = &management;
            scope.spawn(move || {
                for number in 0..10 {
                    management.set_now(&plain(&numbered(thread * 100 + number))).unwrap();
                }
            });
        }
    });
    let active = management.active(SGX).unwrap();
    let last = management.version(SGX, 40).unwrap();
    assert_eq!((active.version, &active.jws), (40, &last.change.jws), "memory says what the last row says");
}

#[test]
fn baselines_say_which_one_the_policy_selects() {
    let management = Site::new("baselines", TrustModel::Aad).open();
    let list = |kind: AttestationType, minimum| {
        let baseline = appraisal::Baseline { min_tcb_evaluation: minimum, ..appraisal::Baseline::default() };
        let active = management.active(kind).unwrap();
        let list = baselines::list(kind, &active, &baseline).tcb_baselines;
        let selected: Vec<_> = list
            .iter()
            .filter(|baseline| baseline.is_selected_tcb)
            .map(|b| b.tcb_identifier.clone())
            .collect();
        (list, selected)
    };
    let (all, selected) = list(SGX, Some(12));
    assert_eq!((all.len(), selected), (7, vec!["azuredefault".to_owned()]));
    assert_eq!(all[0].tcb_evaluation_data_number, Some(12));
    assert_eq!(all[0].minimum_psw_linux_version, Some("2.13.3"));
    assert_eq!(list(SGX, None).0[0].tcb_evaluation_data_number, None);
    for (number, length) in [("11", 7), ("17", 8)] {
        let text = format!(
            "version=1.1; configurationrules{{=> issueproperty(type=\"x-ms-sgx-tcbidentifier\", \
             value=\"{number}\");}}; authorizationrules{{=> permit();}};"
        );
        management.set_now(&plain(&text)).unwrap();
        let (all, selected) = list(SGX, None);
        assert_eq!((all.len(), selected), (length, vec![number.to_owned()]));
    }
    assert!(list(AttestationType::SevSnpVm, None).0.is_empty());
    assert!(list(AttestationType::Tpm, None).0.is_empty());
}
