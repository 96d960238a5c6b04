//! IMA run-time logs (Linux, `security/integrity/ima`; "IMA event log format"): what the running system
//! measured into PCR 10. Little-endian, as x86 and Arm write it.

use crypto::{Digest, HashAlgorithm};
use der::Decode;
use serde_json::{Map, Value, json};

use super::json::raw;
use crate::read::{ReadError, Reader};
use crate::tpm::QuotedPcrs;
use crate::verdict::{Check, Explain, Rejection, Verdict, rules};

/// Why an IMA log is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImaError {
    /// The quote does not cover PCR 10 in a bank that counts.
    #[error("the quote does not cover PCR 10 in a bank of SHA-256 or stronger")]
    NotQuoted,
    /// Nothing was measured into PCR 10, although the log has records.
    #[error("PCR 10 was never extended: the log's records were not measured")]
    NotExtended,
    /// No part of the log from its start replays to the quoted value.
    #[error("no part of the IMA log from its start replays to the quoted value of PCR 10 ({bank}): {cause}")]
    Replay {
        /// What explains it.
        cause: ImaMismatch,
        /// The bank.
        bank: HashAlgorithm,
        /// What all records together give.
        replayed: Vec<u8>,
        /// What was quoted.
        quoted: Vec<u8>,
    },
    /// A record reaches past the end, or has fields its template does not have.
    #[error("record {record} of the IMA log: {error}")]
    Shape {
        /// Which record, from 0.
        record: usize,
        /// What is wrong.
        error: ReadError,
    },
    /// A record's template hash is not that of its data.
    #[error("record {record} of the IMA log: the template hash is not that of the template data")]
    TemplateHash {
        /// Which record, from 0.
        record: usize,
    },
    /// The log is longer than any.
    #[error("an IMA log of {length} bytes, more than the {limit} accepted")]
    TooLong {
        /// Its length.
        length: usize,
        /// The most accepted.
        limit: usize,
    },
    /// The log has more records than any.
    #[error(
        "more than {limit} records in the IMA log; let IMA measure less (its policy), or restart the machine"
    )]
    TooManyRecords {
        /// The most accepted.
        limit: usize,
    },
    /// A template that is not supported.
    #[error("record {record} of the IMA log has an unknown template")]
    UnknownTemplate {
        /// Which record, from 0.
        record: usize,
    },
}

/// What explains that an IMA log does not replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImaMismatch {
    /// Without this record a part of the log replays: it was added.
    Extra(usize),
    /// The kernel extended the SHA-1 template hash, padded with zeros.
    Padded,
    /// Nothing that the log shows.
    Unknown,
}

impl std::fmt::Display for ImaMismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Extra(record) => write!(f, "one does without record {record}, which was added to the log"),
            Self::Padded => f.write_str(
                "one does with the SHA-1 template hashes that kernels before 5.8 extend, for whose records SHA-1 is too \
                 weak; use a newer kernel",
            ),
            Self::Unknown => f.write_str(
                "records are missing or were changed with their hashes, or the log was read before the quote was made; \
                 read it after the quote",
            ),
        }
    }
}

impl Explain for ImaError {
    fn check(&self) -> Check {
        match self {
            Self::NotQuoted | Self::NotExtended => {
                Check::failed(rules::IMA_REPLAY, "a quoted PCR 10", self.to_string())
            }
            Self::Replay { replayed, quoted, .. } => {
                Check::failed(rules::IMA_REPLAY, quoted.as_slice(), replayed.as_slice())
            }
            _ => Check::failed(rules::IMA_STRUCTURE, "an IMA log", self.to_string()),
        }
    }
}

/// A parsed log.
#[derive(Debug, Clone)]
pub struct ImaLog<'a> {
    records: Vec<ImaRecord<'a>>,
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImaRecord<'a> {
    /// The PCR it says it was extended into.
    pub pcr: u32,
    /// The template.
    pub template: Template,
    /// The template data.
    pub data: &'a [u8],
    /// Whether the file was written to while it was measured: its digest says nothing.
    pub violation: bool,
}

