//! `tx`: a transaction that stays where it arrived.

use std::fmt;

use bytes::Bytes;

use crate::wire::encode::encode_payload;
use crate::wire::{Decode, DecodeError, Encode, Reader, Transaction, TransactionView, Txid};

/// A transaction, kept as the one buffer in which it arrived.
///
/// The buffer is checked once, when the message is made, and a clone shares it. [`Tx::view`] reads its parts
/// without a copy; [`Transaction`] is the form for building.
#[derive(Clone, PartialEq, Eq)]
pub struct Tx {
    payload: Bytes,
    /// Where the count of outputs starts.
    outputs_at: usize,
}

impl Tx {
    /// Takes a payload as a transaction. Bytes behind it are dropped, as the node does.
    ///
    /// # Errors
    ///
    /// A [`DecodeError`] if the transaction is not whole.
    pub fn from_payload(payload: Bytes) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::shared(&payload))
    }

    /// The transaction in its wire form.
    pub fn bytes(&self) -> &Bytes {
        &self.payload
    }

    /// The transaction's parts.
    pub fn view(&self) -> TransactionView<'_> {
        TransactionView::checked(&self.payload, self.outputs_at)
    }

    /// The transaction's name. Hashes the whole transaction at each call.
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
    /// Copies the transaction into a buffer of its own.
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
            payload: reader.keep_since(&start),
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
