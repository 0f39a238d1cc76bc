//! Tests of the rules that match messages to requests.

mod addresses;
mod block_readers;
mod blocks;
mod headers;
mod matching_cost;
mod transactions;
mod two_streams;

use std::time::Duration;

use super::*;
use crate::network::Network;
use crate::wire::{
    Headers, NotFound, OutPoint, Transaction, TransactionInput, TransactionOutput, Tx,
};

const SEED: [u8; 16] = [0xab; 16];
const SECOND: Duration = Duration::from_secs(1);
/// The Unix time of the requests for addresses.
const NOW: i64 = 1_700_000_000;

fn genesis() -> BlockHash {
    BlockHeader::genesis(&Network::Regtest).hash()
}

fn requests() -> Requests {
    Requests::new(genesis(), SEED)
}

fn header_on(previous: BlockHash) -> BlockHeader {
    BlockHeader {
        previous,
        ..BlockHeader::genesis(&Network::Regtest)
    }
}

fn block(number: u8) -> Block {
    Block::new(&header_on(BlockHash([number; 32])), &[])
}

fn tx(number: u8) -> Tx {
    Tx::from(&Transaction {
        version: 1,
        inputs: vec![TransactionInput {
            previous: OutPoint {
                txid: Txid([number; 32]),
                index: 0,
            },
            script: Vec::new(),
            sequence: 0,
        }],
        outputs: vec![TransactionOutput {
            value: 1,
            script: Vec::new(),
        }],
        lock_time: 0,
    })
}

fn headers(headers: &[BlockHeader]) -> Message {
    let headers = headers.to_vec();
    Headers { headers }.into()
}

fn not_found(entries: &[Inventory]) -> Message {
    NotFound::from(entries.to_vec()).into()
}

/// Returns whether a message answers a request completely.
fn answers(requests: &mut Requests, message: impl Into<Message>) -> bool {
    unanswered(requests, message).is_none()
}

/// Returns whether a message on stream `from` answers a request completely.
fn answers_on(from: StreamType, requests: &mut Requests, message: impl Into<Message>) -> bool {
    unanswered_on(from, requests, message).is_none()
}

/// Returns the part of a message that answers no request.
fn unanswered(requests: &mut Requests, message: impl Into<Message>) -> Option<Message> {
    unanswered_on(StreamType::General, requests, message)
}

fn unanswered_on(
    from: StreamType,
    requests: &mut Requests,
    message: impl Into<Message>,
) -> Option<Message> {
    let received = Received::Message(SharedMessage::new(message.into(), 77));
    let rest = requests.on_received(received, from);
    rest.map(|rest| match rest {
        Received::Message(message) if message.payload_len() == 77 => message.into_parts().0,
        other => panic!("{other:?}"),
    })
}

/// Discards a message. Returns whether it belongs to a request.
fn answers_discarded(requests: &mut Requests, name: &'static str) -> bool {
    answers_discarded_on(StreamType::General, requests, name)
}

fn answers_discarded_on(from: StreamType, requests: &mut Requests, name: &'static str) -> bool {
    let command = Command::new(name);
    let received = Received::Discarded {
        command,
        len: 99,
        limit: 50,
        block: None,
    };
    requests.on_received(received, from).is_none()
}

/// Discards a block. Returns whether it belongs to a request.
fn answers_discarded_block(requests: &mut Requests, number: u8) -> bool {
    let received = Received::Discarded {
        command: Command::new("block"),
        len: 99,
        limit: 50,
        block: Some(block(number).hash()),
    };
    requests.on_received(received, StreamType::Data1).is_none()
}

/// The failure of a request whose answer was discarded.
fn too_large() -> Failure {
    Failure::TooLarge {
        bytes: 99,
        limit: 50,
    }
}

/// Requests headers without a fence.
fn open_headers(
    requests: &mut Requests,
    locator: &[BlockHash],
    stop: BlockHash,
) -> Ticket<Vec<BlockHeader>> {
    let opened = requests.open_headers(locator.to_vec(), stop, None);
    opened.unwrap().0
}

/// Requests a block. Returns the request and its end marker.
fn request_block(requests: &mut Requests, hash: BlockHash) -> (Ticket<Block>, Inventory) {
    let (ticket, messages) = requests.open_block(hash).unwrap();
    (ticket, end_marker(&messages, hash))
}

/// Returns the end marker of a request for a block.
#[track_caller]
fn end_marker(messages: &[Message], hash: BlockHash) -> Inventory {
    match messages {
        [Message::GetData(getdata)] => {
            let [block, marker @ Inventory::Tx(_)] = getdata.inventory[..] else {
                panic!("{getdata:?}");
            };
            assert_eq!(block, Inventory::Block(hash));
            marker
        }
        other => panic!("{other:?}"),
    }
}

