//! What the values of a configuration must be, beyond their types.

use super::schema::uri_path;
use super::{Config, ConfigError, EndorsementsConfig, LimitsConfig, ProviderConfig};
use crate::management::POLICY_TYPES;

impl Config {
    /// Compares the values with each other and with what the service can do.
    ///
    /// # Errors
    /// [`ConfigError`] for the first rule that is broken.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.production && self.danger_appraise_at.is_some() {
            return Err(ConfigError::DangerInProduction { key: "danger_appraise_at" });
        }
        if self.tls.cert_file.is_some() != self.tls.key_file.is_some() {
            let (there, missing) = match self.tls.cert_file {
                Some(_) => ("tls.cert_file", "tls.key_file"),
                None => ("tls.key_file", "tls.cert_file"),
            };
            let fix =
                format!("`{there}` is set: set both, or neither to use the local certificate authority");
            return Err(ConfigError::invalid(missing, "not set", fix));
        }
        self.provider.validate()?;
        self.validate_providers()?;
        self.limits.validate()?;
        self.endorsements.validate()
    }
}

impl Config {
    /// Every further provider can be told from all the others.
    fn validate_providers(&self) -> Result<(), ConfigError> {
        let mut seen: Vec<(&str, Option<String>, &[String])> = Vec::new();
        for provider in self.all_providers() {
            let (name, prefix, hosts) = (provider.name(), provider.prefix(), provider.host_names.as_slice());
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.bytes().all(plain) {
                let fix = "use up to 63 lower-case letters, digits and `-`";
                return Err(ConfigError::invalid("providers.name", name, fix));
            }
            if seen.iter().any(|(other, ..)| *other == name) {
                let fix = "every provider needs a `name` of its own; `default` is that of `[provider]`";
                return Err(ConfigError::invalid("providers.name", name, fix));
            }
            let overlaps = |others: &[String]| {
                hosts.is_empty() && others.is_empty() || hosts.iter().any(|host| others.contains(host))
            };
            if let Some((other, ..)) =
                seen.iter().find(|(_, others, names)| *others == prefix && overlaps(names))
            {
                let fix = format!("it is addressed as `{other}` is; give it a `path_prefix` or `host_names`");
                return Err(ConfigError::invalid("providers.name", name, fix));
            }
            seen.push((name, prefix, hosts));
        }
        self.providers.iter().try_for_each(ProviderConfig::validate)
    }
}

/// As long as a DNS label, which a name may become.
const MAX_NAME_BYTES: usize = 63;

impl ProviderConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        if let Some(uri) = &self.uri {
            validate_uri(uri)?;
        }
        if let Some(name) = self.policies.keys().find(|name| !is_policy_type(name)) {
            let types = POLICY_TYPES.map(|kind| format!("`{kind}`")).join(", ");
            return Err(ConfigError::invalid("provider.policies", name, format!("use one of {types}")));
        }
        self.tpm.validate()?;
        let Some(prefix) = self.prefix() else { return Ok(()) };
        let key = if self.path_prefix.is_some() { "provider.path_prefix" } else { "provider.uri" };
        api::path::parse_prefix(&prefix)
            .map_err(|error| ConfigError::invalid(key, &prefix, error.to_string()))?;
        if let (Some(_), Some(uri)) = (&self.path_prefix, &self.uri)
            && uri_path(uri).trim_matches('/') != prefix
        {
            let fix = format!("it must be the path of `provider.uri`, which is `{uri}`; change one of them");
            return Err(ConfigError::invalid(key, prefix, fix));
        }
        Ok(())
    }
}

fn is_policy_type(name: &str) -> bool {
    POLICY_TYPES.iter().any(|kind| kind.as_str() == name)
}

impl EndorsementsConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        let urls = self.pcs_urls.iter().map(|url| ("endorsements.pcs_urls", url));
        let urls = urls.chain(self.root_ca_crl_url.iter().map(|url| ("endorsements.root_ca_crl_url", url)));
        for (key, url) in urls {
            let is_http = url.starts_with("https://") || url.starts_with("http://");
            if !is_http || reqwest::Url::parse(url).is_err() {
                let fix = "use an absolute URL, such as `https://api.trustedservices.intel.com`";
                return Err(ConfigError::invalid(key, url, fix));
            }
        }
        at_least_one("endorsements.fetch_timeout_secs", self.fetch_timeout_secs)?;
        at_least_one("endorsements.refresh_interval_secs", self.refresh_interval_secs)
    }
}

impl LimitsConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        for (key, value) in [
            ("limits.body_bytes", self.body_bytes),
            ("limits.concurrency", self.concurrency),
            ("limits.connections", self.connections),
            ("limits.tpm_body_bytes", self.tpm_body_bytes),
        ] {
            if value == 0 {
                return Err(ConfigError::invalid(key, value, "use a number above 0"));
            }
            if value > MAX_LIMIT {
                return Err(ConfigError::invalid(key, value, format!("use at most {MAX_LIMIT}")));
            }
        }
        if self.queue > MAX_LIMIT {
            return Err(ConfigError::invalid("limits.queue", self.queue, format!("use at most {MAX_LIMIT}")));
        }
        for (key, value) in [
            ("limits.body_timeout_secs", self.body_timeout_secs),
            ("limits.header_timeout_secs", self.header_timeout_secs),
            ("limits.queue_timeout_secs", self.queue_timeout_secs),
            ("limits.request_timeout_secs", self.request_timeout_secs),
        ] {
            at_least_one(key, value)?;
        }
        Ok(())
    }
}

/// Far above any sensible limit, and below what the runtime's semaphores can count.
const MAX_LIMIT: usize = 1 << 28;

fn validate_uri(uri: &str) -> Result<(), ConfigError> {
    const KEY: &str = "provider.uri";
    let fix =
        "use `https://`, a host, and nothing after an optional path, such as `https://attest.example:8443`";
    let parsed = reqwest::Url::parse(uri).map_err(|_| ConfigError::invalid(KEY, uri, fix))?;
    let plain = parsed.query().is_none()
        && parsed.fragment().is_none()
        && parsed.username().is_empty()
        && parsed.password().is_none();
    if parsed.scheme() != "https" || parsed.host_str().is_none() || !plain {
        return Err(ConfigError::invalid(KEY, uri, fix));
    }
    if uri.ends_with('/') {
        return Err(ConfigError::invalid(KEY, uri, "remove the slash at its end"));
    }
    // A relying party compares the issuer byte by byte, so it must be written one way only.
    let normal = parsed.as_str().trim_end_matches('/');
    if normal != uri {
        return Err(ConfigError::invalid(KEY, uri, format!("write it as `{normal}`")));
    }
    Ok(())
}

fn at_least_one(key: &str, value: u32) -> Result<(), ConfigError> {
    if value == 0 {
        return Err(ConfigError::invalid(key, value, "use a number above 0"));
    }
    Ok(())
}
