//! Signed TCB info, versions 2 and 3 (PCS API v4, "Get TCB Info").

use time::{Duration, OffsetDateTime};

use super::certificates::{Chain, SgxExtension};
use super::{json_strings, rfc3339};
use crate::key::Key;

/// One TCB level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcbLevel {
    /// Component security versions.
    pub components: [u8; 16],
    /// Security version of the provisioning certification enclave.
    pub pcesvn: u16,
    /// Date of the level.
    pub date: OffsetDateTime,
    /// Status in Intel's spelling.
    pub status: String,
    /// Security advisories.
    pub advisories: Vec<String>,
}

impl TcbLevel {
    /// A level `age` days old.
    #[must_use]
    pub fn new(components: [u8; 16], pcesvn: u16, status: &str, now: OffsetDateTime, age: i64) -> Self {
        let date = (now - Duration::days(age)).replace_time(time::Time::MIDNIGHT);
        Self { components, pcesvn, date, status: status.to_owned(), advisories: Vec::new() }
    }

    pub(super) fn with_status(sgx: &SgxExtension, status: &str, now: OffsetDateTime) -> Vec<Self> {
        let mut higher = sgx.components;
        higher[0] += 2;
        let mut lower = sgx.components;
        lower[0] -= 2;
        let mut own = Self::new(sgx.components, sgx.pcesvn, status, now, 200);
        let mut old = Self::new(lower, sgx.pcesvn, "OutOfDate", now, 400);
        old.advisories = vec!["INTEL-SA-00615".to_owned(), "INTEL-SA-00837".to_owned()];
        if status == "UpToDate" {
            return vec![own, old];
        }
        own.advisories = vec!["INTEL-SA-00615".to_owned()];
        vec![Self::new(higher, sgx.pcesvn, "UpToDate", now, 100), own, old]
    }

    fn json(&self, version: u32) -> String {
        let components: Vec<String> = if version == 2 {
            self.components
                .iter()
                .zip(1..)
                .map(|(svn, index): (&u8, u32)| format!(r#""sgxtcbcomp{index:02}svn":{svn}"#))
                .collect()
        } else {
            let list: Vec<String> = self.components.iter().map(|svn| format!(r#"{{"svn":{svn}}}"#)).collect();
            vec![format!(r#""sgxtcbcomponents":[{}]"#, list.join(","))]
        };
        let advisories = if self.advisories.is_empty() {
            String::new()
        } else {
            format!(r#","advisoryIDs":{}"#, json_strings(&self.advisories))
        };
        format!(
            r#"{{"tcb":{{{},"pcesvn":{}}},"tcbDate":"{}","tcbStatus":"{}"{advisories}}}"#,
            components.join(","),
            self.pcesvn,
            rfc3339(self.date),
            self.status
        )
    }
}

/// TCB info to be signed.
#[derive(Debug, Clone)]
pub struct TcbInfo {
    /// `id`, of version 3.
    pub id: String,
    /// `version`.
    pub version: u32,
    /// `issueDate`.
    pub issue_date: OffsetDateTime,
    /// `nextUpdate`.
    pub next_update: OffsetDateTime,
    /// `fmspc`.
    pub fmspc: [u8; 6],
    /// `pceId`.
    pub pceid: [u8; 2],
    /// `tcbType`.
    pub tcb_type: u32,
    /// `tcbEvaluationDataNumber`.
    pub evaluation_data_number: u32,
    /// `tcbLevels`, in document order.
    pub levels: Vec<TcbLevel>,
    /// Replacements made in the text before it is signed.
    pub edits: Vec<(String, String)>,
    /// Who signs it.
    pub signer: Key,
}

impl TcbInfo {
    pub(super) fn new(sgx: &SgxExtension, chain: &Chain, now: OffsetDateTime) -> Self {
        Self {
            id: "SGX".to_owned(),
            version: 3,
            issue_date: now - Duration::days(1),
            next_update: now + Duration::days(29),
            fmspc: sgx.fmspc,
            pceid: sgx.pceid,
            tcb_type: 0,
            evaluation_data_number: 18,
            levels: TcbLevel::with_status(sgx, "UpToDate", now),
            edits: Vec::new(),
            signer: chain.tcb_signing.key.clone(),
        }
    }

    /// The signed part, compact JSON.
    #[must_use]
    pub fn body(&self) -> String {
        let id = if self.version == 2 { String::new() } else { format!(r#""id":"{}","#, self.id) };
        let levels: Vec<String> = self.levels.iter().map(|level| level.json(self.version)).collect();
        let mut text = format!(
            concat!(
                r#"{{{}"version":{},"issueDate":"{}","nextUpdate":"{}","fmspc":"{}","pceId":"{}","#,
                r#""tcbType":{},"tcbEvaluationDataNumber":{},"tcbLevels":[{}]}}"#
            ),
            id,
            self.version,
            rfc3339(self.issue_date),
            rfc3339(self.next_update),
            hex::encode(self.fmspc),
            hex::encode(self.pceid),
            self.tcb_type,
            self.evaluation_data_number,
            levels.join(",")
        );
        for (from, to) in &self.edits {
            assert!(text.contains(from.as_str()), "nothing to edit: `{from}`");
            text = text.replacen(from, to, 1);
        }
        text
    }

    /// The whole document.
    #[must_use]
    pub fn document(&self) -> String {
        let body = self.body();
        let signature = hex::encode(self.signer.sign_fixed(body.as_bytes()));
        format!(r#"{{"tcbInfo":{body},"signature":"{signature}"}}"#)
    }
}
