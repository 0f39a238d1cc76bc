//! Parts of messages, each with the types of both implementations.

use bsv_p2p::wire;
use chain_gang::messages as theirs;
use chain_gang::script::Script;
use chain_gang::util::Hash256;
use test_support::SeededRandom;
use uuid::Uuid;

pub(super) fn whole_block(random: &mut SeededRandom) -> (theirs::Block, wire::Block) {
    let (their_header, our_header) = header(random);
    let (their_list, our_list) = transactions(random);
    let theirs = theirs::Block {
        header: their_header,
        txns: their_list,
    };
    (theirs, wire::Block::new(&our_header, &our_list))
}

pub(super) fn header(random: &mut SeededRandom) -> (theirs::BlockHeader, wire::BlockHeader) {
    let (version, time, bits, nonce) = (
        random.next_u64() as u32,
        random.next_u64() as u32,
        random.next_u64() as u32,
        random.next_u64() as u32,
    );
    let (previous, root) = (hash(random), hash(random));
    let theirs = theirs::BlockHeader {
        version,
        prev_hash: Hash256(previous),
        merkle_root: Hash256(root),
        timestamp: time,
        bits,
        nonce,
    };
    let ours = wire::BlockHeader {
        version: version as i32,
        previous: wire::BlockHash(previous),
        merkle_root: wire::MerkleRoot(root),
        time,
        bits: wire::CompactTarget(bits),
        nonce,
    };
    assert_eq!(theirs.hash().0, ours.hash().0);
    (theirs, ours)
}

pub(super) fn transactions(random: &mut SeededRandom) -> (Vec<theirs::Tx>, Vec<wire::Transaction>) {
    let count = random.of_any_size(5);
    (0..count).map(|_| transaction(random)).unzip()
}

/// Returns a transaction that chain-gang accepts in a compact block.
pub(super) fn transaction(random: &mut SeededRandom) -> (theirs::Tx, wire::Transaction) {
    let (version, lock_time) = (random.next_u64() as u32, random.next_u64() as u32);
    let input_count = 1 + random.below(3);
    let output_count = 1 + random.below(3);
    let (their_inputs, our_inputs) = (0..input_count).map(|_| input(random)).unzip();
    let (their_outputs, our_outputs) = (0..output_count).map(|_| output(random)).unzip();
    let theirs = theirs::Tx {
        version,
        inputs: their_inputs,
        outputs: their_outputs,
        lock_time,
    };
    let ours = wire::Transaction {
        version: version as i32,
        inputs: our_inputs,
        outputs: our_outputs,
        lock_time,
    };
    assert_eq!(theirs.hash().0, ours.txid().0);
    (theirs, ours)
}

pub(super) fn input(random: &mut SeededRandom) -> (theirs::TxIn, wire::TransactionInput) {
    let txid = hash(random);
    let (index, sequence) = (random.next_u64() as u32, random.next_u64() as u32);
    let script = bytes(random, 400);
    let theirs = theirs::TxIn {
        prev_output: theirs::OutPoint {
            hash: Hash256(txid),
            index,
        },
        unlock_script: Script(script.clone()),
        sequence,
    };
    let previous = wire::OutPoint {
        txid: wire::Txid(txid),
        index,
    };
    let ours = wire::TransactionInput {
        previous,
        script,
        sequence,
    };
    (theirs, ours)
}

pub(super) fn output(random: &mut SeededRandom) -> (theirs::TxOut, wire::TransactionOutput) {
    // Three of them stay below the maximum of a transaction.
    let value = random.of_any_size(49) as i64;
    let script = bytes(random, 400);
    let theirs = theirs::TxOut {
        satoshis: value,
        lock_script: Script(script.clone()),
    };
    (theirs, wire::TransactionOutput { value, script })
}

pub(super) fn address(random: &mut SeededRandom) -> (theirs::NodeAddr, wire::NetworkAddress) {
    let services = random.next_u64();
    let port = random.next_u64() as u16;
    let ip = match random.below(3) {
        0 => std::net::IpAddr::from(u128::to_be_bytes(
            u128::from(random.next_u64()) << 64 | u128::from(random.next_u64()),
        )),
        1 => std::net::Ipv6Addr::UNSPECIFIED.into(),
        _ => std::net::IpAddr::from((random.next_u64() as u32).to_be_bytes()),
    };
    let theirs = theirs::NodeAddr {
        services,
        ..theirs::NodeAddr::new(ip, port)
    };
    let ours = wire::NetworkAddress::new(wire::Services(services), (ip, port).into());
    (theirs, ours)
}

pub(super) fn uuid(random: &mut SeededRandom) -> Uuid {
    Uuid::from_u64_pair(random.next_u64(), random.next_u64())
}

/// Returns an association ID as chain-gang holds it: the type of a UUID and its bytes.
pub(super) fn id_bytes(id: Uuid) -> Vec<u8> {
    [&[0], id.as_bytes().as_slice()].concat()
}

/// Returns a text of at most `max` bytes, in some of which characters have two bytes.
pub(super) fn text(random: &mut SeededRandom, max: usize) -> String {
    let len = random.below(max + 1);
    let mut text = String::new();
    while text.len() < len {
        text.push(match random.below(20) {
            0 if text.len() + 2 <= len => 'é',
            _ => char::from(b' ' + random.below(95) as u8),
        });
    }
    text
}

pub(super) fn bytes(random: &mut SeededRandom, max: usize) -> Vec<u8> {
    let len = random.below(max + 1);
    (0..len).map(|_| random.next_u64() as u8).collect()
}

pub(super) fn hash(random: &mut SeededRandom) -> [u8; 32] {
    let mut hash = [0; 32];
    for word in hash.chunks_exact_mut(8) {
        word.copy_from_slice(&random.next_u64().to_le_bytes());
    }
    hash
}
