//! Building configurations.

use std::time::Duration;

use bsv_p2p::connection::{
    OverflowPolicy, PeerConnectionOptions, RestartConfig, SubscriptionOptions,
};
use bsv_p2p::local_node::LocalNodeConfig;
use bsv_p2p::manager::{DiscoveryConfig, ListenerConfig};
use bsv_p2p::peers::BanConfig;
use bsv_p2p::session::SessionConfig;
use bsv_p2p::wire::PayloadLimits;
use bsv_p2p::{ConnectionConfig, ManagerConfig, Network, NetworkParams};

use crate::TestResult;

#[test]
fn network_of_manager_is_set_in_three_ways() {
    let expected = ManagerConfig::new(Network::Regtest);
    assert_eq!(
        ManagerConfig::default().with_network(Network::Regtest),
        expected
    );
    let mut config = ManagerConfig::default();
    config.connection.network = Network::Regtest;
    assert_eq!(config, expected);
    assert_eq!(config.network(), &Network::Regtest);
}

#[test]
fn every_configuration_allows_struct_update_syntax() -> TestResult {
    let connection = ConnectionConfig {
        connect_timeout: Duration::from_secs(3),
        session: SessionConfig {
            ping_timeout: Duration::from_secs(20),
            limits: PayloadLimits {
                unrequested: 1_000,
                ..PayloadLimits::default()
            },
            ..SessionConfig::default()
        },
        ..ConnectionConfig::new(Network::Regtest)
    };
    let config = ManagerConfig {
        target_connections: 4,
        restarts: RestartConfig {
            restart_window: Duration::from_secs(60),
            ..RestartConfig::default()
        },
        discovery: DiscoveryConfig {
            addresses: vec!["203.0.113.7:8333".parse()?],
            ..DiscoveryConfig::default()
        },
        listener: ListenerConfig {
            enabled: true,
            ..ListenerConfig::default()
        },
        bans: BanConfig {
            max_bans: 10,
            ..BanConfig::default()
        },
        ..ManagerConfig::new(Network::Regtest)
    };
    config.validate()?;
    let node = LocalNodeConfig {
        connection: connection.clone(),
        ..LocalNodeConfig::default()
    };
    node.validate()?;
    let subscription = SubscriptionOptions {
        overflow: OverflowPolicy::DropNewest,
        ..SubscriptionOptions::default()
    };
    assert_eq!(subscription.name, None);
    let options = PeerConnectionOptions {
        slot: None,
        ..PeerConnectionOptions::new(connection)
    };
    options.config.validate()?;
    let params = NetworkParams {
        name: "private".into(),
        port: 20_000,
        ..NetworkParams::default()
    };
    assert!(Network::custom(params).is_ok());
    Ok(())
}

#[test]
fn configuration_file_overrides_single_values() -> TestResult {
    let file = r#"{"connection": {"network": "regtest", "connect_timeout": 3},
        "target_connections": 2, "log_level": "WARN"}"#;
    let mut config: ManagerConfig = serde_json::from_str(file)?;
    config.listener.enabled = true; // as from the command line
    config.validate()?;
    assert_eq!(config.connection.connect_timeout, Duration::from_secs(3));
    assert_eq!(
        config.max_connections,
        ManagerConfig::default().max_connections
    );
    let unknown = serde_json::from_str::<ManagerConfig>(r#"{"targets": 1}"#).unwrap_err();
    assert!(
        unknown.to_string().contains("target_connections"),
        "{unknown}"
    );
    Ok(())
}
