//! Small messages at the maximum rate of one connection.

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bitcoin::consensus::Decodable;
use bitcoin::p2p::message::RawNetworkMessage;
use bsv_p2p::event::BitcoinMessageEvent;
use bsv_p2p::wire::{Decode, Inv, Inventory, Message, Ping, Txid, sha256d};
use crossbeam_channel::{Receiver, bounded};

use crate::scripted::{self, Frames, MAGIC, Scripted};
use crate::table::{Aim, print_row};
use crate::timing::{Program, Turns, in_turns};

const TURNS: Turns = Turns {
    turn: Duration::from_millis(20),
    all: Duration::from_secs(8),
};
/// The capacity of a subscription queue.
const QUEUE: usize = 1024;
/// The read length of the bare loop: equal to that of the library.
const READ: usize = 64 * 1024;

/// Messages of one `inv`: all are delivered to a subscriber.
pub(crate) fn announcements() {
    let inv = announcement();
    let (bare_peer, stream) = scripted::peer(Vec::new());
    let bare = in_thread(move |send| read_bare(stream, |_, payload| send(payload)));
    let (bitcoin_peer, stream) = scripted::peer(Vec::new());
    let bitcoin = in_thread(move |send| read_bitcoin(stream, send));
    let (keeping_peer, stream) = scripted::peer(Vec::new());
    let keeping = in_thread(move |send| read_keeping(stream, send));
    let (our_peer, _actor, events) = scripted::peer_of_actor();
    let programs = [
        to_subscriber(&our_peer, &inv, || events.recv().ok(), is_announcement),
        to_subscriber(&bare_peer, &inv, || bare.recv().ok(), |_| true),
        to_subscriber(&bitcoin_peer, &inv, || bitcoin.recv().ok(), |_| true),
        to_subscriber(
            &keeping_peer,
            &inv,
            || keeping.recv().ok(),
            |kept| {
                matches!(
                    *kept.message,
                    Counted {
                        message: Message::Inv(_),
                        ..
                    }
                )
            },
        ),
    ];
    let work = "inv of one to a subscriber";
    let (times, [_, bare, bitcoin, keeping]) = in_turns(&TURNS, programs);
    report(work, &times, bare, bitcoin);
    print_row(
        work,
        nanoseconds(times[0]),
        "minimal implementation of the guarantees",
        nanoseconds(times[3]),
        keeping,
        Aim::AtLeast(0.8),
    );
}

/// Pings are answered and not delivered. The final `inv` shows that all were read. Their pongs have
/// been passed to the system by then.
pub(crate) fn pings() {
    let ping = Frames::of(&Ping::new(7).into());
    let last = announcement();
    let (bare_peer, stream) = scripted::peer(Vec::new());
    let answers = stream.try_clone().expect("a second handle");
    let bare = in_thread(move |send| answer_bare(stream, answers, send));
    let (bitcoin_peer, stream) = scripted::peer(Vec::new());
    let answers = stream.try_clone().expect("a second handle");
    let bitcoin = in_thread(move |send| answer_bitcoin(stream, answers, send));
    let (our_peer, _actor, events) = scripted::peer_of_actor();
    let programs = [
        answered(
            &our_peer,
            &ping,
            &last,
            || events.recv().ok(),
            is_announcement,
        ),
        answered(&bare_peer, &ping, &last, || bare.recv().ok(), |_| true),
        answered(
            &bitcoin_peer,
            &ping,
            &last,
            || bitcoin.recv().ok(),
            |_| true,
        ),
    ];
    let (times, [_, bare, bitcoin]) = in_turns(&TURNS, programs);
    report("ping, answered", &times, bare, bitcoin);
}

fn report(work: &str, times: &[f64], bare: f64, bitcoin: f64) {
    let ours = nanoseconds(times[0]);
    let limit = "read, SHA-256d, shared pointer, channel";
    let beside = nanoseconds(times[1]);
    print_row(work, &ours, limit, beside, bare, Aim::AtLeast(0.9));
    let limit = "loop with `bitcoin` 0.32";
    let beside = nanoseconds(times[2]);
    print_row(work, &ours, limit, beside, bitcoin, Aim::Above(1.0));
}

fn nanoseconds(seconds: f64) -> String {
    format!("{:.0} ns", seconds * 1e9)
}

fn announcement() -> Frames {
    let inv = Inv::from(vec![Inventory::Tx(Txid([7; 32]))]);
    Frames::of(&inv.into())
}

fn is_announcement(event: &BitcoinMessageEvent) -> bool {
    matches!(*event.message, Message::Inv(_))
}

fn to_subscriber<'a, T>(
    peer: &'a Scripted,
    frame: &'a Frames,
    receive: impl Fn() -> Option<T> + 'a,
    counts: impl Fn(&T) -> bool + 'a,
) -> Program<'a> {
    Box::new(move |count| {
        let begin = peer.send(frame, count);
        for _ in 0..count {
            assert!(counts(&receive().expect("a message")));
        }
        begin.elapsed()
    })
}