/// What a record's data consist of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Template {
    /// `evm-sig`.
    EvmSig,
    /// `ima`: SHA-1 or MD5 digest and name, of fixed layout.
    Ima,
    /// `ima-buf`: digest, name and the data measured.
    ImaBuf,
    /// `ima-modsig`: digest, name, signature, and an appended signature with its digest.
    ImaModsig,
    /// `ima-ng`: digest and name.
    ImaNg,
    /// `ima-ngv2`: digest with its kind, and name.
    ImaNgV2,
    /// `ima-sig`: digest, name and signature.
    ImaSig,
    /// `ima-sigv2`: digest with its kind, name and signature.
    ImaSigV2,
}

impl Template {
    const ALL: [(&'static str, Self, usize); 8] = [
        ("ima", Self::Ima, 2),
        ("ima-ng", Self::ImaNg, 2),
        ("ima-sig", Self::ImaSig, 3),
        ("ima-buf", Self::ImaBuf, 3),
        ("ima-modsig", Self::ImaModsig, 5),
        ("ima-ngv2", Self::ImaNgV2, 2),
        ("ima-sigv2", Self::ImaSigV2, 3),
        ("evm-sig", Self::EvmSig, 8),
    ];

    fn of(name: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(known, ..)| known.as_bytes() == name).map(|(_, template, _)| *template)
    }

    /// `ima-ng` and so on.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, template, _)| *template == self).map_or("", |(name, ..)| *name)
    }

    fn fields(self) -> usize {
        Self::ALL.iter().find(|(_, template, _)| *template == self).map_or(0, |(.., fields)| *fields)
    }
}

/// The fields of a record that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImaFields<'a> {
    /// `sha256` and so on.
    pub digest_algorithm: &'a str,
    /// The digest measured.
    pub digest: &'a [u8],
    /// The name of the file or keyring: a hint of the running system.
    pub name: &'a str,
    /// The file's signature, or the data measured into an `ima-buf` record.
    pub third: Option<&'a [u8]>,
}

impl<'a> ImaLog<'a> {
    /// Parses `binary_runtime_measurements` or one of its per-bank siblings, and compares the template
    /// hash of every record with its data.
    ///
    /// # Errors
    /// [`ImaError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ImaError> {
        if bytes.len() > MAX_LOG_BYTES {
            return Err(ImaError::TooLong { length: bytes.len(), limit: MAX_LOG_BYTES });
        }
        let hash = template_hash_algorithm(bytes);
        let mut records = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let index = records.len();
            if index == MAX_RECORDS {
                return Err(ImaError::TooManyRecords { limit: MAX_RECORDS });
            }
            let shape = |error| ImaError::Shape { record: index, error };
            let ((pcr, found, template), after) = Reader::prefix(rest, "IMA record", |r| {
                let (pcr, found) = (r.u32_le("pcr")?, r.take("template hash", hash.size_bytes())?);
                let length = r.u32_le("template name length")?;
                Ok((pcr, found, r.take_u32("template name", length)?))
            })
            .map_err(shape)?;
            let template = Template::of(template).ok_or(ImaError::UnknownTemplate { record: index })?;
            let (data, after) = template_data(template, after).map_err(shape)?;
            let record = ImaRecord { pcr, template, data, violation: found.iter().all(|byte| *byte == 0) };
            if !record.violation && record.template_hash(hash).as_slice() != found {
                return Err(ImaError::TemplateHash { record: index });
            }
            record.fields().map_err(shape)?;
            records.push(record);
            rest = after;
        }
        Ok(Self { records })
    }

    /// All records, measured or not.
    #[must_use]
    pub fn unverified_records(&self) -> &[ImaRecord<'a>] {
        &self.records
    }
}

