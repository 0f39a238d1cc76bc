//! Checks of the lifecycle of a connection over its restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};

use model_checker::{choose, explore};

use super::lifecycle::Lifecycle;

/// A connection whose final events are counted.
#[derive(Clone, Default)]
struct Connection {
    lifecycle: Arc<Lifecycle>,
    is_stopped: Arc<AtomicBool>,
    final_events: Arc<AtomicUsize>,
    /// The number of runs that have not ended.
    runs: Arc<AtomicUsize>,
    /// The number of threads of runs, which end after their run.
    threads: Arc<AtomicUsize>,
}

impl Connection {
    /// Starts a run, which ends at once. It schedules a restart, or closes the connection.
    fn start(&self) {
        let spawn = || {
            let connection = self.clone();
            connection.threads.fetch_add(1, SeqCst);
            Ok(thread::spawn(move || {
                connection.run();
                thread::yield_now();
                connection.threads.fetch_sub(1, SeqCst);
            }))
        };
        self.lifecycle.start(spawn).unwrap();
    }

    /// Waits for the end of the connection. No thread of it is left.
    fn join(&self) {
        self.lifecycle.join();
        assert_eq!(self.threads.load(SeqCst), 0, "a thread is left");
        assert_eq!(self.final_events.load(SeqCst), 1);
    }

    fn run(&self) {
        let _own = self.lifecycle.enter_thread();
        assert_eq!(self.runs.fetch_add(1, SeqCst), 0, "two runs at once");
        // Returns at once on a thread of the connection.
        self.lifecycle.join();
        let is_stopped = || self.is_stopped.load(SeqCst);
        self.runs.fetch_sub(1, SeqCst);
        if choose(3) == 0 || !self.lifecycle.schedule_restart(is_stopped) {
            self.close();
        }
    }

    /// Emits the final event.
    fn close(&self) {
        self.final_events.fetch_add(1, SeqCst);
        self.lifecycle.close();
    }

    /// Claims a scheduled restart and starts it, several times.
    fn supervise(&self) -> JoinHandle<()> {
        let connection = self.clone();
        thread::spawn(move || {
            for _ in 0..3 {
                if connection.lifecycle.claim_restart() {
                    if connection.is_stopped.load(SeqCst) {
                        connection.close();
                    } else {
                        connection.start();
                    }
                }
                thread::yield_now();
            }
        })
    }

    /// Stops the connection, and its restart if one is scheduled.
    fn stop(&self) {
        self.is_stopped.store(true, SeqCst);
        if self.lifecycle.claim_restart() {
            self.close();
        }
    }
}

/// Two threads wait for the end of a connection that is restarted and stopped. Both return when it
/// is closed and its thread has ended.
pub fn joins_wait_for_thread_over_restarts() {
    explore(3000, || {
        let connection = Connection::default();
        connection.start();
        let supervising = connection.supervise();
        let joining = [(); 2].map(|()| {
            let connection = connection.clone();
            thread::spawn(move || connection.join())
        });
        connection.stop();
        joining.into_iter().for_each(|one| one.join().unwrap());
        supervising.join().unwrap();
    });
}

/// Two supervisors start a scheduled restart while the connection is stopped. There is exactly one
/// final event, and never two runs at once.
pub fn restart_is_claimed_once() {
    explore(3000, || {
        let connection = Connection::default();
        connection.start();
        let supervising = [connection.supervise(), connection.supervise()];
        connection.stop();
        connection.join();
        supervising.into_iter().for_each(|one| one.join().unwrap());
        assert!(!connection.lifecycle.is_restarting());
    });
}

/// A condition outside of the lifecycle changes while two threads wait for it.
pub fn notification_ends_wait_for_condition() {
    explore(3000, || {
        let connection = Connection::default();
        let waiting = [(); 2].map(|()| {
            let connection = connection.clone();
            thread::spawn(move || {
                let is_met = |_| connection.is_stopped.load(SeqCst).then_some(());
                connection.lifecycle.wait_for(None, is_met)
            })
        });
        connection.is_stopped.store(true, SeqCst);
        connection.lifecycle.notify();
        for one in waiting {
            assert_eq!(one.join().unwrap(), Some(()));
        }
    });
}
