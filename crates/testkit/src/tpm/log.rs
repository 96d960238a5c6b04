//! Boot logs in the crypto-agile format (TCG PC Client Platform Firmware Profile, 10), little-endian, SHA-256 only.

/// An event of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Where it is extended.
    pub pcr: u8,
    /// `EV_…`.
    pub kind: u32,
    /// What the log says.
    pub data: Vec<u8>,
    /// What is measured.
    pub digest: [u8; 32],
}

/// What was measured at boot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootLog {
    /// In order.
    pub events: Vec<Measured>,
}

const SEPARATOR: u32 = 4;
const EVENT_TAG: u32 = 6;
const IPL: u32 = 0xd;
const VARIABLE_DRIVER_CONFIG: u32 = 0x8000_0001;
const BOOT_APPLICATION: u32 = 0x8000_0003;
const ACTION: u32 = 0x8000_0007;
const VARIABLE_AUTHORITY: u32 = 0x8000_00e0;
/// `EFI_GLOBAL_VARIABLE`.
const GLOBAL: &str = "61dfe48bca93d211aa0d00e098032b8c";
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`.
const SECURITY: &str = "cbb219d73a3d9645a3bcdad00e67656f";

impl BootLog {
    /// A Linux machine started by GRUB. With Secure Boot its databases have a certificate, which allows what starts.
    #[must_use]
    pub fn linux(secure_boot: bool) -> Self {
        let mut log = Self::firmware(secure_boot);
        log.add(4, BOOT_APPLICATION, image(), b"a boot loader");
        let line = "/vmlinuz root=/dev/sda1 quiet";
        log.add(8, IPL, format!("grub_cmd: linux {line}\0").into_bytes(), format!("linux {line}").as_bytes());
        log.add(8, IPL, format!("kernel_cmdline: {line}\0").into_bytes(), line.as_bytes());
        log.add(9, IPL, b"/vmlinuz\0".to_vec(), b"a kernel");
        log.exit_boot_services();
        log
    }

    /// A Windows machine with Secure Boot whose loader measured these tags ([`tag`]) in PCR 12.
    #[must_use]
    pub fn windows(tags: &[u8]) -> Self {
        let mut log = Self::firmware(true);
        log.add(4, BOOT_APPLICATION, image(), b"the Windows boot manager");
        log.exit_boot_services();
        // SIPAEVENT_TRUSTBOUNDARY.
        log.measure(12, EVENT_TAG, tag(0x4001_0001, tags));
        for pcr in 12..=14 {
            log.measure(pcr, SEPARATOR, b"WBCL".to_vec());
        }
        log
    }

    fn firmware(secure_boot: bool) -> Self {
        let mut log = Self::default();
        let owner = hex::decode("bd9afa775903324dbd6028f4e78f784b").expect("hexadecimal");
        let entry = [&owner[..], b"certificate of who signs boot loaders"].concat();
        let keys = if secure_boot { signature_list(&entry) } else { Vec::new() };
        log.measure(0, 8, "firmware 1.0\0".encode_utf16().flat_map(u16::to_le_bytes).collect());
        log.measure(7, VARIABLE_DRIVER_CONFIG, variable(GLOBAL, "SecureBoot", &[u8::from(secure_boot)]));
        for (owner, name) in [(GLOBAL, "PK"), (GLOBAL, "KEK"), (SECURITY, "db")] {
            log.measure(7, VARIABLE_DRIVER_CONFIG, variable(owner, name, &keys));
        }
        log.measure(7, VARIABLE_DRIVER_CONFIG, variable(SECURITY, "dbx", &[]));
        log.measure(4, ACTION, b"Calling EFI Application from Boot Option".to_vec());
        for pcr in 0..8 {
            log.measure(pcr, SEPARATOR, vec![0; 4]);
        }
        if secure_boot {
            log.measure(7, VARIABLE_AUTHORITY, variable(SECURITY, "db", &entry));
        }
        log
    }

    fn exit_boot_services(&mut self) {
        for action in ["Exit Boot Services Invocation", "Exit Boot Services Returned with Success"] {
            self.measure(5, ACTION, action.into());
        }
    }

    /// Adds an event whose digest is of its data.
    pub fn measure(&mut self, pcr: u8, kind: u32, data: Vec<u8>) {
        let digest = crypto::sha256(&data);
        self.events.push(Measured { pcr, kind, data, digest });
    }

    /// Adds an event that measures something else than its data.
    pub fn add(&mut self, pcr: u8, kind: u32, data: Vec<u8>, measured: &[u8]) {
        self.events.push(Measured { pcr, kind, data, digest: crypto::sha256(measured) });
    }

    /// The value of each PCR from 0 to 23 that these events lead to, as a TPM that had no dynamic launch has it.
    #[must_use]
    pub fn pcrs(&self) -> [[u8; 32]; 24] {
        let mut values = [[0; 32]; 24];
        values[17..=22].fill([0xff; 32]);
        for event in &self.events {
            let value = &mut values[usize::from(event.pcr)];
            *value = crypto::sha256_of_parts(&[&value[..], &event.digest]);
        }
        values
    }

    /// The log as firmware keeps it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut spec = b"Spec ID Event03\0\0\0\0\0\0\x02\0\x02\x01\0\0\0".to_vec();
        spec.extend([0x0b, 0, 32, 0, 0]);
        let mut log = vec![0, 0, 0, 0, 3, 0, 0, 0];
        log.extend([0; 20]);
        log.extend(length(&spec));
        log.extend(spec);
        for event in &self.events {
            for number in [u32::from(event.pcr), event.kind, 1] {
                log.extend(number.to_le_bytes());
            }
            log.extend([0x0b, 0]);
            log.extend(event.digest);
            log.extend(length(&event.data));
            log.extend(&event.data);
        }
        log
    }
}

/// A tagged event of Windows (`wbcl.h`): its id, the length of its payload, its payload.
#[must_use]
pub fn tag(id: u32, payload: &[u8]) -> Vec<u8> {
    [&id.to_le_bytes()[..], &length(payload), payload].concat()
}

/// `UEFI_VARIABLE_DATA`.
fn variable(owner: &str, name: &str, value: &[u8]) -> Vec<u8> {
    let mut data = hex::decode(owner).expect("hexadecimal");
    for length in [name.len(), value.len()] {
        data.extend(u64::try_from(length).expect("a length").to_le_bytes());
    }
    data.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
    data.extend(value);
    data
}

/// `EFI_SIGNATURE_LIST` of one X.509 entry.
fn signature_list(entry: &[u8]) -> Vec<u8> {
    let mut list = hex::decode("a159c0a5e494a74a87b5ab155c2bf072").expect("hexadecimal");
    let size = u32::try_from(entry.len()).expect("a length");
    for number in [28 + size, 0, size] {
        list.extend(number.to_le_bytes());
    }
    list.extend(entry);
    list
}

/// `UEFI_IMAGE_LOAD_EVENT` without a device path.
fn image() -> Vec<u8> {
    [0x7e00_0000_u64, 65536, 0, 0].into_iter().flat_map(u64::to_le_bytes).collect()
}

fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("a length").to_le_bytes()
}
