//! Messages of the application with fields that no receiver accepts.

use bsv_p2p::session::{Direction, SendError};
use bsv_p2p::wire::{
    Authch, Authresp, DecodeError, DsDetected, DsDetectedError, Hash256, Message, Ping, Reject,
    RejectCode, RevokeMid, Services, Version,
};

use crate::outgoing::{assert_allowed, assert_invalid, assert_punished, by_name};
use crate::side::{Side, peer_version, unknown};

fn too_long(field: &'static str, limit: u64, got: u64) -> DecodeError {
    DecodeError::TooLong { field, limit, got }
}

#[test]
fn unreadable_fields_are_refused_with_field_and_value() {
    let mut side = Side::connected(Direction::Outbound);
    side.shake_hands(Version {
        services: Services(0x25),
        ..peer_version()
    });
    let refused = |message: Message, error: DecodeError| {
        let command = message.command();
        let refusal = SendError::Malformed { command, error };
        let said = refusal.to_string();
        assert!(said.starts_with(command.name()), "{said}");
        assert_eq!(side.session.check_outgoing(&message), Err(refusal));
        assert_eq!(side.session.check_outgoing_lenient(&message), Ok(()));
    };
    let text = |len| "x".repeat(len);
    let reject = |message: usize, reason: usize| {
        Message::from(Reject::new(
            &text(message),
            RejectCode::INVALID,
            &text(reason),
        ))
    };
    assert_allowed(&side.session, &reject(12, 111));
    refused(reject(13, 0), too_long("rejected message", 12, 13));
    refused(
        by_name(&reject(13, 0)),
        too_long("rejected message", 12, 13),
    );
    refused(reject(0, 112), too_long("reject reason", 111, 112));
    refused(
        by_name(&reject(0, 112)),
        too_long("reject reason", 111, 112),
    );

    let of = |message: &str| Reject {
        hash: Some(Hash256([7; 32])),
        ..Reject::new(message, RejectCode::INVALID, "")
    };
    assert_allowed(&side.session, &of("tx").into());
    assert_allowed(&side.session, &of("block").into());
    let error = DecodeError::InvalidValue {
        field: "reject hash length",
        expected: "0 for messages other than tx and block",
        got: 32,
    };
    refused(of("inv").into(), error);

    let authresp = |len| {
        Message::from(Authresp {
            public_key: [2; 33],
            client_nonce: 1,
            signature: vec![0x30; len],
        })
    };
    assert_allowed(&side.session, &authresp(70));
    assert_allowed(&side.session, &authresp(72));
    for got in [0, 69, 73] {
        let error = DecodeError::InvalidValue {
            field: "signature length",
            expected: "70 to 72",
            got,
        };
        refused(authresp(got as usize), error);
    }
    refused(by_name(&authresp(73)), too_long("signature", 72, 73));

    let revokemid = |len| {
        Message::from(RevokeMid {
            revocation_key: [2; 33],
            miner_id: [2; 33],
            id_to_revoke: [2; 33],
            signature1: vec![0x30; 70],
            signature2: vec![0x30; len],
        })
    };
    assert_allowed(&side.session, &revokemid(255));
    refused(revokemid(256), too_long("signature 2", 255, 256));

    for (name, field, needed) in [
        ("block", "block header", 80),
        ("tx", "transaction version", 4),
        ("getheaders", "locator version", 4),
        ("inv", "inventory", 1),
    ] {
        let left = 0;
        let error = DecodeError::Truncated {
            field,
            needed,
            left,
        };
        refused(unknown(name, b""), error);
    }
    // An unknown command may have any content.
    assert_allowed(&side.session, &unknown("foobar", b""));
}

#[test]
fn invalid_dsdetected_and_authch_are_refused() {
    let side = Side::complete(Direction::Outbound);
    let expected = DsDetectedError::TooFewBlocks { got: 0 };
    assert_invalid(DsDetected::new(&[]), &expected.into());
    let challenge = |version| {
        Message::from(Authch {
            version,
            challenge: [7; 32],
        })
    };
    assert_allowed(&side.session, &challenge(1));
    assert_punished(&side.session, &challenge(0));
    assert_punished(&side.session, &challenge(2));
}

#[test]
fn ping_without_nonce_requires_old_peer() {
    for (version, refused) in [(60000, false), (60001, true), (70016, true)] {
        let mut side = Side::connected(Direction::Outbound);
        side.shake_hands(Version {
            version,
            ..peer_version()
        });
        let ping = Ping { nonce: None }.into();
        if refused {
            assert_punished(&side.session, &ping);
            assert_punished(&side.session, &by_name(&ping));
        } else {
            assert_allowed(&side.session, &ping);
        }
        assert_allowed(&side.session, &Ping::new(7).into());
    }
}
