//! The wire: every message as a type, and frames around them.
//!
//! This layer knows bytes alone: no sockets, clocks, threads or log lines. It can be used by itself,
//! to read a capture for instance:
//!
//! ```
//! use bsv_p2p::Network;
//! use bsv_p2p::wire::{FrameReader, Incoming, Message, PayloadLimits, Ping, encode_frame};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut bytes = Vec::new();
//! encode_frame(Network::Mainnet.magic(), &Message::Ping(Ping::new(7)), &mut bytes);
//!
//! let mut frames = FrameReader::new(Network::Mainnet.magic(), PayloadLimits::default());
//! let mut source = &bytes[..];
//! while frames.read_from(&mut source)? > 0 {
//!     while let Some(incoming) = frames.next_frame()? {
//!         if let Incoming::Frame(frame) = incoming {
//!             assert_eq!(Message::decode(frame.command, frame.payload)?, Message::Ping(Ping::new(7)));
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Decoding checks every length against the bytes that are there before it allocates: a count that a
//! peer claims costs nothing. A [`Block`], a [`Tx`] and what else carries transactions keep their payload
//! as one shared buffer and give views that borrow from it.
//!
//! # serde
//!
//! With the feature `serde` every type that holds data has `Serialize` and `Deserialize`, what borrows has
//! `Serialize` alone, and what is read back is what was written. In formats that people read, such as JSON:
//!
//! | type | form |
//! | --- | --- |
//! | [`Message`] | an object: the name of the message as `command`, and beside it the fields of its type; for one that nobody knows `payload` |
//! | [`BlockHash`], [`Txid`] and other hashes | the printed form |
//! | scripts, keys, signatures, payloads, a magic | hexadecimal, in the order of the wire |
//! | [`WireString`] | the text; `{"hex": …}` if it is not UTF-8 |
//! | [`Command`], [`StreamType`], [`StreamPolicy`] | the name |
//! | [`AssociationId`] | the UUID; `"none"` for [`AssociationId::Null`] |
//! | [`Services`], [`RejectCode`], [`BloomFlags`] | the number |
//! | [`CompactTarget`] | eight hexadecimal digits, as `Display` shows it |
//! | [`Work`] | 64 hexadecimal digits, as `Display` shows it |
//! | [`Inventory`] | `type` and `hash`; the type is `tx`, `block`, `filtered_block`, `compact_block`, `datareftx`, or a number |
//! | [`BlockHeader`] | its fields, and its `hash` |
//! | [`Transaction`], [`Tx`] | its fields, inputs and outputs in full, and its `txid` |
//! | [`Block`] | `header`, and `transactions` in full |
//! | [`Mempool`] | nothing, an `age` of null, or an `age` |
//! | [`MerkleProof`] | `flags`, `index`, `txid`, the whole `tx` if it is there, `target`, `nodes` |
//! | [`CompactBlock`], [`GetBlockTxn`] | short ids as numbers, transactions in full, indexes absolute |
//! | [`HdrsEn`], [`DsDetected`] | the list of `headers` or `blocks` in full |
//! | [`ProofSubject`], [`MerkleProofTarget`], [`ExtendOutcome`] | the name of the case, and its content if it has any |
//! | all others | an object with their fields; null for what is not there |
//!
//! A `hash` or `txid` may be left out of what is read; if it is there, it has to be that of the content. What a type
//! cannot hold is refused, and fields that nobody knows are ignored. A [`Message::Unknown`] with the name of a known message is
//! read as that message.
//!
//! Of what a program could build with its fields and no receiver would take, see [`Message::validate`], nothing can be read
//! either. Errors, iterators, frames on their way ([`Incoming`], [`EncodedFrame`]),
//! and what does work ([`FrameReader`], [`ChainRules`], [`HeaderChain`], [`Reconstruction`]) are no data.
//!
//! Formats that nobody reads get a message as its command and its payload, blocks, headers, transactions,
//! filters and inventory as the bytes of the wire, and hashes as 32 bytes.

