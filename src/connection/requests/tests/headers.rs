//! Requests for headers.

use super::*;

#[test]
fn matching_headers_are_an_answer() {
    let [known, stranger] = [BlockHash([8; 32]), BlockHash([9; 32])];
    for (first, is_answer) in [
        (Some(known), true),
        (Some(genesis()), true),
        (None, true),
        (Some(stranger), false),
    ] {
        let mut requests = requests();
        let ticket = open_headers(&mut requests, &[BlockHash([7; 32]), known], BlockHash::ZERO);
        let found: Vec<_> = first.map(header_on).into_iter().collect();
        assert_eq!(answers(&mut requests, headers(&found)), is_answer);
        assert_eq!(
            ticket.answer.try_recv().ok(),
            is_answer.then_some(Ok(found))
        );
        // A second message answers no request.
        let again = answers(&mut requests, headers(&[header_on(known)]));
        assert_eq!(again, !is_answer);
    }
}

/// The headers of a chain on `previous`, in order.
fn chain_on(previous: BlockHash, count: usize) -> Vec<BlockHeader> {
    let first = header_on(previous);
    std::iter::successors(Some(first), |header| Some(header_on(header.hash())))
        .take(count)
        .collect()
}

/// A Teranode starts with the common ancestor, which may be genesis.
#[test]
fn answer_from_common_ancestor_omits_it() {
    let regtest = BlockHeader::genesis(&Network::Regtest);
    let chain = chain_on(genesis(), 9);
    let hashes: Vec<_> = chain.iter().map(BlockHeader::hash).collect();
    let whole: Vec<_> = std::iter::once(regtest).chain(chain.clone()).collect();
    let unknown = BlockHash([7; 32]);
    for (locator, sent, expected) in [
        // Height 5 is in the locator, and height 9 is the peer's tip.
        (vec![unknown, hashes[4]], &chain[4..], &chain[5..]),
        // The peer has nothing new.
        (vec![hashes[8], hashes[7]], &chain[8..], &chain[9..]),
        // Several leading headers are in the locator.
        (
            vec![hashes[6], hashes[5], hashes[4]],
            &chain[4..],
            &chain[7..],
        ),
        // A known header after an unknown one stays.
        (vec![hashes[6], hashes[3]], &chain[3..], &chain[4..]),
        (vec![genesis()], &whole[..], &chain[..]),
        // The peer knows no block of the locator.
        (vec![unknown], &whole[..], &chain[..]),
    ] {
        let mut requests = requests();
        let ticket = open_headers(&mut requests, &locator, BlockHash::ZERO);
        assert!(answers(&mut requests, headers(sent)));
        assert_answer(&ticket, expected.to_vec());
    }
}

/// A Teranode of 2025 sends the tip first, and the common ancestor last unless it is genesis.
#[test]
fn descending_answer_is_reversed() {
    let chain = chain_on(genesis(), 9);
    for (known, sent, expected) in [
        (genesis(), &chain[..], &chain[..]),
        (chain[4].hash(), &chain[4..], &chain[5..]),
        (chain[4].hash(), &chain[5..], &chain[5..]),
    ] {
        let descending: Vec<_> = sent.iter().rev().copied().collect();
        let mut requests = requests();
        let ticket = open_headers(&mut requests, &[known], BlockHash::ZERO);
        assert!(answers(&mut requests, headers(&descending)));
        assert_answer(&ticket, expected.to_vec());
    }
}

#[test]
fn headers_from_unrelated_block_are_no_answer() {
    let mut requests = requests();
    let chain = chain_on(BlockHash([8; 32]), 3);
    // The last header is in the locator, but the answer does not start there.
    let ticket = open_headers(&mut requests, &[chain[2].hash()], BlockHash::ZERO);
    assert!(!answers(&mut requests, headers(&chain)));
    assert_open(&ticket);
}

#[test]
fn empty_locator_requests_one_header_by_hash() {
    let mut requests = requests();
    let wanted = header_on(BlockHash([8; 32]));
    let ticket = open_headers(&mut requests, &[], wanted.hash());
    assert!(!answers(&mut requests, headers(&[header_on(genesis())])));
    assert!(answers(&mut requests, headers(&[wanted])));
    assert_answer(&ticket, vec![wanted]);
}

