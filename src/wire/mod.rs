//! The wire format: a type for every message, and the frames that carry them.
//!
//! This layer handles bytes only. It uses no sockets, clocks, threads or log records, so it can be
//! used alone, for example to read a capture:
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
//!             let message = Message::decode(frame.command, frame.payload)?;
//!             assert_eq!(message, Message::Ping(Ping::new(7)));
//!         }
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Decoding checks every length against the available bytes before it allocates, so a false count
//! from a peer causes no large allocation. A [`Block`], a [`Tx`] and other messages with
//! transactions keep their payload as one shared buffer and return views that borrow from it.
//!
//! # serde
//!
//! With the feature `serde`, every data type implements `Serialize` and `Deserialize`. Borrowing
//! types implement `Serialize` only. A deserialized value is equal to the serialized one. In
//! human-readable formats such as JSON:
//!
//! | type | form |
//! | --- | --- |
//! | [`Message`] | an object: the name as `command`, and its fields (`payload` if unknown) |
//! | [`BlockHash`], [`Txid`] and other hashes | the printed form |
//! | scripts, keys, signatures, payloads, magics | hexadecimal in wire order |
//! | [`WireString`] | the text; `{"hex": …}` if it is not UTF-8 |
//! | [`Command`], [`StreamType`], [`StreamPolicy`] | the name |
//! | [`AssociationId`] | the UUID; `"none"` for [`AssociationId::Null`] |
//! | [`Services`], [`RejectCode`], [`BloomFlags`] | the number |
//! | [`CompactTarget`] | eight hexadecimal digits, like `Display` |
//! | [`Work`] | 64 hexadecimal digits, like `Display` |
//! | [`Inventory`] | `hash`, and `type`: a number or one of the names below |
//! | [`BlockHeader`] | its fields, and its `hash` |
//! | [`Transaction`], [`Tx`] | all fields, inputs and outputs, and the `txid` |
//! | [`Block`] | `header`, and all `transactions` with their fields |
//! | [`Mempool`] | nothing, an `age` of null, or an `age` |
//! | [`MerkleProof`] | `flags`, `index`, `txid`, `tx` if it is included, `target`, `nodes` |
//! | [`CompactBlock`], [`GetBlockTxn`] | short IDs as numbers, all transactions, absolute indexes |
//! | [`HdrsEn`], [`DsDetected`] | the list of all `headers` or `blocks` |
//! | [`ProofSubject`], [`MerkleProofTarget`], [`ExtendOutcome`] | the name of the variant, its content |
//! | all others | an object with their fields; null for missing values |
//!
//! The named types of an inventory are `tx`, `block`, `filtered_block`, `compact_block` and
//! `datareftx`.
//!
//! The fields `hash` and `txid` are optional in the input. If they are present, they must match the
//! content. Deserialization rejects values that the type cannot hold, and values that
//! [`Message::validate`] rejects. Unknown fields are ignored. A [`Message::Unknown`] with the
//! name of a known message is deserialized as that message.
//!
//! [`DecodeError`] implements `Serialize` only. Other errors, iterators, frames ([`Incoming`],
//! [`EncodedFrame`]) and types with behavior ([`FrameReader`], [`ChainRules`], [`HeaderChain`],
//! [`Reconstruction`]) implement neither trait.
//!
//! Binary formats encode a message as its command and payload. Blocks, headers, transactions,
//! filters and inventory entries are encoded as in the protocol, and hashes as 32 bytes.

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
mod error_chain;
mod frame;
mod hash;
mod header_chain;
mod hex_debug;
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
mod serde_repr;
mod services;
mod sha256d;
mod short_id;
mod stream;
mod transaction;
mod wire_string;
mod work;

pub use association_id::{AssociationId, ParseAssociationIdError};
pub(crate) use block::BlockParser;
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
pub(crate) use error_chain::WithSources;
pub use frame::{
    BASIC_HEADER_LEN, BLOCK_CHUNK, COPY_THRESHOLD, EXTENDED_HEADER_LEN, EncodedFrame, Frame,
    FrameDropReason, FrameError, FrameReader, Incoming, MagicMismatch, encode_frame,
};
pub(crate) use frame::{BufferPool, Found};
pub use hash::{BlockHash, Hash256, InvalidHashLength, MerkleRoot, ParseHashError, Txid};
pub use header_chain::{
    ChainTip, CheckpointStart, ExtendOutcome, HeaderBatch, HeaderChain, HeaderChainError,
    HeaderIter, SourceId,
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
pub(crate) use message::MessageKind;
pub use message::{
    Addr, Alert, Authch, Authresp, BlockTransactions, CompactBlock, CompactBlockError, CreateStrm,
    DatarefTx, DsDetected, DsDetectedBlock, DsDetectedBlocks, DsDetectedError, EnrichedHeader,
    EnrichedHeaderError, EnrichedHeaders, FeeFilter, FilterAdd, GetBlockTxn, GetBlocks, GetData,
    GetHdrsEn, GetHeaders, HdrsEn, Headers, IndexOutOfRange, Indexes, IndexesNotAscending, Inv,
    MAX_ADDRESSES, MAX_HEADERS, MAX_USER_AGENT, Mempool, MerkleBlock, Message, NotFound,
    ParseRejectCodeError, Ping, Pong, PrefilledTransaction, Protoconf, Reject, RejectCode,
    RevokeMid, SendCmpct, StreamAck, Tx, Version,
};
pub use network_address::{NetworkAddress, ParseNetworkAddressError, TimestampedAddress};
pub use proof_of_work::{CompactTarget, ProofOfWorkError};
pub use reconstruction::{ReconstructOutcome, Reconstruction, ReconstructionError};
pub use services::{ParseServicesError, Services};
pub use sha256d::sha256d;
pub use short_id::ShortIdKey;
pub use stream::{ParseStreamPolicyError, StreamPolicy, StreamType};
pub use transaction::{
    Inputs, InvalidTransaction, OutPoint, Outputs, Transaction, TransactionInput,
    TransactionInputView, TransactionOutput, TransactionOutputView, TransactionView,
};
pub use wire_string::WireString;
pub use work::Work;
