//! The threads that visit the nodes.

use std::net::SocketAddr;
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex};

use crate::frontier::{Frontier, Step};
use crate::visit::{Visit, VisitOptions, visit};

/// The state of a crawl, shared by its threads.
pub(crate) struct Crawler {
    pub(crate) options: VisitOptions,
    /// The pause of a thread between two visits.
    pub(crate) pause: Duration,
    frontier: Mutex<Frontier>,
    /// Notified if the result of [`Frontier::next`] may have changed.
    changed: Condvar,
    /// Whether [`Crawler::stop`] was called.
    stopped: Mutex<bool>,
    /// Notified by [`Crawler::stop`], to end the pauses of the threads.
    woken: Condvar,
}

impl Crawler {
    /// Creates a crawler. [`Crawler::start`] must be called to start its threads.
    pub(crate) fn new(options: VisitOptions, pause: Duration, frontier: Frontier) -> Self {
        Self {
            options,
            pause,
            frontier: Mutex::new(frontier),
            changed: Condvar::new(),
            stopped: Mutex::new(false),
            woken: Condvar::new(),
        }
    }

    /// Starts `threads` threads, which send their results to `visits`.
    ///
    /// Each thread ends when the crawl is over. The channel disconnects after the last thread, if
    /// the caller drops its own sender. Stops the crawl and returns an error if a thread cannot be
    /// spawned.
    pub(crate) fn start<'scope, 'crawl: 'scope>(
        &'crawl self,
        scope: &'scope Scope<'scope, 'crawl>,
        threads: usize,
        visits: &Sender<Visit>,
    ) -> std::io::Result<()> {
        for number in 1..=threads {
            let visits = visits.clone();
            let thread = Builder::new()
                .name(format!("crawl {number}"))
                .spawn_scoped(scope, move || self.run(&visits));
            if let Err(error) = thread {
                self.stop();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends the crawl. A visit in progress ends as soon as its handshake is complete or has failed.
    pub(crate) fn stop(&self) {
        self.frontier.lock().stop();
        self.changed.notify_all();
        *self.stopped.lock() = true;
        self.woken.notify_all();
    }

    /// Returns whether the maximum number of nodes was reached.
    pub(crate) fn is_full(&self) -> bool {
        self.frontier.lock().is_full()
    }

    /// Returns the number of known addresses.
    pub(crate) fn known(&self) -> usize {
        self.frontier.lock().known()
    }

    /// Visits one address after the other until the crawl is over.
    fn run(&self, visits: &Sender<Visit>) {
        while let Some(address) = self.next_address() {
            let needs_addresses = || self.frontier.lock().needs_addresses();
            let visit = visit(address, &self.options, needs_addresses, || {
                *self.stopped.lock()
            });
            let mut frontier = self.frontier.lock();
            frontier.visited(visit.outcome.is_ok());
            if let Ok(node) = &visit.outcome {
                frontier.add(node.addresses.iter().flatten().copied());
            }
            drop(frontier);
            self.changed.notify_all();
            if visits.send(visit).is_err() {
                return; // the receiver was dropped after a failure
            }
            let mut stopped = self.stopped.lock();
            if !*stopped {
                self.woken.wait_for(&mut stopped, self.pause);
            }
        }
    }

    /// Blocks until an address is available. Returns `None` if the crawl is over.
    fn next_address(&self) -> Option<SocketAddr> {
        let mut frontier = self.frontier.lock();
        loop {
            if Instant::now() >= self.options.end {
                return None;
            }
            match frontier.next() {
                Step::Visit(address) => return Some(address),
                Step::Finished => return None,
                Step::Wait => {
                    self.changed.wait_until(&mut frontier, self.options.end);
                }
            }
        }
    }
}
