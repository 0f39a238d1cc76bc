//! Requests over two streams, between which messages have no order.

use super::block_readers::{ask_reader, claimed_by, ended};
use super::headers::ask_headers;
use super::*;
use crate::wire::StreamType::{Data1, General};

fn two_streams() -> Requests {
    let mut requests = requests();
    requests.on_stream_open();
    requests
}

/// Reports an end marker on a stream. The table must consume it.
#[track_caller]
fn name(requests: &mut Requests, end: Inventory, on: StreamType) {
    assert!(answers_over(on, requests, not_found(&[end])));
}

/// Sends a fence with this nonce. The table must require one.
#[track_caller]
fn fence(requests: &mut Requests, nonce: u64) {
    assert!(requests.wants_fence());
    requests.on_fence(nonce);
    assert!(!requests.wants_fence(), "one ping is enough");
}

#[test]
fn block_after_its_overtaking_end_is_answer() {
    let mut requests = two_streams();
    let (before, end) = ask_block(&mut requests, block(1).hash());
    name(&mut requests, end, General);
    waits(&before);
    assert!(answers_over(Data1, &mut requests, block(1)));
    got(&before, block(1));
    assert!(!requests.wants_fence(), "the request has ended");

    let (behind, end) = ask_block(&mut requests, block(2).hash());
    name(&mut requests, end, General);
    fence(&mut requests, 7);
    assert!(answers_over(Data1, &mut requests, block(2)));
    got(&behind, block(2));
    requests.on_pong(7, SECOND, Data1);
    waits(&behind);
    assert_eq!(requests.open(), 0);
}

#[test]
fn fence_pong_before_block_means_not_found() {
    let mut requests = two_streams();
    let (asked, end) = ask_block(&mut requests, block(1).hash());
    assert!(!requests.wants_fence(), "its end is not named");
    name(&mut requests, end, General);
    requests.on_pong(7, SECOND, Data1);
    waits(&asked);
    fence(&mut requests, 7);
    name(&mut requests, end, General);
    assert!(!requests.wants_fence(), "it was named before");
    requests.on_pong(6, SECOND, Data1);
    waits(&asked);
    requests.on_pong(7, SECOND, Data1);
    failed(&asked, Failure::NotFound(block(1).hash()));
    assert!(!answers_over(Data1, &mut requests, block(1)), "too late");
}

#[test]
fn only_pong_of_other_stream_counts() {
    let mut requests = two_streams();
    let (asked, end) = ask_block(&mut requests, block(1).hash());
    name(&mut requests, end, General);
    fence(&mut requests, 7);
    requests.on_pong(7, SECOND, General);
    requests.on_pong(7, SECOND, Data1);
    waits(&asked);
    assert!(!requests.wants_fence(), "its timeout decides");

    // The fence of another request serves this one as well.
    let (other, end) = ask_block(&mut requests, block(2).hash());
    name(&mut requests, end, General);
    fence(&mut requests, 8);
    requests.on_pong(8, SECOND, Data1);
    failed(&asked, Failure::NotFound(block(1).hash()));
    failed(&other, Failure::NotFound(block(2).hash()));
}

#[test]
fn one_fence_serves_all_earlier_ends() {
    let mut requests = two_streams();
    let [(one, end_of_one), (two, end_of_two), (three, end_of_three)] =
        [1, 2, 3].map(|number| ask_block(&mut requests, block(number).hash()));
    let both = not_found(&[end_of_one, end_of_two]);
    assert_eq!(left(&mut requests, both), None);
    fence(&mut requests, 7);
    name(&mut requests, end_of_three, General);
    fence(&mut requests, 8);
    requests.on_pong(7, SECOND, Data1);
    failed(&one, Failure::NotFound(block(1).hash()));
    failed(&two, Failure::NotFound(block(2).hash()));
    waits(&three);
    requests.on_pong(8, SECOND, Data1);
    failed(&three, Failure::NotFound(block(3).hash()));
}

