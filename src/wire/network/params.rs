//! The parameters of a network, and what is valid.

use std::fmt;

use super::{Magic, Network, public};
use crate::host_name;
use crate::wire::chain_rules::InvalidCheckpoints;
use crate::wire::{
    BlockHash, BlockHeader, CompactTarget, Decode, Encode, MerkleRoot, Transaction, Work,
};

/// The parameters of a network.
///
/// Plain data, which [`Network::custom`] validates. The defaults are the parameters of regtest.
/// [`Network::params`] returns the parameters of another network.
///
/// Struct expressions that end with `..NetworkParams::default()` keep compiling when a field is
/// added.
///
/// With the feature `serde`, missing fields have their defaults, and unknown fields are an error.
/// In JSON, fields have these forms:
///
/// - magic, transaction: hexadecimal in wire order
/// - hashes, targets: the printed form
/// - work: 64 hexadecimal digits
/// - checkpoint: a list of height and hash
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct NetworkParams {
    /// The name: 1 to 32 lower-case letters, digits and `-`, starting with a letter. It must not be
    /// the name of a network of [`Network::ALL`].
    pub name: String,
    /// The four bytes that start every frame. It must not be the magic of a network of
    /// [`Network::ALL`] other than regtest, so that a private network never connects to a public
    /// one.
    pub magic: Magic,
    /// The default TCP port of nodes. Must not be 0.
    pub port: u16,
    /// DNS names that resolve to addresses of nodes. At most [`MAX_SEEDS`](Self::MAX_SEEDS).
    pub dns_seeds: Vec<String>,
    /// Whether peers may have loopback and private addresses. The default of
    /// [`ManagerConfig::allow_private`](crate::ManagerConfig::allow_private).
    pub allow_private: bool,
    /// The header of the first block. Its previous block must be zero, and its merkle root the id
    /// of [`genesis_transaction`](Self::genesis_transaction). Its hash must satisfy its bits, which
    /// must not exceed [`proof_of_work_limit`](Self::proof_of_work_limit).
    pub genesis_header: BlockHeader,
    /// The encoded transaction of the first block. At most
    /// [`MAX_GENESIS_TRANSACTION`](Self::MAX_GENESIS_TRANSACTION) bytes.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::hex"))]
    pub genesis_transaction: Vec<u8>,
    /// The first block that no other chain has, for a network that shares its history with others.
    /// [`Manager`](crate::Manager) disconnects from peers without it.
    pub first_own_block: Option<BlockHash>,
    /// The easiest target of a block, in its normal form: as
    /// [`CompactTarget::from_target`] encodes it.
    pub proof_of_work_limit: CompactTarget,
    /// Whether the difficulty changes. If not, each block has the target of its parent.
    pub retargeting: bool,
    /// Whether a block more than 20 minutes after its parent may have the easiest target.
    pub min_difficulty_blocks: bool,
    /// The height of the first block after which the 144-block rule applies.
    pub daa_height: u32,
    /// The height from which on the block version must be at least 2 (BIP34), if any.
    pub bip34_height: Option<u32>,
    /// The height from which on the block version must be at least 3 (BIP66), if any.
    pub bip66_height: Option<u32>,
    /// The height from which on the block version must be at least 4 (BIP65), if any.
    pub bip65_height: Option<u32>,
    /// Heights and hashes of blocks that the chain must contain. The heights must be above 0 and in
    /// ascending order. At most [`MAX_CHECKPOINTS`](Self::MAX_CHECKPOINTS).
    pub checkpoints: Vec<(u32, BlockHash)>,
    /// The work below which a chain does not count as synchronized.
    pub minimum_work: Work,
}

impl NetworkParams {
    /// The maximum number of DNS seeds.
    pub const MAX_SEEDS: usize = 64;

    /// The maximum length of the genesis transaction, in bytes.
    pub const MAX_GENESIS_TRANSACTION: usize = 100_000;

    /// The maximum number of checkpoints.
    pub const MAX_CHECKPOINTS: usize = 10_000;

    /// Checks that name and magic are not those of a built-in network.
    pub(super) fn check_identity(&self) -> Result<(), InvalidNetworkParams> {
        for network in Network::ALL {
            let builtin = network.params();
            if self.name == builtin.name {
                let expected = "a name that no built-in network has";
                return Err(invalid("name", &self.name, expected));
            }
            if self.magic == builtin.magic && network != Network::Regtest {
                let expected = "a magic that no public network has";
                return Err(invalid("magic", self.magic, expected));
            }
        }
        Ok(())
    }

