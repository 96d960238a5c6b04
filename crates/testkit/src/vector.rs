//! A committed scenario: header, blank line, sections in PEM armour, or as they are where they are text.
//!
//! ```text
//! expect: Verify.QuoteSignature
//! at: 2026-01-01T00:00:00Z
//! comment: one bit of the report data flipped after signing
//!
//! -----BEGIN SGX QUOTE-----
//! ...
//! ```
//!
//! `expect` is `genuine <TCB status>`, or the error enum without its suffix, a full stop, and the
//! variant (see [`names`]). Two more header keys are optional: `endorsed-at`, when the endorsements were
//! verified, if not at `at`; `grow: <bytes> <section>`, zeros to be added to a section until it is that
//! long. An unknown header key or section name is an error: a vector that says something the runner does
//! not understand has not been run. A QE identity without an issuer chain of its own has the TCB info's, and
//! a PCK CRL without one has the quote's.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use evidence::dcap::{Endorsements, RawEndorsements};
use evidence::sgx::{Quote, VerifiedPck, VerifiedReport};
use evidence::{Rejection, TrustAnchors, Verdict, open_enclave};

use crate::intel::Minted;
use crate::names;

/// The sections a vector may have, in file order.
pub const SECTIONS: [&str; 13] = [
    "SGX QUOTE",
    "OPEN ENCLAVE REPORT",
    "RUNTIME DATA",
    "INIT TIME DATA",
    "TCB INFO",
    "TCB INFO ISSUER CHAIN",
    "QE IDENTITY",
    "QE IDENTITY ISSUER CHAIN",
    "ROOT CA CRL",
    "PCK CRL",
    "PCK CRL ISSUER CHAIN",
    "TEST ROOT",
    "CHAIN OF SGX QUOTE",
];

/// One scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vector {
    /// What must come out.
    pub expect: String,
    /// As of when.
    pub at: OffsetDateTime,
    /// What the scenario is about.
    pub comment: String,
    /// When the endorsements were verified, if not at `at`.
    pub endorsed_at: Option<OffsetDateTime>,
    /// A section to be filled up with zeros to a number of bytes.
    pub grow: Option<(usize, String)>,
    /// Section name to bytes.
    pub sections: BTreeMap<String, Vec<u8>>,
}

impl Vector {
    /// A vector with the quote and endorsements of `minted`.
    #[must_use]
    pub fn new(expect: &str, comment: &str, at: OffsetDateTime, minted: &Minted) -> Self {
        let mut sections = BTreeMap::new();
        for (name, bytes) in [
            ("SGX QUOTE", &minted.quote),
            ("TCB INFO", &minted.tcb_info),
            ("TCB INFO ISSUER CHAIN", &minted.tcb_info_issuer_chain),
            ("QE IDENTITY", &minted.qe_identity),
            ("QE IDENTITY ISSUER CHAIN", &minted.qe_identity_issuer_chain),
            ("ROOT CA CRL", &minted.root_ca_crl),
            ("PCK CRL", &minted.pck_crl),
            ("PCK CRL ISSUER CHAIN", &minted.pck_crl_issuer_chain),
            ("TEST ROOT", &minted.root),
        ] {
            sections.insert(name.to_owned(), bytes.clone());
        }
        if minted.qe_identity_issuer_chain == minted.tcb_info_issuer_chain {
            sections.remove("QE IDENTITY ISSUER CHAIN");
        }
        Self {
            expect: expect.to_owned(),
            at,
            comment: comment.to_owned(),
            endorsed_at: None,
            grow: None,
            sections,
        }
    }

    /// Puts `bytes` into section `name`.
    #[must_use]
    pub fn with(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.sections.insert(name.to_owned(), bytes);
        self
    }

