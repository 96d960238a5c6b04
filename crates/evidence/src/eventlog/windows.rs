//! What the Windows loader measured into PCRs 12, 13, 14, 19 and 20, with the names that Azure
//! Attestation's policies give it (Azure Attestation documentation, "Attestation policy version 1.2").

use super::content::{Content, Measured, Separator};
use super::error::ClaimError;
use super::event_type as ty;
use super::sipa::{
    APPLICATION_SVN, BITLOCKER_UNLOCK, BOOTCOUNTER, BOOTDEBUGGING, CODEINTEGRITY, DATAEXECUTIONPREVENTION,
    FILEPATH, FLIGHTSIGNING, IMAGEVALIDATED, LOADEDMODULE_AGGREGATION, MODULE_SVN, OSKERNELDEBUG, SAFEMODE,
    TESTSIGNING, TRANSFER_CONTROL, TRUSTBOUNDARY, Tag, VBS_HVCI_POLICY, VBS_IOMMU_REQUIRED,
    VBS_MANDATORY_ENFORCEMENT, VBS_VSM_REQUIRED, VSM_IDKS_INFO, WINPE,
};
use super::uefi::utf16;
use crate::read::{ReadError, Reader};

/// What the Windows loader measured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WindowsBoot {
    /// Every measured value says that code integrity is on.
    pub code_integrity_enabled: bool,
    /// Debugging of the boot manager and loader was measured, and always as off.
    pub boot_debugging_disabled: bool,
    /// Debugging of the kernel was measured, and always as off.
    pub os_kernel_debugging_disabled: bool,
    /// Test signing was measured, and always as off.
    pub test_signing_disabled: bool,
    /// Flight signing was measured, and always as off.
    pub flight_signing_not_enabled: bool,
    /// Safe mode was not measured as on.
    pub not_safe_mode: bool,
    /// Windows PE was not measured as running.
    pub not_win_pe: bool,
    /// The last policy of data execution prevention; 0 if there is none.
    pub dep_policy: u64,
    /// Virtualisation-based security requires an IOMMU.
    pub iommu_enabled: bool,
    /// Virtualisation-based security is required and enforced.
    pub vbs_enabled: bool,
    /// The hypervisor enforces code integrity.
    pub hvci_enabled: bool,
    /// How the volume was unlocked, the first value that is not 0.
    pub bitlocker_status: u64,
    /// Windows Defender's early-launch driver was loaded and validated.
    pub elam_driver_loaded: bool,
    /// The security version of the boot manager.
    pub boot_mgr_svn: Option<u64>,
    /// The security version of what it started.
    pub boot_app_svn: Option<u64>,
    /// The boot counter.
    pub boot_counter: Option<u64>,
    /// The loader came from a cold start, not from hibernation.
    pub cold_boot: bool,
    /// The key that signs reports of enclaves of virtualisation-based security.
    pub vsm_signing_key: Option<crypto::PublicKey>,
}

