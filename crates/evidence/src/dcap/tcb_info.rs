//! TCB info (PCS API v4, "Get TCB Info"), versions 2 and 3: the TCB levels of a platform family.

use std::cmp::Reverse;

use serde::Deserialize;

use super::signed_json::{DocumentError, HexArray, MAX_LEVELS, Timestamp};
use super::{TcbComponent, TcbStatus, Tee};
use crate::x509::Validity;

/// A TCB info whose signature was verified.
#[derive(Debug, Clone)]
pub(crate) struct TcbInfo {
    pub(crate) tee: Tee,
    pub(crate) validity: Validity,
    pub(crate) fmspc: [u8; 6],
    pub(crate) pce_id: [u8; 2],
    pub(crate) evaluation_data_number: u32,
    /// Highest first.
    levels: Vec<TcbLevel>,
}

#[derive(Debug, Clone)]
struct TcbLevel {
    components: [u8; 16],
    pce_svn: u16,
    component: TcbComponent,
}

impl TcbInfo {
    /// Reads the signed value. Members that Intel adds later are passed over: they are signed, and no
    /// meaning is taken from them.
    pub(crate) fn parse(verified_value: &[u8]) -> Result<Self, DocumentError> {
        let Head { version } = serde_json::from_slice(verified_value)?;
        match version {
            2 => Self::from_v2(serde_json::from_slice(verified_value)?),
            3 => Self::from_v3(serde_json::from_slice(verified_value)?),
            found => Err(DocumentError::Version { found }),
        }
    }

    fn from_v2(body: Body<TcbV2>) -> Result<Self, DocumentError> {
        // Version 2 is from before TDX and has no `id`.
        if body.id.is_some() {
            return Err(DocumentError::Member { member: "id" });
        }
        Self::from_body(Tee::Sgx, body)
    }

    fn from_v3(body: Body<TcbV3>) -> Result<Self, DocumentError> {
        let tee = match body.id.as_deref() {
            Some("SGX") => Tee::Sgx,
            Some("TDX") => Tee::Tdx,
            _ => return Err(DocumentError::Member { member: "id" }),
        };
        Self::from_body(tee, body)
    }

    fn from_body<T: Into<([u8; 16], u16)>>(tee: Tee, body: Body<T>) -> Result<Self, DocumentError> {
        if body.tcb_type != 0 {
            return Err(DocumentError::Member { member: "tcbType" });
        }
        // TDX documents need the module, documents for SGX can't have one.
        let has_module = body.tdx_module.is_some() || body.tdx_module_identities.is_some();
        if has_module != (tee == Tee::Tdx) {
            return Err(DocumentError::Member { member: "tdxModule" });
        }
        if body.tcb_levels.is_empty() || body.tcb_levels.len() > MAX_LEVELS {
            return Err(DocumentError::Member { member: "tcbLevels" });
        }
        let mut levels: Vec<_> = body
            .tcb_levels
            .into_iter()
            .map(|level| {
                let (components, pce_svn) = level.tcb.into();
                let component = TcbComponent {
                    status: level.tcb_status,
                    tcb_date: level.tcb_date.0,
                    advisory_ids: level.advisory_ids,
                };
                TcbLevel { components, pce_svn, component }
            })
            .collect();
        // The library doesn't trust the order of the document.
        levels.sort_by_key(|level| Reverse((level.components, level.pce_svn)));
        let same = |pair: &[TcbLevel]| {
            let [a, b] = pair else { return false };
            a.components == b.components && a.pce_svn == b.pce_svn
        };
        // Levels for TDX also differ in components that are not read here.
        if tee == Tee::Sgx && levels.windows(2).any(same) {
            return Err(DocumentError::DuplicateLevel);
        }
        Ok(Self {
            tee,
            validity: Validity { not_before: body.issue_date.0, not_after: body.next_update.0 },
            fmspc: body.fmspc.0,
            pce_id: body.pce_id.0,
            evaluation_data_number: body.tcb_evaluation_data_number,
            levels,
        })
    }

    /// The first level, from the highest down, that all components and the PCE reach.
    pub(crate) fn matching_level(&self, components: &[u8; 16], pce_svn: u16) -> Option<&TcbComponent> {
        let reached = |level: &&TcbLevel| {
            components.iter().zip(&level.components).all(|(svn, needed)| svn >= needed)
                && pce_svn >= level.pce_svn
        };
        self.levels.iter().find(reached).map(|level| &level.component)
    }
}

