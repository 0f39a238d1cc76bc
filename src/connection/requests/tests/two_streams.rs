//! Requests over two streams, between which messages have no order.

use super::block_readers::{assert_claimed_by, assert_reader_failure, request_reader};
use super::headers::request_headers;
use super::*;
use crate::wire::StreamType::{Data1, General};

fn two_streams() -> Requests {
    let mut requests = requests();
    requests.on_stream_open();
    requests
}

/// Reports an end marker on a stream. The table must consume it.
#[track_caller]
fn report_missing(requests: &mut Requests, marker: Inventory, on: StreamType) {
    assert!(answers_on(on, requests, not_found(&[marker])));
}

/// Sends a fence with this nonce. The table must require one.
#[track_caller]
fn send_fence(requests: &mut Requests, nonce: u64) {
    assert!(requests.wants_fence());
    requests.on_fence(nonce);
    assert!(!requests.wants_fence(), "one ping is enough");
}

#[test]
fn block_after_overtaking_end_marker_is_the_answer() {
    let mut requests = two_streams();
    let (before, marker) = request_block(&mut requests, block(1).hash());
    report_missing(&mut requests, marker, General);
    assert_open(&before);
    assert!(answers_on(Data1, &mut requests, block(1)));
    assert_answer(&before, block(1));
    assert!(!requests.wants_fence(), "the request has ended");

    let (after, marker) = request_block(&mut requests, block(2).hash());
    report_missing(&mut requests, marker, General);
    send_fence(&mut requests, 7);
    assert!(answers_on(Data1, &mut requests, block(2)));
    assert_answer(&after, block(2));
    requests.on_pong(7, SECOND, Data1);
    assert_open(&after);
    assert_eq!(requests.open(), 0);
}

#[test]
fn fence_pong_before_block_means_not_found() {
    let mut requests = two_streams();
    let (ticket, marker) = request_block(&mut requests, block(1).hash());
    assert!(!requests.wants_fence(), "its end marker has not arrived");
    report_missing(&mut requests, marker, General);
    requests.on_pong(7, SECOND, Data1);
    assert_open(&ticket);
    send_fence(&mut requests, 7);
    report_missing(&mut requests, marker, General);
    assert!(!requests.wants_fence(), "it was reported before");
    requests.on_pong(6, SECOND, Data1);
    assert_open(&ticket);
    requests.on_pong(7, SECOND, Data1);
    assert_failure(&ticket, Failure::NotFound(block(1).hash()));
    assert!(!answers_on(Data1, &mut requests, block(1)), "too late");
}

#[test]
fn only_pong_of_other_stream_counts() {
    let mut requests = two_streams();
    let (ticket, marker) = request_block(&mut requests, block(1).hash());
    report_missing(&mut requests, marker, General);
    send_fence(&mut requests, 7);
    requests.on_pong(7, SECOND, General);
    requests.on_pong(7, SECOND, Data1);
    assert_open(&ticket);
    assert!(!requests.wants_fence(), "its timeout decides");

    // The fence of another request serves this one as well.
    let (other, marker) = request_block(&mut requests, block(2).hash());
    report_missing(&mut requests, marker, General);
    send_fence(&mut requests, 8);
    requests.on_pong(8, SECOND, Data1);
    assert_failure(&ticket, Failure::NotFound(block(1).hash()));
    assert_failure(&other, Failure::NotFound(block(2).hash()));
}

#[test]
fn one_fence_serves_all_earlier_end_markers() {
    let mut requests = two_streams();
    let [
        (one, marker_of_one),
        (two, marker_of_two),
        (three, marker_of_three),
    ] = [1, 2, 3].map(|number| request_block(&mut requests, block(number).hash()));
    let both = not_found(&[marker_of_one, marker_of_two]);
    assert_eq!(unanswered(&mut requests, both), None);
    send_fence(&mut requests, 7);
    report_missing(&mut requests, marker_of_three, General);
    send_fence(&mut requests, 8);
    requests.on_pong(7, SECOND, Data1);
    assert_failure(&one, Failure::NotFound(block(1).hash()));
    assert_failure(&two, Failure::NotFound(block(2).hash()));
    assert_open(&three);
    requests.on_pong(8, SECOND, Data1);
    assert_failure(&three, Failure::NotFound(block(3).hash()));
}

