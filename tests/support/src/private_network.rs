//! A private network with its own magic, port, genesis block and rules.

use bsv_p2p::wire::{BlockHeader, Work};
use bsv_p2p::{Magic, NetworkParams};

/// Returns the parameters of a network in which anyone can mine. `tag` varies the genesis block.
pub fn private_params(name: &str, tag: u32) -> NetworkParams {
    let regtest = NetworkParams::default();
    let mut genesis_header = BlockHeader {
        time: regtest.genesis_header.time + tag,
        ..regtest.genesis_header
    };
    let limit = regtest.proof_of_work_limit;
    while limit.check(genesis_header.hash(), limit).is_err() {
        genesis_header.nonce += 1;
    }
    NetworkParams {
        name: name.to_owned(),
        magic: Magic([0x6c, 0x61, 0x62, tag as u8]),
        port: 28444,
        genesis_header,
        // Other rules than regtest: the minimum version applies from the first block on.
        bip65_height: Some(1),
        minimum_work: Work::from_u128(8),
        ..regtest
    }
}
