//! The sources of a configuration and their order, and what each wrong value is told.

use std::path::PathBuf;

use evidence::dcap::TcbStatus;
use time::macros::datetime;

use super::*;
use crate::test_support::scratch;

fn file(name: &str, text: &str) -> PathBuf {
    let directory = scratch(name);
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("vouchsafe.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn flag(key: &str, value: &str) -> Result<Config, ConfigError> {
    Sources::new().flag(key, [value.to_owned()]).load()
}

/// The example, with every key that is commented out put in force.
fn uncommented() -> String {
    let key = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && *line != "#";
    let lines = EXAMPLE.lines().map(|line| if key(&line) { line.trim_start_matches('#') } else { line });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_changes_nothing_and_names_every_key() {
    let path = file("example", EXAMPLE);
    let defaults = format!("{:?}", Config { data_dir: "x".into(), ..Config::default() });
    let example = Config { data_dir: "x".into(), ..Sources::new().file(Some(path)).load().unwrap() };
    assert_eq!(format!("{example:?}"), defaults);

    let path = file("example_in_force", &uncommented());
    let config = Sources::new().file(Some(path)).load().unwrap();
    assert_eq!(config.provider.access_token_issuers.len(), 1);
    let table = toml::Value::Table(toml::from_str(&uncommented()).unwrap());
    for (key, _) in load::KEYS {
        let value = key.split('.').try_fold(&table, |value, part| value.get(part));
        assert!(value.is_some(), "the example lacks `{key}`");
    }
}

#[test]
fn every_default_in_the_example_is_the_default() {
    // Keys whose line shows an example because the default is none.
    const EXAMPLES: [&str; 22] = [
        "context_key_file",
        "danger_appraise_at",
        "data_dir",
        "cert_file",
        "host_names",
        "name",
        "key_file",
        "names",
        "uri",
        "path_prefix",
        "min_tcb_evaluation",
        "max_endorsement_age_days",
        "issuer",
        "audience",
        "jwks_file",
        "policy_signer_certificates",
        "SgxEnclave",
        "offline",
        "pcs_ca_file",
        "root_ca_crl_url",
        "roots",
        "tcb_signing_root_files",
    ];
    let is_example = |line: &&str| {
        EXAMPLES.iter().any(|key| line.starts_with(&format!("{key} ="))) || line.starts_with("pck_root_files")
    };
    // A list of tables is empty by default, so all of its tables are examples.
    let mut in_list = false;
    let text: Vec<_> = uncommented()
        .lines()
        .filter(|line| {
            if line.starts_with('[') {
                in_list = line.starts_with("[[");
            }
            !in_list && !is_example(line)
        })
        .map(str::to_owned)
        .collect();
    let path = file("example_defaults", &text.join("\n"));
    let mut config = Sources::new().file(Some(path)).load().unwrap();
    assert_eq!(
        config.provider.baseline.baseline(),
        Config::default().provider.baseline.baseline(),
        "accept_tcb_status"
    );
    config.provider.baseline.accept_tcb_status.clear();
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
}

#[test]
fn flags_override_the_environment_and_that_the_file() {
    let path = file(
        "order",
        "listen = \"127.0.0.1:1\"\n[limits]\nqueue = 1\nconcurrency = 1\n[log]\nlevel = \"warn\"\n",
    );
    let config = Sources::new()
        .file(Some(path))
        .environment(environment(&[
            ("VOUCHSAFE_LIMITS_QUEUE", "2"),
            ("VOUCHSAFE_LIMITS_CONCURRENCY", "2"),
            ("VOUCHSAFE_PROVIDER_BASELINE_ACCEPT_TCB_STATUS", "UpToDate, OutOfDate"),
            ("VOUCHSAFE_PRODUCTION", "true"),
            ("VOUCHSAFE_UNRELATED", "7"),
        ]))
        .flag("limits.queue", ["3".to_owned()])
        .flag("listen", [])
        .load()
        .unwrap();
    assert_eq!((config.limits.queue, config.limits.concurrency), (3, 2));
    assert_eq!(config.log.level, "warn");
    assert_eq!(config.listen.port(), 1);
    assert!(config.production);
    assert_eq!(config.provider.baseline.accept_tcb_status, [TcbStatus::UpToDate, TcbStatus::OutOfDate]);
}

#[test]
fn paths_of_a_file_are_relative_to_it() {
    let text = "data_dir = \"d\"\n[endorsements]\noffline = [\"e\", \"/abs\"]\n\
                [[provider.access_token_issuers]]\nissuer = \"i\"\naudience = \"a\"\njwks_file = \"k.json\"\n";
    let path = file("paths", text);
    let directory = path.parent().unwrap().to_owned();
    let config = Sources::new().file(Some(path)).load().unwrap();
    assert_eq!(config.data_dir, directory.join("d"));
    assert_eq!(config.endorsements.offline, [directory.join("e"), PathBuf::from("/abs")]);
    assert_eq!(config.provider.access_token_issuers[0].jwks_file, Some(directory.join("k.json")));
    let text = "[provider]\npolicies = { SgxEnclave = \"p.txt\" }\npolicy_signer_certificates = [\"s.pem\"]\n\
                [[providers]]\nname = \"two\"\npath_prefix = \"two\"\npolicies = { Tpm = \"/abs\" }\n\
                policy_signer_certificates = [\"t.pem\"]\n";
    let path = file("paths_of_providers", text);
    let of_providers = path.parent().unwrap().to_owned();
    let several = Sources::new().file(Some(path)).load().unwrap();
    assert_eq!(several.provider.policies["SgxEnclave"], of_providers.join("p.txt"));
    assert_eq!(several.provider.policy_signer_certificates, [of_providers.join("s.pem")]);
    assert_eq!(several.providers[0].policies["Tpm"], PathBuf::from("/abs"));
    assert_eq!(several.providers[0].policy_signer_certificates, [of_providers.join("t.pem")]);
    assert_eq!(flag("data_dir", "d").unwrap().data_dir, PathBuf::from("d"));
}

#[test]
fn a_wrong_file_is_told_where() {
    for (text, word) in [
        ("no_such_key = 1", "no_such_key"),
        ("[provider]\nurl = \"x\"", "url"),
        ("listen = 7", "listen"),
        ("listen = ", "line 1"),
        ("[limits]\nqueue = \"many\"", "queue"),
        ("[provider]\ntoken_algorithm = \"HS256\"", "HS256"),
        ("danger_appraise_at = \"yesterday\"", "yesterday"),
        ("[provider.baseline]\naccept_tcb_status = [\"Fine\"]", "Fine"),
    ] {
        let path = file("wrong", text);
        let error = Sources::new().file(Some(path.clone())).load().unwrap_err();
        assert!(matches!(error, ConfigError::Syntax { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(word) && message.contains("vouchsafe.toml"), "{text}: {message}");
    }
    let error = Sources::new().file(Some("/no/such/file".into())).load().unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
}

#[test]
fn a_wrong_value_is_told_its_key_and_the_fix() {
    for (key, value, word) in [
        ("danger_appraise_at", "yesterday", "2024-05-01T00:00:00Z"),
        ("endorsements.fetch_timeout_secs", "0", "above 0"),
        ("endorsements.pcs_urls", "api.example", "absolute URL"),
        ("endorsements.root_ca_crl_url", "ftp://api.example", "absolute URL"),
        ("limits.body_bytes", "0", "above 0"),
        ("limits.concurrency", "-1", "whole number"),
        ("limits.queue", "99999999999999", "at most"),
        ("listen", "localhost", "listen"),
        ("production", "maybe", "true"),
        ("provider.baseline.accept_tcb_status", "uptodate", "UpToDate"),
        ("provider.baseline.accept_tcb_status", "Revoked", "never genuine"),
        ("provider.baseline.min_tcb_evaluation", "many", "whole number"),
        ("provider.explain_denials", "maybe", "true"),
        ("provider.path_prefix", "attest", "another word"),
        ("provider.path_prefix", "a/b", "letters"),
        ("provider.path_prefix", "tpm", "another word"),
        ("provider.tpm.aik_certificate_days", "0", "from 1 to 366"),
        ("provider.tpm.aik_certificate_days", "367", "from 1 to 366"),
        ("provider.tpm.challenge_lifetime_minutes", "61", "from 1 to 60"),
        ("provider.trust_model", "AAD", "isolated"),
        ("provider.uri", "http://attest.example", "https://"),
        ("provider.uri", "https://attest.example/", "slash"),
        ("provider.uri", "https://attest.example/.well-known", "another word"),
        ("provider.uri", "https://attest.example/?x", "nothing after"),
        ("provider.uri", "https://user@attest.example", "nothing after"),
        ("provider.uri", "https://Attest.example:443", "https://attest.example"),
    ] {
        let error = flag(key, value).unwrap_err();
        assert!(matches!(error, ConfigError::Invalid { .. } | ConfigError::Value { .. }), "{key}: {error}");
        let message = error.to_string();
        assert!(message.contains(word), "{key}: {message}");
        assert!(message.contains(key.rsplit('.').next().unwrap()), "{key}: {message}");
    }
    assert!(matches!(flag("limits.queu", "1"), Err(ConfigError::UnknownKey { .. })));
    let error = Sources::new().flag("listen", ["a".to_owned(), "b".to_owned()]).load().unwrap_err();
    assert!(error.to_string().contains("one value"), "{error}");
    let mismatched = Sources::new()
        .flag("provider.uri", ["https://attest.example/team1".to_owned()])
        .flag("provider.path_prefix", ["team2".to_owned()])
        .load();
    assert!(mismatched.unwrap_err().to_string().contains("path of `provider.uri`"));
}

#[test]
fn every_provider_can_be_told_from_the_others() {
    let load = |providers: &str| {
        let path = file("providers", providers);
        Sources::new().file(Some(path)).load().map(|config| config.providers.len())
    };
    let two = "[[providers]]\nname = \"a\"\npath_prefix = \"a\"\n[[providers]]\nname = \"b\"\n";
    assert_eq!(load(&format!("{two}host_names = [\"b.example\"]")).unwrap(), 2);
    for (providers, told) in [
        (two.to_owned(), "addressed as `default` is"),
        (format!("{two}path_prefix = \"a\""), "addressed as `a` is"),
        (two.replace("\"b\"", "\"a\""), "a `name` of its own"),
        ("[[providers]]\npath_prefix = \"a\"".to_owned(), "a `name` of its own"),
        (two.replace("\"b\"", "\"../b\""), "lower-case letters"),
        (format!("{two}path_prefix = \"certs\""), "certs"),
    ] {
        let message = load(&providers).unwrap_err().to_string();
        assert!(message.contains(told), "{providers}: {message}");
    }
}

#[test]
fn a_certificate_file_needs_its_key_file() {
    let load =
        |key: &str| Sources::new().flag(key, ["server.pem".to_owned()]).load().unwrap_err().to_string();
    assert!(load("tls.cert_file").contains("tls.key_file"));
    assert!(load("tls.key_file").contains("tls.cert_file"));
}

#[test]
fn a_policy_is_of_a_type_that_holds_one() {
    for name in ["sgxenclave", "Pluton", "SGX"] {
        let path = file("policy_type", &format!("[provider]\npolicies = {{ {name} = \"p\" }}\n"));
        let message = Sources::new().file(Some(path)).load().unwrap_err().to_string();
        assert!(message.contains("`SgxEnclave`") && message.contains(name), "{message}");
    }
}

#[test]
fn production_refuses_danger() {
    let sources = Sources::new().flag("danger_appraise_at", ["2024-05-01T00:00:00Z".to_owned()]);
    assert_eq!(sources.load().unwrap().danger_appraise_at, Some(datetime!(2024-05-01 0:00 UTC)));
    let error = sources.flag("production", ["true".to_owned()]).load().unwrap_err();
    assert!(matches!(error, ConfigError::DangerInProduction { key: "danger_appraise_at" }), "{error}");
}

#[test]
fn the_prefix_is_the_path_of_the_uri() {
    let provider = |uri: Option<&str>, prefix: Option<&str>| ProviderConfig {
        uri: uri.map(str::to_owned),
        path_prefix: prefix.map(str::to_owned),
        ..ProviderConfig::default()
    };
    let listening = "0.0.0.0:8443".parse().unwrap();
    let local = provider(None, None);
    assert_eq!((local.prefix(), local.uri_at(listening)), (None, "https://127.0.0.1:8443".to_owned()));
    let prefixed = provider(None, Some("team1"));
    assert_eq!(prefixed.prefix().as_deref(), Some("team1"));
    assert_eq!(prefixed.uri_at(listening), "https://127.0.0.1:8443/team1");
    let by_uri = provider(Some("https://attest.example/team1"), None);
    assert_eq!(by_uri.prefix().as_deref(), Some("team1"));
    assert_eq!(by_uri.uri_at(listening), "https://attest.example/team1");
    assert_eq!(provider(Some("https://attest.example/team1"), Some("")).prefix(), None, "behind a proxy");
}
