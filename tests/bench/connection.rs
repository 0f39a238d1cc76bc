//! How fast connections are, each figure beside the physical limit that runs in the same process.
//!
//! `cargo bench --manifest-path tests/bench/Cargo.toml --bench connection` prints the table. Each pair of programs is run in
//! turns, several rounds, and the median counts.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::connection::{EventBus, PeerConnectionActor, PeerConnectionSetup};
use bsv_p2p::event::Event;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::session::{PROTOCOL_VERSION, UserAgentPolicy};
use bsv_p2p::wire::{
    Block, BlockHeader, EncodedFrame, Message, NetworkAddress, OutPoint, Protoconf, Services,
    Transaction, TransactionInput, TransactionOutput, Txid, Version, encode_frame,
};
use bsv_p2p::{Connection, ConnectionConfig, Network};
use sha2::{Digest, Sha256};

const ROUNDS: usize = 7;
const TIMEOUT: Duration = Duration::from_secs(10);

fn main() {
    println!("| work | this library | limit | ratio | aim |");
    println!("| --- | --- | --- | --- | --- |");
    for (size, count) in [(1, 400), (4, 100), (30, 14)] {
        receive_blocks(size * 1_000_000, count);
    }
    ping();
}

/// Blocks over loopback: received, checksum verified, ready to iterate. The limit receives as many bytes into a fresh
/// buffer of that size and hashes them while they are hot in the cache.
fn receive_blocks(size: usize, count: usize) {
    let frame = block_frame(size);
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(receive_raw(&frame, count));
        times[1].push(receive_by_connection(&frame, count));
        times[2].push(receive_by_actor(&frame, count));
    }
    let bytes = (frame.len() * count) as f64;
    let speed = |times: &mut Vec<Duration>| bytes / median(times).as_secs_f64() / 1e6;
    let [limit, connection, actor] = times.each_mut().map(speed);
    let megabytes = size / 1_000_000;
    for (who, speed) in [("Connection", connection), ("actor", actor)] {
        println!(
            "| receive blocks of {megabytes} MB, {who} | {speed:.0} MB/s | {limit:.0} MB/s | {:.2} | >= 0.9 |",
            speed / limit
        );
    }
}

/// A ping and its pong, from a connection to an actor. The limit sends as many bytes to and fro without looking at them.
fn ping() {
    const PINGS: u32 = 20_000;
    let node = LocalNode::start().expect("a local node");
    let config = ConnectionConfig::new(Network::Regtest);
    let address = node.address().to_string();
    let mut connection = Connection::connect(&address, &config).expect("a connection");
    let mut times: [Vec<Duration>; 2] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(echo(PINGS));
        let begin = Instant::now();
        for _ in 0..PINGS {
            connection.ping(TIMEOUT).expect("a pong");
        }
        times[1].push(begin.elapsed());
    }
    let [limit, ping] = times
        .each_mut()
        .map(|times| median(times).as_secs_f64() * 1e6 / f64::from(PINGS));
    println!(
        "| ping round trip | {ping:.1} µs | {limit:.1} µs | {:.2} | <= 2.0 |",
        ping / limit
    );
}

fn receive_raw(frame: &EncodedFrame, count: usize) -> Duration {
    let bytes = whole(frame);
    run_against(
        move |stream| send(stream, &bytes, count),
        |mut stream| {
            let begin = Instant::now();
            for _ in 0..count {
                let mut header = [0; 24];
                stream.read_exact(&mut header).expect("a header");
                let mut payload = vec![0; frame.payload().len()];
                let mut hasher = Sha256::new();
                let mut filled = 0;
                while filled < payload.len() {
                    let end = payload.len().min(filled + 256 * 1024);
                    let read = stream.read(&mut payload[filled..end]).expect("payload");
                    assert_ne!(read, 0, "the sender has ended early");
                    hasher.update(&payload[filled..filled + read]);
                    filled += read;
                }
                let hash = Sha256::digest(hasher.finalize());
                assert_eq!(hash[..4], header[20..]);
            }
            begin.elapsed()
        },
    )
}

fn receive_by_connection(frame: &EncodedFrame, count: usize) -> Duration {
    let bytes = whole(frame);
    run_against(
        move |stream| shake_hands_and_send(stream, &bytes, count),
        |stream| {
            let mut connection =
                Connection::accept(stream, &config(), &Default::default()).expect("a handshake");
            let begin = Instant::now();
            for _ in 0..count {
                let message = connection.receive().expect("a block");
                assert!(matches!(message, Message::Block(_)));
            }
            begin.elapsed()
        },
    )
}

