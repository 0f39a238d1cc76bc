//! Hands a transaction to the network, and tells what peers make of it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bsv_p2p::connection::SubscriptionOptions;
use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::wire::{Command, Inv, Inventory, Tx};
use clap::Parser;
use crossbeam_channel::{Receiver, select};

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

mod offer;
mod raw;
mod report;

use lasting::{interrupts, over};
use meeting::Meeting;
use offer::Offer;
use reach::Reach;
use report::Report;

/// Hand a transaction to peers of a Bitcoin SV network, and tell which of them ask for it, reject it, and pass it on.
///
/// It is announced to every second peer, the first included; the others are watched for whether the network tells them. It ends when
/// whoever is connected has said something, or nothing new has been heard for ten seconds after somebody has asked, or when the time is over.
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

/// What peers say that has to do with transactions.
const ANSWERS: [Command; 3] = [
    Command::new("getdata"),
    Command::new("inv"),
    Command::new("reject"),
];
/// How long a rejection may take, when everybody else has spoken.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long those may take that have not spoken yet, after somebody has: nodes pass transactions on every few seconds.
const QUIET: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    shared::run(broadcast)
}

fn broadcast(arguments: Arguments) -> Result<(), shared::Failure> {
    let reach = &arguments.reach;
    let end = reach.end();
    let transaction = raw::read(&arguments.transaction)?;
    let meeting = Meeting::new(reach, end)?;
    let interrupted = interrupts()?;
    let events = meeting
        .manager
        .subscribe_with(SubscriptionOptions::default().only(ANSWERS));
    let report = Report { json: reach.json };
    let mut offer = Offer::new(transaction.txid(), meeting.expected());
    report.begin(offer.txid())?;
    meeting.start()?;
    let until = Until { end, interrupted };
    hand_out(
        &meeting,
        &transaction,
        &events,
        &until,
        (&mut offer, &report),
    )?;
    report.end(&offer)?;
    if offer.is_unheard() {
        return Err(meeting.nobody().into());
    }
    meeting.manager.shutdown()?;
    let (asked, rejected, txid) = (offer.asked(), offer.rejected(), offer.txid());
    if asked == 0 {
        let after = reach.timeout;
        return Err(format!("nobody has asked for transaction {txid} within {after:?}").into());
    }
    if asked == rejected {
        return Err(format!("whoever has asked for transaction {txid} has rejected it").into());
    }
    Ok(())
}

/// What ends it at the latest.
struct Until {
    end: Instant,
    interrupted: Receiver<()>,
}

/// Announces the transaction, sends it to those who ask, and notes what they say.
fn hand_out(
    meeting: &Meeting,
    transaction: &Tx,
    events: &Receiver<Event>,
    until: &Until,
    (offer, report): (&mut Offer, &Report),
) -> Result<(), shared::Failure> {
    let manager = &meeting.manager;
    let announcement = Inv::from(vec![Inventory::Tx(offer.txid())]).into();
    let time_over = over(Some(until.end.saturating_duration_since(Instant::now())));
    loop {
        let quiet = match (offer.asked(), offer.all_have_spoken()) {
            (0, _) => None,
            (_, true) => Some(LAST_WORD),
            (_, false) => Some(QUIET),
        };
        let quiet = quiet.map(|quiet| quiet.saturating_sub(offer.silent_for()));
        let news = select! {
            recv(events) -> event => match event? {
                Event::Control(ControlEvent::HandshakeComplete { peer_id, address, .. }) => {
                    let told = offer.on_connected(peer_id, address);
                    if told.is_some() {
                        log_failure(manager.send(peer_id, &announcement, Duration::ZERO));
                    }
                    told
                }
                Event::Control(event) => {
                    offer.on_control(&event);
                    None
                }
                Event::Message(event) => {
                    let news = offer.on_message(event.peer_id, &event.message);
                    if matches!(news, Some(offer::News::Asked { .. })) {
                        let message = transaction.clone().into();
                        log_failure(manager.send(event.peer_id, &message, Duration::ZERO));
                    }
                    news
                }
            },
            recv(over(quiet)) -> _ => return Ok(()),
            recv(time_over) -> _ => return Ok(()),
            recv(until.interrupted) -> _ => return Ok(()),
        };
        if let Some(news) = news {
            report.news(&news)?;
        }
    }
}

/// A peer that is gone by then says nothing more: that is what counts.
fn log_failure(sent: Result<(), bsv_p2p::Error>) {
    if let Err(error) = sent {
        log::warn!("{error}");
    }
}
