//! Every message as a type, and the one type that is any of them.

mod addr;
mod alert;
mod announce;
mod authch;
mod block_transactions;
mod compact_block;
mod datareftx;
mod dsdetected;
mod fields;
mod filter_add;
mod get_block_txn;
mod hdrsen;
mod headers;
mod inventory_lists;
mod lists;
mod locator;
mod mempool;
mod merkleblock;
mod ping;
mod protoconf;
mod reject;
mod revokemid;
mod streams;
mod tx;
mod version;

pub use addr::{Addr, MAX_ADDRESSES};
pub use alert::Alert;
pub use announce::{FeeFilter, SendCmpct};
pub use authch::{Authch, Authresp};
pub use block_transactions::{BlockTransactions, IndexOutOfRange};
pub use compact_block::{CompactBlock, CompactBlockError, PrefilledTransaction};
pub use datareftx::DatarefTx;
pub use dsdetected::{DsDetected, DsDetectedBlock, DsDetectedBlocks, DsDetectedError};
pub use filter_add::FilterAdd;
pub use get_block_txn::{GetBlockTxn, Indexes, IndexesNotAscending};
pub use hdrsen::{EnrichedHeader, EnrichedHeaderError, EnrichedHeaders, HdrsEn};
pub use headers::{Headers, MAX_HEADERS};
pub use inventory_lists::{GetData, Inv, NotFound};
pub use locator::{GetBlocks, GetHdrsEn, GetHeaders};
pub use mempool::Mempool;
pub use merkleblock::MerkleBlock;
pub use ping::{Ping, Pong};
pub use protoconf::Protoconf;
pub use reject::{Reject, RejectCode};
pub use revokemid::RevokeMid;
pub use streams::{CreateStrm, StreamAck};
pub use tx::Tx;
pub use version::{MAX_USER_AGENT, Version};

use bytes::Bytes;

use self::lists::{
    bytes_len, check_entries, check_entry_limit, decode_entries, decode_list, encode_bytes,
    encode_list, list_len,
};
#[cfg(feature = "serde")]
use super::serde_form::{NoFields, UnknownFields};
use super::{Block, BloomFilter, Command, Decode, DecodeError, Encode, Reader};

