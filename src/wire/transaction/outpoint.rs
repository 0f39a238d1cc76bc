//! Names of outputs.

use super::super::Txid;

/// One output of an earlier transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OutPoint {
    /// The transaction.
    pub txid: Txid,
    /// Which of its outputs, from 0.
    pub index: u32,
}

impl OutPoint {
    /// What the only input of a coinbase names in place of an output.
    pub const NONE: OutPoint = OutPoint {
        txid: Txid::ZERO,
        index: u32::MAX,
    };
}
