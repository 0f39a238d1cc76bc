//! The CPU time of small messages from many peers to one subscriber.
//!
//! The baseline is one thread per socket that reads, verifies the checksum, and passes the payload
//! on through a shared pointer and a channel. It waits for each message like a manager, so it shows
//! the part of the system in the CPU time.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::Manager;
use bsv_p2p::connection::EventReceiver;
use bsv_p2p::event::BitcoinMessageEvent;
use bsv_p2p::wire::{Message, sha256d};
use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::initiators::Initiators;
use crate::table::{Aim, print_row};
use crate::{MAX_PEERS, PATIENCE, PEERS, listening, median, process};

const ROUNDS: usize = 7;
/// The duration of a turn of [`announcements`], in seconds.
const SECONDS: u32 = 3;
/// The numbers of connected peers of [`scaling`].
const SIZES: [usize; 4] = [10, 100, 1_000, MAX_PEERS];
/// The messages per second of all peers in [`scaling`]. Each peer sends at least two, so that the
/// timeouts of idle reads do not count.
const RATE: u32 = 10_000;

/// A thousand peers: each sends one inv per second.
pub(crate) fn announcements() {
    let mut manager = Subscribed::start();
    let mut bare = Bare::start();
    manager.connect(PEERS);
    bare.connect(PEERS);
    let rate = PEERS as u32;
    let percent = |cpu: Duration| cpu.as_secs_f64() / f64::from(SECONDS) * 100.0;
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            // Idle threads of the other one run, too.
            let idle = measure(|| thread::sleep(Duration::from_secs(SECONDS.into())));
            let ours = measure(|| manager.receive(rate, rate * SECONDS));
            let theirs = measure(|| bare.receive(rate, rate * SECONDS));
            [
                percent(idle),
                percent(ours),
                percent(theirs) - percent(idle),
            ]
        })
        .collect();
    let [idle, ours, theirs] = [0, 1, 2].map(|i| median(rounds.iter().map(|r| r[i]).collect()));
    print_row(
        "1,000 peers, one inv per second each to one subscriber, share of a core",
        format!("{ours:.1} %"),
        &format!("at most; idle {idle:.1} %, bare threads {theirs:.1} %"),
        "3.0 %",
        ours / 3.0,
        Aim::AtMost(1.0),
    );
}

/// The CPU time of a message, with different numbers of connected peers.
pub(crate) fn scaling() {
    let mut manager = Subscribed::start();
    let mut bare = Bare::start();
    let per_message = |cpu: Duration| cpu.as_secs_f64() / f64::from(RATE) * 1e6;
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let round = SIZES.map(|peers| {
            manager.connect(peers);
            let ours = per_message(measure(|| manager.receive(RATE, RATE)));
            manager.disconnect();
            bare.connect(peers);
            let theirs = per_message(measure(|| bare.receive(RATE, RATE)));
            bare.disconnect();
            [ours, theirs]
        });
        rounds.push(round);
    }
    let of = |size: usize, program: usize| {
        median(rounds.iter().map(|round| round[size][program]).collect())
    };
    let growth = |size: usize, program: usize| {
        let ratio = |round: &[[f64; 2]; 4]| round[size][program] / round[0][program];
        median(rounds.iter().map(ratio).collect())
    };
    let microseconds = |time: f64| format!("{time:.1} µs");
    for (size, peers) in SIZES.into_iter().enumerate().skip(1) {
        print_row(
            &format!("CPU time of an inv from one of {peers} peers"),
            microseconds(of(size, 0)),
            &format!("10 peers; bare threads {:.2}", growth(size, 1)),
            microseconds(of(0, 0)),
            growth(size, 0),
            Aim::AtMost(1.2),
        );
    }
    let last = SIZES.len() - 1;
    let beside = |round: &[[f64; 2]; 4]| round[last][0] / round[last][1];
    print_row(
        &format!("CPU time of an inv from one of {MAX_PEERS} peers"),
        microseconds(of(last, 0)),
        "bare threads",
        microseconds(of(last, 1)),
        median(rounds.iter().map(beside).collect()),
        Aim::AtMost(2.0),
    );
}

