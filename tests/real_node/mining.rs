//! The real node and `local_node` accept the same blocks and reach the same chain.

use std::time::{SystemTime, UNIX_EPOCH};

use bsv_p2p::local_node::{AcceptOutcome, BlockTemplate, Chain};
use bsv_p2p::wire::{
    Block, BlockHash, BlockHeader, CompactTarget, OutPoint, Transaction, TransactionInput,
    TransactionOutput, Tx, merkle_root,
};
use serde_json::{Value, json};
use test_support::real_node::RealNode;

pub(crate) fn now() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("a clock after 1970").as_secs() as u32
}

/// Submits a block to the node. Returns `null` if it is the new tip, or the reason.
fn submit(node: &RealNode, block: &Block) -> Value {
    node.rpc("submitblock", json!([hex::encode(block.bytes())]))
}

/// Mines a template, and asserts that both the node and the chain accept the block as the new tip.
#[track_caller]
pub(crate) fn mine_for_both(node: &RealNode, chain: &mut Chain, template: &BlockTemplate) -> Block {
    let block = template.mine();
    let height = template.height;
    assert_eq!(submit(node, &block), Value::Null, "height {height}");
    let accepted = chain.accept(&block, now()).expect("our own block");
    assert!(
        matches!(accepted, AcceptOutcome::NewTip { .. }),
        "{accepted:?}"
    );
    assert_same_tip(node, chain);
    block
}

#[track_caller]
fn assert_same_tip(node: &RealNode, chain: &Chain) {
    let tip = node.rpc("getbestblockhash", json!([]));
    assert_eq!(tip, json!(chain.tip().1.to_string()));
    assert_eq!(node.best_height(), chain.tip().0);
}

/// One block spends a mined reward.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn node_accepts_mined_blocks_over_two_halvings() {
    let node = RealNode::start(&[]);
    let mut chain = Chain::new();
    let first = mine_for_both(&node, &mut chain, &Chain::new().template(now(), 0));
    for extra_nonce in 2..=305 {
        let mut template = chain.template(now(), extra_nonce);
        // The reward of the first block can be spent a hundred blocks later.
        if template.height == 102 {
            let reward = OutPoint {
                txid: first.transactions().next().expect("a coinbase").txid(),
                index: 0,
            };
            template.transactions.push(spend(reward, 4_999_999_000));
        }
        let block = mine_for_both(&node, &mut chain, &template);
        assert_eq!(
            node.block_hex(&block.hash().to_string()),
            hex::encode(block.bytes())
        );
    }
    assert_eq!(chain.median_time_past(), node_median_time(&node));
}

/// Spends `value` of an output that anyone can spend, to a similar output.
pub(crate) fn spend(previous: OutPoint, value: i64) -> Tx {
    Tx::from(&Transaction {
        version: 2,
        inputs: vec![TransactionInput {
            previous,
            script: Vec::new(),
            sequence: u32::MAX,
        }],
        outputs: vec![TransactionOutput {
            value,
            script: vec![0x51],
        }],
        lock_time: 0,
    })
}

fn node_median_time(node: &RealNode) -> u32 {
    let info = node.rpc("getblockchaininfo", json!([]));
    serde_json::from_value(info["mediantime"].clone()).expect("a time")
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn chain_reorganizes_like_the_node() {
    let node = RealNode::start(&[]);
    let mut chain = Chain::new();
    let genesis = chain.tip().1;
    let mut tips = [genesis; 2];
    // The branches overtake each other in turn.
    for (branch, blocks) in [(0, 3), (1, 4), (0, 2), (1, 2)] {
        for _ in 0..blocks {
            let template = chain.template_on(&tips[branch], now(), branch as u64);
            let block = template.expect("a known parent").mine();
            submit(&node, &block);
            chain.accept(&block, now()).expect("our own block");
            tips[branch] = block.hash();
            assert_same_tip(&node, &chain);
        }
        assert_eq!(chain.tip().1, tips[branch]);
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn chain_rejects_blocks_rejected_by_node() {
    let node = RealNode::start(&[]);
    let mut chain = Chain::new();
    for _ in 0..12 {
        let template = chain.template(now(), 0);
        mine_for_both(&node, &mut chain, &template);
    }
    let template = chain.template(now(), 1);
    let coinbase = template.coinbase();
    let of = |transactions: &[Transaction]| block(&template, transactions, |_| {});
    let with = |change: &dyn Fn(&mut BlockHeader)| {
        block(&template, std::slice::from_ref(&coinbase), change)
    };
    let second = Transaction {
        lock_time: 1,
        ..coinbase.clone()
    };
    let mut short = coinbase.clone();
    short.inputs[0].script.truncate(1);
    let spend = spend(
        OutPoint {
            index: 0,
            ..OutPoint::NULL
        },
        1,
    );
    let payment = Transaction::from(spend.view());
    let three = [coinbase.clone(), payment.clone(), payment.clone()];
    let mut four = three.to_vec();
    four.push(payment.clone());
    let repeated = Block::new(&of(&three).header(), &four);
    let old = chain.median_time_past();

    for (refused, answer) in [
        // The node means: not checked, because the parent is missing.
        (
            with(&|header| header.previous = BlockHash([1; 32])),
            "inconclusive",
        ),
        (
            with(&|header| header.bits = CompactTarget(0x2100_8000)),
            "high-hash",
        ),
        (
            with(&|header| header.bits = CompactTarget(0x2010_0000)),
            "bad-diffbits",
        ),
        (with(&|header| header.time = old), "time-too-old"),
        (with(&|header| header.time = now() + 7_300), "time-too-new"),
        (
            with(&|header| header.merkle_root.0[0] ^= 1),
            "bad-txnmrklroot",
        ),
        (repeated, "bad-txns-duplicate"),
        (of(&[short]), "bad-cb-length"),
        (of(&[coinbase.clone(), second]), "bad-tx-coinbase"),
    ] {
        assert_eq!(submit(&node, &refused), json!(answer));
        let ours = chain.accept(&refused, now());
        assert!(ours.is_err(), "the node says {answer}, the chain {ours:?}");
    }
    // The node does not accept these as blocks.
    for refused in [of(&[]), of(&[payment])] {
        let hex = hex::encode(refused.bytes());
        assert!(node.try_rpc("submitblock", json!([hex])).is_err());
        assert!(chain.accept(&refused, now()).is_err());
    }
    assert_same_tip(&node, &chain);
}

/// Returns a block of these transactions whose header was changed, with a nonce that meets its
/// bits.
fn block(
    template: &BlockTemplate,
    transactions: &[Transaction],
    change: impl FnOnce(&mut BlockHeader),
) -> Block {
    let mut header = template.mine().header();
    header.merkle_root = merkle_root(transactions.iter().map(Transaction::txid)).0;
    change(&mut header);
    while header.bits.check(header.hash(), header.bits).is_err() {
        header.nonce += 1;
    }
    Block::new(&header, transactions)
}
