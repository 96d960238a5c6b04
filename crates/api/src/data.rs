//! Runtime and init-time data: bytes that the evidence binds by their hash, and that become claims.

use serde_json::{Map, Value};
use token::json;

use crate::error::RequestError;
use crate::limits::{MAX_INIT_TIME_DATA_BYTES, MAX_RUNTIME_DATA_BYTES};
use crate::members::{Members, kind, shortened};

/// Data sent with the evidence. The evidence binds the SHA-256 of the bytes exactly as decoded,
/// white space and trailing NULs included, whatever their type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// Opaque bytes.
    Binary(Vec<u8>),
    /// Bytes that are a JSON object.
    Json {
        /// The bytes as decoded.
        bytes: Vec<u8>,
        /// What they say, without the NULs that C strings leave at the end. Numbers keep their
        /// spelling.
        object: Map<String, Value>,
    },
}

impl Data {
    /// The bytes that the evidence binds.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Binary(bytes) | Self::Json { bytes, .. } => bytes,
        }
    }

    /// Reads `{"data": base64, "dataType": "Binary" | "JSON"}`. Without `data`, or with an empty one,
    /// nothing was sent, whatever `dataType` says: published clients leave such objects behind. An
    /// absent or empty `dataType` means `Binary`.
    pub(crate) fn parse(value: Value, names: &Names) -> Result<Option<Self>, RequestError> {
        let Value::Object(object) = value else {
            let expected = "an object with `data` and `dataType`";
            return Err(RequestError::WrongType { property: names.whole, expected, found: kind(&value) });
        };
        let mut members = Members::new(object)?;
        let Some(bytes) = members.take_bytes("data", names.data, names.limit)? else {
            return Ok(None);
        };
        let data_type = members.take_string("dataType", names.data_type)?.unwrap_or_default();
        if data_type.is_empty() || data_type.eq_ignore_ascii_case("Binary") {
            return Ok(Some(Self::Binary(bytes)));
        }
        if data_type.eq_ignore_ascii_case("SIGNED_COSESIGN1_JSON") {
            return Err(RequestError::SignedCose { property: names.data_type });
        }
        if !data_type.eq_ignore_ascii_case("JSON") {
            let found = shortened(&data_type);
            return Err(RequestError::UnknownDataType { property: names.data_type, found });
        }
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(1));
        let object = json::parse_object(bytes.get(..end).unwrap_or_default())
            .map_err(|error| RequestError::DataNotJson { property: names.data, error })?;
        Ok(Some(Self::Json { bytes, object }))
    }
}

/// How one of the two is called, and how long it may be.
pub(crate) struct Names {
    pub(crate) whole: &'static str,
    data: &'static str,
    data_type: &'static str,
    limit: usize,
}

pub(crate) const RUNTIME: Names = Names {
    whole: "runtimeData",
    data: "runtimeData.data",
    data_type: "runtimeData.dataType",
    limit: MAX_RUNTIME_DATA_BYTES,
};

pub(crate) const INIT_TIME: Names = Names {
    whole: "initTimeData",
    data: "initTimeData.data",
    data_type: "initTimeData.dataType",
    limit: MAX_INIT_TIME_DATA_BYTES,
};