/// Returns the CPU time of this process during `work`.
fn measure(work: impl FnOnce()) -> Duration {
    let before = process::cpu();
    work();
    process::cpu() - before
}

/// A manager with one subscriber, and its peers.
struct Subscribed {
    manager: Manager,
    events: EventReceiver<BitcoinMessageEvent>,
    initiators: Initiators,
}

impl Subscribed {
    fn start() -> Self {
        let (manager, address) = listening();
        Self {
            events: manager.subscribe_messages(),
            initiators: Initiators::start(address),
            manager,
        }
    }

    fn connect(&mut self, peers: usize) {
        self.initiators.order(&format!("connect {peers}"));
        let all = self.manager.wait_for_peers(peers, PATIENCE);
        all.expect("all handshakes complete");
        self.initiators.wait();
        // Every thread has waited for a message once.
        self.receive(RATE, peers as u32);
    }

    fn receive(&mut self, rate: u32, count: u32) {
        self.initiators.order(&format!("announce {rate} {count}"));
        let is_inv = |event: BitcoinMessageEvent| matches!(*event.message, Message::Inv(_));
        let mut left = count;
        while left > 0 {
            let event = self.events.recv_timeout(PATIENCE).expect("a message");
            left -= u32::from(is_inv(event));
        }
        self.initiators.wait();
    }

    fn disconnect(&mut self) {
        self.initiators.order("disconnect");
        self.initiators.wait();
        let deadline = Instant::now() + PATIENCE;
        while self.manager.connected_count() > 0 {
            assert!(Instant::now() < deadline, "connections do not end");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

type Payload = Arc<[u8]>;

/// Threads that read one socket each, and its peers.
struct Bare {
    listener: TcpListener,
    messages: (Sender<Payload>, Receiver<Payload>),
    threads: Vec<thread::JoinHandle<()>>,
    initiators: Initiators,
}

impl Bare {
    fn start() -> Self {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let listener = TcpListener::bind(any).expect("a listener");
        let address = listener.local_addr().expect("an address");
        Self {
            listener,
            messages: unbounded(),
            threads: Vec::new(),
            initiators: Initiators::start(address),
        }
    }

    fn connect(&mut self, peers: usize) {
        self.initiators.order(&format!("bare {peers}"));
        for _ in 0..peers {
            let (stream, _) = self.listener.accept().expect("a connection");
            let send = self.messages.0.clone();
            let read = move || read_frames(&stream, &send);
            self.threads.push(thread::spawn(read));
        }
        self.initiators.wait();
        self.receive(RATE, peers as u32);
    }

    fn receive(&mut self, rate: u32, count: u32) {
        self.initiators.order(&format!("announce {rate} {count}"));
        for _ in 0..count {
            self.messages.1.recv_timeout(PATIENCE).expect("a message");
        }
        self.initiators.wait();
    }

    fn disconnect(&mut self) {
        self.initiators.order("disconnect");
        self.initiators.wait();
        for thread in self.threads.drain(..) {
            thread.join().expect("no panic");
        }
    }
}

/// Reads frames until the end of the stream, into a buffer like that of a quiet peer.
fn read_frames(mut stream: &TcpStream, send: &Sender<Payload>) {
    let mut buffer = [0; 1024];
    let mut filled = 0;
    loop {
        match stream.read(&mut buffer[filled..]) {
            Ok(read) if read > 0 => filled += read,
            _ => return,
        }
        let mut start = 0;
        while let Some((header, rest)) = buffer[start..filled].split_first_chunk::<24>() {
            let len = u32::from_le_bytes([header[16], header[17], header[18], header[19]]);
            let Some(payload) = rest.get(..len as usize) else {
                break;
            };
            assert_eq!(sha256d(payload).0[..4], header[20..]);
            // The receiver may be gone at the end.
            let _ = send.send(payload.into());
            start += 24 + payload.len();
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
    }
}
