//! Blocks and transactions that are exchanged with a real node unchanged.

use std::io::Read;
use std::time::Duration;

use bsv_p2p::connection::BlockVisitor;
use bsv_p2p::event::{ControlEvent, Event};
use bsv_p2p::local_node::Chain;
use bsv_p2p::wire::{
    Block, BlockHash, Inv, Inventory, Message, OutPoint, Transaction, TransactionInput,
    TransactionOutput, TransactionView, Tx, Txid,
};
use bsv_p2p::{Connection, Error, Network};
use serde_json::{Value, json};
use test_support::real_node::RealNode;

use crate::mining::{mine_for_both, now, spend};
use crate::peer::{
    Actor, SOON, UNKNOWN, ask_for, assert_good_standing, config, dial, genesis, hash, receive, tip,
};

/// The time limit of a large block, which usually takes a few seconds.
pub(crate) const LARGE: Duration = Duration::from_secs(60);

/// Returns a node whose wallet has coins, and one of its addresses.
fn rich_node() -> (RealNode, Value) {
    let node = RealNode::start(&[]);
    let address = node.rpc("getnewaddress", json!([]));
    // A reward can be spent a hundred blocks later.
    node.rpc("generatetoaddress", json!([101, address]));
    (node, address)
}

/// Pays from the wallet.
fn pay(node: &RealNode, address: &Value) -> Txid {
    let txid = node.rpc("sendtoaddress", json!([address, 1.25]));
    txid.as_str().expect("a txid").parse().expect("a txid")
}

/// Mines a block of all pooled transactions.
#[track_caller]
fn mine_all(node: &RealNode, transactions: usize) {
    node.wait_until("the transactions wait for a block", SOON, || {
        node.rpc("getmininginfo", json!([]))["pooledtx"] == transactions
    });
    node.generate(1);
}

fn lists(inventory: &[Inventory], txid: Txid) -> bool {
    inventory.contains(&Inventory::Tx(txid))
}

