//! A peer that requests the chain of a node through the proxy.

use std::collections::HashSet;
use std::net::TcpStream;
use std::thread;

use bsv_p2p::connection::{
    ConnectionSlots, EventReceiver, PeerConnectionActor, PeerConnectionHandle,
};
use bsv_p2p::event::Event;
use bsv_p2p::wire::{Block, BlockHash, GetData, GetHeaders, Headers, Inventory, Message};
use bsv_p2p::{ConnectionConfig, Error, Network};

use crate::acceptor::Acceptor;
use crate::fault_proxy::{FaultProxy, Strike, Way};
use crate::side::{self, News, Story};
use crate::stream_table::{self, Phase};
use crate::table::{self, Role};

/// The blocks of the node after genesis.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) headers: Headers,
    pub(crate) blocks: Vec<Block>,
}

/// Dials the proxy, requests headers and every block, and checks the end. Returns a description of
/// the run.
///
/// If `config` enables two streams, the requests start once it is known whether there are two.
pub(crate) fn run(proxy: &FaultProxy, config: &ConnectionConfig, chain: &Chain) -> String {
    let slots = ConnectionSlots::new(1);
    let (setup, events) = side::setup(config, &slots);
    let handle = PeerConnectionActor::spawn_outbound(proxy.address(), setup).unwrap();
    let two = config.session.multistreams;
    finish(proxy, handle, &events, (Way::ToDialer, two), chain, &slots)
}

/// Like [`run`], for a node that dialed.
pub(crate) fn run_inbound(
    proxy: &FaultProxy,
    tcp: TcpStream,
    config: &ConnectionConfig,
    chain: &Chain,
) -> String {
    let slots = ConnectionSlots::new(1);
    let (setup, events) = side::setup(config, &slots);
    match PeerConnectionActor::spawn_inbound(tcp, setup) {
        Ok(handle) => finish(
            proxy,
            handle,
            &events,
            (Way::ToTarget, false),
            chain,
            &slots,
        ),
        // The connection was reset before it was accepted.
        Err(Error::Io { .. }) => "never began".into(),
        Err(other) => panic!("{other}"),
    }
}

/// Like [`run_inbound`], with two streams, of which only the second may be struck, after its
/// `createstrm`.
pub(crate) fn run_inbound_with_two(
    proxy: &FaultProxy,
    acceptor: &Acceptor,
    chain: &Chain,
) -> String {
    let events = acceptor.bus.subscribe();
    let first = acceptor.spawn(side::accept(&acceptor.listener));
    let handle = first.expect("nobody has cut it");
    thread::scope(|scope| {
        let _stops = acceptor.stops();
        scope.spawn(|| acceptor.run());
        let (toward_us, slots) = ((Way::ToTarget, true), &acceptor.slots);
        finish(proxy, handle, &events, toward_us, chain, slots)
    })
}

fn finish(
    proxy: &FaultProxy,
    handle: PeerConnectionHandle,
    events: &EventReceiver<Event>,
    (toward_us, two): (Way, bool),
    chain: &Chain,
    slots: &ConnectionSlots,
) -> String {
    let (story, commanded) = live(&handle, events, chain, two);
    side::check_end(&story, handle, events, None);
    assert_eq!(slots.count(), 0, "a place is still taken");
    let strikes = proxy.strikes();
    assert!(strikes.len() <= 1, "{strikes:?}");
    let strike = strikes.first();
    let role = match strike {
        Some(strike) if strike.way != toward_us => Role::Sender,
        _ => Role::Receiver,
    };
    let phase = Phase::of(strike);
    // A missing second stream makes no difference.
    let may_end_it = strike.filter(|_| phase != Phase::Question);
    table::check_end(may_end_it, role, &story, commanded);
    if two && toward_us == Way::ToTarget {
        assert_ne!(phase, Phase::Question);
        stream_table::check_target(phase, &story);
    } else if two {
        stream_table::check_dialer(phase, strike, &story);
        // A ban by a node closes all its connections, including the first one.
        let banned = strike.is_some_and(|strike| strike.fault.kind.corrupts());
        let goes_on = phase == Phase::Question && !banned;
        assert!(commanded || !goes_on, "{}", story.summary());
    } else {
        assert_eq!(story.second, None);
    }
    assert!(
        strike.is_some() || commanded,
        "an end without a fault: {}",
        story.summary()
    );
    check_answers(&story, chain, strike);
    let fault = strike.map_or("no fault".to_owned(), |Strike { fault, place, .. }| {
        format!("{} of {phase:?} in {place:?}, {role:?}", fault.kind.name())
    });
    format!(
        "{fault}: {}",
        side::name(story.end.as_ref().expect("an end"))
    )
}

/// Sends the requests, and disconnects when all responses have arrived. Returns the story, and
/// whether it disconnected.
///
/// Each request is sent twice, because a fault may destroy one request or response.
fn live(
    handle: &PeerConnectionHandle,
    events: &EventReceiver<Event>,
    chain: &Chain,
    two: bool,
) -> (Story, bool) {
    let locator = GetHeaders {
        version: 70016,
        locator: vec![Block::genesis(&Network::Regtest).hash()],
        stop: BlockHash::ZERO,
    };
    let hashes = chain.blocks.iter().map(Block::hash);
    let blocks: Vec<_> = hashes.clone().map(Inventory::Block).collect();
    let questions = [locator.into(), GetData::from(blocks).into()];
    let questions = [&questions[..], &questions[..]].concat();
    let mut commanded = false;
    let (mut headers, mut missing) = (false, hashes.collect::<HashSet<_>>());
    let story = thread::scope(|scope| {
        side::listen(events, |news| {
            match news {
                News::Ready if two => {}
                News::Ready | News::Second => {
                    scope.spawn(|| side::send(handle, &questions));
                }
                News::Message(Message::Headers(got)) => headers |= *got == chain.headers,
                News::Message(Message::Block(block)) => {
                    missing.remove(&block.hash());
                }
                _ => {}
            }
            if headers && missing.is_empty() && !commanded {
                commanded = true;
                handle.disconnect();
            }
        })
    });
    (story, commanded)
}

/// Checks that responses match the node, at most twice and in order. Only objects damaged by a
/// fault may be missing.
fn check_answers(story: &Story, chain: &Chain, strike: Option<&Strike>) {
    let corrupted = strike.is_some_and(|strike| strike.fault.kind.corrupts());
    let expected: Vec<_> = chain.blocks.iter().chain(&chain.blocks).collect();
    let mut next = 0;
    for message in &story.messages {
        match message {
            Message::Block(block) => {
                let ahead = expected[next..].iter().position(|known| *known == block);
                match ahead {
                    Some(ahead) if ahead == 0 || corrupted => next += ahead + 1,
                    Some(ahead) => panic!("{ahead} blocks are missing"),
                    // A frame may arrive twice.
                    None => assert!(
                        corrupted && expected.contains(&block),
                        "no block of the chain"
                    ),
                }
            }
            Message::Headers(headers) => {
                let right = headers.headers.is_empty() || *headers == chain.headers;
                assert!(right, "other headers: {headers:?}");
            }
            _ => {}
        }
    }
}
