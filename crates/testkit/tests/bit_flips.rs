//! Flips every bit of every real quote, one at a time, and verifies it with its genuine endorsements; the
//! same over the endorsements themselves. Each flip must be refused, or lie in a field that
//! `vectors/bit-flips.toml` lists.
//!
//! Items above 16 KiB have one seeded bit flipped in each byte; `VOUCHSAFE_EVERY_BIT=1` flips all of theirs.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop, and say what it did"
)]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use evidence::TrustAnchors;
use evidence::dcap::{Endorsements, RawEndorsements, VerifiedPck};
use evidence::sgx::Quote;
use serde::Deserialize;
use testkit::captures::Captures;
use testkit::captures::sgx::{self, Evidence, Wrapping};
use testkit::mutate::Generator;
use time::OffsetDateTime;
use time::macros::datetime;

const SAMPLED_FROM_BYTES: usize = 16 * 1024;
/// At most this part of a quote, trailing padding apart, may accept flips.
const ACCEPTED_PER_MILLE: usize = 10;

#[derive(Deserialize)]
struct Listed {
    accepted: Vec<Accepted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Accepted {
    item: String,
    field: String,
    section: String,
    reason: String,
}

/// One item whose bits are flipped, and the judge of the outcome.
struct Item {
    kind: &'static str,
    name: String,
    bytes: Vec<u8>,
    /// Name and range of every field.
    fields: Vec<(&'static str, std::ops::Range<usize>)>,
    accepts: Box<Accepts>,
}

type Accepts = dyn Fn(&[u8]) -> bool + Send + Sync;

/// The bits accepted flipped, by the index of their item.
type Accepting = Mutex<BTreeMap<usize, BTreeSet<usize>>>;

#[test]
fn every_flipped_bit_is_refused_or_listed() {
    let Some(captures) = Captures::find() else {
        return;
    };
    let listed: Listed =
        toml::from_str(include_str!("../../../vectors/bit-flips.toml")).expect("bit-flips.toml");
    let mut items = quotes(&captures);
    let quotes = items.len();
    assert!(quotes >= 14, "{quotes} quotes with genuine endorsements");
    items.extend(endorsements(&captures));
    for item in &items {
        assert!((item.accepts)(&item.bytes), "{} is refused as it is", item.name);
    }
    let started = Instant::now();
    let accepted = Accepting::default();
    let flips = flip_all(&items, &accepted);
    println!("{flips} flips of {} items in {:?}", items.len(), started.elapsed());
    judge(&items, &accepted.into_inner().expect("no thread panicked"), &listed.accepted);
}

/// Flips bits on as many threads as there are cores; gives the number of flips.
fn flip_all(items: &[Item], accepted: &Accepting) -> usize {
    const CHUNK: usize = 256;
    let every = std::env::var("VOUCHSAFE_EVERY_BIT").is_ok_and(|value| value == "1");
    let mut work = Vec::new();
    for (index, item) in items.iter().enumerate() {
        for start in (0..item.bytes.len()).step_by(CHUNK) {
            work.push((index, start..(start + CHUNK).min(item.bytes.len())));
        }
    }
    let (next, flips) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, range)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let item = &items[*index];
                    let mut bytes = item.bytes.clone();
                    for at in range.clone() {
                        for bit in bits(at, item.bytes.len(), every) {
                            bytes[at] ^= 1 << bit;
                            flips.fetch_add(1, Ordering::Relaxed);
                            if (item.accepts)(&bytes) {
                                accepted.lock().unwrap().entry(*index).or_default().insert(at * 8 + bit);
                            }
                            bytes[at] ^= 1 << bit;
                        }
                    }
                    if range.end == item.bytes.len() {
                        println!("{:12} {} ({} bytes)", item.kind, item.name, item.bytes.len());
                    }
                }
            });
        }
    });
    flips.into_inner()
}

/// The bits to flip in the byte at `at`: all, or of a large item one, by a seed.
fn bits(at: usize, length: usize, every: bool) -> Vec<usize> {
    if every || length <= SAMPLED_FROM_BYTES {
        (0..8).collect()
    } else {
        vec![Generator::new(at.try_into().expect("64 bits hold an offset")).below(8)]
    }
}

