//! The real node counts nothing that the library sends as misbehavior, and streams can be declined.

use bsv_p2p::wire::{
    Addr, AssociationId, Block, BlockHash, BlockHeader, Command, Encode, FeeFilter, GetData,
    GetHeaders, Headers, Inv, Inventory, Message, NetworkAddress, NotFound, OutPoint, Ping, Pong,
    Reject, RejectCode, SendCmpct, Services, TimestampedAddress, Transaction, TransactionInput, Tx,
    Txid, inventory_limit,
};
use bsv_p2p::{Connection, Error, Network};
use serde_json::Value;
use test_support::mining::{mine, mined_headers};
use test_support::payment::payment;
use test_support::real_node::RealNode;

use crate::peer::{
    Actor, SOON, UNKNOWN, ask_for, assert_good_standing, be_dialed, config, dial, end_of, genesis,
    is_cut, mine_and_hear, only_peer, serve_until, tip,
};

fn by_name(name: &str, payload: Vec<u8>) -> Message {
    let mut command = [0; Command::LEN];
    command[..name.len()].copy_from_slice(name.as_bytes());
    Message::Unknown {
        command: Command::parse(command).expect("a command"),
        payload: payload.into(),
    }
}

/// Returns all messages that an application may send unrequested and that do not affect others.
pub(crate) fn harmless() -> Vec<Message> {
    let nothing = Txid([0x66; 32]);
    let here = NetworkAddress::new(Services::NETWORK, "127.0.0.1:18444".parse().unwrap());
    let address = TimestampedAddress {
        time: 1_700_000_000,
        address: here,
    };
    let locator = GetHeaders {
        version: 70016,
        locator: vec![UNKNOWN],
        stop: BlockHash::ZERO,
    };
    let compact = |announce, version| SendCmpct { announce, version };
    vec![
        Message::GetAddr,
        Message::GetAddr,
        Addr {
            addresses: vec![address; 1_000],
        }
        .into(),
        Ping::new(7).into(),
        Pong::new(7).into(),
        Inv::from(vec![]).into(),
        Inv::from(vec![Inventory::Tx(nothing), Inventory::Block(UNKNOWN)]).into(),
        GetData::from(vec![
            Inventory::Tx(nothing),
            Inventory::Block(UNKNOWN),
            Inventory::FilteredBlock(UNKNOWN),
            Inventory::CompactBlock(genesis()),
            Inventory::DatarefTx(nothing),
        ])
        .into(),
        NotFound::from(vec![Inventory::Tx(nothing)]).into(),
        locator.clone().into(),
        Headers::default().into(),
        FeeFilter { rate: 1_000 }.into(),
        FeeFilter { rate: 0 }.into(),
        compact(false, 1).into(),
        compact(true, 1).into(),
        compact(false, 1).into(),
        compact(true, 2).into(),
        Reject::new("tx", RejectCode::DUPLICATE, "we have it").into(),
        by_name("filterclear", Vec::new()),
        by_name("getblocks", locator.encode_to_vec()),
        by_name("foobar", vec![0x55; 1_000]),
    ]
}

