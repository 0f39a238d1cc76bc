//! Networks that a caller defines: validation, identity and serde.

use bsv_p2p::wire::{Block, BlockHash, BlockHeader, ChainRules, CompactTarget, MerkleRoot};
use bsv_p2p::{
    ConnectionConfig, InvalidNetworkParams, Magic, ManagerConfig, Network, NetworkParams,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json, to_value};
use test_support::private_network::private_params;

fn private() -> Network {
    Network::custom(private_params("lab", 1)).unwrap()
}

/// Returns the error of parameters that differ from valid ones by a change.
fn error_of(change: impl FnOnce(&mut NetworkParams)) -> InvalidNetworkParams {
    let mut params = private_params("lab", 1);
    change(&mut params);
    Network::custom(params).unwrap_err()
}

#[test]
fn custom_network_has_the_given_parameters() {
    let params = private_params("lab", 1);
    let network = Network::custom(params.clone()).unwrap();
    assert_eq!(network.params(), &params);
    assert_eq!(network.name(), "lab");
    assert_eq!(format!("{network} {network:?}"), "lab Custom(lab)");
    assert_eq!(network.magic(), Magic([0x6c, 0x61, 0x62, 1]));
    assert_eq!(network.port(), 28444);
    assert_eq!(network.dns_seeds(), [""; 0]);
    assert_eq!(network.first_own_block(), None);
    assert_eq!(BlockHeader::genesis(&network), params.genesis_header);
    assert_eq!(Block::genesis(&network).check_merkle_root(), Ok(()));
    assert_eq!(Block::genesis(&network).header(), params.genesis_header);
    assert_eq!(ConnectionConfig::new(network.clone()).magic(), params.magic);
    let rules = ChainRules::new(network.clone());
    assert_eq!(rules.network(), &network);
    assert_eq!(rules.genesis(), params.genesis_header);
    assert_eq!(rules.minimum_work(), params.minimum_work);
}

#[test]
fn networks_are_equal_by_all_parameters() {
    let network = private();
    assert_eq!(network, private());
    let changes: [fn(&mut NetworkParams); 4] = [
        |params| params.port += 1,
        |params| params.magic.0[3] += 1,
        |params| params.dns_seeds.push("seed.example".to_owned()),
        |params| params.retargeting = true,
    ];
    for change in changes {
        let mut params = private_params("lab", 1);
        change(&mut params);
        assert_ne!(Network::custom(params).unwrap(), network);
    }
    assert_ne!(Network::custom(private_params("lab", 2)).unwrap(), network);
}

#[test]
fn name_of_custom_network_is_checked() {
    for name in [
        "",
        "Lab",
        "1lab",
        "-lab",
        "la b",
        "lab\n",
        "läb",
        "a.b",
        &"a".repeat(33),
    ] {
        let error = error_of(|params| params.name = name.to_owned());
        assert_eq!((error.field, &error.value), ("name", &format!("{name:?}")));
    }
    for name in ["a", "lab-2", &"a".repeat(32)] {
        assert!(Network::custom(private_params(name, 1)).is_ok(), "{name}");
    }
    for network in Network::ALL {
        let error = error_of(|params| params.name = network.name().to_owned());
        assert_eq!((error.field, &*error.value), ("name", network.name()));
    }
    let error = error_of(|params| params.name = "é".repeat(1_000_000));
    assert!(error.to_string().len() < 400, "{error}");
}

#[test]
fn magic_of_public_network_is_refused() {
    for network in Network::ALL {
        let mut params = private_params("lab", 1);
        params.magic = network.magic();
        let result = Network::custom(params);
        if network == Network::Regtest {
            assert!(result.is_ok());
        } else {
            let error = result.unwrap_err();
            let expected = ("magic", network.magic().to_string());
            assert_eq!((error.field, error.value), expected);
        }
    }
}

#[test]
fn invalid_parameter_is_named_with_its_value() {
    let port = error_of(|params| params.port = 0);
    assert_eq!(
        port.to_string(),
        "network parameter port: expected a port above 0, got 0"
    );
    let invalid_seeds = [
        "",
        "a..b",
        "seed.example.",
        "a b",
        "a\r\nb",
        "[::1]",
        &"a".repeat(64),
    ];
    for seed in invalid_seeds {
        let error = error_of(|params| params.dns_seeds = vec!["ok.example".into(), seed.into()]);
        assert_eq!(
            (error.field, error.value),
            ("dns_seeds", format!("{seed:?}"))
        );
    }
    let seeds = error_of(|params| params.dns_seeds = vec!["seed.example".into(); 65]);
    assert_eq!((seeds.field, &*seeds.value), ("dns_seeds", "65 names"));

    // Zero, negative, too wide, and encoded with a leading zero byte.
    for bits in [0, 0x1d80_0001, 0x2300_0100, 0x2000_7fff] {
        let error = error_of(|params| params.proof_of_work_limit = CompactTarget(bits));
        let expected = ("proof_of_work_limit", format!("{bits:08x}"));
        assert_eq!((error.field, error.value), expected);
    }
}