#[track_caller]
fn assert_same_as_nodes(block: &Block, node: &RealNode) {
    let same = hex::encode(block.bytes()) == node.block_hex(&block.hash().to_string());
    assert!(same, "{block:?}");
    assert_eq!(block.check_merkle_root(), Ok(()));
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn wallet_transactions_and_block_arrive_unchanged() {
    let (node, address) = rich_node();
    let mut connection = dial(&node, &config());

    let mut txids = Vec::new();
    for _ in 0..5 {
        let txid = pay(&node, &address);
        receive(
            &mut connection,
            "the announcement of a transaction",
            |message| {
                matches!(message, Message::Inv(inv) if lists(&inv.inventory, txid)).then_some(())
            },
        );
        let question = ask_for(Inventory::Tx(txid));
        connection.send(&question).expect("an open connection");
        let tx = receive(
            &mut connection,
            "the transaction",
            |message| match message {
                Message::Tx(tx) => Some(tx),
                _ => None,
            },
        );
        assert_eq!(tx.txid(), txid);
        let raw = node.rpc("getrawtransaction", json!([txid.to_string()]));
        assert_eq!(Value::from(hex::encode(tx.bytes())), raw);
        txids.push(txid);
    }

    mine_all(&node, txids.len());
    let block = connection.block(tip(&node), SOON).expect("the block");
    assert_same_as_nodes(&block, &node);
    let in_block: Vec<Txid> = block.transactions().map(|tx| tx.txid()).collect();
    assert_eq!(in_block.len(), 6, "a coinbase and five payments");
    assert!(txids.iter().all(|txid| in_block.contains(txid)));
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn actor_fetches_transaction_and_block_unchanged() {
    let (node, address) = rich_node();
    let mut actor = Actor::dial(&node, config());
    actor.connected(&node);
    let txid = pay(&node, &address);
    actor.receive("the announcement of the transaction", |message| {
        matches!(message, Message::Inv(inv) if lists(&inv.inventory, txid)).then_some(())
    });
    let ask = |actor: &Actor, entry| actor.handle.send(ask_for(entry), SOON);
    ask(&actor, Inventory::Tx(txid)).expect("an open connection");
    let tx = actor.receive("the transaction", |message| match message {
        Message::Tx(tx) => Some(tx.clone()),
        _ => None,
    });
    let raw = node.rpc("getrawtransaction", json!([txid.to_string()]));
    assert_eq!(Value::from(hex::encode(tx.bytes())), raw);

    mine_all(&node, 1);
    ask(&actor, Inventory::Block(tip(&node))).expect("an open connection");
    let block = actor.receive("the block", |message| match message {
        Message::Block(block) => Some(block.clone()),
        _ => None,
    });
    assert_eq!(block.hash(), tip(&node));
    assert_same_as_nodes(&block, &node);
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn unknown_transaction_is_reported_by_notfound() {
    let node = RealNode::start(&[]);
    node.generate(1);
    let mut connection = dial(&node, &config());
    let unknown = Inventory::Tx(Txid([0x77; 32]));
    connection
        .send(ask_for(unknown))
        .expect("an open connection");
    let listed = receive(&mut connection, "notfound", |message| match message {
        Message::NotFound(not_found) => Some(not_found.inventory),
        _ => None,
    });
    assert_eq!(listed, [unknown]);
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn node_accepts_and_relays_announced_transaction() {
    let node = RealNode::start(&[]);
    let mut chain = Chain::new();
    let tx = spend(spendable(&node, &mut chain), 4_999_000_000);
    let txid = tx.txid();
    let [mut giver, mut hearer] = [(); 2].map(|()| dial(&node, &config()));

    let inv = Inv::from(vec![Inventory::Tx(txid)]);
    giver.send(inv).expect("an open connection");
    receive(&mut giver, "the question for the transaction", |message| {
        matches!(message, Message::GetData(asked) if lists(&asked.inventory, txid)).then_some(())
    });
    giver.send(tx.clone()).expect("an open connection");

    receive(
        &mut hearer,
        "the announcement of the transaction",
        |message| matches!(message, Message::Inv(inv) if lists(&inv.inventory, txid)).then_some(()),
    );
    let question = ask_for(Inventory::Tx(txid));
    hearer.send(&question).expect("an open connection");
    let heard = receive(&mut hearer, "the transaction", |message| match message {
        Message::Tx(tx) => Some(tx),
        _ => None,
    });
    assert_eq!(heard, tx);
    assert_eq!(
        node.rpc("getrawmempool", json!([])),
        json!([txid.to_string()])
    );
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn unknown_block_is_not_found_before_known_block() {
    let node = RealNode::start(&[]);
    let hashes = node.generate(20);
    let mut connection = dial(&node, &config());
    for known in &hashes {
        let known = hash(&json!(known));
        match connection.block(UNKNOWN, SOON) {
            Err(Error::NotFound { hash, .. }) => assert_eq!(hash, UNKNOWN),
            other => panic!("{other:?}"),
        }
        assert_same_as_nodes(&connection.block(known, SOON).expect("a block"), &node);
    }
    let first = connection.block(genesis(), SOON).expect("the first block");
    assert_eq!(first, Block::genesis(&Network::Regtest));
    assert_good_standing(&node);
}

/// Mines until the reward of the first block can be spent, and returns it.
pub(crate) fn spendable(node: &RealNode, chain: &mut Chain) -> OutPoint {
    let first = mine_for_both(node, chain, &chain.template(now(), 0));
    for extra_nonce in 1..=100 {
        mine_for_both(node, chain, &chain.template(now(), extra_nonce));
    }
    let txid = first.transactions().next().expect("a coinbase").txid();
    OutPoint { txid, index: 0 }
}

/// The number of unspent outputs of the splitting transaction.
pub(crate) const LEFT: u32 = 5;

/// Returns transactions of `megabytes` megabytes in total: one that splits the coins, and one for
/// each of its outputs except the last few, each with almost a megabyte of data.
fn large_transactions(from: OutPoint, megabytes: u32) -> Vec<Tx> {
    let transaction = |previous, outputs| Transaction {
        version: 2,
        inputs: vec![TransactionInput {
            previous,
            script: Vec::new(),
            sequence: u32::MAX,
        }],
        outputs,
        lock_time: 0,
    };
    let share = TransactionOutput {
        value: 1_000_000,
        script: vec![0x51],
    };
    let split = transaction(from, vec![share; (megabytes + LEFT) as usize]);
    let txid = split.txid();
    // OP_FALSE OP_RETURN OP_PUSHDATA4, and the data. The limit of a transaction is a million bytes
    // here.
    const DATA: u32 = 999_900;
    let with_data = |index: u32| {
        let mut script = vec![0x00, 0x6a, 0x4e];
        script.extend(DATA.to_le_bytes());
        script.extend((0..DATA).map(|at| (at ^ index) as u8));
        transaction(
            OutPoint { txid, index },
            vec![TransactionOutput { value: 0, script }],
        )
    };
    let large: Vec<Transaction> = (0..megabytes).map(with_data).collect();
    std::iter::once(&split)
        .chain(&large)
        .map(Tx::from)
        .collect()
}

/// Mines a block of about `megabytes` megabytes and sends it to a new node, over the returned
/// connection.
#[track_caller]
pub(crate) fn give_large_block(node: &RealNode, megabytes: u32) -> (Connection, Block) {
    let mut chain = Chain::new();
    let money = spendable(node, &mut chain);
    let mut template = chain.template(now(), 101);
    template.transactions = large_transactions(money, megabytes);
    let block = template.mine();
    let mut giver = dial(node, &config());
    giver.send(block.clone()).expect("an open connection");
    node.wait_until("the node has the block", LARGE, || {
        tip(node) == block.hash()
    });
    (giver, block)
}

/// A connection whose buffer limit is lower skips the block and stays open.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn block_of_60_mb_survives_round_trip() {
    let node = RealNode::start(&[]);
    let (mut giver, block) = give_large_block(&node, 60);
    let len = block.bytes().len() as u64;
    assert!(len > 59_900_000, "{block:?}");

    // The default buffer limit is lower: the block is skipped, and the connection continues.
    match giver.block(block.hash(), LARGE) {
        Err(Error::PayloadTooLarge { bytes, limit, .. }) => {
            assert_eq!((bytes, limit), (len, 32 * 1024 * 1024));
        }
        other => panic!("{other:?}"),
    }
    assert_works(&mut giver, &block);
    // The large block of the canceled request does not answer the request for the small one.
    let impatient = giver.block(block.hash(), Duration::from_millis(1));
    assert!(
        matches!(impatient, Err(Error::Timeout { .. })),
        "{impatient:?}"
    );
    assert_works(&mut giver, &block);
    let mut actor = Actor::dial(&node, config());
    actor.connected_twice(&node);
    for hash in [block.hash(), block.header().previous] {
        let question = ask_for(Inventory::Block(hash));
        actor
            .handle
            .send(&question, SOON)
            .expect("an open connection");
    }
    let passed_over = actor.wait_for("the large block", |event| match event {
        Event::Control(ControlEvent::PayloadDiscarded { command, len, .. }) => {
            Some((command.to_string(), *len))
        }
        _ => None,
    });
    assert_eq!(passed_over, ("block".to_owned(), len));
    actor.receive("the small block behind it", |message| {
        matches!(message, Message::Block(small) if small.hash() == block.header().previous)
            .then_some(())
    });

    let mut config = config();
    config.session.limits.buffered = 64 * 1024 * 1024;
    let mut taker = dial(&node, &config);
    let back = taker.block(block.hash(), LARGE).expect("the block");
    assert!(back == block, "{back:?}");
    assert_works(&mut taker, &block);
    assert_good_standing(&node);
    assert!(back.bytes() == &node.block_bytes(&block.hash().to_string()));
}

/// Asserts that a connection works after a large block.
fn assert_works(connection: &mut Connection, block: &Block) {
    let previous = block.header().previous;
    let small = connection.block(previous, SOON).expect("a small block");
    assert_eq!(small.hash(), previous);
    let headers = connection.headers(&[previous], block.hash(), SOON);
    assert_eq!(headers.expect("headers"), [block.header()]);
    connection.ping(SOON).expect("a pong");
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn block_of_100_mb_arrives_buffered_and_streamed() {
    let node = RealNode::start(&[]);
    let (_giver, block) = give_large_block(&node, 101);
    assert!(block.bytes().len() > 100_000_000, "{block:?}");
    let of_the_node = node.block_bytes(&block.hash().to_string());
    assert!(block.bytes() == &of_the_node);

    let mut roomy = config();
    roomy.session.limits.buffered = 128 * 1024 * 1024;
    roomy.max_payload_memory = 128 * 1024 * 1024;
    let mut buffering = Actor::dial(&node, roomy);
    buffering.connected(&node);
    let buffered = buffering.handle.block(block.hash(), LARGE);
    assert!(buffered.expect("the block").bytes() == &of_the_node);

    // The default limit is a third of it.
    let mut streaming = Actor::dial(&node, config());
    streaming.connected(&node);
    let reader = streaming.handle.block_reader(block.hash(), LARGE);
    let mut reader = reader.expect("the block begins");
    assert_eq!(reader.len(), of_the_node.len() as u64);
    let mut streamed = Vec::new();
    reader.read_to_end(&mut streamed).expect("the block");
    assert!(streamed == of_the_node);

    let txids = block.transactions().map(|transaction| transaction.txid());
    let mut shown = Txids::default();
    let reader = streaming.handle.block_reader(block.hash(), LARGE);
    reader.expect("it begins").visit(&mut shown).unwrap();
    assert!(shown.0.into_iter().eq(txids));

    let unknown = BlockHash([7; 32]);
    let not_found = streaming.handle.block_reader(unknown, SOON);
    assert!(
        matches!(not_found, Err(Error::NotFound { hash, .. }) if hash == unknown),
        "{not_found:?}"
    );
    streaming.handle.ping(SOON).expect("a pong");
    assert_good_standing(&node);
}

/// The names of a block's transactions, in its order.
#[derive(Default)]
struct Txids(Vec<Txid>);

impl BlockVisitor for Txids {
    fn transaction(&mut self, _: u64, txid: Txid, _: TransactionView<'_>) {
        self.0.push(txid);
    }

    fn end(&mut self, _: u64, txid: Txid, _: u64) {
        self.0.push(txid);
    }
}
