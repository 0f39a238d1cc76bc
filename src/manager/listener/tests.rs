//! Tests of the listener: accepting, backpressure and shutdown.

use std::collections::HashSet;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::time::Instant;

use crossbeam_channel::Receiver;
use socket2::{Domain, Socket, Type};

use super::*;
use crate::peers::BanConfig;

mod descriptors;

/// Timeout of operations that usually take less than a second.
const DEADLINE: Duration = Duration::from_secs(10);
const HOUR: Duration = Duration::from_secs(3600);
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn bans(subnets: &[&str]) -> Arc<RwLock<BanList>> {
    let mut list = BanList::new(BanConfig::default());
    for subnet in subnets {
        let subnet = subnet.parse().unwrap();
        let now = std::time::SystemTime::now();
        list.ban(subnet, BanReason::Manual, None, now).unwrap();
    }
    Arc::new(RwLock::new(list))
}

fn start_at(
    address: SocketAddr,
    bind_retry: Duration,
    room: usize,
) -> (Listener, Receiver<ListenerNews>) {
    let (sender, news) = bounded(room);
    let listener = Listener::start(address, bind_retry, bans(&["127.0.0.2"]), sender).unwrap();
    (listener, news)
}

#[track_caller]
fn next(news: &Receiver<ListenerNews>) -> ListenerNews {
    news.recv_timeout(DEADLINE).expect("news in time")
}

