//! `vouchsafe tpm roots import`: certificates of makers into a directory of roots.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};

use super::Role;
use super::item::{Item, items};
use super::source::{Source, sources};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Table};

/// Put roots, intermediates and CRLs into a directory of roots, for `vouchsafe serve --tpm-roots DIR`
///
/// Takes certificates in DER and PEM, bundles of them, whole directories, and cabinets such as Microsoft's
/// TrustedTpm.cab, which has the roots of all makers whose TPMs Windows knows. Nothing vouches for these files, not
/// even a cabinet's signature, which is not checked: get them from where you trust, for whoever is in the directory
/// decides which TPMs are genuine.
///
/// A running service reads the directory again when it has changed.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct Import {
    /// Files, directories and cabinets
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,

    /// Of which keys the certificates are the issuers
    #[arg(long, value_enum, value_name = "ROLE")]
    role: Role,

    /// Trust certificates by themselves, also those that another authority issued, as some makers' roots are
    #[arg(long)]
    anchor: bool,

    /// The directory of roots; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  vouchsafe tpm roots import --role ek --to tpm-roots TrustedTpm.cab
  vouchsafe tpm roots import --role aik --to tpm-roots fleet-ca.pem fleet-ca.crl";

/// What became of the files.
#[derive(Default)]
struct Report {
    known: usize,
    skipped: Vec<(String, String)>,
    taken: Vec<Taken>,
}

struct Taken {
    file: PathBuf,
    from: String,
    item: Item,
}

impl Import {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let sources = sources(&self.paths)?;
        let mut directory = self.to.join(self.role.name());
        if self.anchor {
            directory.push("anchors");
        }
        let mut report = Report::default();
        for Source { from, content } in sources {
            let found = match content {
                Ok(content) => items(&content),
                Err(reason) => vec![Err(reason)],
            };
            for item in found {
                match item.and_then(|item| self.fits(item)) {
                    Ok(item) => report.take(&directory, item, &from)?,
                    Err(reason) => report.skipped.push((from.clone(), reason)),
                }
            }
        }
        if self.json {
            output::json(&report.document(&self.to, self.role))?;
        } else {
            report.print(&directory)?;
        }
        if report.taken.is_empty() && report.known == 0 {
            return Err(Failure::usage("nothing in these files can be trusted for anything")
                .hint("give certificates of certification authorities, in DER, PEM or a cabinet"));
        }
        Ok(Exit::Yes)
    }

    /// What a service would take in this role, or why it would not.
    fn fits(&self, item: Item) -> Result<Item, String> {
        match &item {
            Item::Certificate(certificate) if !certificate.is_authority() => {
                Err(format!("`{}` is not an authority that signs certificates", certificate.subject()))
            }
            Item::Crl(_) | Item::Key(_) if self.anchor => Err("no certificate".to_owned()),
            Item::Key(_) if self.role == Role::Ek => {
                Err("a key without certificate; those of attestation keys are taken with `--role aik`"
                    .to_owned())
            }
            _ => Ok(item),
        }
    }
}

impl Report {
    fn take(&mut self, directory: &Path, item: Item, from: &str) -> Result<(), Failure> {
        let file = directory.join(item.file_name());
        if file.exists() {
            self.known = self.known.saturating_add(1);
            return Ok(());
        }
        let failed = |error| Failure::failed(format!("`{}` cannot be written: {error}", file.display()));
        fs::create_dir_all(directory).map_err(failed)?;
        // A service that starts meanwhile leaves out what begins with a dot.
        let unfinished = directory.join(format!(".{}", item.file_name()));
        fs::write(&unfinished, item.bytes()).and_then(|()| fs::rename(&unfinished, &file)).map_err(failed)?;
        self.taken.push(Taken { file, from: from.to_owned(), item });
        Ok(())
    }

    fn print(&self, directory: &Path) -> Result<(), Failure> {
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for Taken { item, .. } in &self.taken {
            let count = kinds.entry(item.kind()).or_default();
            *count = count.saturating_add(1);
        }
        let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        let (taken, known, skipped) = (self.taken.len(), self.known, self.skipped.len());
        let directory = output::printable(&directory.display().to_string());
        output::line(&format!("`{directory}`: {taken} new{kinds}, {known} known, {skipped} skipped"))?;
        let mut table = Table::default();
        for Taken { item, .. } in &self.taken {
            table.row(format!("new {}", item.kind()), item.describe());
        }
        for (from, reason) in &self.skipped {
            table.row("skipped", format!("{from}: {reason}"));
        }
        table.print()
    }

    fn document(&self, to: &Path, role: Role) -> Value {
        let taken = self.taken.iter().map(|Taken { file, from, item }| {
            let mut document = item.document();
            if let Value::Object(members) = &mut document {
                members.insert("file".to_owned(), file.display().to_string().into());
                members.insert("from".to_owned(), from.as_str().into());
            }
            document
        });
        let skipped = self.skipped.iter().map(|(from, reason)| json!({ "from": from, "reason": reason }));
        json!({
            "directory": to.display().to_string(),
            "role": role.name(),
            "taken": taken.collect::<Vec<_>>(),
            "known": self.known,
            "skipped": skipped.collect::<Vec<_>>(),
        })
    }
}
