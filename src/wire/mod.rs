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
//! Decoding checks every length against the bytes that are there before it allocates: a count that a peer claims
//! costs nothing. A [`Block`], a [`Tx`] and the parts of a [`CompactBlock`] keep their payload as one shared buffer
//! and give views that borrow from it.

mod association_id;
mod block;
mod block_header;
mod bloom_filter;
mod command;
mod compact_size;
mod decode;
mod encode;
mod frame;
mod hash;
mod header_chain;
mod inventory;
mod limits;
mod locator;
mod merkle;
mod message;
mod network_address;
mod proof_of_work;
mod reconstruction;
mod services;
mod short_id;
mod stream;
mod transaction;
mod wire_string;
mod work;

pub use association_id::AssociationId;
pub use block::{Block, BlockError, Transactions};
pub use block_header::BlockHeader;
pub use bloom_filter::{BadFalsePositiveRate, BloomFilter, BloomFlags};
pub use command::{BadCommand, Command};
pub use compact_size::{MAX_COMPACT_SIZE, compact_size_len, write_compact_size};
pub use decode::{Decode, DecodeError, Reader};
pub use encode::Encode;
pub use frame::{
    BASIC_HEADER_LEN, DropCause, EXTENDED_HEADER_LEN, EncodedFrame, ForeignMagic, Frame,
    FrameError, FrameReader, Incoming, SMALL_FRAME, encode_frame,
};
pub use hash::{BadHash, BlockHash, Hash256, MerkleRoot, Txid, merkle_root, sha256d};
pub use header_chain::{Extended, HeaderChain, HeaderChainError};
pub use inventory::Inventory;
pub use limits::{
    DEFAULT_MAX_RECEIVE_PAYLOAD, LEGACY_MAX_RECEIVE_PAYLOAD, MAX_PROTOCONF_PAYLOAD, PayloadLimits,
    inventory_limit,
};
pub use locator::locator_heights;
pub use merkle::{
    MatchedTransaction, MerkleProof, MerkleProofError, MerkleProofNode, MerkleProofTarget,
    PartialMerkleTree, PartialMerkleTreeError, TxOrId,
};
pub use message::{
    Addr, Alert, Authch, Authresp, BlockTransactions, CompactBlock, CompactBlockError, CreateStrm,
    DsDetected, DsDetectedBlock, DsDetectedBlocks, DsDetectedError, EnrichedHeader,
    EnrichedHeaderError, EnrichedHeaders, FeeFilter, FilterAdd, GetBlockTxn, GetBlocks, GetData,
    GetHdrsEn, GetHeaders, Hdrsen, Headers, IndexBeyondBlock, Indexes, IndexesNotAscending, Inv,
    MAX_ADDRESSES, MAX_HEADERS, MAX_USER_AGENT, Mempool, MerkleBlock, Message, NotFound, Ping,
    Pong, Prefilled, Protoconf, Reject, RejectCode, RevokeMid, SendCmpct, StreamAck, Tx,
    TxAndProof, Version,
};
pub use network_address::{NetworkAddress, TimestampedAddress};
pub use proof_of_work::{CompactTarget, ProofOfWorkError};
pub use reconstruction::{Reconstructed, Reconstruction, ReconstructionError};
pub use services::Services;
pub use short_id::ShortIdKey;
pub use stream::{StreamPolicy, StreamType};
pub use transaction::{
    Inputs, OutPoint, Outputs, Transaction, TransactionInput, TransactionInputView,
    TransactionOutput, TransactionOutputView, TransactionView,
};
pub use wire_string::WireString;
pub use work::Work;