#[track_caller]
fn started(news: &Receiver<ListenerNews>) -> SocketAddr {
    match next(news) {
        ListenerNews::Started { address } => address,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn accepted(news: &Receiver<ListenerNews>) -> (TcpStream, SocketAddr) {
    match next(news) {
        ListenerNews::Accepted { stream, address } => (stream, address),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn bind_failed(news: &Receiver<ListenerNews>) -> (SocketAddr, SystemError, Duration) {
    match next(news) {
        ListenerNews::BindFailed {
            address,
            error,
            retry_after,
        } => (address, error, retry_after),
        other => panic!("{other:?}"),
    }
}

/// Connects from a chosen source address.
fn dial_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect_timeout(&to.into(), DEADLINE).unwrap();
    socket.into()
}

/// Waits until the remote side has closed or reset the connection.
#[track_caller]
fn expect_end(mut stream: &TcpStream) {
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    match stream.read(&mut [0]) {
        Ok(0) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        other => panic!("the connection has not ended: {other:?}"),
    }
}

/// Stops the listener, and panics if that does not finish in time.
#[track_caller]
fn stop(listener: Listener) {
    let (done, is_done) = bounded(1);
    thread::spawn(move || {
        listener.stop();
        done.send(())
    });
    is_done
        .recv_timeout(DEADLINE)
        .expect("the listener ends in time");
}

#[test]
fn listener_reports_chosen_port_and_accepts() {
    let (_listener, news) = start_at(ANY, HOUR, 8);
    let address = started(&news);
    assert_eq!(address.ip(), ANY.ip());
    assert_ne!(address.port(), 0);
    let client = TcpStream::connect(address).unwrap();
    let (stream, from) = accepted(&news);
    assert_eq!(from, client.local_addr().unwrap());
    assert_eq!(stream.peer_addr().unwrap(), from);
}

#[test]
fn unspecified_ipv6_listener_accepts_ipv4() {
    let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let (_listener, news) = start_at(everywhere, HOUR, 8);
    let port = started(&news).port();

    let by_4 = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    assert_eq!(accepted(&news).1, by_4.local_addr().unwrap());
    let by_6 = TcpStream::connect((Ipv6Addr::LOCALHOST, port)).unwrap();
    assert_eq!(accepted(&news).1, by_6.local_addr().unwrap());

    // A ban of an IPv4 address also applies to connections accepted by the IPv6 socket.
    let banned = dial_from([127, 0, 0, 2], (Ipv4Addr::LOCALHOST, port).into());
    expect_end(&banned);
    assert!(matches!(next(&news), ListenerNews::Refused { address, .. }
        if address == banned.local_addr().unwrap()));
}

#[test]
fn specific_ipv6_listener_rejects_ipv4() {
    let (_listener, news) = start_at((Ipv6Addr::LOCALHOST, 0).into(), HOUR, 8);
    let port = started(&news).port();
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

#[test]
fn banned_address_is_closed_and_reported() {
    let (sender, news) = bounded(8);
    let bans = bans(&["127.0.0.2"]);
    let _listener = Listener::start(ANY, HOUR, bans.clone(), sender).unwrap();
    let address = started(&news);

    let banned = dial_from([127, 0, 0, 2], address);
    let welcome = dial_from([127, 0, 0, 3], address);
    expect_end(&banned);
    let refused = next(&news);
    let ListenerNews::Refused {
        address: from,
        reason,
    } = refused
    else {
        panic!("{refused:?}");
    };
    assert_eq!(from, banned.local_addr().unwrap());
    assert_eq!(reason, BanReason::Manual);
    assert_eq!(accepted(&news).1, welcome.local_addr().unwrap());

    // Lifting a ban takes effect immediately.
    bans.write().unban(&"127.0.0.2".parse().unwrap());
    let forgiven = dial_from([127, 0, 0, 2], address);
    assert_eq!(accepted(&news).1, forgiven.local_addr().unwrap());
}

#[test]
fn banned_connections_do_not_wait_for_receiver() {
    let (_listener, news) = start_at(ANY, HOUR, 3);
    let address = started(&news);
    // Connections far beyond the capacity of the channel are closed although nothing is received.
    for _ in 0..100 {
        expect_end(&dial_from([127, 0, 0, 2], address));
    }
    assert!(news.is_full());
    let welcome = dial_from([127, 0, 0, 3], address);
    // The last event may be sent while earlier ones are received.
    let mut refused = 0;
    let from = loop {
        match next(&news) {
            ListenerNews::Refused { .. } => refused += 1,
            ListenerNews::Accepted { address, .. } => break address,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(from, welcome.local_addr().unwrap());
    assert!((3..=4).contains(&refused), "{refused}");
}

#[test]
fn full_channel_delays_connections_without_loss() {
    let (_listener, news) = start_at(ANY, HOUR, 2);
    let address = started(&news);
    let clients: Vec<_> = (0..50)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let expected: HashSet<_> = clients.iter().map(|c| c.local_addr().unwrap()).collect();
    let mut came = HashSet::new();
    for _ in 0..clients.len() {
        let (stream, from) = accepted(&news);
        assert!(came.insert(from), "{from} came twice");
        drop(stream);
    }
    assert_eq!(came, expected);
}

#[test]
fn busy_port_is_reported_and_retried() {
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap();
    let retry = Duration::from_millis(10);
    let (_listener, news) = start_at(address, retry, 1);
    for _ in 0..2 {
        let failed = bind_failed(&news);
        assert_eq!((failed.0, failed.2), (address, retry));
        assert_eq!(failed.1.kind, io::ErrorKind::AddrInUse);
    }
    drop(taken);
    let deadline = Instant::now() + DEADLINE;
    loop {
        match next(&news) {
            ListenerNews::Started { address: at } => break assert_eq!(at, address),
            news => assert!(Instant::now() < deadline, "{news:?}"),
        }
    }
    let client = TcpStream::connect(address).unwrap();
    assert_eq!(accepted(&news).1, client.local_addr().unwrap());
}

#[test]
fn second_listener_on_one_port_fails() {
    let (first, news) = start_at(ANY, HOUR, 8);
    let address = started(&news);
    let (second, refused) = start_at(address, HOUR, 8);
    assert_eq!(bind_failed(&refused).1.kind, io::ErrorKind::AddrInUse);
    stop(second);
    stop(first);
}

#[test]
fn stopped_listener_frees_port_at_once() {
    let (mut listener, mut news) = start_at(ANY, HOUR, 8);
    let address = started(&news);
    for _ in 0..20 {
        let client = TcpStream::connect(address).unwrap();
        drop(accepted(&news));
        drop(client);
        stop(listener);
        // The thread has ended and dropped its sender.
        assert!(news.recv_timeout(DEADLINE).unwrap_err().is_disconnected());
        (listener, news) = start_at(address, HOUR, 8);
        assert_eq!(started(&news), address);
    }
}

#[test]
fn listener_waiting_to_bind_stops_at_once() {
    let taken = TcpListener::bind(ANY).unwrap();
    let (listener, news) = start_at(taken.local_addr().unwrap(), HOUR, 8);
    bind_failed(&news);
    stop(listener);
}

#[test]
fn stop_closes_waiting_connections() {
    for round in 0..50 {
        let (listener, news) = start_at(ANY, HOUR, 0);
        let address = started(&news);
        // The connection is held by the thread or in the backlog, because the channel has no
        // capacity.
        let client = (round % 2 == 0).then(|| TcpStream::connect(address).unwrap());
        stop(listener);
        if let Some(client) = client {
            expect_end(&client);
        }
    }
}

#[test]
fn listener_waiting_for_capacity_stops_at_once() {
    for _ in 0..20 {
        let (listener, news) = start_at(ANY, HOUR, 0);
        stop(listener);
        assert!(news.try_recv().is_err());
    }
}

#[test]
fn listener_without_receiver_ends_and_frees_port() {
    let (_listener, news) = start_at(ANY, HOUR, 8);
    let address = started(&news);
    drop(news);
    expect_end(&TcpStream::connect(address).unwrap());
    let (_next, news) = start_at(address, Duration::from_millis(10), 8);
    let deadline = Instant::now() + DEADLINE;
    while let ListenerNews::BindFailed { .. } = next(&news) {
        assert!(Instant::now() < deadline, "the port is not free");
    }
}

/// Errors of one connection or of the process must not restart the listener.
#[cfg(target_os = "linux")]
#[test]
fn only_socket_errors_restart_the_listener() {
    let (sender, news) = bounded(64);
    let (stop, stopped) = bounded(0);
    let accepting = Accepting {
        address: ANY,
        bind_retry: HOUR,
        bans: bans(&[]),
        news: sender,
        open: Arc::default(),
        stopped,
    };
    let pair = || {
        let socket = TcpListener::bind(ANY).unwrap();
        let _client = TcpStream::connect(socket.local_addr().unwrap()).unwrap();
        socket.accept()
    };
    let codes = [
        libc::ECONNABORTED,
        libc::ENETDOWN,
        libc::EPROTO,
        libc::EPERM,
        libc::EMFILE,
        libc::EMFILE,
        libc::ENFILE,
        0,
        libc::EMFILE,
        libc::EHOSTUNREACH,
        0,
        libc::EINVAL,
    ];
    let mut codes_left = codes.iter();
    let end = accepting.accept_all(|| match codes_left.next().unwrap() {
        0 => pair(),
        code => Err(io::Error::from_raw_os_error(*code)),
    });
    assert_eq!(end.unwrap().raw_os_error(), Some(libc::EINVAL));
    drop((accepting, stop));
    let reported: Vec<_> = news
        .iter()
        .map(|news| match news {
            ListenerNews::Accepted { .. } => 0,
            ListenerNews::LocalFault(error) => error.code.unwrap(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = [libc::EMFILE, libc::ENFILE, 0, libc::EMFILE, 0];
    assert_eq!(reported, expected);
}

/// Only on Linux does shutting down a listening socket wake a blocked `accept`.
#[cfg(target_os = "linux")]
#[test]
fn a_socket_that_fails_is_told_and_replaced() {
    let (listener, news) = start_at(ANY, Duration::from_millis(10), 8);
    let address = started(&news);
    let socket = listener.open.lock().socket.clone();
    socket.unwrap().unblock();
    assert_eq!(bind_failed(&news).0, ANY);
    let again = started(&news);
    assert_ne!(again.port(), 0, "{address}");
    let client = TcpStream::connect(again).unwrap();
    assert_eq!(accepted(&news).1, client.local_addr().unwrap());
}
