//! Responses of a local node to invalid messages. `node_rules.rs` has the rules that are also
//! checked at the real node.

use bsv_p2p::Network;
use bsv_p2p::local_node::LocalNode;
use bsv_p2p::wire::{
    Block, BlockHash, BlockHeader, GetBlockTxn, Headers, Mempool, MerkleRoot, Message, OutPoint,
    Transaction, TransactionInput, Tx, Txid, merkle_root,
};
use test_support::node_rules::{next_reject, with_work};
use test_support::payment::payment;
use test_support::raw_peer::{frame, wait_until};

use crate::raw::{answers, connected, mine_branch};

/// Returns a list of headers that follow `parent`.
fn headers_after(parent: BlockHash, count: u32) -> Vec<BlockHeader> {
    let mut headers = Vec::new();
    let mut previous = parent;
    for number in 0..count {
        let genesis = BlockHeader::genesis(&Network::Regtest);
        let header = with_work(BlockHeader {
            previous,
            time: genesis.time + 1 + number,
            ..genesis
        });
        previous = header.hash();
        headers.push(header);
    }
    headers
}

/// Returns a block on the tip of the node whose header commits to the transactions.
fn block_of(node: &LocalNode, transactions: &[Transaction]) -> Block {
    let template = &mine_branch(node, node.height(), 1)[0];
    let txids = transactions.iter().map(Transaction::txid);
    let merkle_root = match transactions {
        [] => MerkleRoot::ZERO,
        _ => merkle_root(txids).0,
    };
    let header = with_work(BlockHeader {
        merkle_root,
        ..template.header()
    });
    Block::new(&header, transactions)
}

fn is_getheaders(message: &Message) -> bool {
    matches!(message, Message::GetHeaders(_))
}

#[test]
fn unconnected_headers_are_scored_by_number_and_length() {
    let node = LocalNode::start().unwrap();
    let unknown = BlockHash([7; 32]);
    // From 8 headers on each list scores 10.
    let mut peer = connected(&node);
    let headers = headers_after(unknown, 8);
    for _ in 0..9 {
        let headers = headers.clone();
        assert_eq!(answers(&mut peer, Headers { headers }), []);
    }
    peer.send(Headers { headers });
    peer.rest();
    // Of shorter lists, every tenth scores 20. Each is answered by a request.
    let mut peer = connected(&node);
    let headers = headers_after(unknown, 7);
    for _ in 0..49 {
        let headers = headers.clone();
        let answers = answers(&mut peer, Headers { headers });
        assert!(matches!(&answers[..], [one] if is_getheaders(one)));
    }
    peer.send(Headers { headers });
    peer.rest();
}

#[test]
fn connecting_headers_reset_the_count_of_unconnected_ones() {
    let node = LocalNode::start().unwrap();
    node.mine(1).unwrap();
    let known = node.block(node.tip()).unwrap().header();
    let mut peer = connected(&node);
    let unconnected = headers_after(BlockHash([7; 32]), 1);
    for _ in 0..20 {
        for _ in 0..9 {
            let headers = unconnected.clone();
            peer.send(Headers { headers });
        }
        let headers = vec![known];
        peer.send(Headers { headers });
        let answers = answers(&mut peer, Message::Headers(Headers::default()));
        assert_eq!(answers.len(), 9);
    }
}

#[test]
fn headers_after_an_invalid_one_are_not_requested() {
    let node = LocalNode::start().unwrap();
    let mut headers = headers_after(node.tip(), 12);
    // Its time is not after the median, which scores nothing.
    headers[11].time = BlockHeader::genesis(&Network::Regtest).time;
    headers[11] = with_work(headers[11]);
    let mut peer = connected(&node);
    let list = headers.clone();
    assert_eq!(answers(&mut peer, Headers { headers: list }), []);
    headers.pop();
    let answers = answers(&mut peer, Headers { headers });
    let [Message::GetData(request)] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(request.inventory.len(), 11);
}