#[test]
fn headers_before_fence_pong_are_late() {
    let mut requests = requests();
    assert!(!requests.headers_need_fence());
    let (first, _) = request_headers(&mut requests, None);
    requests.cancel(first.id);
    assert!(requests.headers_need_fence());
    let (second, marker) = request_headers(&mut requests, Some(5));
    assert!(!answers(&mut requests, headers(&[])));
    assert!(!answers_discarded(&mut requests, "headers"));
    requests.on_pong(6, SECOND, StreamType::General);
    assert!(!answers(&mut requests, headers(&[])), "another pong");
    requests.on_pong(5, SECOND, StreamType::General);
    assert!(
        requests.headers_need_fence(),
        "the request may be cancelled"
    );
    let found = [header_on(genesis())];
    assert!(answers(&mut requests, headers(&found)));
    assert_answer(&second, found.to_vec());
    assert!(requests.headers_need_fence(), "its own may follow");
    assert!(answers(&mut requests, not_found(&[marker])));
    assert!(!requests.headers_need_fence());

    let (third, _) = request_headers(&mut requests, None);
    assert!(answers_discarded(&mut requests, "headers"));
    assert_failure(&third, too_large());
    let (unsent, _) = request_headers(&mut requests, None);
    requests.abort(unsent.id);
    assert!(!requests.headers_need_fence());
}

