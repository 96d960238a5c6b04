//! The attestation types: the last segment of `/attest/{type}` and `/policies/{type}`.

/// A kind of evidence, and of policy for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AttestationType {
    /// A policy type of `2026-03-11-preview`, without an attest operation.
    AiHsm,
    /// Trusted-launch and confidential virtual machines by their TPM.
    AzureGuest,
    /// Virtualization-based key protection (`2026-03-11-preview`).
    KeyGuard,
    /// Microsoft Defender for Endpoint TrustZone (`2026-03-11-preview`).
    MdepTz,
    /// Intel SGX as Open Enclave reports.
    OpenEnclave,
    /// The Pluton security processor (`2026-03-11-preview`).
    Pluton,
    /// AMD SEV-SNP virtual machines and containers.
    SevSnpVm,
    /// Intel SGX as quotes.
    SgxEnclave,
    /// Intel TDX virtual machines.
    TdxVm,
    /// TPM and virtualization-based security reports.
    Tpm,
}

/// No attestation type has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not an attestation type; there are {}", AttestationType::list())]
pub struct UnknownAttestationType {
    /// The name, shortened.
    pub found: String,
}

impl AttestationType {
    /// All types.
    pub const ALL: [Self; 10] = [
        Self::AiHsm,
        Self::AzureGuest,
        Self::KeyGuard,
        Self::MdepTz,
        Self::OpenEnclave,
        Self::Pluton,
        Self::SevSnpVm,
        Self::SgxEnclave,
        Self::TdxVm,
        Self::Tpm,
    ];

    /// The type's name in paths.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AiHsm => "AiHsm",
            Self::AzureGuest => "AzureGuest",
            Self::KeyGuard => "KeyGuard",
            Self::MdepTz => "MdepTz",
            Self::OpenEnclave => "OpenEnclave",
            Self::Pluton => "Pluton",
            Self::SevSnpVm => "SevSnpVm",
            Self::SgxEnclave => "SgxEnclave",
            Self::TdxVm => "TdxVm",
            Self::Tpm => "Tpm",
        }
    }

    fn list() -> String {
        Self::ALL.map(|kind| format!("`{kind}`")).join(", ")
    }
}

impl std::str::FromStr for AttestationType {
    type Err = UnknownAttestationType;

    /// Reads a path segment; clients differ in case (`/attest/sevsnpvm`, `/attest/SevSnpVM`).
    fn from_str(name: &str) -> Result<Self, UnknownAttestationType> {
        let kind = Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(name));
        kind.ok_or_else(|| UnknownAttestationType { found: name.chars().take(32).collect() })
    }
}

impl std::fmt::Display for AttestationType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_whatever_the_case() {
        for kind in AttestationType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(kind.as_str().to_uppercase().parse(), Ok(kind));
            assert_eq!(kind.as_str().to_lowercase().parse(), Ok(kind));
        }
        assert_eq!("SevSnpVM".parse(), Ok(AttestationType::SevSnpVm));
    }

    #[test]
    fn an_unknown_name_is_told_the_known_ones() {
        for name in ["", "VbsEnclave", "SgxEnclave ", "sgx", "Sgx\u{212a}Enclave"] {
            let error = name.parse::<AttestationType>().unwrap_err();
            assert_eq!(error.found, name);
            assert!(error.to_string().contains("`SgxEnclave`"), "{error}");
        }
        let long = "x".repeat(10_000).parse::<AttestationType>().unwrap_err();
        assert_eq!(long.found.len(), 32);
    }
}
