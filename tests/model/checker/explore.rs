//! Runs a check in many schedules.

use std::cell::Cell;
use std::env;
use std::time::Duration;

use shuttle::rand::Rng;
use shuttle::scheduler::{
    PctScheduler, RandomScheduler, ReplayScheduler, Schedule, Scheduler, Task, TaskId,
};
use shuttle::{Config, MaxSteps, Runner};

use crate::time::Instant;
use crate::{clock, net, thread};

/// Runs `check` in `schedules` different schedules, and panics if one of them fails.
///
/// A schedule fails if `check` panics, or if all threads wait without a deadline. All spawned
/// threads must have ended when `check` returns. Two of three schedules choose the next thread at
/// random; the others give random priorities to the threads and change few of them (the algorithm
/// PCT). Most schedules also stall up to three threads, each at a random point and for a long time.
///
/// Time passes only while every thread waits, until [`pass_time_anytime`] is called. A time that
/// has passed then shows which wait was not ended by another thread.
///
/// These environment variables change the exploration:
///
/// - `MODEL_FACTOR` multiplies the number of schedules.
/// - `MODEL_SEED` starts another sequence of random numbers. The default is 0.
/// - `MODEL_SCHEDULE` repeats only the given schedule, as a failure prints it.
pub fn explore(schedules: usize, check: impl Fn() + Send + Sync + 'static) {
    let check: &'static (dyn Fn() + Send + Sync) = Box::leak(Box::new(check));
    let run = |scheduler: Box<dyn Scheduler + Send>| {
        let scheduler = TimedScheduler::new(scheduler);
        Runner::new(scheduler, config()).run(move || run_once(check));
    };
    if let Ok(schedule) = env::var("MODEL_SCHEDULE") {
        // The schedule includes the choices of the clock.
        let scheduler = ReplayScheduler::new_from_encoded(schedule.trim());
        Runner::new(scheduler, config()).run(move || run_once(check));
        return;
    }
    let schedules = schedules * number("MODEL_FACTOR", 1);
    let seed = number("MODEL_SEED", 0) as u64;
    run(Box::new(RandomScheduler::new_from_seed(
        seed,
        (schedules * 2).div_ceil(3),
    )));
    for depth in [2, 4] {
        let schedules = schedules.div_ceil(6);
        run(Box::new(PctScheduler::new_from_seed(
            seed, depth, schedules,
        )));
    }
}

fn run_once(check: &(dyn Fn() + Send + Sync)) {
    thread::reset();
    net::reset();
    PASSES_ANYTIME.set(false);
    let clock = clock::start();
    check();
    assert_eq!(thread::running(), 0, "threads still run");
    clock::stop();
    clock.join().expect("the clock does not panic");
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 512 * 1024;
    config.max_steps = MaxSteps::FailAfter(200_000);
    config.silence_warnings = true;
    // Values of a failed schedule are dropped without its threads, which may wait for them.
    config
        .ungraceful_shutdown_config
        .immediately_return_on_panic = true;
    config
}

fn number(variable: &str, default: usize) -> usize {
    env::var(variable).map_or(default, |value| {
        let number = value.parse();
        number.unwrap_or_else(|_| panic!("{variable} is not a number: {value}"))
    })
}

/// Returns a number below `count` that the schedule chooses.
pub fn choose(count: usize) -> usize {
    match count {
        0 | 1 => 0,
        _ => shuttle::rand::thread_rng().gen_range(0..count),
    }
}

/// Returns the virtual time since the start of the schedule.
pub fn elapsed() -> Duration {
    Instant::now() - Instant::START
}

/// Lets the time pass at any point until the end of the schedule, so that a deadline may pass
/// before, during or after everything else.
pub fn pass_time_anytime() {
    PASSES_ANYTIME.set(true);
}

thread_local! {
    static PASSES_ANYTIME: Cell<bool> = const { Cell::new(false) };
}

/// Chooses the next thread with another scheduler, but lets the time pass and stalls threads
/// itself.
struct TimedScheduler {
    threads: Box<dyn Scheduler + Send>,
    random: u64,
    /// One of that many decisions lets the time pass.
    pace: u64,
    /// The number of decisions in this schedule, and the maximum in all schedules before.
    steps: u64,
    max_steps: u64,
    /// The decisions at which the current thread is stalled.
    stalls: Vec<u64>,
    /// The stalled threads, each until a decision. They run earlier if all others wait.
    stalled: Vec<(TaskId, u64)>,
}

impl TimedScheduler {
    fn new(threads: Box<dyn Scheduler + Send>) -> Self {
        Self {
            threads,
            random: 0,
            pace: 0,
            steps: 0,
            max_steps: 1,
            stalls: Vec::new(),
            stalled: Vec::new(),
        }
    }

    /// Xorshift by Marsaglia.
    fn next_random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn choose(&mut self, count: u64) -> u64 {
        self.next_random() % count
    }
}

impl Scheduler for TimedScheduler {
    fn new_execution(&mut self) -> Option<Schedule> {
        let schedule = self.threads.new_execution()?;
        self.random = schedule.seed | 1;
        self.pace = [4, 16, 64][self.choose(3) as usize];
        self.max_steps = self.max_steps.max(self.steps);
        self.steps = 0;
        self.stalled.clear();
        self.stalls.clear();
        for _ in 0..self.choose(4) {
            let step = self.choose(self.max_steps);
            self.stalls.push(step);
        }
        Some(schedule)
    }

    fn next_task(
        &mut self,
        runnable: &[&Task],
        current: Option<TaskId>,
        is_yielding: bool,
    ) -> Option<TaskId> {
        let clock = TaskId::from(clock::CLOCK_TASK);
        // The list also has parked threads, for wake-ups without a reason, which no primitive of
        // this crate has.
        let (clocks, others): (Vec<&Task>, Vec<&Task>) = (runnable.iter().copied())
            .filter(|task| task.runnable())
            .partition(|task| task.id() == clock);
        let passes = others.is_empty()
            || !clocks.is_empty()
                && (clock::is_waking() || PASSES_ANYTIME.get() && self.choose(self.pace) == 0);
        if passes {
            return Some(clock);
        }
        let step = self.steps;
        self.steps += 1;
        self.stalled.retain(|(_, until)| step < *until);
        if let Some(current) = current
            && self.stalls.contains(&step)
        {
            let until = [30, 300, u64::MAX - step][self.choose(3) as usize];
            self.stalled.push((current, step + until));
        }
        let is_stalled = |task: &&Task| self.stalled.iter().any(|(id, _)| *id == task.id());
        let mut running = others.clone();
        running.retain(|task| !is_stalled(task));
        if running.is_empty() {
            self.stalled.clear();
            running = others;
        }
        self.threads.next_task(&running, current, is_yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.threads.next_u64()
    }
}