impl WindowsBoot {
    /// Reads the events of the Windows loader; `None` if it measured nothing.
    ///
    /// In PCRs 12 to 14 there must then be tagged events only, each bound to its digest, and one separator
    /// after which nothing counts: an event that is passed over may be the one that matters.
    ///
    /// # Errors
    /// [`ClaimError`].
    pub fn of(events: &[Measured<'_>]) -> Result<Option<Self>, ClaimError> {
        let is_windows = events.iter().any(|event| {
            LOADER_PCRS.contains(&event.event.pcr)
                && matches!(&event.content, Content::Tagged(tags) if is_loader(tags))
        });
        if !is_windows {
            return Ok(None);
        }
        let loader = loader_events(events)?;
        Self::derive(&loader).map(Some)
    }

    fn derive(events: &[Loader<'_, '_>]) -> Result<Self, ClaimError> {
        // The sets that the documented policies query: EB and EV.
        let boot = |id| values(events, &[12, 13, 19, 20], id);
        let enforced = |id| values(events, &[12, 19], id);
        let mut required = enforced(VBS_VSM_REQUIRED);
        let mandatory = enforced(VBS_MANDATORY_ENFORCEMENT);
        let both = !required.is_empty() && !mandatory.is_empty();
        required.extend(mandatory);
        let (boot_mgr_svn, boot_app_svn) = security_versions(events);
        Ok(Self {
            code_integrity_enabled: all(&boot(CODEINTEGRITY), true),
            boot_debugging_disabled: all(&boot(BOOTDEBUGGING), false),
            os_kernel_debugging_disabled: all(&boot(OSKERNELDEBUG), false),
            test_signing_disabled: all(&boot(TESTSIGNING), false),
            flight_signing_not_enabled: all(&boot(FLIGHTSIGNING), false),
            not_safe_mode: none(&boot(SAFEMODE)),
            not_win_pe: none(&boot(WINPE)),
            dep_policy: boot(DATAEXECUTIONPREVENTION).last().copied().flatten().unwrap_or(0),
            iommu_enabled: all(&boot(VBS_IOMMU_REQUIRED), true),
            vbs_enabled: both && all(&required, true),
            hvci_enabled: {
                let found = enforced(VBS_HVCI_POLICY);
                !found.is_empty() && found.iter().all(|value| *value == Some(1))
            },
            bitlocker_status: enforced(BITLOCKER_UNLOCK)
                .into_iter()
                .flatten()
                .find(|value| *value != 0)
                .unwrap_or(0),
            elam_driver_loaded: modules(events).any(|module| is_elam_driver(module)),
            boot_mgr_svn,
            boot_app_svn,
            boot_counter: boot_counter(events)?,
            cold_boot: boot(TRANSFER_CONTROL).contains(&Some(1)),
            vsm_signing_key: vsm_signing_key(events)?,
        })
    }
}

/// A tagged event with the record it stands in.
struct Loader<'t, 'a> {
    pcr: u32,
    sequence: usize,
    tag: &'t Tag<'a>,
}

fn loader_events<'t, 'a>(events: &'t [Measured<'a>]) -> Result<Vec<Loader<'t, 'a>>, ClaimError> {
    let mut found = Vec::new();
    let mut ended = Vec::new();
    for measured in events {
        let (sequence, pcr) = (measured.event.sequence, measured.event.pcr);
        if !LOADER_PCRS.contains(&pcr) && !DRTM_PCRS.contains(&pcr) {
            continue;
        }
        match (measured.event.event_type, &measured.content) {
            (ty::EVENT_TAG, Content::Tagged(tags)) => {
                if !ended.contains(&pcr) {
                    found.extend(tags.iter().map(|tag| Loader { pcr, sequence, tag }));
                }
            }
            (ty::SEPARATOR, Content::Separator(Separator::Windows)) => {
                if ended.contains(&pcr) {
                    let what = "separator".to_owned();
                    return Err(ClaimError::Duplicate { sequence, pcr, what });
                }
                ended.push(pcr);
            }
            // What a dynamic launch measures is for its own log to say.
            _ if DRTM_PCRS.contains(&pcr) => {}
            (_, Content::Unbound) => return Err(ClaimError::Unbound { sequence, pcr }),
            (event_type, _) => {
                return Err(ClaimError::Unexpected { sequence, pcr, event_type, at: " of Windows" });
            }
        }
    }
    Ok(found)
}

