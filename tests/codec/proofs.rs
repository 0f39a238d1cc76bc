//! Proofs about the transactions of blocks, for arbitrary blocks and for arbitrary bytes.

use bsv_p2p::wire::{
    BlockHash, DatarefTx, Decode, DsDetected, DsDetectedBlock, Encode, EnrichedHeader, Hash256,
    HdrsEn, MatchedTransaction, MerkleBlock, MerkleProof, MerkleProofError, MerkleProofNode,
    MerkleProofTarget, MerkleRoot, Message, PartialMerkleTree, ProofSubject, Tx, Txid, merkle_root,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::any_message::payload;
use crate::parts::{hash, header, list, script, transaction};
use crate::support::cases;

pub(crate) fn merkle_block() -> impl Strategy<Value = MerkleBlock> {
    (header(), any::<u32>(), list(hash()), script()).prop_map(
        |(header, total_transactions, hashes, flags)| MerkleBlock {
            header,
            tree: PartialMerkleTree {
                total_transactions,
                hashes: hashes.into_iter().map(Hash256).collect(),
                flags,
            },
        },
    )
}

fn merkle_proof() -> impl Strategy<Value = MerkleProof> {
    let transaction = prop_oneof![
        hash().prop_map(|txid| ProofSubject::Txid(Txid(txid))),
        transaction().prop_map(|transaction| ProofSubject::Tx(Tx::from(&transaction))),
    ];
    let target = (hash(), 0..4_u8, 1..128_u8).prop_map(|(hash, which, flags)| match which {
        0 => MerkleProofTarget::Block(BlockHash(hash)),
        1 => MerkleProofTarget::MerkleRoot(MerkleRoot(hash)),
        _ if flags == 2 => MerkleProofTarget::MerkleRoot(MerkleRoot(hash)),
        _ => MerkleProofTarget::Unknown {
            flags: flags << 1,
            hash: Hash256(hash),
        },
    });
    let index = prop_oneof![0..300_u32, any::<u32>()];
    let node = (any::<u8>(), hash()).prop_map(|(kind, value)| MerkleProofNode {
        kind,
        value: Hash256(value),
    });
    (index, transaction, target, list(node)).prop_map(|(index, transaction, target, nodes)| {
        MerkleProof::new(index, transaction, target, nodes)
    })
}

pub(crate) fn tx_and_proof() -> impl Strategy<Value = DatarefTx> {
    (transaction(), merkle_proof()).prop_map(|(transaction, proof)| DatarefTx {
        tx: Tx::from(&transaction),
        proof,
    })
}

pub(crate) fn enriched_header() -> impl Strategy<Value = EnrichedHeader> {
    let parts = [(); 2].map(|()| option::of(tx_and_proof()));
    let count = prop_oneof![0..300_u32, any::<u32>()];
    (header(), count, any::<bool>(), parts).prop_map(
        |(header, transaction_count, no_more_headers, [coinbase, miner_info])| EnrichedHeader {
            header,
            transaction_count,
            no_more_headers,
            coinbase,
            miner_info,
        },
    )
}

pub(crate) fn dsdetected() -> impl Strategy<Value = DsDetected> {
    let block = (vec(header(), 0..4), merkle_proof())
        .prop_map(|(headers, proof)| DsDetectedBlock { headers, proof });
    vec(block, 0..4).prop_map(|blocks| DsDetected::new(&blocks))
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn verifying_arbitrary_messages_never_panics((command, bytes) in payload()) {
        match Message::decode(command, bytes.into()) {
            Ok(Message::MerkleBlock(block)) => drop(block.verify()),
            Ok(Message::DatarefTx(content)) => {
                let root = content.proof.root();
                let judged = content.proof.verify(content.tx.txid(), root);
                let led_elsewhere = matches!(judged, Err(MerkleProofError::RootMismatch { .. }));
                prop_assert!(!led_elsewhere, "{:?}", judged);
            }
            Ok(Message::HdrsEn(hdrsen)) => {
                prop_assert_eq!(hdrsen.headers().count(), hdrsen.len());
                let headers: Vec<_> = hdrsen.headers().collect();
                prop_assert!(HdrsEn::new(&headers).headers().eq(headers.iter().cloned()));
                for header in headers {
                    let _ = (header.verify_coinbase(), header.verify_miner_info());
                }
            }
            Ok(Message::DsDetected(dsdetected)) => {
                let blocks: Vec<_> = dsdetected.blocks().collect();
                prop_assert_eq!(blocks.len(), dsdetected.blocks().len());
                prop_assert!(DsDetected::new(&blocks).blocks().eq(blocks.iter().cloned()));
                let _ = (dsdetected.verify(), dsdetected.check_age(Some(1), 1));
            }
            _ => {}
        }
    }

    #[test]
    fn partial_merkle_tree_proves_only_its_matches(
        transactions in vec((hash(), any::<bool>()), 1..70),
        at in any::<Index>(),
        bit in 0..8_u32,
    ) {
        let transactions: Vec<_> = transactions.into_iter().map(|(n, m)| (Txid(n), m)).collect();
        let (root, _) = merkle_root(transactions.iter().map(|(txid, _)| *txid));
        let tree = PartialMerkleTree::new(transactions.iter().copied()).unwrap();
        let found: Vec<_> = tree.verify(root).unwrap();
        let expected = (0..).zip(&transactions).filter(|(_, (_, matches))| *matches);
        let expected: Vec<_> = expected
            .map(|(position, (txid, _))| MatchedTransaction { position, txid: *txid })
            .collect();
        prop_assert_eq!(&found, &expected);
        let mut bytes = tree.encode_to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = PartialMerkleTree::decode_from(&bytes) {
            // Other numbers can mean the same if the shape of the tree is unchanged, but they never
            // prove anything else.
            if let Ok(found) = changed.verify(root) {
                prop_assert_eq!(changed.hashes, tree.hashes);
                let txids = |list: &[MatchedTransaction]| {
                    list.iter().map(|matched| matched.txid).collect::<Vec<_>>()
                };
                let known = transactions.iter().map(|(txid, _)| *txid).collect::<Vec<_>>();
                prop_assert!(txids(&found).iter().all(|txid| known.contains(txid)));
            }
        }
    }

    #[test]
    fn merkle_proof_holds_for_its_transaction_only(
        txids in vec(hash(), 1..70),
        chosen in any::<Index>(),
        other in any::<Index>(),
        bit in 0..256_usize,
    ) {
        let txids: Vec<_> = txids.into_iter().map(Txid).collect();
        let (root, _) = merkle_root(txids.iter().copied());
        let (chosen, other) = (chosen.index(txids.len()), other.index(txids.len()));
        let proof = MerkleProof::for_merkle_root(&txids, chosen as u32).unwrap();
        let marked = proof.clone().with_duplicate_markers();
        for proof in [proof, marked] {
            prop_assert_eq!(proof.verify(txids[chosen], root), Ok(()));
            prop_assert_eq!(proof.verify(txids[other], root).is_ok(), chosen == other);
            let rebuilt = |index, nodes: Vec<_>| {
                MerkleProof::new(index, proof.transaction().clone(), proof.target(), nodes)
            };
            let nodes: Vec<_> = proof.nodes().collect();
            // Another position, inside the block or beyond it.
            for bit in 0..32 {
                let moved = rebuilt(chosen as u32 ^ 1 << bit, nodes.clone());
                prop_assert!(moved.verify(txids[chosen], root).is_err());
            }
            for at in 0..nodes.len() {
                let mut nodes = nodes.clone();
                nodes[at].value.0[bit / 8] ^= 1 << (bit % 8);
                let changed = rebuilt(chosen as u32, nodes).verify(txids[chosen], root);
                prop_assert!(changed.is_err());
            }
        }
    }
}
