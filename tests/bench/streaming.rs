//! Speed and memory of streaming blocks, compared with hashing the same bytes in one thread.
//!
//! `cargo bench --manifest-path tests/bench/Cargo.toml --bench streaming` prints the table.
//! `-- speed` or `memory` runs one group.

#[path = "streaming/sender.rs"]
mod sender;
#[allow(dead_code, reason = "not every benchmark has every kind of aim")]
#[path = "connection/table.rs"]
mod table;

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bsv_p2p::connection::{
    BlockReader, BlockVisitor, PeerConnectionActor, PeerConnectionHandle, PeerConnectionOptions,
};
use bsv_p2p::event::ControlEvent;
use bsv_p2p::wire::{BlockHash, MerkleAccumulator, MerkleRoot, Txid};
use bsv_p2p::{ConnectionConfig, Network};
use sha2::{Digest, Sha256};

use self::sender::{HEADER_LEN, TRANSACTION_LEN};
use self::table::{Aim, print_row};

const GIBIBYTE: u64 = 1 << 30;
const ROUNDS: usize = 5;
/// The position of the merkle root in a block header.
const MERKLE_ROOT: Range<usize> = 36..68;
const PATIENCE: Duration = Duration::from_secs(120);

fn main() {
    let words: Vec<_> = std::env::args().skip(1).collect();
    if let [role, len] = &words[..]
        && role == "send"
    {
        return sender::run(len.parse().expect("a length"));
    }
    let wanted = |name: &str| {
        let mut named = words
            .iter()
            .filter(|word| !word.starts_with('-'))
            .peekable();
        named.peek().is_none() || named.any(|word| word == name)
    };
    table::print_head();
    if wanted("speed") {
        speed();
    }
    if wanted("memory") {
        memory();
    }
}

/// The sender, in a process of its own, and the description of its block.
struct Sender {
    process: Child,
    /// The address of a node that has the block.
    node: SocketAddr,
    /// The address at which the block's frame is sent to each client.
    raw: SocketAddr,
    block: BlockHash,
    len: u64,
}

impl Sender {
    fn start(len: u64) -> Self {
        let program = std::env::current_exe().expect("a program");
        let mut process = Command::new(program)
            .args(["send", &len.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let said = process.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(said).lines().map(|line| line.expect("text"));
        let mut next = || lines.next().expect("a line of the sender");
        Self {
            node: next().parse().expect("an address"),
            raw: next().parse().expect("an address"),
            block: next().parse().expect("a hash"),
            len: next().parse().expect("a length"),
            process,
        }
    }

    fn connect(&self) -> PeerConnectionHandle {
        let setup = PeerConnectionOptions::new(ConnectionConfig::new(Network::Regtest));
        let events = setup.events.subscribe_control();
        let handle = PeerConnectionActor::spawn_outbound(self.node, setup).expect("a thread");
        for event in events {
            match event.expect("an event") {
                ControlEvent::HandshakeComplete { .. } => return handle,
                ControlEvent::ConnectionEstablished { .. } => {}
                other => panic!("{other}"),
            }
        }
        unreachable!("the bus lives as long as the handle")
    }

    fn reader(&self, handle: &PeerConnectionHandle) -> BlockReader<'static> {
        handle
            .block_reader(self.block, PATIENCE)
            .expect("the block begins")
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Nobody;

impl BlockVisitor for Nobody {}

/// A block of one gibibyte, fully checked while it arrives, compared with the same hashes in one
/// thread.
fn speed() {
    let sender = Sender::start(GIBIBYTE);
    let handle = sender.connect();
    let (mut visited, mut read, mut limit) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        limit.push(seconds(|| hash_raw(&sender)));
        visited.push(seconds(|| {
            sender
                .reader(&handle)
                .visit(&mut Nobody)
                .expect("the block");
        }));
        read.push(seconds(|| {
            let mut reader = sender.reader(&handle);
            let mut buffer = vec![0; 256 * 1024];
            while reader.read(&mut buffer).expect("the block") > 0 {}
        }));
    }
    let rate = |seconds: f64| format!("{:.0} MB/s", sender.len as f64 / seconds / 1e6);
    for (what, times) in [("visited", &visited), ("read", &read)] {
        let ratio = median(limit.iter().zip(times).map(|(limit, time)| limit / time));
        print_row(
            &format!("stream a block of 1 GiB, {what}"),
            rate(median(times.iter().copied())),
            "`recv` and the same hashes",
            rate(median(limit.iter().copied())),
            ratio,
            Aim::AtLeast(0.9),
        );
    }
}

/// A block of five gibibytes, in an extended frame: the memory of this process.
fn memory() {
    let sender = Sender::start(5 * GIBIBYTE);
    let handle = sender.connect();
    let time = seconds(|| {
        sender
            .reader(&handle)
            .visit(&mut Nobody)
            .expect("the block")
    });
    let peak = peak_memory();
    let bare = seconds(|| receive_raw(&sender));
    let rate = |seconds: f64| format!("{:.0} MB/s", sender.len as f64 / seconds / 1e6);
    print_row(
        "resident memory while a block of 5 GiB is streamed",
        format!("{:.1} MiB, at {}", peak / 1024.0, rate(time)),
        "64 MiB; `recv` alone",
        rate(bare),
        peak / 1024.0 / 64.0,
        Aim::AtMost(1.0),
    );
}

fn seconds(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64()
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values = Vec::from_iter(values);
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Returns the maximum memory of this process, in KiB.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
    kib.expect("a peak").trim().parse().expect("a number")
}

/// The minimum work of streaming: receives the block and hashes payload, transactions and tree, in
/// one thread with a reused buffer.
fn hash_raw(sender: &Sender) {
    let mut stream = TcpStream::connect(sender.raw).expect("the sender");
    let mut header = [0; 24];
    stream.read_exact(&mut header).expect("a frame");
    let mut payload = Sha256::new();
    let mut tree = MerkleAccumulator::new();
    // The part of a transaction that arrived stays at the front. The first one is preceded by the
    // header and the count.
    let mut merkle_root = [0; 32];
    let mut buffer = vec![0; 256 * 1024];
    let (mut filled, mut left, mut skip) = (0, sender.len, HEADER_LEN);
    while left > 0 {
        let read = stream.read(&mut buffer[filled..]).expect("the block");
        assert_ne!(read, 0, "the sender has ended early");
        payload.update(&buffer[filled..filled + read]);
        (filled, left) = (filled + read, left - read as u64);
        let mut at = 0;
        if skip > 0 && filled >= skip {
            merkle_root.copy_from_slice(&buffer[MERKLE_ROOT]);
            (at, skip) = (skip, 0);
        }
        while skip == 0 && filled - at >= TRANSACTION_LEN {
            let transaction = &buffer[at..at + TRANSACTION_LEN];
            tree.push(Txid(Sha256::digest(Sha256::digest(transaction)).into()));
            at += TRANSACTION_LEN;
        }
        buffer.copy_within(at..filled, 0);
        filled -= at;
    }
    assert_eq!(tree.root(), (MerkleRoot(merkle_root), false));
    let hash = Sha256::digest(payload.finalize());
    assert_eq!(hash[..4], header[20..]);
}

fn receive_raw(sender: &Sender) {
    let mut stream = TcpStream::connect(sender.raw).expect("the sender");
    let mut buffer = vec![0; 256 * 1024];
    let mut left = sender.len + sender::frame_header_len(sender.len);
    while left > 0 {
        let read = stream.read(&mut buffer).expect("the block");
        assert_ne!(read, 0, "the sender has ended early");
        left -= read as u64;
    }
}
