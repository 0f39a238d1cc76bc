//! Dialing peers, in a process of their own that is controlled line by line and confirms each
//! command.

use std::io::{BufRead, BufReader, Read, Write, stdin};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bsv_p2p::Network;
use bsv_p2p::session::PROTOCOL_VERSION;
use bsv_p2p::wire::{
    AssociationId, CreateStrm, FrameReader, Incoming, Inv, Inventory, Message, NetworkAddress,
    PayloadLimits, Ping, Pong, Protoconf, Services, StreamAck, StreamPolicy, StreamType, Txid,
    Version, encode_frame,
};
use uuid::Uuid;

/// The number of threads that share the work.
const THREADS: usize = 4;
/// The number of pings in one write.
const PINGS_AT_ONCE: usize = 2_000;

/// A handle to the process.
pub(crate) struct Initiators {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Initiators {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let program = std::env::current_exe().expect("a program");
        let mut process = Command::new(program)
            .args(["initiate", &address.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let orders = process.stdin.take().expect("a pipe");
        let answers = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut initiators = Self {
            process,
            orders,
            answers,
        };
        initiators.wait();
        initiators
    }

    pub(crate) fn order(&mut self, what: &str) {
        writeln!(self.orders, "{what}").expect("a process that listens");
    }

    /// Waits until the process has executed the command.
    pub(crate) fn wait(&mut self) {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("text");
        assert_eq!(line, "done\n", "the initiators have failed");
    }
}

impl Drop for Initiators {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Runs the dialing process.
pub(crate) fn run(address: SocketAddr) {
    let mut peers = Vec::new();
    println!("done");
    for line in stdin().lines() {
        let line = line.expect("an order");
        let words: Vec<_> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<usize>().expect("a number");
        match words[0] {
            "connect" => peers = connect(address, number(1)),
            "open" => {
                peers = connect(address, number(1));
                shared(&mut peers, |peer| peer.open_second(address));
            }
            "bare" => peers = dial(address, number(1), Initiator::dial_bare),
            "disconnect" => peers.clear(),
            "inv" => shared(&mut peers, |peer| {
                peer.expect(|message| matches!(message, Message::Inv(_)));
            }),
            "announce" => announce(&peers, number(1), number(2)),
            "handshakes" => handshakes(address, number(1)),
            "pings" => ping(address, number(1)),
            other => panic!("nobody knows how to {other}"),
        }
        println!("done");
    }
}

fn shared(peers: &mut [Initiator], work: impl Fn(&mut Initiator) + Sync) {
    let part = peers.len().div_ceil(THREADS);
    thread::scope(|scope| {
        for peers in peers.chunks_mut(part) {
            let work = &work;
            scope.spawn(move || peers.iter_mut().for_each(work));
        }
    });
}

fn connect(address: SocketAddr, count: usize) -> Vec<Initiator> {
    let mut peers = dial(address, count, |address| {
        Initiator::dial(address, Uuid::new_v4())
    });
    shared(&mut peers, Initiator::answer_first_ping);
    peers
}

fn dial(
    address: SocketAddr,
    count: usize,
    dial: impl Fn(SocketAddr) -> Initiator + Copy + Send,
) -> Vec<Initiator> {
    thread::scope(|scope| {
        let some = |thread| {
            let part = (thread..count).step_by(THREADS);
            scope.spawn(move || part.map(|_| dial(address)).collect::<Vec<_>>())
        };
        let threads: Vec<_> = (0..THREADS).map(some).collect();
        let joined = threads.into_iter().map(|one| one.join().expect("peers"));
        joined.flatten().collect()
    })
}

/// Sends `count` messages of one `inv` at `rate` per second, from one peer after the other.
fn announce(peers: &[Initiator], rate: usize, count: usize) {
    let inv = Inv::from(vec![Inventory::Tx(Txid([7; 32]))]);
    let mut frame = Vec::new();
    encode_frame(Network::Regtest.magic(), &inv.into(), &mut frame);
    let begin = Instant::now();
    for (number, mut peer) in (0..count).zip(peers.iter().map(|peer| &peer.stream).cycle()) {
        let due = Duration::from_secs_f64(number as f64 / rate as f64);
        thread::sleep(due.saturating_sub(begin.elapsed()));
        peer.write_all(&frame).expect("a peer that reads");
    }
}

fn handshakes(address: SocketAddr, count: usize) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(move || {
                for _ in 0..count / THREADS {
                    Initiator::dial(address, Uuid::new_v4()).answer_first_ping();
                }
            });
        }
    });
}

