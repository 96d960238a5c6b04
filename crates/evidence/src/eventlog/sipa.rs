//! Tagged events of the Windows loader (Windows SDK, `wbcl.h`: SIPA identifiers). Little-endian.

use crate::read::{ReadError, Reader};

/// One tagged event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag<'a> {
    /// Its identifier.
    pub id: u32,
    /// Its payload; of an aggregation the tagged events inside it.
    pub payload: &'a [u8],
    /// The tagged events inside an aggregation.
    pub children: Vec<Tag<'a>>,
}

impl<'a> Tag<'a> {
    /// Every event with this identifier, inside this one and itself, in order.
    pub fn find(&self, id: u32) -> impl Iterator<Item = &Tag<'a>> {
        let mut found = Vec::new();
        self.collect(id, &mut found);
        found.into_iter()
    }

    fn collect<'s>(&'s self, id: u32, found: &mut Vec<&'s Self>) {
        if self.id == id {
            found.push(self);
        }
        for child in &self.children {
            child.collect(id, found);
        }
    }

    /// The payload as a number of up to eight bytes.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        if self.payload.is_empty() || self.payload.len() > 8 {
            return None;
        }
        Some(self.payload.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The payload as a flag: one byte or a longer number, 0 or not.
    #[must_use]
    pub fn flag(&self) -> Option<bool> {
        self.number().map(|number| number != 0)
    }
}

/// The tagged events that make up `data`, all of them; `None` if they do not, are nested deeper than
/// eight levels, or are more than `budget`, from which they are taken.
#[must_use]
pub(crate) fn parse<'a>(data: &'a [u8], budget: &mut usize) -> Option<Vec<Tag<'a>>> {
    tags(data, 0, budget).ok().flatten()
}

fn tags<'a>(data: &'a [u8], depth: usize, budget: &mut usize) -> Result<Option<Vec<Tag<'a>>>, ReadError> {
    let mut rest = data;
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (id, payload);
        ((id, payload), rest) = Reader::prefix(rest, "SIPA event", |r| {
            let (id, size) = (r.u32_le("EventID")?, r.u32_le("EventDataSize")?);
            Ok::<_, ReadError>((id, r.take_u32("EventData", size)?))
        })?;
        let Some(left) = budget.checked_sub(1) else { return Ok(None) };
        *budget = left;
        let mut children = Vec::new();
        if id & AGGREGATION != 0 {
            if depth == MAX_DEPTH {
                return Ok(None);
            }
            match tags(payload, depth + 1, budget)? {
                Some(tags) => children = tags,
                None => return Ok(None),
            }
        }
        found.push(Tag { id, payload, children });
    }
    Ok(Some(found))
}

/// The name of an identifier, with `EVENT_` for `SIPAEVENT_`, as Azure Attestation's claims have it.
#[must_use]
pub fn name(id: u32) -> Option<&'static str> {
    TABLE.iter().find(|(known, ..)| *known == id).map(|(_, name, _)| *name)
}

/// How the payload of an identifier is to be read.
pub(crate) fn kind(id: u32) -> Kind {
    TABLE.iter().find(|(known, ..)| *known == id).map_or(Kind::Raw, |(.., kind)| *kind)
}

/// How a payload is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Events inside it.
    Aggregation,
    /// True or false.
    Flag,
    /// Bytes.
    Raw,
    /// A number.
    Number,
    /// A number of which some values have names.
    Enumeration(&'static [(u64, &'static str)]),
    /// UTF-16.
    Text,
}

const AGGREGATION: u32 = 0x4000_0000;
/// Real logs nest three levels deep.
const MAX_DEPTH: usize = 8;
/// Of one log; a captured one has some thousand. This bounds memory to about 10 MB.
pub(crate) const MAX_TAGS: usize = 200_000;

