//! Requests for blocks.

use super::*;

#[test]
fn block_completes_request_and_end_marker_is_consumed() {
    let mut requests = requests();
    let (ticket, marker) = request_block(&mut requests, block(1).hash());
    assert!(!answers(&mut requests, block(2)));
    assert!(answers(&mut requests, block(1)));
    assert_answer(&ticket, block(1));
    assert!(!answers(&mut requests, block(1)), "no request is open");
    assert!(answers(&mut requests, not_found(&[marker])));
    assert_open(&ticket);
}

#[test]
fn blocks_complete_in_any_order() {
    let mut requests = requests();
    let [(one, _), (two, marker_of_two), (three, _)] =
        [1, 2, 3].map(|number| request_block(&mut requests, block(number).hash()));
    assert!(answers(&mut requests, block(3)));
    assert_answer(&three, block(3));
    assert!(answers(&mut requests, not_found(&[marker_of_two])));
    assert_failure(&two, Failure::NotFound(block(2).hash()));
    assert!(answers(&mut requests, block(1)));
    assert_answer(&one, block(1));
    assert_eq!(requests.open(), 0);
}

#[test]
fn unawaited_end_marker_is_consumed() {
    let mut requests = requests();
    let (ticket, marker) = request_block(&mut requests, block(1).hash());
    requests.cancel(ticket.id);
    let others = [
        Inventory::Tx(Txid([7; 32])),
        Inventory::Block(block(2).hash()),
        Inventory::CompactBlock(block(1).hash()),
    ];
    let both = not_found(&[others[0], marker, others[1], others[2]]);
    assert_eq!(unanswered(&mut requests, both), Some(not_found(&others)));
    assert_eq!(unanswered(&mut requests, not_found(&[marker])), None);
    assert_eq!(
        unanswered(&mut requests, not_found(&[])),
        Some(not_found(&[]))
    );
    let Inventory::Tx(Txid(mut altered)) = marker else {
        panic!("{marker:?}");
    };
    altered[31] = 1;
    let altered = not_found(&[Inventory::Tx(Txid(altered))]);
    assert_eq!(unanswered(&mut requests, altered.clone()), Some(altered));
}

#[test]
fn notfound_of_block_means_not_found() {
    let mut requests = requests();
    let hash = block(1).hash();
    let (ticket, marker) = request_block(&mut requests, hash);
    let missing = not_found(&[Inventory::Block(hash), marker]);
    assert_eq!(unanswered(&mut requests, missing), None);
    assert_failure(&ticket, Failure::NotFound(hash));
}

#[test]
fn one_block_completes_all_its_requests() {
    let mut requests = requests();
    let hash = block(1).hash();
    let [(one, _), (two, _)] = [(); 2].map(|()| request_block(&mut requests, hash));
    assert!(answers(&mut requests, block(1)));
    assert_answer(&one, block(1));
    assert_open(&two);
    assert!(answers(&mut requests, block(1)));
    assert_answer(&two, block(1));
    assert!(!answers(&mut requests, block(1)));

    // The peer sends the block once.
    let [(one, _), (two, marker), (three, _)] =
        [(); 3].map(|()| request_block(&mut requests, hash));
    assert!(answers(&mut requests, block(1)));
    assert_answer(&one, block(1));
    assert!(answers(&mut requests, not_found(&[marker])));
    assert_answer(&two, block(1));
    requests.cancel(three.id);
    assert_answer(&three, block(1));
}

/// The header of a discarded block is kept, so only a payload without one cannot be identified.
#[test]
fn unidentified_oversized_block_ends_no_request() {
    let mut requests = requests();
    let (ticket, _) = request_block(&mut requests, block(1).hash());
    assert!(!answers_discarded(&mut requests, "block"));
    assert!(!answers_discarded(&mut requests, "cmpctblock"));
    assert_open(&ticket);
    assert!(answers_discarded_block(&mut requests, 1));
    assert_failure(&ticket, too_large());
    assert!(!answers_discarded_block(&mut requests, 1));
}

#[test]
fn oversized_block_ends_oldest_request_for_it() {
    let mut requests = requests();
    let [(cancelled, _), (other, _), (one, marker_of_one), (two, _)] =
        [1, 2, 1, 1].map(|number| request_block(&mut requests, block(number).hash()));
    requests.cancel(cancelled.id);
    assert!(answers_discarded_block(&mut requests, 1));
    assert_failure(&one, too_large());
    assert!(answers(&mut requests, not_found(&[marker_of_one])));
    assert_open(&two);
    assert_open(&other);
    assert!(answers_discarded_block(&mut requests, 1));
    assert_failure(&two, too_large());
    assert!(!answers_discarded_block(&mut requests, 3));
}
