//! `vouchsafe evidence verify`: is this evidence genuine, as of any time, with nothing but files?

use std::path::{Path, PathBuf};

use clap::Args;
use evidence::dcap::formats::Collection;
use evidence::dcap::{Endorsements, TcbStatus, TcbVerdict};
use evidence::sgx::{BoundReport, Quote};
use evidence::verdict::{Check, CheckValue, Explain, Outcome, Verdict, rules};
use evidence::{TrustAnchors, VerifyError};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::boot::{self, BootOptions};
use super::parse_quote;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::input;
use crate::kind::{AnyKind, BootKind, Envelope, Kind};
use crate::output::{self, Table};

/// Verify evidence offline, as of any time, and show every check
///
/// Genuine means: made by genuine hardware whose maker says so in endorsements that were valid at that time, and
/// bound to the data given. A TCB that is revoked, or that matches no level, is not genuine; every other TCB status
/// is, and is reported. Whether it is acceptable is for a baseline and a policy to say.
///
/// TPM evidence is a directory: `quote.msg` (TPMS_ATTEST), `quote.sig` (TPMT_SIGNATURE), `pcrs` (the values one after
/// the other), `ak.pub`, `ak.tpm2b` or `ak.pem`, and where there are any `ak.crt`, `eventlog` and `ima.bin`. The nonce
/// is the `--runtime-data`; `--endorsements` names the issuers of the attestation key, or the key itself.
///
/// An event log alone proves nothing. It is read, and what it says is shown as unverified.
///
/// Exit code 0 means genuine (of a log alone: well-formed), 1 not genuine, 2 that nothing could be decided.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Verify {
    /// What the file holds
    #[arg(long, value_enum)]
    kind: AnyKind,

    /// File or directory with endorsements, in any format that people have them in (repeatable). For TPM evidence a file
    /// with issuers of attestation keys (PEM or DER), with a CRL, or with the key itself; in a directory, issuers and CRLs
    #[arg(long, value_name = "PATH")]
    endorsements: Vec<PathBuf>,

    /// Verify as of this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = input::parse_time)]
    at: Option<OffsetDateTime>,

    /// Data that the evidence must be bound to (SHA-256 in the report data); for TPM evidence the nonce, as it is
    #[arg(long, value_name = "FILE")]
    runtime_data: Option<PathBuf>,

    /// Data that the enclave must have been started with (SHA-256 in the configuration id)
    #[arg(long, value_name = "FILE")]
    init_time_data: Option<PathBuf>,

    /// Roots to trust for PCK certificates instead of Intel's (repeatable)
    #[arg(long, value_name = "PEM")]
    trust_pck_root: Vec<PathBuf>,

    /// Roots to trust for signers of TCB info and identities instead of Intel's (repeatable)
    #[arg(long, value_name = "PEM")]
    trust_tcb_root: Vec<PathBuf>,

    /// Also ask whether the TCB status is one of these (repeatable); if not, the exit code is 1 although the
    /// evidence is genuine
    #[arg(long, value_name = "STATUS")]
    accept_tcb_status: Vec<TcbStatus>,

    #[command(flatten)]
    boot: BootOptions,

    /// Print one JSON document: verdict, tcb_status, claims, checks; of a measured boot: verdict, claims, pcrs, events
    #[arg(long)]
    json: bool,

    /// The evidence; `-` is standard input. TPM evidence is a directory
    evidence: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  vouchsafe evidence verify --kind sgx-quote-v3 --endorsements collateral.json quote.bin
  vouchsafe evidence verify --kind oe-report --endorsements pcs/ --at 2025-02-05T00:00:00Z --json report.bin
  vouchsafe evidence verify --kind sgx-quote-v3 --endorsements pcs/ --runtime-data key.pem quote.bin
  vouchsafe evidence verify --kind tpm-evidence --endorsements ak-ca.pem --runtime-data nonce boot/
  vouchsafe evidence verify --kind tcg-eventlog --json /sys/kernel/security/tpm0/binary_bios_measurements";

