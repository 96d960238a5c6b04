//! A server in a process of its own, whose processor time can be told from the client's.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A child that said it is ready, killed when dropped.
pub struct Process {
    child: Child,
    /// Where it listens.
    pub uri: String,
}

impl Process {
    /// Runs this program again with `arguments`, and waits for its line `ready <uri>`.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child =
            Command::new(program).args(arguments).stdout(Stdio::piped()).spawn().expect("a child process");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let uri = line.trim().strip_prefix("ready ").expect("it is ready").to_owned();
        Self { child, uri }
    }

    /// User and system time so far, in seconds (proc(5): fields 14 and 15, in ticks of 10 ms).
    ///
    /// # Panics
    /// If the process is gone.
    pub fn cpu_secs(&self) -> f64 {
        let stat =
            std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("its statistics");
        let after_name = stat.rsplit_once(')').expect("a name").1;
        let ticks = |field: usize| -> f64 {
            after_name.split_whitespace().nth(field).expect("a field").parse().expect("a number")
        };
        (ticks(11) + ticks(12)) / 100.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
