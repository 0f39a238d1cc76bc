//! Requests for blocks.

use super::*;

#[test]
fn block_completes_request_and_end_marker_is_consumed() {
    let mut requests = requests();
    let (asked, end) = ask_block(&mut requests, block(1).hash());
    assert!(!answers(&mut requests, block(2)));
    assert!(answers(&mut requests, block(1)));
    got(&asked, block(1));
    assert!(!answers(&mut requests, block(1)), "no request is open");
    assert!(answers(&mut requests, not_found(&[end])));
    waits(&asked);
}

#[test]
fn blocks_complete_in_any_order() {
    let mut requests = requests();
    let [(one, _), (two, end_of_two), (three, _)] =
        [1, 2, 3].map(|number| ask_block(&mut requests, block(number).hash()));
    assert!(answers(&mut requests, block(3)));
    got(&three, block(3));
    assert!(answers(&mut requests, not_found(&[end_of_two])));
    failed(&two, Failure::NotFound(block(2).hash()));
    assert!(answers(&mut requests, block(1)));
    got(&one, block(1));
    assert_eq!(requests.open(), 0);
}

#[test]
fn unawaited_end_marker_is_consumed() {
    let mut requests = requests();
    let (asked, end) = ask_block(&mut requests, block(1).hash());
    requests.cancel(asked.id);
    let others = [
        Inventory::Tx(Txid([7; 32])),
        Inventory::Block(block(2).hash()),
        Inventory::CompactBlock(block(1).hash()),
    ];
    let both = not_found(&[others[0], end, others[1], others[2]]);
    assert_eq!(left(&mut requests, both), Some(not_found(&others)));
    assert_eq!(left(&mut requests, not_found(&[end])), None);
    assert_eq!(left(&mut requests, not_found(&[])), Some(not_found(&[])));
    let Inventory::Tx(Txid(mut altered)) = end else {
        panic!("{end:?}");
    };
    altered[31] = 1;
    let altered = not_found(&[Inventory::Tx(Txid(altered))]);
    assert_eq!(left(&mut requests, altered.clone()), Some(altered));
}

#[test]
fn notfound_of_block_means_not_found() {
    let mut requests = requests();
    let hash = block(1).hash();
    let (asked, end) = ask_block(&mut requests, hash);
    let named = not_found(&[Inventory::Block(hash), end]);
    assert_eq!(left(&mut requests, named), None);
    failed(&asked, Failure::NotFound(hash));
}

#[test]
fn one_block_completes_all_its_requests() {
    let mut requests = requests();
    let hash = block(1).hash();
    let [(one, _), (two, _)] = [(); 2].map(|()| ask_block(&mut requests, hash));
    assert!(answers(&mut requests, block(1)));
    got(&one, block(1));
    waits(&two);
    assert!(answers(&mut requests, block(1)));
    got(&two, block(1));
    assert!(!answers(&mut requests, block(1)));

    // The peer sends the block once.
    let [(one, _), (two, end), (three, _)] = [(); 3].map(|()| ask_block(&mut requests, hash));
    assert!(answers(&mut requests, block(1)));
    got(&one, block(1));
    assert!(answers(&mut requests, not_found(&[end])));
    got(&two, block(1));
    requests.cancel(three.id);
    got(&three, block(1));
}

/// The header of a discarded block is kept, so only a payload without one cannot be identified.
#[test]
fn unidentified_oversized_block_ends_no_request() {
    let mut requests = requests();
    let (asked, _) = ask_block(&mut requests, block(1).hash());
    assert!(!is_passed_over(&mut requests, "block"));
    assert!(!is_passed_over(&mut requests, "cmpctblock"));
    waits(&asked);
    assert!(is_block_discarded(&mut requests, 1));
    failed(&asked, too_large());
    assert!(!is_block_discarded(&mut requests, 1));
}

#[test]
fn oversized_block_ends_oldest_request_for_it() {
    let mut requests = requests();
    let [(cancelled, _), (other, _), (one, end_of_one), (two, _)] =
        [1, 2, 1, 1].map(|number| ask_block(&mut requests, block(number).hash()));
    requests.cancel(cancelled.id);
    assert!(is_block_discarded(&mut requests, 1));
    failed(&one, too_large());
    assert!(answers(&mut requests, not_found(&[end_of_one])));
    waits(&two);
    waits(&other);
    assert!(is_block_discarded(&mut requests, 1));
    failed(&two, too_large());
    assert!(!is_block_discarded(&mut requests, 3));
}
