//! A process that runs out of descriptors while it dials does not blame the peers.

use std::env;
use std::fs::File;
use std::iter;
use std::process::Command;
use std::time::{Duration, Instant};

use bsv_p2p::event::{ControlEvent, LocalOperation};
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::peers::PeerStatus;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::{
    Connection, ConnectionConfig, ErrorKind, Manager, ManagerConfig, Network, SystemError,
};
use test_support::own_process::run_command_in_own_process;

use crate::side::DEADLINE;
use test_support::with_sources::with_sources;

/// The maximum number of descriptors of the process.
const MAX: u32 = 64;

/// Runs `body`, the whole of a test, in a process that may have [`MAX`] descriptors.
#[track_caller]
fn alone_with_few_descriptors(name: &str, body: impl FnOnce()) {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("ulimit -n {MAX} && exec \"$0\" \"$@\"")])
        .arg(env::current_exe().unwrap());
    run_command_in_own_process(shell, name, body);
}

/// Opens files until no descriptors are left.
fn exhaust() -> Vec<File> {
    iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// The origin of the manager's peers.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Candidates,
    Fixed,
    Manual,
}

#[test]
fn dialing_without_descriptors_blames_no_peer() {
    let name = "descriptors::dialing_without_descriptors_blames_no_peer";
    alone_with_few_descriptors(name, || {
        for mode in [Mode::Candidates, Mode::Fixed, Mode::Manual] {
            dial_without_descriptors(mode);
        }
    });
}

fn dial_without_descriptors(mode: Mode) {
    let nodes = [(); 2].map(|()| LocalNode::start().unwrap());
    let addresses = nodes.each_ref().map(LocalNode::address);
    let mut config = ManagerConfig::new(Network::Regtest);
    config.restarts.backoff = Duration::from_millis(50);
    config.restarts.max_delayed_restarts = Some(1);
    match mode {
        Mode::Candidates => config.discovery.addresses = addresses.to_vec(),
        Mode::Fixed => {}
        Mode::Manual => config.target_connections = 0,
    }
    let manager = Manager::new(config).unwrap();
    let events = manager.subscribe_control();
    let descriptors = exhaust();
    match mode {
        Mode::Fixed => manager.start_fixed(addresses).unwrap(),
        _ => manager.start().unwrap(),
    }
    if matches!(mode, Mode::Manual) {
        for address in addresses {
            manager.connect(address).unwrap();
        }
    }

    // More attempts than retries.
    let deadline = Instant::now() + DEADLINE;
    let (mut attempts, mut reports) = (0, 0);
    while attempts < 6 {
        match events.recv_deadline(deadline).unwrap() {
            ControlEvent::ConnectionFailed { reason, .. }
            | ControlEvent::ConnectionRestarting { reason, .. } => {
                assert!(is_emfile(&reason), "{mode:?}: {reason}");
                attempts += 1;
            }
            ControlEvent::LocalFault { operation, error } => {
                assert_eq!(operation, LocalOperation::Dial);
                assert_eq!(error.code, Some(libc::EMFILE));
                reports += 1;
            }
            other => panic!("{mode:?}: {other}"),
        }
    }
    assert_eq!(reports, 1, "{mode:?}");
    drop(descriptors);

    manager.wait_for_peers(2, DEADLINE).unwrap();
    for peer in manager.peers().unwrap() {
        let record = (peer.failures, peer.status);
        assert_eq!(record, (0, PeerStatus::Valid), "{mode:?}");
    }
    manager.shutdown().unwrap();
}

fn is_emfile(reason: &DisconnectReason) -> bool {
    matches!(reason, DisconnectReason::LocalFault(SystemError { code, .. })
        if *code == Some(libc::EMFILE))
}

#[test]
fn connect_without_descriptors_names_the_system_error() {
    let name = "descriptors::connect_without_descriptors_names_the_system_error";
    alone_with_few_descriptors(name, || {
        let node = LocalNode::start().unwrap();
        let address = node.address().to_string();
        let config = ConnectionConfig::new(Network::Regtest);
        let descriptors = exhaust();
        let error = Connection::connect(&address, &config).unwrap_err();
        drop(descriptors);
        let system = std::io::Error::from_raw_os_error(libc::EMFILE);
        let expected = format!("{address}: not connected: local fault while dialing: {system}");
        assert_eq!(with_sources(&error), expected);
        assert_eq!(error.kind(), ErrorKind::System);
        assert!(error.is_retryable() && !error.is_network_failure());
        drop(Connection::connect(&address, &config).unwrap());
    });
}
