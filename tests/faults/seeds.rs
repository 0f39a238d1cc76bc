//! Runs of one test under many seeds, a few at a time.

use std::collections::BTreeMap;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use parking_lot::Mutex;

use crate::fault_proxy::FaultPlan;

/// The number of concurrent runs that do not disturb each other. Most of them wait.
pub(crate) const AT_ONCE: usize = 8;

/// Calls `run` with the plan of every seed: `count` of them, or as the environment states,
/// `at_once` concurrently. Prints the frequency of each end, and fails with all runs that panicked.
pub(crate) fn for_each_seed(
    count: u64,
    at_once: usize,
    run: impl Fn(u64, &FaultPlan) -> String + Sync,
) {
    let seeds = chosen(count);
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let ends = Mutex::new(BTreeMap::<String, usize>::new());
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Relaxed)) {
                    let plan = FaultPlan::from_seed(*seed);
                    match catch_unwind(AssertUnwindSafe(|| run(*seed, &plan))) {
                        Ok(end) => *ends.lock().entry(end).or_default() += 1,
                        // The panic was printed already.
                        Err(why) => failures.lock().push(describe(*seed, &plan, &*why)),
                    }
                }
            });
        }
    });
    for (end, times) in ends.into_inner() {
        println!("{times:6}  {end}");
    }
    let failures = failures.into_inner();
    assert!(
        failures.is_empty(),
        "{} of {} runs failed:\n{}",
        failures.len(),
        seeds.len(),
        failures.join("\n")
    );
}

fn chosen(count: u64) -> Vec<u64> {
    let number = |name| {
        let text = env::var(name).ok()?;
        Some(
            text.parse::<u64>()
                .unwrap_or_else(|_| panic!("{name} is {text:?}, which is no number")),
        )
    };
    match number("FAULT_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("FAULT_SEEDS").unwrap_or(count)).collect(),
    }
}

fn describe(seed: u64, plan: &FaultPlan, why: &dyn std::any::Any) -> String {
    let text = why.downcast_ref::<String>().map(String::as_str);
    let why = text.or_else(|| why.downcast_ref::<&str>().copied());
    format!(
        "FAULT_SEED={seed}: {}\n    {plan:?}",
        why.unwrap_or("a panic without words")
    )
}
