//! A scripted name server on loopback, over UDP and TCP.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bsv_p2p::discovery::{Deadline, DnsResolver, ResolveError, SeedResolver};
use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::packets::Question;

/// Ten times the duration of any event that a test waits for.
pub(crate) const ENOUGH: Duration = Duration::from_secs(30);
/// Tolerance for late returns on a busy machine.
pub(crate) const SLACK: Duration = Duration::from_millis(900);

pub(crate) const SEED: &str = "seed.test";

/// The handling of a query over UDP: returns the packets to send.
type OverUdp = Box<dyn FnMut(&Question) -> Vec<Vec<u8>> + Send>;
/// The handling of a TCP connection after its query was read.
type OverTcp = Box<dyn FnMut(&Question, &mut Client) + Send>;

/// A running server; dropping it ends its threads.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    /// Each question, as it arrives.
    pub(crate) asked: Receiver<Question>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// A client that queries over TCP.
pub(crate) struct Client {
    stream: TcpStream,
}

impl NameServer {
    /// Answers each question over UDP with these packets, and nothing over TCP.
    pub(crate) fn udp(answer: impl FnMut(&Question) -> Vec<Vec<u8>> + Send + 'static) -> Self {
        Self::start(Ipv4Addr::LOCALHOST.into(), Box::new(answer), None)
    }

    /// Like [`Self::udp`], on another address of loopback.
    pub(crate) fn udp_on(
        ip: IpAddr,
        answer: impl FnMut(&Question) -> Vec<Vec<u8>> + Send + 'static,
    ) -> Self {
        Self::start(ip, Box::new(answer), None)
    }

    /// Answers over UDP that every answer is too long, and serves TCP with `serve`.
    pub(crate) fn tcp(serve: impl FnMut(&Question, &mut Client) + Send + 'static) -> Self {
        let truncate = |question: &Question| vec![question.truncated()];
        Self::start(
            Ipv4Addr::LOCALHOST.into(),
            Box::new(truncate),
            Some(Box::new(serve)),
        )
    }

    /// Returns a server that resolves every name to these addresses.
    pub(crate) fn good(addresses: &[IpAddr]) -> Self {
        let addresses = addresses.to_vec();
        Self::udp(move |question| vec![question.found(&addresses)])
    }

    /// Returns a server that never answers.
    pub(crate) fn silent() -> Self {
        Self::udp(|_| Vec::new())
    }

    fn start(ip: IpAddr, over_udp: OverUdp, over_tcp: Option<OverTcp>) -> Self {
        let (udp, tcp) = sockets(ip);
        let address = udp.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, asked) = unbounded();
        let mut threads = vec![thread::spawn({
            let (stop, sender) = (stop.clone(), sender.clone());
            move || serve_udp(&udp, over_udp, &stop, &sender)
        })];
        if let Some(over_tcp) = over_tcp {
            let stop = stop.clone();
            threads.push(thread::spawn(move || {
                serve_tcp(&tcp, over_tcp, &stop, &sender);
            }));
        }
        Self {
            address,
            asked,
            stop,
            threads,
        }
    }

    /// Waits for the next query.
    #[track_caller]
    pub(crate) fn next_question(&self) -> Question {
        self.asked.recv_timeout(ENOUGH).expect("a question")
    }

    /// Returns the number of queries since the last call.
    pub(crate) fn questions(&self) -> usize {
        self.asked.try_iter().count()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        // Both threads wait for a client.
        let any = SocketAddr::new(self.address.ip(), 0);
        let waker = UdpSocket::bind(any).unwrap();
        waker.send_to(&[], self.address).unwrap();
        let _ = TcpStream::connect(self.address);
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the server failed");
        }
    }
}

impl Client {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        // The client may be gone.
        let _ = self.stream.write_all(bytes);
    }

    /// Sends a packet after its length.
    pub(crate) fn send_packet(&mut self, packet: &[u8]) {
        let mut framed = (packet.len() as u16).to_be_bytes().to_vec();
        framed.extend(packet);
        self.send(&framed);
    }

    /// Sends this byte every ten milliseconds until the client closes.
    pub(crate) fn trickle(&mut self, byte: u8) {
        let pace = Duration::from_millis(10);
        self.stream.set_read_timeout(Some(pace)).unwrap();
        while self.stream.write_all(&[byte]).is_ok() {
            if matches!(self.stream.read(&mut [0]), Ok(0)) {
                return;
            }
        }
    }

    /// Waits until the client closes.
    pub(crate) fn wait_for_its_end(&mut self) {
        self.stream.set_read_timeout(Some(ENOUGH)).unwrap();
        while !matches!(self.stream.read(&mut [0; 64]), Ok(0) | Err(_)) {}
    }
}

/// Binds one port for both protocols.
fn sockets(ip: IpAddr) -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind((ip, 0)).unwrap();
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for UDP and TCP");
}

fn serve_udp(socket: &UdpSocket, mut answer: OverUdp, stop: &AtomicBool, asked: &Sender<Question>) {
    let mut packet = [0; 4096];
    loop {
        let (length, client) = socket.recv_from(&mut packet).unwrap();
        if stop.load(Ordering::Acquire) {
            return;
        }
        let question = Question::parse(&packet[..length]);
        let _ = asked.send(question.clone());
        for packet in answer(&question) {
            // The client may be gone.
            let _ = socket.send_to(&packet, client);
        }
    }
}

fn serve_tcp(
    listener: &TcpListener,
    mut serve: OverTcp,
    stop: &AtomicBool,
    asked: &Sender<Question>,
) {
    loop {
        let (mut stream, _) = listener.accept().unwrap();
        if stop.load(Ordering::Acquire) {
            return;
        }
        stream.set_read_timeout(Some(ENOUGH)).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut packet = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut packet).unwrap();
        let question = Question::parse(&packet);
        let _ = asked.send(question.clone());
        serve(&question, &mut Client { stream });
    }
}

/// Resolves the seed with these servers.
pub(crate) fn look_up(
    servers: &[&NameServer],
    timeout: Duration,
) -> Result<Vec<IpAddr>, ResolveError> {
    let servers = servers.iter().map(|server| server.address).collect();
    DnsResolver::new(servers).resolve(SEED, &Deadline::after(timeout))
}

/// Returns the duration and the result of `work`.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let began = Instant::now();
    let value = work();
    (began.elapsed(), value)
}
