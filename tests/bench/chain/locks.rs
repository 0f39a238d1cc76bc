//! Memory per header, and the longest time for which a call locks the chain.

use std::time::{Duration, Instant};

use bsv_p2p::Network;
use bsv_p2p::wire::{ChainRules, HeaderBatch, HeaderChain, MAX_HEADERS, SourceId};

use crate::samples::{EASY, NOW, mine, mined};
use crate::table::{Aim, print_row};
use crate::{HEADERS, process};

/// The number of headers in the index when its parts double their size.
const GROWTH: usize = 917_504;

/// The number of headers that the manager adds before it unlocks the chain.
const SLICE: usize = 512;

/// The maximum time that a call should take, in milliseconds.
const MAX_HOLD: f64 = 1.0;

/// The number of repetitions. The shortest time of each call counts, because other processes
/// interrupt the others.
const REPETITIONS: usize = 5;

pub(crate) fn memory() {
    let rules = ChainRules::new(Network::Regtest);
    let headers = mine(&rules, HEADERS);
    for count in [GROWTH + GROWTH / 100, HEADERS] {
        let before = process::resident_kib();
        let mut chain = HeaderChain::new(rules.clone());
        for list in headers[..count].chunks(MAX_HEADERS) {
            chain.extend(list, NOW).expect("valid headers");
        }
        let bytes = (process::resident_kib() - before) * 1024.0 / count as f64;
        let work = format!("memory per header of {count}");
        let shown = format!("{bytes:.1} bytes");
        print_row(
            &work,
            shown,
            "at most",
            "100 bytes",
            bytes / 100.0,
            Aim::AtMost(1.0),
        );
        // The next chain must not use the pages of this one.
        std::mem::forget(chain);
    }
}

pub(crate) fn longest_holds() {
    let rules = ChainRules::new(Network::Regtest);
    let headers = mine(&rules, HEADERS);
    let before = GROWTH - 150_000;
    let mut chain = HeaderChain::new(rules.clone());
    for list in headers[..before].chunks(MAX_HEADERS) {
        chain.extend(list, NOW).expect("valid headers");
    }
    let mut shortest = vec![Duration::MAX; (HEADERS - before).div_ceil(SLICE)];
    let mut side = Duration::MAX;
    for _ in 0..REPETITIONS {
        // A copy has the same random key, so its parts grow with the same headers.
        let mut chain = chain.clone();
        for (slice, shortest) in headers[before..].chunks(SLICE).zip(&mut shortest) {
            let batch = HeaderBatch::verify(&rules, slice).expect("proof of work");
            let begin = Instant::now();
            let outcome = chain.extend_from(SourceId(1), &batch, NOW);
            *shortest = begin.elapsed().min(*shortest);
            outcome.expect("valid headers");
        }
        side = side_header(&mut chain, &rules).min(side);
    }
    let longest = shortest.into_iter().max().unwrap_or_default();
    print_hold(
        &format!("add {SLICE} headers while the index grows"),
        longest,
    );
    print_hold("add a side header 900,000 deep", side);
}

/// Returns the longest time of a header of a side chain that forks 900,000 blocks below the tip.
fn side_header(chain: &mut HeaderChain, rules: &ChainRules) -> Duration {
    let parent = chain.tip().0 - 900_000;
    let hash = chain.hash_at(parent).expect("a header");
    let time = chain.header_at(parent).expect("a header").time + 600;
    let holds = (0..100).map(|tag| {
        let side = [mined(hash, EASY, time, tag)];
        let batch = HeaderBatch::verify(rules, &side).expect("proof of work");
        let begin = Instant::now();
        let outcome = chain.extend_from(SourceId(2), &batch, NOW);
        let hold = begin.elapsed();
        outcome.expect("a valid header");
        hold
    });
    holds.max().unwrap_or_default()
}

fn print_hold(work: &str, hold: Duration) {
    let millis = hold.as_secs_f64() * 1e3;
    let shown = format!("{millis:.3} ms");
    let limit = format!("{MAX_HOLD} ms");
    print_row(
        work,
        shown,
        "at most",
        limit,
        millis / MAX_HOLD,
        Aim::AtMost(1.0),
    );
}