/// What a document is for, read before its signature is checked: to say what to do with a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnverifiedTcbInfo {
    pub(crate) tee: Tee,
    pub(crate) fmspc: [u8; 6],
    pub(crate) evaluation_data_number: u32,
    pub(crate) validity: Validity,
}

impl UnverifiedTcbInfo {
    pub(crate) fn peek(unverified_value: &[u8]) -> Result<Self, DocumentError> {
        let peek: Peek = serde_json::from_slice(unverified_value)?;
        Ok(Self {
            tee: if peek.id.as_deref() == Some("TDX") { Tee::Tdx } else { Tee::Sgx },
            fmspc: peek.fmspc.0,
            evaluation_data_number: peek.tcb_evaluation_data_number.unwrap_or(0),
            validity: Validity { not_before: peek.issue_date.0, not_after: peek.next_update.0 },
        })
    }
}

#[derive(Deserialize)]
struct Head {
    version: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peek {
    id: Option<String>,
    fmspc: HexArray<6>,
    issue_date: Timestamp,
    next_update: Timestamp,
    tcb_evaluation_data_number: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<T> {
    id: Option<String>,
    issue_date: Timestamp,
    next_update: Timestamp,
    fmspc: HexArray<6>,
    pce_id: HexArray<2>,
    tcb_type: u32,
    tcb_evaluation_data_number: u32,
    tdx_module: Option<serde::de::IgnoredAny>,
    tdx_module_identities: Option<serde::de::IgnoredAny>,
    tcb_levels: Vec<Level<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Level<T> {
    tcb: T,
    tcb_date: Timestamp,
    tcb_status: TcbStatus,
    #[serde(default, rename = "advisoryIDs")]
    advisory_ids: Vec<String>,
}

/// Version 3.
#[derive(Deserialize)]
struct TcbV3 {
    sgxtcbcomponents: [ComponentV3; 16],
    pcesvn: u16,
}

#[derive(Deserialize)]
struct ComponentV3 {
    svn: u8,
}

impl From<TcbV3> for ([u8; 16], u16) {
    fn from(tcb: TcbV3) -> Self {
        (tcb.sgxtcbcomponents.map(|component| component.svn), tcb.pcesvn)
    }
}

/// Version 2.
#[derive(Deserialize)]
struct TcbV2 {
    sgxtcbcomp01svn: u8,
    sgxtcbcomp02svn: u8,
    sgxtcbcomp03svn: u8,
    sgxtcbcomp04svn: u8,
    sgxtcbcomp05svn: u8,
    sgxtcbcomp06svn: u8,
    sgxtcbcomp07svn: u8,
    sgxtcbcomp08svn: u8,
    sgxtcbcomp09svn: u8,
    sgxtcbcomp10svn: u8,
    sgxtcbcomp11svn: u8,
    sgxtcbcomp12svn: u8,
    sgxtcbcomp13svn: u8,
    sgxtcbcomp14svn: u8,
    sgxtcbcomp15svn: u8,
    sgxtcbcomp16svn: u8,
    pcesvn: u16,
}

impl From<TcbV2> for ([u8; 16], u16) {
    fn from(tcb: TcbV2) -> Self {
        let components = [
            tcb.sgxtcbcomp01svn,
            tcb.sgxtcbcomp02svn,
            tcb.sgxtcbcomp03svn,
            tcb.sgxtcbcomp04svn,
            tcb.sgxtcbcomp05svn,
            tcb.sgxtcbcomp06svn,
            tcb.sgxtcbcomp07svn,
            tcb.sgxtcbcomp08svn,
            tcb.sgxtcbcomp09svn,
            tcb.sgxtcbcomp10svn,
            tcb.sgxtcbcomp11svn,
            tcb.sgxtcbcomp12svn,
            tcb.sgxtcbcomp13svn,
            tcb.sgxtcbcomp14svn,
            tcb.sgxtcbcomp15svn,
            tcb.sgxtcbcomp16svn,
        ];
        (components, tcb.pcesvn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(components: [u8; 2], pce_svn: u16, status: &str) -> String {
        let [first, second] = components;
        let rest = r#",{"svn":0}"#.repeat(14);
        format!(
            r#"{{"tcb":{{"sgxtcbcomponents":[{{"svn":{first},"category":"BIOS"}},{{"svn":{second}}}{rest}],
            "pcesvn":{pce_svn}}},"tcbDate":"2024-03-13T00:00:00Z","tcbStatus":"{status}"}}"#
        )
    }

    fn document(levels: &[String], change: (&str, &str)) -> Result<TcbInfo, DocumentError> {
        let text = format!(
            r#"{{"id":"SGX","version":3,"issueDate":"2025-01-01T00:00:00Z","nextUpdate":"2025-02-01T00:00:00Z",
            "fmspc":"00906ED50000","pceId":"0000","tcbType":0,"tcbEvaluationDataNumber":17,"new":[],
            "tcbLevels":[{}]}}"#,
            levels.join(",")
        );
        assert!(text.contains(change.0));
        TcbInfo::parse(text.replace(change.0, change.1).as_bytes())
    }

    #[test]
    fn the_highest_level_reached_counts_whatever_the_order() {
        let mut levels = [
            level([2, 0], 5, "OutOfDate"),
            level([3, 3], 7, "UpToDate"),
            level([3, 3], 6, "ConfigurationNeeded"),
            level([1, 9], 1, "SWHardeningNeeded"),
        ];
        for _ in 0..4 {
            levels.rotate_left(1);
            let info = document(&levels, ("", "")).unwrap();
            let status = |first, second, pce_svn| {
                let mut components = [0; 16];
                (components[0], components[1]) = (first, second);
                info.matching_level(&components, pce_svn).map(|level| level.status)
            };
            assert_eq!(status(3, 3, 7), Some(TcbStatus::UpToDate));
            assert_eq!(status(255, 255, u16::MAX), Some(TcbStatus::UpToDate));
            assert_eq!(status(3, 3, 6), Some(TcbStatus::ConfigurationNeeded));
            // One component short of the higher ones.
            assert_eq!(status(3, 2, 7), Some(TcbStatus::OutOfDate));
            assert_eq!(status(1, 9, 7), Some(TcbStatus::SwHardeningNeeded));
            assert_eq!(status(1, 8, 7), None);
            assert_eq!(status(3, 3, 0), None);
        }
    }

    #[test]
    fn what_is_not_as_specified_is_refused() {
        let levels = [level([1, 1], 1, "UpToDate")];
        let refused = |from, to| document(&levels, (from, to)).unwrap_err();
        let member = |member| DocumentError::Member { member };
        assert_eq!(refused(r#""version":3"#, r#""version":4"#), DocumentError::Version { found: 4 });
        assert_eq!(refused(r#""SGX""#, r#""SEV""#), member("id"));
        assert_eq!(refused(r#""id":"SGX","#, ""), member("id"));
        assert_eq!(refused(r#""SGX""#, r#""TDX""#), member("tdxModule"));
        assert_eq!(refused(r#""new":[]"#, r#""tdxModule":{}"#), member("tdxModule"));
        assert_eq!(refused(r#""tcbType":0"#, r#""tcbType":1"#), member("tcbType"));
        assert_eq!(document(&[], ("", "")).unwrap_err(), member("tcbLevels"));
        let twice = [level([1, 1], 1, "UpToDate"), level([1, 1], 1, "OutOfDate")];
        assert_eq!(document(&twice, ("", "")).unwrap_err(), DocumentError::DuplicateLevel);
        for (from, to) in [
            (r#""svn":1,"category""#, r#""svn":256,"category""#),
            (r#""svn":1,"category""#, r#""svn":"1","category""#),
            (r#",{"svn":0}"#, ""),
            (r#""pcesvn":1"#, r#""pcesvn":-1"#),
            ("00906ED50000", "00906ED5000"),
            ("00906ED50000", "00906ED5000g"),
            ("2025-02-01T00:00:00Z", "2025-02-30T00:00:00Z"),
            ("UpToDate", "Uptodate"),
            (r#""tcbEvaluationDataNumber":17,"#, ""),
        ] {
            assert!(matches!(refused(from, to), DocumentError::Json { .. }), "{from} {to}");
        }
    }
}
