//! Claims for policies to be tried on: from files, from tokens, or from evidence that is verified first.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::Args;
use evidence::dcap::Endorsements;
use policy::{Claim, Issuer, Value};
use serde_json::{Map, Value as Json};
use time::OffsetDateTime;

use crate::commands::evidence::parse_quote;
use crate::failure::Failure;
use crate::files;
use crate::input;
use crate::kind::Kind;

/// Where claims come from
#[derive(Debug, Args)]
#[group(skip)]
pub(super) struct Incoming {
    /// Claims as JSON or, in a file `*.toml`, as TOML; `-` is standard input
    ///
    /// Either an object `{name: value or [values]}` of claims that the service makes, or a list of objects
    /// `{type, value, issuer}`. A token in compact form stands for the claims it was made of.
    #[arg(long, value_name = "FILE", required_unless_present = "evidence", conflicts_with = "evidence")]
    claims: Option<PathBuf>,

    /// Real evidence, which is verified and yields the claims
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,

    /// What the evidence file holds [default: by its content]
    #[arg(long, value_enum, requires = "evidence")]
    kind: Option<Kind>,

    /// File or directory with endorsements (repeatable)
    #[arg(long, value_name = "PATH", requires = "evidence")]
    endorsements: Vec<PathBuf>,

    /// Verify the evidence as of this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = input::parse_time, requires = "evidence")]
    at: Option<OffsetDateTime>,

    /// Roots to trust for PCK certificates instead of Intel's (repeatable)
    #[arg(long, value_name = "PEM", requires = "evidence")]
    trust_pck_root: Vec<PathBuf>,

    /// Roots to trust for signers of TCB info and identities instead of Intel's (repeatable)
    #[arg(long, value_name = "PEM", requires = "evidence")]
    trust_tcb_root: Vec<PathBuf>,
}

impl Incoming {
    pub(super) fn read(&self) -> Result<Vec<Claim>, Failure> {
        if let Some(file) = &self.evidence {
            let question = Question {
                evidence: file,
                kind: self.kind,
                endorsements: &self.endorsements,
                at: self.at,
                trust_pck_roots: &self.trust_pck_root,
                trust_tcb_roots: &self.trust_tcb_root,
            };
            return question.claims();
        }
        match &self.claims {
            Some(file) => of_file(file),
            None => Ok(Vec::new()),
        }
    }
}

/// Evidence and what it is verified with.
pub(super) struct Question<'a> {
    pub(super) evidence: &'a Path,
    pub(super) kind: Option<Kind>,
    pub(super) endorsements: &'a [PathBuf],
    pub(super) at: Option<OffsetDateTime>,
    pub(super) trust_pck_roots: &'a [PathBuf],
    pub(super) trust_tcb_roots: &'a [PathBuf],
}

impl Question<'_> {
    /// Verifies the evidence as the service does; its claims are what the policy would see.
    pub(super) fn claims(&self) -> Result<Vec<Claim>, Failure> {
        let now = self.at.unwrap_or_else(OffsetDateTime::now_utc);
        let shown = self.evidence.display();
        let not_genuine =
            |reason: &dyn std::fmt::Display| Failure::denied(format!("`{shown}` is not genuine: {reason}"));
        let file = input::read_file(self.evidence)?;
        let kind = self.kind.or_else(|| Kind::recognise(&file)).ok_or_else(|| {
            Failure::usage(format!("`{shown}` looks like no evidence")).hint("say what it is with `--kind`")
        })?;
        let envelope = kind.open(&file).map_err(|error| Failure::usage(format!("`{shown}`: {error}")))?;
        let mut collection = files::endorsements(self.endorsements)?;
        if let (true, Some(enclosed)) = (self.endorsements.is_empty(), &envelope.endorsements) {
            files::add(&mut collection, self.evidence, enclosed)?;
        }
        let anchors = files::trust_anchors(self.trust_pck_roots, self.trust_tcb_roots)?;
        let quote = parse_quote(kind, &envelope.evidence).map_err(|error| not_genuine(&error))?;
        let chain = quote.pck_chain().map_err(|rejection| not_genuine(&rejection.error))?;
        let pck = chain.verify(&anchors).map_err(|rejection| not_genuine(&rejection.error))?;
        let authentic = quote.authenticate(&pck, now).map_err(|rejection| not_genuine(&rejection.error))?;
        let raw = files::select(&collection, &pck, now)?;
        let endorsements =
            Endorsements::verify(&raw, &anchors, now).map_err(|rejection| not_genuine(&rejection.error))?;
        let report = authentic.verify(&endorsements).map_err(|rejection| not_genuine(&rejection.error))?;
        let bound = report.bind(None, None).map_err(|rejection| not_genuine(&rejection.error))?;
        Ok(appraisal::incoming(&appraisal::sgx_claims(&bound)))
    }
}

/// The claims that a file holds.
pub(super) fn of_file(path: &Path) -> Result<Vec<Claim>, Failure> {
    let text = input::read_text(path)?;
    let wrong = |reason: String| Failure::usage(format!("claims in `{}`: {reason}", path.display()));
    if path.extension().is_some_and(|extension| extension == "toml") {
        let table: Map<String, Json> =
            toml::from_str(&text).map_err(|error| wrong(format!("not TOML: {}", error.message())))?;
        return of_object(&table, Issuer::AttestationService).map_err(wrong);
    }
    if let Some(claims) = token_claims(text.trim()) {
        return of_object(&claims, Issuer::AttestationService).map_err(wrong);
    }
    match serde_json::from_str(&text).map_err(|error| wrong(format!("not JSON: {error}")))? {
        Json::Object(object) => of_object(&object, Issuer::AttestationService).map_err(wrong),
        Json::Array(list) => list.iter().map(of_entry).collect::<Result<_, _>>().map_err(wrong),
        _ => Err(wrong("neither an object nor a list".to_owned())),
    }
}