#[test]
fn each_request_takes_its_overtaken_block_copy() {
    let mut requests = two_streams();
    let hash = block(1).hash();
    let [(one, marker_of_one), (two, marker_of_two)] =
        [(); 2].map(|()| request_block(&mut requests, hash));
    let both = not_found(&[marker_of_one, marker_of_two]);
    assert_eq!(unanswered(&mut requests, both), None);
    send_fence(&mut requests, 7);
    assert!(answers_on(Data1, &mut requests, block(1)));
    assert_answer(&one, block(1));
    assert_open(&two);
    assert!(answers_on(Data1, &mut requests, block(1)), "its own copy");
    assert_answer(&two, block(1));

    // The peer sends the block once.
    let [(one, _), (two, marker)] = [(); 2].map(|()| request_block(&mut requests, hash));
    assert!(answers_on(Data1, &mut requests, block(1)));
    assert_answer(&one, block(1));
    report_missing(&mut requests, marker, General);
    assert_open(&two);
    send_fence(&mut requests, 8);
    requests.on_pong(8, SECOND, Data1);
    assert_answer(&two, block(1));
}

#[test]
fn streamed_block_may_start_after_its_end_marker() {
    let mut requests = two_streams();
    let (there, marker) = request_reader(&mut requests, 1);
    report_missing(&mut requests, marker, General);
    send_fence(&mut requests, 7);
    assert_claimed_by(&mut requests, 1, &there);
    let (missing, marker) = request_reader(&mut requests, 2);
    report_missing(&mut requests, marker, General);
    requests.on_pong(7, SECOND, Data1);
    assert!(missing.answer.is_empty(), "that was another fence");
    send_fence(&mut requests, 8);
    requests.on_pong(8, SECOND, Data1);
    assert_reader_failure(&missing, Failure::NotFound(block(2).hash()));
    assert_eq!(requests.block_readers(), 0);
}

#[test]
fn end_marker_on_block_stream_needs_no_fence() {
    let mut requests = two_streams();
    let (ticket, marker) = request_block(&mut requests, block(1).hash());
    report_missing(&mut requests, marker, Data1);
    assert_failure(&ticket, Failure::NotFound(block(1).hash()));
    assert!(!requests.wants_fence());

    // A block that was requested over one stream may arrive over that one.
    let mut requests = super::requests();
    let (ticket, marker) = request_block(&mut requests, block(1).hash());
    requests.on_stream_open();
    report_missing(&mut requests, marker, Data1);
    send_fence(&mut requests, 7);
    requests.on_pong(7, SECOND, Data1);
    assert_open(&ticket);
    assert!(answers_on(General, &mut requests, block(1)));
    assert_answer(&ticket, block(1));
}

#[test]
fn notfound_of_block_needs_no_fence() {
    let mut requests = two_streams();
    let hash = block(1).hash();
    let (ticket, marker) = request_block(&mut requests, hash);
    let missing = not_found(&[Inventory::Block(hash), marker]);
    assert_eq!(unanswered(&mut requests, missing), None);
    assert_failure(&ticket, Failure::NotFound(hash));
    assert!(!requests.wants_fence());
}

#[test]
fn cancelled_request_needs_no_fence() {
    let mut requests = two_streams();
    let [
        (one, marker_of_one),
        (two, marker_of_two),
        (three, marker_of_three),
    ] = [1, 2, 3].map(|number| request_block(&mut requests, block(number).hash()));
    report_missing(&mut requests, marker_of_one, General);
    requests.cancel(one.id);
    assert!(!requests.wants_fence());
    report_missing(&mut requests, marker_of_two, General);
    send_fence(&mut requests, 7);
    requests.cancel(two.id);
    requests.on_pong(7, SECOND, Data1);
    requests.cancel(three.id);
    report_missing(&mut requests, marker_of_three, General);
    assert!(!requests.wants_fence());
    for (number, ticket) in [(1, one), (2, two), (3, three)] {
        assert_open(&ticket);
        assert!(!answers_on(Data1, &mut requests, block(number)));
    }
}

