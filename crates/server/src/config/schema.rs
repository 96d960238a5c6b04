//! The schema: every key, its type and its default.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use appraisal::Baseline;
use evidence::dcap::TcbStatus;
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{ConfigError, TpmConfig};

/// The whole configuration of a service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The audit log.
    pub audit: AuditConfig,
    /// Key of 32 random bytes that seals what clients carry from one request to the next; replicas share
    /// one. By default `context-key` in the data directory, made when it is missing.
    pub context_key_file: Option<PathBuf>,
    /// Appraise evidence, endorsements and the certificates of policy signers as of this time instead of the
    /// clock's. Token times stay real.
    #[serde(deserialize_with = "optional_time")]
    pub danger_appraise_at: Option<OffsetDateTime>,
    /// Where keys, certificates and the database are kept.
    pub data_dir: PathBuf,
    /// Where endorsements come from.
    pub endorsements: EndorsementsConfig,
    /// What a caller may use of the service.
    pub limits: LimitsConfig,
    /// The address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The log.
    pub log: LogConfig,
    /// Refuse every setting that weakens appraisal.
    pub production: bool,
    /// The default provider.
    pub provider: ProviderConfig,
    /// Further providers, told from the default one by their path prefix or host names.
    pub providers: Vec<ProviderConfig>,
    /// The server's certificate.
    pub tls: TlsConfig,
    /// Roots that replace the vendor's, for operators who sign their own.
    pub trust_anchors: TrustAnchorsConfig,
}

/// What belongs to one attestation provider.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderConfig {
    /// Who issues the access tokens of callers, beside the data directory's own issuer.
    pub access_token_issuers: Vec<AccessTokenIssuer>,
    /// What genuine evidence must meet before any policy runs.
    pub baseline: BaselineConfig,
    /// Tell a denied caller which rules decided, and the values that they saw.
    pub explain_denials: bool,
    /// Names in the `Host` header that this provider answers to; any, if none are given.
    pub host_names: Vec<String>,
    /// What the provider is called in configuration, log and audit: lower-case letters, digits and `-`.
    pub name: Option<String>,
    /// One path segment before every route of this provider; by default the path of `uri`.
    pub path_prefix: Option<String>,
    /// By attestation type, the file of a policy, its text or its JWS. It is set when the provider starts
    /// for the first time, and followed at every start by a shared provider.
    pub policies: BTreeMap<String, PathBuf>,
    /// Files of PEM certificates, leaf first, that sign policies under the isolated trust model.
    pub policy_signer_certificates: Vec<PathBuf>,
    /// The signature algorithm of its tokens.
    pub token_algorithm: TokenAlgorithm,
    /// How it attests machines with TPMs.
    pub tpm: TpmConfig,
    /// Who may change its policies; chosen once.
    pub trust_model: TrustModel,
    /// Issuer of its tokens and base of its endpoints, without trailing slash.
    pub uri: Option<String>,
}

/// The provider's baseline; see [`appraisal::Baseline`].
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BaselineConfig {
    /// Accepted TCB statuses, in Intel's spelling; none listed means the default ones.
    #[serde(deserialize_with = "tcb_statuses")]
    pub accept_tcb_status: Vec<TcbStatus>,
    /// Oldest endorsements accepted, in days since their issue.
    pub max_endorsement_age_days: Option<u32>,
    /// Lowest `tcbEvaluationDataNumber` accepted.
    pub min_tcb_evaluation: Option<u32>,
}

/// One issuer of callers' access tokens.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccessTokenIssuer {
    /// Values of `aud`, one of which a token must carry.
    #[serde(deserialize_with = "one_or_several")]
    pub audience: Vec<String>,
    /// Certificates of the issuer's TLS, in a PEM file, instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Who may do everything: `claim=value` entries, such as `roles=Attestation Contributor`. A claim may be a
    /// path, such as `realm_access.roles`.
    pub contributors: Vec<String>,
    /// Its OpenID Connect discovery document, which says where its keys are.
    pub discovery_url: Option<String>,
    /// The `iss` that a token must carry.
    pub issuer: Option<String>,
    /// File with its keys, a JSON Web Key Set, instead of discovery. It can be replaced while the service runs.
    pub jwks_file: Option<PathBuf>,
    /// Settings of a well-known issuer, in place of `issuer`.
    pub preset: Option<IssuerPreset>,
    /// Who may read: `claim=value` entries, such as `scp=attest.read`.
    pub readers: Vec<String>,
    /// The tenant of a preset.
    pub tenant: Option<String>,
}

/// Issuers whose settings are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IssuerPreset {
    /// Microsoft Entra ID, whose tokens come in two versions with an issuer each.
    Entra,
}

