//! The argument for the user agent.

use bsv_p2p::session::{SessionConfig, USER_AGENT};
use clap::Args;

// A doc comment would replace the description of each tool in its help.
#[derive(Args)]
pub(crate) struct OwnUserAgent {
    /// The user agent to send. Agents that nodes ban or reject are invalid
    #[arg(long, value_name = "AGENT", default_value = USER_AGENT, value_parser = accepted)]
    pub(crate) user_agent: String,
}

/// Parses `--user-agent`.
///
/// # Errors
///
/// - If nodes ban or reject the user agent, or if it is too long.
fn accepted(text: &str) -> Result<String, String> {
    let config = SessionConfig {
        user_agent: text.to_owned(),
        ..SessionConfig::default()
    };
    config.validate().map_err(|error| error.to_string())?;
    Ok(config.user_agent)
}
