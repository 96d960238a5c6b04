//! Secure Boot as PCR 7 tells it (TCG PC Client Platform Firmware Profile, 3.3.4.8; UEFI Specification
//! 2.10, 32). Every event of the PCR must be bound to its digest and in its place; otherwise nothing is
//! concluded, because an event that is passed over may be the one that matters.

use super::content::{Content, Measured, Separator};
use super::error::ClaimError;
use super::event_type as ty;
use super::guid::{GLOBAL_VARIABLE, Guid, IMAGE_SECURITY_DATABASE, SHIM_LOCK};
use super::replay::is_separator;
use super::uefi::{CERT_SHA256, CERT_X509, VariableData, signature_lists};

/// What PCR 7 says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecureBoot<'a> {
    /// The variable `SecureBoot`.
    pub state: SecureBootState,
    /// What is missing of what Secure Boot rests on, if the variable says that it is on.
    pub missing: Option<&'static str>,
    /// The platform key.
    pub pk: Option<KeyDatabase<'a>>,
    /// The key exchange keys.
    pub kek: Option<KeyDatabase<'a>>,
    /// The signatures that are allowed.
    pub db: Option<KeyDatabase<'a>>,
    /// The signatures that are forbidden.
    pub dbx: Option<KeyDatabase<'a>>,
    /// Further variables measured before the separator.
    pub other_variables: Vec<VariableData<'a>>,
    /// What allowed drivers to run before the separator.
    pub driver_authorities: Vec<VariableData<'a>>,
    /// What allowed boot loaders and kernels to run.
    pub authorities: Vec<VariableData<'a>>,
    /// The SBAT level of shim, text.
    pub sbat_level: Option<&'a [u8]>,
    /// Whether firmware says that protection against DMA is off.
    pub dma_protection_disabled: bool,
    /// Whether firmware says that it is in a debug mode.
    pub debug_mode: bool,
}

/// The variable `SecureBoot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecureBootState {
    /// Its value is 0.
    Disabled,
    /// It has no value: the firmware has no Secure Boot.
    Empty,
    /// Its value is 1.
    Enabled,
    /// It was not measured.
    #[default]
    NotMeasured,
}

impl SecureBootState {
    /// `on`, `off` and so on.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disabled => "off",
            Self::Empty => "without value",
            Self::Enabled => "on",
            Self::NotMeasured => "not measured",
        }
    }

    fn of(value: &[u8]) -> Option<Self> {
        match value {
            [] => Some(Self::Empty),
            [0] => Some(Self::Disabled),
            [1] => Some(Self::Enabled),
            _ => None,
        }
    }
}

/// The contents of a key database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDatabase<'a> {
    /// The variable's value, `EFI_SIGNATURE_LIST`s.
    pub value: &'a [u8],
    /// The certificates in it, DER.
    pub certificates: Vec<&'a [u8]>,
    /// The SHA-256 digests of images in it.
    pub image_hashes: Vec<&'a [u8]>,
    /// How many entries are of another kind.
    pub other_entries: usize,
    /// Whether the value consists of signature lists throughout; if not, nothing of it is shown.
    pub well_formed: bool,
}

impl<'a> KeyDatabase<'a> {
    fn parse(value: &'a [u8]) -> Self {
        let entries = signature_lists(value);
        let mut database = Self {
            value,
            certificates: Vec::new(),
            image_hashes: Vec::new(),
            other_entries: 0,
            well_formed: entries.is_some(),
        };
        for entry in entries.unwrap_or_default() {
            match entry.kind {
                CERT_X509 => database.certificates.push(entry.data),
                CERT_SHA256 => database.image_hashes.push(entry.data),
                _ => database.other_entries += 1,
            }
        }
        database
    }
}

impl<'a> SecureBoot<'a> {
    /// Reads the events of PCR 7, in order:
    /// 1. before the separator variables of the configuration, each once and bound to its digest, and
    ///    actions; authorities there are those of drivers,
    /// 2. one separator, `00000000` or `FFFFFFFF`,
    /// 3. after it authorities, each bound to its digest, and actions,
    /// 4. if `SecureBoot` is 1, `PK`, `KEK`, `db` and an authority after the separator must have been
    ///    measured for it to count as on.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn of(events: &[Measured<'a>]) -> Result<Self, ClaimError> {
        let mut reader = State { found: Self::default(), separated: false };
        for event in events.iter().filter(|event| event.event.pcr == 7) {
            reader.event(event)?;
        }
        Ok(reader.finish())
    }

    /// Whether Secure Boot is on: the variable says so, and what it rests on was measured.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.state == SecureBootState::Enabled && self.missing.is_none()
    }

    /// The same for the measurement register of a confidential VM that holds PCRs 1 and 7 (register 1 of
    /// the log): events that PCR 7 does not have are passed over.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn of_shared_register(events: &[Measured<'a>]) -> Result<Self, ClaimError> {
        let mut reader = State { found: Self::default(), separated: false };
        for event in events.iter().filter(|event| event.event.pcr == 1) {
            match event.event.event_type {
                ty::EFI_VARIABLE_DRIVER_CONFIG
                | ty::EFI_VARIABLE_AUTHORITY
                | ty::SEPARATOR
                | ty::EFI_ACTION => reader.event(event)?,
                _ if is_separator(event) => reader.event(event)?,
                _ => {}
            }
        }
        Ok(reader.finish())
    }
}

struct State<'a> {
    found: SecureBoot<'a>,
    separated: bool,
}

