//! `tx`: a transaction that is kept in its wire form.

use std::fmt;

use bytes::Bytes;

use crate::wire::encode::encode_payload;
use crate::wire::{Decode, DecodeError, Encode, Reader, Transaction, TransactionView, Txid};

/// A transaction, kept in the buffer in which it arrived.
///
/// The buffer is checked once, when the message is created, and clones share it. [`Tx::view`]
/// returns its parts without a copy. Use [`Transaction`] to build a transaction.
///
/// ```
/// use bsv_p2p::wire::{Transaction, TransactionOutput, Tx};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let output = TransactionOutput { value: 5_000, script: vec![0x51] };
/// let tx = Tx::from(&Transaction { outputs: vec![output], ..Transaction::default() });
///
/// let received = Tx::from_payload(tx.bytes().clone())?;
/// assert_eq!(received.txid(), tx.txid());
/// let total: i64 = received.view().outputs().map(|output| output.value).sum();
/// assert_eq!(total, 5_000);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Tx {
    payload: Bytes,
    /// The offset of the count of outputs.
    outputs_at: usize,
}

impl Tx {
    /// Creates a transaction from a payload. Bytes after it are dropped, as by the node.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the transaction is incomplete.
    pub fn from_payload(payload: Bytes) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::from_shared(&payload))
    }

    /// Returns the transaction in its wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// Returns a view of the parts of the transaction.
    pub fn view(&self) -> TransactionView<'_> {
        TransactionView::checked(&self.payload, self.outputs_at)
    }

    /// Returns the transaction ID. Each call hashes the whole transaction.
    pub fn txid(&self) -> Txid {
        Txid(super::super::sha256d(&self.payload).0)
    }
}

impl From<&Transaction> for Tx {
    fn from(transaction: &Transaction) -> Self {
        let len = usize::try_from(transaction.encoded_len()).unwrap_or(0);
        let mut payload = Vec::with_capacity(len);
        let outputs_at = transaction.encode_marked(&mut payload);
        Self {
            payload: payload.into(),
            outputs_at,
        }
    }
}

impl From<TransactionView<'_>> for Tx {
    /// Copies the transaction into a new buffer.
    fn from(view: TransactionView<'_>) -> Self {
        Self {
            payload: Bytes::copy_from_slice(view.bytes()),
            outputs_at: view.outputs_at(),
        }
    }
}

impl Decode for Tx {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let start = reader.clone();
        let outputs_at = TransactionView::read(reader)?.outputs_at();
        Ok(Self {
            payload: reader.shared_since(&start),
            outputs_at,
        })
    }
}

encode_payload!(Tx);

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.view().fmt(f)
    }
}