/// Requests headers after genesis. Returns the request and its end marker.
pub(super) fn request_headers(
    requests: &mut Requests,
    fence: Option<u64>,
) -> (Ticket<Vec<BlockHeader>>, Inventory) {
    let fence = fence.map(Ping::new);
    let opened = requests.open_headers(vec![genesis()], BlockHash::ZERO, fence);
    let (ticket, messages) = opened.unwrap();
    let (last, others) = messages.split_last().unwrap();
    let mut expected = Vec::from_iter(fence.map(Message::from));
    expected.push(
        GetHeaders {
            version: PROTOCOL_VERSION,
            locator: vec![genesis()],
            stop: BlockHash::ZERO,
        }
        .into(),
    );
    assert_eq!(others, expected);
    match last {
        Message::GetData(getdata) => match getdata.inventory[..] {
            [marker @ Inventory::Tx(_)] => (ticket, marker),
            _ => panic!("{getdata:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn end_marker_without_headers_means_empty_answer() {
    let mut requests = requests();
    let (ticket, marker) = request_headers(&mut requests, None);
    let unrelated = header_on(BlockHash([9; 32]));
    assert!(!answers(&mut requests, headers(&[unrelated])));
    assert_open(&ticket);
    assert!(answers(&mut requests, not_found(&[marker])));
    assert_answer(&ticket, Vec::new());
    assert_eq!(requests.open(), 0);
    // Headers that arrive later are an announcement.
    assert!(!answers(&mut requests, headers(&[header_on(genesis())])));
    assert!(!requests.headers_need_fence());
}

#[test]
fn end_marker_of_finished_request_is_consumed() {
    let found = [header_on(genesis())];
    let mut requests = requests();
    let (answered, first) = request_headers(&mut requests, None);
    assert!(answers(&mut requests, headers(&found)));
    assert_answer(&answered, found.to_vec());
    let (next, second) = request_headers(&mut requests, None);
    assert_ne!(first, second);
    let other = Inventory::Tx(Txid([7; 32]));
    let rest = unanswered(&mut requests, not_found(&[first, other]));
    assert_eq!(rest, Some(not_found(&[other])));
    assert_open(&next);
    assert!(answers(&mut requests, headers(&found)));
    assert_answer(&next, found.to_vec());
}

#[test]
fn end_marker_of_cancelled_request_makes_fence_unnecessary() {
    let mut requests = requests();
    let (first, marker) = request_headers(&mut requests, None);
    requests.cancel(first.id);
    assert!(requests.headers_need_fence());
    assert!(!answers(&mut requests, headers(&[])), "late");
    assert!(answers(&mut requests, not_found(&[marker])));
    assert!(!requests.headers_need_fence());

    // The marker of an earlier request says nothing about a later one.
    let (second, earlier) = request_headers(&mut requests, None);
    requests.cancel(second.id);
    let (third, _) = request_headers(&mut requests, Some(5));
    requests.cancel(third.id);
    assert!(answers(&mut requests, not_found(&[earlier])));
    assert!(requests.headers_need_fence());
}

/// A peer that answers pings ahead of headers, as this library does.
#[test]
fn late_empty_headers_after_pong_are_no_answer() {
    for ends_by_headers in [true, false] {
        let found = [header_on(genesis())];
        let mut requests = requests();
        let (cancelled, late) = request_headers(&mut requests, None);
        requests.cancel(cancelled.id);
        let (ticket, marker) = request_headers(&mut requests, Some(5));
        requests.on_pong(5, SECOND, StreamType::General);
        assert!(!answers(&mut requests, headers(&[])), "late");
        assert_open(&ticket);
        assert!(answers(&mut requests, not_found(&[late])));
        if ends_by_headers {
            assert!(answers(&mut requests, headers(&found)));
            assert_answer(&ticket, found.to_vec());
        } else {
            assert!(answers(&mut requests, not_found(&[marker])));
            assert_answer(&ticket, Vec::new());
        }
    }
}

/// The late answer continues the locator of the next request, whose own answer follows.
#[test]
fn empty_headers_after_late_answer_are_no_answer() {
    let found = [header_on(genesis())];
    let mut requests = requests();
    let (cancelled, first) = request_headers(&mut requests, None);
    requests.cancel(cancelled.id);
    let (ticket, second) = request_headers(&mut requests, Some(5));
    requests.on_pong(5, SECOND, StreamType::General);
    assert!(answers(&mut requests, headers(&found)));
    assert_answer(&ticket, found.to_vec());
    let (next, _) = request_headers(&mut requests, Some(6));
    requests.on_pong(6, SECOND, StreamType::General);
    assert!(answers(&mut requests, not_found(&[first])));
    let late = answers(&mut requests, headers(&[]));
    assert!(!late, "that is for the second request");
    assert_open(&next);
    assert!(answers(&mut requests, not_found(&[second])));
    assert!(answers(&mut requests, headers(&[])));
    assert_answer(&next, Vec::new());
}

/// A peer that answers `getdata` ahead of pings.
#[test]
fn end_marker_of_cancelled_request_replaces_open_fence() {
    let found = [header_on(genesis())];
    let mut requests = requests();
    let (cancelled, late) = request_headers(&mut requests, None);
    requests.cancel(cancelled.id);
    let (ticket, _) = request_headers(&mut requests, Some(5));
    assert!(!answers(&mut requests, headers(&[])));
    assert!(answers(&mut requests, not_found(&[late])));
    assert!(answers(&mut requests, headers(&found)));
    assert_answer(&ticket, found.to_vec());
}

/// The headers before the pong may have been the answer, so the request must not report that there
/// were none.
#[test]
fn end_marker_with_open_fence_ends_nothing() {
    let mut requests = requests();
    let (cancelled, _) = request_headers(&mut requests, None);
    requests.cancel(cancelled.id);
    let (ticket, marker) = request_headers(&mut requests, Some(5));
    assert!(!answers(&mut requests, headers(&[header_on(genesis())])));
    assert!(answers(&mut requests, not_found(&[marker])));
    requests.on_pong(5, SECOND, StreamType::General);
    assert_open(&ticket);
}

#[test]
fn end_markers_of_headers_and_block_differ() {
    let mut requests = requests();
    let (ticket, marker) = request_headers(&mut requests, None);
    let (wanted, marker_of_block) = request_block(&mut requests, block(1).hash());
    assert_ne!(marker, marker_of_block);
    assert!(answers(&mut requests, not_found(&[marker_of_block])));
    assert_failure(&wanted, Failure::NotFound(block(1).hash()));
    assert_open(&ticket);
    let (wanted, _) = request_block(&mut requests, block(1).hash());
    assert!(answers(&mut requests, not_found(&[marker])));
    assert_answer(&ticket, Vec::new());
    assert!(wanted.answer.is_empty());
}
