//! What of an event's data its digest vouches for (TCG PC Client Platform Firmware Profile, 10.4; GRUB
//! `commands/tpm`, systemd `src/boot`). Only PCR, digest and order are measured: data count where the
//! digest can be computed from them, and for nothing else.

use crypto::{Digest, HashAlgorithm};

use super::event_type as ty;
use super::parse::Event;
use super::sipa::{self, Tag};
use super::uefi::{VariableData, utf16};

/// An event of a log with what its digest vouches for.
#[derive(Debug, Clone)]
pub struct Measured<'a> {
    /// The record.
    pub event: Event<'a>,
    /// The digest that was extended into the bank that is believed. Those of other banks are not.
    pub digest: Option<&'a [u8]>,
    /// What of its data was measured.
    pub content: Content<'a>,
}

/// What of an event's data was measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content<'a> {
    /// The text of an action.
    Action(&'a str),
    /// All data, of no structure that matters here.
    Data(&'a [u8]),
    /// What GRUB does: the text behind the prefix. The prefix is not measured.
    Grub {
        /// The prefix that the log claims.
        claimed: GrubText,
        /// The text.
        text: &'a str,
    },
    /// A separator, by its digest.
    Separator(Separator),
    /// The name of the section of a unified kernel image; the next event measures its contents.
    UkiSection(String),
    /// Tagged events of the Windows loader.
    Tagged(Vec<Tag<'a>>),
    /// Text in UTF-16: a command line.
    Text(String),
    /// Nothing: the digest is that of something else.
    Unbound,
    /// A UEFI variable.
    Variable {
        /// The variable.
        variable: VariableData<'a>,
        /// Whether GUID and name were measured, too, and not the value alone.
        named: bool,
    },
}

/// A separator's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Separator {
    /// `01000000`: the firmware could not measure something.
    Error,
    /// `FFFFFFFF`, as older firmware writes it.
    Ones,
    /// `WBCL`: the end of what the Windows loader measures.
    Windows,
    /// `00000000`.
    Zero,
}

impl Separator {
    /// The bytes measured.
    #[must_use]
    pub const fn value(self) -> [u8; 4] {
        match self {
            Self::Error => [1, 0, 0, 0],
            Self::Ones => [0xff; 4],
            Self::Windows => *b"WBCL",
            Self::Zero => [0; 4],
        }
    }
}

/// What GRUB says that it measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GrubText {
    /// A command of its configuration.
    Command,
    /// The command line of the kernel, with the path of its image.
    KernelCommandLine,
    /// The arguments of a module.
    ModuleCommandLine,
}

impl<'a> Measured<'a> {
    /// Reads the data of `event` as far as its digest in `bank` vouches for them.
    #[must_use]
    pub fn new(event: Event<'a>, bank: HashAlgorithm) -> Self {
        Self::within(event, &KnownDigests::of(bank), &mut { sipa::MAX_TAGS })
    }

    /// The same for the events of a log, which share the number of tagged events accepted.
    pub fn all<'e>(events: impl Iterator<Item = &'e Event<'a>>, bank: HashAlgorithm) -> Vec<Self>
    where
        'a: 'e,
    {
        let mut budget = sipa::MAX_TAGS;
        let known = KnownDigests::of(bank);
        events.map(|event| Self::within(*event, &known, &mut budget)).collect()
    }

    fn within(event: Event<'a>, known: &KnownDigests, budget: &mut usize) -> Self {
        let bank = known.bank;
        let digest = event.digest(bank);
        let content = match digest {
            Some(digest) => {
                content(&event, digest, known, &|data| bank.digest(&[data]).as_slice() == digest, budget)
            }
            None => Content::Unbound,
        };
        Self { event, digest, content }
    }

    /// Whether nothing of its data was measured.
    #[must_use]
    pub fn is_unbound(&self) -> bool {
        self.content == Content::Unbound
    }