/// Sends every kind of request.
fn ask_everything(node: &RealNode, connection: &mut Connection) {
    for _ in 0..3 {
        connection.ping(SOON).expect("a pong");
        let headers = connection.headers(&[genesis()], BlockHash::ZERO, SOON);
        for header in headers.expect("headers") {
            connection.block(header.hash(), SOON).expect("a block");
        }
        let unknown = connection.headers(&[UNKNOWN], BlockHash::ZERO, SOON);
        assert!(!unknown.expect("headers").is_empty());
        let found = connection.block(UNKNOWN, SOON);
        assert!(matches!(found, Err(Error::NotFound { .. })), "{found:?}");
        let end = connection.headers(&[tip(node)], BlockHash::ZERO, SOON);
        assert_eq!(end.expect("headers"), []);
    }
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn long_mixed_traffic_causes_no_misbehavior() {
    let node = RealNode::start(&[]);
    node.generate(5);
    let mut connections = [dial(&node, &config()), be_dialed(&node, &config())];
    let mut actors = [
        Actor::dial(&node, config()),
        Actor::be_dialed(&node, config()),
    ];
    for actor in &mut actors {
        actor.connected(&node);
    }
    for connection in &mut connections {
        ask_everything(&node, connection);
        for message in harmless() {
            connection
                .send(&message)
                .unwrap_or_else(|error| panic!("{error}"));
        }
        ask_everything(&node, connection);
    }
    for actor in &actors {
        for message in harmless() {
            actor
                .handle
                .send(&message, SOON)
                .unwrap_or_else(|error| panic!("{error}"));
        }
    }
    for _ in 0..3 {
        for connection in &mut connections {
            mine_and_hear(&node, connection);
        }
    }
    for connection in &mut connections {
        ask_everything(&node, connection);
    }
    // A final request shows that all messages of the actors have been read.
    for actor in &mut actors {
        let last = Inventory::Tx(Txid([0x99; 32]));
        actor
            .handle
            .send(ask_for(last), SOON)
            .expect("an open connection");
        actor.receive("the answer to the last question", |message| {
            matches!(message, Message::NotFound(list) if list.inventory == [last]).then_some(())
        });
    }
    assert_eq!(node.peer_info().len(), 4);
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn messages_punished_by_node_are_refused() {
    let node = RealNode::start(&[]);
    node.generate(1);
    let mut connection = dial(&node, &config());
    let mut actor = Actor::dial(&node, config());
    actor.connected(&node);
    let too_many = Inv::from(vec![Inventory::Tx(Txid::ZERO); 60_000]);
    for message in [
        Message::Verack,
        Message::SendHeaders,
        by_name("protoconf", vec![]),
        by_name("createstrm", vec![]),
        by_name("mempool", vec![]),
        by_name("filterload", vec![0; 10]),
        by_name("filteradd", vec![0; 2]),
        by_name("foobar", vec![0; 2_097_153]),
        Inv::from(vec![Inventory::CompactBlock(UNKNOWN)]).into(),
        too_many.into(),
        Headers {
            headers: vec![BlockHeader::genesis(&Network::Regtest); 2_001],
        }
        .into(),
    ] {
        let refused = |result| matches!(result, Err(Error::Send { .. }));
        assert!(refused(connection.send(&message)), "{}", message.command());
        assert!(
            refused(actor.handle.try_send(&message)),
            "{}",
            message.command()
        );
    }
    // One byte and one entry less is accepted, by this side and by the node.
    let limit = inventory_limit(2_097_152);
    for message in [
        by_name("foobar", vec![0; 2_097_152]),
        GetData::from(vec![Inventory::Block(UNKNOWN); limit]).into(),
    ] {
        connection
            .send(&message)
            .unwrap_or_else(|error| panic!("{error}"));
    }
    connection.ping(SOON).expect("a pong");
    assert_good_standing(&node);

    // The node punishes: an application that sends the message unchecked is disconnected, and the
    // log shows the reason.
    let insisted = connection.send_unchecked(by_name("filterload", vec![0; 10]));
    let end = insisted.and_then(|()| {
        loop {
            connection.receive()?;
        }
    });
    let reason = end_of::<()>(end);
    assert!(is_cut(&reason), "{reason:?}");
    assert!(node.log().contains("Misbehaving"), "{}", node.log_tail(20));
}

/// Returns each kind of invalid message, and what the node logs about it.
fn invalid() -> Vec<(Message, &'static str)> {
    let headers = mined_headers(4);
    let gap = Headers {
        headers: vec![headers[1], headers[3]],
    };
    let bits = BlockHeader::genesis(&Network::Mainnet).bits;
    let without_work = Headers {
        headers: vec![BlockHeader { bits, ..headers[1] }],
    };
    let coinbase = Transaction {
        inputs: vec![TransactionInput {
            previous: OutPoint::NULL,
            script: vec![1; 90],
            sequence: 0,
        }],
        ..payment(1)
    };
    let no_inputs = Transaction {
        inputs: Vec::new(),
        outputs: coinbase.outputs.clone(),
        ..payment(1)
    };
    let header = mine(BlockHeader {
        previous: genesis(),
        ..headers[1]
    });
    let other_root = Block::new(&header, std::slice::from_ref(&coinbase));
    vec![
        (gap.into(), "non-continuous headers sequence"),
        (without_work.into(), "high-hash"),
        (other_root.into(), "bad-txnmrklroot"),
        (Tx::from(&no_inputs).into(), "bad-txns-vin-empty"),
        (Tx::from(&coinbase).into(), "bad-tx-coinbase"),
        (Message::SendHdrsEn, "Invalid SendHdrsEn activity"),
    ]
}

/// The node scores what [`Connection::send`] refuses.
#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn invalid_content_is_refused_and_scored_by_node() {
    let node = RealNode::start(&[]);
    for (message, reason) in invalid() {
        let command = message.command();
        let mut connection = dial(&node, &config());
        let mut actor = Actor::dial(&node, config());
        actor.connected(&node);
        if message == Message::SendHdrsEn {
            connection.send(&message).expect("the first one");
            actor.handle.send(&message, SOON).expect("the first one");
        }
        let refused = |result| matches!(result, Err(Error::Send { .. }));
        assert!(refused(connection.send(&message)), "{command}: {reason}");
        assert!(
            refused(actor.handle.send(&message, SOON)),
            "{command}: {reason}"
        );
        connection.ping(SOON).expect("a pong");
        assert!(!node.log().contains(reason), "{command}: {reason}");

        // The node closes the connection at a score of 100.
        connection.send_unchecked(&message).expect("a connection");
        let logged = || node.log().contains(reason).then_some(());
        node.wait_until(reason, SOON, logged);
    }
}

/// Returns the streams of a peer of the node.
fn streams(peer: &Value) -> Vec<&str> {
    let streams = peer["streams"].as_array().expect("a list of streams");
    streams
        .iter()
        .filter_map(|stream| stream["streamtype"].as_str())
        .collect()
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn node_with_association_keeps_single_stream() {
    let node = RealNode::start(&[]);
    node.generate(1);
    let mut connection = be_dialed(&node, &config());
    let theirs = connection.peer_info().association_id;
    assert!(matches!(theirs, Some(AssociationId::Uuid(_))), "{theirs:?}");
    let peer = serve_until(&node, &mut connection, "the node is done as well", |peer| {
        peer["pingtime"].is_number()
    });
    assert_eq!(streams(&peer), ["GENERAL"], "{peer:#}");

    // Blocks and pings, which would use a second stream, arrive on the only one.
    ask_everything(&node, &mut connection);
    mine_and_hear(&node, &mut connection);
    let peer = only_peer(&node).expect("one peer");
    assert_eq!(streams(&peer), ["GENERAL"], "{peer:#}");
    assert_good_standing(&node);
}

#[test]
#[ignore = "needs the real node: BSV_NODE"]
fn node_without_streams_is_an_ordinary_peer() {
    let node = RealNode::start(&["-multistreams=0"]);
    node.generate(1);
    for dialed_by_us in [true, false] {
        let mut connection = match dialed_by_us {
            true => dial(&node, &config()),
            false => be_dialed(&node, &config()),
        };
        assert_eq!(
            connection.peer_info().association_id,
            Some(AssociationId::Null)
        );
        ask_everything(&node, &mut connection);
    }
    assert_good_standing(&node);
}
