//! Arbitrary payloads of every command: decoded, encoded and decoded again.
//!
//! Input: the number of a command, then the payload.

use bsv_p2p::wire::{Encode, Message, ProofSubject};
use bytes::Bytes;

use super::commands::command;

pub(crate) fn run(data: &[u8]) {
    let Some((&number, payload)) = data.split_first() else {
        return;
    };
    let command = command(number);
    let message = match Message::decode(command, Bytes::copy_from_slice(payload)) {
        Ok(message) => message,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(message.command(), command);
    assert_eq!(message.validate(), Ok(()));
    assert!(!format!("{message:?}").is_empty());
    let written = message.encode_to_vec();
    assert_eq!(message.encoded_len(), written.len() as u64);
    assert!(
        written.len() <= payload.len() + may_grow(&message),
        "{message:?} has grown from {} to {} bytes",
        payload.len(),
        written.len()
    );
    if let Some(shared) = message.payload_bytes() {
        assert_eq!(*shared, written);
    }
    let again = Message::decode(command, written.clone().into());
    assert_eq!(again.as_ref(), Ok(&message));
    assert_eq!(message.encode_to_vec(), written);
}

/// Returns the possible growth. The length before the transaction of a proof is ignored, and
/// encoded anew: one byte may become five.
fn may_grow(message: &Message) -> usize {
    match message {
        Message::DatarefTx(it) if matches!(it.proof.transaction(), ProofSubject::Tx(_)) => 4,
        _ => 0,
    }
}
