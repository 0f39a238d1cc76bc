//! Compact blocks, transaction pools and responses, selected by the bytes of an input.

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Block, BlockHash, BlockHeader, BlockTransactions, CompactBlock, CompactTarget, Decode, Encode,
    OutPoint, Reconstruction, ShortIdKey, Transaction, TransactionInput, TransactionOutput,
    TransactionView, Tx, Txid, merkle_root, write_compact_size,
};
use bytes::Bytes;

use super::input::Input;

/// Two names whose short IDs collide in blocks of three transactions with the nonce 7, found by
/// trial.
pub(crate) const COLLIDING: [u64; 2] = [1_261_234, 26_741_987];

pub(crate) fn colliding(number: usize) -> Txid {
    let mut txid = Txid::ZERO;
    txid.0[..8].copy_from_slice(&COLLIDING[number].to_le_bytes());
    txid
}

/// Returns the transaction of this number. All are different.
pub(crate) fn transaction(number: u8) -> Transaction {
    Transaction {
        version: 2,
        inputs: vec![TransactionInput {
            previous: OutPoint::NULL,
            script: u32::from(number).to_le_bytes().to_vec(),
            sequence: 0,
        }],
        outputs: vec![TransactionOutput {
            value: 1,
            script: vec![0x51; usize::from(number % 7)],
        }],
        lock_time: number.into(),
    }
}

/// Returns the block of the first `transactions` transactions.
pub(crate) fn block(transactions: u8) -> Block {
    let transactions: Vec<_> = (0..transactions).map(transaction).collect();
    let (merkle_root, _) = merkle_root(transactions.iter().map(Transaction::txid));
    let header = BlockHeader {
        merkle_root,
        ..BlockHeader::genesis(&Network::Regtest)
    };
    Block::new(&header, &transactions)
}

/// Builds a compact block with chosen positions: their number, then the content of each.
pub(crate) fn by_hand(block: &Block, nonce: u8, input: &mut Input<'_>) -> CompactBlock {
    let mut header = block.header();
    let places = input.u8();
    if places & 0x80 != 0 {
        header.bits = CompactTarget(0);
    }
    let key = ShortIdKey::new(&header, nonce.into());
    let (mut ids, mut prefilled) = (Vec::new(), Vec::new());
    // The number of positions between the last prefilled transaction and the next.
    let mut between = 0;
    for place in 0..places % 32 {
        let choice = input.u8();
        let number = if choice & 8 != 0 { input.u8() } else { place };
        match choice % 8 {
            0..=2 => ids.push(key.short_id(&transaction(number).txid())),
            3 => ids.push(key.short_id(&colliding(0))),
            4 | 5 => prefilled.push((between, transaction(number))),
            6 => prefilled.push((between, Transaction::default())),
            _ => {
                let far = input.u16();
                let most = u64::from(u16::MAX - far) < 0x100;
                let base = if most { 0xffff_0000 } else { 0 };
                prefilled.push((base + u64::from(far), transaction(number)));
            }
        }
        between = if choice % 8 < 4 { between + 1 } else { 0 };
    }
    let mut payload = header.encode_to_vec();
    payload.extend(u64::from(nonce).to_le_bytes());
    write_compact_size(ids.len() as u64, &mut payload);
    ids.iter()
        .for_each(|id| payload.extend(&id.to_le_bytes()[..6]));
    write_compact_size(prefilled.len() as u64, &mut payload);
    for (between, transaction) in &prefilled {
        write_compact_size(*between, &mut payload);
        transaction.encode(&mut payload);
    }
    CompactBlock::from_payload(payload.into()).expect("every field is whole")
}

/// Returns a transaction with a name that may belong to another. Transactions that are not
/// generated are part of the input.
pub(crate) fn candidate(input: &mut Input<'_>) -> (Txid, Tx) {
    let (name, number) = (input.u8(), input.u8());
    let mut tx = Tx::from(&transaction(number));
    if number == 255 {
        tx = Tx::from_payload(payload(input)).unwrap_or(tx);
    }
    let txid = match name {
        253 => tx.txid(),
        254 => colliding(0),
        255 => colliding(1),
        number => transaction(number).txid(),
    };
    (txid, tx)
}

/// Returns a response for the missing transactions, valid or not; `None` if there is none of that
/// kind.
pub(crate) fn answer(
    kind: u8,
    block: &Block,
    waiting: &Reconstruction,
    input: &mut Input<'_>,
) -> Option<BlockTransactions> {
    let hash = if kind & 8 == 0 {
        waiting.block()
    } else {
        BlockHash([9; 32])
    };
    match kind % 4 {
        0 => {
            let right = BlockTransactions::for_request(block, &waiting.request()).ok()?;
            let views: Vec<_> = right.transactions().collect();
            Some(BlockTransactions::new(hash, &views))
        }
        1 => {
            let right = BlockTransactions::for_request(block, &waiting.request()).ok()?;
            let mut views: Vec<_> = right.transactions().collect();
            views.reverse();
            Some(BlockTransactions::new(hash, &views))
        }
        2 => {
            let count = usize::from(input.u8() % 32);
            let numbers = input.take(count);
            let txs: Vec<_> = numbers.iter().map(|&n| Tx::from(&transaction(n))).collect();
            let views: Vec<TransactionView<'_>> = txs.iter().map(Tx::view).collect();
            Some(BlockTransactions::new(hash, &views))
        }
        _ => BlockTransactions::decode_from(&payload(input)).ok(),
    }
}

/// Returns bytes of the input that follow their length.
pub(crate) fn payload(input: &mut Input<'_>) -> Bytes {
    let len = usize::from(input.u16());
    Bytes::copy_from_slice(input.take(len))
}
