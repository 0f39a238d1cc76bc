//! Downloads and verifies the headers of a node's chain.

use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bsv_p2p::wire::HeaderChain;
use bsv_p2p::{Connection, Network};
use clap::Parser;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde_json::json;

#[path = "../shared/dial.rs"]
mod dial;
#[path = "../shared/folder.rs"]
mod folder;
#[path = "../shared/node.rs"]
mod node;
#[path = "../shared/plural.rs"]
mod plural;
#[path = "../shared/mod.rs"]
mod shared;
#[path = "../shared/user_agent.rs"]
mod user_agent;

mod download;
mod files;

use dial::Dial;
use download::Download;
use files::{ChainFile, OutputFile};
use node::NamedNode;

/// Download all headers of a Bitcoin SV node's chain and verify the rules of the network.
///
/// Verifies linkage, proof of work, difficulty, times, versions, checkpoints and the minimum work
/// of the network. Transactions and scripts are not verified. The error of an invalid header
/// contains its hash, its height and the violated rule.
#[derive(Parser)]
#[command(name = "headers", version)]
struct Arguments {
    #[command(flatten)]
    node: NamedNode,
    /// Continue from the headers in this file and append the new ones. Created if missing
    #[arg(long, value_name = "FILE")]
    headers: Option<PathBuf>,
    /// Write the headers to this file: 80 bytes each, starting with the genesis block
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Maximum duration of the download, in seconds
    #[arg(long, value_name = "S", default_value = "3600", value_parser = clap::value_parser!(u64).range(1..=YEAR))]
    timeout: u64,
    #[command(flatten)]
    dial: Dial,
}

/// Maximum of `--timeout`, in seconds.
const YEAR: u64 = 365 * 24 * 3600;

fn main() -> ExitCode {
    shared::run(headers)
}

fn headers(arguments: Arguments) -> Result<(), shared::Failure> {
    let common = &arguments.dial.common;
    let network = common.network_or(Network::Mainnet);
    let (mut file, mut chain) = match &arguments.headers {
        Some(path) => {
            let (file, chain) = ChainFile::open(path, &network)?;
            (Some(file), chain)
        }
        None => (None, HeaderChain::new(&network)),
    };
    // Opened before the download, so that an unwritable path fails at once.
    let out = match (arguments.out, &file) {
        (Some(out), Some(file)) if fs::canonicalize(&out).is_ok_and(|out| out == file.path()) => {
            let error = format!("--out and --headers name one file: {}", out.display());
            return Err(shared::WrongUsage(error).into());
        }
        (out, _) => out.map(OutputFile::open).transpose()?,
    };
    let config = arguments.dial.connection_config(network);
    let mut node = Connection::connect(arguments.node.name()?, &config)?;
    let progress = progress(node.peer_info().start_height)?;
    let timeout = Duration::from_secs(arguments.timeout);
    let mut download = Download::new(&mut node, &mut chain, timeout);
    let downloaded = loop {
        let is_complete = download.step();
        if let Some(file) = &mut file {
            file.update(download.chain())?;
        }
        if is_complete? {
            break download.downloaded();
        }
        let height = u64::from(download.chain().tip().0);
        // The height in `version` is a claim, and the chain grows.
        progress.set_length(progress.length().unwrap_or_default().max(height));
        progress.set_position(height);
    };
    drop(progress);
    if let Some(file) = &mut file {
        file.sync()?;
    }
    check_work(&chain)?;
    if let Some(out) = out {
        out.write(&chain)?;
    }
    let (height, tip) = chain.tip();
    if common.json {
        let fields = json!({
            "peer": node.peer_addr().to_string(),
            "height": height,
            "tip": tip.to_string(),
            "work": chain.total_work().to_string(),
            "loaded": file.map(|file| file.loaded()),
            "downloaded": downloaded,
        });
        shared::say_json("Summary", &fields)?;
    } else {
        shared::say(format_args!("height {height}"))?;
        shared::say(format_args!("tip {tip}"))?;
    }
    Ok(())
}

/// Returns an error if the chain has less than the minimum work of its network.
fn check_work(chain: &HeaderChain) -> Result<(), String> {
    if chain.has_minimum_work() {
        return Ok(());
    }
    let (network, (height, _)) = (chain.network(), chain.tip());
    let (work, minimum) = (chain.total_work(), chain.rules().minimum_work());
    Err(format!(
        "chain of height {height} has work {work}, expected at least {minimum} on {network}"
    ))
}

/// Returns a progress bar on standard error, hidden unless that is a terminal. Dropping it clears
/// the line.
fn progress(claimed_height: i32) -> Result<ProgressBar, shared::Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = "{bar:40} {human_pos} of {human_len} headers, {eta} left";
    Ok(ProgressBar::new(claimed_height.max(0) as u64)
        .with_style(ProgressStyle::with_template(style)?)
        .with_finish(ProgressFinish::AndClear))
}