impl Verify {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self.kind {
            AnyKind::Quote(kind) => {
                self.boot.refuse_for_quotes()?;
                self.verify_quote(kind)
            }
            AnyKind::Boot(kind) => self.verify_boot(kind),
        }
    }

    fn verify_boot(&self, kind: BootKind) -> Result<Exit, Failure> {
        let for_quotes = [
            ("--init-time-data", self.init_time_data.is_some()),
            ("--trust-pck-root", !self.trust_pck_root.is_empty()),
            ("--trust-tcb-root", !self.trust_tcb_root.is_empty()),
            ("--accept-tcb-status", !self.accept_tcb_status.is_empty()),
        ];
        if let Some((flag, _)) = for_quotes.iter().find(|(_, given)| *given) {
            return Err(Failure::usage(format!(
                "`{flag}` is for quotes of enclaves, not for measured boots"
            )));
        }
        if kind == BootKind::TpmEvidence {
            let now = self.at.unwrap_or_else(OffsetDateTime::now_utc);
            let trust = boot::trust(&self.endorsements)?;
            let nonce = self.runtime_data.as_deref().map(input::read_file).transpose()?;
            return boot::verify(&self.evidence, &self.boot, &trust, nonce.as_deref(), now, self.json);
        }
        if self.runtime_data.is_some() || !self.endorsements.is_empty() {
            return Err(Failure::usage("an event log alone is bound to nothing and vouched for by nobody")
                .hint("`--kind tpm-evidence` verifies it with its quote"));
        }
        self.boot.refuse_for_logs()?;
        boot::read_log(kind, &self.evidence, self.json)
    }

    fn verify_quote(&self, kind: Kind) -> Result<Exit, Failure> {
        let anchors = files::trust_anchors(&self.trust_pck_root, &self.trust_tcb_root)?;
        let now = self.at.unwrap_or_else(OffsetDateTime::now_utc);
        let file = input::read_file(&self.evidence)?;
        let runtime_data = self.runtime_data.as_deref().map(input::read_file).transpose()?;
        let init_time_data = self.init_time_data.as_deref().map(input::read_file).transpose()?;
        let mut endorsements = files::endorsements(&self.endorsements)?;

        let answer = match kind.open(&file) {
            Err(error) => Answer::unreadable(&error),
            Ok(envelope) => {
                if self.endorsements.is_empty() {
                    add_enclosed(&mut endorsements, &envelope)?;
                }
                let question = Question {
                    anchors: &anchors,
                    endorsements: &endorsements,
                    runtime_data: runtime_data.as_deref(),
                    init_time_data: init_time_data.as_deref(),
                    now,
                };
                question.ask(kind, &envelope.evidence)?
            }
        };
        let accepted = self.accepts(&answer);
        if self.json {
            output::json(&answer.document(accepted))?
        } else {
            answer.print(accepted)?
        }
        Ok(if answer.reason.is_none() && accepted != Some(false) { Exit::Yes } else { Exit::Denied })
    }

    /// Whether genuine evidence has one of the statuses asked for; none if none was asked for.
    fn accepts(&self, answer: &Answer) -> Option<bool> {
        let status = answer.tcb_status?;
        (!self.accept_tcb_status.is_empty()).then(|| self.accept_tcb_status.contains(&status))
    }
}

/// Everything the verdict depends on but the evidence.
struct Question<'a> {
    anchors: &'a TrustAnchors,
    endorsements: &'a Collection,
    runtime_data: Option<&'a [u8]>,
    init_time_data: Option<&'a [u8]>,
    now: OffsetDateTime,
}

impl Question<'_> {
    /// The stages of an attestation up to the binding.
    fn ask(&self, kind: Kind, evidence: &[u8]) -> Result<Answer, Failure> {
        let quote = match parse_quote(kind, evidence) {
            Ok(quote) => quote,
            Err(error) => {
                let mut verdict = Verdict::new();
                verdict.push(error.check());
                return Ok(Answer::not_genuine(format!("parse error: {error}"), verdict));
            }
        };
        self.verify(&quote)
    }

    fn verify(&self, quote: &Quote<'_>) -> Result<Answer, Failure> {
        let chain = match quote.pck_chain() {
            Ok(chain) => chain,
            Err(rejection) => return Ok(Answer::not_genuine(rejection.error.to_string(), rejection.verdict)),
        };
        let pck = match chain.verify(self.anchors) {
            Ok(pck) => pck,
            Err(rejection) => return Ok(Answer::not_genuine(rejection.error.to_string(), rejection.verdict)),
        };
        let authentic = match quote.authenticate(&pck, self.now) {
            Ok(authentic) => authentic,
            Err(rejection) => return Ok(Answer::not_genuine(rejection.error.to_string(), rejection.verdict)),
        };
        let raw = files::select(self.endorsements, &pck, self.now)?;
        let endorsements = match Endorsements::verify(&raw, self.anchors, self.now) {
            Ok(endorsements) => endorsements,
            Err(rejection) => {
                let mut verdict = pck.verdict().clone();
                verdict.extend(rejection.verdict.checks());
                return Ok(Answer::not_genuine(format!("endorsements: {}", rejection.error), verdict));
            }
        };
        let report = match authentic.verify(&endorsements) {
            Ok(report) => report,
            Err(rejection) => {
                let revoked = matches!(rejection.error, VerifyError::TcbRevoked { .. });
                let answer = Answer::not_genuine(rejection.error.to_string(), rejection.verdict);
                return Ok(Answer { tcb_status: revoked.then_some(TcbStatus::Revoked), ..answer });
            }
        };
        let tcb = report.tcb().clone();
        match report.bind(self.runtime_data, self.init_time_data) {
            Ok(bound) => Ok(Answer::genuine(&bound)),
            Err(rejection) => {
                let answer = Answer::not_genuine(rejection.error.to_string(), rejection.verdict);
                Ok(Answer { tcb_status: Some(tcb.status), tcb: Some(tcb), ..answer })
            }
        }
    }
}

