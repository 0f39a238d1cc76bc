//! The cost of matching a message does not depend on the number of open requests.

use std::time::Instant;

use super::*;

/// The numbers of open requests that are compared.
const FEW: usize = 10;
const MANY: usize = 1000;

/// The maximum cost with [`MANY`] open requests, relative to that with [`FEW`]. The logarithms of
/// the numbers differ by a factor of 3, and the numbers by a factor of 100.
const MAX_RATIO: f64 = 10.0;

/// The number of measurements, of which the fastest counts. Each takes a few milliseconds, so that
/// other processes do not interrupt all of them.
const ROUNDS: usize = 20;

fn txid(number: u32) -> Txid {
    let mut hash = [7; 32];
    hash[..4].copy_from_slice(&number.to_le_bytes());
    Txid(hash)
}

fn block_hash(number: u32) -> BlockHash {
    BlockHash(txid(number).0)
}

/// A request for the object with a number.
type Open = fn(&mut Requests, u32);

/// Returns a table with open requests.
fn table(count: usize, open: Open) -> Requests {
    let mut requests = requests();
    for number in 0..count {
        open(&mut requests, number as u32);
    }
    requests
}

/// Returns how long the table takes for copies of a message. The fastest of several measurements.
fn cost(requests: &mut Requests, message: &Message, copies: usize, is_answer: bool) -> Duration {
    let mut measure = || {
        let messages = vec![message.clone(); copies];
        let start = Instant::now();
        for message in messages {
            assert_eq!(answers(requests, message), is_answer);
            assert!(!requests.wants_fence());
        }
        start.elapsed()
    };
    (0..ROUNDS).map(|_| measure()).min().unwrap()
}

#[track_caller]
fn assert_flat(open: Open, message: impl Into<Message>, copies: usize, is_answer: bool) {
    let message = message.into();
    let [few, many] = [FEW, MANY].map(|count| {
        let mut requests = table(count, open);
        cost(&mut requests, &message, copies, is_answer)
    });
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    assert!(
        ratio < MAX_RATIO,
        "{few:?} grows to {many:?}, by {ratio:.1}"
    );
}

fn open_transactions(requests: &mut Requests, number: u32) {
    request_transactions(requests, &[txid(number)]);
}

fn open_block(requests: &mut Requests, number: u32) {
    requests.open_block(block_hash(number)).unwrap();
}

fn open_block_reader(requests: &mut Requests, number: u32) {
    requests.open_block_reader(block_hash(number)).unwrap();
}

/// Opens a request whose end marker has arrived, so that it waits for a pong.
fn open_marked_block(requests: &mut Requests, number: u32) {
    if number == 0 {
        requests.on_stream_open();
    }
    let (_, marker) = request_block(requests, block_hash(number));
    assert!(answers(requests, not_found(&[marker])));
    requests.on_fence(u64::from(number));
}

#[test]
fn notfound_costs_the_same_with_many_requests() {
    let numbers = MANY as u32..3_000;
    let transactions: Vec<_> = numbers.clone().map(|n| Inventory::Tx(txid(n))).collect();
    let blocks: Vec<_> = numbers.map(|n| Inventory::Block(block_hash(n))).collect();
    assert_flat(open_transactions, not_found(&transactions), 1, false);
    assert_flat(open_block, not_found(&blocks), 1, false);
    assert_flat(open_block_reader, not_found(&blocks), 1, false);
}

#[test]
fn objects_cost_the_same_with_many_requests() {
    assert_flat(open_transactions, tx(1), 100, false);
    assert_flat(open_block, block(1), 100, false);
    assert_flat(open_block_reader, block(1), 100, false);
    assert_flat(open_block, headers(&[header_on(genesis())]), 100, false);
}

/// The table is checked after each message for requests that need a ping.
#[test]
fn requests_that_wait_for_pong_add_no_cost() {
    let unrelated = not_found(&[Inventory::Tx(txid(MANY as u32))]);
    assert_flat(open_marked_block, unrelated, 100, false);
}

/// Each copy answers one request, and all others keep a single copy.
#[test]
fn copies_cost_the_same_with_many_requests() {
    let cost_of = |open: Open, message: Message| {
        let [few, many] = [2 * ROUNDS, MANY].map(|count| {
            let mut requests = table(count, open);
            cost(&mut requests, &message, 1, true).as_secs_f64()
        });
        many / few
    };
    let transactions = cost_of(
        |requests, _| drop(request_transactions(requests, &[tx(1).txid()])),
        tx(1).into(),
    );
    let blocks = cost_of(
        |requests, _| drop(requests.open_block(block(1).hash())),
        block(1).into(),
    );
    let ratio = transactions.max(blocks);
    assert!(ratio < MAX_RATIO, "the cost grows by {ratio:.1}");
}
