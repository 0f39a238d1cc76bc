//! Command-line tool that broadcasts a transaction and reports how peers respond.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bsv_p2p::manager::{BroadcastReport, TransactionBroadcast};
use bsv_p2p::peers::PeerRef;
use clap::Parser;
use crossbeam_channel::{Receiver, select};

#[path = "../shared/dial.rs"]
mod dial;
#[path = "../shared/lasting.rs"]
mod lasting;
#[path = "../shared/meeting.rs"]
mod meeting;
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

mod news;
mod raw;
mod report;

use lasting::{interrupts, over};
use meeting::Meeting;
use news::Watch;
use reach::Reach;
use report::Report;

/// Broadcast a transaction to peers of a Bitcoin SV network and report which peers request, reject
/// or relay it.
///
/// The transaction is announced to half of the peers first. The other peers that have not announced
/// it by then follow after 5 seconds. The tool ends if all peers have responded and 2 seconds
/// passed without a new response. It also ends 10 seconds after the last response of any peer, or
/// when the time is over.
///
/// The tool fails if no peer requests the transaction, or if every peer that requested it rejects
/// it. A peer that already has the transaction does not request it.
#[derive(Parser)]
#[command(name = "broadcast", version)]
struct Arguments {
    /// The transaction in hexadecimal, or - for standard input
    #[arg(value_name = "RAWTX")]
    transaction: String,
    #[command(flatten)]
    reach: Reach,
}

/// Maximum time to wait for more peers after the first has connected.
///
/// The first announcement goes to half of the connected peers only, so more peers should be
/// connected by then.
const GATHER: Duration = Duration::from_secs(5);
/// Time to wait for late rejections after all peers have responded.
const LAST_WORD: Duration = Duration::from_secs(2);
/// Time to wait for the missing responses after the last response.
///
/// Nodes relay transactions in intervals of a few seconds.
const QUIET: Duration = Duration::from_secs(10);
/// Interval between two checks for new responses.
const LOOK: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    shared::run(broadcast)
}

fn broadcast(arguments: Arguments) -> Result<(), shared::Failure> {
    let reach = &arguments.reach;
    let end = reach.end();
    let transaction = raw::read(&arguments.transaction)?;
    let meeting = Meeting::new(reach, end)?;
    let report = Report { json: reach.json() };
    let txid = transaction.txid();
    report.begin(txid)?;
    let patience = Patience {
        end,
        interrupted: interrupts()?,
    };
    let mut watch = Watch::new();
    meeting.start()?;
    if !gather(&meeting, &patience) {
        return Err(meeting.nobody().into());
    }
    let handed_out = meeting.manager.broadcast_transaction(transaction)?;
    let made_of_it = look_on(&meeting, &handed_out, &mut watch, &report, &patience)?;
    report.end(&made_of_it)?;
    meeting.manager.shutdown()?;
    let rejects = |peer: &PeerRef| made_of_it.rejected_by.iter().any(|one| one.peer == *peer);
    if made_of_it.requested_by.is_empty() {
        let after = reach.timeout;
        let hint = "peers may already have it";
        let text = format!("transaction {txid} not requested by any peer within {after:?}: {hint}");
        return Err(text.into());
    }
    if made_of_it.requested_by.iter().all(rejects) {
        let text = format!("transaction {txid} rejected by every peer that requested it");
        return Err(text.into());
    }
    Ok(())
}

/// Deadline and interrupt of the run.
struct Patience {
    /// The deadline of the run.
    end: Instant,
    /// Receives a value if the user interrupts the run.
    interrupted: Receiver<()>,
}

impl Patience {
    /// Blocks for at most [`LOOK`].
    ///
    /// Returns whether the run should continue: `false` if it was interrupted or its time is over.
    fn wait(&self) -> bool {
        let left = self.end.saturating_duration_since(Instant::now());
        select! {
            recv(self.interrupted) -> _ => false,
            recv(over(Some(left.min(LOOK)))) -> _ => Instant::now() < self.end,
        }
    }
}

/// Blocks until all expected peers are connected, or until [`GATHER`] after the first.
///
/// Returns whether at least one peer is connected. Ends earlier if the run must end.
fn gather(meeting: &Meeting, patience: &Patience) -> bool {
    let mut first = None;
    loop {
        let connected = meeting.manager.connected_count();
        if connected > 0 {
            let first = *first.get_or_insert_with(Instant::now);
            if connected >= meeting.expected() || first.elapsed() >= GATHER {
                return true;
            }
        }
        if !patience.wait() {
            return connected > 0;
        }
    }
}

/// Prints each new response until no more are expected or the run must end.
///
/// Returns the final state of the broadcast.
fn look_on(
    meeting: &Meeting,
    handed_out: &TransactionBroadcast,
    watch: &mut Watch,
    report: &Report,
    patience: &Patience,
) -> Result<BroadcastReport, shared::Failure> {
    loop {
        let last = !patience.wait();
        let made_of_it = handed_out.report();
        for news in watch.news(&made_of_it) {
            report.news(&news)?;
        }
        let spoken = made_of_it.requested_by.len() + made_of_it.relayed_by.len();
        let connected = meeting.manager.connected_count();
        let quiet = if spoken >= connected.max(meeting.expected()) {
            LAST_WORD
        } else {
            QUIET
        };
        if last || (spoken > 0 && watch.silent_for() >= quiet) {
            return Ok(made_of_it);
        }
    }
}
