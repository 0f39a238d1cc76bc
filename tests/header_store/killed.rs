//! A process that writes is killed at random moments.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::wire::HeaderChain;
use bsv_p2p::{HeaderStore, Network};
use test_support::SeededRandom;

use crate::chains::*;

/// Set in the process that is killed.
const WRITING: &str = "BSV_P2P_TEST_WRITES_HEADERS";
/// The name of the test, which runs itself in a second process.
const TEST: &str = "killed::killed_process_leaves_valid_file";
/// Announces the number of an update that is complete.
const WRITTEN: &str = "written ";

/// The number of headers below the fork of both chains, and above it.
const TRUNK: usize = 500;
const BRANCHES: [usize; 2] = [1_500, 3_000];
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn killed_process_leaves_valid_file() {
    if env::var_os(WRITING).is_some() {
        write_forever();
    }
    let folder = Folder::new();
    let chains = chains().map(|chain| bytes_of_chain(&chain));
    let mut random = SeededRandom::new(1);
    let (mut rounds, mut interrupted) = (0, 0);
    let start = Instant::now();
    // A kill counts if it hit an update.
    while rounds < 20 || interrupted < 10 {
        assert!(start.elapsed() < DEADLINE, "{interrupted} of {rounds}");
        rounds += 1;
        kill_one(&folder, &mut random);
        let (store, chain, _) = folder.open();
        assert_same(&folder, &store, &chain);
        let content = folder.content();
        assert!(content.len() >= TRUNK * 80);
        assert!(chains.iter().any(|chain| chain.starts_with(&content)));
        interrupted += usize::from(!chains.contains(&content));
    }
}

/// Returns two chains that fork.
fn chains() -> [HeaderChain; 2] {
    let trunk = regtest_headers(TRUNK);
    let mut tag = 1;
    BRANCHES.map(|count| {
        tag += 1;
        let mut chain = regtest_chain(&trunk);
        chain
            .extend(&mine_after(&trunk[TRUNK - 1], count, tag), NOW)
            .unwrap();
        chain
    })
}

/// Writes one chain, then the other, again and again.
fn write_forever() -> ! {
    let (mut store, ..) = HeaderStore::open("headers", Network::Regtest).unwrap();
    let chains = chains();
    for number in 1_u32.. {
        store.update(&chains[number as usize % 2]).unwrap();
        println!("{WRITTEN}{number}");
    }
    unreachable!("the process is killed before");
}

/// Starts a process that writes, and kills it in a later update.
fn kill_one(folder: &Folder, random: &mut SeededRandom) {
    let (mut child, lines) = start(folder.path());
    let mut took = Duration::ZERO;
    for _ in 0..=2 + random.below(2) {
        let start = Instant::now();
        lines.recv_timeout(DEADLINE).expect("the process writes");
        took = start.elapsed();
    }
    // Each moment of the next update is equally likely.
    let moment = took.mul_f64(random.below(1_000) as f64 / 1_000.0);
    let start = Instant::now();
    while start.elapsed() < moment {
        std::hint::spin_loop();
    }
    // On Unix this is SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
}

fn start(folder: &Path) -> (Child, Receiver<u32>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", TEST, "--test-threads=1", "--nocapture"])
        .env(WRITING, "1")
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    // Ends with the process that writes.
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if let Some((_, number)) = line.split_once(WRITTEN) {
                // The last line may be incomplete.
                let _ = number.parse().map(|number| sender.send(number));
            }
        }
    });
    (child, lines)
}
