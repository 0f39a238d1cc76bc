//! Block headers.

use super::{
    BlockHash, CompactTarget, Decode, DecodeError, Encode, MerkleRoot, ProofOfWorkError, Reader,
    sha256d,
};
use crate::network::Network;

/// A block header of 80 bytes. It commits to the transactions and carries the proof of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockHeader {
    /// The block version. Values of 2^31 and above on the wire are negative here, as in the node.
    pub version: i32,
    /// The hash of the previous block, or zero for the genesis block.
    pub previous: BlockHash,
    /// The root of the merkle tree over the transactions.
    pub merkle_root: MerkleRoot,
    /// The time set by the miner, in seconds since 1970.
    pub time: u32,
    /// The target in compact form. The hash must not exceed it.
    pub bits: CompactTarget,
    /// The number that the miner varies to meet the target.
    pub nonce: u32,
}

impl BlockHeader {
    /// The length of a header in bytes.
    pub const LEN: usize = 80;

    /// Returns the header of the genesis block of `network`.
    pub fn genesis(network: &Network) -> Self {
        network.genesis_header()
    }

    /// Creates a header from its 80 bytes. Every content is valid.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let word = |at: usize| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(word)
        };
        let hash = |at: usize| {
            let mut hash = [0; 32];
            hash.copy_from_slice(&bytes[at..at + 32]);
            hash
        };
        Self {
            version: word(0) as i32,
            previous: BlockHash(hash(4)),
            merkle_root: MerkleRoot(hash(36)),
            time: word(68),
            bits: CompactTarget(word(72)),
            nonce: word(76),
        }
    }

    /// Returns the header at the start of a block payload.
    ///
    /// # Panics
    ///
    /// If the payload is shorter than a header. The caller must have checked its length.
    pub(super) fn at_start_of(payload: &[u8]) -> Self {
        let mut bytes = [0; Self::LEN];
        bytes.copy_from_slice(&payload[..Self::LEN]);
        Self::from_bytes(&bytes)
    }

    /// Returns the 80 bytes of the header.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.version.to_le_bytes());
        bytes[4..36].copy_from_slice(&self.previous.0);
        bytes[36..68].copy_from_slice(&self.merkle_root.0);
        bytes[68..72].copy_from_slice(&self.time.to_le_bytes());
        bytes[72..76].copy_from_slice(&self.bits.0.to_le_bytes());
        bytes[76..].copy_from_slice(&self.nonce.to_le_bytes());
        bytes
    }

    /// Returns the block hash: the double SHA-256 of the 80 bytes.
    pub fn hash(&self) -> BlockHash {
        BlockHash(sha256d(&self.to_bytes()).0)
    }

    /// Checks that the hash meets the target in `bits`, and that `network` allows this target.
    ///
    /// The required target at the height of the header is not checked. See
    /// [`ChainRules::check_header`](crate::wire::ChainRules::check_header) for that rule.
    ///
    /// # Errors
    ///
    /// - [`ProofOfWorkError::InvalidTarget`] if `bits` is not a valid target.
    /// - [`ProofOfWorkError::TargetTooEasy`] if the target is easier than the limit of the network.
    /// - [`ProofOfWorkError::HashAboveTarget`] if the hash exceeds the target.
    pub fn check_proof_of_work(&self, network: &Network) -> Result<(), ProofOfWorkError> {
        self.bits.check(self.hash(), network.proof_of_work_limit())
    }
}

impl Decode for BlockHeader {
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader
            .array("block header")
            .map(|bytes| Self::from_bytes(&bytes))
    }
}

impl Encode for BlockHeader {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }

    fn encoded_len(&self) -> u64 {
        Self::LEN as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn genesis_headers_have_known_hashes() {
        for (network, hash) in [
            (
                Network::Mainnet,
                "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
            ),
            (
                Network::Testnet,
                "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
            ),
            (
                Network::Stn,
                "000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943",
            ),
            (
                Network::Regtest,
                "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
            ),
        ] {
            let header = BlockHeader::genesis(&network);
            assert_eq!(header.hash().to_string(), hash);
            assert_eq!(header, network.genesis_header());
            assert_eq!(header.check_proof_of_work(&network), Ok(()));
        }
    }

    #[test]
    fn header_without_proof_of_work_is_rejected() {
        let mut header = BlockHeader::genesis(&Network::Mainnet);
        header.nonce += 1;
        assert!(matches!(
            header.check_proof_of_work(&Network::Mainnet),
            Err(ProofOfWorkError::HashAboveTarget { .. })
        ));
        let easy = BlockHeader::genesis(&Network::Regtest);
        assert!(matches!(
            easy.check_proof_of_work(&Network::Mainnet),
            Err(ProofOfWorkError::TargetTooEasy { .. })
        ));
    }
}
