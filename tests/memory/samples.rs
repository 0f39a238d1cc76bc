//! Dense content for messages: blocks, proofs and lists.

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Block, BlockHeader, BlockTransactions, DatarefTx, Decode, DsDetected, DsDetectedBlock,
    EnrichedHeader, Hash256, HdrsEn, MerkleBlock, MerkleProof, MerkleProofNode, MerkleProofTarget,
    MerkleRoot, PartialMerkleTree, ProofSubject, Transaction, Tx, Txid,
};

pub(crate) fn one_transaction() -> Transaction {
    Transaction::decode_from(Network::Regtest.genesis_transaction()).unwrap()
}

pub(crate) fn big_block() -> Block {
    Block::new(
        &BlockHeader::genesis(&Network::Regtest),
        &vec![one_transaction(); 500],
    )
}

/// Returns a block of transactions of minimum length.
pub(crate) fn shortest_transactions(count: usize) -> Block {
    let header = BlockHeader::genesis(&Network::Regtest);
    Block::new(&header, &vec![Transaction::default(); count])
}

/// Returns a transaction and its proof, both of minimum length except the nodes.
pub(crate) fn tx_and_proof(transaction: ProofSubject, nodes: usize) -> DatarefTx {
    let target = MerkleProofTarget::MerkleRoot(MerkleRoot::ZERO);
    let nodes = vec![MerkleProofNode::DUPLICATE; nodes];
    DatarefTx {
        tx: Tx::from(&Transaction::default()),
        proof: MerkleProof::new(0, transaction, target, nodes),
    }
}

pub(crate) fn merkle_block(hashes: usize) -> MerkleBlock {
    MerkleBlock {
        header: BlockHeader::genesis(&Network::Regtest),
        tree: PartialMerkleTree {
            total_transactions: u32::MAX,
            hashes: vec![Hash256::ZERO; hashes],
            flags: vec![0; hashes / 4],
        },
    }
}

/// Returns the maximum number of headers, with or without optional parts.
pub(crate) fn enriched_headers(parts: bool) -> HdrsEn {
    let part = parts.then(|| tx_and_proof(ProofSubject::Txid(Txid::ZERO), 0));
    let header = EnrichedHeader {
        header: BlockHeader::genesis(&Network::Regtest),
        transaction_count: 1,
        no_more_headers: false,
        coinbase: part.clone(),
        miner_info: part,
    };
    HdrsEn::new(&vec![header; 2_000])
}

pub(crate) fn conflicting_blocks(headers: usize, nodes: usize) -> DsDetected {
    let transaction = ProofSubject::Tx(Tx::from(&Transaction::default()));
    let block = DsDetectedBlock {
        headers: vec![BlockHeader::genesis(&Network::Regtest); headers],
        proof: tx_and_proof(transaction, nodes).proof,
    };
    DsDetected::new(&vec![block; 1_000])
}

pub(crate) fn big_answer() -> BlockTransactions {
    let block = big_block();
    BlockTransactions::new(block.hash(), &block.transactions().collect::<Vec<_>>())
}
