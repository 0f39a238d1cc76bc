use super::*;

#[test]
fn the_defaults_are_valid_for_every_network() {
    for network in Network::ALL {
        assert_eq!(ManagerConfig::new(network).validate(), Ok(()));
    }
}

#[test]
fn a_wrong_value_is_named_with_its_field() {
    type Change = fn(&mut ManagerConfig);
    let wrong: [(&str, Change); 17] = [
        ("max_connections", |config| config.max_connections = 0),
        ("target_connections", |config| {
            config.target_connections = 21
        }),
        ("max_known_peers", |config| config.max_known_peers = 0),
        ("max_known_peers", |config| {
            config.max_known_peers = InMemoryPeerStore::MAX_PEERS + 1;
        }),
        ("max_payload_memory", |config| config.max_payload_memory = 1),
        ("cooldown", |config| config.cooldown = Duration::ZERO),
        ("save_interval", |config| {
            config.save_interval = Duration::MAX
        }),
        ("shutdown_timeout", |config| {
            config.shutdown_timeout = Duration::ZERO
        }),
        ("listener.bind_retry", |config| {
            config.listener.bind_retry = Duration::ZERO
        }),
        ("listener.handshake_timeout", |config| {
            config.listener.handshake_timeout = Duration::ZERO;
        }),
        ("listener.max_handshakes", |config| {
            config.listener.max_handshakes = 0
        }),
        ("listener.max_handshakes_per_address", |config| {
            config.listener.max_handshakes_per_address = 0;
        }),
        ("listener.max_per_address", |config| {
            config.listener.max_per_address = 0
        }),
        ("backoff", |config| config.restarts.backoff = Duration::ZERO),
        ("bans.automatic_ipv6_prefix", |config| {
            config.bans.automatic_ipv6_prefix = 129
        }),
        ("discovery.addresses", |config| {
            config.discovery.addresses = vec!["[fe80::1%2]:8333".parse().unwrap()]
        }),
        ("listener.external_address", |config| {
            config.listener.external_address = Some("[fe80::1%2]:8333".parse().unwrap())
        }),
    ];
    for (field, change) in wrong {
        let mut config = ManagerConfig::default();
        change(&mut config);
        assert_eq!(config.validate().unwrap_err().field, field);
    }
}

#[test]
fn seeds_are_host_names_or_addresses() {
    let validate = |seed: &str| {
        let mut config = ManagerConfig::default();
        config.discovery.seeds = Some(vec![seed.into()]);
        config.validate()
    };
    let longest = "a234567890.".repeat(23);
    assert_eq!(longest.len(), 253);
    for seed in [
        "seed.example.",
        "a_b-c",
        "203.0.113.7",
        "[2001:db8::1]",
        &longest,
    ] {
        assert_eq!(validate(seed), Ok(()), "{seed}");
    }
    let too_long = format!("{longest}a2");
    for seed in [
        "",
        "seed.example\n",
        "a b",
        "a\0",
        "\u{1b}[1m",
        "a..b",
        "127.1",
        "a:1",
        &too_long,
    ] {
        let error = validate(seed).unwrap_err();
        assert_eq!(error.field, "discovery.seeds");
        let text = error.to_string();
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

#[test]
fn network_is_replaced_and_other_values_stay() {
    let mut config = ManagerConfig::default();
    assert_eq!(config.network(), &Network::Mainnet);
    config.target_connections = 3;
    let config = config.with_network(Network::Regtest);
    let expected = ManagerConfig {
        target_connections: 3,
        ..ManagerConfig::new(Network::Regtest)
    };
    assert_eq!(config, expected);
}

#[test]
fn reserved_outbound_slots_are_minimum_of_three() {
    let kept = |min_outbound, target, max| {
        let mut config = ManagerConfig::default();
        (config.min_outbound, config.target_connections) = (min_outbound, target);
        config.max_connections = max;
        config.reserved_outbound()
    };
    assert_eq!(kept(4, 8, 20), 4);
    assert_eq!(kept(9, 8, 20), 8);
    assert_eq!(kept(9, 3, 20), 3);
    assert_eq!(kept(9, 5, 5), 2);
    assert_eq!(kept(4, 1, 1), 0);
    assert_eq!(kept(4, 0, 20), 0);
}

#[test]
fn regtest_accepts_private_addresses_by_default() {
    let mut config = ManagerConfig::new(Network::Regtest);
    assert!(config.allows_private());
    config.allow_private = Some(false);
    assert!(!config.allows_private());
    config = ManagerConfig::new(Network::Mainnet);
    assert!(!config.allows_private());
}

#[test]
fn listener_defaults_to_disabled_on_network_port() {
    let mut config = ManagerConfig::new(Network::Testnet);
    assert_eq!(config.listen_address(), None);
    config.listener.enabled = true;
    assert_eq!(
        config.listen_address(),
        Some("0.0.0.0:18333".parse().unwrap())
    );
    config.listener.address = Some("[::1]:1".parse().unwrap());
    assert_eq!(config.listen_address(), Some("[::1]:1".parse().unwrap()));
}

#[test]
fn json_lists_changed_fields_and_round_trips() {
    let json = r#"{
        "connection": { "network": "regtest" },
        "target_connections": 2,
        "listener": { "enabled": true, "address": "127.0.0.1:0" },
        "whitelist": ["10.0.0.0/8"],
        "bans": { "automatic_duration": 60 },
        "log_level": "WARN"
    }"#;
    let mut config = ManagerConfig::new(Network::Regtest);
    config.target_connections = 2;
    config.listener.enabled = true;
    config.listener.address = Some("127.0.0.1:0".parse().unwrap());
    config.whitelist = vec!["10.0.0.0/8".parse().unwrap()];
    config.bans.automatic_duration = Duration::from_secs(60);
    config.log_level = LevelFilter::Warn;
    assert_eq!(serde_json::from_str::<ManagerConfig>(json).unwrap(), config);
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<ManagerConfig>(&written).unwrap(),
        config
    );
    let refused = serde_json::from_str::<ManagerConfig>(r#"{ "target": 1 }"#).unwrap_err();
    assert!(refused.to_string().contains("unknown field"), "{refused}");
}
