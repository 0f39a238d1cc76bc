//! The types of all messages, and the enum of them.

mod addr;
mod alert;
mod authch;
mod block_transactions;
mod compact_block;
mod createstrm;
mod datareftx;
mod dsdetected;
mod fee_filter;
mod filter_add;
mod get_block_txn;
mod get_headers;
mod hdrsen;
mod headers;
mod inventory;
mod list_codec;
mod list_message;
mod mempool;
mod merkleblock;
mod ping;
mod protoconf;
mod reject;
mod revokemid;
mod send_cmpct;
mod tx;
mod validate;
mod version;

pub use addr::{Addr, MAX_ADDRESSES};
pub use alert::Alert;
pub use authch::{Authch, Authresp};
pub use block_transactions::{BlockTransactions, IndexOutOfRange};
pub use compact_block::{CompactBlock, CompactBlockError, PrefilledTransaction};
pub use createstrm::{CreateStrm, StreamAck};
pub use datareftx::DatarefTx;
pub use dsdetected::{DsDetected, DsDetectedBlock, DsDetectedBlocks, DsDetectedError};
pub use fee_filter::FeeFilter;
pub use filter_add::FilterAdd;
pub use get_block_txn::{GetBlockTxn, Indexes, IndexesNotAscending};
pub use get_headers::{GetBlocks, GetHdrsEn, GetHeaders};
pub use hdrsen::{EnrichedHeader, EnrichedHeaderError, EnrichedHeaders, HdrsEn};
pub use headers::{Headers, MAX_HEADERS};
pub use inventory::{GetData, Inv, NotFound};
pub use mempool::Mempool;
pub use merkleblock::MerkleBlock;
pub use ping::{Ping, Pong};
pub use protoconf::Protoconf;
pub use reject::{ParseRejectCodeError, Reject, RejectCode};
pub use revokemid::RevokeMid;
pub use send_cmpct::SendCmpct;
pub use tx::Tx;
pub use version::{MAX_USER_AGENT, Version};

use bytes::Bytes;

use self::list_codec::{
    bytes_len, check_entries, check_entry_limit, decode_entries, decode_list, encode_bytes,
    encode_list, list_len,
};
#[cfg(feature = "serde")]
use super::serde_repr::{NoFields, UnknownFields};
use super::{Block, BloomFilter, Command, Decode, DecodeError, Encode, Reader};

