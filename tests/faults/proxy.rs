//! The proxy follows its plan exactly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, bounded};

use crate::fault_proxy::{Fault, FaultKind, FaultPlan, FaultProxy, Place, Way};
use crate::side::{DEADLINE, accept};

/// Returns both ends of a connection through a proxy that applies `kind` at byte `at` on the way to
/// the target.
fn ends(at: u64, kind: FaultKind) -> (FaultProxy, TcpStream, TcpStream) {
    ends_with(FaultPlan {
        to_target: vec![Fault { at, kind }],
        to_dialer: Vec::new(),
    })
}

fn ends_with(plan: FaultPlan) -> (FaultProxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = FaultProxy::start(listener.local_addr().unwrap(), move |_| plan.clone());
    let dialer = TcpStream::connect(proxy.address()).unwrap();
    let target = accept(&listener);
    for end in [&dialer, &target] {
        end.set_read_timeout(Some(DEADLINE)).unwrap();
    }
    (proxy, dialer, target)
}

/// Returns the bytes of `sent` that reach the target, and the end of the stream.
fn arrived(at: u64, kind: FaultKind, sent: &[u8]) -> (Vec<u8>, Option<ErrorKind>) {
    let (_proxy, mut dialer, mut target) = ends(at, kind);
    dialer.write_all(sent).unwrap();
    // A reset connection needs no shutdown.
    let _ = dialer.shutdown(Shutdown::Write);
    let mut got = Vec::new();
    let end = target.read_to_end(&mut got).err().map(|error| error.kind());
    (got, end)
}

#[test]
fn faults_strike_the_byte_that_they_name() {
    let long = |len: u8| (0..len).collect::<Vec<_>>();
    let sent = long(10);
    for (kind, expected, end) in [
        (
            FaultKind::Flip { bit: 7 },
            vec![0, 1, 2, 131, 4, 5, 6, 7, 8, 9],
            None,
        ),
        (
            FaultKind::Insert {
                bytes: vec![77, 78],
            },
            vec![0, 1, 2, 77, 78, 3, 4, 5, 6, 7, 8, 9],
            None,
        ),
        (
            FaultKind::Remove { len: 2 },
            vec![0, 1, 2, 5, 6, 7, 8, 9],
            None,
        ),
        (
            FaultKind::Duplicate { len: 2 },
            vec![0, 1, 2, 3, 4, 3, 4, 5, 6, 7, 8, 9],
            None,
        ),
        (FaultKind::HalfClose, vec![0, 1, 2], None),
        (
            FaultKind::Reset,
            vec![0, 1, 2],
            Some(ErrorKind::ConnectionReset),
        ),
        (FaultKind::Truncate, vec![0, 1, 2], None),
        (FaultKind::SingleBytes { len: 5 }, sent.clone(), None),
        (
            FaultKind::Latency {
                delay: Duration::from_millis(1),
                len: 5,
            },
            sent.clone(),
            None,
        ),
    ] {
        assert_eq!(arrived(3, kind.clone(), &sent), (expected, end), "{kind:?}");
    }
}

#[test]
fn limited_bandwidth_delays_without_loss() {
    let began = Instant::now();
    let sent = vec![7; 50_000];
    let kind = FaultKind::Bandwidth {
        bytes_per_second: 200_000,
        len: 40_000,
    };
    assert_eq!(arrived(0, kind, &sent), (sent, None));
    assert!(
        began.elapsed() > Duration::from_millis(150),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn stall_blocks_one_direction_and_closes_nothing() {
    let (proxy, mut dialer, mut target) = ends(3, FaultKind::Stall);
    dialer.write_all(&[0; 10]).unwrap();
    target.read_exact(&mut [0; 3]).unwrap();
    target.write_all(b"back").unwrap();
    dialer.read_exact(&mut [0; 4]).unwrap();
    target
        .set_read_timeout(Some(Duration::from_millis(60)))
        .unwrap();
    assert_eq!(
        target.read(&mut [0]).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    // The proxy ends nevertheless.
    drop(proxy);
}

#[test]
fn closed_connection_ends_delayed_bytes() {
    let an_hour = || FaultKind::Latency {
        delay: Duration::from_secs(3600),
        len: 10,
    };
    let held_back = |dialer: &mut TcpStream, target: &mut TcpStream| {
        dialer.write_all(&[0]).unwrap();
        // The rest is delayed from here on.
        target.read_exact(&mut [0]).unwrap();
        dialer.write_all(&[0]).unwrap();
    };

    // The sockets are closed when both directions have dropped them.
    let at_once = |kind| vec![Fault { at: 0, kind }];
    let (_proxy, mut dialer, mut target) = ends_with(FaultPlan {
        to_target: at_once(an_hour()),
        to_dialer: at_once(FaultKind::Reset),
    });
    held_back(&mut dialer, &mut target);
    target.write_all(&[0]).unwrap();
    for end in [&mut dialer, &mut target] {
        let kind = end.read(&mut [0]).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::ConnectionReset);
    }

    let (proxy, mut dialer, mut target) = ends(0, an_hour());
    held_back(&mut dialer, &mut target);
    let (ended, when_ended) = bounded::<()>(0);
    thread::spawn(move || {
        drop(proxy);
        drop(ended);
    });
    assert_eq!(
        when_ended.recv_timeout(DEADLINE),
        Err(RecvTimeoutError::Disconnected)
    );
}

#[test]
fn strike_reports_its_place_in_the_frame() {
    let mut frames = Vec::new();
    for len in [0, 3] {
        let payload = vec![0; len].into();
        let command = bsv_p2p::wire::Command::new("test");
        let message = bsv_p2p::wire::Message::Unknown { command, payload };
        bsv_p2p::wire::encode_frame(bsv_p2p::Network::Regtest.magic(), &message, &mut frames);
    }
    for (at, place) in [
        (0, Place::Magic),
        (4, Place::Command),
        (16, Place::Length),
        (23, Place::Checksum),
        (24, Place::Magic),
        (47, Place::Checksum),
        (48, Place::Payload),
        (50, Place::Payload),
    ] {
        let (proxy, mut dialer, mut target) = ends(at, FaultKind::Flip { bit: 0 });
        dialer.write_all(&frames).unwrap();
        target.read_exact(&mut vec![0; frames.len()]).unwrap();
        let strikes = proxy.strikes();
        assert_eq!(strikes.len(), 1);
        assert_eq!(
            (strikes[0].place, strikes[0].way, strikes[0].connection),
            (place, Way::ToTarget, 0)
        );
    }
}

#[test]
fn seed_determines_plan_and_covers_every_kind() {
    let mut names = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let plan = FaultPlan::from_seed(seed);
        assert_eq!(
            format!("{plan:?}"),
            format!("{:?}", FaultPlan::from_seed(seed))
        );
        let faults = plan.to_target.iter().chain(&plan.to_dialer);
        names.extend(faults.map(|fault| fault.kind.name()));
    }
    assert_eq!(names.len(), 11, "{names:?}");
}
