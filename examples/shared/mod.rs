//! What the command-line tools have in common: arguments, output, errors, exit status.

use std::error::Error;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Write};
use std::process::ExitCode;

use bsv_p2p::Network;
use clap::Parser;
use serde::Serialize;

/// How a tool fails: with one line on standard error and exit status 1.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// A value that cannot be used: exit status 2.
#[derive(Debug)]
pub(crate) struct WrongUsage(pub(crate) String);

impl Display for WrongUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for WrongUsage {}

/// Parses `--network`: the name of a network, or the path of a file that defines one.
pub(crate) fn network(text: &str) -> Result<Network, String> {
    let unknown = match text.parse() {
        Ok(network) => return Ok(network),
        Err(unknown) => unknown,
    };
    let file = match File::open(text) {
        Ok(file) => file,
        Err(error) => return Err(format!("{unknown}, or a file ({error})")),
    };
    let mut json = String::new();
    let read = file.take(MAX_NETWORK_FILE).read_to_string(&mut json);
    read.map_err(|error| error.to_string())?;
    serde_json::from_str(&json).map_err(|error| error.to_string())
}

/// The maximum length of a file that defines a network, in bytes. A table with the maximum number
/// of checkpoints is smaller.
const MAX_NETWORK_FILE: u64 = 4 * 1024 * 1024;

/// Runs a tool: reads its arguments, and turns its end into an exit status.
pub(crate) fn run<A: Parser>(tool: impl FnOnce(A) -> Result<(), Failure>) -> ExitCode {
    env_logger::init();
    let result = match A::try_parse() {
        Ok(arguments) => tool(arguments),
        // Help is what was asked for, and goes to standard output.
        Err(asked) if !asked.use_stderr() => say(asked.to_string().trim_end()).map_err(Into::into),
        Err(error) => {
            // What is wrong is in the first paragraph; usage and advice follow.
            let text = error.to_string();
            let wrong = text.split("\n\n").next().unwrap_or_default();
            let wrong = wrong.strip_prefix("error: ").unwrap_or(wrong);
            Err(WrongUsage(format!("{wrong} (see --help)")).into())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.to_string();
            // The option that sets it in the tools that dial.
            let text = text.replace("set allow_any_port", "use --force-port");
            let words: Vec<_> = text.split_whitespace().collect();
            // Nobody may be listening.
            let _ = writeln!(io::stderr(), "error: {}", words.join(" "));
            let wrong_usage = error.is::<WrongUsage>();
            ExitCode::from(if wrong_usage { 2 } else { 1 })
        }
    }
}

/// Who reads our output has had enough: that is no failure.
fn is_closed_pipe(error: &Failure) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints a line, at once.
pub(crate) fn say(line: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Prints an object in one line, at once.
///
/// Texts that peers sent may be in it: what is not plain ASCII is escaped, so that a terminal cannot take it for more
/// than text.
pub(crate) fn say_json(object: &impl Serialize) -> io::Result<()> {
    let mut line = String::new();
    for character in serde_json::to_string(object)?.chars() {
        if matches!(character, ' '..='~') {
            line.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                line += &format!("\\u{unit:04x}");
            }
        }
    }
    say(line)
}