/// Requests transactions. Returns the request and the requested entries.
fn request_transactions(
    requests: &mut Requests,
    txids: &[Txid],
) -> (Ticket<FoundTransactions>, Vec<Inventory>) {
    let (ticket, messages) = requests.open_transactions(txids, 1000).unwrap();
    match &messages[..] {
        [Message::GetData(getdata)] => (ticket, getdata.inventory.clone()),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_answer<T: PartialEq + std::fmt::Debug>(ticket: &Ticket<T>, expected: T) {
    assert_eq!(ticket.answer.try_recv(), Ok(Ok(expected)));
}

#[track_caller]
fn assert_failure<T: PartialEq + std::fmt::Debug>(ticket: &Ticket<T>, expected: Failure) {
    assert_eq!(ticket.answer.try_recv(), Ok(Err(expected)));
}

#[track_caller]
fn assert_open<T: PartialEq + std::fmt::Debug>(ticket: &Ticket<T>) {
    assert!(ticket.answer.is_empty());
}

#[test]
fn a_pong_answers_the_ping_with_its_nonce() {
    let mut requests = requests();
    let [one, other] = [1, 2].map(|nonce| requests.open_ping(Ping::new(nonce)).unwrap().0);
    requests.on_pong(3, SECOND, StreamType::General);
    requests.on_pong(2, SECOND, StreamType::General);
    requests.on_pong(2, 2 * SECOND, StreamType::General);
    assert_open(&one);
    assert_answer(&other, SECOND);
    assert_eq!(requests.open(), 1);
}

#[test]
fn the_number_of_open_requests_is_bounded() {
    let mut requests = requests();
    let mut open: Vec<_> = (0..MAX_OPEN as u64)
        .map(|nonce| requests.open_ping(Ping::new(nonce)).unwrap().0)
        .collect();
    let too_many = RequestError::TooMany { limit: 1024 };
    assert_eq!(requests.open_block(genesis()).unwrap_err(), too_many);
    assert_eq!(requests.open_transactions(&[], 1).unwrap_err(), too_many);
    assert_eq!(requests.open_addresses(true, NOW).unwrap_err(), too_many);
    requests.cancel(open.remove(500).id);
    open_headers(&mut requests, &[], genesis());
    assert_eq!(requests.open_ping(Ping::new(7)).unwrap_err(), too_many);
}

fn count(blocks: u64, transactions: u64) -> ObjectCount {
    ObjectCount {
        blocks,
        transactions,
    }
}

/// An answer that arrives, or is reported as missing, is not late.
#[test]
fn objects_of_cancelled_requests_are_late() {
    let mut requests = requests();
    let txids = [1, 2, 3].map(|number| tx(number).txid());
    let (transactions, _) = request_transactions(&mut requests, &txids);
    let (answered, _) = request_block(&mut requests, block(1).hash());
    let (_, marker) = request_block(&mut requests, block(2).hash());
    let (cancelled, _) = request_block(&mut requests, block(3).hash());
    let (unsent, _) = request_transactions(&mut requests, &txids);
    assert_eq!(requests.open_objects(), count(3, 6));
    requests.abort(unsent.id);
    assert!(answers(&mut requests, tx(1)));
    assert!(answers(
        &mut requests,
        not_found(&[Inventory::Tx(txids[1])])
    ));
    assert!(answers(&mut requests, block(1)));
    assert_answer(&answered, block(1));
    assert!(answers(&mut requests, not_found(&[marker])));
    assert_eq!(requests.open_objects(), count(1, 1));
    assert_eq!(requests.take_late_objects(), count(0, 0));
    requests.cancel(cancelled.id);
    requests.cancel(transactions.id);
    requests.cancel(transactions.id);
    assert_eq!(requests.open_objects(), count(0, 0));
    assert_eq!(requests.take_late_objects(), count(1, 1));
    assert_eq!(requests.take_late_objects(), count(0, 0));
}

#[test]
fn other_transactions_of_failed_request_are_late() {
    let mut requests = requests();
    let txids = [1, 2, 3].map(|number| tx(number).txid());
    let (failing, _) = request_transactions(&mut requests, &txids);
    assert!(answers_discarded(&mut requests, "tx"));
    assert_failure(&failing, too_large());
    assert_eq!(requests.open_objects(), count(0, 0));
    assert_eq!(requests.take_late_objects(), count(0, 2));
}

#[test]
fn close_ends_all_requests_with_first_reason() {
    let mut requests = requests();
    let (ping, _) = requests.open_ping(Ping::new(1)).unwrap();
    let headers = open_headers(&mut requests, &[], genesis());
    let (block, _) = requests.open_block(genesis()).unwrap();
    let (transactions, _) = request_transactions(&mut requests, &[tx(1).txid()]);
    let (addresses, _) = requests.open_addresses(true, NOW).unwrap();
    requests.close(&DisconnectReason::ConnectionClosed);
    requests.close(&DisconnectReason::Requested);
    let ended = Failure::Ended(DisconnectReason::ConnectionClosed);
    assert_failure(&ping, ended.clone());
    assert_failure(&headers, ended.clone());
    assert_failure(&block, ended.clone());
    assert_failure(&transactions, ended.clone());
    assert_failure(&addresses, ended);
    assert_eq!(requests.open(), 0);
    let ended = RequestError::Ended(DisconnectReason::ConnectionClosed);
    assert_eq!(requests.open_ping(Ping::new(2)).unwrap_err(), ended);
    assert_eq!(requests.open_addresses(true, NOW).unwrap_err(), ended);
}