macro_rules! messages {
    (
        empty { $($(#[$empty_doc:meta])* $empty:ident = $empty_name:literal,)+ }
        with_content { $($(#[$doc:meta])* $variant:ident($content:ty) = $name:literal,)+ }
    ) => {
        /// Any message of the protocol.
        ///
        /// A message with an unknown command is [`Message::Unknown`]; it is not an error.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Message {
            $($(#[$empty_doc])* $empty,)+
            $($(#[$doc])* $variant($content),)+
            /// A message with an unknown command, as received.
            Unknown {
                /// The command of the message.
                command: Command,
                /// The payload of the message.
                payload: Bytes,
            },
        }

        /// The known messages, numbered as in [`Message::COMMANDS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum MessageKind {
            $($empty,)+
            $($variant,)+
        }

        /// The commands of the known messages, as numbers.
        #[expect(non_upper_case_globals, reason = "they are called like the messages")]
        mod names {
            use crate::wire::Command;

            $(pub(super) const $empty: u128 = Command::new($empty_name).to_number();)+
            $(pub(super) const $variant: u128 = Command::new($name).to_number();)+
        }

        impl MessageKind {
            /// Returns the number of a command, or `None` if it is unknown.
            pub(crate) fn from_command(command: Command) -> Option<Self> {
                Some(match command.to_number() {
                    $(names::$empty => Self::$empty,)+
                    $(names::$variant => Self::$variant,)+
                    _ => return None,
                })
            }
        }

        impl Message {
            /// The commands of all known messages, each once.
            pub const COMMANDS: &'static [Command] =
                &[$(Command::new($empty_name),)+ $(Command::new($name),)+];

            /// Decodes the payload of a frame. Bytes after the last field are ignored, as by the
            /// node.
            ///
            /// A message with a [`Message::payload_bytes`] keeps `payload` without a copy. An
            /// unknown command is not an error.
            ///
            /// # Errors
            ///
            /// [`DecodeError`] if the payload is not valid for its command.
            pub fn decode(command: Command, payload: Bytes) -> Result<Self, DecodeError> {
                match MessageKind::from_command(command) {
                    Some(kind) => Self::decode_known(kind, &mut Reader::from_shared(&payload)),
                    None => Ok(Message::Unknown { command, payload }),
                }
            }

            /// Returns the command of the message.
            pub fn command(&self) -> Command {
                match self {
                    $(Message::$empty => const { Command::new($empty_name) },)+
                    $(Message::$variant(_) => const { Command::new($name) },)+
                    Message::Unknown { command, .. } => *command,
                }
            }

            /// Like [`decode`](Self::decode), for a known message.
            pub(crate) fn decode_known(
                kind: MessageKind,
                reader: &mut Reader<'_>,
            ) -> Result<Self, DecodeError> {
                Ok(match kind {
                    $(MessageKind::$empty => Message::$empty,)+
                    $(MessageKind::$variant => Message::$variant(Decode::decode(reader)?),)+
                })
            }
        }

        impl Encode for Message {
            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Message::$empty => {})+
                    $(Message::$variant(content) => content.encode(out),)+
                    Message::Unknown { payload, .. } => out.extend_from_slice(payload),
                }
            }

            fn encoded_len(&self) -> u64 {
                match self {
                    $(Message::$empty => 0,)+
                    $(Message::$variant(content) => content.encoded_len(),)+
                    Message::Unknown { payload, .. } => payload.len() as u64,
                }
            }
        }

        #[cfg(feature = "serde")]
        impl Message {
            /// Serializes the fields only, as an object.
            pub(in crate::wire) fn serialize_fields<S: serde::Serializer>(
                &self,
                serializer: S,
            ) -> Result<S::Ok, S::Error> {
                match self {
                    $(Message::$empty)|+ => serde::Serialize::serialize(&NoFields {}, serializer),
                    $(Message::$variant(content) => serde::Serialize::serialize(content, serializer),)+
                    Message::Unknown { payload, .. } => {
                        let payload = payload.clone();
                        serde::Serialize::serialize(&UnknownFields { payload }, serializer)
                    }
                }
            }

            /// Deserializes the message with this command from an object with its fields.
            pub(in crate::wire) fn deserialize_fields<'de, D: serde::Deserializer<'de>>(
                command: Command,
                fields: D,
            ) -> Result<Self, D::Error> {
                Ok(match command.name() {
                    $($empty_name => {
                        <NoFields as serde::Deserialize>::deserialize(fields)?;
                        Message::$empty
                    })+
                    $($name => Message::$variant(serde::Deserialize::deserialize(fields)?),)+
                    _ => {
                        let UnknownFields { payload } = serde::Deserialize::deserialize(fields)?;
                        Message::Unknown { command, payload }
                    }
                })
            }
        }

        /// Clones the message. A [`Message::payload_bytes`] is shared, not copied.
        impl From<&Message> for Message {
            fn from(message: &Message) -> Self {
                message.clone()
            }
        }

        $(impl From<$content> for Message {
            fn from(content: $content) -> Self {
                Message::$variant(content)
            }
        })+
    };
}

messages! {
    empty {
        /// Acknowledges the receiver's `version`.
        Verack = "verack",
        /// Requests addresses of other nodes.
        GetAddr = "getaddr",
        /// Requests the announcement of new blocks with `headers`.
        SendHeaders = "sendheaders",
        /// Requests the announcement of new blocks with `hdrsen`.
        SendHdrsEn = "sendhdrsen",
        /// Removes the bloom filter of the sender.
        FilterClear = "filterclear",
    }
    with_content {
        /// Describes the sender: the first message of a connection.
        Version(Box<Version>) = "version",
        /// Announces the payload limit and the stream policies of the sender.
        Protoconf(Protoconf) = "protoconf",
        /// Requests a `pong` with the same nonce.
        Ping(Ping) = "ping",
        /// Answers a `ping`.
        Pong(Pong) = "pong",
        /// States whether and how the receiver should send compact blocks.
        SendCmpct(SendCmpct) = "sendcmpct",
        /// States the minimum fee rate of transactions that the receiver should announce.
        FeeFilter(FeeFilter) = "feefilter",
        /// Challenges a miner to prove its identity. Other peers ignore it.
        Authch(Authch) = "authch",
        /// Answers a challenge with the identity of a miner.
        Authresp(Authresp) = "authresp",
        /// Revokes a miner ID.
        RevokeMid(Box<RevokeMid>) = "revokemid",
        /// Requests that this connection becomes an additional stream of a peer.
        CreateStrm(CreateStrm) = "createstrm",
        /// Accepts a `createstrm`.
        StreamAck(StreamAck) = "streamack",
        /// Addresses of nodes.
        Addr(Addr) = "addr",
        /// Announces objects that the sender has.
        Inv(Inv) = "inv",
        /// Requests objects.
        GetData(GetData) = "getdata",
        /// Lists objects of a `getdata` that the sender does not have.
        NotFound(NotFound) = "notfound",
        /// Requests an `inv` of the blocks after a known block.
        GetBlocks(GetBlocks) = "getblocks",
        /// Requests headers with their coinbases after a known block.
        GetHdrsEn(GetHdrsEn) = "gethdrsen",
        /// Requests headers after a known block.
        GetHeaders(GetHeaders) = "getheaders",
        /// Headers of blocks.
        Headers(Headers) = "headers",
        /// Headers of blocks, each with its coinbase and a proof of it.
        HdrsEn(HdrsEn) = "hdrsen",
        /// A block.
        Block(Block) = "block",
        /// A block with short IDs instead of most transactions.
        CompactBlock(CompactBlock) = "cmpctblock",
        /// Requests transactions of a compact block.
        GetBlockTxn(GetBlockTxn) = "getblocktxn",
        /// Transactions of a compact block.
        BlockTransactions(BlockTransactions) = "blocktxn",
        /// A transaction.
        Tx(Tx) = "tx",
        /// Requests the unconfirmed transactions of the receiver.
        Mempool(Mempool) = "mempool",
        /// Limits announcements to the transactions that the filter matches.
        FilterLoad(BloomFilter) = "filterload",
        /// Adds an element to the bloom filter of the sender.
        FilterAdd(FilterAdd) = "filteradd",
        /// An obsolete warning.
        Alert(Alert) = "alert",
        /// A block that is reduced to the matches of a filter.
        MerkleBlock(Box<MerkleBlock>) = "merkleblock",
        /// A transaction with a proof of its block.
        DatarefTx(Box<DatarefTx>) = "datareftx",
        /// Proves that blocks of different forks spend the same output.
        DsDetected(DsDetected) = "dsdetected",
        /// Reports that a message was rejected.
        Reject(Reject) = "reject",
    }
}

impl MessageKind {
    /// Returns whether messages of this type have a [`Message::payload_bytes`].
    pub(crate) fn shares_payload(self) -> bool {
        matches!(
            self,
            Self::Block
                | Self::CompactBlock
                | Self::GetBlockTxn
                | Self::BlockTransactions
                | Self::Tx
                | Self::HdrsEn
                | Self::DsDetected
        )
    }
}

impl Message {
    /// Returns the payload if the message keeps it as one shared buffer, which is sent without a
    /// copy.
    pub fn payload_bytes(&self) -> Option<&Bytes> {
        match self {
            Message::Block(block) => Some(block.bytes()),
            Message::CompactBlock(compact) => Some(compact.bytes()),
            Message::GetBlockTxn(request) => Some(request.bytes()),
            Message::BlockTransactions(answer) => Some(answer.bytes()),
            Message::Tx(tx) => Some(tx.bytes()),
            Message::HdrsEn(hdrsen) => Some(hdrsen.bytes()),
            Message::DsDetected(dsdetected) => Some(dsdetected.bytes()),
            Message::Unknown { payload, .. } => Some(payload),
            _ => None,
        }
    }

    /// Checks that every receiver can decode the message.
    ///
    /// Types with public fields can hold values that must not be sent, for example too many
    /// entries. Decoded messages are always valid. The payload of [`Message::Unknown`] is not
    /// checked.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], as returned by the decoder of a receiver. It names the field.
    pub fn validate(&self) -> Result<(), DecodeError> {
        validate::validate(self)
    }
}

/// Messages are usually freed on another thread than the one that allocated them. glibc caches
/// chunks of at most 128 bytes without a lock. A message of this size fits into one, including the
/// counts and lengths of a pointer.
const _: () = assert!(size_of::<Message>() <= 80);
