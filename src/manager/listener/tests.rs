use std::net::{TcpListener, TcpStream};
use std::time::SystemTime;

use crossbeam_channel::{Receiver, bounded};

use super::*;
use crate::peers::BanConfig;

const LIMIT: Duration = Duration::from_secs(10);

struct Listening {
    listener: Listener,
    news: Receiver<ListenerNews>,
    bans: Arc<RwLock<BanList>>,
}

fn listen(address: SocketAddr, bind_retry: Duration) -> Listening {
    let bans = Arc::new(RwLock::new(BanList::new(BanConfig::default())));
    let (sender, news) = bounded(1);
    let listener = Listener::start(address, bind_retry, bans.clone(), sender).unwrap();
    Listening {
        listener,
        news,
        bans,
    }
}

impl Listening {
    fn next(&self) -> ListenerNews {
        self.news.recv_timeout(LIMIT).unwrap()
    }

    fn started(&self) -> SocketAddr {
        match self.next() {
            ListenerNews::Started { address } => address,
            other => panic!("{other:?}"),
        }
    }

    fn accepted(&self) -> SocketAddr {
        match self.next() {
            ListenerNews::Accepted { address, .. } => address,
            other => panic!("{other:?}"),
        }
    }
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

#[test]
fn it_tells_the_port_that_the_system_chose_and_who_dials() {
    let listening = listen(anywhere(), LIMIT);
    let address = listening.started();
    assert_ne!(address.port(), 0);
    let stream = TcpStream::connect(address).unwrap();
    assert_eq!(listening.accepted(), stream.local_addr().unwrap());
}

#[test]
fn the_unspecified_ipv6_address_listens_for_ipv4_which_arrives_as_such() {
    let listening = listen("[::]:0".parse().unwrap(), LIMIT);
    let port = listening.started().port();
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    assert_eq!(listening.accepted(), stream.local_addr().unwrap());
    let stream = TcpStream::connect(("::1", port)).unwrap();
    assert_eq!(listening.accepted(), stream.local_addr().unwrap());
}

#[test]
fn a_banned_address_is_closed_at_once_and_others_get_in() {
    let listening = listen("[::]:0".parse().unwrap(), LIMIT);
    let port = listening.started().port();
    let banned = "127.0.0.0/8".parse().unwrap();
    let ban = listening
        .bans
        .write()
        .ban(banned, BanReason::Manual, None, SystemTime::now());
    assert!(ban.is_ok());
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    assert_eq!(io::Read::read(&mut stream, &mut [0]).unwrap_or(0), 0);
    match listening.next() {
        ListenerNews::Refused { address, reason } => {
            assert_eq!(address, stream.local_addr().unwrap());
            assert_eq!(reason, BanReason::Manual);
        }
        other => panic!("{other:?}"),
    }
    let other = TcpStream::connect(("::1", port)).unwrap();
    assert_eq!(listening.accepted(), other.local_addr().unwrap());
}

#[test]
fn a_port_that_is_taken_is_tried_again_until_it_is_free() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let wanted = other.local_addr().unwrap();
    let retry = Duration::from_millis(20);
    let listening = listen(wanted, retry);
    for _ in 0..2 {
        match listening.next() {
            ListenerNews::BindFailed {
                address,
                error,
                retry_after,
            } => {
                assert_eq!((address, retry_after), (wanted, retry));
                assert_eq!(error, io::ErrorKind::AddrInUse);
            }
            other => panic!("{other:?}"),
        }
    }
    drop(other);
    let address = loop {
        match listening.next() {
            ListenerNews::Started { address } => break address,
            ListenerNews::BindFailed { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(address, wanted);
}

#[test]
fn it_stops_while_it_waits_for_a_port_for_a_peer_or_for_the_supervisor() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let waits_for_port = listen(other.local_addr().unwrap(), Duration::from_secs(3600));
    assert!(matches!(
        waits_for_port.next(),
        ListenerNews::BindFailed { .. }
    ));
    waits_for_port.listener.stop();

    let waits_for_peer = listen(anywhere(), LIMIT);
    let address = waits_for_peer.started();
    waits_for_peer.listener.stop();
    let again = TcpListener::bind(address).unwrap();
    drop(again);

    let waits_for_supervisor = listen(anywhere(), LIMIT);
    let address = waits_for_supervisor.started();
    let streams = [(); 3].map(|()| TcpStream::connect(address).unwrap());
    // The first is in the channel, the second in the listener's hands, or soon will be.
    waits_for_supervisor.listener.stop();
    drop(streams);
}

#[test]
fn those_who_wait_until_the_supervisor_has_time_are_not_lost() {
    let listening = listen(anywhere(), LIMIT);
    let address = listening.started();
    let streams: Vec<_> = (0..50)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let mut dialled: Vec<_> = streams
        .iter()
        .map(|one| one.local_addr().unwrap())
        .collect();
    let mut accepted: Vec<_> = (0..50).map(|_| listening.accepted()).collect();
    dialled.sort();
    accepted.sort();
    assert_eq!(accepted, dialled);
}
