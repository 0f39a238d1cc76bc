//! Frames of one implementation, decoded by the other.

use std::collections::BTreeSet;

use bsv_p2p::Network;
use bsv_p2p::wire::{Command, CompactBlock, FrameReader, Incoming, PayloadLimits};
use chain_gang::messages as theirs;
use test_support::SeededRandom;
use test_support::raw_peer::frame;

use crate::message_pairs::{Pair, one_of_each};
use crate::served_chain::{mine_chain, spend_reward, their_block, their_bytes, their_tx};

/// The number of random messages of each type.
const ROUNDS: u64 = 100;

/// Returns a message as chain-gang encodes it for regtest.
pub(crate) fn their_frame(message: &theirs::Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message
        .write(
            &mut bytes,
            chain_gang::network::Network::BSV_Regtest.magic(),
        )
        .unwrap();
    bytes
}

/// Decodes one frame of regtest with chain-gang.
pub(crate) fn read_theirs(
    mut bytes: &[u8],
) -> Result<theirs::Message, chain_gang::util::ChainGangError> {
    let magic = chain_gang::network::Network::BSV_Regtest.magic();
    let message = theirs::Message::read(&mut bytes, magic);
    if message.is_ok() {
        assert!(bytes.is_empty(), "chain-gang left {} bytes", bytes.len());
    }
    message
}

/// Decodes one frame of regtest with bsv-p2p.
pub(crate) fn read_ours(
    mut bytes: &[u8],
) -> Result<bsv_p2p::wire::Message, bsv_p2p::wire::DecodeError> {
    let mut frames = FrameReader::new(Network::Regtest.magic(), PayloadLimits::default());
    loop {
        assert_ne!(frames.read_from(&mut bytes).unwrap(), 0, "no whole frame");
        match frames.next_frame().unwrap() {
            Some(Incoming::Frame(frame)) => {
                return bsv_p2p::wire::Message::decode(frame.command, frame.payload);
            }
            Some(other) => panic!("not a frame: {other:?}"),
            None => {}
        }
    }
}

#[test]
fn random_messages_encode_to_equal_frames() {
    for seed in 0..ROUNDS {
        for Pair { theirs, ours } in one_of_each(&mut SeededRandom::new(seed)) {
            let name = format!("seed {seed}: {}", ours.command());
            assert_eq!(their_frame(&theirs), frame(&ours), "{name}");
        }
    }
}

#[test]
fn our_random_frames_decode_at_chain_gang() {
    for seed in 0..ROUNDS {
        for Pair { theirs, ours } in one_of_each(&mut SeededRandom::new(seed)) {
            let name = format!("seed {seed}: {}", ours.command());
            let decoded = read_theirs(&frame(&ours));
            assert_eq!(decoded.expect(&name), theirs, "{name}");
        }
    }
}

#[test]
fn random_frames_of_chain_gang_decode_here() {
    for seed in 0..ROUNDS {
        for Pair { theirs, ours } in one_of_each(&mut SeededRandom::new(seed)) {
            let name = format!("seed {seed}: {}", ours.command());
            let decoded = read_ours(&their_frame(&theirs));
            assert_eq!(decoded.expect(&name), ours, "{name}");
        }
    }
}

/// A command that chain-gang does not know is read as `Other`, whatever its payload is.
#[test]
fn every_command_known_to_both_is_compared() {
    let known_to_both = |command: &&Command| {
        let mut bytes = Network::Regtest.magic().0.to_vec();
        bytes.extend_from_slice(&command.to_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&theirs::NO_CHECKSUM);
        !matches!(read_theirs(&bytes), Ok(theirs::Message::Other(_)))
    };
    let commands = bsv_p2p::wire::Message::COMMANDS.iter();
    let expected: BTreeSet<_> = commands
        .filter(known_to_both)
        .map(ToString::to_string)
        .collect();
    let pairs = one_of_each(&mut SeededRandom::new(0));
    let compared: BTreeSet<_> = pairs
        .iter()
        .map(|pair| pair.ours.command().to_string())
        .collect();
    assert_eq!(compared, expected);
}

