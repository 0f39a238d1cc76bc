//! Downloads and checks all headers of a node's chain.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bsv_p2p::wire::{
    BlockHash, BlockHeader, ExtendOutcome, HeaderChain, HeaderChainError, MAX_HEADERS,
};
use bsv_p2p::{Connection, ConnectionConfig, Network};
use clap::Parser;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use serde_json::json;

mod shared;

/// Download all headers of a Bitcoin SV node's chain, and check that they are linked and that each has its proof of work.
#[derive(Parser)]
#[command(name = "headers")]
struct Arguments {
    /// The node: HOST:PORT, or HOST for the network's own port
    #[arg(value_name = "HOST:PORT")]
    node: String,
    /// Where to write the headers: 80 bytes each, the genesis block's first
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The node's network: mainnet, testnet, stn or regtest
    #[arg(long, default_value = "mainnet", value_parser = shared::network())]
    network: Network,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    shared::run(headers)
}

fn headers(arguments: Arguments) -> Result<(), shared::Failure> {
    let network = arguments.network;
    let mut node = Connection::connect(&arguments.node, &ConnectionConfig::new(network))?;
    // A file that cannot be written shall not be found out after the download.
    let file = arguments.out.map(HeaderFile::create).transpose()?;
    let mut chain = HeaderChain::new(network);
    let progress = progress(node.peer().start_height)?;
    loop {
        let headers = node
            .headers(&chain.locator(), BlockHash::ZERO, TIMEOUT)
            .map_err(explain)?;
        let extended = chain
            .extend(&headers, u32::MAX)
            .map_err(|error| name_height(&chain, &headers, error))?;
        let height = u64::from(chain.tip().0);
        // What a peer says of its height may be wrong, and grows.
        progress.set_length(progress.length().unwrap_or_default().max(height));
        progress.set_position(height);
        // A node that has more sends as many as a message may have.
        if headers.len() < MAX_HEADERS {
            break;
        }
        if extended == ExtendOutcome::Known {
            let again = headers.len();
            return Err(format!("the node sends {again} headers that it has sent before").into());
        }
    }
    drop(progress);
    if let Some(file) = file {
        file.write(&chain)?;
    }
    let (height, tip) = chain.tip();
    if arguments.json {
        shared::say_json(&json!({ "height": height, "tip": tip.to_string() }))?;
    } else {
        shared::say(format_args!("height {height}"))?;
        shared::say(format_args!("tip {tip}"))?;
    }
    Ok(())
}

/// Shows on standard error how far it has come, if a person may be looking; gone when it is dropped.
fn progress(peers_height: i32) -> Result<ProgressBar, shared::Failure> {
    if !std::io::stderr().is_terminal() {
        return Ok(ProgressBar::hidden());
    }
    let style = "{bar:40} {human_pos} of {human_len} headers, {eta} left";
    Ok(ProgressBar::new(peers_height.max(0) as u64)
        .with_style(ProgressStyle::with_template(style)?)
        .with_finish(ProgressFinish::AndClear))
}

/// Says at which height a header is wrong, where the chain knows no more than its place in the message.
fn name_height(chain: &HeaderChain, headers: &[BlockHeader], error: HeaderChainError) -> String {
    let parent = headers.first().map(|first| first.previous);
    let known = parent.and_then(|parent| chain.height_of(&parent));
    let height = |position: usize| known.map_or(position, |known| known as usize + 1 + position);
    match error {
        HeaderChainError::NotLinked {
            position,
            expected,
            got,
        } => format!("header {} follows {got}, not {expected}", height(position)),
        HeaderChainError::ProofOfWork { position, error } => {
            format!("header {}: {error}", height(position))
        }
        error => error.to_string(),
    }
}

/// Silence has a reason that is worth knowing.
fn explain(error: bsv_p2p::Error) -> shared::Failure {
    match error {
        bsv_p2p::Error::TimedOut { .. } => {
            format!("{error}: a node says nothing while it downloads the chain itself").into()
        }
        error => error.into(),
    }
}

/// Where the headers go. Errors name the file.
struct HeaderFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl HeaderFile {
    fn create(path: PathBuf) -> Result<Self, String> {
        match File::create(&path) {
            Ok(file) => Ok(Self {
                path,
                file: BufWriter::new(file),
            }),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    fn write(mut self, chain: &HeaderChain) -> Result<(), String> {
        let mut headers = (0..=chain.tip().0).filter_map(|height| chain.header_at(height));
        headers
            .try_for_each(|header| self.file.write_all(&header.to_bytes()))
            .and_then(|()| self.file.flush())
            .map_err(|error| format!("{}: {error}", self.path.display()))
    }
}
