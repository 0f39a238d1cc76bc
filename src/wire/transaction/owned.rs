//! Transactions that own their inputs and outputs.

use super::super::{
    Decode, DecodeError, Encode, Reader, Txid, compact_size_len, sha256d, write_compact_size,
};
use super::OutPoint;
use super::view::TransactionView;

/// A transaction that owns its parts, to be created and sent.
///
/// [`TransactionView`] reads a received transaction without a copy.
///
/// ```
/// use bsv_p2p::wire::{Encode, OutPoint, Transaction, TransactionInput, TransactionOutput, Txid};
///
/// let transaction = Transaction {
///     version: 2,
///     inputs: vec![TransactionInput {
///         previous: OutPoint { txid: Txid::ZERO, index: 0 },
///         script: vec![0x51],
///         sequence: u32::MAX,
///     }],
///     outputs: vec![TransactionOutput { value: 1_000, script: vec![0x51] }],
///     lock_time: 0,
/// };
/// assert_eq!(transaction.encoded_len(), 62);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Transaction {
    /// The version.
    pub version: i32,
    /// The inputs, each of which spends an output.
    pub inputs: Vec<TransactionInput>,
    /// The outputs, which lock the paid amounts.
    pub outputs: Vec<TransactionOutput>,
    /// The lock time: a block height if below 500,000,000, else a Unix time in seconds.
    ///
    /// It determines when a block may include the transaction.
    pub lock_time: u32,
}

/// An input of a [`Transaction`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TransactionInput {
    /// The output that is spent.
    pub previous: OutPoint,
    /// The unlocking script.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub script: Vec<u8>,
    /// The sequence number.
    pub sequence: u32,
}

/// An output of a [`Transaction`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TransactionOutput {
    /// The amount in satoshis.
    pub value: i64,
    /// The locking script.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub script: Vec<u8>,
}

impl Transaction {
    /// Returns the ID of the transaction: the double SHA-256 of its wire form.
    pub fn txid(&self) -> Txid {
        Txid(sha256d(&self.encode_to_vec()).0)
    }
}

impl From<TransactionView<'_>> for Transaction {
    fn from(view: TransactionView<'_>) -> Self {
        let inputs = view.inputs().map(|input| TransactionInput {
            previous: input.previous,
            script: input.script.to_vec(),
            sequence: input.sequence,
        });
        let outputs = view.outputs().map(|output| TransactionOutput {
            value: output.value,
            script: output.script.to_vec(),
        });
        Self {
            version: view.version(),
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            lock_time: view.lock_time(),
        }
    }
}

impl Decode for Transaction {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        TransactionView::read(reader).map(Self::from)
    }
}

impl Transaction {
    /// Appends the wire form and returns the offset of the output count in it.
    pub(in crate::wire) fn encode_marked(&self, out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.extend_from_slice(&self.version.to_le_bytes());
        write_compact_size(self.inputs.len() as u64, out);
        for input in &self.inputs {
            let mut before = [0; 37];
            before[..36].copy_from_slice(&input.previous.to_bytes());
            write_script(before, &input.script, out);
            out.extend_from_slice(&input.sequence.to_le_bytes());
        }
        let outputs_at = out.len() - start;
        write_compact_size(self.outputs.len() as u64, out);
        for output in &self.outputs {
            let mut before = [0; 9];
            before[..8].copy_from_slice(&output.value.to_le_bytes());
            write_script(before, &output.script, out);
        }
        out.extend_from_slice(&self.lock_time.to_le_bytes());
        outputs_at
    }
}

impl Encode for Transaction {
    fn encode(&self, out: &mut Vec<u8>) {
        self.encode_marked(out);
    }

    fn encoded_len(&self) -> u64 {
        let script_len =
            |script: &[u8]| compact_size_len(script.len() as u64) + script.len() as u64;
        let inputs: u64 = self
            .inputs
            .iter()
            .map(|input| 40 + script_len(&input.script))
            .sum();
        let outputs: u64 = self
            .outputs
            .iter()
            .map(|output| 8 + script_len(&output.script))
            .sum();
        8 + compact_size_len(self.inputs.len() as u64)
            + inputs
            + compact_size_len(self.outputs.len() as u64)
            + outputs
    }
}

/// Appends `before`, the length of a script and the script.
///
/// A length of one byte replaces the last byte of `before`; otherwise that byte is dropped.
#[inline]
fn write_script<const N: usize>(mut before: [u8; N], script: &[u8], out: &mut Vec<u8>) {
    match script.len() {
        // One write for the fields and the length, because most scripts are this short.
        len @ ..0xfd => {
            before[N - 1] = len as u8;
            out.extend_from_slice(&before);
        }
        len => {
            out.extend_from_slice(&before[..N - 1]);
            write_compact_size(len as u64, out);
        }
    }
    out.extend_from_slice(script);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    #[test]
    fn genesis_transaction_round_trips() {
        let bytes = Network::Regtest.genesis_transaction();
        let transaction = Transaction::decode_from(bytes).unwrap();
        assert_eq!(transaction.outputs[0].value, 50 * 100_000_000);
        assert_eq!(transaction.encode_to_vec(), bytes);
        assert_eq!(transaction.encoded_len(), bytes.len() as u64);
        assert_eq!(
            transaction.txid().to_string(),
            "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
        );
    }

    #[test]
    fn coinbase_has_one_input_with_null_outpoint() {
        let is_coinbase = |transaction: &Transaction| {
            let bytes = transaction.encode_to_vec();
            TransactionView::read(&mut Reader::new(&bytes))
                .unwrap()
                .is_coinbase()
        };
        let genesis = Transaction::decode_from(Network::Regtest.genesis_transaction()).unwrap();
        assert!(is_coinbase(&genesis));
        let mut twice = genesis.clone();
        twice.inputs.extend(genesis.inputs.clone());
        assert!(!is_coinbase(&twice));
        let mut first_output = genesis;
        first_output.inputs[0].previous.index = 0;
        assert!(!is_coinbase(&first_output));
        assert!(!is_coinbase(&Transaction::default()));
    }

    #[test]
    fn empty_transaction_of_ten_bytes_is_valid() {
        let empty = Transaction::decode_from(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(
            empty,
            Transaction {
                version: 1,
                ..Transaction::default()
            }
        );
    }

    #[test]
    fn truncated_transaction_is_rejected() {
        let bytes = Network::Regtest.genesis_transaction();
        for len in 0..bytes.len() {
            assert!(
                Transaction::decode_from(&bytes[..len]).is_err(),
                "{len} bytes"
            );
        }
    }
}