impl<'a> ImaRecord<'a> {
    /// The hash that is extended into a bank. The template `ima` hashes its name padded to 256 bytes.
    fn template_hash(&self, bank: HashAlgorithm) -> Digest {
        if self.template != Template::Ima {
            return bank.digest(&[self.data]);
        }
        let (digest, rest) = self.data.split_at_checked(20).unwrap_or((self.data, &[]));
        let name = rest.get(4..).unwrap_or_default();
        let padding = [0; 256];
        let padding = padding.get(name.len()..).unwrap_or_default();
        bank.digest(&[digest, name, padding])
    }

    fn extend(&self, value: &Digest) -> Digest {
        let bank = value.algorithm();
        let hash = if self.violation { Digest::filled(bank, 0xff, 0xff) } else { self.template_hash(bank) };
        bank.digest(&[value.as_slice(), hash.as_slice()])
    }

    /// Takes the data apart.
    ///
    /// # Errors
    /// [`ReadError`] if they are not those of the template.
    pub fn fields(&self) -> Result<ImaFields<'a>, ReadError> {
        Reader::all(self.data, "IMA template data", |r| {
            if self.template == Template::Ima {
                let digest = r.take("d", 20)?;
                let length = r.u32_le("n")?;
                let name = text(r.take_u32("n", length)?);
                return Ok(ImaFields { digest_algorithm: "sha1", digest, name, third: None });
            }
            let mut fields: [&'a [u8]; 8] = [&[]; 8];
            for field in fields.iter_mut().take(self.template.fields()) {
                let length = r.u32_le("field length")?;
                *field = r.take_u32("field", length)?;
            }
            let [digest, name, third, ..] = fields;
            let (algorithm, digest) = split_digest(digest);
            let third = (self.template.fields() > 2).then_some(third);
            Ok(ImaFields { digest_algorithm: algorithm, digest, name: text(name), third })
        })
    }
}

/// The records of a log that a quoted PCR 10 vouches for.
///
/// Only [`MeasuredIma::verify`] makes one.
#[derive(Debug, Clone)]
pub struct MeasuredIma<'a> {
    bank: HashAlgorithm,
    records: Vec<ImaRecord<'a>>,
    later: usize,
    boot_aggregate: Option<bool>,
    verdict: Verdict,
}

impl<'a> MeasuredIma<'a> {
    /// Verifies a log: its records up to some point replay to the quoted value of PCR 10, in the strongest
    /// bank quoted. What comes after that point was measured later, and is left out, as are records of
    /// other PCRs.
    ///
    /// # Errors
    /// [`ImaError`].
    pub fn verify(
        log: &ImaLog<'a>,
        quoted: &QuotedPcrs,
        allow_sha1: bool,
    ) -> Result<Self, Rejection<ImaError>> {
        let mut verdict = Verdict::new();
        match covered(log, quoted, allow_sha1) {
            Ok((bank, records)) => {
                let length = records.len();
                verdict.push(Check::passed(rules::IMA_REPLAY, "a part from its start", length));
                let boot_aggregate = records.first().and_then(|first| boot_aggregate(first, quoted));
                if let Some(matches) = boot_aggregate {
                    verdict.push(Check::noted(rules::IMA_BOOT_AGGREGATE, matches));
                }
                let later = log.records.iter().filter(|record| record.pcr == IMA_PCR).count() - length;
                Ok(Self { bank, records, later, boot_aggregate, verdict })
            }
            Err(error) => Err(Rejection::new(error, verdict)),
        }
    }

    /// The bank that was replayed.
    #[must_use]
    pub const fn bank(&self) -> HashAlgorithm {
        self.bank
    }

    /// The records measured.
    #[must_use]
    pub fn records(&self) -> &[ImaRecord<'a>] {
        &self.records
    }

    /// How many records came after the quote.
    #[must_use]
    pub const fn later_records(&self) -> usize {
        self.later
    }

    /// Whether the first record is the digest of the quoted boot PCRs; none if the quote does not say.
    #[must_use]
    pub const fn boot_aggregate(&self) -> Option<bool> {
        self.boot_aggregate
    }

