//! Event types (TCG PC Client Platform Firmware Profile, 10.4.1, and Intel TXT and AMD secure launch as
//! Windows logs them). A type is not measured: it says how an event wants to be read, never what it is.

/// The name of an event type, `EV_SEPARATOR` and so on; `None` if it has none.
#[must_use]
pub fn name(event_type: u32) -> Option<&'static str> {
    NAMES.iter().find(|(id, _)| *id == event_type).map(|(_, name)| *name)
}

pub(crate) const NO_ACTION: u32 = 0x3;
pub(crate) const SEPARATOR: u32 = 0x4;
pub(crate) const ACTION: u32 = 0x5;
pub(crate) const EVENT_TAG: u32 = 0x6;
pub(crate) const S_CRTM_VERSION: u32 = 0x8;
pub(crate) const PLATFORM_CONFIG_FLAGS: u32 = 0xa;
pub(crate) const TABLE_OF_DEVICES: u32 = 0xb;
pub(crate) const COMPACT_HASH: u32 = 0xc;
pub(crate) const IPL: u32 = 0xd;
pub(crate) const NONHOST_INFO: u32 = 0x11;
pub(crate) const OMIT_BOOT_DEVICE_EVENTS: u32 = 0x12;
pub(crate) const EFI_VARIABLE_DRIVER_CONFIG: u32 = 0x8000_0001;
pub(crate) const EFI_VARIABLE_BOOT: u32 = 0x8000_0002;
pub(crate) const EFI_BOOT_SERVICES_APPLICATION: u32 = 0x8000_0003;
pub(crate) const EFI_GPT_EVENT: u32 = 0x8000_0006;
pub(crate) const EFI_ACTION: u32 = 0x8000_0007;
pub(crate) const EFI_VARIABLE_BOOT2: u32 = 0x8000_000c;
pub(crate) const EFI_GPT_EVENT2: u32 = 0x8000_000d;
pub(crate) const EFI_VARIABLE_AUTHORITY: u32 = 0x8000_00e0;

const NAMES: &[(u32, &str)] = &[
    (0x0, "EV_PREBOOT_CERT"),
    (0x1, "EV_POST_CODE"),
    (0x2, "EV_UNUSED"),
    (NO_ACTION, "EV_NO_ACTION"),
    (SEPARATOR, "EV_SEPARATOR"),
    (ACTION, "EV_ACTION"),
    (EVENT_TAG, "EV_EVENT_TAG"),
    (0x7, "EV_S_CRTM_CONTENTS"),
    (S_CRTM_VERSION, "EV_S_CRTM_VERSION"),
    (0x9, "EV_CPU_MICROCODE"),
    (PLATFORM_CONFIG_FLAGS, "EV_PLATFORM_CONFIG_FLAGS"),
    (TABLE_OF_DEVICES, "EV_TABLE_OF_DEVICES"),
    (COMPACT_HASH, "EV_COMPACT_HASH"),
    (IPL, "EV_IPL"),
    (0xe, "EV_IPL_PARTITION_DATA"),
    (0xf, "EV_NONHOST_CODE"),
    (0x10, "EV_NONHOST_CONFIG"),
    (NONHOST_INFO, "EV_NONHOST_INFO"),
    (OMIT_BOOT_DEVICE_EVENTS, "EV_OMIT_BOOT_DEVICE_EVENTS"),
    (0x13, "EV_POST_CODE2"),
    (EFI_VARIABLE_DRIVER_CONFIG, "EV_EFI_VARIABLE_DRIVER_CONFIG"),
    (EFI_VARIABLE_BOOT, "EV_EFI_VARIABLE_BOOT"),
    (EFI_BOOT_SERVICES_APPLICATION, "EV_EFI_BOOT_SERVICES_APPLICATION"),
    (0x8000_0004, "EV_EFI_BOOT_SERVICES_DRIVER"),
    (0x8000_0005, "EV_EFI_RUNTIME_SERVICES_DRIVER"),
    (EFI_GPT_EVENT, "EV_EFI_GPT_EVENT"),
    (EFI_ACTION, "EV_EFI_ACTION"),
    (0x8000_0008, "EV_EFI_PLATFORM_FIRMWARE_BLOB"),
    (0x8000_0009, "EV_EFI_HANDOFF_TABLES"),
    (0x8000_000a, "EV_EFI_PLATFORM_FIRMWARE_BLOB2"),
    (0x8000_000b, "EV_EFI_HANDOFF_TABLES2"),
    (EFI_VARIABLE_BOOT2, "EV_EFI_VARIABLE_BOOT2"),
    (EFI_GPT_EVENT2, "EV_EFI_GPT_EVENT2"),
    (0x8000_0010, "EV_EFI_HCRTM_EVENT"),
    (EFI_VARIABLE_AUTHORITY, "EV_EFI_VARIABLE_AUTHORITY"),
    (0x8000_00e1, "EV_EFI_SPDM_FIRMWARE_BLOB"),
    (0x8000_00e2, "EV_EFI_SPDM_FIRMWARE_CONFIG"),
    (0x8000_00e3, "EV_EFI_SPDM_DEVICE_POLICY"),
    (0x8000_00e4, "EV_EFI_SPDM_DEVICE_AUTHORITY"),
];