#[test]
fn headers_that_follow_requested_ones_are_checked() {
    let node = LocalNode::start().unwrap();
    let mut headers = headers_after(node.tip(), 30);
    let second = headers.split_off(15);
    let mut peer = connected(&node);
    for headers in [headers, second.clone()] {
        let answers = answers(&mut peer, Headers { headers });
        assert!(
            matches!(&answers[..], [Message::GetData(request)] if request.inventory.len() == 15),
            "{answers:?}"
        );
    }
    let last = second[14];
    let too_old = with_work(BlockHeader {
        previous: last.hash(),
        time: second[9].time,
        ..last
    });
    let headers = vec![too_old];
    assert_eq!(answers(&mut peer, Headers { headers }), []);
    let headers = vec![with_work(BlockHeader {
        time: second[9].time + 1,
        ..too_old
    })];
    assert_eq!(answers(&mut peer, Headers { headers }).len(), 1);
}

#[test]
fn headers_after_unsent_blocks_are_accepted() {
    let node = LocalNode::start().unwrap();
    let mut first = headers_after(node.tip(), 30);
    let second = first.split_off(15);
    let mut gone = connected(&node);
    let mut peer = connected(&node);
    // The first peer owes the blocks, and the second one announced them as well.
    let headers = first.clone();
    assert_eq!(answers(&mut gone, Headers { headers }).len(), 1);
    let headers = first.clone();
    assert_eq!(answers(&mut peer, Headers { headers }), []);
    gone.close();
    wait_until("the node has noticed the end", || node.peer_count() == 1);
    let requested = |answers: &[Message]| match answers {
        [Message::GetData(request)] => request.inventory.len(),
        other => panic!("{other:?}"),
    };
    let headers = second;
    assert_eq!(requested(&answers(&mut peer, Headers { headers })), 15);
    let headers = first;
    assert_eq!(requested(&answers(&mut peer, Headers { headers })), 15);
}

#[test]
fn invalid_blocks_are_rejected_by_reason() {
    let node = LocalNode::start().unwrap();
    node.mine(2).unwrap();
    let tip = node.tip();
    let template = &mine_branch(&node, 2, 1)[0];
    let coinbase: Transaction = template.transactions().next().unwrap().into();
    let mut long = coinbase.clone();
    long.inputs[0].script = vec![0; 101];
    let mut other = coinbase.clone();
    other.lock_time = 1;
    for (transactions, reason) in [
        (&[][..], "bad-cb-missing"),
        (&[payment(1)], "bad-cb-missing"),
        (&[long], "bad-cb-length"),
        (&[coinbase.clone(), other], "bad-tx-coinbase"),
    ] {
        let block = block_of(&node, transactions);
        let mut peer = connected(&node);
        peer.send(block.clone());
        let reject = next_reject(&mut peer);
        assert_eq!(
            (reject.message, reject.reason),
            ("block".into(), reason.into())
        );
        assert_eq!(reject.hash.map(|hash| hash.0), Some(block.hash().0));
        peer.rest();
        assert_eq!(node.tip(), tip);
    }
}

#[test]
fn block_without_proof_of_work_scores_50() {
    let node = LocalNode::start().unwrap();
    let valid = &mine_branch(&node, 0, 1)[0];
    let mut header = valid.header();
    while header.check_proof_of_work(&Network::Regtest).is_ok() {
        header.nonce += 1;
    }
    let transactions: Vec<Transaction> = valid.transactions().map(Into::into).collect();
    let block = Block::new(&header, &transactions);
    let mut peer = connected(&node);
    peer.send(block.clone());
    assert_eq!(next_reject(&mut peer).reason, "high-hash");
    peer.ping(1);
    peer.send(block);
    assert_eq!(next_reject(&mut peer).reason, "high-hash");
    peer.rest();
}

#[test]
fn blocks_with_unknown_parent_are_not_rejected() {
    let node = LocalNode::start().unwrap();
    let branch = mine_branch(&node, 0, 2);
    let mut peer = connected(&node);
    // The answer to an unknown parent is a request for headers.
    let orphan = answers(&mut peer, branch[1].clone());
    assert!(
        matches!(&orphan[..], [one] if is_getheaders(one)),
        "{orphan:?}"
    );
    assert_eq!(answers(&mut peer, branch[0].clone()), []);
    assert_eq!(answers(&mut peer, branch[0].clone()), [], "known");
    assert_eq!(answers(&mut peer, branch[1].clone()), []);
    assert_eq!(node.tip(), branch[1].hash());
}