    /// The checks made.
    #[must_use]
    pub const fn verdict(&self) -> &Verdict {
        &self.verdict
    }
}

fn covered<'a>(
    log: &ImaLog<'a>,
    quoted: &QuotedPcrs,
    allow_sha1: bool,
) -> Result<(HashAlgorithm, Vec<ImaRecord<'a>>), ImaError> {
    let quoted = quoted
        .banks()
        .into_iter()
        .filter(|bank| allow_sha1 || *bank != HashAlgorithm::Sha1)
        .find_map(|bank| quoted.get(bank, 10))
        .ok_or(ImaError::NotQuoted)?;
    let bank = quoted.algorithm();
    let mut value = Digest::filled(bank, 0, 0);
    let mut records = Vec::new();
    if value == *quoted {
        return if log.records.is_empty() { Ok((bank, records)) } else { Err(ImaError::NotExtended) };
    }
    for record in log.records.iter().filter(|record| record.pcr == IMA_PCR) {
        value = record.extend(&value);
        records.push(*record);
        if value == *quoted {
            return Ok((bank, records));
        }
    }
    let cause = explain(&records, quoted);
    let (replayed, quoted) = (value.as_slice().to_vec(), quoted.as_slice().to_vec());
    Err(ImaError::Replay { cause, bank, replayed, quoted })
}

/// Looks for the one thing that explains why no part of a log gives the quoted value.
fn explain(records: &[ImaRecord<'_>], quoted: &Digest) -> ImaMismatch {
    let bank = quoted.algorithm();
    let mut value = Digest::filled(bank, 0, 0);
    for record in records {
        let mut hash = if record.violation {
            vec![0xff; 20]
        } else {
            record.template_hash(HashAlgorithm::Sha1).as_slice().to_vec()
        };
        hash.resize(bank.size_bytes(), if record.violation { 0xff } else { 0 });
        value = bank.digest(&[value.as_slice(), &hash]);
        if value == *quoted {
            return ImaMismatch::Padded;
        }
    }
    // Leaving out one record after the other costs half the square of their number.
    let searched = records.get(..records.len().min(MAX_EXPLAINED)).unwrap_or_default();
    let mut start = Digest::filled(bank, 0, 0);
    for (skipped, record) in searched.iter().enumerate() {
        let mut value = start;
        for later in searched.iter().skip(skipped + 1) {
            value = later.extend(&value);
            if value == *quoted {
                return ImaMismatch::Extra(skipped);
            }
        }
        start = record.extend(&start);
    }
    ImaMismatch::Unknown
}

/// Compares the first record with the digest over the boot PCRs: 0 to 9 from Linux 5.8, before and with
/// SHA-1 0 to 7. systemd extends PCR 9 later on some systems, so that a difference proves nothing.
fn boot_aggregate(first: &ImaRecord<'_>, quoted: &QuotedPcrs) -> Option<bool> {
    let fields = first.fields().ok().filter(|fields| fields.name == "boot_aggregate")?;
    let bank = HashAlgorithm::ALL.into_iter().find(|bank| bank.name() == fields.digest_algorithm)?;
    let over = |last: u8| {
        let values: Option<Vec<_>> =
            (0..=last).map(|index| quoted.get(bank, index).map(Digest::as_slice)).collect();
        values.map(|values| bank.digest(&values))
    };
    let candidates: Vec<_> = [over(7), over(9)].into_iter().flatten().collect();
    if candidates.is_empty() {
        return None;
    }
    Some(candidates.iter().any(|candidate| candidate.as_slice() == fields.digest))
}

/// The template hash is SHA-1 in the old file; the newer ones have one of each bank. The record that names
/// a known template tells.
fn template_hash_algorithm(bytes: &[u8]) -> HashAlgorithm {
    let names = |hash: &HashAlgorithm| {
        let name = Reader::prefix(bytes, "IMA record", |r| {
            r.take("pcr and template hash", 4 + hash.size_bytes())?;
            let length = r.u32_le("template name length")?;
            Ok::<_, ReadError>(Template::of(r.take_u32("template name", length)?))
        });
        matches!(name, Ok((Some(_), _)))
    };
    HashAlgorithm::ALL.into_iter().find(names).unwrap_or(HashAlgorithm::Sha1)
}

/// The template data, and the bytes after them. The template `ima` does not say its length.
fn template_data(template: Template, bytes: &[u8]) -> Result<(&[u8], &[u8]), ReadError> {
    if template != Template::Ima {
        return Reader::prefix(bytes, "IMA record", |r| {
            let length = r.u32_le("template data length")?;
            r.take_u32("template data", length)
        });
    }
    let (length, rest) = Reader::prefix(bytes, "IMA record", |r| {
        r.take("d", 20)?;
        let length = r.u32_le("n")?;
        r.take_u32("n", length)?;
        Ok::<_, ReadError>(r.offset())
    })?;
    Ok((bytes.get(..length).unwrap_or_default(), rest))
}

/// `sha256:` NUL digest, or `ima:sha256:` NUL digest.
fn split_digest(field: &[u8]) -> (&str, &[u8]) {
    let Some(end) = field.iter().position(|byte| *byte == 0) else { return ("", field) };
    let (name, digest) = field.split_at(end);
    let name = std::str::from_utf8(name).unwrap_or_default().trim_end_matches(':');
    let name = name.rsplit_once(':').map_or(name, |(_, name)| name);
    (name, digest.get(1..).unwrap_or_default())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes.strip_suffix(b"\0").unwrap_or(bytes)).unwrap_or_default()
}

