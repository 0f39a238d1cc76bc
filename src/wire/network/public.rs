//! The parameters of the built-in networks.
//!
//! Sources: Bitcoin SV node 1.2.2, `src/chainparams.cpp`; for teratestnet and tstn the chain
//! parameters of the Go implementation (`go-chaincfg`).

use std::sync::LazyLock;

use super::checkpoints;
use super::{Magic, NetworkParams};
use crate::wire::{BlockHash, BlockHeader, CompactTarget, MerkleRoot, Work};

/// The easiest target of all networks but regtest.
const LIMIT: CompactTarget = CompactTarget(0x1d00_ffff);

/// The easiest target of regtest: one of two hashes meets it.
const REGTEST_LIMIT: CompactTarget = CompactTarget(0x207f_ffff);

pub(super) static MAINNET: LazyLock<NetworkParams> = LazyLock::new(|| NetworkParams {
    name: "mainnet".to_owned(),
    magic: Magic([0xe3, 0xe1, 0xf3, 0xe8]),
    port: 8333,
    dns_seeds: seeds(&[
        "seed.bitcoinsv.io",
        "seed.satoshisvision.network",
        "seed.bitcoinseed.directory",
    ]),
    allow_private: false,
    genesis_header: genesis(1_231_006_505, LIMIT, 2_083_236_893),
    genesis_transaction: GENESIS_TRANSACTION.to_vec(),
    first_own_block: Some(FIRST_OWN_BLOCK),
    proof_of_work_limit: LIMIT,
    retargeting: true,
    min_difficulty_blocks: false,
    daa_height: 504_031,
    bip34_height: Some(227_931),
    bip66_height: Some(363_725),
    bip65_height: Some(388_381),
    checkpoints: checkpoints::MAINNET.to_vec(),
    minimum_work: Work::from_u128(0x00a0_f306_4330_647e_2f6c_4828),
});

pub(super) static TESTNET: LazyLock<NetworkParams> = LazyLock::new(|| NetworkParams {
    name: "testnet".to_owned(),
    magic: Magic([0xf4, 0xe5, 0xf3, 0xf4]),
    port: 18333,
    dns_seeds: seeds(&[
        "testnet-seed.bitcoinsv.io",
        "testnet-seed.bitcoincloud.net",
        "testnet-seed.bitcoinseed.directory",
    ]),
    allow_private: false,
    genesis_header: TESTNET_GENESIS,
    genesis_transaction: GENESIS_TRANSACTION.to_vec(),
    first_own_block: None,
    proof_of_work_limit: LIMIT,
    retargeting: true,
    min_difficulty_blocks: true,
    daa_height: 1_188_697,
    bip34_height: Some(21_111),
    bip66_height: Some(330_776),
    bip65_height: Some(581_885),
    checkpoints: checkpoints::TESTNET.to_vec(),
    minimum_work: Work::from_u128(0x2a_650f_6ff7_6494_85da),
});

pub(super) static STN: LazyLock<NetworkParams> = LazyLock::new(|| NetworkParams {
    name: "stn".to_owned(),
    magic: Magic([0xfb, 0xce, 0xc4, 0xf9]),
    port: 9333,
    dns_seeds: seeds(&["stn-seed.bitcoinsv.io", "stn-seed.bitcoinseed.directory"]),
    allow_private: false,
    genesis_header: TESTNET_GENESIS,
    genesis_transaction: GENESIS_TRANSACTION.to_vec(),
    first_own_block: None,
    proof_of_work_limit: LIMIT,
    retargeting: true,
    min_difficulty_blocks: false,
    daa_height: 2_200,
    bip34_height: Some(100_000_000),
    bip66_height: None,
    bip65_height: None,
    checkpoints: Vec::new(),
    minimum_work: Work::ZERO,
});

pub(super) static REGTEST: LazyLock<NetworkParams> = LazyLock::new(|| NetworkParams {
    name: "regtest".to_owned(),
    magic: Magic([0xda, 0xb5, 0xbf, 0xfa]),
    port: 18444,
    dns_seeds: Vec::new(),
    allow_private: true,
    genesis_header: genesis(1_296_688_602, REGTEST_LIMIT, 2),
    genesis_transaction: GENESIS_TRANSACTION.to_vec(),
    first_own_block: None,
    proof_of_work_limit: REGTEST_LIMIT,
    retargeting: false,
    min_difficulty_blocks: true,
    daa_height: 0,
    bip34_height: Some(100_000_000),
    bip66_height: Some(1_251),
    bip65_height: Some(1_351),
    checkpoints: Vec::new(),
    minimum_work: Work::ZERO,
});

pub(super) static TERATESTNET: LazyLock<NetworkParams> = LazyLock::new(|| NetworkParams {
    name: "teratestnet".to_owned(),
    magic: Magic([0x0d, 0x01, 0x09, 0x0c]),
    port: 18333,
    genesis_header: genesis(1_755_606_836, LIMIT, 1_092_578_460),
    checkpoints: checkpoints::TERATESTNET.to_vec(),
    ..teranode_test_network()
});

