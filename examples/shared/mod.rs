//! Common arguments, output, errors and exit status of the command-line tools.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use env_logger::Env;

mod common;
mod json;

pub(crate) use common::Common;
pub(crate) use json::say_json;

/// The error of a tool, printed as one line on standard error. The exit status is 1, or 2 for
/// [`WrongUsage`].
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// An error in the arguments. The exit status is 2.
#[derive(Debug)]
pub(crate) struct WrongUsage(pub(crate) String);

impl Display for WrongUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for WrongUsage {}

/// Parses the arguments, runs a tool and returns its exit status. Prints an error with its sources
/// as one line on standard error.
///
/// Log records are printed only if `RUST_LOG` selects them: the tools report errors themselves.
pub(crate) fn run<A: Parser>(tool: impl FnOnce(A) -> Result<(), Failure>) -> ExitCode {
    env_logger::Builder::from_env(Env::default().default_filter_or("off")).init();
    let result = match A::try_parse() {
        Ok(arguments) => tool(arguments),
        // Requested help is no failure, so it is printed on standard output.
        Err(help) if !help.use_stderr() => say(help.to_string().trim_end()).map_err(Into::into),
        Err(error) => {
            // The first paragraph contains the error. Usage and advice follow.
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
            let text = with_sources(error.as_ref());
            // Tools that dial set this field of the configuration by an option.
            let text = text.replace("set allow_any_port", "use --force-port");
            let words: Vec<_> = text.split_whitespace().collect();
            // Standard error may be closed.
            let _ = writeln!(io::stderr(), "error: {}", words.join(" "));
            let wrong_usage = error.is::<WrongUsage>();
            ExitCode::from(if wrong_usage { 2 } else { 1 })
        }
    }
}

/// Returns the text of an error and its sources, separated by `: `.
pub(crate) fn with_sources(error: &dyn Error) -> String {
    let errors = std::iter::successors(Some(error), |&error| error.source());
    let texts: Vec<String> = errors.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Returns whether the reader of the output has closed it, as `head` does. The tool then succeeds.
fn is_closed_pipe(error: &Failure) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints a line on standard output and flushes it.
pub(crate) fn say(line: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