pub(crate) const TRUSTBOUNDARY: u32 = 0x4001_0001;
pub(crate) const LOADEDMODULE_AGGREGATION: u32 = 0x4001_0003;
pub(crate) const BOOTCOUNTER: u32 = 0x0002_0002;
pub(crate) const TRANSFER_CONTROL: u32 = 0x0002_0003;
pub(crate) const BITLOCKER_UNLOCK: u32 = 0x0002_0005;
pub(crate) const APPLICATION_SVN: u32 = 0x0002_0009;
pub(crate) const BOOTDEBUGGING: u32 = 0x0004_0001;
pub(crate) const OSKERNELDEBUG: u32 = 0x0005_0001;
pub(crate) const CODEINTEGRITY: u32 = 0x0005_0002;
pub(crate) const TESTSIGNING: u32 = 0x0005_0003;
pub(crate) const DATAEXECUTIONPREVENTION: u32 = 0x0005_0004;
pub(crate) const SAFEMODE: u32 = 0x0005_0005;
pub(crate) const WINPE: u32 = 0x0005_0006;
pub(crate) const FLIGHTSIGNING: u32 = 0x0005_0021;
pub(crate) const VSM_IDKS_INFO: u32 = 0x0005_0023;
pub(crate) const FILEPATH: u32 = 0x0007_0001;
pub(crate) const IMAGEVALIDATED: u32 = 0x0007_000a;
pub(crate) const MODULE_SVN: u32 = 0x0007_000b;
pub(crate) const VBS_VSM_REQUIRED: u32 = 0x000a_0001;
pub(crate) const VBS_IOMMU_REQUIRED: u32 = 0x000a_0003;
pub(crate) const VBS_MANDATORY_ENFORCEMENT: u32 = 0x000a_0006;
pub(crate) const DRTM_STATE_AUTH: u32 = 0x000c_0001;
pub(crate) const VBS_HVCI_POLICY: u32 = 0x000a_0007;

const BITLOCKER: Kind = Kind::Enumeration(&[
    (0, "NONE"),
    (0x1, "CACHED"),
    (0x2, "MEDIA"),
    (0x4, "TPM"),
    (0x10, "PIN"),
    (0x20, "EXTERNAL"),
    (0x40, "RECOVERY"),
    (0x80, "PASSPHRASE"),
    (0x100, "NBP"),
    (0x200, "AUK_OSFVEINFO"),
]);
const TRANSFER: Kind = Kind::Enumeration(&[
    (1, "OSLOADER"),
    (2, "RESUME"),
    (3, "MSUTILITY"),
    (4, "NOSIGNATURECHECK"),
    (5, "HYPERVISOR"),
]);
const OS_DEVICE: Kind = Kind::Enumeration(&[
    (0, "UNKNOWN"),
    (0x1_0001, "BLOCKIO_HARDDISK"),
    (0x1_0002, "BLOCKIO_REMOVABLEDISK"),
    (0x1_0003, "BLOCKIO_CDROM"),
    (0x1_0004, "BLOCKIO_PARTITION"),
    (0x1_0005, "BLOCKIO_FILE"),
    (0x1_0006, "BLOCKIO_RAMDISK"),
    (0x1_0007, "BLOCKIO_VIRTUALHARDDISK"),
    (0x2_0000, "SERIAL"),
    (0x3_0000, "UDP"),
    (0x4_0000, "VMBUS"),
    (0x5_0000, "COMPOSITE"),
    (0x6_0000, "CIMFS"),
]);
const HASH: Kind = Kind::Enumeration(&[
    (0x8002, "MD4"),
    (0x8003, "MD5"),
    (0x8004, "SHA1"),
    (0x800c, "SHA_256"),
    (0x800d, "SHA_384"),
    (0x800e, "SHA_512"),
]);
const HVCI: Kind = Kind::Enumeration(&[(1, "HypervisorEnforcedCodeIntegrityEnable")]);
const SMT: Kind = Kind::Enumeration(&[(0, "OFF"), (1, "ON"), (2, "DISABLED_BY_SOFTWARE")]);
const PLAIN: Kind = Kind::Enumeration(&[]);

