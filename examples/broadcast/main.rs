//! Hands a transaction to the network, and tells what peers make of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bsv_p2p::manager::{BroadcastReport, TransactionBroadcast};
use clap::Parser;
use crossbeam_channel::{Receiver, select};
use uuid::Uuid;

#[path = "../shared/lasting.rs"]
mod lasting;
#[path = "../shared/meeting.rs"]
mod meeting;
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

/// Hand a transaction to peers of a Bitcoin SV network, and tell which of them ask for it, reject it, and pass it on.
///
/// It is announced to half of the peers, and five seconds later to the others that have not shown by then that the network has told them. It
/// ends when all have said something, or nothing new has been heard for ten seconds after somebody has, or when the time is over.
///
/// It fails if nobody asks for the transaction, or whoever asks rejects it. A peer that has it already does not ask.
#[derive(Parser)]
#[command(name = "broadcast")]
struct Arguments {
    /// The transaction in hexadecimal; - for standard input
    #[arg(value_name = "RAWTX")]
    transaction: String,
    #[command(flatten)]
    reach: Reach,
}

/// How long peers are waited for, once there is one, before the transaction is announced: only half of those who are there are told first.
const GATHER: Duration = Duration::from_secs(5);
/// How long a rejection may take, when everybody has spoken.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long those may take that have not spoken yet, after somebody has: nodes pass transactions on every few seconds.
const QUIET: Duration = Duration::from_secs(10);
/// From one look at what is new to the next.
const LOOK: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    shared::run(broadcast)
}

fn broadcast(arguments: Arguments) -> Result<(), shared::Failure> {
    let reach = &arguments.reach;
    let end = reach.end();
    let transaction = raw::read(&arguments.transaction)?;
    let meeting = Meeting::new(reach, end)?;
    let report = Report { json: reach.json };
    let txid = transaction.txid();
    report.begin(txid)?;
    let patience = Patience {
        end,
        interrupted: interrupts()?,
    };
    let mut watch = Watch::new(meeting.manager.subscribe_control());
    meeting.start()?;
    if !gather(&meeting, &patience) {
        return Err(meeting.nobody().into());
    }
    let handed_out = meeting.manager.broadcast_transaction(transaction)?;
    let made_of_it = look_on(&meeting, &handed_out, &mut watch, &report, &patience)?;
    report.end(&made_of_it, &watch)?;
    meeting.manager.shutdown()?;
    let rejects = |peer: &Uuid| {
        made_of_it
            .rejected_by
            .iter()
            .any(|one| one.peer_id == *peer)
    };
    if made_of_it.asked_by.is_empty() {
        let after = reach.timeout;
        return Err(format!("nobody has asked for transaction {txid} within {after:?}").into());
    }
    if made_of_it.asked_by.iter().all(rejects) {
        return Err(format!("whoever has asked for transaction {txid} has rejected it").into());
    }
    Ok(())
}

/// What ends it at the latest.
struct Patience {
    end: Instant,
    interrupted: Receiver<()>,
}

impl Patience {
    /// Waits a moment. Returns whether there is time for another one.
    fn wait(&self) -> bool {
        let left = self.end.saturating_duration_since(Instant::now());
        select! {
            recv(self.interrupted) -> _ => false,
            recv(over(Some(left.min(LOOK)))) -> _ => Instant::now() < self.end,
        }
    }
}

/// Waits for peers: for all that are expected, or some seconds after the first. Returns whether there is one.
fn gather(meeting: &Meeting, patience: &Patience) -> bool {
    let mut first = None;
    loop {
        let connected = meeting.manager.connected();
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

/// Tells what peers make of the transaction, until there is nothing more to come. Returns all of it.
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
        let spoken = made_of_it.asked_by.len() + made_of_it.echoed_by.len();
        let connected = meeting.manager.connected();
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