    /// The variable measured, if its name was, too.
    #[must_use]
    pub const fn variable(&self) -> Option<&VariableData<'a>> {
        match &self.content {
            Content::Variable { variable, named: true } => Some(variable),
            _ => None,
        }
    }
}

fn content<'a>(
    event: &Event<'a>,
    digest: &[u8],
    known: &KnownDigests,
    hashes: &dyn Fn(&[u8]) -> bool,
    budget: &mut usize,
) -> Content<'a> {
    // What type it claims does not matter for these: the type is not measured.
    if let Some(separator) = separator(event.data).filter(|_| hashes(event.data)) {
        return Content::Separator(separator);
    }
    match typed_content(event, hashes, budget) {
        // Nor do the data, when the digest is one that everybody knows.
        content @ (Content::Unbound | Content::Data(_)) if event.pcr <= 7 => {
            known.find(event.pcr, digest).unwrap_or(content)
        }
        content => content,
    }
}

/// Digests that everybody knows, in one bank.
struct KnownDigests {
    bank: HashAlgorithm,
    separators: [(Separator, Digest); 3],
    actions: [(&'static str, Digest); 7],
}

impl KnownDigests {
    fn of(bank: HashAlgorithm) -> Self {
        let separators = [Separator::Zero, Separator::Ones, Separator::Error];
        Self {
            bank,
            separators: separators.map(|separator| (separator, bank.digest(&[&separator.value()]))),
            actions: KNOWN_ACTIONS.map(|text| (text, bank.digest(&[text.as_bytes()]))),
        }
    }

    fn find<'a>(&self, pcr: u32, digest: &[u8]) -> Option<Content<'a>> {
        if let Some((separator, _)) = self.separators.iter().find(|(_, known)| known.as_slice() == digest) {
            return Some(Content::Separator(*separator));
        }
        if ![4, 5, 7].contains(&pcr) {
            return None;
        }
        let action = self.actions.iter().find(|(_, known)| known.as_slice() == digest);
        action.map(|(text, _)| Content::Action(text))
    }
}

fn separator(data: &[u8]) -> Option<Separator> {
    match data {
        [0, 0, 0, 0] => Some(Separator::Zero),
        [0xff, 0xff, 0xff, 0xff] => Some(Separator::Ones),
        b"WBCL" => Some(Separator::Windows),
        _ => None,
    }
}

fn typed_content<'a>(event: &Event<'a>, hashes: &dyn Fn(&[u8]) -> bool, budget: &mut usize) -> Content<'a> {
    let data = event.data;
    match event.event_type {
        ty::ACTION | ty::EFI_ACTION if hashes(data) => {
            std::str::from_utf8(data).map_or(Content::Data(data), Content::Action)
        }
        ty::EFI_VARIABLE_DRIVER_CONFIG | ty::EFI_VARIABLE_BOOT2 if hashes(data) => {
            named_variable(data, VariableData::parse(data))
        }
        ty::EFI_VARIABLE_BOOT => boot_variable(data, hashes),
        ty::EFI_VARIABLE_AUTHORITY => authority(data, hashes),
        ty::EVENT_TAG if hashes(data) => {
            sipa::parse(data, budget).map_or(Content::Data(data), Content::Tagged)
        }
        ty::IPL => ipl(event, hashes),
        ty::S_CRTM_VERSION
        | ty::PLATFORM_CONFIG_FLAGS
        | ty::TABLE_OF_DEVICES
        | ty::COMPACT_HASH
        | ty::NONHOST_INFO
        | ty::OMIT_BOOT_DEVICE_EVENTS
        | ty::EFI_GPT_EVENT
        | ty::EFI_GPT_EVENT2
            if hashes(data) =>
        {
            Content::Data(data)
        }
        _ => Content::Unbound,
    }
}

fn named_variable<'a>(data: &'a [u8], variable: Option<VariableData<'a>>) -> Content<'a> {
    variable.map_or(Content::Data(data), |variable| Content::Variable { variable, named: true })
}