    /// Checks each field by itself and against the others.
    pub(super) fn check_content(&self) -> Result<(), InvalidNetworkParams> {
        if !is_network_name(&self.name) {
            let expected = "1 to 32 lower-case letters, digits and '-', starting with a letter";
            return Err(invalid("name", format_args!("{:?}", self.name), expected));
        }
        if self.port == 0 {
            return Err(invalid("port", self.port, "a port above 0"));
        }
        if self.dns_seeds.len() > Self::MAX_SEEDS {
            let value = format_args!("{} names", self.dns_seeds.len());
            return Err(invalid("dns_seeds", value, "at most 64 names"));
        }
        if let Some(seed) = self
            .dns_seeds
            .iter()
            .find(|seed| host_name::check(seed).is_err())
        {
            let value = format_args!("{seed:?}");
            return Err(invalid("dns_seeds", value, "names of hosts"));
        }
        self.check_limit()?;
        self.check_genesis()?;
        self.check_checkpoints()
    }

    fn check_limit(&self) -> Result<(), InvalidNetworkParams> {
        let limit = self.proof_of_work_limit;
        let normal = limit.target().map(CompactTarget::from_target);
        if normal != Some(limit) {
            let expected = "a target in its normal form";
            return Err(invalid("proof_of_work_limit", limit, expected));
        }
        Ok(())
    }

    fn check_genesis(&self) -> Result<(), InvalidNetworkParams> {
        let header = &self.genesis_header;
        if header.previous != BlockHash::ZERO {
            let expected = "zero";
            let value = header.previous;
            return Err(invalid("genesis_header.previous", value, expected));
        }
        let work = header.bits.check(header.hash(), self.proof_of_work_limit);
        if let Err(error) = work {
            let expected = "a proof of work within the limit";
            return Err(invalid("genesis_header", error, expected));
        }
        let bytes = &self.genesis_transaction;
        let within = bytes.len() <= Self::MAX_GENESIS_TRANSACTION;
        let transaction = within
            .then(|| Transaction::decode_from(bytes).ok())
            .flatten();
        let whole = transaction.filter(|transaction| transaction.encode_to_vec() == *bytes);
        let Some(transaction) = whole else {
            let value = format_args!("{} bytes", bytes.len());
            let expected = "the encoding of one transaction, at most 100,000 bytes";
            return Err(invalid("genesis_transaction", value, expected));
        };
        if header.merkle_root != MerkleRoot(transaction.txid().0) {
            let expected = "the id of the genesis transaction";
            let value = header.merkle_root;
            return Err(invalid("genesis_header.merkle_root", value, expected));
        }
        Ok(())
    }

    fn check_checkpoints(&self) -> Result<(), InvalidNetworkParams> {
        let list = &self.checkpoints;
        if list.len() > Self::MAX_CHECKPOINTS {
            let value = format_args!("{} entries", list.len());
            return Err(invalid("checkpoints", value, "at most 10,000 entries"));
        }
        if list.first().is_some_and(|(height, _)| *height == 0) {
            return Err(invalid("checkpoints", "height 0", "heights above 0"));
        }
        InvalidCheckpoints::check(list).map_err(|error| {
            let expected = "heights in ascending order";
            invalid(
                "checkpoints",
                format_args!("height {}", error.got),
                expected,
            )
        })
    }
}

impl Default for NetworkParams {
    /// Returns the parameters of regtest.
    fn default() -> Self {
        public::REGTEST.clone()
    }
}

/// The error of parameters that do not define a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("network parameter {field}: expected {expected}, got {value}")]
#[non_exhaustive]
pub struct InvalidNetworkParams {
    /// The name of the field.
    pub field: &'static str,
    /// The value, as text of at most 200 bytes.
    pub value: String,
    /// What is valid.
    pub expected: &'static str,
}

/// The maximum length of a value in an error, in bytes.
const MAX_VALUE: usize = 200;

fn invalid(
    field: &'static str,
    value: impl fmt::Display,
    expected: &'static str,
) -> InvalidNetworkParams {
    let mut value = value.to_string();
    value.truncate(value.floor_char_boundary(MAX_VALUE));
    InvalidNetworkParams {
        field,
        value,
        expected,
    }
}

/// Returns whether a text can be the name of a network.
pub(crate) fn is_network_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.len() <= 32
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(allowed)
}
