//! The `vouchsafe` command line: a file per command, one module that prints, one enum of exit codes.
#![forbid(unsafe_code)]

mod commands;
mod exit;
mod failure;
mod files;
mod http;
mod input;
mod kind;
mod output;
mod tpm;

use std::process::ExitCode;

use clap::Parser;

use crate::commands::Command;

/// A self-hosted attestation service, and the tools around it.
///
/// Vouchsafe takes evidence of a trusted execution environment, verifies it against its maker's root, appraises
/// it under a policy and signs a token that any OpenID Connect consumer can check. Its interface is that of Azure
/// Attestation, so existing clients work unchanged.
#[derive(Debug, Parser)]
#[command(name = "vouchsafe", version, arg_required_else_help = true)]
#[command(after_help = exit::HELP, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    // Prints help and usage errors itself; the latter exit with 2, as `Exit::Usage`.
    let arguments = Arguments::parse();
    let exit = arguments.command.run().unwrap_or_else(|failure| {
        output::failure(&failure);
        failure.exit
    });
    exit.into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