fn ping(address: SocketAddr, count: usize) {
    let mut peer = Initiator::dial(address, Uuid::new_v4());
    peer.answer_first_ping();
    let mut writer = peer.stream.try_clone().expect("a second handle");
    thread::scope(|scope| {
        scope.spawn(move || {
            for first in (0..count).step_by(PINGS_AT_ONCE) {
                let nonces = first..count.min(first + PINGS_AT_ONCE);
                let mut bytes = Vec::new();
                for nonce in nonces {
                    let ping = Ping::new(nonce as u64).into();
                    encode_frame(Network::Regtest.magic(), &ping, &mut bytes);
                }
                writer.write_all(&bytes).expect("a peer that reads");
            }
        });
        for nonce in 0..count {
            // A node sends other messages, too.
            let message = peer.expect(|message| matches!(message, Message::Pong(_)));
            assert_eq!(message, Pong::new(nonce as u64).into());
        }
    });
}

/// A dialing peer.
struct Initiator {
    stream: TcpStream,
    frames: FrameReader,
    association_id: Uuid,
    /// Held open without traffic.
    second: Option<TcpStream>,
}

impl Initiator {
    /// Dials and sends all messages of a handshake.
    fn dial(address: SocketAddr, association_id: Uuid) -> Self {
        let mut peer = Self::dial_bare(address);
        peer.association_id = association_id;
        let greeting = greeting(association_id);
        peer.stream.write_all(&greeting).expect("a connection");
        peer
    }

    fn dial_bare(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a listener");
        stream.set_nodelay(true).expect("an option");
        let limits = PayloadLimits::default();
        Self {
            stream,
            frames: FrameReader::new(Network::Regtest.magic(), limits),
            association_id: Uuid::nil(),
            second: None,
        }
    }

    /// Dials a second stream.
    fn open_second(&mut self, address: SocketAddr) {
        let mut stream = TcpStream::connect(address).expect("a listener");
        let request = CreateStrm {
            association_id: AssociationId::Uuid(self.association_id),
            stream_type: StreamType::Data1,
            stream_policy: StreamPolicy::BlockPriority.name().into(),
        };
        let mut bytes = Vec::new();
        encode_frame(Network::Regtest.magic(), &request.into(), &mut bytes);
        stream.write_all(&bytes).expect("a connection");
        let ack = StreamAck {
            association_id: AssociationId::Uuid(self.association_id),
            stream_type: StreamType::Data1,
        };
        let mut expected = Vec::new();
        encode_frame(Network::Regtest.magic(), &ack.into(), &mut expected);
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer, expected, "no stream was taken");
        self.second = Some(stream);
    }

    fn answer_first_ping(&mut self) {
        let ping = self.expect(|message| matches!(message, Message::Ping(_)));
        let Message::Ping(Ping { nonce: Some(nonce) }) = ping else {
            unreachable!()
        };
        let mut pong = Vec::new();
        encode_frame(
            Network::Regtest.magic(),
            &Pong::new(nonce).into(),
            &mut pong,
        );
        self.stream.write_all(&pong).expect("a peer that reads");
    }

    /// Reads until `is_wanted`, and returns that message.
    fn expect(&mut self, is_wanted: impl Fn(&Message) -> bool) -> Message {
        loop {
            let message = self.next();
            if is_wanted(&message) {
                return message;
            }
        }
    }

    fn next(&mut self) -> Message {
        loop {
            if let Some(incoming) = self.frames.next_frame().expect("whole frames") {
                let Incoming::Frame(frame) = incoming else {
                    panic!("a damaged frame: {incoming:?}")
                };
                return Message::decode(frame.command, frame.payload).expect("a message");
            }
            let read = self.frames.read_from(&mut &self.stream);
            assert_ne!(read.expect("a connection"), 0, "it has been closed");
        }
    }
}

/// Returns the first messages of a peer.
fn greeting(association_id: Uuid) -> Vec<u8> {
    let address = NetworkAddress::unspecified(Services::NETWORK);
    let version = Version {
        version: PROTOCOL_VERSION,
        services: Services::NETWORK,
        timestamp: 0,
        receiver: address,
        sender: Some(address),
        nonce: Some(1),
        user_agent: Some("/Bitcoin SV:1.2.2/".into()),
        start_height: Some(0),
        relay: Some(true),
        association_id: Some(AssociationId::Uuid(association_id)),
    };
    let protoconf = Protoconf {
        max_receive_payload: 2_097_152,
        stream_policies: Some("BlockPriority,Default".into()),
    };
    let mut hello = Vec::new();
    for message in [version.into(), Message::Verack, protoconf.into()] {
        encode_frame(Network::Regtest.magic(), &message, &mut hello);
    }
    hello
}
