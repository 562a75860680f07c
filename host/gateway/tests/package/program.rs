//! The program, run as a process.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbar"));
    for variable in ["SANDBAR_ADMIN_TOKEN", "SANDBAR_ADMIN", "SANDBAR_LOG"] {
        command.env_remove(variable);
    }
    command.args(arguments);
    command
}

/// Runs the program until it ends.
pub(crate) fn sandbar(arguments: &[&str]) -> Output {
    command(arguments).output().expect("it runs")
}

/// Runs the program, which must succeed; returns what it answered.
pub(crate) fn answer(arguments: &[&str]) -> String {
    let output = sandbar(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A tool of the system; none, and a line that says so, where it is not installed.
pub(crate) fn tool(name: &str) -> Option<Command> {
    let finds = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if finds.is_err() {
        eprintln!("SKIPPED: {name} is not installed");
        return None;
    }
    Some(Command::new(name))
}

/// A gateway as a process, killed when it is dropped.
pub(crate) struct Serving {
    process: Child,
    /// The URL of its admin API.
    pub(crate) admin: String,
    _lines: BufReader<std::process::ChildStderr>,
    _data: TempDir,
}

impl Serving {
    pub(crate) fn start() -> Self {
        let data = TempDir::new().expect("a directory");
        let free = "127.0.0.1:0";
        let dir = data.path().display().to_string();
        let mut serve = command(&["serve", "--origin", "http://127.0.0.1:1", "--log", "off", "--l2", "none"]);
        serve.args(["--listen", free, "--admin", free, "--data-dir", &dir]);
        let mut process = serve.stderr(Stdio::piped()).spawn().expect("it runs");
        let mut lines = BufReader::new(process.stderr.take().expect("standard error"));
        let mut said = String::new();
        while !said.contains("admin API at ") {
            assert_ne!(lines.read_line(&mut said).expect("a line"), 0, "it ended: {said}");
        }
        let admin =
            said.split_once("admin API at ").expect("its address").1.trim_end().trim_end_matches('.').to_owned();
        Self { process, admin, _lines: lines, _data: data }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