#[test]
fn each_request_takes_its_overtaken_block_copy() {
    let mut requests = two_streams();
    let hash = block(1).hash();
    let [(one, end_of_one), (two, end_of_two)] = [(); 2].map(|()| ask_block(&mut requests, hash));
    let both = not_found(&[end_of_one, end_of_two]);
    assert_eq!(left(&mut requests, both), None);
    fence(&mut requests, 7);
    assert!(answers_over(Data1, &mut requests, block(1)));
    got(&one, block(1));
    waits(&two);
    assert!(answers_over(Data1, &mut requests, block(1)), "its own copy");
    got(&two, block(1));

    // The peer sends the block once.
    let [(one, _), (two, end)] = [(); 2].map(|()| ask_block(&mut requests, hash));
    assert!(answers_over(Data1, &mut requests, block(1)));
    got(&one, block(1));
    name(&mut requests, end, General);
    waits(&two);
    fence(&mut requests, 8);
    requests.on_pong(8, SECOND, Data1);
    got(&two, block(1));
}

#[test]
fn streamed_block_may_start_after_its_end() {
    let mut requests = two_streams();
    let (there, end) = ask_reader(&mut requests, 1);
    name(&mut requests, end, General);
    fence(&mut requests, 7);
    claimed_by(&mut requests, 1, &there);
    let (missing, end) = ask_reader(&mut requests, 2);
    name(&mut requests, end, General);
    requests.on_pong(7, SECOND, Data1);
    assert!(missing.answer.is_empty(), "that was another fence");
    fence(&mut requests, 8);
    requests.on_pong(8, SECOND, Data1);
    ended(&missing, Failure::NotFound(block(2).hash()));
    assert_eq!(requests.block_readers(), 0);
}

#[test]
fn end_on_block_stream_follows_block() {
    let mut requests = two_streams();
    let (asked, end) = ask_block(&mut requests, block(1).hash());
    name(&mut requests, end, Data1);
    failed(&asked, Failure::NotFound(block(1).hash()));
    assert!(!requests.wants_fence());

    // A block that was requested over one stream may arrive over that one.
    let mut requests = super::requests();
    let (asked, end) = ask_block(&mut requests, block(1).hash());
    requests.on_stream_open();
    name(&mut requests, end, Data1);
    fence(&mut requests, 7);
    requests.on_pong(7, SECOND, Data1);
    waits(&asked);
    assert!(answers_over(General, &mut requests, block(1)));
    got(&asked, block(1));
}

#[test]
fn notfound_of_block_needs_no_fence() {
    let mut requests = two_streams();
    let hash = block(1).hash();
    let (asked, end) = ask_block(&mut requests, hash);
    let named = not_found(&[Inventory::Block(hash), end]);
    assert_eq!(left(&mut requests, named), None);
    failed(&asked, Failure::NotFound(hash));
    assert!(!requests.wants_fence());
}

#[test]
fn cancelled_request_needs_no_fence() {
    let mut requests = two_streams();
    let [(one, end_of_one), (two, end_of_two), (three, end_of_three)] =
        [1, 2, 3].map(|number| ask_block(&mut requests, block(number).hash()));
    name(&mut requests, end_of_one, General);
    requests.cancel(one.id);
    assert!(!requests.wants_fence());
    name(&mut requests, end_of_two, General);
    fence(&mut requests, 7);
    requests.cancel(two.id);
    requests.on_pong(7, SECOND, Data1);
    requests.cancel(three.id);
    name(&mut requests, end_of_three, General);
    assert!(!requests.wants_fence());
    for (number, asked) in [(1, one), (2, two), (3, three)] {
        waits(&asked);
        assert!(!answers_over(Data1, &mut requests, block(number)));
    }
}

#[test]
fn cancelled_request_takes_copy_for_another() {
    let mut requests = two_streams();
    let hash = block(1).hash();
    let [(one, _), (two, end)] = [(); 2].map(|()| ask_block(&mut requests, hash));
    name(&mut requests, end, General);
    assert!(answers_over(Data1, &mut requests, block(1)));
    got(&one, block(1));
    requests.cancel(two.id);
    got(&two, block(1));
}

