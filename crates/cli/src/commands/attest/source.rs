//! Where evidence comes from: a file, a command, or Gramine.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::failure::Failure;
use crate::input;
use crate::kind::Kind;

/// SHA-256 of the runtime data and 32 zero bytes; all zero without runtime data.
pub(super) fn report_data(runtime_data: Option<&[u8]>) -> [u8; 64] {
    let mut report_data = [0; 64];
    if let Some(data) = runtime_data {
        for (to, from) in report_data.iter_mut().zip(crypto::sha256(data)) {
            *to = from;
        }
    }
    report_data
}

/// The evidence in a file of any kind that is recognised, or the bytes as they are.
pub(super) fn file(path: &Path) -> Result<Vec<u8>, Failure> {
    let file = input::read_file(path)?;
    let Some(kind) = Kind::recognise(&file) else {
        // Whether these bytes are evidence is for the service to say.
        return Ok(input::without_comment_lines(&file).to_vec());
    };
    let envelope =
        kind.open(&file).map_err(|error| Failure::usage(format!("`{}`: {error}", path.display())))?;
    Ok(envelope.evidence)
}

/// What a shell command writes to its standard output, given the report data.
pub(super) fn command(command: &str, report_data: &[u8; 64]) -> Result<Vec<u8>, Failure> {
    let failed = |what: &str, error: std::io::Error| {
        Failure::failed(format!("the quote command `{command}` {what}: {error}"))
    };
    let report_data = hex::encode(report_data);
    let is_single_word = !command.trim().contains(|character: char| !is_plain(character));
    let script = if is_single_word { format!("{command} \"$1\"") } else { command.to_owned() };
    let mut child = Command::new("sh")
        .args(["-c", &script, "sh", &report_data])
        .env("VOUCHSAFE_REPORT_DATA", &report_data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed("did not start", error))?;
    // A command that does not read its input may close it; the input fits any pipe, so this cannot block.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = writeln!(stdin, "{report_data}");
    }
    let output = read_output(&mut child);
    if output.is_err() {
        // Its standard output is closed to it now; it need not be waited for.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| failed("cannot be waited for", error))?;
    let evidence = output.map_err(|error| failed("gave no output", error))?;
    if !status.success() {
        return Err(Failure::failed(format!("the quote command `{command}` ended with {status}")));
    }
    if evidence.is_empty() {
        return Err(Failure::failed(format!(
            "the quote command `{command}` wrote no quote to its standard output"
        )));
    }
    Ok(evidence)
}

fn read_output(child: &mut Child) -> std::io::Result<Vec<u8>> {
    let mut evidence = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(MAX_QUOTE_BYTES.saturating_add(1)).read_to_end(&mut evidence)?;
    }
    if u64::try_from(evidence.len()).is_ok_and(|length| length > MAX_QUOTE_BYTES) {
        return Err(std::io::Error::other(format!("more than {MAX_QUOTE_BYTES} bytes")));
    }
    Ok(evidence)
}

/// The interface of Gramine: write `user_report_data`, then read `quote`.
pub(super) fn gramine(directory: &Path, report_data: &[u8; 64]) -> Result<Vec<u8>, Failure> {
    if !directory.join("user_report_data").exists() {
        return Err(Failure::usage("there is no evidence to send").hint(format!(
            "give it with `--evidence` or `--quote-command`; `{}` exists only inside a Gramine enclave",
            directory.display()
        )));
    }
    let failed = |name: &str, error: std::io::Error| {
        Failure::failed(format!("`{}`: {error}", directory.join(name).display()))
            .hint("the enclave's manifest must set `sgx.remote_attestation = \"dcap\"`")
    };
    fs::write(directory.join("user_report_data"), report_data)
        .map_err(|error| failed("user_report_data", error))?;
    fs::read(directory.join("quote")).map_err(|error| failed("quote", error))
}

/// Characters that make a command of one word; none of them means anything to the shell.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '/' | '.' | '_' | '-' | '+' | ':' | '@' | ',')
}

/// Quotes have a few KiB; a version 4 quote with all its parts stays below 20.
const MAX_QUOTE_BYTES: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn report_data_is_the_hash_and_zeros() {
        assert_eq!(report_data(None), [0; 64]);
        let bound = report_data(Some(b"abc"));
        assert_eq!(bound[..32], crypto::sha256(b"abc"));
        assert_eq!(bound[32..], [0; 32]);
    }

    #[test]
    fn a_command_gets_the_report_data_in_three_ways() {
        let hex = hex::encode([7; 64]);
        let run = |command: &str| super::command(command, &[7; 64]);
        assert_eq!(run("cat -").unwrap(), format!("{hex}\n").into_bytes());
        assert_eq!(run("printf %s \"$1\"").unwrap(), hex.as_bytes());
        assert_eq!(run("printf %s $VOUCHSAFE_REPORT_DATA").unwrap(), hex.as_bytes());
        assert_eq!(run("echo").unwrap(), format!("{hex}\n").into_bytes());
    }

    #[test]
    fn a_command_that_gives_no_quote_is_a_failure() {
        let message = |command: &str| super::command(command, &[0; 64]).unwrap_err().message;
        assert!(message("exit 3").contains("exit status: 3"));
        assert!(message("true && true").contains("no quote"));
        assert!(message("yes | head -c 2000000").contains("more than"));
    }

    #[test]
    fn gramine_gets_report_data_and_gives_a_quote() {
        let directory = std::env::temp_dir().join(format!("vouchsafe-gramine-{}", std::process::id()));
        assert_eq!(gramine(&directory, &[1; 64]).unwrap_err().exit, Exit::Usage);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("user_report_data"), [0; 64]).unwrap();
        fs::write(directory.join("quote"), b"quote").unwrap();
        assert_eq!(gramine(&directory, &[1; 64]).unwrap(), b"quote");
        assert_eq!(fs::read(directory.join("user_report_data")).unwrap(), [1; 64]);
        fs::remove_dir_all(&directory).unwrap();
    }
}