/// Who may change a provider's policies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustModel {
    /// Callers with the role Contributor. A signature is checked and reported, and not needed.
    #[default]
    Aad,
    /// Callers with the role Contributor, who bring what a configured certificate has signed.
    Isolated,
    /// The operator, in the configuration.
    Shared,
}

impl TrustModel {
    /// The model's name, in the configuration and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aad => "aad",
            Self::Isolated => "isolated",
            Self::Shared => "shared",
        }
    }
}

/// The signature algorithm of tokens (RFC 7518 §3.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum TokenAlgorithm {
    /// ECDSA on P-256. The published Python SDK cannot verify it.
    #[serde(rename = "ES256", alias = "es256")]
    Es256,
    /// RSASSA-PKCS1-v1_5, 2048 bits: what Azure Attestation signs with.
    #[default]
    #[serde(rename = "RS256", alias = "rs256")]
    Rs256,
}

/// The audit log. Management of policies is always recorded, and not answered if it cannot be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuditConfig {
    /// Whether verdicts of attestations are recorded.
    pub attestation: AuditMode,
}

/// How a record is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuditMode {
    /// If the disk keeps up; records that are dropped are counted.
    #[default]
    BestEffort,
    /// Not at all.
    Off,
    /// Before the answer, which is 503 if the record cannot be made.
    Required,
}

/// Where endorsements come from: offline files first, then the database, then the PCS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EndorsementsConfig {
    /// Seconds that one request to a PCS may take, its body included.
    pub fetch_timeout_secs: u32,
    /// Files and directories in any of the recognised formats.
    pub offline: Vec<PathBuf>,
    /// PEM file of a certificate authority that a PCCS uses for its TLS certificate.
    pub pcs_ca_file: Option<PathBuf>,
    /// Base URLs of PCS v4 services, tried in order; none means offline.
    pub pcs_urls: Vec<String>,
    /// Seconds after which endorsements are fetched anew although still valid.
    pub refresh_interval_secs: u32,
    /// Where the root CA's CRL is; by default where the first PCS has it.
    pub root_ca_crl_url: Option<String>,
}

/// What a caller may use of the service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Largest request body, in bytes.
    pub body_bytes: usize,
    /// Seconds in which a request's body must have arrived.
    pub body_timeout_secs: u32,
    /// Attestations in work at a time.
    pub concurrency: usize,
    /// Connections open at a time; more wait in the system's backlog.
    pub connections: usize,
    /// Seconds in which a request's head must have arrived, that a connection may idle, and in which a client
    /// must take some of an answer.
    pub header_timeout_secs: u32,
    /// Attestations that may wait for a place; more are answered 429.
    pub queue: usize,
    /// Seconds that an attestation may wait for a place before it is answered 429.
    pub queue_timeout_secs: u32,
    /// Seconds that a request may take in all.
    pub request_timeout_secs: u32,
    /// Seconds that requests in work get to finish when the service stops.
    pub shutdown_timeout_secs: u32,
    /// Largest body of a request with a TPM's evidence, in bytes: its logs make it long.
    pub tpm_body_bytes: usize,
}

/// The log, on standard error.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// How an event is written.
    pub format: LogFormat,
    /// What is written: a level, or directives such as `info,server=debug`.
    pub level: String,
}

/// How a log event is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// One line for people.
    #[default]
    Text,
}

/// The server's TLS certificate: of the operator's files, or issued by the local certificate authority of
/// the data directory.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// PEM file of the certificate chain, leaf first; it needs `key_file`, and replaces the local authority.
    pub cert_file: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    pub key_file: Option<PathBuf>,
    /// Further DNS names and IP addresses that the local authority's certificate is valid for.
    pub names: Vec<String>,
}

/// Files of PEM roots, by role. A role without files keeps the vendor's pinned roots.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustAnchorsConfig {
    /// Roots of PCK certificate chains and of their CRLs.
    pub pck_root_files: Vec<PathBuf>,
    /// Roots of the certificates that sign TCB info and identities.
    pub tcb_signing_root_files: Vec<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            audit: AuditConfig::default(),
            context_key_file: None,
            danger_appraise_at: None,
            data_dir: PathBuf::from("vouchsafe-data"),
            endorsements: EndorsementsConfig::default(),
            limits: LimitsConfig::default(),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8443),
            log: LogConfig::default(),
            production: false,
            provider: ProviderConfig::default(),
            providers: Vec::new(),
            tls: TlsConfig::default(),
            trust_anchors: TrustAnchorsConfig::default(),
        }
    }
}

impl Default for EndorsementsConfig {
    fn default() -> Self {
        Self {
            fetch_timeout_secs: 10,
            offline: Vec::new(),
            pcs_ca_file: None,
            pcs_urls: vec!["https://api.trustedservices.intel.com".to_owned()],
            refresh_interval_secs: 86_400,
            root_ca_crl_url: None,
        }
    }
}