pub(super) static TSTN: LazyLock<NetworkParams> = LazyLock::new(|| NetworkParams {
    name: "tstn".to_owned(),
    magic: Magic([0x04, 0x00, 0x00, 0x00]),
    port: 18333,
    genesis_header: BlockHeader {
        merkle_root: MerkleRoot(
            checkpoints::hash(b"64452e5b25c65e492ad6a4f5ce9f427ca986626c28315d88de920d66e28cc98f")
                .0,
        ),
        ..genesis(1_782_864_000, LIMIT, 1_780_488_216)
    },
    genesis_transaction: TSTN_GENESIS_TRANSACTION.to_vec(),
    ..teranode_test_network()
});

/// Returns what teratestnet and tstn have in common: the rules of all upgrades from the first block
/// on, and no seeds.
fn teranode_test_network() -> NetworkParams {
    NetworkParams {
        dns_seeds: Vec::new(),
        allow_private: false,
        first_own_block: None,
        proof_of_work_limit: LIMIT,
        retargeting: true,
        min_difficulty_blocks: true,
        daa_height: 0,
        bip34_height: Some(0),
        bip66_height: Some(0),
        bip65_height: Some(0),
        checkpoints: Vec::new(),
        minimum_work: Work::ZERO,
        ..TESTNET.clone()
    }
}

fn seeds(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// Returns a genesis header with the usual transaction.
const fn genesis(time: u32, bits: CompactTarget, nonce: u32) -> BlockHeader {
    BlockHeader {
        version: 1,
        previous: BlockHash::ZERO,
        merkle_root: MerkleRoot(GENESIS_MERKLE_ROOT.0),
        time,
        bits,
        nonce,
    }
}

/// The genesis header of testnet and STN.
const TESTNET_GENESIS: BlockHeader = genesis(1_296_688_602, LIMIT, 414_098_458);

/// The block of mainnet at height 556,767.
const FIRST_OWN_BLOCK: BlockHash =
    checkpoints::hash(b"000000000000000001d956714215d96ffc00e0afda4cd0a96c96f8d802b1662b");

const GENESIS_MERKLE_ROOT: BlockHash =
    checkpoints::hash(b"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b");

/// The transaction of all genesis blocks but that of tstn.
const GENESIS_TRANSACTION: &[u8] = b"\x01\0\0\0\
\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\
\x4d\x04\xff\xff\0\x1d\x01\x04\x45The Times 03/Jan/2009 Chancellor on brink of second bailout for banks\
\xff\xff\xff\xff\
\x01\0\xf2\x05\x2a\x01\0\0\0\
\x43\x41\x04\x67\x8a\xfd\xb0\xfe\x55\x48\x27\x19\x67\xf1\xa6\x71\x30\xb7\x10\x5c\xd6\xa8\x28\xe0\x39\x09\xa6\
\x79\x62\xe0\xea\x1f\x61\xde\xb6\x49\xf6\xbc\x3f\x4c\xef\x38\xc4\xf3\x55\x04\xe5\x1e\xc1\x12\xde\x5c\x38\x4d\
\xf7\xba\x0b\x8d\x57\x8a\x4c\x70\x2b\x6b\xf1\x1d\x5f\xac\
\0\0\0\0";

/// The transaction of the genesis block of tstn.
const TSTN_GENESIS_TRANSACTION: &[u8] = b"\x01\0\0\0\
\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\
\x4e\x04\xff\xff\0\x1d\x01\x04\x46The Times 01/Jul/2026 Starmer puts Burnham in \xc2\xa35bn defence black hole\
\xff\xff\xff\xff\
\x01\0\xf2\x05\x2a\x01\0\0\0\
\x43\x41\x04\xa2\x16\xe8\x98\x88\x7c\x93\x5d\x15\xf9\xbe\x18\xfb\x99\x41\x8b\xb7\xed\x0e\x19\x06\x92\x72\x88\
\x14\xa1\xff\x75\x5c\xdf\x59\x90\xce\x8a\x1a\xea\x3b\xdd\x72\x0d\xe2\x18\xb9\x51\x55\xf2\xb4\xae\xd5\xc6\x5e\
\x63\xbf\x72\x64\xb7\x61\xb8\x7a\x27\xdc\x0d\x6a\x73\xac\
\0\0\0\0";

#[cfg(test)]
mod tests {
    use crate::Network;

    #[test]
    fn builtin_parameters_are_valid() {
        for network in Network::ALL {
            assert_eq!(network.params().check_content(), Ok(()), "{network}");
        }
    }

    #[test]
    fn checkpoint_hashes_have_work() {
        for network in Network::ALL {
            let checkpoints = &network.params().checkpoints;
            assert!(checkpoints.iter().all(|(_, hash)| hash.0[28..] == [0; 4]));
        }
    }

    #[test]
    fn mainnet_is_separated_from_other_chains() {
        let mainnet = Network::Mainnet.params();
        let at = |height| {
            let mut checkpoints = mainnet.checkpoints.iter();
            checkpoints.find(|one| one.0 == height).map(|one| one.1)
        };
        assert_eq!(at(556_767), mainnet.first_own_block);
        let split = "0000000000000000011865af4122fe3b144e2cbeea86142e8ff2fb4107352d43";
        assert_eq!(at(478_558), split.parse().ok());
        assert_eq!(mainnet.checkpoints.last().map(|last| last.0), Some(945_000));
    }
}
