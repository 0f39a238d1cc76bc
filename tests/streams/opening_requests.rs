//! Requests that are open while a second stream is opened.

use std::thread;
use std::time::Duration;

use bsv_p2p::connection::{EventReceiver, PeerConnectionHandle};
use bsv_p2p::event::{BitcoinMessageEvent, ControlEvent};
use bsv_p2p::wire::{
    Block, BlockHash, BlockHeader, GetData, Headers, Inventory, Message, NotFound, Pong, Reject,
    RejectCode, StreamAck,
};
use bsv_p2p::{ConnectionConfig, Error, Network, Timeout};
use test_support::raw_peer::{DEADLINE, RawPeer};

use crate::harness::{Owner, config, message, request, wait_for};
use crate::hostile_responder::{Dialed, ack, config_with_handshake_timeout};

fn block() -> Block {
    Block::genesis(&Network::Regtest)
}

fn headers() -> Headers {
    Headers {
        headers: vec![BlockHeader {
            previous: block().hash(),
            ..BlockHeader::genesis(&Network::Regtest)
        }],
    }
}

/// The results of a block request and a header request.
type Results = (Result<Block, Error>, Result<Vec<BlockHeader>, Error>);

fn found() -> Results {
    (Ok(block()), Ok(headers().headers))
}

fn not_found(handle: &PeerConnectionHandle) -> Results {
    let error = Error::NotFound {
        peer: handle.peer_addr().to_string(),
        hash: block().hash(),
    };
    (Err(error), Ok(Vec::new()))
}

/// Returns the end marker of the next request on the first stream.
#[track_caller]
fn expect_marker(general: &mut RawPeer) -> Inventory {
    match general.expect("getdata") {
        Message::GetData(GetData { inventory }) => *inventory.last().expect("an end marker"),
        other => panic!("{other:?}"),
    }
}

/// Requests a block and headers. Calls `script` with the end markers once the peer received both
/// requests on the first stream.
fn open_requests(
    handle: &PeerConnectionHandle,
    general: &mut RawPeer,
    timeout: Duration,
    script: impl FnOnce(&mut RawPeer, NotFound),
) -> Results {
    thread::scope(|scope| {
        let hash = block().hash();
        let block = scope.spawn(move || handle.block(hash, timeout));
        let marker_of_block = expect_marker(general);
        let headers = scope.spawn(move || handle.headers(&[hash], BlockHash::ZERO, timeout));
        let markers = vec![marker_of_block, expect_marker(general)];
        script(general, NotFound::from(markers));
        (block.join().unwrap(), headers.join().unwrap())
    })
}

/// A dialed peer that withholds its `streamack`.
struct Opening {
    dialed: Dialed,
    data1: RawPeer,
    ack: StreamAck,
}

impl Opening {
    fn new(config: ConnectionConfig) -> Self {
        let (dialed, data1, request) = Dialed::asked(config);
        let ack = ack(&request);
        Self { dialed, data1, ack }
    }

    /// Requests a block and headers while `script` plays the peer: its two streams, its
    /// `streamack`, and the end markers of the requests.
    fn request(
        &mut self,
        timeout: Duration,
        script: impl FnOnce(&mut RawPeer, &mut RawPeer, &StreamAck, NotFound),
    ) -> Results {
        let (handle, general) = (&self.dialed.handle, &mut self.dialed.general);
        open_requests(handle, general, timeout, |general, markers| {
            script(general, &mut self.data1, &self.ack, markers);
        })
    }

    #[track_caller]
    fn expect_opened(&self) {
        wait_for(&self.dialed.control, "the stream", |event| match event {
            ControlEvent::StreamOpened { .. } => true,
            ControlEvent::StreamRefused { .. } => panic!("{event}"),
            _ => false,
        });
    }
}

/// Asserts that subscribers received neither responses nor end markers.
#[track_caller]
fn assert_nothing_delivered(peer: &RawPeer, messages: &EventReceiver<BitcoinMessageEvent>) {
    peer.send(message(1));
    let event = messages.recv_timeout(DEADLINE).unwrap();
    assert_eq!(*event.message, message(1));
}