impl Default for LimitsConfig {
    /// Requests are small (a quote is some 5 KiB) and fast (about a millisecond), so these bound an
    /// attacker rather than a user: at most `concurrency` long bodies are held in memory at a time, and an eighth of
    /// that of those with the logs of TPMs.
    fn default() -> Self {
        Self {
            body_bytes: api::limits::MAX_SGX_BODY_BYTES,
            body_timeout_secs: 10,
            concurrency: 256,
            connections: 1024,
            header_timeout_secs: 15,
            queue: 512,
            queue_timeout_secs: 5,
            request_timeout_secs: 30,
            shutdown_timeout_secs: 20,
            tpm_body_bytes: api::tpm::MAX_TPM_BODY_BYTES,
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

impl Config {
    /// The default provider and the others.
    pub(crate) fn all_providers(&self) -> impl Iterator<Item = &ProviderConfig> {
        std::iter::once(&self.provider).chain(&self.providers)
    }
}

impl ProviderConfig {
    /// What the provider is called.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(DEFAULT_PROVIDER)
    }

    /// The path segment before the routes, or none; it is the configured one, or else the path of the
    /// configured URI.
    #[must_use]
    pub fn prefix(&self) -> Option<String> {
        let prefix = match (&self.path_prefix, &self.uri) {
            (Some(prefix), _) => prefix.as_str(),
            (None, Some(uri)) => uri_path(uri),
            (None, None) => "",
        };
        let prefix = prefix.trim_matches('/');
        (!prefix.is_empty()).then(|| prefix.to_owned())
    }

    /// The provider's URI: the configured one, or the address it listens on.
    #[must_use]
    pub fn uri_at(&self, listening: SocketAddr) -> String {
        if let Some(uri) = &self.uri {
            return uri.clone();
        }
        let mut host = listening;
        if listening.ip().is_unspecified() {
            host.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        match &self.path_prefix {
            Some(prefix) if !prefix.trim_matches('/').is_empty() => {
                format!("https://{host}/{}", prefix.trim_matches('/'))
            }
            _ => format!("https://{host}"),
        }
    }
}

impl BaselineConfig {
    /// The baseline, its defaults filled in.
    #[must_use]
    pub fn baseline(&self) -> Baseline {
        let default = Baseline::default();
        let accepted = match self.accept_tcb_status.as_slice() {
            [] => default.accepted_tcb_statuses,
            listed => listed.to_vec(),
        };
        Baseline {
            accepted_tcb_statuses: accepted,
            max_endorsement_age_days: self.max_endorsement_age_days,
            min_tcb_evaluation: self.min_tcb_evaluation,
        }
    }
}

/// Name of the provider of `[provider]`.
pub(crate) const DEFAULT_PROVIDER: &str = "default";

/// Seconds of the configuration as a duration.
pub(crate) fn seconds(secs: u32) -> Duration {
    Duration::from_secs(u64::from(secs))
}

/// Reads a time in RFC 3339, such as `2024-05-01T00:00:00Z`.
///
/// # Errors
/// [`ConfigError::Invalid`] for `key`.
pub(crate) fn parse_time(key: &str, text: &str) -> Result<OffsetDateTime, ConfigError> {
    let fix = "use a time like `2024-05-01T00:00:00Z`";
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| ConfigError::invalid(key, text, fix))
}

/// The path of a URI, from its first slash after the host.
pub(super) fn uri_path(uri: &str) -> &str {
    let after_scheme = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    after_scheme.split_once('/').map_or("", |(_, path)| path)
}

fn optional_time<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<OffsetDateTime>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    parse_time("danger_appraise_at", &text).map(Some).map_err(serde::de::Error::custom)
}

fn one_or_several<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Values {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Values::deserialize(deserializer)? {
        Values::One(value) => vec![value],
        Values::Several(values) => values,
    })
}

fn tcb_statuses<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<TcbStatus>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    names.iter().map(|name| tcb_status(name).map_err(serde::de::Error::custom)).collect()
}

fn tcb_status(name: &str) -> Result<TcbStatus, ConfigError> {
    const KEY: &str = "provider.baseline.accept_tcb_status";
    let fix = "use Intel's spelling, such as `UpToDate` or `SWHardeningNeeded`";
    match TcbStatus::from_str(name) {
        Ok(TcbStatus::Revoked) => {
            Err(ConfigError::invalid(KEY, name, "a revoked platform is never genuine; remove it"))
        }
        Ok(status) => Ok(status),
        Err(_) => Err(ConfigError::invalid(KEY, name, fix)),
    }
}
