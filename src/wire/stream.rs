//! Types and policies of the streams of an association.

use std::fmt;
use std::str::FromStr;

use super::hash::shorten;
use super::{DecodeError, Inventory, Message};

/// The role of a TCP connection in an association of several connections.
///
/// Source: Bitcoin SV node 1.2.2, `src/net/stream.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "UPPERCASE"))]
pub enum StreamType {
    /// Not a valid type. It must not be sent: a node accepts it, but cannot handle the stream.
    Unknown = 0,
    /// The first connection, on which `version` was sent.
    General = 1,
    /// The first additional stream, used by [`StreamPolicy::BlockPriority`].
    Data1 = 2,
    /// The second additional stream.
    Data2 = 3,
    /// The third additional stream.
    Data3 = 4,
    /// The fourth additional stream.
    Data4 = 5,
}

impl StreamType {
    const ALL: [StreamType; 6] = [
        StreamType::Unknown,
        StreamType::General,
        StreamType::Data1,
        StreamType::Data2,
        StreamType::Data3,
        StreamType::Data4,
    ];

    /// Returns the byte on the wire.
    pub const fn to_byte(self) -> u8 {
        self as u8
    }
}

impl TryFrom<u8> for StreamType {
    type Error = DecodeError;

    /// Returns [`DecodeError::InvalidValue`] if the byte is above 5 ("StreamType out of range" in the
    /// node).
    fn try_from(byte: u8) -> Result<Self, DecodeError> {
        let known = Self::ALL.get(usize::from(byte)).copied();
        known.ok_or(DecodeError::InvalidValue {
            field: "stream type",
            expected: "0 to 5",
            got: u64::from(byte),
        })
    }
}

impl fmt::Display for StreamType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StreamType::Unknown => "UNKNOWN",
            StreamType::General => "GENERAL",
            StreamType::Data1 => "DATA1",
            StreamType::Data2 => "DATA2",
            StreamType::Data3 => "DATA3",
            StreamType::Data4 => "DATA4",
        })
    }
}

/// A policy that assigns messages to streams.
///
/// A `protoconf` lists the names of the policies that its sender supports. A `createstrm` may
/// select one. Source: Bitcoin SV node 1.2.2, `src/net/stream_policy.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum StreamPolicy {
    /// All messages use [`StreamType::General`], and no other stream is read.
    Default,
    /// Blocks, headers and pings use [`StreamType::Data1`], which is read first.
    BlockPriority,
}

impl StreamPolicy {
    /// Returns the policy with this name, or `None` if it is unknown. Names are case-sensitive.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [StreamPolicy::Default, StreamPolicy::BlockPriority]
            .into_iter()
            .find(|policy| policy.name().as_bytes() == name)
    }

    /// Returns the name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            StreamPolicy::Default => "Default",
            StreamPolicy::BlockPriority => "BlockPriority",
        }
    }

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

/// The error of a string that is not the name of a [`StreamPolicy`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid stream policy {0:?}: expected `Default` or `BlockPriority`")]
pub struct ParseStreamPolicyError(pub String);

impl FromStr for StreamPolicy {
    type Err = ParseStreamPolicyError;

    /// Parses the name on the wire, which is the output of `Display`.
    fn from_str(name: &str) -> Result<Self, ParseStreamPolicyError> {
        Self::from_name(name.as_bytes()).ok_or_else(|| ParseStreamPolicyError(shorten(name)))
    }
}

impl fmt::Display for StreamPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{BlockHash, GetData, Headers, Inv, NotFound, Ping, Txid};

    #[test]
    fn only_stream_types_up_to_five_are_valid() {
        for (byte, stream) in (0_u8..).zip(StreamType::ALL) {
            assert_eq!(StreamType::try_from(byte), Ok(stream));
            assert_eq!(stream.to_byte(), byte);
        }
        for byte in [6, 255] {
            let refused = DecodeError::InvalidValue {
                field: "stream type",
                expected: "0 to 5",
                got: u64::from(byte),
            };
            assert_eq!(StreamType::try_from(byte), Err(refused));
        }
    }

    #[test]
    fn policy_names_match_exactly() {
        for policy in [StreamPolicy::Default, StreamPolicy::BlockPriority] {
            let name = policy.name().as_bytes();
            assert_eq!(StreamPolicy::from_name(name), Some(policy));
            assert_eq!(policy.to_string().parse(), Ok(policy));
        }
        for name in ["", "default", "Default ", "BlockPriority,Default"] {
            assert_eq!(StreamPolicy::from_name(name.as_bytes()), None);
            let error = name.parse::<StreamPolicy>().unwrap_err();
            assert!(error.to_string().contains(&format!("{name:?}")), "{error}");
        }
    }

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
