//! Seed lookups on a separate thread, so that the supervisor does not wait for name servers.

use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{Acquire, Release},
};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never};
use log::Level;

use super::ManagerSupervisor;
use crate::discovery::{self, Deadline, ResolveError, SeedResolver};
use crate::error::{Error, WithSources};
use crate::event::SeedFailure;
use crate::log_record::Component;
use crate::manager::clock::Now;

/// The result of the lookup of one seed.
pub(super) enum SeedNews {
    Answered(Vec<IpAddr>),
    Failed(SeedFailure),
}

/// One lookup of all seeds on its own thread.
pub(super) struct SeedRound {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    pub(super) news: Receiver<SeedNews>,
    asked: usize,
    failures: Vec<SeedFailure>,
}

impl SeedRound {
    fn start(
        seeds: Vec<String>,
        resolver: impl FnOnce() -> Result<Arc<dyn SeedResolver>, ResolveError> + Send + 'static,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let asked = seeds.len();
        let (sender, news) = bounded(asked);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("bsv-p2p seeds".into())
            .stack_size(256 * 1024)
            .spawn(move || ask(seeds, resolver, timeout, &stopped, &sender))
            .map_err(|error| Error::Io {
                operation: "spawning the seed lookup thread".into(),
                error: error.into(),
            })?;
        Ok(Self {
            stop,
            thread,
            news,
            asked,
            failures: Vec::new(),
        })
    }

    /// Cancels the lookup.
    pub(super) fn stop(&self) {
        self.stop.store(true, Release);
    }

    /// Waits for the end of the thread, at most until `deadline`. Returns whether it ended.
    pub(super) fn join_until(self, deadline: Instant) -> bool {
        loop {
            match self.news.recv_deadline(deadline) {
                Ok(_) => {}
                Err(error) if error.is_timeout() => return false,
                Err(_) => {
                    // The thread has dropped its sender, so it is about to end.
                    let _ = self.thread.join();
                    return true;
                }
            }
        }
    }
}

/// Resolves one seed after the other.
fn ask(
    seeds: Vec<String>,
    resolver: impl FnOnce() -> Result<Arc<dyn SeedResolver>, ResolveError>,
    timeout: Duration,
    stop: &Arc<AtomicBool>,
    news: &Sender<SeedNews>,
) {
    let resolver = resolver();
    for seed in seeds {
        if stop.load(Acquire) {
            return;
        }
        let until = Deadline::after(timeout).with_cancel_flag(stop.clone());
        let answer = match &resolver {
            // A resolver of the caller may panic.
            Ok(resolver) => catch_unwind(AssertUnwindSafe(|| resolver.resolve(&seed, &until)))
                .unwrap_or_else(|_| Err(panicked(&seed))),
            Err(error) => Err(error.clone()),
        };
        let answer = match answer {
            Ok(addresses) => SeedNews::Answered(addresses),
            Err(error) => SeedNews::Failed(SeedFailure { seed, error }),
        };
        // The supervisor has dropped the receiver.
        if news.send(answer).is_err() {
            return;
        }
    }
}

fn panicked(seed: &str) -> ResolveError {
    ResolveError::Other {
        name: seed.into(),
        detail: "resolver panicked".into(),
    }
}

impl ManagerSupervisor {
    /// Starts a lookup. If no thread can be spawned, all seeds count as failed.
    pub(super) fn ask_seeds(&mut self, seeds: Vec<String>) {
        let config = self.shared.config();
        let given = self.shared.resolver.read().clone();
        let name_servers = config.discovery.name_servers.clone();
        let names = seeds.clone();
        let resolver = move || match given {
            Some(resolver) => Ok(resolver),
            None => discovery::default_resolver(&name_servers),
        };
        match SeedRound::start(seeds, resolver, config.discovery.timeout) {
            Ok(round) => self.seeds = Some(round),
            Err(error) => {
                let record = self.shared.log_of(Component::Discovery, Level::Error);
                record
                    .error(&error)
                    .write(format_args!("seed lookup failed"));
                let failures = names.into_iter().map(|seed| SeedFailure {
                    error: ResolveError::Other {
                        name: seed.clone(),
                        detail: WithSources(&error).to_string(),
                    },
                    seed,
                });
                let failures: Vec<_> = failures.collect();
                self.plan
                    .on_seeds_asked(failures.len(), failures, Now::read());
            }
        }
    }

    /// Returns the results of the current lookup, or a receiver that is never ready.
    pub(super) fn seed_news(&self) -> Receiver<SeedNews> {
        let round = self.seeds.as_ref();
        round.map_or_else(never, |round| round.news.clone())
    }

    /// Handles the result of one seed, or the end of the lookup (`None`).
    pub(super) fn on_seed_news(&mut self, news: Option<SeedNews>) {
        let Some(round) = &mut self.seeds else {
            return;
        };
        let now = Now::read();
        match news {
            Some(SeedNews::Answered(addresses)) => {
                self.plan.on_seed_answer(&addresses, now);
            }
            Some(SeedNews::Failed(failure)) => {
                let record = self.shared.log_of(Component::Discovery, Level::Warn);
                record.error(&failure.error).write_event(&failure);
                round.failures.push(failure);
            }
            None => {
                if let Some(round) = self.seeds.take() {
                    self.plan.on_seeds_asked(round.asked, round.failures, now);
                    // The thread has dropped its sender, so it is about to end.
                    let _ = round.thread.join();
                }
            }
        }
    }
}