    /// Takes section `name` away.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.sections.remove(name);
        self
    }

    /// The bytes of section `name`.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&[u8]> {
        self.sections.get(name).map(Vec::as_slice)
    }

    /// Reads the file format.
    ///
    /// # Errors
    /// A message for a person: missing or unknown header, unknown or broken section.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (header, body) = text.split_once("\n\n").ok_or("no blank line after the header")?;
        let (mut expect, mut at, mut comment, mut endorsed_at, mut grow) = (None, None, None, None, None);
        for line in header.lines() {
            let (key, value) = line.split_once(": ").ok_or_else(|| format!("not a header: `{line}`"))?;
            let slot = match key {
                "expect" => &mut expect,
                "at" => &mut at,
                "comment" => &mut comment,
                "endorsed-at" => &mut endorsed_at,
                "grow" => &mut grow,
                _ => return Err(format!("unknown header key `{key}`")),
            };
            if slot.replace(value.to_owned()).is_some() {
                return Err(format!("header `{key}` twice"));
            }
        }
        let time = |text: String| {
            OffsetDateTime::parse(&text, &Rfc3339).map_err(|error| format!("`{text}` is no time: {error}"))
        };
        let grow = grow.map(|text| {
            let (bytes, section) = text.split_once(' ')?;
            Some((bytes.parse().ok()?, section.to_owned()))
        });
        Ok(Self {
            expect: expect.ok_or("no `expect` header")?,
            at: time(at.ok_or("no `at` header")?)?,
            comment: comment.ok_or("no `comment` header")?,
            endorsed_at: endorsed_at.map(time).transpose()?,
            grow: grow.map(|grow| grow.ok_or("`grow` takes a number and a section")).transpose()?,
            sections: parse_sections(body)?,
        })
    }

    /// Writes the file format.
    ///
    /// # Panics
    /// If the time cannot be written.
    #[must_use]
    pub fn text(&self) -> String {
        let time = |at: OffsetDateTime| at.format(&Rfc3339).expect("a year of four digits");
        let mut out = format!("expect: {}\nat: {}\ncomment: {}\n", self.expect, time(self.at), self.comment);
        if let Some(at) = self.endorsed_at {
            out.push_str(&format!("endorsed-at: {}\n", time(at)));
        }
        if let Some((bytes, section)) = &self.grow {
            out.push_str(&format!("grow: {bytes} {section}\n"));
        }
        for name in SECTIONS {
            let Some(bytes) = self.section(name) else {
                continue;
            };
            out.push('\n');
            match plain_text(bytes) {
                Some(text) => {
                    out.push_str(&format!(
                        "-----BEGIN {name}{AS_TEXT}-----\n{text}\n-----END {name}{AS_TEXT}-----\n"
                    ));
                }
                None => out.push_str(&crate::x509::pem(name, bytes)),
            }
        }
        out
    }
}

impl Vector {
    /// What comes out: the sections taken through the stages as the service does, under the vector's own
    /// root, which is named as an operator names one.
    ///
    /// # Panics
    /// If a rejection's verdict does not end in its one failed check, or an accepted report has one.
    #[must_use]
    pub fn run(&self) -> String {
        match self.verify() {
            Ok(report) => format!("genuine {}", report.tcb().status),
            Err(name) => name,
        }
    }

    fn verify(&self) -> Result<VerifiedReport, String> {
        let root = self.bytes("TEST ROOT");
        let anchors = TrustAnchors::with_roots(&[&root], &[&root]).map_err(|error| names::anchor(&error))?;
        let evidence = self.evidence();
        let quote = if self.section("OPEN ENCLAVE REPORT").is_some() {
            open_enclave::Report::parse(&evidence).map(open_enclave::Report::into_quote)
        } else {
            Quote::parse(&evidence)
        };
        let quote = quote.map_err(|error| names::parse(&error))?;
        let pck = verify_chain(&quote, &anchors)?;
        let endorsements = self.endorsements(&quote);
        let endorsed_at = self.endorsed_at.unwrap_or(self.at);
        let endorsements = Endorsements::verify(&endorsements, &anchors, endorsed_at)
            .map_err(|rejection| rejected(rejection, names::endorsement))?;
        let other = self.section("CHAIN OF SGX QUOTE");
        let other = other.map(|bytes| verify_chain(&Quote::parse(bytes).expect("another quote"), &anchors));
        let pck = other.transpose()?.unwrap_or(pck);
        let report = quote
            .verify(&pck, &endorsements, self.at)
            .map_err(|rejection| rejected(rejection, names::verify))?;
        assert!(report.verdict().passed(), "an accepted report with a failed check");
        let bound = report
            .bind(self.section("RUNTIME DATA"), self.section("INIT TIME DATA"))
            .map_err(|rejection| rejected(rejection, names::binding))?;
        assert!(bound.verdict().passed(), "a bound report with a failed check");
        Ok(bound.report().clone())
    }

    fn evidence(&self) -> Vec<u8> {
        let name = if self.sections.contains_key("OPEN ENCLAVE REPORT") {
            "OPEN ENCLAVE REPORT"
        } else {
            "SGX QUOTE"
        };
        self.bytes(name)
    }

