//! What a TPM says of itself, and its PCRs, unsigned: for people who want to know what they have before they attest.

use crypto::HashAlgorithm;
use evidence::tpm::{PcrSet, hash_id};

use super::commands::Tpm;
use super::quote;
use crate::failure::Failure;

/// The fixed properties (TPM 2.0 Library Part 2, 6.13) and the banks.
pub(crate) struct Identity {
    /// Four characters of the TCG's registry, such as `INTC`.
    pub(crate) manufacturer: String,
    pub(crate) model: String,
    pub(crate) firmware: String,
    /// Banks with PCRs, of algorithms known here.
    pub(crate) banks: Vec<HashAlgorithm>,
}

impl Identity {
    pub(crate) fn of(tpm: &mut Tpm) -> Result<Self, Failure> {
        let properties = tpm.properties(PT_MANUFACTURER, PT_FIRMWARE_2 - PT_MANUFACTURER + 1)?;
        let value = |wanted: u32| {
            properties.iter().find(|(property, _)| *property == wanted).map_or(0, |(_, value)| *value)
        };
        let model: String = (PT_VENDOR_1..=PT_VENDOR_4).map(|property| text(value(property))).collect();
        let (first, second) = (value(PT_FIRMWARE_1), value(PT_FIRMWARE_2));
        let (major, minor) = (first >> 16, first & 0xffff);
        let used = tpm.banks()?;
        let banks = HashAlgorithm::ALL.into_iter().filter(|bank| used.contains(&hash_id(*bank)));
        Ok(Self {
            manufacturer: text(value(PT_MANUFACTURER)),
            model,
            firmware: format!("{major}.{minor}.{}.{}", second >> 16, second & 0xffff),
            banks: banks.collect(),
        })
    }
}

/// The values of all PCRs of a bank, as they are now.
pub(crate) fn pcrs(tpm: &mut Tpm, bank: HashAlgorithm) -> Result<quote::Values, Failure> {
    for _ in 0..ATTEMPTS {
        if let Some(values) = quote::read(tpm, bank, PcrSet::from_mask(ALL_PCRS))? {
            return Ok(values);
        }
    }
    Err(Failure::failed(format!("the PCRs changed during each of {ATTEMPTS} attempts to read them")))
}

/// Four characters, most significant first, padded with zeros.
fn text(value: u32) -> String {
    let characters = value.to_be_bytes().into_iter().filter(|byte| *byte != 0);
    characters.map(char::from).collect::<String>().trim().to_owned()
}

const PT_MANUFACTURER: u32 = 0x105;
const PT_VENDOR_1: u32 = 0x106;
const PT_VENDOR_4: u32 = 0x109;
const PT_FIRMWARE_1: u32 = 0x10b;
const PT_FIRMWARE_2: u32 = 0x10c;
const ALL_PCRS: u32 = 0xff_ffff;
const ATTEMPTS: u32 = 8;
