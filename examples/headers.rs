//! Downloads and checks all headers of a node's chain.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use bsv_p2p::wire::{BlockHash, BlockHeader, MAX_HEADERS};
use bsv_p2p::{Connection, ConnectionConfig, Network};
use clap::Parser;
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
    let mut file = arguments.out.map(HeaderFile::create).transpose()?;
    let genesis = BlockHeader::genesis(network);
    let (mut height, mut tip) = (0_u32, genesis.hash());
    if let Some(file) = &mut file {
        file.write(&genesis)?;
    }
    loop {
        let headers = node
            .headers(&[tip, genesis.hash()], BlockHash::ZERO, TIMEOUT)
            .map_err(explain)?;
        for header in &headers {
            if header.previous != tip {
                let previous = header.previous;
                let next = height + 1;
                return Err(format!("header {next} follows {previous}, not {tip}").into());
            }
            header
                .check_proof_of_work(network)
                .map_err(|error| format!("header {}: {error}", height + 1))?;
            (height, tip) = (height + 1, header.hash());
            if let Some(file) = &mut file {
                file.write(header)?;
            }
        }
        // A node that has more sends as many as a message may have.
        if headers.len() < MAX_HEADERS {
            break;
        }
    }
    if let Some(file) = file {
        file.finish()?;
    }
    if arguments.json {
        shared::say_json(&json!({ "height": height, "tip": tip.to_string() }))?;
    } else {
        shared::say(format_args!("height {height}"))?;
        shared::say(format_args!("tip {tip}"))?;
    }
    Ok(())
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

    fn write(&mut self, header: &BlockHeader) -> Result<(), String> {
        let written = self.file.write_all(&header.to_bytes());
        written.map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn finish(mut self) -> Result<(), String> {
        let written = self.file.flush();
        written.map_err(|error| format!("{}: {error}", self.path.display()))
    }
}