#[test]
fn close_ends_waits_for_fence_pong() {
    let mut requests = two_streams();
    let (fenced, end) = ask_block(&mut requests, block(1).hash());
    name(&mut requests, end, General);
    fence(&mut requests, 7);
    let (named, end) = ask_reader(&mut requests, 2);
    name(&mut requests, end, General);
    assert!(requests.wants_fence());
    requests.close(&DisconnectReason::ConnectionClosed);
    failed(&fenced, Failure::Ended(DisconnectReason::ConnectionClosed));
    ended(&named, Failure::Ended(DisconnectReason::ConnectionClosed));
    assert!(!requests.wants_fence());
    requests.on_pong(7, SECOND, Data1);
    assert_eq!(requests.open(), 0);
}

#[test]
fn one_stream_needs_no_fence() {
    for end_of_opening in [false, true] {
        let mut requests = requests();
        if end_of_opening {
            requests.on_stream_opening();
            requests.on_stream_failed();
        }
        let (whole, end) = ask_block(&mut requests, block(1).hash());
        name(&mut requests, end, General);
        failed(&whole, Failure::NotFound(block(1).hash()));
        let (reader, end) = ask_reader(&mut requests, 1);
        name(&mut requests, end, General);
        ended(&reader, Failure::NotFound(block(1).hash()));
        assert!(!requests.wants_fence());
    }
}

#[test]
fn end_waits_for_stream_being_opened() {
    // The peer may use the second stream before this side knows that it is open.
    let mut requests = requests();
    let (asked, end) = ask_block(&mut requests, block(1).hash());
    requests.on_stream_opening();
    name(&mut requests, end, General);
    waits(&asked);
    assert!(
        !requests.wants_fence(),
        "its pong could come over one alone"
    );
    requests.on_stream_open();
    fence(&mut requests, 7);
    requests.on_pong(7, SECOND, Data1);
    failed(&asked, Failure::NotFound(block(1).hash()));

    let mut requests = super::requests();
    requests.on_stream_opening();
    let (named, end) = ask_block(&mut requests, block(1).hash());
    let (open, _) = ask_block(&mut requests, block(2).hash());
    name(&mut requests, end, General);
    requests.on_stream_failed();
    failed(&named, Failure::NotFound(block(1).hash()));
    waits(&open);
}

#[test]
fn oversized_block_is_identified() {
    let mut requests = two_streams();
    let (asked, _) = ask_block(&mut requests, block(1).hash());
    assert!(is_block_discarded(&mut requests, 1));
    failed(&asked, too_large());
}

/// A request that was sent over one stream is cancelled once there are two.
#[test]
fn late_headers_before_pong_are_no_answer() {
    let late = [header_on(genesis()), header_on(genesis())];
    let found = [header_on(genesis())];
    let mut requests = requests();
    let (first, marker) = ask_headers(&mut requests, None);
    requests.on_stream_open();
    requests.cancel(first.id);
    assert!(requests.headers_need_fence());
    let (second, _) = ask_headers(&mut requests, Some(5));
    for from in [General, Data1] {
        assert!(!answers_over(from, &mut requests, headers(&late)));
        assert!(!answers_over(from, &mut requests, headers(&[])));
        assert!(!is_passed_over_on(from, &mut requests, "headers"));
    }
    requests.on_pong(5, SECOND, Data1);
    assert!(!answers_over(Data1, &mut requests, headers(&[])), "late?");
    assert!(answers_over(Data1, &mut requests, headers(&found)));
    got(&second, found.to_vec());
    assert!(requests.headers_need_fence(), "they may have been late");
    name(&mut requests, marker, General);
    assert!(requests.headers_need_fence(), "that is an earlier marker");
}

