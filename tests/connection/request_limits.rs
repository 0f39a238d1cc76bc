//! Requests raise the limit of large payloads while they are open.

use std::thread;
use std::time::Duration;

use bsv_p2p::event::ControlEvent;
use bsv_p2p::session::DisconnectReason;
use bsv_p2p::wire::{
    Block, BlockHash, BlockTransactions, Command, Encode, GetBlockTxn, GetData, Inventory, Message,
    Tx, Txid,
};
use bsv_p2p::{Connection, ConnectionConfig, Error, Timeout};
use test_support::payment::payment;
use test_support::raw_peer::{DEADLINE, RawPeer, large_block};

use crate::answers::{block_question, getdata, header_on, headers, mined, not_found};
use crate::harness::{self, Actor, config, message};

/// The limit of unrequested blocks and transactions, in bytes.
const UNREQUESTED: u64 = 1000;
/// The length of the content of a large payload, in bytes.
const LARGE: usize = 2000;

fn limits() -> ConnectionConfig {
    let mut config = config();
    config.session.limits.unrequested = UNREQUESTED;
    config
}

/// A connection under test.
enum Driver {
    Actor(Actor),
    Connection(Box<Connection>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Transactions,
    Block,
    BlockReader,
    Headers,
}

impl Request {
    const ALL: [Self; 4] = [
        Self::Transactions,
        Self::Block,
        Self::BlockReader,
        Self::Headers,
    ];
}

/// The object of [`Request::Transactions`].
const TXID: Txid = Txid([7; 32]);

/// The object of requests for blocks.
fn wanted() -> Block {
    mined(1)
}

/// Returns large payloads that answer no request.
fn large_tx() -> Message {
    let mut transaction = payment(1);
    transaction.outputs[0].script = vec![0; LARGE];
    Tx::from(&transaction).into()
}

fn large() -> [Message; 2] {
    [large_tx(), large_block(LARGE).into()]
}

/// Returns connections of both drivers.
fn drivers(config: &ConnectionConfig) -> [(Driver, RawPeer); 2] {
    let (actor, actor_peer) = Actor::connected(config);
    let (connection, peer) = harness::connected(config);
    [
        (Driver::Actor(actor), actor_peer),
        (Driver::Connection(Box::new(connection)), peer),
    ]
}

impl Driver {
    fn request(&mut self, request: Request, timeout: Duration) -> Result<(), Error> {
        macro_rules! request {
            ($peer:expr) => {
                match request {
                    Request::Transactions => $peer.transactions(&[TXID], timeout).map(drop),
                    Request::Block => $peer.block(wanted().hash(), timeout).map(drop),
                    Request::BlockReader => $peer.block_reader(wanted().hash(), timeout).map(drop),
                    Request::Headers => $peer
                        .headers(&[BlockHash([7; 32])], BlockHash::ZERO, timeout)
                        .map(drop),
                }
            };
        }
        match self {
            Self::Actor(actor) => request!(actor.handle),
            Self::Connection(connection) => request!(connection),
        }
    }

    fn send(&mut self, message: impl Into<Message>) {
        match self {
            Self::Actor(actor) => actor.handle.send(message, DEADLINE).unwrap(),
            Self::Connection(connection) => connection.send(message).unwrap(),
        }
    }

    #[track_caller]
    fn next_message(&mut self) -> Message {
        match self {
            Self::Actor(actor) => actor.next_message(),
            Self::Connection(connection) => {
                let message = connection.receive_timeout(DEADLINE).unwrap();
                message.expect("a message")
            }
        }
    }

    /// Returns whether a payload that the peer sends is delivered. Otherwise it is reported as
    /// discarded.
    #[track_caller]
    fn keeps(&mut self, peer: &RawPeer, payload: &Message) -> bool {
        peer.send(payload);
        peer.send(message("end"));
        self.receives(payload)
    }

    /// Like [`Self::keeps`], for a payload that was sent before `message("end")`.
    #[track_caller]
    fn receives(&mut self, payload: &Message) -> bool {
        let dropped = self.dropped();
        let first = self.next_message();
        if first == *payload {
            assert_eq!(self.next_message(), message("end"));
            return true;
        }
        assert_eq!(first, message("end"));
        match self {
            Self::Actor(actor) => match actor.next_event() {
                ControlEvent::PayloadDiscarded { command, .. } => {
                    assert_eq!(command, payload.command());
                }
                other => panic!("{other}"),
            },
            Self::Connection(_) => assert_eq!(self.dropped(), dropped + 1),
        }
        false
    }

    fn dropped(&self) -> u64 {
        match self {
            Self::Actor(_) => 0,
            Self::Connection(connection) => connection.dropped_messages(),
        }
    }

