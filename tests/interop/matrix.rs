//! The requests of the matrix to a server made of chain-gang's codec.

use std::time::Duration;

use bsv_p2p::wire::{Tx, Txid};
use test_support::matrix::Outcome::{Empty, Headers, NoAnswer, NotFound, Refused, Value};
use test_support::matrix::{MatrixServer, Request, run};

use crate::served_chain::{ServedChain, mine_chain, spend_reward};
use crate::server::Server;

/// Time bound of an answer, which takes some milliseconds on a quiet machine.
const ANSWERED: Duration = Duration::from_secs(2);
/// Time bound of a refusal, for which nothing is sent or awaited.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Time bound of a request that times out after 300 ms.
const TIMED_OUT: Duration = Duration::from_secs(2);

#[test]
fn chain_gang_matrix() {
    const BLOCKS: u32 = 20;
    let chain = mine_chain(BLOCKS);
    let pruned = chain.hash_at(1).unwrap();
    let mut served = ServedChain::new(&chain);
    served.prune(pruned);
    let server = Server::start(served);
    let transaction = Tx::from(&spend_reward(Txid([7; 32])));
    server.chain().add_transaction(&transaction);
    let header = |height| {
        let block = chain.block(&chain.hash_at(height)?)?;
        Some(block.header())
    };
    let matrix = MatrixServer {
        name: "chain-gang",
        address: server.address,
        headers: (0..).map_while(header).collect(),
        pruned,
        transaction,
    };
    run(
        &matrix,
        &[
            (Request::HeadersFromGenesis, Headers(20), ANSWERED),
            (Request::HeadersFromMiddle, Headers(10), ANSWERED),
            (Request::HeadersAtTip, Empty, ANSWERED),
            (Request::HeadersFromUnknown, Headers(20), ANSWERED),
            (Request::BlockPresent, Value, ANSWERED),
            (Request::BlockAbsent, NotFound, ANSWERED),
            (Request::BlockPruned, NotFound, ANSWERED),
            (Request::TransactionPresent, Value, ANSWERED),
            (Request::TransactionAbsent, NotFound, ANSWERED),
            (Request::Addresses, Value, ANSWERED),
            (Request::Ping, Value, ANSWERED),
            (Request::BloomFilter, Refused, AT_ONCE),
            // It does not know the command.
            (Request::EnrichedHeaders, NoAnswer, TIMED_OUT),
        ],
    );
}
