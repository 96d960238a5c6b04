//! Enclave identity of the quoting enclave (PCS API v4, "Get Enclave Identity"), version 2.

use std::cmp::Reverse;

use serde::Deserialize;

use super::signed_json::{DocumentError, HexArray, MAX_LEVELS, Timestamp};
use super::{TcbComponent, TcbStatus, Tee};
use crate::error::VerifyError;
use crate::sgx::ReportBody;
use crate::verdict::{Check, Verdict, rules};
use crate::x509::Validity;

/// An enclave identity whose signature was verified.
#[derive(Debug, Clone)]
pub(crate) struct QeIdentity {
    pub(crate) tee: Tee,
    pub(crate) validity: Validity,
    pub(crate) evaluation_data_number: u32,
    misc_select: u32,
    misc_select_mask: u32,
    attributes: [u8; 16],
    attributes_mask: [u8; 16],
    mr_signer: [u8; 32],
    isv_prod_id: u16,
    /// Highest first.
    levels: Vec<QeLevel>,
}

#[derive(Debug, Clone)]
struct QeLevel {
    isv_svn: u16,
    component: TcbComponent,
}

impl QeIdentity {
    /// Reads the signed value. Members that Intel adds later are passed over.
    pub(crate) fn parse(verified_value: &[u8]) -> Result<Self, DocumentError> {
        let body: Body = serde_json::from_slice(verified_value)?;
        if body.version != 2 {
            return Err(DocumentError::Version { found: body.version });
        }
        let tee = match body.id.as_str() {
            "QE" => Tee::Sgx,
            "TD_QE" => Tee::Tdx,
            _ => return Err(DocumentError::Member { member: "id" }),
        };
        if body.tcb_levels.is_empty() || body.tcb_levels.len() > MAX_LEVELS {
            return Err(DocumentError::Member { member: "tcbLevels" });
        }
        let mut levels = Vec::new();
        for level in body.tcb_levels {
            if !matches!(level.tcb_status, TcbStatus::UpToDate | TcbStatus::OutOfDate | TcbStatus::Revoked) {
                return Err(DocumentError::Member { member: "tcbStatus" });
            }
            let component = TcbComponent {
                status: level.tcb_status,
                tcb_date: level.tcb_date.0,
                advisory_ids: level.advisory_ids,
            };
            levels.push(QeLevel { isv_svn: level.tcb.isvsvn, component });
        }
        levels.sort_by_key(|level| Reverse(level.isv_svn));
        if levels.windows(2).any(|pair| matches!(pair, [a, b] if a.isv_svn == b.isv_svn)) {
            return Err(DocumentError::DuplicateLevel);
        }
        Ok(Self {
            tee,
            validity: Validity { not_before: body.issue_date.0, not_after: body.next_update.0 },
            evaluation_data_number: body.tcb_evaluation_data_number,
            // The hexadecimal is in memory order.
            misc_select: u32::from_le_bytes(body.miscselect.0),
            misc_select_mask: u32::from_le_bytes(body.miscselect_mask.0),
            attributes: body.attributes.0,
            attributes_mask: body.attributes_mask.0,
            mr_signer: body.mrsigner.0,
            isv_prod_id: body.isvprodid,
            levels,
        })
    }

    /// Compares a signed QE report with the identity, in the order of the reference library.
    pub(crate) fn check_report(&self, report: &ReportBody, verdict: &mut Verdict) -> Result<(), VerifyError> {
        let misc_select = report.misc_select & self.misc_select_mask;
        if misc_select != self.misc_select {
            return Err(VerifyError::QeMiscSelect { expected: self.misc_select, found: misc_select });
        }
        verdict.push(Check::passed(
            rules::QE_MISCSELECT,
            &self.misc_select.to_le_bytes(),
            &misc_select.to_le_bytes(),
        ));
        let mut attributes = report.attributes;
        for (attribute, mask) in attributes.iter_mut().zip(self.attributes_mask) {
            *attribute &= mask;
        }
        if attributes != self.attributes {
            return Err(VerifyError::QeAttributes { expected: self.attributes, found: attributes });
        }
        verdict.push(Check::passed(rules::QE_ATTRIBUTES, &self.attributes, &attributes));
        if report.mr_signer != self.mr_signer {
            return Err(VerifyError::QeMrSigner { expected: self.mr_signer, found: report.mr_signer });
        }
        verdict.push(Check::passed(rules::QE_MRSIGNER, &self.mr_signer, &report.mr_signer));
        if report.isv_prod_id != self.isv_prod_id {
            return Err(VerifyError::QeIsvProdId { expected: self.isv_prod_id, found: report.isv_prod_id });
        }
        verdict.push(Check::passed(rules::QE_ISVPRODID, self.isv_prod_id, report.isv_prod_id));
        Ok(())
    }

    /// The highest level that the enclave's security version reaches.
    pub(crate) fn matching_level(&self, isv_svn: u16) -> Option<&TcbComponent> {
        self.levels.iter().find(|level| isv_svn >= level.isv_svn).map(|level| &level.component)
    }
}

/// What a document is for, read before its signature is checked: to say what to do with a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnverifiedIdentity {
    /// `None` for the identity of the quote verification enclave.
    pub(crate) tee: Option<Tee>,
    pub(crate) evaluation_data_number: u32,
    pub(crate) validity: Validity,
}

impl UnverifiedIdentity {
    pub(crate) fn peek(unverified_value: &[u8]) -> Result<Self, DocumentError> {
        let peek: Peek = serde_json::from_slice(unverified_value)?;
        Ok(Self {
            tee: match peek.id.as_str() {
                "QE" => Some(Tee::Sgx),
                "TD_QE" => Some(Tee::Tdx),
                _ => None,
            },
            evaluation_data_number: peek.tcb_evaluation_data_number.unwrap_or(0),
            validity: Validity { not_before: peek.issue_date.0, not_after: peek.next_update.0 },
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peek {
    id: String,
    issue_date: Timestamp,
    next_update: Timestamp,
    tcb_evaluation_data_number: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    id: String,
    version: u32,
    issue_date: Timestamp,
    next_update: Timestamp,
    tcb_evaluation_data_number: u32,
    miscselect: HexArray<4>,
    miscselect_mask: HexArray<4>,
    attributes: HexArray<16>,
    attributes_mask: HexArray<16>,
    mrsigner: HexArray<32>,
    isvprodid: u16,
    tcb_levels: Vec<Level>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Level {
    tcb: Tcb,
    tcb_date: Timestamp,
    tcb_status: TcbStatus,
    #[serde(default, rename = "advisoryIDs")]
    advisory_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Tcb {
    isvsvn: u16,
}