#[test]
fn responses_on_first_stream_need_no_streamack() {
    let mut opening = Opening::new(config());
    let results = opening.request(DEADLINE, |general, _, _, markers| {
        general.send(block());
        general.send(headers());
        general.send(markers);
    });
    assert_eq!(results, found());
    opening.data1.send(opening.ack);
    opening.expect_opened();
    assert_nothing_delivered(&opening.dialed.general, &opening.dialed.messages);
}

#[test]
fn responses_may_follow_streamack_after_end_markers() {
    let mut opening = Opening::new(config());
    let results = opening.request(DEADLINE, |general, data1, ack, markers| {
        general.send(markers);
        // The end markers are handled before the stream opens.
        general.ping(5);
        data1.send(*ack);
        data1.send(block());
        data1.send(headers());
    });
    assert_eq!(results, found());
    opening.expect_opened();
    assert_nothing_delivered(&opening.data1, &opening.dialed.messages);
}

/// The pong on the second stream follows the responses, so there are none.
#[test]
fn pong_after_streamack_means_no_responses() {
    let mut opening = Opening::new(config());
    let results = opening.request(DEADLINE, |general, data1, ack, markers| {
        general.send(markers);
        general.ping(5);
        data1.send(*ack);
        let fence = data1.expect_ping();
        data1.send(Pong::new(fence));
    });
    assert_eq!(results, not_found(&opening.dialed.handle));
    opening.expect_opened();
    assert_nothing_delivered(&opening.data1, &opening.dialed.messages);
}

#[test]
fn end_markers_count_when_second_stream_fails() {
    type Fail = fn(&mut RawPeer);
    let cases: [(ConnectionConfig, Fail); 3] = [
        (config(), |data1| {
            data1.send(Reject::new("createstrm", RejectCode::STREAM_SETUP, "no"));
        }),
        (config(), RawPeer::close),
        // The `streamack` is withheld until the timeout.
        (config_with_handshake_timeout(), |_| {}),
    ];
    for (config, fail) in cases {
        let mut opening = Opening::new(config);
        let results = opening.request(DEADLINE, |general, data1, _, markers| {
            general.send(markers);
            general.ping(5);
            fail(data1);
        });
        assert_eq!(results, not_found(&opening.dialed.handle));
        opening.dialed.assert_refused(|_| true);
    }
}

#[test]
fn withheld_streamack_does_not_extend_request_timeouts() {
    const SHORT: Duration = Duration::from_millis(500);
    let mut opening = Opening::new(config());
    let mut late = None;
    let (block, headers) = opening.request(SHORT, |general, _, _, markers| {
        general.send(markers.clone());
        late = Some(markers);
    });
    let timed_out = Error::Timeout {
        peer: opening.dialed.handle.peer_addr().to_string(),
        which: Timeout::Response,
        after: SHORT,
    };
    assert_eq!((block, headers), (Err(timed_out.clone()), Err(timed_out)));
    let general = &opening.dialed.general;
    general.send(late.expect("the end markers"));
    assert_nothing_delivered(general, &opening.dialed.messages);
}

/// The peer opens the second stream.
#[test]
fn accepted_stream_may_carry_responses_to_earlier_requests() {
    for responds in [true, false] {
        let owner = Owner::new(config());
        let mut peer = owner.peer();
        let id = peer.id;
        let results = open_requests(
            &peer.handle,
            &mut peer.general,
            DEADLINE,
            |general, markers| {
                let (mut data1, _newcomer) = owner.dialed();
                data1.send(request(id));
                data1.expect("streamack");
                general.send(markers);
                let fence = data1.expect_ping();
                if responds {
                    data1.send(block());
                    data1.send(headers());
                }
                data1.send(Pong::new(fence));
                peer.data1 = Some(data1);
            },
        );
        let expected = if responds {
            found()
        } else {
            not_found(&peer.handle)
        };
        assert_eq!(results, expected);
        assert_nothing_delivered(peer.data1(), &owner.messages);
    }
}
