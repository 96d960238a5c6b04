//! Merges the sources of a configuration into one [`Config`].

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::{Config, ConfigError};

/// Where the settings of one start come from, the weakest source first.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    environment: Vec<(String, String)>,
    file: Option<PathBuf>,
    flags: Vec<(String, Vec<String>)>,
}

/// How the text of an environment variable or flag becomes a value.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Boolean,
    Integer,
    Path,
    /// Several; a variable separates them as the system's `PATH` does.
    Paths,
    Text,
    /// Several; a variable separates them by commas.
    Texts,
}

/// Every key that is not in a list of tables. A test compares it with the documented example.
pub(super) const KEYS: [(&str, Kind); 45] = [
    ("audit.attestation", Kind::Text),
    ("context_key_file", Kind::Path),
    ("danger_appraise_at", Kind::Text),
    ("data_dir", Kind::Path),
    ("endorsements.fetch_timeout_secs", Kind::Integer),
    ("endorsements.offline", Kind::Paths),
    ("endorsements.pcs_ca_file", Kind::Path),
    ("endorsements.pcs_urls", Kind::Texts),
    ("endorsements.refresh_interval_secs", Kind::Integer),
    ("endorsements.root_ca_crl_url", Kind::Text),
    ("limits.body_bytes", Kind::Integer),
    ("limits.body_timeout_secs", Kind::Integer),
    ("limits.concurrency", Kind::Integer),
    ("limits.connections", Kind::Integer),
    ("limits.header_timeout_secs", Kind::Integer),
    ("limits.queue", Kind::Integer),
    ("limits.queue_timeout_secs", Kind::Integer),
    ("limits.request_timeout_secs", Kind::Integer),
    ("limits.shutdown_timeout_secs", Kind::Integer),
    ("limits.tpm_body_bytes", Kind::Integer),
    ("listen", Kind::Text),
    ("log.format", Kind::Text),
    ("log.level", Kind::Text),
    ("production", Kind::Boolean),
    ("provider.baseline.accept_tcb_status", Kind::Texts),
    ("provider.baseline.max_endorsement_age_days", Kind::Integer),
    ("provider.baseline.min_tcb_evaluation", Kind::Integer),
    ("provider.explain_denials", Kind::Boolean),
    ("provider.path_prefix", Kind::Text),
    ("provider.policy_signer_certificates", Kind::Paths),
    ("provider.token_algorithm", Kind::Text),
    ("provider.tpm.aik_certificate_days", Kind::Integer),
    ("provider.tpm.anonymous_attestation", Kind::Boolean),
    ("provider.tpm.challenge_lifetime_minutes", Kind::Integer),
    ("provider.tpm.custom_claim_prefix", Kind::Text),
    ("provider.tpm.pcr_encoding", Kind::Text),
    ("provider.tpm.require_key_usage", Kind::Boolean),
    ("provider.tpm.roots", Kind::Path),
    ("provider.trust_model", Kind::Text),
    ("provider.uri", Kind::Text),
    ("tls.cert_file", Kind::Path),
    ("tls.key_file", Kind::Path),
    ("tls.names", Kind::Texts),
    ("trust_anchors.pck_root_files", Kind::Paths),
    ("trust_anchors.tcb_signing_root_files", Kind::Paths),
];

impl Sources {
    /// No source yet: the defaults alone.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads `path` first.
    #[must_use]
    pub fn file(mut self, path: Option<PathBuf>) -> Self {
        self.file = path;
        self
    }

