//! A listening manager in a separate process, where its memory, threads and descriptors can be
//! counted without interference of other tests and of its attackers.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write, stdin};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::event::ControlEvent;
use bsv_p2p::peers::Subnet;
use bsv_p2p::{Manager, ManagerConfig};
use parking_lot::{Mutex, MutexGuard};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::harness::{LIMIT, started, until};

/// Environment variable: the configuration, in the serving process.
const SERVING: &str = "BSV_P2P_TEST_SERVES";
/// The name of the test with which the process is started.
const TEST: &str = "served::serves_whoever_has_started_it";
/// Prefix of each line, because the test harness prints as well.
const MARK: &str = "@@";
/// Makes the C library return freed memory to the system immediately, including stacks of ended
/// threads, so that resident memory is memory in use. Otherwise small allocations keep some MiB of
/// free memory around them.
const GIVES_BACK: &str = "glibc.malloc.mmap_threshold=8192:glibc.malloc.trim_threshold=8192:\
    glibc.malloc.arena_max=1:glibc.pthread.stack_cache_size=0";
/// The interval of the counts.
const COUNT_EVERY: Duration = Duration::from_millis(1);

/// Held by the owner of such a process, because several would disturb the measurements.
static ALONE: Mutex<()> = Mutex::new(());

/// Resources at one moment, or their maximum.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) resident_kib: u64,
    pub(crate) threads: u64,
    pub(crate) descriptors: u64,
    pub(crate) slots: u64,
    pub(crate) connected: u64,
    pub(crate) payload_memory: u64,
    pub(crate) inbound_accepted: u64,
    pub(crate) refused: u64,
}

impl Counts {
    fn of(manager: &Manager) -> Self {
        let metrics = manager.metrics();
        Self {
            slots: metrics.slots_taken as u64,
            connected: metrics.connected as u64,
            payload_memory: metrics.payload_memory,
            inbound_accepted: metrics.inbound_accepted,
            refused: metrics.inbound_rejected,
            ..Self::of_process()
        }
    }

    fn of_process() -> Self {
        let statm = fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            resident_kib: pages * 4,
            threads: entries("task"),
            descriptors: entries("fd"),
            ..Self::default()
        }
    }

    fn raise_to(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.resident_kib, other.resident_kib),
            (&mut self.threads, other.threads),
            (&mut self.descriptors, other.descriptors),
            (&mut self.slots, other.slots),
            (&mut self.connected, other.connected),
            (&mut self.payload_memory, other.payload_memory),
            (&mut self.inbound_accepted, other.inbound_accepted),
            (&mut self.refused, other.refused),
        ] {
            *mine = theirs.max(*mine);
        }
    }
}

fn entries(what: &str) -> u64 {
    // The descriptor of the folder itself is counted each time.
    fs::read_dir(format!("/proc/self/{what}")).unwrap().count() as u64
}

/// Commands to the process.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    Counts,
    Most,
    Ends,
    Ban(String),
    Finish,
}

/// The process, and its first report.
pub(crate) struct Served {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
    /// The resources before any peer connected.
    pub(crate) before: Counts,
    _alone: MutexGuard<'static, ()>,
}

impl Served {
    /// Waits for the lock, then starts the process.
    pub(crate) fn start(config: &ManagerConfig) -> Self {
        let alone = ALONE.lock();
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", TEST, "--test-threads=1", "--nocapture"])
            .env(SERVING, serde_json::to_string(config).unwrap())
            .env("GLIBC_TUNABLES", GIVES_BACK)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = process.stdin.take().unwrap();
        let mut answers = BufReader::new(process.stdout.take().unwrap());
        let (address, before) = read(&mut answers);
        Self {
            process,
            orders,
            answers,
            address,
            before,
            _alone: alone,
        }
    }

    fn ask<T: DeserializeOwned>(&mut self, order: &Order) -> T {
        writeln!(self.orders, "{}", serde_json::to_string(order).unwrap()).unwrap();
        read(&mut self.answers)
    }

    /// Returns the current resources.
    pub(crate) fn counts(&mut self) -> Counts {
        self.ask(&Order::Counts)
    }