    /// Asserts that large payloads are discarded.
    #[track_caller]
    fn assert_nothing_expected(&mut self, peer: &RawPeer) {
        for payload in large() {
            assert!(!self.keeps(peer, &payload), "{}", payload.command());
        }
    }
}

#[track_caller]
fn assert_times_out(result: &Result<(), Error>) {
    let expected = |error: &Error| {
        matches!(
            error,
            Error::Timeout {
                which: Timeout::Response,
                ..
            }
        )
    };
    assert!(result.as_ref().is_err_and(expected), "{result:?}");
}

#[test]
fn large_payload_is_kept_while_request_is_open() {
    for [request, other] in [
        [Request::Transactions, Request::Block],
        [Request::Block, Request::Transactions],
    ] {
        let kept = match request {
            Request::Transactions => large_tx(),
            _ => large_block(LARGE).into(),
        };
        for (mut driver, mut peer) in drivers(&limits()) {
            // The other kind of object is not expected.
            assert_times_out(&driver.request(other, Duration::ZERO));
            getdata(&mut peer);
            thread::scope(|scope| {
                let script = scope.spawn(|| {
                    let entries = getdata(&mut peer);
                    peer.send(&kept);
                    peer.send(message("end"));
                    peer.send(not_found(&entries));
                });
                let missing = driver.request(request, DEADLINE);
                assert_eq!(missing.is_ok(), request == Request::Transactions);
                script.join().unwrap();
            });
            assert!(driver.receives(&kept), "{request:?}");
            driver.assert_nothing_expected(&peer);
        }
    }
}

#[test]
fn request_raises_no_limit_after_its_timeout() {
    for request in Request::ALL {
        for (mut driver, peer) in drivers(&limits()) {
            for _ in 0..2 {
                assert_times_out(&driver.request(request, Duration::ZERO));
                driver.assert_nothing_expected(&peer);
            }
        }
    }
}

/// The peer does not report the end marker of the request as missing.
#[test]
fn unreported_end_marker_raises_no_limit() {
    for (mut driver, mut peer) in drivers(&limits()) {
        thread::scope(|scope| {
            let script = scope.spawn(|| {
                block_question(&mut peer, wanted().hash());
                peer.send(wanted());
                peer.expect("getheaders");
                peer.send(headers(&[header_on(BlockHash([7; 32]))]));
            });
            driver.request(Request::Block, DEADLINE).unwrap();
            driver.request(Request::Headers, DEADLINE).unwrap();
            script.join().unwrap();
        });
        driver.assert_nothing_expected(&peer);
    }
}

#[test]
fn request_that_was_not_sent_raises_no_limit() {
    let mut config = limits();
    config.max_send_queue_messages = 1;
    let (actor, peer) = Actor::connected_with_small_buffers(&config);
    let filler = message(vec![0; 1_000_000]);
    actor.handle.send(&filler, DEADLINE).unwrap();
    let mut driver = Driver::Actor(actor);
    for request in Request::ALL {
        let error = driver.request(request, Duration::ZERO).unwrap_err();
        let is_full = matches!(
            error,
            Error::Timeout {
                which: Timeout::Send,
                ..
            }
        );
        assert!(is_full, "{error}");
    }
    if let Driver::Actor(actor) = &driver {
        let getdata = GetData::from(vec![Inventory::Tx(TXID)]);
        actor.handle.try_send(getdata).unwrap_err();
    }
    driver.assert_nothing_expected(&peer);
}

#[test]
fn late_response_is_kept_up_to_unrequested_limit() {
    for (mut driver, peer) in drivers(&limits()) {
        assert_times_out(&driver.request(Request::Block, Duration::ZERO));
        assert!(driver.keeps(&peer, &wanted().into()));
        assert_times_out(&driver.request(Request::Block, Duration::ZERO));
        assert!(!driver.keeps(&peer, &large_block(LARGE).into()));
    }
}

/// The peer does not know the limit, so its first response is no misbehavior.
#[test]
fn late_response_above_its_limit_keeps_connection_once() {
    let mut config = limits();
    config.session.limits.transaction = 200;
    config.session.limits.block = 200;
    let padded = |payload: Vec<u8>, name| {
        let mut payload = payload;
        payload.resize(250, 0);
        Message::Unknown {
            command: Command::new(name),
            payload: payload.into(),
        }
    };
    for (request, name) in [
        (Request::Block, "block"),
        (Request::BlockReader, "block"),
        (Request::Transactions, "tx"),
    ] {
        let late = padded(wanted().encode_to_vec(), name);
        for (mut driver, peer) in drivers(&config) {
            assert_times_out(&driver.request(request, Duration::ZERO));
            assert!(!driver.keeps(&peer, &late));
            peer.send(&late);
            let reason = match driver {
                Driver::Actor(actor) => actor.expect_end().1,
                Driver::Connection(mut connection) => harness::reason_of(connection.receive()),
            };
            let DisconnectReason::FrameTooLarge { command, .. } = &reason else {
                panic!("{reason}");
            };
            assert_eq!(command, name);
        }
    }
}

#[test]
fn getblocktxn_raises_limit_for_one_response() {
    let block = large_block(LARGE);
    let request = GetBlockTxn::new(block.hash(), &[0]).unwrap();
    let response = BlockTransactions::for_request(&block, &request).unwrap();
    let response = Message::from(response);
    for (mut driver, mut peer) in drivers(&limits()) {
        assert!(!driver.keeps(&peer, &response));
        driver.send(request.clone());
        peer.expect("getblocktxn");
        assert!(driver.keeps(&peer, &response));
        assert!(!driver.keeps(&peer, &response));
    }
}
