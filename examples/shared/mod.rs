//! What the command-line tools have in common: arguments, output, errors, exit status.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use bsv_p2p::Network;
use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
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

/// Reads `--network`.
pub(crate) fn network() -> impl TypedValueParser<Value = Network> {
    let names = Network::ALL.map(|network| network.name());
    PossibleValuesParser::new(names).try_map(|name| name.parse::<Network>())
}

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
