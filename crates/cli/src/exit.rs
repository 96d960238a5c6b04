//! The exit codes, which scripts rely on. *Denied* is an answer; *failed* is the lack of one.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: done, and where there was a question, the answer is yes.
    Yes,
    /// 1: the answer is no. The evidence is not genuine, the token does not verify, the service refused the
    /// evidence, or the policy has errors.
    Denied,
    /// 2: wrong input or command. Nothing was decided; fix the command, the file or the configuration. The
    /// argument parser uses this code as well.
    Usage,
    /// 3: failed. Something else stood in the way (network, disk, the service itself); the same command may
    /// work later.
    Failed,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Yes => 0,
            Exit::Denied => 1,
            Exit::Usage => 2,
            Exit::Failed => 3,
        })
    }
}

/// The same for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done; where there was a question, the answer is yes
  1  denied: the evidence is not genuine, the token not valid, the policy wrong
  2  wrong input or command: nothing was decided
  3  failed: network, disk or service; the same command may work later";