impl<'a> State<'a> {
    fn event(&mut self, measured: &Measured<'a>) -> Result<(), ClaimError> {
        let (sequence, pcr) = (measured.event.sequence, measured.event.pcr);
        match (measured.event.event_type, &measured.content) {
            (ty::EFI_VARIABLE_DRIVER_CONFIG, Content::Variable { variable, .. }) if !self.separated => {
                self.variable(measured, variable)
            }
            (ty::EFI_VARIABLE_AUTHORITY, Content::Variable { variable, .. }) => {
                self.authority(variable);
                Ok(())
            }
            (ty::EFI_ACTION, Content::Action(text)) => {
                self.found.dma_protection_disabled |= *text == "DMA Protection Disabled";
                self.found.debug_mode |= *text == "UEFI Debug Mode";
                Ok(())
            }
            (ty::SEPARATOR, Content::Separator(Separator::Zero | Separator::Ones)) => {
                if self.separated {
                    return Err(ClaimError::Duplicate { sequence, pcr, what: "separator".to_owned() });
                }
                self.separated = true;
                Ok(())
            }
            (ty::SEPARATOR, Content::Separator(_)) => {
                Err(ClaimError::Malformed { sequence, pcr, reason: "the separator reports an error" })
            }
            (ty::EFI_VARIABLE_DRIVER_CONFIG | ty::EFI_VARIABLE_AUTHORITY, Content::Data(_)) => {
                Err(ClaimError::Malformed { sequence, pcr, reason: "no UEFI variable" })
            }
            (
                ty::EFI_VARIABLE_DRIVER_CONFIG | ty::EFI_VARIABLE_AUTHORITY | ty::EFI_ACTION | ty::SEPARATOR,
                Content::Unbound,
            ) => Err(ClaimError::Unbound { sequence, pcr }),
            (event_type, _) => {
                let at = if self.separated { " after the separator" } else { " before the separator" };
                Err(ClaimError::Unexpected { sequence, pcr, event_type, at })
            }
        }
    }

    fn variable(&mut self, event: &Measured<'a>, variable: &VariableData<'a>) -> Result<(), ClaimError> {
        let (sequence, pcr) = (event.event.sequence, event.event.pcr);
        let malformed = ClaimError::Malformed { sequence, pcr, reason: "a value the variable cannot have" };
        let duplicate = || ClaimError::Duplicate { sequence, pcr, what: variable.name.clone() };
        let slot = match (variable.guid, variable.name.as_str()) {
            (GLOBAL_VARIABLE, "SecureBoot") => {
                if self.found.state != SecureBootState::NotMeasured {
                    return Err(duplicate());
                }
                self.found.state = SecureBootState::of(variable.value).ok_or(malformed)?;
                return Ok(());
            }
            (GLOBAL_VARIABLE, "PK") => &mut self.found.pk,
            (GLOBAL_VARIABLE, "KEK") => &mut self.found.kek,
            (IMAGE_SECURITY_DATABASE, "db") => &mut self.found.db,
            (IMAGE_SECURITY_DATABASE, "dbx") => &mut self.found.dbx,
            _ => {
                let same =
                    |other: &VariableData<'_>| other.guid == variable.guid && other.name == variable.name;
                if self.found.other_variables.iter().any(same) {
                    return Err(duplicate());
                }
                if self.found.other_variables.len() == MAX_VARIABLES {
                    return Err(ClaimError::Malformed { sequence, pcr, reason: "too many variables" });
                }
                self.found.other_variables.push(variable.clone());
                return Ok(());
            }
        };
        if slot.is_some() {
            return Err(duplicate());
        }
        *slot = Some(KeyDatabase::parse(variable.value));
        Ok(())
    }

    fn authority(&mut self, variable: &VariableData<'a>) {
        match (variable.guid, variable.name.as_str(), self.separated) {
            (SHIM_LOCK, "SbatLevel", true) => self.found.sbat_level = Some(variable.value),
            // Shim's own lists and switches, which it measures whether or not they allowed an image.
            (SHIM_LOCK, "MokListRT" | "MokListXRT" | "MokSBState" | "MokListTrusted", true) => {}
            (_, _, true) => self.found.authorities.push(variable.clone()),
            (_, _, false) => self.found.driver_authorities.push(variable.clone()),
        }
    }

    fn finish(self) -> SecureBoot<'a> {
        let mut found = self.found;
        let filled = |database: &Option<KeyDatabase<'_>>| {
            database.as_ref().is_some_and(|database| !database.value.is_empty())
        };
        let needed = [
            (filled(&found.pk), "a platform key (PK)"),
            (filled(&found.kek), "a key exchange key (KEK)"),
            (filled(&found.db), "a signature database (db)"),
            (self.separated, "a separator"),
            (!found.authorities.is_empty(), "an authority for a boot application"),
        ];
        if found.state == SecureBootState::Enabled {
            let missing = needed.iter().find(|(measured, _)| !measured);
            found.missing = missing.map(|(_, what)| *what);
        }
        found
    }
}

/// The value of the variable `SecureBoot` as a log claims it, whatever else is in the log. For people who
/// look at logs; it decides nothing.
#[must_use]
pub fn unverified_secure_boot_variable(events: &[Measured<'_>]) -> SecureBootState {
    let variables = events.iter().filter_map(Measured::variable);
    let mut found = variables.filter(|variable| is_secure_boot(variable.guid, &variable.name));
    found.next().and_then(|variable| SecureBootState::of(variable.value)).unwrap_or_default()
}

fn is_secure_boot(guid: Guid, name: &str) -> bool {
    guid == GLOBAL_VARIABLE && name == "SecureBoot"
}

/// Firmware measures a handful. They are compared pair by pair.
const MAX_VARIABLES: usize = 64;