fn answered<'a, T>(
    peer: &'a Scripted,
    ping: &'a Frames,
    last: &'a Frames,
    receive: impl Fn() -> Option<T> + 'a,
    counts: impl Fn(&T) -> bool + 'a,
) -> Program<'a> {
    Box::new(move |count| {
        let begin = peer.send(ping, count);
        peer.send(last, 1);
        assert!(counts(&receive().expect("a message")));
        begin.elapsed()
    })
}

/// Runs `read` in a thread, with a channel of the same capacity as a subscription.
fn in_thread<T: Send + 'static>(read: impl FnOnce(&dyn Fn(T)) + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = bounded(QUEUE);
    thread::spawn(move || {
        read(&|message| {
            // The receiver may be gone at the end.
            let _ = sender.send(message);
        });
    });
    receiver
}

/// Passes command and payload of each frame to `each`, with a shared pointer.
fn read_bare(stream: TcpStream, mut each: impl FnMut([u8; 12], Arc<[u8]>)) {
    read_frames(stream, |command, payload| each(command, payload.into()));
}

/// Reads frames, and passes command and payload of each with a valid checksum to `each`.
fn read_frames(stream: TcpStream, mut each: impl FnMut([u8; 12], &[u8])) {
    let mut reader = BufReader::with_capacity(READ, stream);
    let mut header = [0; 24];
    let mut payload = [0; 1024];
    while reader.read_exact(&mut header).is_ok() {
        assert_eq!(header[..4], MAGIC.0);
        let len = u32::from_le_bytes([header[16], header[17], header[18], header[19]]);
        let payload = &mut payload[..len as usize];
        reader.read_exact(payload).expect("a payload");
        // The same hash function as the library.
        let hash = sha256d(payload).0;
        assert_eq!(hash[..4], header[20..]);
        let [_, _, _, _, command @ .., _, _, _, _, _, _, _, _] = header;
        each(command, payload);
    }
}

/// Answers each ping with a write of its own as soon as its frame is complete.
fn answer_bare(stream: TcpStream, mut answers: TcpStream, send: &dyn Fn(Arc<[u8]>)) {
    let mut answer = [0; 32];
    answer[..4].copy_from_slice(&MAGIC.0);
    answer[4..8].copy_from_slice(b"pong");
    answer[16] = 8;
    read_bare(stream, |command, payload| {
        if command.starts_with(b"ping") {
            answer[20..24].copy_from_slice(&sha256d(&payload).0[..4]);
            answer[24..].copy_from_slice(&payload);
            answers.write_all(&answer).expect("an answer");
        } else {
            send(payload);
        }
    });
}

fn read_bitcoin(stream: TcpStream, send: &dyn Fn(RawNetworkMessage)) {
    let mut reader = BufReader::with_capacity(READ, stream);
    while let Ok(message) = RawNetworkMessage::consensus_decode(&mut reader) {
        send(message);
    }
}

fn answer_bitcoin(stream: TcpStream, mut answers: TcpStream, send: &dyn Fn(RawNetworkMessage)) {
    use bitcoin::consensus::serialize;
    use bitcoin::p2p::message::NetworkMessage;
    let mut reader = BufReader::with_capacity(READ, stream);
    while let Ok(message) = RawNetworkMessage::consensus_decode(&mut reader) {
        match message.payload() {
            NetworkMessage::Ping(nonce) => {
                let pong = NetworkMessage::Pong(*nonce);
                let answer = RawNetworkMessage::new(*message.magic(), pong);
                answers.write_all(&serialize(&answer)).expect("an answer");
            }
            _ => send(message),
        }
    }
}

/// A message that [`read_keeping`] delivers to a subscriber.
struct Kept {
    #[allow(dead_code, reason = "a subscriber wants to know who has sent it")]
    peer: u128,
    message: Arc<Counted>,
}

/// A message whose payload counts until its last holder drops it.
struct Counted {
    message: Message,
    len: u64,
    memory: Arc<AtomicU64>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.memory.fetch_sub(self.len, Relaxed);
    }
}

/// Totals of the messages of one kind.
#[derive(Default)]
struct Sums {
    messages: AtomicU64,
    bytes: AtomicU64,
}

/// The bare loop plus the minimum work of a connection: typed messages with their sender, bounded
/// payload memory, counters for each kind, and a state for other threads.
fn read_keeping(stream: TcpStream, send: &dyn Fn(Kept)) {
    let memory = Arc::new(AtomicU64::new(0));
    let sums: HashMap<[u8; 12], Sums> = [*b"inv\0\0\0\0\0\0\0\0\0", *b"ping\0\0\0\0\0\0\0\0"]
        .map(|command| (command, Sums::default()))
        .into();
    let state = Mutex::new(Instant::now());
    read_frames(stream, |command, payload| {
        let Some(sums) = sums.get(&command) else {
            return;
        };
        let len = payload.len() as u64;
        sums.messages.fetch_add(1, Relaxed);
        sums.bytes.fetch_add(len, Relaxed);
        let used = memory.fetch_add(len, Relaxed);
        assert!(used < 64 * 1024 * 1024, "no room");
        let message = Inv::decode_from(payload).expect("an inv").into();
        *state.lock().expect("nobody panics") = Instant::now();
        send(Kept {
            peer: 7,
            message: Arc::new(Counted {
                message,
                len,
                memory: memory.clone(),
            }),
        });
    });
}
