//! Human-readable forms of compact blocks and their requests: short IDs as numbers, absolute
//! indexes.

use serde::{Deserialize, Serialize};

use crate::wire::{
    BlockHash, BlockHeader, BlockTransactions, CompactBlock, Decode, Encode, GetBlockTxn,
    IndexesNotAscending, Tx, write_compact_size,
};

#[derive(Serialize, Deserialize)]
pub(super) struct CompactBlockSerde {
    header: BlockHeader,
    nonce: u64,
    short_ids: Vec<u64>,
    prefilled: Vec<PrefilledSerde>,
}

#[derive(Serialize, Deserialize)]
struct PrefilledSerde {
    index: u64,
    transaction: Tx,
}

impl From<&CompactBlock> for CompactBlockSerde {
    fn from(compact: &CompactBlock) -> Self {
        let prefilled = compact.prefilled().map(|(index, view)| PrefilledSerde {
            index,
            transaction: Tx::from(view),
        });
        Self {
            header: compact.header(),
            nonce: compact.nonce(),
            short_ids: compact.short_ids().collect(),
            prefilled: prefilled.collect(),
        }
    }
}

impl TryFrom<CompactBlockSerde> for CompactBlock {
    type Error = String;

    /// Uses the wire form, because its decoder checks the limits.
    fn try_from(form: CompactBlockSerde) -> Result<Self, String> {
        let mut wire_form = Vec::new();
        form.header.encode(&mut wire_form);
        wire_form.extend_from_slice(&form.nonce.to_le_bytes());
        write_compact_size(form.short_ids.len() as u64, &mut wire_form);
        for short_id in form.short_ids {
            let [bytes @ .., 0, 0] = short_id.to_le_bytes() else {
                return Err(format!("short ID {short_id} has more than 48 bits"));
            };
            wire_form.extend_from_slice(&bytes);
        }
        write_compact_size(form.prefilled.len() as u64, &mut wire_form);
        let mut next = 0;
        for PrefilledSerde { index, transaction } in form.prefilled {
            let Some(distance) = index.checked_sub(next) else {
                return Err(format!("expected an index of at least {next}, got {index}"));
            };
            write_compact_size(distance, &mut wire_form);
            transaction.encode(&mut wire_form);
            next = index.saturating_add(1);
        }
        Self::decode_from(&wire_form).map_err(|error| error.to_string())
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct GetBlockTxnSerde {
    block: BlockHash,
    indexes: Vec<u32>,
}

impl From<&GetBlockTxn> for GetBlockTxnSerde {
    fn from(question: &GetBlockTxn) -> Self {
        Self {
            block: question.block(),
            indexes: question.indexes().collect(),
        }
    }
}

impl TryFrom<GetBlockTxnSerde> for GetBlockTxn {
    type Error = IndexesNotAscending;

    fn try_from(form: GetBlockTxnSerde) -> Result<Self, IndexesNotAscending> {
        Self::new(form.block, &form.indexes)
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct BlockTransactionsSerde {
    block: BlockHash,
    transactions: Vec<Tx>,
}

impl From<&BlockTransactions> for BlockTransactionsSerde {
    fn from(answer: &BlockTransactions) -> Self {
        Self {
            block: answer.block(),
            transactions: answer.transactions().map(Tx::from).collect(),
        }
    }
}

impl From<BlockTransactionsSerde> for BlockTransactions {
    fn from(form: BlockTransactionsSerde) -> Self {
        let views: Vec<_> = form.transactions.iter().map(Tx::view).collect();
        Self::new(form.block, &views)
    }
}