/// What a policy saw of the claims of a token in compact form, whose signature does not matter here.
fn token_claims(text: &str) -> Option<Map<String, Json>> {
    let mut parts = text.split('.');
    let (_header, body) = (parts.next()?, parts.next()?);
    let body = URL_SAFE_NO_PAD.decode(body).ok()?;
    let mut claims: Map<String, Json> = serde_json::from_slice(&body).ok()?;
    claims.retain(|name, _| appraisal::SGX_CLAIM_NAMES.contains(&name.as_str()));
    Some(claims)
}

/// Claims by their names; a list is several claims of that name.
pub(super) fn of_object(object: &Map<String, Json>, issuer: Issuer) -> Result<Vec<Claim>, String> {
    let mut claims = Vec::new();
    for (name, value) in object {
        let values = match value {
            Json::Array(values) => values.as_slice(),
            single => std::slice::from_ref(single),
        };
        for value in values {
            let value = of_json(value).map_err(|reason| format!("claim `{name}` {reason}"))?;
            claims.push(Claim { claim_type: name.clone().into(), value, issuer });
        }
    }
    Ok(claims)
}

/// `{"type": …, "value": …, "issuer": …}`
fn of_entry(entry: &Json) -> Result<Claim, String> {
    let Some(members) = entry.as_object() else { return Err("an entry of the list is no object".to_owned()) };
    let claim_type =
        members.get("type").and_then(Json::as_str).ok_or("an entry of the list has no `type`")?;
    let value = members.get("value").ok_or_else(|| format!("claim `{claim_type}` has no `value`"))?;
    let value = of_json(value).map_err(|reason| format!("claim `{claim_type}` {reason}"))?;
    let issuer = match members.get("issuer").map(Json::as_str) {
        None | Some(Some("AttestationService")) => Issuer::AttestationService,
        Some(Some("AttestationPolicy")) => Issuer::AttestationPolicy,
        Some(Some("CustomClaim")) => Issuer::CustomClaim,
        Some(_) => {
            return Err(format!(
                "the issuer of claim `{claim_type}` is none of AttestationService, AttestationPolicy, CustomClaim"
            ));
        }
    };
    if let Some(other) =
        members.keys().find(|name| !["type", "value", "valueType", "issuer"].contains(&name.as_str()))
    {
        return Err(format!("claim `{claim_type}` has the member `{other}`, which means nothing"));
    }
    Ok(Claim { claim_type: claim_type.to_owned().into(), value, issuer })
}

fn of_json(value: &Json) -> Result<Value, &'static str> {
    match value {
        Json::Bool(value) => Ok(Value::Boolean(*value)),
        Json::String(text) => Ok(Value::String(text.clone())),
        Json::Number(number) => number
            .as_i64()
            .map(i128::from)
            .or_else(|| number.as_u64().map(i128::from))
            .map(Value::Integer)
            .ok_or("is not a 64-bit integer"),
        Json::Null | Json::Array(_) | Json::Object(_) => {
            Err("is neither a string, a boolean nor an integer; JSON evidence is given as a string")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Vec<Claim>, String> {
        let path = std::env::temp_dir().join(format!("vouchsafe-claims-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let claims = of_file(&path).map_err(|failure| failure.message);
        std::fs::remove_file(&path).unwrap();
        claims
    }

    #[test]
    fn claims_are_written_in_several_ways() {
        let expected = vec![
            Claim::service("flags", u64::MAX),
            Claim::service("ok", true),
            Claim::service("tag", "a"),
            Claim::service("tag", "b"),
        ];
        let object = r#"{"flags": 18446744073709551615, "ok": true, "tag": ["a", "b"]}"#;
        assert_eq!(read("object.json", object), Ok(expected.clone()));
        let toml = "ok = true\n\"tag\" = [\"a\", \"b\"]";
        assert_eq!(read("table.toml", toml).unwrap(), expected[1..]);
        let list = r#"[{"type": "ehd", "value": 1, "issuer": "CustomClaim"}, {"type": "ok", "value": true}]"#;
        let listed = vec![Claim::custom("ehd", 1_i64), Claim::service("ok", true)];
        assert_eq!(read("list.json", list), Ok(listed));
        let body = URL_SAFE_NO_PAD.encode(r#"{"iss":"x","x-ms-sgx-svn":3,"x-ms-runtime":{}}"#);
        assert_eq!(read("token", &format!("e30.{body}.")), Ok(vec![Claim::service("x-ms-sgx-svn", 3_i64)]));
    }

    #[test]
    fn what_is_no_claim_is_named() {
        for (name, text, reason) in [
            ("1.json", r#"{"a": {}}"#, "claim `a` is neither"),
            ("2.json", r#"{"a": 1.5}"#, "claim `a` is not a 64-bit integer"),
            ("3.json", r#"[{"value": 1}]"#, "no `type`"),
            ("4.json", r#"[{"type": "a"}]"#, "no `value`"),
            ("5.json", r#"[{"type": "a", "value": 1, "issuer": "me"}]"#, "issuer of claim `a`"),
            ("6.json", r#"[{"type": "a", "value": 1, "isuer": "x"}]"#, "member `isuer`"),
            ("7.json", "[1]", "no object"),
            ("8.json", "1", "neither an object nor a list"),
            ("9.json", "{", "not JSON"),
            ("10.toml", "a = ", "not TOML"),
        ] {
            let error = read(name, text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
