//! The streams of a peer: which message goes over which, and why there is no second one.

use std::fmt;
use std::time::Duration;

use super::DisconnectReason;
use crate::system_error::SystemError;
use crate::wire::{Inventory, Message, Reject, RejectCode, StreamPolicy, StreamType};

/// Which stream carries a message as long as `policy` holds and all of its streams stand; while one is missing,
/// [`StreamType::General`] carries everything (Bitcoin SV node 1.2.2, `src/net/stream_policy.cpp`).
///
/// Lists of inventory concern blocks if one of their entries does. No policy routes messages to
/// [`StreamType::Data2`], [`StreamType::Data3`] or [`StreamType::Data4`]; a peer that requests one
/// of them is refused.
pub fn stream_of(policy: StreamPolicy, message: &Message) -> StreamType {
    let of_blocks = match message {
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
        Message::Inv(list) => concerns_blocks(&list.inventory),
        Message::GetData(list) => concerns_blocks(&list.inventory),
        _ => false,
    };
    match policy {
        StreamPolicy::BlockPriority if of_blocks => StreamType::Data1,
        StreamPolicy::BlockPriority | StreamPolicy::Default => StreamType::General,
    }
}

fn concerns_blocks(inventory: &[Inventory]) -> bool {
    let is_of_block = |entry: &Inventory| {
        matches!(
            entry,
            Inventory::Block(_) | Inventory::FilteredBlock(_) | Inventory::CompactBlock(_)
        )
    };
    inventory.iter().any(is_of_block)
}

/// Why a peer has one stream where two were wanted. It goes on with that one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(tag = "refusal", content = "detail", rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum StreamSetupError {
    /// The peer did not send our association ID back: it has no further streams.
    AssociationNotEchoed,
    /// The peer knows no policy that we offer.
    NoCommonPolicy,
    /// A further connection cannot begin where the first one does, and from elsewhere it would be a fault.
    BindFailed(SystemError),
    /// The further connection could not be opened.
    ConnectFailed(Box<DisconnectReason>),
    /// The peer refused the stream.
    Rejected(Box<Reject>),
    /// The peer closed the further connection without an answer.
    Closed,
    /// The peer did not answer in time.
    TimedOut {
        /// How long we waited.
        #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::seconds"))]
        after: Duration,
    },
    /// The peer sent another message than the requested `streamack`, a `verack` or a `protoconf`, or
    /// more than 8 of the latter two.
    UnexpectedReply,
    /// The system has no thread for it.
    ThreadSpawnFailed,
}

impl fmt::Display for StreamSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamSetupError::AssociationNotEchoed => {
                f.write_str("the peer has no further streams")
            }
            StreamSetupError::NoCommonPolicy => f.write_str("the peer knows no policy of ours"),
            StreamSetupError::BindFailed(error) => {
                write!(f, "the first connection's address cannot be used: {error}")
            }
            StreamSetupError::ConnectFailed(reason) => write!(f, "{reason}"),
            StreamSetupError::Rejected(reject) => write!(f, "the peer refused it: {reject}"),
            StreamSetupError::Closed => f.write_str("the peer closed it without an answer"),
            StreamSetupError::TimedOut { after } => {
                write!(f, "the peer did not answer within {after:?}")
            }
            StreamSetupError::UnexpectedReply => {
                f.write_str("what the peer answered is no answer to what it was asked")
            }
            StreamSetupError::ThreadSpawnFailed => f.write_str("there is no thread for it"),
        }
    }
}

/// What is wrong with a peer's `createstrm` (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`, `ProcessCreateStreamMessage`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamFault {
    /// It cannot be read.
    Malformed,
    /// There is no such stream, or no policy has it.
    TypeOutOfRange,
    /// It names no association.
    NullAssociation,
    /// Nobody has that association.
    UnknownAssociation,
    /// Somebody has it whose address is another one.
    ForeignAssociation,
    /// That one has such a stream.
    Overwrite,
    /// There is no such policy.
    UnknownPolicy,
    /// The connection has had a `version`: it can become no stream, whatever is asked for.
    NotFirst,
}

impl StreamFault {
    /// What the peer is told.
    pub(super) fn reject(self) -> Reject {
        let (code, text) = match self {
            StreamFault::Malformed => (RejectCode::STREAM_SETUP, "Badly formatted message"),
            StreamFault::TypeOutOfRange => (RejectCode::STREAM_SETUP, "StreamType out of range"),
            StreamFault::NullAssociation => (RejectCode::STREAM_SETUP, "NULL association ID"),
            StreamFault::UnknownAssociation => (
                RejectCode::STREAM_SETUP,
                "No node found with association ID",
            ),
            StreamFault::ForeignAssociation => (
                RejectCode::STREAM_SETUP,
                "Attempt to move stream between peers with different IPs",
            ),
            StreamFault::Overwrite => (
                RejectCode::STREAM_SETUP,
                "Attempt to overwrite existing stream in move",
            ),
            StreamFault::UnknownPolicy => (RejectCode::STREAM_SETUP, "Unknown stream policy name"),
            StreamFault::NotFirst => (RejectCode::NONSTANDARD, "Invalid createstream scenario"),
        };
        Reject::new("createstrm", code, text)
    }

    /// Why the connection ends.
    pub(super) fn reason(self) -> DisconnectReason {
        match self {
            StreamFault::ForeignAssociation => DisconnectReason::StreamAddressMismatch,
            _ => DisconnectReason::StreamRefused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{BlockHash, GetData, Headers, Inv, NotFound, Ping, Txid};

    #[test]
    fn blocks_headers_pings_and_lists_of_blocks_have_a_stream_of_their_own() {
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
                let under = |policy| stream_of(policy, message);
                assert_eq!(under(StreamPolicy::BlockPriority), stream, "{message:?}");
                assert_eq!(under(StreamPolicy::Default), StreamType::General);
            }
        }
    }
}