    /// Returns the maximum of all counts.
    pub(crate) fn most(&mut self) -> Counts {
        self.ask(&Order::Most)
    }

    /// Returns the growth of the process in KiB, at its maximum.
    pub(crate) fn grown_kib(&mut self) -> u64 {
        self.most().resident_kib - self.before.resident_kib
    }

    /// Returns the reasons of the ends so far.
    pub(crate) fn ends(&mut self) -> Vec<String> {
        self.ask(&Order::Ends)
    }

    pub(crate) fn ban(&mut self, subnet: &str) {
        self.ask(&Order::Ban(subnet.into()))
    }

    /// Waits until there are no connections and all their resources except `kib` of memory are
    /// released.
    #[track_caller]
    pub(crate) fn expect_all_given_back(&mut self, kib: u64) {
        let before = self.before.clone();
        let deadline = Instant::now() + LIMIT;
        loop {
            let now = self.counts();
            if (now.slots, now.connected, now.payload_memory) == (0, 0, 0)
                && now.threads <= before.threads
                && now.descriptors <= before.descriptors
                && now.resident_kib <= before.resident_kib + kib
            {
                return;
            }
            assert!(Instant::now() < deadline, "{before:?} became {now:?}");
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    /// Shuts the manager down. No resources are left.
    pub(crate) fn finish(mut self) {
        let (before, after): (Counts, Counts) = self.ask(&Order::Finish);
        assert_eq!(after.threads, before.threads);
        assert_eq!(after.descriptors, before.descriptors);
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read<T: DeserializeOwned>(answers: &mut impl BufRead) -> T {
    let mut line = String::new();
    loop {
        line.clear();
        let len = answers.read_line(&mut line).unwrap();
        assert_ne!(len, 0, "the process that serves has ended");
        if let Some((_, said)) = line.split_once(MARK) {
            return serde_json::from_str(said).unwrap();
        }
    }
}

fn say(answer: &impl Serialize) {
    println!("{MARK}{}", serde_json::to_string(answer).unwrap());
}

/// Does nothing unless it runs in a process of its own for another test.
#[test]
fn serves_whoever_has_started_it() {
    if let Ok(config) = env::var(SERVING) {
        serve(serde_json::from_str(&config).unwrap());
    }
}

fn serve(config: ManagerConfig) {
    let before_all = Counts::of_process();
    let manager = Manager::new(config).unwrap();
    let (events, messages) = (manager.subscribe_control(), manager.subscribe_messages());
    manager.start().unwrap();
    let address = started(&events);
    let (ends, most, over) = (
        Mutex::new(Vec::new()),
        Mutex::new(Counts::default()),
        AtomicBool::new(false),
    );
    thread::scope(|scope| {
        scope.spawn(|| messages.iter().map(Result::unwrap).for_each(drop));
        scope.spawn(|| {
            for event in events.iter().map(Result::unwrap) {
                if let ControlEvent::ConnectionLost { reason, .. }
                | ControlEvent::ConnectionFailed { reason, .. } = event
                {
                    ends.lock().push(format!("{reason:?}"));
                }
            }
        });
        let counting = scope.spawn(|| {
            while !over.load(Relaxed) {
                most.lock().raise_to(&Counts::of(&manager));
                thread::park_timeout(COUNT_EVERY);
            }
        });
        say(&(address, Counts::of(&manager)));
        for line in stdin().lines() {
            match serde_json::from_str(&line.unwrap()).unwrap() {
                Order::Counts => say(&Counts::of(&manager)),
                Order::Most => say(&*most.lock()),
                Order::Ends => say(&*ends.lock()),
                Order::Ban(subnet) => {
                    manager
                        .ban(subnet.parse::<Subnet>().unwrap(), None)
                        .unwrap();
                    say(&());
                }
                Order::Finish => break,
            }
        }
        over.store(true, Relaxed);
        counting.join().unwrap();
        manager.shutdown().unwrap();
    });
    // The system forgets a joined thread a moment later.
    until("the threads are gone", || {
        entries("task") == before_all.threads
    });
    drop((manager, messages, events));
    say(&(before_all, Counts::of_process()));
}