fn judge(items: &[Item], accepted: &BTreeMap<usize, BTreeSet<usize>>, listed: &[Accepted]) {
    let mut used = BTreeSet::new();
    for (index, bits) in accepted {
        let item = &items[*index];
        let mut bytes = BTreeSet::new();
        for bit in bits {
            let at = bit / 8;
            let (field, _) = item.fields.iter().find(|(_, range)| range.contains(&at)).unwrap_or_else(|| {
                panic!("{}: bit {} of byte {at}, in no field, is accepted flipped", item.name, bit % 8)
            });
            let rule = listed.iter().find(|rule| rule.item == item.kind && rule.field == *field);
            let rule = rule.unwrap_or_else(|| {
                panic!("{}: bit {} of byte {at} in `{field}` is accepted flipped", item.name, bit % 8)
            });
            assert!(
                !rule.section.is_empty() && !rule.reason.is_empty(),
                "`{field}` without section or reason"
            );
            used.insert((rule.item.as_str(), rule.field.as_str()));
            if *field != "padding" {
                bytes.insert(at);
            }
        }
        if item.kind == "quote" {
            let allowed = item.bytes.len() * ACCEPTED_PER_MILLE / 1000;
            assert!(bytes.len() <= allowed, "{}: {} bytes accept flips", item.name, bytes.len());
        }
        println!("{}: {} flips accepted, in listed fields", item.name, bits.len());
    }
    for rule in listed {
        let key = (rule.item.as_str(), rule.field.as_str());
        assert!(used.contains(&key), "{key:?} is listed and accepts no flip: take it off the list");
    }
}

/// The quotes of the manifest and of the SDKs' list, each once, with their genuine endorsements.
fn quotes(captures: &Captures) -> Vec<Item> {
    let mut evidence: Vec<(Evidence, Option<OffsetDateTime>, Vec<String>)> = Vec::new();
    for entry in captures.entries() {
        let wrapping = match entry.kind.as_str() {
            "sgx-quote-v3" => Wrapping::Quote,
            "oe-report" => Wrapping::OpenEnclave,
            _ => continue,
        };
        let expected = &entry.json["expected"];
        let negative = !expected["verdict"].is_null();
        // Without a body it only points to another entry; synthetic ones are not real.
        if negative || expected["body"].is_null() || expected["synthetic"] == true {
            continue;
        }
        let verdict = &expected["verdicts"][0];
        let bytes = captures.read(&entry.path);
        evidence.push((
            Evidence { name: entry.path.clone(), wrapping, bytes },
            sgx::time(&verdict["verify_at"]),
            sgx::texts(&verdict["collateral"]),
        ));
    }
    let (at, files) = azure_2025();
    for (piece, _) in captures.sdk_evidence() {
        evidence.push((piece, Some(at), files.clone()));
    }
    let mut seen = BTreeSet::new();
    evidence.retain(|(piece, ..)| seen.insert(piece.bytes.clone()));
    let refused = Arc::default();
    evidence.into_iter().map(|(piece, at, files)| quote(captures, &refused, piece, at, &files)).collect()
}

/// The endorsements for the platforms of Azure that the SDKs' samples come from.
fn azure_2025() -> (OffsetDateTime, Vec<String>) {
    let files = [
        "tcbinfov3_00906ED50000.json",
        "qeidentityv2_sgx.json",
        "intel_root_ca_crl.der",
        "pck_processor_crl.der",
        "tcb_signing_cert.pem",
        "Intel_SGX_Provisioning_Certification_RootCA.cer",
    ];
    let files = files.iter().map(|name| format!("collateral/zkdcap-2025-01/{name}")).collect();
    (datetime!(2025-02-05 0:00 UTC), files)
}

fn quote(
    captures: &Captures,
    refused: &Arc<Mutex<HashSet<[u8; 32]>>>,
    piece: Evidence,
    at: Option<OffsetDateTime>,
    files: &[String],
) -> Item {
    let name = piece.name.clone();
    let parsed = piece.parse().unwrap_or_else(|error| panic!("{name}: {error}"));
    let (raw, anchors, at) = match at {
        Some(at) => {
            let raw = captures.endorsements(files, &parsed, at);
            (raw.unwrap_or_else(|error| panic!("{name}: {error}")), TrustAnchors::pinned(), at)
        }
        // No TCB info of its platform was captured: an operator's own baseline stands in.
        None => {
            let at = datetime!(2022-05-11 0:00 UTC);
            let id = parsed.pck_chain().expect("a chain").endorsements_id();
            let mut of_azure = id;
            of_azure.fmspc = [0, 0x90, 0x6e, 0xd5, 0, 0];
            let files = ["sgx/openenclave/attestation_plugin.endorsements".to_owned()];
            let genuine = captures.endorsements_for(&files, &of_azure, None, at).expect("endorsements");
            let (raw, anchors) = sgx::own_baseline(&genuine, id.fmspc, at);
            (raw, anchors, at)
        }
    };
    let pck = sgx::verify_chain(&parsed, &anchors).unwrap_or_else(|error| panic!("{name}: {error}"));
    let endorsements = Endorsements::verify(&raw, &anchors, at);
    let endorsements = endorsements.unwrap_or_else(|rejection| panic!("{name}: {rejection}"));
    let fields = fields(&parsed, &piece);
    let (wrapping, bytes) = (piece.wrapping, piece.bytes.clone());
    let key = parsed.pck_cache_key().expect("a chain");
    let judge = Judge { wrapping, refused: Arc::clone(refused), key, anchors, pck, endorsements, at };
    Item { kind: "quote", name, bytes, fields, accepts: Box::new(move |bytes| judge.accepts(bytes)) }
}