#[test]
fn invalid_transactions_close_the_connection_at_score_100() {
    let node = LocalNode::start().unwrap();
    let mut peer = connected(&node);
    for number in 1..=10 {
        let tx = Tx::from(&Transaction {
            lock_time: number,
            inputs: Vec::new(),
            ..payment(1)
        });
        peer.send(tx);
        assert_eq!(next_reject(&mut peer).reason, "bad-txns-vin-empty");
        if number < 10 {
            peer.ping(u64::from(number));
        }
    }
    peer.rest();
}

#[test]
fn coinbase_and_impossible_amounts_are_rejected() {
    const MAX_MONEY: i64 = 2_100_000_000_000_000;
    let node = LocalNode::start().unwrap();
    let mut coinbase = payment(1);
    coinbase.inputs = vec![TransactionInput {
        previous: OutPoint::NULL,
        ..coinbase.inputs[0].clone()
    }];
    let mut too_large = payment(1);
    too_large.outputs[0].value = MAX_MONEY + 1;
    let mut total = payment(1);
    total.outputs[0].value = MAX_MONEY;
    total.outputs.push(payment(1).outputs[0].clone());
    for (transaction, reason) in [
        (coinbase, "bad-tx-coinbase"),
        (too_large, "bad-txns-vout-toolarge"),
        (total, "bad-txns-txouttotal-toolarge"),
    ] {
        let mut peer = connected(&node);
        peer.send(Tx::from(&transaction));
        assert_eq!(next_reject(&mut peer).reason, reason);
        peer.rest();
        assert_eq!(node.pooled_transaction(transaction.txid()), None);
    }
}

#[test]
fn getblocktxn_beyond_the_block_closes_the_connection() {
    let node = LocalNode::start().unwrap();
    for number in 0..3 {
        node.submit(&payment(number)).unwrap();
    }
    let block = node.mine(1).unwrap()[0];
    let mut peer = connected(&node);
    let answer = answers(&mut peer, GetBlockTxn::new(block, &[0, 2, 3]).unwrap());
    let [Message::BlockTransactions(answer)] = &answer[..] else {
        panic!("{answer:?}");
    };
    let txids = answer.transactions().skip(1).map(|tx| tx.txid());
    let expected = [1, 2].map(|number| payment(number).txid());
    assert_eq!(txids.collect::<Vec<Txid>>(), expected);
    peer.send(GetBlockTxn::new(block, &[4]).unwrap());
    assert_eq!(peer.rest(), []);
}

#[test]
fn getblocktxn_for_nearly_all_is_answered_by_block() {
    let node = LocalNode::start().unwrap();
    for number in 0..198 {
        node.submit(&payment(number)).unwrap();
    }
    let block = node.block(node.mine(1).unwrap()[0]).unwrap();
    let mut peer = connected(&node);
    // 99 % of 199 transactions are 197.01.
    for (requested, in_full) in [(197, false), (198, true)] {
        let indexes: Vec<u32> = (0..requested).collect();
        let request = GetBlockTxn::new(block.hash(), &indexes).unwrap();
        let answers = answers(&mut peer, request);
        let is_full = answers == [Message::from(block.clone())];
        assert_eq!((answers.len(), is_full), (1, in_full), "{requested}");
    }
}

#[test]
fn mempool_request_with_age_is_ignored() {
    let node = LocalNode::start().unwrap();
    let mut peer = connected(&node);
    assert_eq!(answers(&mut peer, Mempool::Age(10)), []);
    peer.send(Mempool::NoAge);
    assert_eq!(peer.rest(), []);
}

#[test]
fn messages_after_the_closing_one_are_dropped() {
    let node = LocalNode::start().unwrap();
    let block = mine_branch(&node, 0, 1).remove(0);
    let mut peer = connected(&node);
    // In one write, so that both are received before the connection ends.
    let mut bytes = frame(&Mempool::Empty.into());
    bytes.extend(frame(&block.into()));
    peer.send_bytes(&bytes);
    assert_eq!(peer.rest(), []);
    wait_until("the connection has ended", || node.peer_count() == 0);
    assert_eq!(node.height(), 0);
}
