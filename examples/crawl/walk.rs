//! The threads that visit nodes.

use std::net::SocketAddr;
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use parking_lot::{Condvar, Mutex};

use crate::frontier::{Frontier, Turn};
use crate::node::{Manners, Visit, visit};

/// A walk from node to node, shared by its threads.
pub(crate) struct Walk {
    pub(crate) manners: Manners,
    /// From one connection to the next of a thread.
    pub(crate) pause: Duration,
    frontier: Mutex<Frontier>,
    /// Something may have become different for those who wait for their turn.
    changed: Condvar,
    stopped: Mutex<bool>,
    woken: Condvar,
}

impl Walk {
    pub(crate) fn new(manners: Manners, pause: Duration, frontier: Frontier) -> Self {
        Self {
            manners,
            pause,
            frontier: Mutex::new(frontier),
            changed: Condvar::new(),
            stopped: Mutex::new(false),
            woken: Condvar::new(),
        }
    }

    /// Starts so many threads. Each ends when the walk is over, and `visits` with the last of them.
    pub(crate) fn start<'scope, 'walk: 'scope>(
        &'walk self,
        scope: &'scope Scope<'scope, 'walk>,
        threads: usize,
        visits: &Sender<Visit>,
    ) -> std::io::Result<()> {
        for number in 1..=threads {
            let visits = visits.clone();
            let thread = Builder::new()
                .name(format!("crawl {number}"))
                .spawn_scoped(scope, move || self.work(&visits));
            if let Err(error) = thread {
                self.stop();
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends the walk: a visit that is under way ends with its handshake at the latest.
    pub(crate) fn stop(&self) {
        self.frontier.lock().end();
        self.changed.notify_all();
        *self.stopped.lock() = true;
        self.woken.notify_all();
    }

    /// How many addresses are known.
    pub(crate) fn known(&self) -> usize {
        self.frontier.lock().known()
    }

    fn work(&self, visits: &Sender<Visit>) {
        while let Some(address) = self.take() {
            let ask = || self.frontier.lock().wants_addresses();
            let visit = visit(address, &self.manners, ask, || *self.stopped.lock());
            let mut frontier = self.frontier.lock();
            frontier.visited(visit.outcome.is_ok());
            if let Ok(node) = &visit.outcome {
                frontier.add(node.addresses.iter().flatten().copied());
            }
            drop(frontier);
            self.changed.notify_all();
            if visits.send(visit).is_err() {
                return; // nobody counts any more
            }
            let mut stopped = self.stopped.lock();
            if !*stopped {
                self.woken.wait_for(&mut stopped, self.pause);
            }
        }
    }

    /// Waits for the next address. `None` when the walk is over.
    fn take(&self) -> Option<SocketAddr> {
        let mut frontier = self.frontier.lock();
        loop {
            if Instant::now() >= self.manners.end {
                return None;
            }
            match frontier.next() {
                Turn::Visit(address) => return Some(address),
                Turn::Over => return None,
                Turn::Wait => {
                    self.changed.wait_until(&mut frontier, self.manners.end);
                }
            }
        }
    }
}
