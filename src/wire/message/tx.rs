//! `tx`: a transaction that is kept in its wire form.

use std::fmt;

use bytes::Bytes;

use crate::wire::encode::encode_payload;
use crate::wire::{
    Decode, DecodeError, Encode, Inputs, Outputs, Reader, Transaction, TransactionView, Txid,
};

/// A transaction, kept in the buffer in which it arrived.
///
/// The buffer is checked once, when the message is created, and clones share it. [`Tx::view`]
/// borrows its parts without a copy. Use [`Transaction`] to build a transaction.
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
/// let total: i64 = received.outputs().map(|output| output.value).sum();
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

#[expect(clippy::len_without_is_empty, reason = "a transaction is never empty")]
impl Tx {
    /// Creates a transaction from a payload. Bytes after it are dropped, as by the node.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] if the transaction is incomplete.
    pub fn from_payload(payload: Bytes) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::from_shared(&payload))
    }

    /// Returns the length of the wire form in bytes, at least 10.
    pub fn len(&self) -> usize {
        self.payload.len()
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
        self.view().txid()
    }

    /// Returns the version.
    pub fn version(&self) -> i32 {
        self.view().version()
    }

    /// Returns an iterator over the inputs, in order.
    pub fn inputs(&self) -> Inputs<'_> {
        self.view().inputs()
    }

    /// Returns an iterator over the outputs, in order.
    pub fn outputs(&self) -> Outputs<'_> {
        self.view().outputs()
    }

    /// Returns the lock time: a block height if below 500,000,000, else a Unix time in seconds.
    pub fn lock_time(&self) -> u32 {
        self.view().lock_time()
    }

    /// Returns whether the transaction is a coinbase.
    pub fn is_coinbase(&self) -> bool {
        self.view().is_coinbase()
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

impl TryFrom<Bytes> for Tx {
    type Error = DecodeError;

    /// Like [`from_payload`](Self::from_payload).
    fn try_from(payload: Bytes) -> Result<Self, DecodeError> {
        Self::from_payload(payload)
    }
}

impl TryFrom<Vec<u8>> for Tx {
    type Error = DecodeError;

    /// Like [`from_payload`](Self::from_payload).
    fn try_from(payload: Vec<u8>) -> Result<Self, DecodeError> {
        Self::from_payload(payload.into())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{OutPoint, TransactionInput, TransactionOutput};

    #[test]
    fn accessors_return_the_fields() {
        let transaction = Transaction {
            version: 2,
            inputs: vec![TransactionInput {
                previous: OutPoint::NULL,
                script: vec![1],
                sequence: 3,
            }],
            outputs: vec![
                TransactionOutput {
                    value: 4,
                    script: vec![5, 6],
                };
                2
            ],
            lock_time: 7,
        };
        let tx = Tx::from(&transaction);
        assert_eq!(tx.len(), tx.bytes().len());
        assert_eq!((tx.version(), tx.lock_time()), (2, 7));
        assert!(tx.is_coinbase());
        assert_eq!((tx.inputs().len(), tx.outputs().len()), (1, 2));
        assert!(tx.inputs().all(|input| input.sequence == 3));
        assert!(tx.outputs().all(|output| output.value == 4));
        assert_eq!(tx.txid(), transaction.txid());
    }
}
