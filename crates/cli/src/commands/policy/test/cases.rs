//! Test cases of policies: TOML files with claims or evidence, and what is expected.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use policy::{Claim, Issuer};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::commands::policy::claims::{Question, of_object};
use crate::failure::Failure;
use crate::input;
use crate::kind::Kind;

/// One case.
#[derive(Debug)]
pub(in crate::commands::policy) struct Case {
    /// Its own name, or that of its file.
    pub(in crate::commands::policy) name: String,
    claims: Map<String, Value>,
    custom_claims: Map<String, Value>,
    evidence: Option<Evidence>,
    pub(super) expect: Expect,
    /// The file it stands in.
    file: PathBuf,
}

/// A case as written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    name: Option<String>,
    /// Claims of the service, besides those of the evidence.
    #[serde(default)]
    claims: Map<String, Value>,
    /// Claims of the client.
    #[serde(default)]
    custom_claims: Map<String, Value>,
    evidence: Option<Evidence>,
    expect: Expect,
}

/// A file with several cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    case: Vec<Written>,
}

/// Evidence whose claims come in; paths are relative to the file of the case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Evidence {
    file: PathBuf,
    kind: Option<String>,
    #[serde(default)]
    endorsements: Vec<PathBuf>,
    at: Option<String>,
    #[serde(default)]
    trust_pck_roots: Vec<PathBuf>,
    #[serde(default)]
    trust_tcb_roots: Vec<PathBuf>,
}

impl Case {
    /// The claims that come in: those of the evidence, those of the service, those of the client.
    pub(in crate::commands::policy) fn incoming(&self) -> Result<Vec<Claim>, Failure> {
        let mut claims = match &self.evidence {
            Some(evidence) => evidence.claims(&self.file)?,
            None => Vec::new(),
        };
        for (object, issuer) in
            [(&self.claims, Issuer::AttestationService), (&self.custom_claims, Issuer::CustomClaim)]
        {
            claims.extend(of_object(object, issuer).map_err(|reason| wrong(&self.file, &reason))?);
        }
        Ok(claims)
    }
}

impl Evidence {
    fn claims(&self, case: &Path) -> Result<Vec<Claim>, Failure> {
        let beside = |path: &PathBuf| case.with_file_name("").join(path);
        let all = |paths: &[PathBuf]| paths.iter().map(beside).collect::<Vec<_>>();
        let kind = self.kind.as_deref().map(|name| Kind::from_str(name, true)).transpose();
        let at = self.at.as_deref().map(input::parse_time).transpose();
        let question = Question {
            evidence: &beside(&self.file),
            kind: kind.map_err(|reason| wrong(case, &format!("kind: {reason}")))?,
            endorsements: &all(&self.endorsements),
            at: at.map_err(|reason| wrong(case, &reason))?,
            trust_pck_roots: &all(&self.trust_pck_roots),
            trust_tcb_roots: &all(&self.trust_tcb_roots),
        };
        question.claims()
    }
}

fn wrong(file: &Path, reason: &str) -> Failure {
    Failure::usage(format!("the case in `{}`: {reason}", file.display()))
}

/// Where the cases of a policy are: `production.tests` beside `production.policy`.
pub(in crate::commands::policy) fn directory(policy: &Path) -> PathBuf {
    policy.with_extension("tests")
}

/// The cases of files, and of the TOML files in directories.
pub(super) fn all(paths: &[PathBuf]) -> Result<Vec<Case>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            for file in files(path)?.iter().filter(|file| is_toml(file)) {
                all.extend(read(file)?);
            }
        } else if path.is_file() {
            all.extend(read(path)?);
        }
    }
    Ok(all)
}

/// The files in a directory that may hold claims or cases, in the order of their names.
pub(in crate::commands::policy) fn files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| Failure::usage(format!("`{}` cannot be read: {error}", directory.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("json" | "jwt" | "toml")) {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(Failure::usage(format!(
                "`{}` holds more than {MAX_FILES} files",
                directory.display()
            )));
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a file is one of test cases, and not just of claims.
pub(in crate::commands::policy) fn holds_cases(file: &Path) -> Result<bool, Failure> {
    let names = |table: &toml::Table| table.contains_key("expect") || table.contains_key("case");
    Ok(is_toml(file) && toml::from_str(&input::read_text(file)?).is_ok_and(|table| names(&table)))
}

/// The cases in a file.
pub(in crate::commands::policy) fn read(file: &Path) -> Result<Vec<Case>, Failure> {
    let text = input::read_text(file)?;
    let wrong = |error: toml::de::Error| wrong(file, error.to_string().trim_end());
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let several = toml::from_str(&text).is_ok_and(|table: toml::Table| table.contains_key("case"));
    let written = if several {
        toml::from_str::<Several>(&text).map_err(wrong)?.case
    } else {
        vec![toml::from_str::<Written>(&text).map_err(wrong)?]
    };
    let cases = (1_usize..).zip(written).map(|(number, written)| {
        let unnamed = if several { format!("{stem} {number}") } else { stem.clone() };
        Case {
            name: written.name.unwrap_or(unnamed),
            claims: written.claims,
            custom_claims: written.custom_claims,
            evidence: written.evidence,
            expect: written.expect,
            file: file.to_owned(),
        }
    });
    Ok(cases.collect())
}

fn is_toml(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "toml")
}

/// People keep some hundred cases; a directory with more files than this is another one.
const MAX_FILES: usize = 10_000;

/// What is expected; what is absent is not compared.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) decision: Decision,
    /// The number of the rule that decides, in its section.
    pub(super) rule: Option<u32>,
    /// The code of the error of evaluation.
    pub(super) code: Option<String>,
    /// All claims that the policy issues, as the token carries them.
    pub(super) claims: Option<Map<String, Value>>,
    /// All properties of the issuance rules.
    pub(super) properties: Option<Map<String, Value>>,
    /// All properties of the configuration rules.
    pub(super) configuration: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Decision {
    Denied,
    Failed,
    Permitted,
}

impl Decision {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Permitted => "permitted",
        }
    }
}
