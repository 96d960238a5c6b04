//! `vouchsafe tpm show`: what a TPM is, which certificates it holds, what is in its PCRs.

use clap::Args;
use evidence::tpm::AkCertificate;
use serde_json::{Map, Value, json};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::input::show_time;
use crate::output::{self, Table};
use crate::tpm::endorsement::Endorsement;
use crate::tpm::identity::{Identity, pcrs};
use crate::tpm::{DEFAULT_DEVICE, Tcti, Tpm};

/// Show the TPM of this machine: its maker, its endorsement certificates, its PCRs
///
/// What it shows is not signed, and proves nothing; `vouchsafe attest tpm` does. The machine is the name that an
/// enrolment gives it: SHA-256 over the endorsement key (its SubjectPublicKeyInfo).
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The TPM: a device, or `swtpm:host=HOST,port=PORT`
    #[arg(long, value_name = "TCTI", env = "VOUCHSAFE_TCTI", default_value = DEFAULT_DEVICE)]
    tcti: Tcti,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let mut tpm = Tpm::open(&self.tcti, Vec::new())?;
        let identity = Identity::of(&mut tpm)?;
        let endorsements = Endorsement::all_of_tpm(&mut tpm)?;
        let mut banks = Vec::new();
        for bank in &identity.banks {
            banks.push((*bank, pcrs(&mut tpm, *bank)?));
        }
        drop(tpm);
        let certificates = endorsements.iter().map(describe).collect::<Result<Vec<_>, _>>()?;
        if self.json {
            let banks = banks.into_iter().map(|(bank, values)| {
                let values =
                    values.into_iter().map(|(index, value)| (index.to_string(), json!(hex::encode(value))));
                (bank.name().to_owned(), Value::Object(values.collect()))
            });
            output::json(&json!({
                "manufacturer": identity.manufacturer,
                "model": identity.model,
                "firmware": identity.firmware,
                "endorsements": certificates,
                "pcrs": banks.collect::<Map<_, _>>(),
            }))?;
            return Ok(Exit::Yes);
        }
        let mut table = Table::default();
        table.row("manufacturer", &identity.manufacturer).row("model", &identity.model);
        table.row("firmware", &identity.firmware);
        print("TPM", &table)?;
        for certificate in &certificates {
            let mut table = Table::default();
            for (name, value) in certificate {
                table.row(name, value.as_str().unwrap_or_default());
            }
            print("endorsement certificate", &table)?;
        }
        if certificates.is_empty() {
            output::line("no endorsement certificate of the low range")?;
        }
        for (bank, values) in &banks {
            let mut table = Table::default();
            for (index, value) in values {
                table.row(index.to_string(), hex::encode(value));
            }
            print(&format!("PCRs, {bank}"), &table)?;
        }
        Ok(Exit::Yes)
    }
}

fn print(heading: &str, table: &Table) -> Result<(), Failure> {
    output::line(heading)?;
    table.print()
}

fn describe(endorsement: &Endorsement) -> Result<Map<String, Value>, Failure> {
    let der = endorsement.certificates.first().map(Vec::as_slice).unwrap_or_default();
    let certificate = AkCertificate::parse(der)
        .map_err(|error| Failure::failed(format!("the endorsement certificate cannot be read: {error}")))?;
    let validity = certificate.validity();
    let facts = [
        ("key", endorsement.algorithm.name().to_owned()),
        ("machine", hex::encode(crypto::sha256(certificate.spki()))),
        ("issuer", certificate.issuer().to_owned()),
        ("valid_from", show_time(validity.not_before)),
        ("valid_until", show_time(validity.not_after)),
    ];
    Ok(facts.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect())
}
