//! Virtual time, and the waits of threads for an event or a deadline.
//!
//! The time passes only when the thread of the clock runs: it sets the time to the earliest
//! deadline and wakes all threads that wait for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use shuttle::thread::{JoinHandle, Thread};

use crate::time::Instant;

/// The id of the clock's thread. It is the first thread that a schedule spawns.
pub(crate) const CLOCK_TASK: usize = 1;

thread_local! {
    /// All threads of a schedule run on the same thread of the system.
    static CLOCK: RefCell<Clock> = const { RefCell::new(Clock::new()) };
}

struct Clock {
    now: Instant,
    last_timer: u64,
    timers: BTreeMap<(Instant, u64), Arc<Waiter>>,
    /// The thread of the clock while it waits for a timer.
    idle: Option<Thread>,
    /// The threads of one deadline are being woken. None of them runs before all are awake.
    is_waking: bool,
    is_stopped: bool,
}

impl Clock {
    const fn new() -> Self {
        Self {
            now: Instant::START,
            last_timer: 0,
            timers: BTreeMap::new(),
            idle: None,
            is_waking: false,
            is_stopped: false,
        }
    }
}

/// Starts the clock of a schedule.
pub(crate) fn start() -> JoinHandle<()> {
    CLOCK.with_borrow_mut(|clock| *clock = Clock::new());
    shuttle::thread::spawn(run)
}

/// Ends the thread of the clock.
pub(crate) fn stop() {
    CLOCK.with_borrow_mut(|clock| clock.is_stopped = true);
    wake_clock();
}

/// Returns whether the thread of the clock must continue before any other thread.
pub(crate) fn is_waking() -> bool {
    CLOCK.with_borrow(|clock| clock.is_waking)
}

pub(crate) fn now() -> Instant {
    CLOCK.with_borrow(|clock| clock.now)
}

/// Returns the id of a timer that wakes `waiter` at `deadline`.
fn start_timer(deadline: Instant, waiter: Arc<Waiter>) -> (Instant, u64) {
    let id = CLOCK.with_borrow_mut(|clock| {
        clock.last_timer += 1;
        let id = (deadline, clock.last_timer);
        clock.timers.insert(id, waiter);
        id
    });
    wake_clock();
    id
}

fn stop_timer(id: (Instant, u64)) {
    CLOCK.with_borrow_mut(|clock| clock.timers.remove(&id));
}

fn wake_clock() {
    let idle = CLOCK.with_borrow_mut(|clock| clock.idle.take());
    if let Some(thread) = idle {
        thread.unpark();
    }
}

enum Next {
    Stop,
    Idle,
    Wake(Vec<Arc<Waiter>>),
}

fn run() {
    loop {
        switch();
        let next = CLOCK.with_borrow_mut(|clock| {
            if clock.is_stopped {
                return Next::Stop;
            }
            let Some(((deadline, _), first)) = clock.timers.pop_first() else {
                clock.idle = Some(shuttle::thread::current());
                return Next::Idle;
            };
            clock.now = clock.now.max(deadline);
            let mut waiters = vec![first];
            while let Some(entry) = clock.timers.first_entry()
                && entry.key().0 <= clock.now
            {
                waiters.push(entry.remove());
            }
            clock.is_waking = true;
            Next::Wake(waiters)
        });
        match next {
            Next::Stop => return,
            Next::Idle => shuttle::thread::park(),
            Next::Wake(waiters) => {
                waiters.iter().for_each(|waiter| waiter.wake());
                CLOCK.with_borrow_mut(|clock| clock.is_waking = false);
            }
        }
    }
}

/// A waiting thread. Events and the clock wake it.
pub(crate) struct Waiter {
    thread: shuttle::thread::Thread,
    is_awake: AtomicBool,
}

impl Waiter {
    /// Creates the waiter of the current thread.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            thread: shuttle::thread::current(),
            is_awake: AtomicBool::new(false),
        })
    }

    /// Ends the wait.
    pub(crate) fn wake(&self) {
        if !self.is_awake.swap(true, SeqCst) && is_running() {
            self.thread.unpark();
        }
    }

    /// Waits until [`Waiter::wake`] is called, at most until `deadline`.
    pub(crate) fn wait(self: &Arc<Self>, deadline: Option<Instant>) {
        let timer = deadline.map(|deadline| start_timer(deadline, self.clone()));
        while !self.is_awake.load(SeqCst) {
            shuttle::thread::park();
        }
        if let Some(timer) = timer {
            stop_timer(timer);
        }
    }
}

/// Lets another thread continue.
pub(crate) fn switch() {
    if is_running() {
        // The duration is ignored.
        shuttle::thread::sleep(std::time::Duration::ZERO);
    }
}

/// Returns whether a thread of a schedule runs. Values may also be dropped after its end.
pub(crate) fn is_running() -> bool {
    shuttle::current::try_get_current_task().is_some() && !std::thread::panicking()
}