#[test]
fn cancelled_request_takes_copy_for_another() {
    let mut requests = two_streams();
    let hash = block(1).hash();
    let [(one, _), (two, marker)] = [(); 2].map(|()| request_block(&mut requests, hash));
    report_missing(&mut requests, marker, General);
    assert!(answers_on(Data1, &mut requests, block(1)));
    assert_answer(&one, block(1));
    requests.cancel(two.id);
    assert_answer(&two, block(1));
}

#[test]
fn close_ends_waits_for_fence_pong() {
    let mut requests = two_streams();
    let (fenced, marker) = request_block(&mut requests, block(1).hash());
    report_missing(&mut requests, marker, General);
    send_fence(&mut requests, 7);
    let (marked, marker) = request_reader(&mut requests, 2);
    report_missing(&mut requests, marker, General);
    assert!(requests.wants_fence());
    requests.close(&DisconnectReason::ConnectionClosed);
    assert_failure(&fenced, Failure::Ended(DisconnectReason::ConnectionClosed));
    assert_reader_failure(&marked, Failure::Ended(DisconnectReason::ConnectionClosed));
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
        let (whole, marker) = request_block(&mut requests, block(1).hash());
        report_missing(&mut requests, marker, General);
        assert_failure(&whole, Failure::NotFound(block(1).hash()));
        let (reader, marker) = request_reader(&mut requests, 1);
        report_missing(&mut requests, marker, General);
        assert_reader_failure(&reader, Failure::NotFound(block(1).hash()));
        assert!(!requests.wants_fence());
    }
}

#[test]
fn block_end_marker_waits_while_stream_opens() {
    // The peer may use the second stream before it is open for this side.
    let mut requests = requests();
    let (ticket, marker) = request_block(&mut requests, block(1).hash());
    requests.on_stream_opening();
    report_missing(&mut requests, marker, General);
    assert_open(&ticket);
    assert!(
        !requests.wants_fence(),
        "its pong could come over one alone"
    );
    requests.on_stream_open();
    send_fence(&mut requests, 7);
    requests.on_pong(7, SECOND, Data1);
    assert_failure(&ticket, Failure::NotFound(block(1).hash()));

    let mut requests = super::requests();
    requests.on_stream_opening();
    let (marked, marker) = request_block(&mut requests, block(1).hash());
    let (open, _) = request_block(&mut requests, block(2).hash());
    report_missing(&mut requests, marker, General);
    requests.on_stream_failed();
    assert_failure(&marked, Failure::NotFound(block(1).hash()));
    assert_open(&open);
}

#[test]
fn oversized_block_is_identified() {
    let mut requests = two_streams();
    let (ticket, _) = request_block(&mut requests, block(1).hash());
    assert!(answers_discarded_block(&mut requests, 1));
    assert_failure(&ticket, too_large());
}

/// A request that was sent over one stream is cancelled once there are two.
#[test]
fn late_headers_before_pong_are_no_answer() {
    let late = [header_on(genesis()), header_on(genesis())];
    let found = [header_on(genesis())];
    let mut requests = requests();
    let (first, marker) = request_headers(&mut requests, None);
    requests.on_stream_open();
    requests.cancel(first.id);
    assert!(requests.headers_need_fence());
    let (second, _) = request_headers(&mut requests, Some(5));
    for from in [General, Data1] {
        assert!(!answers_on(from, &mut requests, headers(&late)));
        assert!(!answers_on(from, &mut requests, headers(&[])));
        assert!(!answers_discarded_on(from, &mut requests, "headers"));
    }
    requests.on_pong(5, SECOND, Data1);
    assert!(!answers_on(Data1, &mut requests, headers(&[])), "late?");
    assert!(answers_on(Data1, &mut requests, headers(&found)));
    assert_answer(&second, found.to_vec());
    assert!(requests.headers_need_fence(), "they may have been late");
    report_missing(&mut requests, marker, General);
    assert!(requests.headers_need_fence(), "that is an earlier marker");
}