fn is_loader(tags: &[Tag<'_>]) -> bool {
    tags.iter().any(|tag| tag.id == TRUSTBOUNDARY)
}

/// Every value of an event inside the trust boundaries of some PCRs, in order; `None` for payloads that
/// are no numbers, which then count as neither on nor off.
fn values(events: &[Loader<'_, '_>], pcrs: &[u32], id: u32) -> Vec<Option<u64>> {
    let boundaries = events.iter().filter(|event| pcrs.contains(&event.pcr));
    boundaries.flat_map(|event| event.tag.find(id)).map(Tag::number).collect()
}

/// Measured, and always with this value.
fn all(values: &[Option<u64>], wanted: bool) -> bool {
    !values.is_empty() && values.iter().all(|value| value.is_some_and(|value| (value != 0) == wanted))
}

/// Not measured as on.
fn none(values: &[Option<u64>]) -> bool {
    values.iter().all(|value| *value == Some(0))
}

fn modules<'t, 'a>(events: &'t [Loader<'t, 'a>]) -> impl Iterator<Item = &'t Tag<'a>> {
    let boot = events.iter().filter(|event| [12, 13, 19, 20].contains(&event.pcr));
    boot.flat_map(|event| event.tag.find(LOADEDMODULE_AGGREGATION))
}

fn is_elam_driver(module: &Tag<'_>) -> bool {
    let child = |id| module.children.iter().find(|child| child.id == id);
    let path = child(FILEPATH).and_then(|path| utf16(path.payload));
    let path = path.map(|path| path.trim_end_matches('\0').to_ascii_lowercase());
    let validated = child(IMAGEVALIDATED).and_then(Tag::flag) == Some(true);
    validated && path.is_some_and(|path| ELAM_DRIVERS.contains(&path.as_str()))
}

/// The security versions of the boot manager and of what it started, in the order of the log: that of
/// the first is the first of PCR 12; that of the second comes after control was transferred and the
/// first module with a version of its own was loaded (PCR 13).
fn security_versions(events: &[Loader<'_, '_>]) -> (Option<u64>, Option<u64>) {
    let position = |start: usize, wanted: &dyn Fn(&Loader<'_, '_>) -> bool| {
        events.iter().enumerate().skip(start).find(|(_, event)| wanted(event)).map(|(place, _)| place)
    };
    let has_version =
        |event: &Loader<'_, '_>| event.pcr == 12 && event.tag.find(APPLICATION_SVN).next().is_some();
    let version = |place: usize| {
        events.get(place).and_then(|event| event.tag.find(APPLICATION_SVN).next()).and_then(Tag::number)
    };
    let Some(manager) = position(0, &has_version) else { return (None, None) };
    let transfer = position(manager, &|event| {
        event.tag.find(TRANSFER_CONTROL).any(|tag| matches!(tag.number(), Some(1 | 2)))
    });
    let module = transfer.and_then(|transfer| {
        position(transfer + 1, &|event| event.pcr == 13 && event.tag.find(MODULE_SVN).next().is_some())
    });
    let application = module.and_then(|module| position(module + 1, &has_version));
    (version(manager), application.and_then(version))
}

fn boot_counter(events: &[Loader<'_, '_>]) -> Result<Option<u64>, ClaimError> {
    let mut found = None;
    for event in events {
        for counter in event.tag.find(BOOTCOUNTER) {
            let (sequence, pcr) = (event.sequence, event.pcr);
            match (found, counter.number()) {
                (Some(before), Some(now)) if before != now => {
                    let reason = "two boot counters";
                    return Err(ClaimError::Windows { sequence, pcr, reason });
                }
                (_, now) => found = now,
            }
        }
    }
    Ok(found)
}

/// The key of `SIPAEVENT_VSM_IDKS_INFO`, of which there must not be two different ones.
fn vsm_signing_key(events: &[Loader<'_, '_>]) -> Result<Option<crypto::PublicKey>, ClaimError> {
    let mut found: Option<crypto::PublicKey> = None;
    for event in events {
        for info in event.tag.find(VSM_IDKS_INFO) {
            let (sequence, pcr) = (event.sequence, event.pcr);
            let broken = |reason| ClaimError::Windows { sequence, pcr, reason };
            let key = identity_key(info.payload).ok_or(broken("no RSA identity key"))?;
            if found.as_ref().is_some_and(|before| *before != key) {
                return Err(broken("two identity keys"));
            }
            found = Some(key);
        }
    }
    Ok(found)
}

/// `SIPAEVENT_VSM_IDK_INFO_PAYLOAD` with an RSA key, numbers big-endian.
fn identity_key(payload: &[u8]) -> Option<crypto::PublicKey> {
    let numbers = Reader::all(payload, "VSM identity key", |r| {
        r.u32_le("KeyAlgID")?;
        let bits = r.u32_le("KeyBitLength")?;
        let (exponent, modulus) = (r.u32_le("PublicExpLengthBytes")?, r.u32_le("ModulusSizeBytes")?);
        let exponent = r.take_u32("exponent", exponent)?;
        Ok::<_, ReadError>((bits, exponent, r.take_u32("modulus", modulus)?))
    });
    let (bits, exponent, modulus) = numbers.ok()?;
    let key = crypto::PublicKey::rsa(modulus, exponent).ok()?;
    (key.rsa_bits() == usize::try_from(bits).ok()).then_some(key)
}

const LOADER_PCRS: &[u32] = &[12, 13, 14];
const DRTM_PCRS: &[u32] = &[19, 20];
const ELAM_DRIVERS: &[&str] =
    &[r"\windows\system32\drivers\wdboot.sys", r"\windows\system32\drivers\wd\wdboot.sys"];
