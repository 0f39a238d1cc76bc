//! Command-line tool that downloads a block of any size into a file.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use bsv_p2p::wire::BlockHash;
use clap::Parser;
use serde_json::json;

#[path = "../shared/addresses.rs"]
mod addresses;
#[path = "../shared/dial.rs"]
mod dial;
#[path = "../shared/folder.rs"]
mod folder;
#[path = "../shared/lasting.rs"]
mod lasting;
#[path = "../shared/milliseconds.rs"]
mod milliseconds;
#[path = "../shared/plural.rs"]
mod plural;
#[path = "../shared/reach.rs"]
mod reach;
#[path = "../shared/seeds.rs"]
mod seeds;
#[path = "../shared/mod.rs"]
mod shared;
#[path = "../shared/user_agent.rs"]
mod user_agent;

mod download;
mod progress;
mod target;

use download::{Download, Downloaded, NotDownloaded};
use lasting::interrupts;
use milliseconds::milliseconds;
use plural::plural;
use reach::Reach;
use target::Target;

/// Download a block from Bitcoin SV peers into a file.
///
/// Peers are tried one after the other until one delivers the complete block. The transactions must
/// match the merkle root of the header. The file is created only after this verification. Memory
/// usage does not depend on the size of the block.
#[derive(Parser)]
#[command(name = "block", version)]
struct Arguments {
    /// The hash of the block in hexadecimal, as block explorers print it
    #[arg(value_name = "HASH")]
    hash: BlockHash,
    /// The file to write, in the encoding of the wire: the header, then the transactions
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    reach: Reach,
}

fn main() -> ExitCode {
    shared::run(block)
}

fn block(arguments: Arguments) -> Result<(), shared::Failure> {
    let Arguments { hash, out, reach } = arguments;
    let (begin, end) = (Instant::now(), reach.end());
    let found = addresses::find(&reach, end)?;
    // Created before the download, so that a path without write permission fails early.
    let mut target = Target::create(&out)?;
    let report = Report { json: reach.json() };
    for (name, reason) in &found.failed {
        report.peer_failed(name, reason)?;
    }
    let mut config = reach.connection_config();
    // Addresses from seeds may have any port. `find` has checked the ports of `--peer`.
    config.allow_any_port = true;
    let download = Download {
        hash,
        config,
        end,
        interrupted: interrupts()?,
    };
    let mut reasons = Vec::new();
    for address in found.addresses {
        match download.from(address, &mut target) {
            Ok(block) => {
                target.keep()?;
                return report.block(hash, &address.to_string(), &block, begin);
            }
            Err(NotDownloaded::Peer(reason)) => {
                report.peer_failed(&address.to_string(), &reason)?;
                reasons.push(reason);
            }
            Err(NotDownloaded::TimeOver) => {
                let after = reach.timeout;
                return Err(format!("download of block {hash} timed out after {after:?}").into());
            }
            Err(NotDownloaded::Here(failure)) => return Err(failure),
        }
    }
    let (peers, last) = (plural(reasons.len(), "peer"), reasons.last());
    let last = last.map_or("", String::as_str);
    Err(format!("block {hash} not received from {peers}; last failure: {last}").into())
}

/// Prints the results, as text or as JSON.
struct Report {
    json: bool,
}

impl Report {
    /// Reports that a peer or a name failed.
    fn peer_failed(&self, peer: &str, reason: &str) -> std::io::Result<()> {
        // Some reasons begin with the name of the peer, which is printed anyway.
        let reason = reason.strip_prefix(&format!("{peer}: ")).unwrap_or(reason);
        if self.json {
            let fields = json!({ "peer": peer, "reason": reason });
            return shared::say_json("PeerFailed", &fields);
        }
        shared::say(format_args!("{peer}: {reason}"))
    }

    /// Reports the downloaded block. `begin` is the start of the run.
    fn block(
        &self,
        hash: BlockHash,
        peer: &str,
        block: &Downloaded,
        begin: Instant,
    ) -> Result<(), shared::Failure> {
        let time = begin.elapsed();
        if self.json {
            let fields = json!({
                "hash": hash.to_string(),
                "size_bytes": block.bytes,
                "transactions": block.transactions,
                "peer": peer,
                "duration_ms": milliseconds(time),
            });
            shared::say_json("Block", &fields)?;
            return Ok(());
        }
        shared::say(format_args!("block {hash}"))?;
        shared::say(format_args!("size {} bytes", block.bytes))?;
        shared::say(format_args!("transactions {}", block.transactions))?;
        shared::say(format_args!("peer {peer}"))?;
        shared::say(format_args!("time {:.3} s", time.as_secs_f64()))?;
        Ok(())
    }
}