    /// Then these environment variables; those that name no key are left alone.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment = variables.into_iter().filter(|(name, _)| name.starts_with("VOUCHSAFE_")).collect();
        self
    }

    /// Then a flag, which sets `key` to `values`; more than one only for a key that takes a list. A
    /// flag without values sets nothing.
    #[must_use]
    pub fn flag(mut self, key: &str, values: impl IntoIterator<Item = String>) -> Self {
        let values: Vec<_> = values.into_iter().collect();
        if !values.is_empty() {
            self.flags.push((key.to_owned(), values));
        }
        self
    }

    /// Merges the sources and validates the outcome.
    ///
    /// # Errors
    /// [`ConfigError`], which names the key and the fix.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let mut table = match &self.file {
            Some(path) => read_file(path)?,
            None => Table::new(),
        };
        for (key, kind) in KEYS {
            let variable = format!("VOUCHSAFE_{}", key.replace('.', "_").to_ascii_uppercase());
            if let Some((_, text)) = self.environment.iter().find(|(name, _)| *name == variable) {
                set(&mut table, key, value_of(key, kind, &split(kind, text))?);
            }
        }
        for (key, values) in &self.flags {
            let Some((_, kind)) = KEYS.iter().find(|(known, _)| known == key) else {
                return Err(ConfigError::UnknownKey { key: key.clone() });
            };
            set(&mut table, key, value_of(key, *kind, values)?);
        }
        let config = Config::deserialize(Value::Table(table))
            .map_err(|error| ConfigError::Value { message: one_line(&error.to_string()) })?;
        config.validate()?;
        Ok(config)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let syntax =
        |error: toml::de::Error| ConfigError::Syntax { path: path.to_owned(), message: error.to_string() };
    // Once for the messages, which point at lines; the table is for merging.
    toml::from_str::<Config>(&text).map_err(syntax)?;
    let mut table: Table = toml::from_str(&text).map_err(syntax)?;
    absolute_paths(&mut table, path.parent().unwrap_or(Path::new("")));
    Ok(table)
}

/// Makes the paths of a file relative to the file's directory.
fn absolute_paths(table: &mut Table, directory: &Path) {
    let resolve = |value: &mut Value| {
        if let Value::String(path) = value {
            *path = directory.join(&*path).to_string_lossy().into_owned();
        }
    };
    for (key, kind) in KEYS {
        match (kind, find(table, key)) {
            (Kind::Path, Some(value)) => resolve(value),
            (Kind::Paths, Some(Value::Array(values))) => values.iter_mut().for_each(resolve),
            _ => {}
        }
    }
    let resolve_tables = |provider: &mut Value| {
        if let Some(Value::Array(issuers)) = provider.get_mut("access_token_issuers") {
            for issuer in issuers {
                for key in ["ca_file", "jwks_file"] {
                    issuer.get_mut(key).into_iter().for_each(resolve);
                }
            }
        }
        if let Some(Value::Table(policies)) = provider.get_mut("policies") {
            policies.iter_mut().for_each(|(_, file)| resolve(file));
        }
    };
    table.get_mut("provider").into_iter().for_each(resolve_tables);
    if let Some(Value::Array(providers)) = table.get_mut("providers") {
        for provider in providers {
            resolve_tables(provider);
            if let Some(Value::Array(files)) = provider.get_mut("policy_signer_certificates") {
                files.iter_mut().for_each(resolve);
            }
            if let Some(roots) = provider.get_mut("tpm").and_then(|tpm| tpm.get_mut("roots")) {
                resolve(roots);
            }
        }
    }
}

fn find<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    match key.split_once('.') {
        None => table.get_mut(key),
        Some((section, rest)) => find(table.get_mut(section)?.as_table_mut()?, rest),
    }
}

fn set(table: &mut Table, key: &str, value: Value) {
    let Some((section, rest)) = key.split_once('.') else {
        table.insert(key.to_owned(), value);
        return;
    };
    let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(section) = entry {
        set(section, rest, value);
    }
}

fn split(kind: Kind, text: &str) -> Vec<String> {
    match kind {
        Kind::Paths => std::env::split_paths(text).map(|path| path.to_string_lossy().into_owned()).collect(),
        Kind::Texts if text.trim().is_empty() => Vec::new(),
        Kind::Texts => text.split(',').map(|item| item.trim().to_owned()).collect(),
        _ => vec![text.to_owned()],
    }
}

fn value_of(key: &str, kind: Kind, texts: &[String]) -> Result<Value, ConfigError> {
    let strings = || Value::Array(texts.iter().cloned().map(Value::String).collect());
    match (kind, texts) {
        (Kind::Paths | Kind::Texts, _) => Ok(strings()),
        (Kind::Boolean, [text]) => match text.as_str() {
            "true" | "1" => Ok(Value::Boolean(true)),
            "false" | "0" => Ok(Value::Boolean(false)),
            _ => Err(ConfigError::invalid(key, text, "use `true` or `false`")),
        },
        (Kind::Integer, [text]) => match text.parse::<i64>() {
            Ok(number) if number >= 0 => Ok(Value::Integer(number)),
            _ => Err(ConfigError::invalid(key, text, "use a whole number that is not negative")),
        },
        (Kind::Path | Kind::Text, [text]) => Ok(Value::String(text.clone())),
        _ => Err(ConfigError::invalid(key, texts.join(" "), "give it one value")),
    }
}
