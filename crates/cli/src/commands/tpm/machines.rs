//! `vouchsafe tpm machines`: the machines that enrolled with a service, and which of them are still welcome.

use clap::{Args, Subcommand};
use evidence::tpm::AkCertificate;
use reqwest::Method;
use serde_json::{Value, json};

use crate::commands::connection::{Body, Connection};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, Table};

/// List the machines that enrolled with a service, and revoke them
#[derive(Debug, Subcommand)]
pub(crate) enum Machines {
    /// List the machines
    List(List),
    /// Show a machine and its certificates
    Show(Named),
    /// Revoke a machine: it neither attests nor enrols any more
    ///
    /// A machine is its TPM: with another attestation key, another disk or another system it stays revoked.
    Revoke(Revoke),
    /// Take back that a machine is revoked
    ///
    /// Certificates of it that have not ended are good again.
    Restore(Named),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    connection: Connection,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The machine, as `tpm machines list` and, on the machine, `tpm show` name it
    #[arg(value_name = "MACHINE", value_parser = machine)]
    machine: String,

    #[command(flatten)]
    connection: Connection,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    named: Named,

    /// Why, for whoever looks at it later
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Machines {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::List(command) => command.run(),
            Self::Show(command) => command.ask(Method::GET, "", Body::Nothing),
            Self::Revoke(Revoke { named, reason }) => {
                named.ask(Method::POST, ":revoke", Body::Json(json!({ "reason": reason })))
            }
            Self::Restore(command) => command.ask(Method::POST, ":restore", Body::Nothing),
        }
    }
}

impl List {
    fn run(self) -> Result<Exit, Failure> {
        let machines = self.machines()?;
        if self.json {
            output::json(&json!({ "machines": machines }))?;
            return Ok(Exit::Yes);
        }
        output::line(&match machines.len() {
            1 => "1 machine is enrolled".to_owned(),
            number => format!("{number} machines are enrolled"),
        })?;
        let mut table = Table::default();
        for machine in &machines {
            let since = format!("renewed {}", text(machine, "renewedAt"));
            table.row(text(machine, "machine"), revocation(machine).unwrap_or(since));
        }
        table.print()?;
        Ok(Exit::Yes)
    }

    /// All pages.
    fn machines(&self) -> Result<Vec<Value>, Failure> {
        let mut machines = Vec::new();
        let mut after = String::new();
        loop {
            let mut url = self.connection.url("tpm/machines", true)?;
            url.query_pairs_mut().append_pair("top", PAGE).append_pair("after", &after);
            let answer = self.connection.json_at(Method::GET, url, Body::Nothing)?;
            let page = answer
                .get("machines")
                .and_then(Value::as_array)
                .ok_or_else(|| Failure::failed("the service's answer has no list `machines`"))?;
            machines.extend(page.iter().cloned());
            match answer.get("nextAfter").and_then(Value::as_str) {
                // Ids only grow, or a page never ends.
                Some(next) if *next > *after => next.clone_into(&mut after),
                _ => return Ok(machines),
            }
        }
    }
}

impl Named {
    fn ask(self, method: Method, verb: &str, body: Body) -> Result<Exit, Failure> {
        let path = format!("tpm/machines/{}{verb}", self.machine);
        let machine = self.connection.json(method, &path, body)?;
        if self.json {
            output::json(&machine)?;
        } else {
            show(&machine)?;
        }
        Ok(Exit::Yes)
    }
}

fn show(machine: &Value) -> Result<(), Failure> {
    let mut table = Table::default();
    table.row("enrolled", text(machine, "enrolledAt")).row("renewed", text(machine, "renewedAt"));
    if let Some(revocation) = revocation(machine) {
        table.row("state", revocation);
    }
    let der = token::base64url::decode(text(machine, "ekCertificate")).unwrap_or_default();
    if let Ok(certificate) = AkCertificate::parse(&der) {
        table.row("maker", certificate.issuer());
    }
    for certificate in machine.get("aikCertificates").and_then(Value::as_array).into_iter().flatten() {
        let until = format!("{}, until {}", text(certificate, "serial"), text(certificate, "notAfter"));
        table.row("certificate", until);
    }
    output::line(&output::printable(&format!("machine {}", text(machine, "machine"))))?;
    table.print()
}

fn revocation(machine: &Value) -> Option<String> {
    let revoked = machine.get("revoked").and_then(Value::as_bool).unwrap_or_default();
    revoked.then(|| format!("revoked since {}: {}", text(machine, "revokedAt"), text(machine, "reason")))
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of.get(name).and_then(Value::as_str).unwrap_or("?")
}

fn machine(text: &str) -> Result<String, String> {
    let is_id = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { Ok(text.to_ascii_lowercase()) } else { Err("a machine has 64 hexadecimal digits".to_owned()) }
}

/// Machines asked for at a time.
const PAGE: &str = "1000";
