//! The cost of matching a message does not depend on the number of open requests.

use std::time::Instant;

use super::*;

/// The numbers of open requests that are compared.
const FEW: usize = 10;
const MANY: usize = 1000;

/// The maximum cost with [`MANY`] open requests, relative to that with [`FEW`]. The logarithms of
/// the numbers differ by a factor of 3, and the numbers by a factor of 100.
const MAX_RATIO: f64 = 10.0;

/// The number of measurements, of which the fastest counts.
const ROUNDS: usize = 5;

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

/// Opens requests with `open` and measures how long it takes to handle copies of `message`.
fn cost(count: usize, open: Open, message: &Message, copies: usize) -> Duration {
    let measure = || {
        let mut requests = requests();
        for number in 0..count {
            open(&mut requests, number as u32);
        }
        let messages = vec![message.clone(); copies];
        let start = Instant::now();
        for message in messages {
            assert!(!answers(&mut requests, message));
            assert!(!requests.want_fence());
        }
        let cost = start.elapsed();
        assert_eq!(requests.open(), count);
        cost
    };
    (0..ROUNDS).map(|_| measure()).min().unwrap()
}

#[track_caller]
fn assert_flat(open: Open, message: impl Into<Message>, copies: usize) {
    let message = message.into();
    let few = cost(FEW, open, &message, copies);
    let many = cost(MANY, open, &message, copies);
    let ratio = many.as_secs_f64() / few.as_secs_f64();
    assert!(
        ratio < MAX_RATIO,
        "{few:?} grows to {many:?}, by {ratio:.1}"
    );
}

fn open_transactions(requests: &mut Requests, number: u32) {
    requests.ask_transactions(&[txid(number)]).unwrap();
}

fn open_block(requests: &mut Requests, number: u32) {
    requests.ask_block(block_hash(number)).unwrap();
}

fn open_block_reader(requests: &mut Requests, number: u32) {
    requests.ask_block_reader(block_hash(number)).unwrap();
}

/// Opens a request whose end marker has arrived, so that it waits for a pong.
fn open_marked_block(requests: &mut Requests, number: u32) {
    if number == 0 {
        requests.on_second_stream();
    }
    let (_, marker) = ask_block(requests, block_hash(number));
    assert!(answers(requests, not_found(&[marker])));
    requests.on_fence(u64::from(number));
}

#[test]
fn notfound_costs_the_same_with_many_requests() {
    let numbers = MANY as u32..20_000;
    let transactions: Vec<_> = numbers.clone().map(|n| Inventory::Tx(txid(n))).collect();
    let blocks: Vec<_> = numbers.map(|n| Inventory::Block(block_hash(n))).collect();
    assert_flat(open_transactions, not_found(&transactions), 1);
    assert_flat(open_block, not_found(&blocks), 1);
    assert_flat(open_block_reader, not_found(&blocks), 1);
}

#[test]
fn objects_cost_the_same_with_many_requests() {
    assert_flat(open_transactions, tx(1), 1000);
    assert_flat(open_block, block(1), 1000);
    assert_flat(open_block_reader, block(1), 1000);
    assert_flat(open_block, headers(&[header_on(genesis())]), 1000);
}

/// The table is asked after each message whether a ping is needed.
#[test]
fn requests_that_wait_for_pong_add_no_cost() {
    let unrelated = not_found(&[Inventory::Tx(txid(MANY as u32))]);
    assert_flat(open_marked_block, unrelated, 1000);
}

/// Each copy answers one of the requests, and the others keep a single copy.
#[test]
fn copies_for_many_requests_cost_the_same_each() {
    let each = |count: usize| {
        let measure = || {
            let mut requests = requests();
            for _ in 0..count {
                requests.ask_transactions(&[tx(1).txid()]).unwrap();
                requests.ask_block(block(1).hash()).unwrap();
            }
            let pair = || [Message::from(tx(1)), block(1).into()];
            let messages: Vec<_> = (0..count).flat_map(|_| pair()).collect();
            let start = Instant::now();
            for message in messages {
                assert!(answers(&mut requests, message));
            }
            start.elapsed()
        };
        let fastest = (0..ROUNDS).map(|_| measure()).min().unwrap();
        fastest.as_secs_f64() / count as f64
    };
    let ratio = each(MANY / 2) / each(FEW);
    assert!(ratio < MAX_RATIO, "the cost grows by {ratio:.1}");
}
