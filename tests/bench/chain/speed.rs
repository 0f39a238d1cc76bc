//! Extending a chain and loading it from a file, against hashing alone.

use std::fs::File;
use std::hint::black_box;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use bsv_p2p::wire::{BlockHeader, ChainRules, HeaderChain, MAX_HEADERS};
use bsv_p2p::{HeaderStore, Network};

use crate::HEADERS;
use crate::samples::{NOW, daa_rules, mine};
use crate::table::{Aim, print_row};
use crate::timing::{Turns, in_turns};

/// One pass over all headers takes longer than a turn.
const TURNS: Turns = Turns {
    turn: Duration::from_millis(1),
    all: Duration::from_secs(10),
};

/// Returns the networks of the benchmark, with the ratios that they should reach.
pub(crate) fn networks() -> [(&'static str, ChainRules, f64); 2] {
    [
        ("regtest", ChainRules::new(Network::Regtest), 0.6),
        ("144-block rule, easy limit", daa_rules(), 0.35),
    ]
}

pub(crate) fn extend() {
    for (name, rules, target) in networks() {
        let headers = mine(&rules, HEADERS);
        let hashing = |_| hash_and_copy(&headers);
        let extending = |_| {
            let mut chain = HeaderChain::new(rules.clone());
            let begin = Instant::now();
            for list in headers.chunks(MAX_HEADERS) {
                chain.extend(list, NOW).expect("valid headers");
            }
            let elapsed = begin.elapsed();
            assert_eq!(chain.tip().0 as usize, HEADERS);
            elapsed
        };
        let ([baseline, ours], [_, slower]) =
            in_turns(&TURNS, [Box::new(hashing), Box::new(extending)]);
        let work = format!("extend {HEADERS} headers: {name}");
        print_times(
            &work,
            "SHA-256d and a copy",
            ours,
            baseline,
            slower,
            Aim::AtLeast(target),
        );
    }
}

pub(crate) fn load() {
    let folder = std::env::temp_dir().join(format!("bsv-p2p-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    for (at, (name, rules, target)) in networks().into_iter().enumerate() {
        let path = folder.join(format!("{at}.headers"));
        let mut bytes = rules.genesis().to_bytes().to_vec();
        for header in mine(&rules, HEADERS) {
            bytes.extend_from_slice(&header.to_bytes());
        }
        std::fs::write(&path, &bytes).expect("a file");
        let hashing = |_| hash_file(&path);
        let loading = |_| {
            let begin = Instant::now();
            let (store, chain, _) = HeaderStore::open(&path, rules.clone()).expect("valid headers");
            let elapsed = begin.elapsed();
            assert_eq!(chain.tip().0 as usize, HEADERS);
            drop(store);
            elapsed
        };
        let ([baseline, ours], [_, slower]) =
            in_turns(&TURNS, [Box::new(hashing), Box::new(loading)]);
        let work = format!("load {HEADERS} headers: {name}");
        let target = Aim::AtLeast(target);
        print_times(&work, "read and SHA-256d", ours, baseline, slower, target);
    }
    // Remaining files in the temporary folder are harmless.
    let _ = std::fs::remove_dir_all(folder);
}

/// Reads a file in pieces, hashes and copies its headers.
fn hash_file(path: &Path) -> Duration {
    let begin = Instant::now();
    let mut file = File::open(path).expect("a file");
    let mut piece = vec![0; MAX_HEADERS * BlockHeader::LEN];
    let mut copies = Vec::with_capacity(HEADERS + 1);
    while let Ok(len) = file.read(&mut piece)
        && len > 0
    {
        for bytes in piece[..len].as_chunks().0 {
            let header = BlockHeader::from_bytes(bytes);
            black_box(header.hash());
            copies.push(header);
        }
    }
    let elapsed = begin.elapsed();
    assert_eq!(copies.len(), HEADERS + 1);
    elapsed
}

/// Hashes and copies all headers: a lower bound for storing verified headers.
fn hash_and_copy(headers: &[BlockHeader]) -> Duration {
    let mut copies = Vec::with_capacity(headers.len());
    let begin = Instant::now();
    for header in headers {
        black_box(header.hash());
        copies.push(*header);
    }
    let elapsed = begin.elapsed();
    black_box(copies);
    elapsed
}

pub(crate) fn print_times(
    work: &str,
    beside: &str,
    ours: f64,
    baseline: f64,
    slower: f64,
    target: Aim,
) {
    let per_header = |seconds: f64| format!("{:.0} ns", seconds / HEADERS as f64 * 1e9);
    print_row(
        work,
        per_header(ours),
        beside,
        per_header(baseline),
        1.0 / slower,
        target,
    );
}
