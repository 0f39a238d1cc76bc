//! Command-line tool that crawls a network and summarizes its nodes.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::ConnectionConfig;
use clap::Parser;
use crossbeam_channel::{Receiver, bounded, select};
use indicatif::ProgressBar;
use serde_json::json;

#[path = "../shared/addresses.rs"]
mod addresses;
#[path = "../shared/date.rs"]
mod date;
#[path = "../shared/dial.rs"]
mod dial;
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
#[path = "../shared/spinner.rs"]
mod spinner;
#[path = "../shared/user_agent.rs"]
mod user_agent;

mod census;
mod crawler;
mod frontier;
mod histogram;
mod picture;
mod report;
mod run_info;
mod table;
mod visit;

use census::Census;
use crawler::Crawler;
use frontier::Frontier;
use lasting::{interrupts, over, seconds};
use milliseconds::milliseconds;
use picture::Picture;
use plural::plural;
use reach::Reach;
use report::Report;
use run_info::{EndReason, RunInfo};
use visit::{Visit, VisitOptions};

/// Crawl a Bitcoin SV network from node to node and summarize its nodes.
///
/// Each node is asked for addresses, and each address is dialed once. Nodes answer after half a
/// minute on average, and some after two minutes, so --timeout should be longer than its default.
/// The results so far are printed when the time is over or after Ctrl-C.
///
/// Advertised addresses are dialed only if they belong to the public internet. On networks that
/// allow private addresses, such as regtest, private and loopback addresses are dialed as well.
#[derive(Parser)]
#[command(name = "crawl", version)]
struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// The maximum number of nodes to reach
    #[arg(long, value_name = "N", default_value = "1000")]
    max_nodes: NonZeroUsize,
    /// The number of nodes to visit at the same time, one thread each: 1 to 256
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
    /// The maximum time to wait for the addresses of a node, in seconds
    #[arg(long, value_name = "S", default_value = "60", value_parser = seconds)]
    patience: Duration,
    /// The pause of each thread between two nodes, in seconds
    #[arg(long, value_name = "S", default_value = "0.1", value_parser = seconds)]
    pause: Duration,
    /// The report to write: an HTML page or an SVG image, depending on the extension
    #[arg(long, value_name = "FILE.html|FILE.svg", value_parser = picture::parse_target)]
    out: Option<picture::Target>,
}

fn main() -> ExitCode {
    shared::run(crawl)
}

fn crawl(arguments: Arguments) -> Result<(), shared::Failure> {
    let reach = &arguments.reach;
    let end = reach.end();
    let mut run = RunInfo::start(&arguments, &reach.seed_names()?);
    let progress = spinner::spinner()?;
    progress.set_message("resolving the names of peers and seeds");
    let found = addresses::find(reach, end)?;
    // Created before the crawl, so that a path without write permission fails early.
    let picture = arguments.out.clone().map(Picture::create).transpose()?;
    for (name, reason) in &found.failed {
        progress.suspend(|| not_reached(name, reason, reach.json()))?;
    }
    let interrupted = interrupts()?;
    let frontier = Frontier::new(
        arguments.max_nodes.get(),
        reach.network().params().allow_private,
        found.addresses,
    );
    let options = VisitOptions {
        // Advertised addresses may have any port. `find` has checked the ports of `--peer`.
        config: ConnectionConfig {
            allow_any_port: true,
            ..reach.connection_config()
        },
        patience: arguments.patience,
        end,
    };
    let crawler = Crawler::new(options, arguments.pause, frontier);
    let mut census = Census::default();
    // The scope joins all threads of the crawler.
    let reason = thread::scope(|scope| {
        let (sender, visits) = bounded(usize::from(arguments.parallel));
        let started = crawler.start(scope, arguments.parallel.into(), &sender);
        drop(sender);
        let recorded = started.map_err(Into::into).and_then(|()| {
            let channels = (&visits, &interrupted);
            record(channels, &crawler, &mut census, &progress, reach.json())
        });
        crawler.stop();
        recorded
    })?;
    // Clears the line of the progress display.
    drop(progress);
    run.finish(reason);

    let known = crawler.known();
    let report = Report::new(&census, known, &run);
    if reach.json() {
        shared::say_json("Summary", &census.object(known, run.duration()))?;
    } else {
        table::print(&report, &census, known)?;
    }
    if let Some(picture) = picture {
        picture.write(&report)?;
    }
    if census.reached == 0 {
        return Err("no node was reached".into());
    }
    Ok(())
}

/// Records the visits of all threads, and blocks until the threads have ended.
///
/// Stops the crawler if the time is over or the user interrupts it.
fn record(
    (visits, interrupted): (&Receiver<Visit>, &Receiver<()>),
    crawler: &Crawler,
    census: &mut Census,
    progress: &ProgressBar,
    json: bool,
) -> Result<EndReason, shared::Failure> {
    let end = crawler.options.end;
    let time_over = over(Some(end.saturating_duration_since(Instant::now())));
    let mut stopped = None;
    loop {
        progress.set_message(progress_text(census, crawler.known()));
        select! {
            recv(visits) -> visit => match visit {
                Ok(visit) => {
                    census.record(&visit);
                    if json {
                        progress.suspend(|| print_visit(&visit))?;
                    }
                }
                Err(_) => break,
            },
            recv(time_over) -> _ => {
                stopped = stopped.or(Some(EndReason::Timeout));
                crawler.stop();
            }
            recv(interrupted) -> _ => {
                stopped = stopped.or(Some(EndReason::Interrupted));
                crawler.stop();
            }
        }
    }
    Ok(match stopped {
        Some(reason) => reason,
        None if crawler.is_full() => EndReason::MaxNodes,
        // The threads may notice the end of the time first.
        None if Instant::now() >= end => EndReason::Timeout,
        None => EndReason::AllVisited,
    })
}

/// Returns the line of the progress display.
fn progress_text(census: &Census, known: usize) -> String {
    let (reached, missed) = (census.reached, census.not_reached);
    let (nodes, addresses) = (plural(reached, "node"), plural(known, "address"));
    format!("{nodes} reached, {missed} not reached, {addresses} known")
}

/// Prints a visit as JSON.
fn print_visit(visit: &Visit) -> std::io::Result<()> {
    let peer = visit.address.to_string();
    let node = match &visit.outcome {
        Ok(node) => node,
        Err(reason) => return not_reached(&peer, reason, true),
    };
    let fields = json!({
        "peer": peer,
        "user_agent": node.info.user_agent.to_string(),
        "version": node.info.version,
        "services": node.info.services.0,
        "height": node.info.start_height,
        "rtt_ms": node.round_trip.map(milliseconds),
        "addresses": node.addresses.as_ref().map(Vec::len),
    });
    shared::say_json("Node", &fields)
}

/// Prints why a node or a name was not reached.
fn not_reached(name: &str, reason: &str, json: bool) -> std::io::Result<()> {
    if json {
        shared::say_json("NotReached", &json!({ "peer": name, "reason": reason }))
    } else {
        shared::say(format_args!("{name}: {reason}"))
    }
}