macro_rules! messages {
    (
        empty { $($(#[$empty_doc:meta])* $empty:ident = $empty_name:literal,)+ }
        with_content { $($(#[$doc:meta])* $variant:ident($content:ty) = $name:literal,)+ }
    ) => {
        /// Any message of the protocol.
        ///
        /// A message whose command nobody knows is kept as [`Message::Unknown`]: it is never an error.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Message {
            $($(#[$empty_doc])* $empty,)+
            $($(#[$doc])* $variant($content),)+
            /// A message that this library does not know, as it came.
            Unknown {
                /// Its name.
                command: Command,
                /// Its content.
                payload: Bytes,
            },
        }

        /// The known messages, numbered as in [`Message::COMMANDS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum MessageNumber {
            $($empty,)+
            $($variant,)+
        }

        /// The names of the known messages, as numbers.
        #[expect(non_upper_case_globals, reason = "they are called like the messages")]
        mod names {
            use crate::wire::Command;

            $(pub(super) const $empty: u128 = Command::new($empty_name).to_number();)+
            $(pub(super) const $variant: u128 = Command::new($name).to_number();)+
        }

        impl MessageNumber {
            /// Where a name stands in [`Message::COMMANDS`], if it does.
            pub(crate) fn of(command: Command) -> Option<Self> {
                Some(match command.to_number() {
                    $(names::$empty => Self::$empty,)+
                    $(names::$variant => Self::$variant,)+
                    _ => return None,
                })
            }
        }

        impl Message {
            /// The names of the messages that have a type, each once.
            pub const COMMANDS: &'static [Command] =
                &[$(Command::new($empty_name),)+ $(Command::new($name),)+];

            /// The message's name on the wire.
            pub fn command(&self) -> Command {
                match self {
                    $(Message::$empty => const { Command::new($empty_name) },)+
                    $(Message::$variant(_) => const { Command::new($name) },)+
                    Message::Unknown { command, .. } => *command,
                }
            }

            /// Reads the payload of a frame. Bytes behind the last field are ignored, as the node does.
            ///
            /// A message that has a [`Message::payload_bytes`] keeps `payload` as that, without a copy.
            ///
            /// # Errors
            ///
            /// A [`DecodeError`] if the payload is not what its command says. An unknown command is no error.
            pub fn decode(command: Command, payload: Bytes) -> Result<Self, DecodeError> {
                match MessageNumber::of(command) {
                    Some(number) => Self::decode_known(number, &mut Reader::shared(&payload)),
                    None => Ok(Message::Unknown { command, payload }),
                }
            }

            /// The same of a known message.
            pub(crate) fn decode_known(
                number: MessageNumber,
                reader: &mut Reader<'_>,
            ) -> Result<Self, DecodeError> {
                Ok(match number {
                    $(MessageNumber::$empty => Message::$empty,)+
                    $(MessageNumber::$variant => Message::$variant(Decode::decode(reader)?),)+
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
            /// Writes the fields alone, as an object.
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

            /// Reads the message of that name from an object with its fields.
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

        $(impl From<$content> for Message {
            fn from(content: $content) -> Self {
                Message::$variant(content)
            }
        })+
    };
}

messages! {
    empty {
        /// The sender has accepted our `version`.
        Verack = "verack",
        /// Asks for addresses of other nodes.
        GetAddr = "getaddr",
        /// Asks that new blocks be announced with `headers`.
        SendHeaders = "sendheaders",
        /// Asks that new blocks be announced with `hdrsen`.
        SendHdrsEn = "sendhdrsen",
        /// Takes the sender's bloom filter away.
        FilterClear = "filterclear",
    }
    with_content {
        /// Who the sender is: the first message of a connection.
        Version(Box<Version>) = "version",
        /// What the sender takes: its limit and its stream policies.
        Protoconf(Protoconf) = "protoconf",
        /// Asks for a `pong` with the same nonce.
        Ping(Ping) = "ping",
        /// Answers a `ping`.
        Pong(Pong) = "pong",
        /// Whether and how the sender wants compact blocks.
        SendCmpct(SendCmpct) = "sendcmpct",
        /// The least fee rate of transactions that the sender wants to hear of.
        FeeFilter(FeeFilter) = "feefilter",
        /// A challenge to miners to show who they are; other peers ignore it.
        Authch(Authch) = "authch",
        /// A miner's answer to a challenge.
        Authresp(Authresp) = "authresp",
        /// Takes back a miner ID.
        RevokeMid(Box<RevokeMid>) = "revokemid",
        /// Asks to make this connection a further stream of a peer.
        CreateStrm(CreateStrm) = "createstrm",
        /// Accepts a `createstrm`.
        StreamAck(StreamAck) = "streamack",
        /// Addresses of nodes.
        Addr(Addr) = "addr",
        /// What the sender has.
        Inv(Inv) = "inv",
        /// Asks for objects.
        GetData(GetData) = "getdata",
        /// Objects of a `getdata` that the sender does not have.
        NotFound(NotFound) = "notfound",
        /// Asks for an `inv` of the blocks behind a known one.
        GetBlocks(GetBlocks) = "getblocks",
        /// Asks for headers with their coinbases behind a known block.
        GetHdrsEn(GetHdrsEn) = "gethdrsen",
        /// Asks for headers behind a known block.
        GetHeaders(GetHeaders) = "getheaders",
        /// Headers of blocks.
        Headers(Headers) = "headers",
        /// Headers of blocks, each with its coinbase and the proof of it.
        HdrsEn(HdrsEn) = "hdrsen",
        /// A block.
        Block(Block) = "block",
        /// A block whose transactions are named by short ids.
        CompactBlock(CompactBlock) = "cmpctblock",
        /// Asks for transactions of a compact block.
        GetBlockTxn(GetBlockTxn) = "getblocktxn",
        /// Transactions of a compact block.
        BlockTransactions(BlockTransactions) = "blocktxn",
        /// A transaction.
        Tx(Tx) = "tx",
        /// Asks for the transactions that wait for a block.
        Mempool(Mempool) = "mempool",
        /// Asks to hear only of transactions that the filter matches.
        FilterLoad(BloomFilter) = "filterload",
        /// Adds an element to the sender's bloom filter.
        FilterAdd(FilterAdd) = "filteradd",
        /// An obsolete warning.
        Alert(Alert) = "alert",
        /// A block without the transactions that a filter does not match.
        MerkleBlock(Box<MerkleBlock>) = "merkleblock",
        /// A transaction with the proof that it is in a block.
        DatarefTx(Box<DatarefTx>) = "datareftx",
        /// Shows that blocks of different forks spend the same output.
        DsDetected(DsDetected) = "dsdetected",
        /// Says that a message was refused.
        Reject(Reject) = "reject",
    }
}

impl MessageNumber {
    /// Whether such messages keep their payload: those of [`Message::payload_bytes`].
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
    /// The payload, if the message keeps it as one shared buffer: then it can be sent without a copy.
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
}

/// What a subscriber gets is given back to the allocator in another thread than it came from. Up to this size that costs little with
/// glibc, which keeps chunks of at most 128 bytes, a pointer's counts and lengths included, without a lock.
const _: () = assert!(size_of::<Message>() <= 80);