#[test]
fn headers_answer_on_either_stream() {
    let found = [header_on(genesis())];
    let mut requests = requests();
    let (before, _) = request_headers(&mut requests, None);
    requests.on_stream_open();
    assert!(answers_on(General, &mut requests, headers(&found)));
    assert_answer(&before, found.to_vec());
    for from in [General, Data1] {
        let (ticket, _) = request_headers(&mut requests, None);
        assert!(answers_on(from, &mut requests, headers(&found)));
        assert_answer(&ticket, found.to_vec());
    }
}

#[test]
fn headers_after_overtaking_end_marker_are_the_answer() {
    let found = [header_on(genesis())];
    let mut requests = two_streams();
    let (ticket, marker) = request_headers(&mut requests, None);
    assert!(!requests.wants_fence(), "its end marker has not arrived");
    report_missing(&mut requests, marker, General);
    assert_open(&ticket);
    send_fence(&mut requests, 7);
    assert!(answers_on(Data1, &mut requests, headers(&found)));
    assert_answer(&ticket, found.to_vec());
    requests.on_pong(7, SECOND, Data1);
    assert_eq!(requests.open(), 0);
}

#[test]
fn pong_after_overtaking_end_marker_means_no_headers() {
    let mut requests = two_streams();
    let (ticket, marker) = request_headers(&mut requests, None);
    report_missing(&mut requests, marker, General);
    send_fence(&mut requests, 7);
    requests.on_pong(7, SECOND, General);
    requests.on_pong(7, SECOND, Data1);
    assert_open(&ticket);
    // A later ping, for a block, serves this request as well.
    let (wanted, marker) = request_block(&mut requests, block(1).hash());
    report_missing(&mut requests, marker, General);
    send_fence(&mut requests, 8);
    requests.on_pong(8, SECOND, Data1);
    assert_answer(&ticket, Vec::new());
    assert_failure(&wanted, Failure::NotFound(block(1).hash()));
}

#[test]
fn end_marker_on_header_stream_needs_no_ping() {
    let mut requests = two_streams();
    let (ticket, marker) = request_headers(&mut requests, None);
    report_missing(&mut requests, marker, Data1);
    assert_answer(&ticket, Vec::new());
    assert!(!requests.wants_fence());

    // A request that was sent over one stream may be answered over the other.
    let mut requests = super::requests();
    let (ticket, marker) = request_headers(&mut requests, None);
    requests.on_stream_open();
    report_missing(&mut requests, marker, Data1);
    send_fence(&mut requests, 7);
    requests.on_pong(7, SECOND, General);
    assert_answer(&ticket, Vec::new());
}

#[test]
fn end_marker_waits_while_second_stream_opens() {
    for opens in [true, false] {
        let mut requests = requests();
        requests.on_stream_opening();
        let (ticket, marker) = request_headers(&mut requests, None);
        report_missing(&mut requests, marker, General);
        assert_open(&ticket);
        assert!(!requests.wants_fence());
        if opens {
            requests.on_stream_open();
            send_fence(&mut requests, 7);
            requests.on_pong(7, SECOND, Data1);
        } else {
            requests.on_stream_failed();
        }
        assert_answer(&ticket, Vec::new());
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
        let (cancelled, marker) = request_headers(&mut requests, None);
        requests.on_stream_open();
        requests.cancel(cancelled.id);
        let (next, _) = request_headers(&mut requests, Some(5));
        report_missing(&mut requests, marker, on);
        if !is_proof {
            send_fence(&mut requests, 7);
            requests.on_pong(7, SECOND, on);
            assert!(requests.headers_need_fence(), "that is the same stream");
            requests.on_fence(8);
            let other = if on == General { Data1 } else { General };
            requests.on_pong(8, SECOND, other);
        }
        assert!(!requests.headers_need_fence());
        assert!(!requests.wants_fence());
        assert!(answers_on(Data1, &mut requests, headers(&[])));
        assert_answer(&next, Vec::new());
    }
}