    fn endorsements(&self, quote: &Quote<'_>) -> RawEndorsements {
        let qe_chain = if self.sections.contains_key("QE IDENTITY ISSUER CHAIN") {
            "QE IDENTITY ISSUER CHAIN"
        } else {
            "TCB INFO ISSUER CHAIN"
        };
        let quote_chain = || quote.pck_chain().map(|chain| chain.issuer_chain_pem()).unwrap_or_default();
        RawEndorsements {
            tcb_info: self.bytes("TCB INFO"),
            tcb_info_issuer_chain: self.bytes("TCB INFO ISSUER CHAIN"),
            qe_identity: self.bytes("QE IDENTITY"),
            qe_identity_issuer_chain: self.bytes(qe_chain),
            root_ca_crl: self.bytes("ROOT CA CRL"),
            pck_crl: self.bytes("PCK CRL"),
            pck_crl_issuer_chain: Some(self.bytes("PCK CRL ISSUER CHAIN"))
                .filter(|chain| !chain.is_empty())
                .unwrap_or_else(quote_chain),
        }
    }

    /// A section, grown if it is to be, empty if it is not there.
    fn bytes(&self, name: &str) -> Vec<u8> {
        let mut bytes = self.section(name).unwrap_or_default().to_vec();
        if let Some((length, _)) = self.grow.as_ref().filter(|(_, section)| section == name) {
            bytes.resize(*length, 0);
        }
        bytes
    }
}

fn verify_chain(quote: &Quote<'_>, anchors: &TrustAnchors) -> Result<VerifiedPck, String> {
    let chain = quote.pck_chain().map_err(|rejection| rejected(rejection, names::verify))?;
    chain.verify(anchors).map_err(|rejection| rejected(rejection, names::verify))
}

fn rejected<E>(rejection: Rejection<E>, name: fn(&E) -> String) -> String {
    let name = name(&rejection.error);
    let failed = |verdict: &Verdict| verdict.first_failure() == verdict.checks().last();
    assert!(rejection.verdict.first_failure().is_some(), "{name} without a failed check");
    assert!(failed(&rejection.verdict), "{name} goes on after its failed check");
    name
}

/// The section's label ends in this if its bytes stand there as they are.
const AS_TEXT: &str = " AS TEXT";

/// `bytes`, if they are printable lines that survive being written down.
fn plain_text(bytes: &[u8]) -> Option<&str> {
    let printable = |byte: &u8| matches!(byte, b'\n' | b' '..=b'~');
    if bytes.is_empty() || !bytes.iter().all(printable) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

fn parse_sections(body: &str) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let mut sections = BTreeMap::new();
    let mut lines = body.lines();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            continue;
        }
        let name = line
            .strip_prefix("-----BEGIN ")
            .and_then(|rest| rest.strip_suffix("-----"))
            .ok_or_else(|| format!("expected a section, found `{line}`"))?;
        let end = format!("-----END {name}-----");
        let plain = name.strip_suffix(AS_TEXT);
        let name = plain.unwrap_or(name);
        if !SECTIONS.contains(&name) {
            return Err(format!("unknown section `{name}`"));
        }
        let mut body = Vec::new();
        loop {
            match lines.next() {
                Some(line) if line == end => break,
                Some(line) => body.push(line),
                None => return Err(format!("section `{name}` has no end")),
            }
        }
        let bytes = match plain {
            Some(_) => body.join("\n").into_bytes(),
            None => STANDARD.decode(body.concat()).map_err(|error| format!("section `{name}`: {error}"))?,
        };
        if sections.insert(name.to_owned(), bytes).is_some() {
            return Err(format!("section `{name}` twice"));
        }
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intel::{Ca, Forge};

    const NOW: OffsetDateTime = time::macros::datetime!(2026-01-01 0:00 UTC);

    #[test]
    fn a_vector_reads_back_as_written() {
        let minted = Forge::new(Ca::Processor, NOW).mint();
        let vector = Vector::new("genuine UpToDate", "sound", NOW, &minted);
        assert_eq!(Vector::parse(&vector.text()), Ok(vector));
    }

    #[test]
    fn unknown_keys_and_sections_are_refused() {
        let text = "expect: genuine UpToDate\nat: 2026-01-01T00:00:00Z\ncomment: x\nexpects: y\n\n";
        assert_eq!(Vector::parse(text), Err("unknown header key `expects`".to_owned()));
        let text = "expect: x\nat: 2026-01-01T00:00:00Z\ncomment: x\n\n-----BEGIN X-----\n-----END X-----\n";
        assert_eq!(Vector::parse(text), Err("unknown section `X`".to_owned()));
        assert_eq!(Vector::parse("expect: x\n\n"), Err("no `at` header".to_owned()));
    }
}