const TABLE: &[(u32, &str, Kind)] = &[
    (TRUSTBOUNDARY, "EVENT_TRUSTBOUNDARY", Kind::Aggregation),
    (0x4001_0002, "EVENT_ELAM_AGGREGATION", Kind::Aggregation),
    (LOADEDMODULE_AGGREGATION, "EVENT_LOADEDMODULE_AGGREGATION", Kind::Aggregation),
    (0xc001_0004, "EVENT_TRUSTPOINT_AGGREGATION", Kind::Aggregation),
    (0x4001_0005, "EVENT_KSR_AGGREGATION", Kind::Aggregation),
    (0x4001_0006, "EVENT_KSR_SIGNED_MEASUREMENT_AGGREGATION", Kind::Aggregation),
    (0x0002_0001, "EVENT_INFORMATION", Kind::Raw),
    (BOOTCOUNTER, "EVENT_BOOTCOUNTER", Kind::Number),
    (TRANSFER_CONTROL, "EVENT_TRANSFER_CONTROL", TRANSFER),
    (0x0002_0004, "EVENT_APPLICATION_RETURN", Kind::Raw),
    (BITLOCKER_UNLOCK, "EVENT_BITLOCKER_UNLOCK", BITLOCKER),
    (0x0002_0006, "EVENT_EVENTCOUNTER", Kind::Number),
    (0x0002_0007, "EVENT_COUNTERID", Kind::Number),
    (0x0002_0008, "EVENT_MORBIT_NOT_CANCELABLE", Kind::Flag),
    (APPLICATION_SVN, "EVENT_APPLICATION_SVN", Kind::Number),
    (0x0002_000a, "EVENT_SVN_CHAIN_STATUS", Kind::Number),
    (0x0002_000b, "EVENT_MORBIT_API_STATUS", Kind::Number),
    (0x0002_000c, "EVENT_IDK_GENERATION_STATUS", Kind::Number),
    (0x0003_0001, "EVENT_FIRMWAREFAILURE", Kind::Raw),
    (0x8003_0002, "EVENT_TPMFAILURE", Kind::Raw),
    (0x0003_0003, "EVENT_INTERNALFAILURE", Kind::Raw),
    (0x8003_0004, "EVENT_KSRFAILURE", Kind::Raw),
    (0x0003_0005, "EVENT_HYPERVISORFAILURE", Kind::Raw),
    (BOOTDEBUGGING, "EVENT_BOOTDEBUGGING", Kind::Flag),
    (0x0004_0002, "EVENT_BOOT_REVOCATION_LIST", Kind::Raw),
    (OSKERNELDEBUG, "EVENT_OSKERNELDEBUG", Kind::Flag),
    (CODEINTEGRITY, "EVENT_CODEINTEGRITY", Kind::Flag),
    (TESTSIGNING, "EVENT_TESTSIGNING", Kind::Flag),
    (DATAEXECUTIONPREVENTION, "EVENT_DATAEXECUTIONPREVENTION", PLAIN),
    (SAFEMODE, "EVENT_SAFEMODE", Kind::Flag),
    (WINPE, "EVENT_WINPE", Kind::Flag),
    (0x0005_0007, "EVENT_PHYSICALADDRESSEXTENSION", Kind::Number),
    (0x0005_0008, "EVENT_OSDEVICE", OS_DEVICE),
    (0x0005_0009, "EVENT_SYSTEMROOT", Kind::Text),
    (0x0005_000a, "EVENT_HYPERVISOR_LAUNCH_TYPE", Kind::Number),
    (0x0005_000b, "EVENT_HYPERVISOR_PATH", Kind::Text),
    (0x0005_000c, "EVENT_HYPERVISOR_IOMMU_POLICY", Kind::Number),
    (0x0005_000d, "EVENT_HYPERVISOR_DEBUG", Kind::Flag),
    (0x0005_000e, "EVENT_DRIVER_LOAD_POLICY", PLAIN),
    (0x0005_000f, "EVENT_SI_POLICY", Kind::Raw),
    (0x0005_0010, "EVENT_HYPERVISOR_MMIO_NX_POLICY", Kind::Number),
    (0x0005_0011, "EVENT_HYPERVISOR_MSR_FILTER_POLICY", Kind::Number),
    (0x0005_0012, "EVENT_VSM_LAUNCH_TYPE", Kind::Number),
    (0x0005_0013, "EVENT_OS_REVOCATION_LIST", Kind::Raw),
    (0x0005_0014, "EVENT_SMT_STATUS", SMT),
    (0x0005_0020, "EVENT_VSM_IDK_INFO", Kind::Raw),
    (FLIGHTSIGNING, "EVENT_FLIGHTSIGNING", Kind::Flag),
    (0x0005_0022, "EVENT_PAGEFILE_ENCRYPTION_ENABLED", Kind::Flag),
    (VSM_IDKS_INFO, "EVENT_VSM_IDKS_INFO", Kind::Raw),
    (0x0005_0024, "EVENT_HIBERNATION_DISABLED", Kind::Flag),
    (0x0005_0025, "EVENT_DUMPS_DISABLED", Kind::Flag),
    (0x0005_0026, "EVENT_DUMP_ENCRYPTION_ENABLED", Kind::Flag),
    (0x0005_0027, "EVENT_DUMP_ENCRYPTION_KEY_DIGEST", Kind::Raw),
    (0x0005_0028, "EVENT_LSAISO_CONFIG", Kind::Number),
    (0x0005_0029, "EVENT_SBCP_INFO", Kind::Raw),
    (0x0005_0030, "EVENT_HYPERVISOR_BOOT_DMA_PROTECTION", Kind::Flag),
    (0x0005_0031, "EVENT_SI_POLICY_SIGNER", Kind::Raw),
    (0x0005_0032, "EVENT_SI_POLICY_UPDATE_SIGNER", Kind::Raw),
    (0x0005_0033, "EVENT_REFS_VOLUME_CHECKPOINT_RECORD_CHECKSUM", Kind::Raw),
    (0x0005_0034, "EVENT_REFS_ROLLBACK_PROTECTION_FROZEN_VOLUME_CHECKSUM", Kind::Raw),
    (0x0005_0035, "EVENT_REFS_ROLLBACK_PROTECTION_USER_PAYLOAD_HASH", Kind::Raw),
    (0x0005_0036, "EVENT_REFS_ROLLBACK_PROTECTION_VERIFICATION_SUCCEEDED", Kind::Flag),
    (0x0005_0037, "EVENT_REFS_ROLLBACK_PROTECTION_VOLUME_FIRST_EVER_MOUNT", Kind::Flag),
    (0x0005_003a, "EVENT_VSM_SEALED_SI_POLICY", Kind::Raw),
    (0x0005_003b, "EVENT_VSM_DRTM_KEYROLL_DETECTED", Kind::Flag),
    (0x0005_003c, "EVENT_VSM_SRTM_UNSEAL_POLICY", Kind::Raw),
    (0x0005_003d, "EVENT_VSM_SRTM_ANTI_ROLLBACK_COUNTER", Kind::Number),
    (0x0005_0040, "EVENT_VTL1_DUMP_CONFIG", Kind::Number),
    (0x0006_0001, "EVENT_NOAUTHORITY", Kind::Flag),
    (0x0006_0002, "EVENT_AUTHORITYPUBKEY", Kind::Raw),
    (FILEPATH, "EVENT_FILEPATH", Kind::Text),
    (0x0007_0002, "EVENT_IMAGESIZE", Kind::Number),
    (0x0007_0003, "EVENT_HASHALGORITHMID", HASH),
    (0x0007_0004, "EVENT_AUTHENTICODEHASH", Kind::Raw),
    (0x0007_0005, "EVENT_AUTHORITYISSUER", Kind::Text),
    (0x0007_0006, "EVENT_AUTHORITYSERIAL", Kind::Raw),
    (0x0007_0007, "EVENT_IMAGEBASE", Kind::Number),
    (0x0007_0008, "EVENT_AUTHORITYPUBLISHER", Kind::Text),
    (0x0007_0009, "EVENT_AUTHORITYSHA1THUMBPRINT", Kind::Raw),
    (IMAGEVALIDATED, "EVENT_IMAGEVALIDATED", Kind::Flag),
    (MODULE_SVN, "EVENT_MODULE_SVN", Kind::Number),
    (0x0007_000c, "EVENT_MODULE_PLUTON", Kind::Raw),
    (0x0007_000d, "EVENT_MODULE_ORIGINAL_FILENAME", Kind::Text),
    (0x0007_000e, "EVENT_MODULE_VERSION", Kind::Raw),
    (0x0007_000f, "EVENT_PUBLISHER_OEMNAME", Kind::Text),
    (0x8008_0001, "EVENT_QUOTE", Kind::Raw),
    (0x8008_0002, "EVENT_QUOTESIGNATURE", Kind::Raw),
    (0x8008_0003, "EVENT_AIKID", Kind::Raw),
    (0x8008_0004, "EVENT_AIKPUBDIGEST", Kind::Raw),
    (0x0009_0001, "EVENT_ELAM_KEYNAME", Kind::Text),
    (0x0009_0002, "EVENT_ELAM_CONFIGURATION", Kind::Raw),
    (0x0009_0003, "EVENT_ELAM_POLICY", Kind::Raw),
    (0x0009_0004, "EVENT_ELAM_MEASURED", Kind::Raw),
    (VBS_VSM_REQUIRED, "EVENT_VBS_VSM_REQUIRED", Kind::Flag),
    (0x000a_0002, "EVENT_VBS_SECUREBOOT_REQUIRED", Kind::Flag),
    (VBS_IOMMU_REQUIRED, "EVENT_VBS_IOMMU_REQUIRED", Kind::Flag),
    (0x000a_0004, "EVENT_VBS_MMIO_NX_REQUIRED", Kind::Flag),
    (0x000a_0005, "EVENT_VBS_MSR_FILTERING_REQUIRED", Kind::Flag),
    (VBS_MANDATORY_ENFORCEMENT, "EVENT_VBS_MANDATORY_ENFORCEMENT", Kind::Flag),
    (VBS_HVCI_POLICY, "EVENT_VBS_HVCI_POLICY", HVCI),
    (0x000a_0008, "EVENT_VBS_MICROSOFT_BOOT_CHAIN_REQUIRED", Kind::Flag),
    (0x000a_0009, "EVENT_VBS_DUMP_USES_AMEROOT", Kind::Flag),
    (0x000a_000a, "EVENT_VBS_VSM_NOSECRETS_ENFORCED", Kind::Flag),
    (0x000b_0001, "EVENT_KSR_SIGNATURE", Kind::Raw),
    (DRTM_STATE_AUTH, "EVENT_DRTM_STATE_AUTH", Kind::Raw),
    (0x000c_0002, "EVENT_DRTM_SMM", PLAIN),
    (0x000c_0003, "EVENT_DRTM_AMD_SMM_HASH", Kind::Raw),
    (0x000c_0004, "EVENT_DRTM_AMD_SMM_SIGNER_KEY", Kind::Raw),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8]) -> Option<Vec<Tag<'_>>> {
        parse(data, &mut { MAX_TAGS })
    }

    fn tag(id: u32, payload: &[u8]) -> Vec<u8> {
        let size = u32::try_from(payload.len()).unwrap();
        [&id.to_le_bytes()[..], &size.to_le_bytes(), payload].concat()
    }

    #[test]
    fn aggregations_hold_events() {
        let inner = [tag(CODEINTEGRITY, &[1]), tag(BOOTCOUNTER, &[1, 2, 0, 0, 0, 0, 0, 0])].concat();
        let bytes = [tag(TRUSTBOUNDARY, &inner), tag(CODEINTEGRITY, &[0])].concat();
        let tags = read(&bytes).unwrap();
        assert_eq!(tags[0].find(CODEINTEGRITY).map(|tag| tag.flag()).collect::<Vec<_>>(), [Some(true)]);
        assert_eq!(tags[0].children[1].number(), Some(0x201));
        assert_eq!(tags[1].flag(), Some(false));
        assert_eq!(read(&bytes[..bytes.len() - 1]), None);
        assert_eq!(read(&tag(TRUSTBOUNDARY, &[0; 7])), None);
        assert_eq!(read(&tag(BOOTCOUNTER, &[0; 9])).unwrap()[0].number(), None);
    }

    #[test]
    fn nesting_and_numbers_are_bounded() {
        let mut bytes = tag(CODEINTEGRITY, &[1]);
        for _ in 0..MAX_DEPTH {
            bytes = tag(TRUSTBOUNDARY, &bytes);
        }
        assert!(read(&bytes).is_some());
        assert_eq!(read(&tag(TRUSTBOUNDARY, &bytes)), None);
        assert!(read(&tag(CODEINTEGRITY, &[]).repeat(MAX_TAGS)).is_some());
        assert_eq!(read(&tag(CODEINTEGRITY, &[]).repeat(MAX_TAGS + 1)), None);
    }

    #[test]
    fn identifiers_stand_once() {
        for (index, (id, name, _)) in TABLE.iter().enumerate() {
            assert!(TABLE[..index].iter().all(|(other, known, _)| other != id && known != name), "{name}");
        }
        assert_eq!(name(0x0005_0008), Some("EVENT_OSDEVICE"));
        assert_eq!(kind(0x1234), Kind::Raw);
    }
}
