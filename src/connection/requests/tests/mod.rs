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

fn question(locator: &[BlockHash], stop: BlockHash) -> GetHeaders {
    GetHeaders {
        version: 1,
        locator: locator.to_vec(),
        stop,
    }
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
    left(requests, message).is_none()
}

/// Returns whether a message on stream `from` answers a request completely.
fn answers_over(from: StreamType, requests: &mut Requests, message: impl Into<Message>) -> bool {
    left_over(from, requests, message).is_none()
}

/// Returns the part of a message that answers no request.
fn left(requests: &mut Requests, message: impl Into<Message>) -> Option<Message> {
    left_over(StreamType::General, requests, message)
}

fn left_over(
    from: StreamType,
    requests: &mut Requests,
    message: impl Into<Message>,
) -> Option<Message> {
    let received = Received::Message(SharedMessage::new(message.into(), 77));
    let left = requests.on_received(received, from);
    left.map(|left| match left {
        Received::Message(message) if message.payload_len() == 77 => message.into_parts().0,
        other => panic!("{other:?}"),
    })
}

fn is_passed_over(requests: &mut Requests, name: &'static str) -> bool {
    is_passed_over_on(StreamType::General, requests, name)
}

fn is_passed_over_on(from: StreamType, requests: &mut Requests, name: &'static str) -> bool {
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
fn is_block_discarded(requests: &mut Requests, number: u8) -> bool {
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

/// Requests a block. Returns the request and its end marker.
fn ask_block(requests: &mut Requests, hash: BlockHash) -> (Ticket<Block>, Inventory) {
    let (asked, question) = requests.open_block(hash).unwrap();
    let [Inventory::Block(wanted), end @ Inventory::Tx(_)] = question.inventory[..] else {
        panic!("{question:?}");
    };
    assert_eq!(wanted, hash);
    (asked, end)
}

#[track_caller]
fn got<T: PartialEq + std::fmt::Debug>(asked: &Ticket<T>, expected: T) {
    assert_eq!(asked.answer.try_recv(), Ok(Ok(expected)));
}

#[track_caller]
fn failed<T: PartialEq + std::fmt::Debug>(asked: &Ticket<T>, expected: Failure) {
    assert_eq!(asked.answer.try_recv(), Ok(Err(expected)));
}

#[track_caller]
fn waits<T: PartialEq + std::fmt::Debug>(asked: &Ticket<T>) {
    assert!(asked.answer.is_empty());
}

#[test]
fn a_pong_answers_the_ping_with_its_nonce() {
    let mut requests = requests();
    let [one, other] = [1, 2].map(|nonce| requests.open_ping(nonce).unwrap());
    requests.on_pong(3, SECOND, StreamType::General);
    requests.on_pong(2, SECOND, StreamType::General);
    requests.on_pong(2, 2 * SECOND, StreamType::General);
    waits(&one);
    got(&other, SECOND);
    assert_eq!(requests.open(), 1);
}

#[test]
fn the_number_of_open_requests_is_bounded() {
    let mut requests = requests();
    let mut open: Vec<_> = (0..MAX_OPEN as u64)
        .map(|nonce| requests.open_ping(nonce).unwrap())
        .collect();
    let too_many = RequestError::TooMany { limit: 1024 };
    assert_eq!(requests.open_block(genesis()).unwrap_err(), too_many);
    assert_eq!(requests.open_transactions(&[]).unwrap_err(), too_many);
    assert_eq!(requests.open_addresses(true, NOW).unwrap_err(), too_many);
    requests.cancel(open.remove(500).id);
    let question = question(&[], genesis());
    requests.open_headers(&question, None).unwrap();
    assert_eq!(requests.open_ping(7).unwrap_err(), too_many);
}

#[test]
fn close_ends_all_requests_with_first_reason() {
    let mut requests = requests();
    let ping = requests.open_ping(1).unwrap();
    let question = question(&[], genesis());
    let (headers, _) = requests.open_headers(&question, None).unwrap();
    let (block, _) = requests.open_block(genesis()).unwrap();
    let (transactions, _) = requests.open_transactions(&[tx(1).txid()]).unwrap();
    let addresses = requests.open_addresses(true, NOW).unwrap();
    requests.close(&DisconnectReason::ConnectionClosed);
    requests.close(&DisconnectReason::Requested);
    let ended = Failure::Ended(DisconnectReason::ConnectionClosed);
    failed(&ping, ended.clone());
    failed(&headers, ended.clone());
    failed(&block, ended.clone());
    failed(&transactions, ended.clone());
    failed(&addresses, ended);
    assert_eq!(requests.open(), 0);
    let ended = RequestError::Ended(DisconnectReason::ConnectionClosed);
    assert_eq!(requests.open_ping(2).unwrap_err(), ended);
    assert_eq!(requests.open_addresses(true, NOW).unwrap_err(), ended);
}