#[test]
fn headers_answer_on_either_stream() {
    let found = [header_on(genesis())];
    let mut requests = requests();
    let (before, _) = ask_headers(&mut requests, None);
    requests.on_stream_open();
    assert!(answers_over(General, &mut requests, headers(&found)));
    got(&before, found.to_vec());
    for from in [General, Data1] {
        let (asked, _) = ask_headers(&mut requests, None);
        assert!(answers_over(from, &mut requests, headers(&found)));
        got(&asked, found.to_vec());
    }
}

#[test]
fn headers_after_overtaking_end_marker_are_the_answer() {
    let found = [header_on(genesis())];
    let mut requests = two_streams();
    let (asked, marker) = ask_headers(&mut requests, None);
    assert!(!requests.wants_fence(), "its end marker has not arrived");
    name(&mut requests, marker, General);
    waits(&asked);
    fence(&mut requests, 7);
    assert!(answers_over(Data1, &mut requests, headers(&found)));
    got(&asked, found.to_vec());
    requests.on_pong(7, SECOND, Data1);
    assert_eq!(requests.open(), 0);
}

#[test]
fn pong_after_overtaking_end_marker_means_no_headers() {
    let mut requests = two_streams();
    let (asked, marker) = ask_headers(&mut requests, None);
    name(&mut requests, marker, General);
    fence(&mut requests, 7);
    requests.on_pong(7, SECOND, General);
    requests.on_pong(7, SECOND, Data1);
    waits(&asked);
    // A later ping, for a block, serves this request as well.
    let (wanted, end) = ask_block(&mut requests, block(1).hash());
    name(&mut requests, end, General);
    fence(&mut requests, 8);
    requests.on_pong(8, SECOND, Data1);
    got(&asked, Vec::new());
    failed(&wanted, Failure::NotFound(block(1).hash()));
}

#[test]
fn end_marker_on_header_stream_needs_no_ping() {
    let mut requests = two_streams();
    let (asked, marker) = ask_headers(&mut requests, None);
    name(&mut requests, marker, Data1);
    got(&asked, Vec::new());
    assert!(!requests.wants_fence());

    // A request that was sent over one stream may be answered over the other.
    let mut requests = super::requests();
    let (asked, marker) = ask_headers(&mut requests, None);
    requests.on_stream_open();
    name(&mut requests, marker, Data1);
    fence(&mut requests, 7);
    requests.on_pong(7, SECOND, General);
    got(&asked, Vec::new());
}

#[test]
fn end_marker_waits_while_second_stream_opens() {
    for opens in [true, false] {
        let mut requests = requests();
        requests.on_stream_opening();
        let (asked, marker) = ask_headers(&mut requests, None);
        name(&mut requests, marker, General);
        waits(&asked);
        assert!(!requests.wants_fence());
        if opens {
            requests.on_stream_open();
            fence(&mut requests, 7);
            requests.on_pong(7, SECOND, Data1);
        } else {
            requests.on_stream_failed();
        }
        got(&asked, Vec::new());
    }
}

/// Each case has whether the request preceded the second stream, the stream of its end marker, and
/// whether that proves that no headers are late. Otherwise a pong over the other stream does.
#[test]
fn end_marker_of_cancelled_headers_may_need_pong() {
    for (before_second, on, is_proof) in [
        (true, General, false),
        (true, Data1, false),
        (false, General, false),
        (false, Data1, true),
    ] {
        let mut requests = if before_second {
            requests()
        } else {
            two_streams()
        };
        let (cancelled, marker) = ask_headers(&mut requests, None);
        requests.on_stream_open();
        requests.cancel(cancelled.id);
        let (next, _) = ask_headers(&mut requests, Some(5));
        name(&mut requests, marker, on);
        if !is_proof {
            fence(&mut requests, 7);
            requests.on_pong(7, SECOND, on);
            assert!(requests.headers_need_fence(), "that is the same stream");
            requests.on_fence(8);
            let other = if on == General { Data1 } else { General };
            requests.on_pong(8, SECOND, other);
        }
        assert!(!requests.headers_need_fence());
        assert!(!requests.wants_fence());
        assert!(answers_over(Data1, &mut requests, headers(&[])));
        got(&next, Vec::new());
    }
}