mod association_id;
mod block;
mod block_header;
mod block_scanner;
mod bloom_filter;
mod chain_rules;
mod command;
mod compact_size;
mod decode;
mod decode_error;
mod encode;
mod frame;
mod hash;
mod header_chain;
mod hex_text;
mod inventory;
mod limits;
mod locator;
mod merkle;
mod message;
pub mod network;
mod network_address;
mod proof_of_work;
mod reconstruction;
#[cfg(feature = "serde")]
mod serde_form;
mod services;
mod sha256d;
mod short_id;
mod stream;
mod transaction;
mod wire_string;
mod work;

pub use association_id::AssociationId;
pub use block::{Block, BlockError, Transactions};
pub use block_header::BlockHeader;
pub use block_scanner::{BlockScanner, ScanEvent, TransactionEnd};
pub use bloom_filter::{BloomFilter, BloomFlags, InvalidFalsePositiveRate};
pub use chain_rules::{Ancestors, ChainRuleError, ChainRules, HeaderSlice, InvalidCheckpoints};
pub use command::{Command, InvalidCommand};
pub use compact_size::{MAX_COMPACT_SIZE, compact_size_len, write_compact_size};
pub use decode::{Decode, Reader};
pub use decode_error::DecodeError;
pub use encode::Encode;
pub(crate) use frame::Found;
pub use frame::{
    BASIC_HEADER_LEN, BLOCK_CHUNK, COPY_THRESHOLD, EXTENDED_HEADER_LEN, EncodedFrame, Frame,
    FrameDropReason, FrameError, FrameReader, Incoming, MagicMismatch, encode_frame,
};
pub use hash::{BlockHash, Hash256, MerkleRoot, ParseHashError, Txid};
pub use header_chain::{
    ChainTip, CheckpointStart, ExtendOutcome, HeaderBatch, HeaderChain, HeaderChainError, SourceId,
};
pub use inventory::Inventory;
pub use limits::{
    DEFAULT_MAX_RECEIVE_PAYLOAD, ExpectedPayloads, LEGACY_MAX_RECEIVE_PAYLOAD,
    MAX_PROTOCONF_PAYLOAD, PayloadLimits, inventory_limit,
};
pub use locator::locator_heights;
pub use merkle::{
    MatchedTransaction, MerkleAccumulator, MerkleProof, MerkleProofError, MerkleProofNode,
    MerkleProofTarget, PartialMerkleTree, PartialMerkleTreeError, ProofSubject, merkle_root,
};
pub(crate) use message::MessageNumber;
pub use message::{
    Addr, Alert, Authch, Authresp, BlockTransactions, CompactBlock, CompactBlockError, CreateStrm,
    DatarefTx, DsDetected, DsDetectedBlock, DsDetectedBlocks, DsDetectedError, EnrichedHeader,
    EnrichedHeaderError, EnrichedHeaders, FeeFilter, FilterAdd, GetBlockTxn, GetBlocks, GetData,
    GetHdrsEn, GetHeaders, HdrsEn, Headers, IndexOutOfRange, Indexes, IndexesNotAscending, Inv,
    MAX_ADDRESSES, MAX_HEADERS, MAX_USER_AGENT, Mempool, MerkleBlock, Message, NotFound, Ping,
    Pong, PrefilledTransaction, Protoconf, Reject, RejectCode, RevokeMid, SendCmpct, StreamAck, Tx,
    Version,
};
pub use network_address::{NetworkAddress, TimestampedAddress};
pub use proof_of_work::{CompactTarget, ProofOfWorkError};
pub use reconstruction::{ReconstructOutcome, Reconstruction, ReconstructionError};
pub use services::Services;
pub use sha256d::sha256d;
pub use short_id::ShortIdKey;
pub use stream::{StreamPolicy, StreamType};
pub use transaction::{
    Inputs, OutPoint, Outputs, Transaction, TransactionInput, TransactionInputView,
    TransactionOutput, TransactionOutputView, TransactionView,
};
pub use wire_string::WireString;
pub use work::Work;
