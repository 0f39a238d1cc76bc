//! A running example.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};
use serde_json::Value;

use crate::documented;

/// The timeout of every wait, for a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A running example; dropping it kills it. Its JSON output must be documented.
pub(crate) struct Tool {
    name: String,
    child: Child,
    lines: Receiver<String>,
    errors: Option<JoinHandle<String>>,
}

/// The exit of an example, and its unread output.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) lines: Vec<String>,
    pub(crate) errors: String,
}

/// Returns the program of an example. `cargo test` builds all examples before it runs any test.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    let folder = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let program = folder
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} is missing: cargo build --examples",
        program.display()
    );
    program
}

/// Returns the command of an example, without output.
pub(crate) fn command(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program(name));
    command
        .args(arguments)
        .env_remove("RUST_LOG")
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs an example to its end.
#[track_caller]
pub(crate) fn run(name: &str, arguments: &[&str]) -> Ended {
    Tool::start(name, arguments).finish()
}

impl Tool {
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Self {
        Self::of(name, command(name, arguments).spawn().expect("the example"))
    }

    pub(crate) fn of(name: &str, mut child: Child) -> Self {
        let (sender, lines) = unbounded();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || read_lines(stdout, |line| sender.send(line).is_ok()));
        }
        let errors = child.stderr.take().map(|mut stderr| {
            thread::spawn(move || {
                let mut text = String::new();
                stderr.read_to_string(&mut text).expect("UTF-8 on stderr");
                text
            })
        });
        Self {
            name: name.to_owned(),
            child,
            lines,
            errors,
        }
    }

    #[track_caller]
    fn check(&self, line: &str) {
        if line.starts_with('{') {
            documented::check(&self.name, &object(line));
        }
    }

    /// Returns the next line of standard output, which must arrive while the example runs.
    #[track_caller]
    pub(crate) fn line(&self) -> String {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => {
                self.check(&line);
                line
            }
            Err(error) => panic!("no further line: {error}"),
        }
    }

    /// Skips to the first line that contains this text.
    #[track_caller]
    pub(crate) fn line_with(&self, text: &str) -> String {
        loop {
            let line = self.line();
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Reads objects, checks each, and returns the first that is wanted.
    #[track_caller]
    pub(crate) fn object(&self, check: fn(&Value), wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.line();
            let object = object(&line);
            check(&object);
            if wanted(&object) {
                return object;
            }
        }
    }

    /// Sends the signal of Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let status = Command::new("sh")
            .args(["-c", r#"kill -s INT "$0""#])
            .arg(self.child.id().to_string())
            .status()
            .expect("a shell to send a signal");
        assert!(status.success(), "{status}");
    }

    /// Waits for the exit and returns the unread output.
    #[track_caller]
    pub(crate) fn finish(mut self) -> Ended {
        let end = Instant::now() + DEADLINE;
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_deadline(end) {
                Ok(line) => {
                    self.check(&line);
                    lines.push(line);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {lines:#?}"),
            }
        }
        // The output is closed: only the exit is left.
        let status = self.child.wait().expect("the end of the example");
        let errors = self.errors.take().map(JoinHandle::join);
        let errors = errors.map(|errors| errors.expect("what it said on stderr"));
        Ended {
            status,
            lines,
            errors: errors.unwrap_or_default(),
        }
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // The process may have exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn assert_status(&self, status: i32) -> &Self {
        assert_eq!(self.status.code(), Some(status), "{self:#?}");
        self
    }

    /// Asserts success without output on standard error.
    #[track_caller]
    pub(crate) fn assert_success(&self) -> &Self {
        assert_eq!(self.errors, "", "{self:#?}");
        self.assert_status(0)
    }

    /// Asserts a failure with this status, and with one line on standard error that contains this
    /// text.
    #[track_caller]
    pub(crate) fn assert_failure(&self, status: i32, text: &str) -> &Self {
        self.assert_status(status);
        let one_line = self.errors.ends_with('\n') && self.errors.lines().count() == 1;
        assert!(one_line && self.errors.starts_with("error: "), "{self:#?}");
        let control = |char: char| char.is_control() && char != '\n';
        assert!(!self.errors.contains(control), "{self:#?}");
        assert!(self.errors.contains(text), "{text:?} is not in {self:#?}");
        self
    }
}

/// Parses a line as an object.
#[track_caller]
pub(crate) fn object(line: &str) -> Value {
    match serde_json::from_str(line) {
        Ok(object @ Value::Object(_)) => object,
        other => panic!("{line:?} is no JSON object: {other:?}"),
    }
}

/// Returns a field that must be an integer.
#[track_caller]
pub(crate) fn integer(object: &Value, field: &str) -> i64 {
    let value = object[field].as_i64();
    value.unwrap_or_else(|| panic!("{field} is no integer in {object}"))
}

/// Returns a field that must be a number.
#[track_caller]
pub(crate) fn number(object: &Value, field: &str) -> f64 {
    let value = object[field].as_f64();
    value.unwrap_or_else(|| panic!("{field} is no number in {object}"))
}

/// Returns a field that must be a text.
#[track_caller]
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    let value = object[field].as_str();
    value.unwrap_or_else(|| panic!("{field} is no text in {object}"))
}

fn read_lines(stdout: ChildStdout, mut give: impl FnMut(String) -> bool) {
    for line in BufReader::new(stdout).lines() {
        if !give(line.expect("UTF-8 on stdout")) {
            return;
        }
    }
}
