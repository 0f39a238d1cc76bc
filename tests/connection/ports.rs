//! Ports of other networks.

use std::net::SocketAddr;

use bsv_p2p::connection::{PeerConnectionActor, PeerConnectionOptions, RestartConfig, Supervisor};
use bsv_p2p::{Connection, ConnectionConfig, Error, Network};
use test_support::private_network::private_params;

/// Returns an address of loopback on which nothing listens at the default port of a network.
fn address(network: &Network) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 79], network.port()))
}

fn errors(address: SocketAddr, config: &ConnectionConfig) -> [Error; 3] {
    let supervisor = Supervisor::start().unwrap();
    let setup = || PeerConnectionOptions::new(config.clone());
    let restarts = RestartConfig::default();
    [
        Connection::connect(address.to_string(), config).unwrap_err(),
        PeerConnectionActor::spawn_outbound(address, setup()).unwrap_err(),
        supervisor
            .spawn_outbound(address, setup(), restarts)
            .unwrap_err(),
    ]
}

#[test]
fn default_port_of_another_network_is_refused() {
    for network in Network::ALL {
        let config = ConnectionConfig::new(network.clone());
        for other in Network::ALL {
            let address = address(&other);
            if other.port() == network.port() {
                assert_eq!(config.check_port(address), Ok(()));
                continue;
            }
            let error = Error::PortMismatch {
                address,
                expected: network.clone(),
            };
            assert_eq!(config.check_port(address), Err(error));
        }
    }
    let config = ConnectionConfig::new(Network::Mainnet);
    for error in errors(address(&Network::Testnet), &config) {
        assert_eq!(
            error.to_string(),
            "127.0.0.79:18333: port 18333 is the default port of testnet, teratestnet, tstn, \
             not of mainnet (set allow_any_port to connect anyway)"
        );
    }
}

#[test]
fn allowed_default_port_of_another_network_is_dialed() {
    let mut config = ConnectionConfig::new(Network::Mainnet);
    config.allow_any_port = true;
    let address = address(&Network::Regtest);
    let error = Connection::connect(address.to_string(), &config).unwrap_err();
    assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
    let setup = PeerConnectionOptions::new(config);
    let peer = PeerConnectionActor::spawn_outbound(address, setup).unwrap();
    peer.join();
}

#[test]
fn other_ports_and_own_port_are_allowed() {
    let mut params = private_params("lab", 1);
    params.port = Network::Mainnet.port();
    let network = Network::custom(params).unwrap();
    let config = ConnectionConfig::new(network);
    for port in [0, 1, 8332, 8333, 8334, 28444, 65535] {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        assert_eq!(config.check_port(address), Ok(()));
    }
    let regtest = address(&Network::Regtest);
    assert!(config.check_port(regtest).is_err());
}