#[test]
fn compact_block_with_several_prefilled_decodes_here() {
    let txids = (1..=3).map(|n| bsv_p2p::wire::Txid([n; 32]));
    let txs: Vec<_> = txids
        .map(|txid| bsv_p2p::wire::Tx::from(&spend_reward(txid)))
        .collect();
    let mut compact = theirs::Cmpctblock {
        shortids: vec![vec![1, 2, 3, 4, 5, 6], vec![0xff; 6]],
        nonce: 7,
        ..Default::default()
    };
    // Each index counts from the one before.
    for (difference, tx) in [0, 1, 300].into_iter().zip(&txs) {
        compact.prefilledtxn.push(Default::default());
        let last = compact.prefilledtxn.last_mut().unwrap();
        last.index = difference;
        last.tx = their_tx(tx);
    }
    let bytes = their_bytes(&compact);
    let ours = CompactBlock::from_payload(bytes.clone().into()).unwrap();
    assert_eq!(ours.nonce(), 7);
    assert!(ours.short_ids().eq([0x0605_0403_0201, 0xffff_ffff_ffff]));
    let prefilled: Vec<_> = ours
        .prefilled()
        .map(|(index, tx)| (index, tx.txid()))
        .collect();
    let expected = [0, 2, 303].into_iter().zip(txs.iter().map(|tx| tx.txid()));
    assert_eq!(prefilled, Vec::from_iter(expected));
    assert_eq!(&ours.bytes()[..], bytes);
}

#[test]
fn mined_blocks_encode_to_equal_bytes() {
    let chain = mine_chain(30);
    for height in 0..=30 {
        let ours = chain.block(&chain.hash_at(height).unwrap()).unwrap();
        let theirs = their_block(ours);
        assert_eq!(theirs.header.hash().0, ours.hash().0, "height {height}");
        assert_eq!(theirs.txns.len(), ours.transaction_count());
        assert_eq!(their_bytes(&theirs), ours.bytes()[..], "height {height}");
    }
}

#[test]
fn networks_agree_on_magic_port_and_genesis() {
    use chain_gang::network::Network as Theirs;
    let pairs = [
        (Theirs::BSV_Mainnet, Network::Mainnet),
        (Theirs::BSV_Testnet, Network::Testnet),
        (Theirs::BSV_STN, Network::Stn),
        (Theirs::BSV_Regtest, Network::Regtest),
    ];
    for (theirs, ours) in pairs {
        assert_eq!(theirs.magic(), ours.magic().0, "{theirs}");
        assert_eq!(theirs.port(), ours.port(), "{theirs}");
        let genesis = bsv_p2p::wire::Block::genesis(&ours);
        assert_eq!(their_bytes(&theirs.genesis_block()), genesis.bytes()[..]);
        assert_eq!(theirs.genesis_hash().0, genesis.hash().0, "{theirs}");
    }
}

#[test]
fn merkle_trees_of_every_small_size_agree() {
    for count in 1..=300_u64 {
        let mut random = SeededRandom::new(count);
        let leaves: Vec<_> = (0..count)
            .map(|n| {
                let mut txid = [7; 32];
                txid[..8].copy_from_slice(&n.to_le_bytes());
                (bsv_p2p::wire::Txid(txid), random.below(8) == 0)
            })
            .collect();
        let tree = bsv_p2p::wire::PartialMerkleTree::new(leaves.iter().copied()).unwrap();
        let (root, _) = bsv_p2p::wire::merkle_root(leaves.iter().map(|(txid, _)| *txid));
        let theirs = theirs::MerkleBlock {
            header: theirs::BlockHeader {
                merkle_root: chain_gang::util::Hash256(root.0),
                ..Default::default()
            },
            total_transactions: tree.total_transactions,
            hashes: tree
                .hashes
                .iter()
                .map(|hash| chain_gang::util::Hash256(hash.0))
                .collect(),
            flags: tree.flags.clone(),
        };
        let matched = leaves.iter().filter(|(_, is_match)| *is_match);
        let matched: Vec<_> = matched.map(|(txid, _)| txid.0).collect();
        let found = theirs.validate();
        let found = found.unwrap_or_else(|error| panic!("{count} transactions: {error}"));
        let found: Vec<_> = found.into_iter().map(|hash| hash.0).collect();
        assert_eq!(found, matched, "{count} transactions");
    }
}