/// Most firmware measures the value only, some the whole structure.
fn boot_variable<'a>(data: &'a [u8], hashes: &dyn Fn(&[u8]) -> bool) -> Content<'a> {
    let Some(variable) = VariableData::parse(data) else { return Content::Unbound };
    if hashes(variable.value) {
        return Content::Variable { variable, named: false };
    }
    if hashes(data) { Content::Variable { variable, named: true } } else { Content::Unbound }
}

/// Some versions of shim log a byte more than they measure, and a length that leaves out the owner.
fn authority<'a>(data: &'a [u8], hashes: &dyn Fn(&[u8]) -> bool) -> Content<'a> {
    if hashes(data) {
        return named_variable(data, VariableData::parse_to_end(data));
    }
    match data.split_last() {
        Some((_, shorter)) if hashes(shorter) => named_variable(shorter, VariableData::parse_to_end(shorter)),
        _ => Content::Unbound,
    }
}

fn ipl<'a>(event: &Event<'a>, hashes: &dyn Fn(&[u8]) -> bool) -> Content<'a> {
    let data = event.data;
    if data.len() > MAX_TEXT_BYTES {
        return if hashes(data) { Content::Data(data) } else { Content::Unbound };
    }
    let text = std::str::from_utf8(data).ok().map(|text| text.strip_suffix('\0').unwrap_or(text));
    // By PCR, which is measured: another reading of the same bytes is none of the loader's.
    if let Some((claimed, text)) = text.filter(|_| event.pcr == 8).and_then(grub_text) {
        // Older versions measured the final NUL, too.
        if hashes(text.as_bytes()) || hashes(&[text.as_bytes(), b"\0"].concat()) {
            return Content::Grub { claimed, text };
        }
    }
    if let Some(name) = text_utf16(data).filter(|_| [8, 11, 12].contains(&event.pcr)) {
        if event.pcr == 11 && name.starts_with('.') && hashes(&[name.as_bytes(), b"\0"].concat()) {
            return Content::UkiSection(name);
        }
        let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        // Older stubs measured the final NUL, too, and logged one byte more.
        if event.pcr != 11 && (hashes(&units) || hashes(&[&units[..], &[0, 0]].concat())) {
            return Content::Text(name);
        }
    }
    if hashes(data) { Content::Data(data) } else { Content::Unbound }
}

/// UTF-16 without its final NUL, which may be cut to one byte or stand there with one more.
fn text_utf16(data: &[u8]) -> Option<String> {
    let even = if data.len().is_multiple_of(2) { data } else { data.split_last()?.1 };
    let text = utf16(even)?;
    let text = text.trim_end_matches('\0');
    (!text.is_empty() && !text.contains('\0')).then(|| text.to_owned())
}

fn grub_text(text: &str) -> Option<(GrubText, &str)> {
    GRUB_PREFIXES.iter().find_map(|(prefix, claimed)| Some((*claimed, text.strip_prefix(prefix)?)))
}

/// The longest command of GRUB in captured logs has 500 bytes, and Linux takes command lines of 2 or 4 KiB. What is
/// longer is none that is read.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// Actions of the Platform Firmware Profile, 10.4.4, that say what was started.
pub(crate) const KNOWN_ACTIONS: [&str; 7] = [
    "Calling EFI Application from Boot Option",
    "Returning from EFI Application from Boot Option",
    "Exit Boot Services Invocation",
    "Exit Boot Services Returned with Failure",
    "Exit Boot Services Returned with Success",
    "UEFI Debug Mode",
    "DMA Protection Disabled",
];
const GRUB_PREFIXES: &[(&str, GrubText)] = &[
    ("grub_cmd: ", GrubText::Command),
    ("grub_cmd ", GrubText::Command),
    ("kernel_cmdline: ", GrubText::KernelCommandLine),
    ("grub_kernel_cmdline ", GrubText::KernelCommandLine),
    ("module_cmdline: ", GrubText::ModuleCommandLine),
];
