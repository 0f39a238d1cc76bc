//! Headers with the coinbases of their blocks: the content of `hdrsen`.

use crate::local_node::Chain;
use crate::wire::{BlockHeader, Encode, EnrichedHeader, HdrsEn, compact_size_len};

/// Creates a `hdrsen` of at most `limit` bytes from headers of the chain. The first header is
/// included whatever its size. `None` if a block is not in the chain.
///
/// Source: Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`, `ProcessGetHeadersEnrichedMessage`.
pub(super) fn enriched_headers(
    chain: &Chain,
    headers: &[BlockHeader],
    limit: u32,
) -> Option<HdrsEn> {
    let tip = chain.tip().1;
    let mut bytes = compact_size_len(headers.len() as u64);
    let mut list = Vec::new();
    for header in headers {
        let hash = header.hash();
        let entry = EnrichedHeader {
            header: *header,
            // The counts of blocks in memory have 32 bits.
            transaction_count: chain.block(&hash)?.transaction_count() as u32,
            no_more_headers: hash == tip,
            coinbase: chain.coinbase(&hash).cloned(),
            miner_info: None,
        };
        bytes += entry.encoded_len();
        let is_full = bytes > u64::from(limit);
        if !is_full || list.is_empty() {
            list.push(entry);
        }
        if is_full {
            break;
        }
    }
    Some(HdrsEn::new(&list))
}
