//! The streams of a peer: assignment of messages, and reasons of missing streams.

use std::time::Duration;

use super::DisconnectReason;
use crate::system_error::SystemError;
use crate::wire::{Inventory, Message, Reject, RejectCode, StreamPolicy, StreamType};

impl StreamPolicy {
    /// Returns the stream that carries `message` under this policy, if all streams of the policy
    /// are open.
    ///
    /// If one is missing, [`StreamType::General`] carries all messages (Bitcoin SV node 1.2.2,
    /// `src/net/stream_policy.cpp`).
    ///
    /// An `inv` or `getdata` is assigned to the stream of blocks if one of its entries is a block.
    /// No policy assigns messages to [`StreamType::Data2`], [`StreamType::Data3`] or
    /// [`StreamType::Data4`]. The request of a peer for one of them is rejected.
    pub fn stream_for(self, message: &Message) -> StreamType {
        let is_block_message = match message {
            Message::Ping(_)
            | Message::Pong(_)
            | Message::Block(_)
            | Message::CompactBlock(_)
            | Message::BlockTransactions(_)
            | Message::GetBlockTxn(_)
            | Message::Headers(_)
            | Message::GetHeaders(_)
            | Message::HdrsEn(_)
            | Message::GetHdrsEn(_) => true,
            Message::Inv(list) => contains_block(&list.inventory),
            Message::GetData(list) => contains_block(&list.inventory),
            _ => false,
        };
        match self {
            StreamPolicy::BlockPriority if is_block_message => StreamType::Data1,
            StreamPolicy::BlockPriority | StreamPolicy::Default => StreamType::General,
        }
    }
}

fn contains_block(inventory: &[Inventory]) -> bool {
    inventory.iter().any(|entry| {
        matches!(
            entry,
            Inventory::Block(_) | Inventory::FilteredBlock(_) | Inventory::CompactBlock(_)
        )
    })
}

/// The reason why a second stream could not be opened. The connection continues with one stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(tag = "error", content = "detail", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum StreamSetupError {
    /// The peer did not return our association id: it does not support further streams.
    #[error("association ID not echoed by peer")]
    AssociationNotEchoed,
    /// The peer supports none of the offered policies.
    #[error("no common stream policy")]
    NoCommonPolicy,
    /// The second connection could not be bound to the local address of the first one, from which
    /// the node requires it to be opened.
    #[error("binding to the local address of the first connection failed")]
    BindFailed(#[source] SystemError),
    /// The second connection could not be opened.
    #[error("second connection could not be opened")]
    ConnectFailed(#[source] Box<DisconnectReason>),
    /// The peer rejected the stream.
    #[error("stream rejected by peer: {0}")]
    Rejected(Box<Reject>),
    /// The peer closed the second connection without an answer.
    #[error("connection closed by peer before streamack was received")]
    Closed,
    /// The peer did not answer within the timeout.
    #[error("streamack timed out after {after:?}")]
    TimedOut {
        /// The timeout.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::seconds"))]
        after: Duration,
    },
    /// The peer sent another message than the requested `streamack`, a `verack` or a `protoconf`,
    /// or more than 8 of the latter two.
    #[error("expected streamack, got another message")]
    UnexpectedReply,
    /// A thread could not be spawned for the stream.
    #[error("spawning a thread failed")]
    ThreadSpawnFailed,
}

/// The error of an invalid `createstrm` (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`,
/// `ProcessCreateStreamMessage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamError {
    /// It cannot be decoded.
    Malformed,
    /// The stream does not exist, or no policy uses it.
    TypeOutOfRange,
    /// The association id is null.
    NullAssociation,
    /// No peer has the association id.
    UnknownAssociation,
    /// The peer with the association id has another address.
    AddressMismatch,
    /// The peer with the association id already has a stream of this type.
    AlreadyOpen,
    /// The policy does not exist.
    UnknownPolicy,
    /// A `version` was already exchanged on the connection, so it cannot become a stream.
    NotFirst,
}

impl StreamError {
    /// Returns the `reject` that is sent to the peer.
    pub(super) fn reject(self) -> Reject {
        let (code, text) = match self {
            StreamError::Malformed => (RejectCode::STREAM_SETUP, "Badly formatted message"),
            StreamError::TypeOutOfRange => (RejectCode::STREAM_SETUP, "StreamType out of range"),
            StreamError::NullAssociation => (RejectCode::STREAM_SETUP, "NULL association ID"),
            StreamError::UnknownAssociation => (
                RejectCode::STREAM_SETUP,
                "No node found with association ID",
            ),
            StreamError::AddressMismatch => (
                RejectCode::STREAM_SETUP,
                "Attempt to move stream between peers with different IPs",
            ),
            StreamError::AlreadyOpen => (
                RejectCode::STREAM_SETUP,
                "Attempt to overwrite existing stream in move",
            ),
            StreamError::UnknownPolicy => (RejectCode::STREAM_SETUP, "Unknown stream policy name"),
            StreamError::NotFirst => (RejectCode::NONSTANDARD, "Invalid createstream scenario"),
        };
        Reject::new("createstrm", code, text)
    }

    /// Returns the reason for which the connection is closed.
    pub(super) fn reason(self) -> DisconnectReason {
        match self {
            StreamError::AddressMismatch => DisconnectReason::StreamAddressMismatch,
            _ => DisconnectReason::StreamRefused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{BlockHash, GetData, Headers, Inv, NotFound, Ping, Txid};

    #[test]
    fn block_messages_use_data1_under_block_priority() {
        let block = Inventory::Block(BlockHash([1; 32]));
        let tx = Inventory::Tx(Txid([2; 32]));
        let data1: [Message; 5] = [
            Ping::new(1).into(),
            Headers::default().into(),
            Inv::from(vec![block]).into(),
            GetData::from(vec![tx, block]).into(),
            GetData::from(vec![Inventory::CompactBlock(BlockHash([1; 32]))]).into(),
        ];
        let general: [Message; 5] = [
            Message::GetAddr,
            Message::SendHeaders,
            Inv::from(vec![tx]).into(),
            GetData::from(vec![tx, tx]).into(),
            NotFound::from(vec![block]).into(),
        ];
        for (messages, stream) in [(&data1, StreamType::Data1), (&general, StreamType::General)] {
            for message in messages {
                let under = |policy: StreamPolicy| policy.stream_for(message);
                assert_eq!(under(StreamPolicy::BlockPriority), stream, "{message:?}");
                assert_eq!(under(StreamPolicy::Default), StreamType::General);
            }
        }
    }
}
