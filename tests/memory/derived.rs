//! Memory of values derived from messages: reconstructed blocks, merkle trees, header chains.

use std::hint::black_box;

use allocation_counter::measure;
use bsv_p2p::Network;
use bsv_p2p::wire::{
    BlockHeader, BlockTransactions, CompactBlock, Encode, HeaderChain, MAX_HEADERS,
    ReconstructOutcome, Reconstruction, Tx, Txid, write_compact_size,
};

use crate::samples::{big_answer, merkle_block};

#[test]
fn compact_block_uses_twice_its_short_ids() {
    let names = 100_000_u64;
    let mut payload = BlockHeader::genesis(&Network::Regtest).encode_to_vec();
    payload.extend_from_slice(&[7; 8]);
    write_compact_size(names, &mut payload);
    (0..names).for_each(|id| payload.extend_from_slice(&id.to_le_bytes()[..6]));
    payload.push(0);
    let compact = CompactBlock::from_payload(payload.into()).unwrap();
    let mut kept = None;
    let counted = measure(|| {
        let nothing = std::iter::empty::<(Txid, Tx)>();
        kept = Some(Reconstruction::start(compact.clone(), u64::MAX, nothing).unwrap());
    });
    let Some(ReconstructOutcome::Incomplete(waiting)) = kept else {
        panic!("{kept:?}");
    };
    assert_eq!(waiting.missing().len() as u64, names);
    assert!(counted.bytes_max <= 12 * names, "{counted:?}");
    assert!(counted.bytes_current <= 6 * names as i64, "{counted:?}");
    // A response of another length is rejected before reconstruction.
    let answer = big_answer();
    let other = BlockTransactions::new(waiting.block(), &[]);
    let counted = measure(|| {
        assert!(waiting.fill(&answer).is_err());
        assert!(waiting.fill(&other).is_err());
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}

/// The claimed number of transactions does not matter.
#[test]
fn merkle_tree_memory_depends_on_hashes_only() {
    for hashes in [0, 1, 1_000] {
        let block = merkle_block(hashes);
        let counted = measure(|| drop(black_box(block.verify())));
        assert_eq!(counted.count_total, 0, "{counted:?}");
    }
}

#[test]
fn header_chain_uses_100_bytes_per_header() {
    let mut chain = HeaderChain::new(Network::Regtest);
    let mut list = Vec::with_capacity(MAX_HEADERS);
    let mut live = 0;
    let mut previous = BlockHeader::genesis(&Network::Regtest);
    // Each part of the index grows by half of its size, at different times.
    for _ in 0..60 {
        list.clear();
        for _ in 0..MAX_HEADERS {
            let mut header = BlockHeader {
                version: 4,
                previous: previous.hash(),
                time: previous.time + 1,
                ..previous
            };
            while header.check_proof_of_work(&Network::Regtest).is_err() {
                header.nonce = header.nonce.wrapping_add(1);
            }
            list.push(header);
            previous = header;
        }
        let counted = measure(|| drop(chain.extend(&list, u32::MAX).unwrap()));
        live += counted.bytes_current;
        let headers = i64::from(chain.tip().0);
        // One chunk of 164 KiB may be nearly empty, and the index has 4,096 parts.
        assert!(
            live <= 100 * headers + 328 * 1024,
            "{live} bytes, {headers} headers"
        );
        // In addition the hashes of one message, twice, and its chain work.
        assert!(counted.bytes_max <= 1024 * 1024, "{counted:?}");
    }
    assert_eq!(chain.tip().0, 120_000);
}
