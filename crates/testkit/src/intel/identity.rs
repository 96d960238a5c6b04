//! Signed identity of the quoting enclave, version 2 (PCS API v4, "Get SGX QE Identity").

use time::{Duration, OffsetDateTime};

use super::certificates::Chain;
use super::report::QE_MRSIGNER;
use super::{json_strings, rfc3339};
use crate::key::Key;

/// One level of the quoting enclave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityLevel {
    /// Lowest security version of the level.
    pub isv_svn: u16,
    /// Date of the level.
    pub date: OffsetDateTime,
    /// Status in Intel's spelling.
    pub status: String,
    /// Security advisories.
    pub advisories: Vec<String>,
}

impl IdentityLevel {
    /// A level `age` days old.
    #[must_use]
    pub fn new(isv_svn: u16, status: &str, now: OffsetDateTime, age: i64) -> Self {
        let date = (now - Duration::days(age)).replace_time(time::Time::MIDNIGHT);
        Self { isv_svn, date, status: status.to_owned(), advisories: Vec::new() }
    }

    pub(super) fn with_status(isv_svn: u16, status: &str, now: OffsetDateTime) -> Vec<Self> {
        let mut old = Self::new(isv_svn - 3, "OutOfDate", now, 500);
        old.advisories = vec!["INTEL-SA-00477".to_owned()];
        let mut own = Self::new(isv_svn, status, now, 250);
        if status == "UpToDate" {
            return vec![own, old];
        }
        own.advisories = vec!["INTEL-SA-00334".to_owned()];
        vec![Self::new(isv_svn + 1, "UpToDate", now, 150), own, old]
    }

    fn json(&self) -> String {
        let advisories = if self.advisories.is_empty() {
            String::new()
        } else {
            format!(r#","advisoryIDs":{}"#, json_strings(&self.advisories))
        };
        format!(
            r#"{{"tcb":{{"isvsvn":{}}},"tcbDate":"{}","tcbStatus":"{}"{advisories}}}"#,
            self.isv_svn,
            rfc3339(self.date),
            self.status
        )
    }
}

/// A QE identity to be signed.
#[derive(Debug, Clone)]
pub struct QeIdentity {
    /// `id`.
    pub id: String,
    /// `version`.
    pub version: u32,
    /// `issueDate`.
    pub issue_date: OffsetDateTime,
    /// `nextUpdate`.
    pub next_update: OffsetDateTime,
    /// `tcbEvaluationDataNumber`.
    pub evaluation_data_number: u32,
    /// `miscselect`, in memory order.
    pub misc_select: [u8; 4],
    /// `miscselectMask`, in memory order.
    pub misc_select_mask: [u8; 4],
    /// `attributes`.
    pub attributes: [u8; 16],
    /// `attributesMask`.
    pub attributes_mask: [u8; 16],
    /// `mrsigner`.
    pub mr_signer: [u8; 32],
    /// `isvprodid`.
    pub isv_prod_id: u16,
    /// `tcbLevels`, in document order.
    pub levels: Vec<IdentityLevel>,
    /// Replacements made in the text before it is signed.
    pub edits: Vec<(String, String)>,
    /// Who signs it.
    pub signer: Key,
}

impl QeIdentity {
    pub(super) fn new(chain: &Chain, now: OffsetDateTime) -> Self {
        Self {
            id: "QE".to_owned(),
            version: 2,
            issue_date: now - Duration::days(1),
            next_update: now + Duration::days(29),
            evaluation_data_number: 18,
            misc_select: [0; 4],
            misc_select_mask: [0xff; 4],
            attributes: [0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            attributes_mask: [0xfb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0],
            mr_signer: QE_MRSIGNER,
            isv_prod_id: 1,
            levels: IdentityLevel::with_status(8, "UpToDate", now),
            edits: Vec::new(),
            signer: chain.tcb_signing.key.clone(),
        }
    }

    /// The signed part, compact JSON.
    #[must_use]
    pub fn body(&self) -> String {
        let levels: Vec<String> = self.levels.iter().map(IdentityLevel::json).collect();
        let mut text = format!(
            concat!(
                r#"{{"id":"{}","version":{},"issueDate":"{}","nextUpdate":"{}","#,
                r#""tcbEvaluationDataNumber":{},"miscselect":"{}","miscselectMask":"{}","#,
                r#""attributes":"{}","attributesMask":"{}","mrsigner":"{}","isvprodid":{},"tcbLevels":[{}]}}"#
            ),
            self.id,
            self.version,
            rfc3339(self.issue_date),
            rfc3339(self.next_update),
            self.evaluation_data_number,
            hex::encode_upper(self.misc_select),
            hex::encode_upper(self.misc_select_mask),
            hex::encode_upper(self.attributes),
            hex::encode_upper(self.attributes_mask),
            hex::encode_upper(self.mr_signer),
            self.isv_prod_id,
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
        format!(r#"{{"enclaveIdentity":{body},"signature":"{signature}"}}"#)
    }
}