fn receive_by_actor(frame: &EncodedFrame, count: usize) -> Duration {
    let bytes = whole(frame);
    run_against(
        move |stream| shake_hands_and_send(stream, &bytes, count),
        |stream| {
            let bus = EventBus::new();
            let events = bus.subscribe();
            let setup = PeerConnectionSetup {
                events: bus,
                ..PeerConnectionSetup::new(config())
            };
            let _peer = PeerConnectionActor::spawn_inbound(stream, setup).expect("a thread");
            let mut begin = Instant::now();
            let mut left = count;
            while left > 0 {
                match events.recv_timeout(TIMEOUT).expect("an event") {
                    Event::Control(_) => begin = Instant::now(),
                    Event::Message(event) => {
                        assert!(matches!(*event.message, Message::Block(_)));
                        left -= 1;
                    }
                }
            }
            begin.elapsed()
        },
    )
}

/// Runs a sender in a thread of its own and a receiver here, with a connection between them.
fn run_against(
    sender: impl FnOnce(TcpStream) + Send + 'static,
    receiver: impl FnOnce(TcpStream) -> Duration,
) -> Duration {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address");
    let sending = thread::spawn(move || sender(TcpStream::connect(address).expect("a connection")));
    let (stream, _) = listener.accept().expect("a connection");
    let time = receiver(stream);
    sending.join().expect("the sender");
    time
}

fn send(mut stream: TcpStream, bytes: &[u8], count: usize) {
    for _ in 0..count {
        if stream.write_all(bytes).is_err() {
            return;
        }
    }
}

/// Says what a node says and sends frames that are encoded already, so that only the receiver is measured.
fn shake_hands_and_send(mut stream: TcpStream, bytes: &[u8], count: usize) {
    let address = NetworkAddress::unset(Services::NETWORK);
    let version = Version {
        version: PROTOCOL_VERSION,
        services: Services::NETWORK,
        timestamp: 0,
        receiver: address,
        sender: Some(address),
        nonce: Some(1),
        user_agent: Some("/bench:1/".into()),
        start_height: Some(0),
        relay: Some(true),
        association_id: None,
    };
    let protoconf = Protoconf {
        max_receive_payload: 2_097_152,
        stream_policies: None,
    };
    let mut hello = Vec::new();
    for message in [version.into(), Message::Verack, protoconf.into()] {
        encode_frame(Network::Regtest.magic(), &message, &mut hello);
    }
    stream.write_all(&hello).expect("a handshake");
    let mut answers = stream.try_clone().expect("a second handle");
    send(stream, bytes, count);
    // What is unread when a socket is closed makes the system reset the connection, and drop what was sent.
    let _ = std::io::copy(&mut answers, &mut std::io::sink());
}

fn echo(count: u32) -> Duration {
    const LEN: usize = 32;
    let echoing = move |mut stream: TcpStream| {
        stream.set_nodelay(true).expect("an option");
        let mut bytes = [0; LEN];
        for _ in 0..count {
            stream.read_exact(&mut bytes).expect("a question");
            stream.write_all(&bytes).expect("an answer");
        }
    };
    run_against(echoing, |mut stream| {
        stream.set_nodelay(true).expect("an option");
        let mut bytes = [0; LEN];
        let begin = Instant::now();
        for _ in 0..count {
            stream.write_all(&bytes).expect("a question");
            stream.read_exact(&mut bytes).expect("an answer");
        }
        begin.elapsed()
    })
}

fn config() -> ConnectionConfig {
    let mut config = ConnectionConfig::new(Network::Regtest);
    config.session.user_agents = UserAgentPolicy::Any;
    config
}

/// A frame with a block of about `size` bytes in transactions of about 500.
fn block_frame(size: usize) -> EncodedFrame {
    let transaction = Transaction {
        version: 1,
        inputs: vec![
            TransactionInput {
                previous: OutPoint {
                    txid: Txid([7; 32]),
                    index: 0
                },
                script: vec![0x55; 107],
                sequence: u32::MAX,
            };
            2
        ],
        outputs: vec![
            TransactionOutput {
                value: 1_000,
                script: vec![0x55; 25]
            };
            5
        ],
        lock_time: 0,
    };
    let transactions = vec![transaction; size / 480];
    let block = Block::new(&BlockHeader::genesis(Network::Regtest), &transactions);
    EncodedFrame::new(Network::Regtest.magic(), &block.into())
}

fn whole(frame: &EncodedFrame) -> Vec<u8> {
    [frame.header(), frame.payload()].concat()
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times[times.len() / 2]
}