#[test]
fn genesis_block_of_custom_network_is_checked() {
    let previous = error_of(|params| params.genesis_header.previous = BlockHash([1; 32]));
    assert_eq!(previous.field, "genesis_header.previous");

    let no_work = error_of(|params| {
        let limit = params.proof_of_work_limit;
        while limit.check(params.genesis_header.hash(), limit).is_ok() {
            params.genesis_header.nonce += 1;
        }
    });
    assert_eq!(no_work.field, "genesis_header");
    assert!(no_work.value.contains("above the target"), "{no_work}");
    let too_easy = error_of(|params| params.proof_of_work_limit = CompactTarget(0x1d00_ffff));
    assert_eq!(too_easy.field, "genesis_header");
    assert!(too_easy.value.contains("easier than"), "{too_easy}");

    for edit in [
        (|bytes| bytes.push(0)) as fn(&mut Vec<u8>),
        |bytes| bytes.truncate(203),
        Vec::clear,
        |bytes| bytes.resize(100_001, 0),
    ] {
        let error = error_of(|params| edit(&mut params.genesis_transaction));
        assert_eq!(error.field, "genesis_transaction");
        assert!(error.value.ends_with(" bytes"), "{error}");
    }
    let root = error_of(|params| {
        params.genesis_header.merkle_root = MerkleRoot([2; 32]);
        let limit = params.proof_of_work_limit;
        while limit.check(params.genesis_header.hash(), limit).is_err() {
            params.genesis_header.nonce += 1;
        }
    });
    let expected = MerkleRoot([2; 32]).to_string();
    assert_eq!(
        (root.field, root.value),
        ("genesis_header.merkle_root", expected)
    );
}

#[test]
fn checkpoints_of_custom_network_are_checked() {
    let with = |heights: &[u32]| {
        let mut params = private_params("lab", 1);
        let hash = BlockHash([3; 32]);
        params.checkpoints = heights.iter().map(|height| (*height, hash)).collect();
        Network::custom(params)
    };
    for (heights, value) in [
        (&[0][..], "height 0"),
        (&[5, 5], "height 5"),
        (&[7, 9, 8], "height 8"),
    ] {
        let error = with(heights).unwrap_err();
        assert_eq!((error.field, &*error.value), ("checkpoints", value));
    }
    let most: Vec<_> = (1..=10_000).collect();
    let network = with(&most).unwrap();
    let rules = ChainRules::new(network);
    assert_eq!(rules.checkpoints().len(), 10_000);
    assert_eq!(rules.checkpoint_at(10_000), Some(BlockHash([3; 32])));
    let more: Vec<_> = (1..=10_001).collect();
    assert_eq!(with(&more).unwrap_err().value, "10001 entries");
}

#[test]
fn default_parameters_are_those_of_regtest() {
    assert_eq!(&NetworkParams::default(), Network::Regtest.params());
    // The parameters are valid, but belong to no custom network.
    let error = Network::custom(NetworkParams::default()).unwrap_err();
    assert_eq!((error.field, &*error.value), ("name", "regtest"));
}

fn assert_round_trips<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    let json = to_value(value).unwrap();
    assert_eq!(&from_value::<T>(json.clone()).unwrap(), value);
    assert_eq!(
        &serde_json::from_str::<T>(&json.to_string()).unwrap(),
        value
    );
    let bytes = postcard::to_stdvec(value).unwrap();
    assert_eq!(&postcard::from_bytes::<T>(&bytes).unwrap(), value);
}

#[test]
fn custom_network_round_trips_with_all_parameters() {
    let mut params = Network::Mainnet.params().clone();
    params.name = "fork".to_owned();
    params.magic = Magic([1, 2, 3, 4]);
    params.bip34_height = None;
    let network = Network::custom(params.clone()).unwrap();
    assert_round_trips(&network);
    assert_round_trips(&private());
    assert_round_trips(&params);
    assert_round_trips(&ConnectionConfig::new(network.clone()));
    assert_round_trips(&ManagerConfig::new(private()));
    let json = to_value(&network).unwrap();
    assert_eq!(json["name"], "fork");
    assert_eq!(json["magic"], "01020304");
    assert_eq!(json["checkpoints"].as_array().map(Vec::len), Some(38));
    assert_eq!(json["bip34_height"], Value::Null);
    let hash = params.first_own_block.unwrap().to_string();
    assert_eq!(json["first_own_block"], hash);
}

#[test]
fn configuration_accepts_name_or_table() {
    let read = |network: Value| {
        let json = json!({ "connection": { "network": network } });
        from_value::<ManagerConfig>(json).map(|config| config.network().clone())
    };
    assert_eq!(read(json!("tstn")).unwrap(), Network::Tstn);
    let few = json!({ "name": "lab", "magic": "6c616231", "port": 28444 });
    let expected = NetworkParams {
        name: "lab".to_owned(),
        magic: Magic(*b"lab1"),
        port: 28444,
        ..NetworkParams::default()
    };
    assert_eq!(read(few).unwrap(), Network::custom(expected).unwrap());
    for (invalid, reason) in [
        (json!("lab"), "unknown network \"lab\""),
        (json!(["lab"]), "the name of a network, or an object"),
        (json!(7), "the name of a network, or an object"),
        (
            json!({}),
            "parameter name: expected a name that no built-in network has",
        ),
        (
            json!({ "name": "lab", "magic": "e3e1f3e8" }),
            "parameter magic",
        ),
        (
            json!({ "name": "lab", "magic": "00", "port": 1 }),
            "invalid length",
        ),
        (
            json!({ "name": "lab", "magic": "00000001", "port": 0 }),
            "parameter port",
        ),
        (
            json!({ "name": "lab", "ports": 1 }),
            "unknown field `ports`",
        ),
    ] {
        let error = read(invalid).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn binary_form_of_invalid_network_is_refused() {
    #[derive(Serialize)]
    enum Form<'a> {
        Builtin(&'a str),
        Custom(&'a NetworkParams),
    }
    let read = |form: Form<'_>| {
        let bytes = postcard::to_stdvec(&form).unwrap();
        postcard::from_bytes::<Network>(&bytes)
    };
    assert_eq!(read(Form::Builtin("stn")), Ok(Network::Stn));
    assert_eq!(read(Form::Custom(&private_params("lab", 1))), Ok(private()));
    assert!(read(Form::Builtin("lab")).is_err());
    assert!(read(Form::Custom(&NetworkParams::default())).is_err());
}
