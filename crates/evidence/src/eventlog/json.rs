//! The claim `events` of policy version 1.2 (Azure Attestation documentation, "Attestation policy version
//! 1.2"): the measured events as JSON. Only what digests vouch for gets a member in `ProcessedData`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::content::{Content, Measured};
use super::event_type;
use super::guid::GLOBAL_VARIABLE;
use super::ima::{self, ImaRecord};
use super::sipa::{self, Kind, Tag};
use super::uefi::{VariableData, utf16};

/// The JSON value of the claim, `{"Events":[…]}`: boot events, then IMA records, numbered from 1.
#[must_use]
pub fn events(measured: &[Measured<'_>], ima: &[ImaRecord<'_>]) -> Value {
    let mut list = Vec::with_capacity(measured.len() + ima.len());
    let mut names = BootNames::default();
    for event in measured {
        let mut shown = Map::new();
        shown.insert("EventSeq".to_owned(), json!(list.len() + 1));
        shown.insert("EventType".to_owned(), json!(event.event.event_type));
        if let Some(name) = event_type::name(event.event.event_type) {
            shown.insert("EventTypeString".to_owned(), json!(name));
        }
        shown.insert("PcrIndex".to_owned(), json!(event.event.pcr));
        if let Some(data) = processed(event, &mut names) {
            shown.insert("ProcessedData".to_owned(), data);
        }
        list.push(Value::Object(shown));
    }
    for record in ima {
        list.push(json!({
            "EventSeq": list.len() + 1,
            "EventTypeString": "IMA_MEASUREMENT_EVENT",
            "PcrIndex": record.pcr,
            "ProcessedData": ima::processed(record),
        }));
    }
    json!({ "Events": list })
}

fn processed(event: &Measured<'_>, names: &mut BootNames) -> Option<Value> {
    match &event.content {
        Content::Variable { variable, named } => {
            let named = names.confirm(event, variable) || *named;
            Some(variable_json(variable, named))
        }
        Content::Tagged(tags) => Some(Value::Object(tags_json(tags))),
        Content::Action(text) => Some(json!({ "String": text })),
        Content::Grub { text, .. } => Some(json!({ "String": text })),
        Content::Text(text) | Content::UkiSection(text) => Some(json!({ "String": text })),
        Content::Separator(separator) => Some(json!({ "RawData": raw(&separator.value()) })),
        // Partition tables and firmware tables are large, and no policy reads them.
        Content::Data(data) if data.len() <= MAX_RAW_BYTES => Some(json!({ "RawData": raw(data) })),
        Content::Data(_) | Content::Unbound => None,
    }
}

fn variable_json(variable: &VariableData<'_>, named: bool) -> Value {
    let mut shown = Map::new();
    if named {
        shown.insert("VariableGuid".to_owned(), json!(variable.guid.to_string()));
        shown.insert("UnicodeName".to_owned(), json!(variable.name));
    }
    shown.insert("VariableData".to_owned(), json!(raw(variable.value)));
    Value::Object(shown)
}

/// The names of boot variables are not measured, but their order is: firmware measures `BootOrder` and
/// then the options it lists (TCG PC Client Platform Firmware Profile, 3.3.4.2).
#[derive(Default)]
struct BootNames {
    order: Option<Vec<u16>>,
    seen: usize,
}

impl BootNames {
    /// Whether the name claimed is the one that the order gives.
    fn confirm(&mut self, event: &Measured<'_>, variable: &VariableData<'_>) -> bool {
        if event.event.pcr != 1 || variable.guid != GLOBAL_VARIABLE {
            return false;
        }
        let Some(order) = &self.order else {
            let (numbers, rest) = variable.value.as_chunks::<2>();
            if variable.name != "BootOrder" || !rest.is_empty() {
                return false;
            }
            self.order = Some(numbers.iter().map(|number| u16::from_le_bytes(*number)).collect());
            return true;
        };
        let expected = order.get(self.seen).map(|number| format!("Boot{number:04X}"));
        self.seen += 1;
        expected.is_some_and(|expected| expected == variable.name)
    }
}

/// Members by name. Aggregations of modules and policies are arrays, as the published queries want them;
/// anything else becomes one when it stands twice, so that nothing overwrites another.
fn tags_json(tags: &[Tag<'_>]) -> Map<String, Value> {
    let mut members: Map<String, Value> = Map::new();
    for tag in tags {
        let name = sipa::name(tag.id).map_or_else(|| format!("EVENT_{:08X}", tag.id), str::to_owned);
        let value = tag_json(tag);
        match members.get_mut(&name) {
            Some(Value::Array(values)) => values.push(value),
            Some(before) => *before = Value::Array(vec![before.take(), value]),
            None if ALWAYS_ARRAYS.contains(&name.as_str()) => {
                members.insert(name, Value::Array(vec![value]));
            }
            None => {
                members.insert(name, value);
            }
        }
    }
    members
}

fn tag_json(tag: &Tag<'_>) -> Value {
    if tag.id == sipa::DRTM_STATE_AUTH {
        // Whose signature it is is not published: none is accepted.
        return json!({ "RawData": raw(tag.payload), "SignatureValid": false });
    }
    let bytes = || json!({ "RawData": raw(tag.payload) });
    match (sipa::kind(tag.id), tag.number()) {
        (Kind::Aggregation, _) => Value::Object(tags_json(&tag.children)),
        (_, _) if !tag.children.is_empty() => Value::Object(tags_json(&tag.children)),
        (Kind::Flag, Some(number)) => json!(number != 0),
        (Kind::Number, Some(number)) => json!(number),
        (Kind::Enumeration(names), Some(number)) => {
            let name = names.iter().find(|(value, _)| *value == number).map(|(_, name)| *name);
            match name {
                Some(name) => json!({ "String": name, "Value": number }),
                None => json!({ "String": number.to_string(), "Value": number }),
            }
        }
        (Kind::Text, _) => utf16(tag.payload).map_or_else(bytes, |text| json!(text.trim_end_matches('\0'))),
        (Kind::Raw | Kind::Flag | Kind::Number | Kind::Enumeration(_), _) => bytes(),
    }
}

pub(crate) fn raw(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

const ALWAYS_ARRAYS: &[&str] = &["EVENT_LOADEDMODULE_AGGREGATION", "EVENT_SI_POLICY"];
/// Enough for versions and identifiers.
const MAX_RAW_BYTES: usize = 4096;