/// What came of it.
struct Answer {
    /// Why it is not genuine; none if it is.
    reason: Option<String>,
    tcb_status: Option<TcbStatus>,
    tcb: Option<TcbVerdict>,
    claims: Map<String, Value>,
    verdict: Verdict,
}

impl Answer {
    fn genuine(report: &BoundReport) -> Self {
        let claims = appraisal::sgx_claims(report);
        Self {
            reason: None,
            tcb_status: Some(report.tcb().status),
            tcb: Some(report.tcb().clone()),
            claims: claims.iter().map(|(name, value)| ((*name).to_owned(), value.to_json())).collect(),
            verdict: report.verdict().clone(),
        }
    }

    fn not_genuine(reason: String, verdict: Verdict) -> Self {
        Self { reason: Some(reason), tcb_status: None, tcb: None, claims: Map::new(), verdict }
    }

    /// The file is not of its kind, so there is no quote to check.
    fn unreadable(error: &str) -> Self {
        let mut verdict = Verdict::new();
        verdict.push(Check::failed(rules::QUOTE_STRUCTURE, "an ECDSA quote version 3", error.to_owned()));
        Self::not_genuine(format!("parse error: {error}"), verdict)
    }

    fn document(&self, accepted: Option<bool>) -> Value {
        let mut document = Map::new();
        let mut insert = |name: &str, value: Value| document.insert(name.to_owned(), value);
        insert("verdict", if self.reason.is_none() { "genuine" } else { "not-genuine" }.into());
        if let Some(reason) = &self.reason {
            insert("reason", reason.as_str().into());
        }
        insert("tcb_status", json!(self.tcb_status));
        if let Some(accepted) = accepted {
            insert("tcb_status_accepted", accepted.into());
        }
        insert("tcb", json!(self.tcb));
        insert("claims", self.claims.clone().into());
        insert("checks", json!(self.verdict));
        document.into()
    }

    fn print(&self, accepted: Option<bool>) -> Result<(), Failure> {
        match &self.reason {
            None => output::line("genuine")?,
            Some(reason) => output::line(&format!("NOT GENUINE: {}", output::printable(reason)))?,
        }
        if let Some(tcb) = &self.tcb {
            let mut table = Table::default();
            table.row("TCB status", tcb.status).row("TCB date", input::show_time(tcb.tcb_date));
            table.row(
                "advisories",
                if tcb.advisory_ids.is_empty() { "none".into() } else { tcb.advisory_ids.join(" ") },
            );
            table.row("evaluation data number", tcb.evaluation_data_number);
            table.row("endorsements valid until", input::show_time(tcb.expires_at));
            if accepted == Some(false) {
                table.row("accepted", "no: the TCB status is none of those asked for");
            }
            table.print()?;
        }
        if !self.claims.is_empty() {
            output::line("claims")?;
            let mut table = Table::default();
            for (name, value) in &self.claims {
                table.row(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
            table.print()?;
        }
        print_checks(&self.verdict)
    }
}

/// Every check with its mark and what was found, under a heading.
pub(super) fn print_checks(verdict: &Verdict) -> Result<(), Failure> {
    output::line("checks")?;
    let mut table = Table::default();
    for check in verdict.checks() {
        let (mark, value) = match check.outcome {
            Outcome::Failed => ("FAIL", format!("expected {}, found {}", check.expected, check.actual)),
            Outcome::Noted => ("note", check.actual.to_string()),
            Outcome::Passed if matches!(check.expected, CheckValue::None) => ("ok", check.actual.to_string()),
            Outcome::Passed if check.expected == check.actual => ("ok", check.actual.to_string()),
            Outcome::Passed => ("ok", format!("{}; expected {}", check.actual, check.expected)),
        };
        table.row(format!("{mark:<4} {}", check.id), value);
    }
    table.print()
}

/// Endorsements that came in the evidence file are as good as any; a file given by name is preferred.
fn add_enclosed(endorsements: &mut Collection, envelope: &Envelope) -> Result<(), Failure> {
    let Some(enclosed) = &envelope.endorsements else { return Ok(()) };
    files::add(endorsements, Path::new("the evidence file"), enclosed)
}
