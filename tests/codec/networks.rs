//! Every entry of `networks.json`.

use bsv_p2p::Network;
use bsv_p2p::network::Magic;
use bsv_p2p::wire::{Block, BlockHash, BlockHeader, CompactTarget, Hash256};
use serde_json::Value;

use crate::support::{bytes, list, network, text, vectors};

#[test]
fn every_network_has_its_magic_port_and_seeds() {
    let file = vectors("networks.json");
    assert_eq!(list(&file).len(), Network::ALL.len());
    for (entry, expected) in list(&file).iter().zip(Network::ALL) {
        let network = network(&entry["network"]);
        assert_eq!(network, expected, "the file has each network once");
        let magic = network.magic();
        assert_eq!(magic.0.to_vec(), bytes(&entry["magic"]));
        assert_eq!(magic.to_string(), text(&entry["magic"]));
        assert_eq!(magic.network(), Some(network.clone()));
        assert_eq!(Magic::from(&network), magic);
        assert_eq!(network.port(), entry["port"]);
        let seeds: Value = network.dns_seeds().into();
        assert_eq!(seeds, entry["dns_seeds"]);
        assert_eq!(network.name().parse(), Ok(network));
    }
}

#[test]
fn every_network_has_its_first_block() {
    for entry in list(&vectors("networks.json")) {
        let network = network(&entry["network"]);
        assert_eq!(
            network.genesis_header().to_bytes().to_vec(),
            bytes(&entry["genesis_header"])
        );
        let header = BlockHeader::genesis(&network);
        assert_eq!(header.hash().to_string(), text(&entry["genesis_hash"]));
        assert_eq!(header.check_proof_of_work(&network), Ok(()));
        let block = Block::genesis(&network);
        assert_eq!(block.bytes().to_vec(), bytes(&entry["genesis_block"]));
        assert_eq!(block.check_merkle_root(), Ok(()));
        assert_eq!(block.transactions().len(), 1);
        let read = Block::from_payload(bytes(&entry["genesis_block"]).into());
        assert_eq!(read, Ok(block));
    }
}

#[test]
fn easiest_compact_target_is_within_work_limit() {
    for entry in list(&vectors("networks.json")) {
        let network = network(&entry["network"]);
        let limit: Hash256 = text(&entry["pow_limit"]).parse().unwrap();
        // Printed hashes have their highest digit first: they compare as numbers.
        let target = |bits| CompactTarget(bits).target().map(|t: Hash256| t.to_string());
        let bits = network.proof_of_work_limit().0;
        assert!(target(bits) <= Some(limit.to_string()), "{network}");
        // The next form up; where the mantissa is full, with a higher exponent.
        let easier = match network {
            Network::Regtest => target(0x2100_8000),
            _ => target(bits + 1),
        };
        assert!(easier > Some(limit.to_string()), "{network}: {easier:?}");
        // A hash as high as the target is a proof of work, and the next is not.
        let bits = CompactTarget(bits);
        let mut hash = bits.target().map(|target| BlockHash(target.0)).unwrap();
        assert_eq!(bits.check(hash, bits), Ok(()));
        hash.0[0] += 1;
        assert!(bits.check(hash, bits).is_err());
    }
}

#[test]
fn names_are_known_and_others_refused() {
    let names = Network::ALL.map(|network| network.to_string());
    let expected = [
        "mainnet",
        "testnet",
        "stn",
        "regtest",
        "teratestnet",
        "tstn",
    ];
    assert_eq!(names, expected);
    for name in ["", "Mainnet", "main", "tstn "] {
        let error = name.parse::<Network>().unwrap_err().to_string();
        assert!(error.contains(&format!("{name:?}")), "{error}");
        assert!(expected.iter().all(|name| error.contains(name)), "{error}");
    }
}

#[test]
fn networks_with_same_port_differ_by_magic() {
    for network in [Network::Testnet, Network::Teratestnet, Network::Tstn] {
        assert_eq!(network.port(), 18333);
    }
    assert_eq!(
        Network::Testnet.genesis_header(),
        Network::Stn.genesis_header()
    );
    let mut magics = Network::ALL.map(|network| network.magic().0);
    magics.sort_unstable();
    assert!(magics.windows(2).all(|pair| pair[0] != pair[1]));
    // The caller sets the magic of STN at Teranode.
    assert_eq!(Magic([0; 4]).network(), None);
}
