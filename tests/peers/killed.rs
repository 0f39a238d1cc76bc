//! A process that saves is killed at random moments: its file is always complete.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::Network;
use bsv_p2p::peers::{InMemoryPeerStore, Peer, PeerStore};
use test_support::SeededRandom;

use crate::samples::{Folder, bans, now, peer};

/// Environment variable: set in the process that is killed.
const SAVING: &str = "BSV_P2P_TEST_SAVES_PEERS";
/// The name of the test with which the process is started.
const TEST: &str = "killed::process_killed_while_saving_leaves_complete_file";
/// The prefix of the number of a completed save.
const SAVED: &str = "saved ";

const PEERS: u32 = 300;
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn process_killed_while_saving_leaves_complete_file() {
    if env::var_os(SAVING).is_some() {
        save_for_ever();
    }
    let folder = Folder::new();
    let mut random = SeededRandom::new(1);
    let (mut rounds, mut amid) = (0, 0);
    let mut saved = 0;
    let began = Instant::now();
    // A kill counts if it hit during a write.
    while rounds < 20 || amid < 10 {
        assert!(began.elapsed() < DEADLINE, "{amid} of {rounds} hit");
        rounds += 1;
        let told = kill_one(&folder, &mut random);
        let names = folder.names();
        assert!(
            names == ["", ".lock"] || names == ["", ".lock", ".tmp"],
            "{names:?}"
        );
        amid += usize::from(names.len() == 3);
        let found = generation(&folder.open());
        assert!(told > saved && found >= told, "{saved} {told} {found}");
        saved = found;
    }
}

/// Starts a process that saves, kills it, and returns the number of the last reported save.
fn kill_one(folder: &Folder, random: &mut SeededRandom) -> u32 {
    let (mut child, lines) = start(folder.path());
    let mut told = 0;
    let mut took = Duration::ZERO;
    for _ in 0..=1 + random.below(3) {
        let began = Instant::now();
        told = lines.recv_timeout(DEADLINE).expect("the process saves");
        took = began.elapsed();
    }
    // The moment is uniform over the next save.
    let moment = took.mul_f64(random.below(1000) as f64 / 1000.0);
    let began = Instant::now();
    while began.elapsed() < moment {
        std::hint::spin_loop();
    }
    // On Unix this is SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    lines.iter().last().unwrap_or(told)
}

fn start(folder: &Path) -> (Child, Receiver<u32>) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", TEST, "--test-threads=1", "--nocapture"])
        .env(SAVING, "1")
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    // The thread ends with the writing process.
    thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if let Some((_, number)) = line.split_once(SAVED) {
                // The last line may be truncated.
                let _ = number.parse().map(|number| sender.send(number));
            }
        }
    });
    (child, lines)
}

/// Saves repeatedly, in each save all peers with its number. The file has a relative path.
fn save_for_ever() -> ! {
    let path = Path::new("peers.json");
    let opened = InMemoryPeerStore::open(path, Network::Regtest, 10_000, now());
    let (store, damaged) = opened.unwrap();
    assert_eq!(damaged, None);
    if store.list_all().unwrap().is_empty() {
        for number in 0..PEERS {
            store.create(peer(number), now()).unwrap();
        }
        store.write_bans(bans().list()).unwrap();
    }
    for number in generation(&store) + 1.. {
        for mut peer in store.list_all().unwrap() {
            peer.failures = number;
            store.update(peer).unwrap();
        }
        store.save().unwrap();
        println!("{SAVED}{number}");
    }
    unreachable!("it is killed long before");
}

/// Returns the number of the save that the whole store comes from.
fn generation(store: &InMemoryPeerStore) -> u32 {
    let peers = store.list_all().unwrap();
    assert_eq!(peers.len(), PEERS as usize);
    assert_eq!(store.read_bans().unwrap(), bans().list());
    let number = peers[0].failures;
    assert!(peers.iter().all(|peer: &Peer| peer.failures == number));
    number
}
