//! Follows the chain and prints each new block.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::Error;
use bsv_p2p::connection::{EventReceiver, RecvError};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::manager::TipUpdate;
use bsv_p2p::wire::BlockHash;
use clap::Parser;
use crossbeam_channel::{Receiver, bounded, select};

#[path = "../shared/date.rs"]
mod date;
#[path = "../shared/dial.rs"]
mod dial;
#[path = "../shared/events.rs"]
mod events;
#[path = "../shared/lasting.rs"]
mod lasting;
#[path = "../shared/meeting.rs"]
mod meeting;
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
#[path = "../shared/spinner.rs"]
mod spinner;
#[path = "../shared/user_agent.rs"]
mod user_agent;

mod news;
mod report;

use lasting::{interrupts, over};
use meeting::Meeting;
use news::News;
use plural::plural;
use reach::Reach;
use report::Report;

/// Follow the chain of a Bitcoin SV network and print each new block.
///
/// First downloads the headers of the whole chain and verifies the rules of the network. On
/// networks with a long chain this can exceed the default of --timeout. Increase it, or keep the
/// headers in a file with --headers.
///
/// Then prints each new block once, with its size and its number of transactions, which requires
/// its download. Scripts are not verified. Ends when the time is over or after Ctrl-C.
#[derive(Parser)]
#[command(name = "follow", version)]
struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// End after this number of new blocks. Fail if the time is over before
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    blocks: Option<u64>,
    /// Continue from the headers in this file and keep it up to date. Created if missing
    #[arg(long, value_name = "FILE")]
    headers: Option<PathBuf>,
}

/// Interval at which the progress is shown, and the timeout of each attempt to catch up.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    shared::run(follow)
}

/// Why the tool ended.
enum Ended {
    Interrupted,
    TimeOver,
    Enough,
}

fn follow(arguments: Arguments) -> Result<(), shared::Failure> {
    let reach = &arguments.reach;
    let end = reach.end();
    let mut meeting = Meeting::new(reach, end)?;
    if let Some(path) = &arguments.headers {
        meeting.manager = meeting.manager.with_headers(path)?;
    }
    let interrupted = interrupts()?;
    let manager = &meeting.manager;
    let control = manager.subscribe_control();
    let tips = manager.subscribe_blocks()?; // before the start, so that no update is missed
    meeting.start()?;
    let report = Report { json: reach.json() };
    let times = (reach.timeout, end);
    let Some((height, hash)) = catch_up(&meeting, &control, &report, &interrupted, times)? else {
        return Ok(());
    };
    report.begin(height, hash)?;
    // Updates up to the height of the synced tip are not new.
    let is_new = |tip: &Result<TipUpdate, _>| tip.as_ref().is_ok_and(|tip| tip.height > height);
    let first = tips.try_iter().find(is_new);

    // Fetching a block blocks, so a separate thread does it. The scope joins this thread.
    let mut printed = 0;
    let ended = thread::scope(|scope| {
        let (sender, news) = bounded(16);
        let tips = first.into_iter().chain(tips);
        scope.spawn(move || news::gather(manager, tips, end, &sender));
        let ended = print_news(
            (&news, &control),
            &interrupted,
            end,
            &report,
            (&mut printed, arguments.blocks),
        );
        // Without receiver and manager, the thread ends.
        drop(news);
        manager.shutdown()?;
        ended
    })?;
    match (ended, arguments.blocks) {
        (Ended::TimeOver, Some(wanted)) => {
            let after = reach.timeout;
            Err(format!(
                "{printed} of {} arrived within {after:?}",
                plural(wanted, "block")
            )
            .into())
        }
        _ => Ok(()),
    }
}

/// Blocks until the chain has all headers of the peers, at most until [`SYNC_INTERVAL`] after
/// `end`. Returns the tip, or `None` if the user interrupts it.
///
/// # Errors
///
/// - If the chain is incomplete at `end`. The error contains the whole `timeout`.
/// - If the manager fails, or the output cannot be written.
fn catch_up(
    meeting: &Meeting,
    control: &EventReceiver<ControlEvent>,
    report: &Report,
    interrupted: &Receiver<()>,
    (timeout, end): (Duration, Instant),
) -> Result<Option<(u32, BlockHash)>, shared::Failure> {
    let progress = spinner::spinner()?;
    let mut misbehavior = None;
    loop {
        let result = meeting.manager.sync_headers(SYNC_INTERVAL);
        // The subscription must be read, or it ends.
        for event in control.try_iter() {
            let event = event?;
            if let ControlEvent::PeerMisbehavior { .. } = event {
                misbehavior = Some(format!("; last misbehavior: {event}"));
            }
            report.event(&event)?;
        }
        let is_over = Instant::now() >= end;
        let error = match result {
            Ok(tip) => return Ok(Some(tip)),
            Err(Error::NoPeers) if is_over => Some(meeting.nobody()),
            Err(Error::Timeout { peer, which, .. }) if is_over => {
                let after = timeout;
                Some(shared::with_sources(&Error::Timeout { peer, which, after }))
            }
            Err(Error::NoPeers | Error::Timeout { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        if let Some(error) = error {
            return Err((error + &misbehavior.unwrap_or_default()).into());
        }
        if interrupted.try_recv().is_ok() {
            return Ok(None);
        }
        let height = meeting.manager.with_chain(|chain| chain.tip().0);
        let (peers, all) = (meeting.manager.connected_count(), meeting.expected());
        let height = height.unwrap_or_default();
        progress.set_message(format!(
            "{peers} of {}, height {height}",
            plural(all, "peer")
        ));
    }
}

/// Prints news and events until `wanted` blocks are printed, the time is over, or the user
/// interrupts it. Adds the number of printed blocks to the counter.
fn print_news(
    (news, control): (
        &Receiver<Result<News, RecvError>>,
        &EventReceiver<ControlEvent>,
    ),
    interrupted: &Receiver<()>,
    end: Instant,
    report: &Report,
    (printed, wanted): (&mut u64, Option<u64>),
) -> Result<Ended, shared::Failure> {
    let time_over = over(Some(end.saturating_duration_since(Instant::now())));
    loop {
        select! {
            recv(news) -> new => match new {
                Ok(new) => {
                    let new = new?;
                    *printed += u64::from(matches!(new, News::Block { .. }));
                    report.news(&new)?;
                    if wanted.is_some_and(|wanted| *printed >= wanted) {
                        return Ok(Ended::Enough);
                    }
                }
                Err(_) => return Err("manager was shut down".into()),
            },
            recv(control.as_receiver()) -> event => report.event(&control.with_end_reason(event)?)?,
            recv(time_over) -> _ => return Ok(Ended::TimeOver),
            recv(interrupted) -> _ => return Ok(Ended::Interrupted),
        }
    }
}