struct Judge {
    wrapping: Wrapping,
    anchors: TrustAnchors,
    key: [u8; 32],
    /// Chains that do not verify under `anchors`, by their digest.
    refused: Arc<Mutex<HashSet<[u8; 32]>>>,
    pck: VerifiedPck,
    endorsements: Endorsements,
    at: OffsetDateTime,
}

impl Judge {
    /// As the service does: the chain is verified anew when it is not the one kept.
    fn accepts(&self, bytes: &[u8]) -> bool {
        let Ok(quote) = sgx::parse(self.wrapping, bytes) else {
            return false;
        };
        let verify = |pck: &VerifiedPck| quote.verify(pck, &self.endorsements, self.at).is_ok();
        let Ok(key) = quote.pck_cache_key() else {
            return false;
        };
        if key == self.key {
            return verify(&self.pck);
        }
        // Quotes of one platform have the same chain, so a refused one comes again.
        if self.refused.lock().unwrap().contains(&key) {
            return false;
        }
        match sgx::verify_chain(&quote, &self.anchors) {
            Ok(pck) => verify(&pck),
            Err(_) => {
                self.refused.lock().unwrap().insert(key);
                false
            }
        }
    }
}

/// The fields of a quote that the list may name.
fn fields(quote: &Quote<'_>, piece: &Evidence) -> Vec<(&'static str, std::ops::Range<usize>)> {
    let end = piece.bytes.len();
    let padding = end - quote.padding_bytes();
    let start = padding - quote.custom_claims().map_or(0, <[u8]>::len);
    vec![("padding", padding..end), ("custom claims", start..padding), ("quote", 0..start)]
}

/// TCB info, QE identity and both revocation lists of every set that verifies.
fn endorsements(captures: &Captures) -> Vec<Item> {
    let mut items = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in captures.entries().iter().filter(|entry| entry.kind == "sgx-quote-v3") {
        for verdict in entry.json["expected"]["verdicts"].as_array().into_iter().flatten() {
            let Some(at) = sgx::time(&verdict["verify_at"]) else {
                continue;
            };
            let files = sgx::texts(&verdict["collateral"]);
            let bytes = captures.read(&entry.path);
            let quote = sgx::parse(Wrapping::Quote, &bytes).expect("a quote");
            let raw = captures.endorsements(&files, &quote, at).expect("endorsements");
            items.extend(
                parts(&raw, at)
                    .into_iter()
                    .filter(|item| seen.insert(item.bytes.clone()))
                    .map(|item| Item { name: format!("{} of {}", item.kind, files[0]), ..item }),
            );
        }
    }
    items
}

fn parts(raw: &RawEndorsements, at: OffsetDateTime) -> Vec<Item> {
    type Part = fn(&mut RawEndorsements) -> &mut Vec<u8>;
    let kinds: [(&'static str, Part); 4] = [
        ("tcb_info", |raw| &mut raw.tcb_info),
        ("qe_identity", |raw| &mut raw.qe_identity),
        ("root_ca_crl", |raw| &mut raw.root_ca_crl),
        ("pck_crl", |raw| &mut raw.pck_crl),
    ];
    let raw = Arc::new(raw.clone());
    kinds
        .into_iter()
        .map(|(kind, part)| {
            let bytes = part(&mut RawEndorsements::clone(&raw)).clone();
            let fields = vec![(kind, 0..bytes.len())];
            let raw = Arc::clone(&raw);
            let anchors = TrustAnchors::pinned();
            let accepts = Box::new(move |bytes: &[u8]| {
                let mut raw = RawEndorsements::clone(&raw);
                *part(&mut raw) = bytes.to_vec();
                Endorsements::verify(&raw, &anchors, at).is_ok()
            });
            Item { kind, name: String::new(), bytes, fields, accepts }
        })
        .collect()
}