/// `ProcessedData` of a record: the documented members where they apply, and what it measured.
pub(crate) fn processed(record: &ImaRecord<'_>) -> Value {
    let mut shown = Map::new();
    shown.insert("TemplateName".to_owned(), json!(record.template.name()));
    if record.violation {
        shown.insert("Violation".to_owned(), json!(true));
        return Value::Object(shown);
    }
    let Ok(fields) = record.fields() else { return Value::Object(shown) };
    shown.insert("FileName".to_owned(), json!(fields.name));
    shown.insert("HashAlgorithm".to_owned(), json!(fields.digest_algorithm));
    shown.insert("Digest".to_owned(), json!(raw(fields.digest)));
    if let Some(buffer) = fields.third.filter(|_| record.template == Template::ImaBuf) {
        let bank = HashAlgorithm::ALL.into_iter().find(|bank| bank.name() == fields.digest_algorithm);
        if bank.is_some_and(|bank| bank.digest(&[buffer]).as_slice() == fields.digest) {
            buffer_members(fields.name, buffer, &mut shown);
        }
    }
    Value::Object(shown)
}

fn buffer_members(name: &str, buffer: &[u8], shown: &mut Map<String, Value>) {
    if name == "kernel_version" {
        shown.insert("KernelVersion".to_owned(), json!(text(buffer)));
    } else if name.starts_with('.') || name.starts_with('_') {
        shown.insert("Keyring".to_owned(), json!(name));
        if let Ok(certificate) = x509_cert::Certificate::from_der(buffer) {
            let subject = certificate.tbs_certificate().subject().to_string();
            shown.insert("CertificateSubject".to_owned(), json!(subject));
        }
    }
}

/// Records among which an added one is looked for: some milliseconds, once for a refused log.
const MAX_EXPLAINED: usize = 128;
const IMA_PCR: u32 = 10;
/// What the service accepts of all logs of a request together.
const MAX_LOG_BYTES: usize = 64 * 1024 * 1024;
/// Servers with the policies that distributions ship have some thousand to some ten thousand. Each takes about 3 KB in
/// the claim `events`, so this bounds it to about 300 MB.
const MAX_RECORDS: usize = 100_000;
