//! Requests for blocks that are read while they arrive.

use super::*;

/// Requests a block reader. Returns the request and its end marker.
pub(super) fn request_reader(
    requests: &mut Requests,
    number: u8,
) -> (Ticket<BlockReader<'static>>, Inventory) {
    let hash = block(number).hash();
    let (ticket, messages) = requests.open_block_reader(hash).unwrap();
    (ticket, end_marker(&messages, hash))
}

#[track_caller]
pub(super) fn assert_reader_failure(ticket: &Ticket<BlockReader<'static>>, expected: Failure) {
    let answer = ticket.answer.try_recv().expect("an answer");
    assert_eq!(answer.expect_err("a failure"), expected);
}

/// Claims a block, which must belong to `ticket`.
#[track_caller]
pub(super) fn assert_claimed_by(
    requests: &mut Requests,
    number: u8,
    ticket: &Ticket<BlockReader<'static>>,
) {
    let responder = requests.claim_block(block(number).hash());
    // Any answer will do, but a failure is easier to compare.
    responder.expect("a claim").answer(Err(too_large()));
    assert_reader_failure(ticket, too_large());
}

fn is_claimed(requests: &mut Requests, number: u8) -> bool {
    requests.claim_block(block(number).hash()).is_some()
}

#[test]
fn block_start_goes_to_oldest_request() {
    let mut requests = requests();
    let (first, _) = request_reader(&mut requests, 1);
    let (other, _) = request_reader(&mut requests, 2);
    let (whole, _) = request_block(&mut requests, block(1).hash());
    let (last, _) = request_reader(&mut requests, 1);
    assert_eq!((requests.open(), requests.block_readers()), (4, 3));
    assert!(!is_claimed(&mut requests, 3));
    assert_claimed_by(&mut requests, 1, &first);
    assert!(!is_claimed(&mut requests, 1), "the whole one is next");
    assert!(answers(&mut requests, block(1)));
    assert_answer(&whole, block(1));
    assert_claimed_by(&mut requests, 1, &last);
    assert_claimed_by(&mut requests, 2, &other);
    assert_eq!((requests.open(), requests.block_readers()), (0, 0));
}

#[test]
fn missing_block_is_not_found() {
    let mut requests = requests();
    let (one, marker) = request_reader(&mut requests, 1);
    assert!(answers(&mut requests, not_found(&[marker])));
    assert_reader_failure(&one, Failure::NotFound(block(1).hash()));
    let (two, marker) = request_reader(&mut requests, 2);
    let missing = not_found(&[Inventory::Block(block(2).hash()), marker]);
    assert_eq!(unanswered(&mut requests, missing), None);
    assert_reader_failure(&two, Failure::NotFound(block(2).hash()));
    assert_eq!(requests.block_readers(), 0);
}

#[test]
fn block_of_cancelled_request_is_unclaimed() {
    let mut requests = requests();
    let (cancelled, marker) = request_reader(&mut requests, 1);
    requests.cancel(cancelled.id);
    let (unsent, _) = request_reader(&mut requests, 2);
    requests.abort(unsent.id);
    assert_eq!(requests.block_readers(), 0);
    assert!(!is_claimed(&mut requests, 1) && !is_claimed(&mut requests, 2));
    assert!(cancelled.answer.is_empty() && unsent.answer.is_empty());
    assert!(
        answers(&mut requests, not_found(&[marker])),
        "its end marker is consumed"
    );
}

#[test]
fn close_ends_waits_for_block_start() {
    let mut requests = requests();
    let (ticket, _) = request_reader(&mut requests, 1);
    requests.close(&DisconnectReason::ConnectionClosed);
    assert_reader_failure(&ticket, Failure::Ended(DisconnectReason::ConnectionClosed));
    let error = requests.open_block_reader(block(1).hash()).unwrap_err();
    assert_eq!(
        error,
        RequestError::Ended(DisconnectReason::ConnectionClosed)
    );
}
