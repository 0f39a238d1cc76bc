//! Requests for blocks that are read while they arrive.

use super::*;

/// Requests a block reader. Returns the request and its end marker.
pub(super) fn ask_reader(
    requests: &mut Requests,
    number: u8,
) -> (Ticket<BlockReader<'static>>, Inventory) {
    let hash = block(number).hash();
    let (asked, messages) = requests.open_block_reader(hash).unwrap();
    (asked, end_marker(&messages, hash))
}

#[track_caller]
pub(super) fn ended(asked: &Ticket<BlockReader<'static>>, expected: Failure) {
    let answer = asked.answer.try_recv().expect("an answer");
    assert_eq!(answer.expect_err("a failure"), expected);
}

/// Claims a block, which must belong to `asked`.
#[track_caller]
pub(super) fn claimed_by(
    requests: &mut Requests,
    number: u8,
    asked: &Ticket<BlockReader<'static>>,
) {
    let waiter = requests.claim_block(block(number).hash());
    // Any answer will do, but a failure is easier to compare.
    waiter.expect("a claim").answer(Err(too_large()));
    ended(asked, too_large());
}

fn is_claimed(requests: &mut Requests, number: u8) -> bool {
    requests.claim_block(block(number).hash()).is_some()
}

#[test]
fn block_start_goes_to_oldest_request() {
    let mut requests = requests();
    let (first, _) = ask_reader(&mut requests, 1);
    let (other, _) = ask_reader(&mut requests, 2);
    let (whole, _) = ask_block(&mut requests, block(1).hash());
    let (last, _) = ask_reader(&mut requests, 1);
    assert_eq!((requests.open(), requests.block_readers()), (4, 3));
    assert!(!is_claimed(&mut requests, 3));
    claimed_by(&mut requests, 1, &first);
    assert!(!is_claimed(&mut requests, 1), "the whole one is next");
    assert!(answers(&mut requests, block(1)));
    got(&whole, block(1));
    claimed_by(&mut requests, 1, &last);
    claimed_by(&mut requests, 2, &other);
    assert_eq!((requests.open(), requests.block_readers()), (0, 0));
}

#[test]
fn missing_block_is_not_found() {
    let mut requests = requests();
    let (one, end) = ask_reader(&mut requests, 1);
    assert!(answers(&mut requests, not_found(&[end])));
    ended(&one, Failure::NotFound(block(1).hash()));
    let (two, end) = ask_reader(&mut requests, 2);
    let named = not_found(&[Inventory::Block(block(2).hash()), end]);
    assert_eq!(left(&mut requests, named), None);
    ended(&two, Failure::NotFound(block(2).hash()));
    assert_eq!(requests.block_readers(), 0);
}

#[test]
fn block_of_cancelled_request_is_unclaimed() {
    let mut requests = requests();
    let (given_up, end) = ask_reader(&mut requests, 1);
    requests.cancel(given_up.id);
    let (unsent, _) = ask_reader(&mut requests, 2);
    requests.abort(unsent.id);
    assert_eq!(requests.block_readers(), 0);
    assert!(!is_claimed(&mut requests, 1) && !is_claimed(&mut requests, 2));
    assert!(given_up.answer.is_empty() && unsent.answer.is_empty());
    assert!(
        answers(&mut requests, not_found(&[end])),
        "its end is swallowed"
    );
}

#[test]
fn close_ends_waits_for_block_start() {
    let mut requests = requests();
    let (asked, _) = ask_reader(&mut requests, 1);
    requests.close(&DisconnectReason::ConnectionClosed);
    ended(&asked, Failure::Ended(DisconnectReason::ConnectionClosed));
    let refused = requests.open_block_reader(block(1).hash()).unwrap_err();
    assert_eq!(
        refused,
        RequestError::Ended(DisconnectReason::ConnectionClosed)
    );
}
