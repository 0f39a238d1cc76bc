//! Connections of the library to scripted Teranodes.

use std::net::SocketAddr;
use std::time::Duration;

use bsv_p2p::event::ControlEvent;
use bsv_p2p::wire::{BlockHeader, HeaderChain, MerkleRoot};
use bsv_p2p::{ConnectionConfig, Manager, ManagerConfig, Network};
use test_support::client::{Client, ClientKind};
use test_support::raw_peer::RawListener;
use test_support::teranode::{JoinOrder, Teranode, TeranodeConfig};

/// Maximum time of a request that usually takes some milliseconds.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Which side dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TeranodeRole {
    Server,
    Dialer,
}

impl TeranodeRole {
    pub(crate) const ALL: [TeranodeRole; 2] = [TeranodeRole::Server, TeranodeRole::Dialer];
}

/// Returns the versions that serve headers in ascending order.
pub(crate) fn versions() -> [TeranodeConfig; 3] {
    [
        TeranodeConfig::v2(),
        TeranodeConfig::v3(JoinOrder::VerackFirst),
        TeranodeConfig::v3(JoinOrder::AckFirst),
    ]
}

/// Returns the default configuration.
pub(crate) fn config() -> ConnectionConfig {
    ConnectionConfig::new(Network::Regtest)
}

/// Returns the default configuration with a listener at a port that the system chooses.
pub(crate) fn manager_config() -> ManagerConfig {
    let mut manager = ManagerConfig::new(Network::Regtest);
    manager.connection = config();
    manager.target_connections = 0;
    manager.listener.enabled = true;
    manager.listener.address = Some(([127, 0, 0, 1], 0).into());
    manager
}

/// Connects a client with a Teranode. Waits for the second stream if there will be one.
#[track_caller]
pub(crate) fn connected(teranode: &Teranode, role: TeranodeRole, kind: ClientKind) -> Client {
    let has_streams = teranode.has_streams() && kind == ClientKind::Actor;
    let client = match role {
        TeranodeRole::Server => Client::dial(kind, teranode.address(), &config()),
        TeranodeRole::Dialer => {
            let listener = RawListener::new();
            teranode.dial(listener.address());
            Client::accept(kind, &listener, &config(), has_streams)
        }
    };
    if let Client::Actor(actor) = &client
        && has_streams
    {
        actor.wait_for_stream();
    }
    teranode.wait_for_peers(1);
    client
}

/// Calls `test` for each version, role and kind of client.
pub(crate) fn for_each(
    change: impl Fn(TeranodeConfig) -> TeranodeConfig,
    mut test: impl FnMut(&Teranode, &mut Client),
) {
    for config in versions() {
        for role in TeranodeRole::ALL {
            for kind in ClientKind::ALL {
                println!("{} as {role:?}, {kind:?}", config.user_agent);
                let teranode = Teranode::start(change(config.clone()));
                let mut client = connected(&teranode, role, kind);
                test(&teranode, &mut client);
                teranode.assert_no_punishment();
            }
        }
    }
}

/// Returns a manager that has started, and the address where it listens.
#[track_caller]
pub(crate) fn started_manager(config: ManagerConfig) -> (Manager, SocketAddr) {
    let manager = Manager::new(config).unwrap();
    let events = manager.subscribe_control();
    manager.start_fixed([""; 0]).unwrap();
    loop {
        if let ControlEvent::ListenerStarted { address } = events.recv_timeout(LIMIT).unwrap() {
            return (manager, address);
        }
    }
}

/// Connects a manager with a Teranode. Waits for the second stream if there will be one.
#[track_caller]
pub(crate) fn connected_manager(teranode: &Teranode, role: TeranodeRole) -> Manager {
    connected_manager_with(teranode, role, manager_config())
}

#[track_caller]
pub(crate) fn connected_manager_with(
    teranode: &Teranode,
    role: TeranodeRole,
    config: ManagerConfig,
) -> Manager {
    let (manager, address) = started_manager(config);
    let events = manager.subscribe_control();
    match role {
        TeranodeRole::Server => drop(manager.connect(teranode.address()).unwrap()),
        TeranodeRole::Dialer => teranode.dial(address),
    }
    manager.wait_for_peers(1, LIMIT).unwrap();
    teranode.wait_for_peers(1);
    if teranode.has_streams() {
        while !matches!(
            events.recv_timeout(LIMIT).unwrap(),
            ControlEvent::StreamOpened { .. }
        ) {}
    }
    manager
}

/// Returns a chain of regtest headers, the first of which is genesis.
pub(crate) fn mined_headers(count: usize) -> Vec<BlockHeader> {
    let genesis = BlockHeader::genesis(&Network::Regtest);
    let next = |parent: &BlockHeader| {
        let mut header = BlockHeader {
            version: 0x2000_0000,
            previous: parent.hash(),
            merkle_root: MerkleRoot::ZERO,
            time: parent.time + 600,
            bits: parent.bits,
            nonce: 0,
        };
        while header.check_proof_of_work(&Network::Regtest).is_err() {
            header.nonce += 1;
        }
        Some(header)
    };
    std::iter::successors(Some(genesis), next)
        .take(count + 1)
        .collect()
}

/// Requests headers until there are no more. Returns the chain.
pub(crate) fn synced(client: &mut Client) -> HeaderChain {
    let mut chain = HeaderChain::new(&Network::Regtest);
    loop {
        let headers = client.headers(&chain.locator(), LIMIT).unwrap();
        if headers.is_empty() {
            return chain;
        }
        chain.extend(&headers, u32::MAX).unwrap();
    }
}
