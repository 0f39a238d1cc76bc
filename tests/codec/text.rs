//! Texts that show content of peers.

use std::fmt::Debug;

use bsv_p2p::wire::{
    Alert, Authch, Authresp, BlockHash, Command, FilterAdd, FrameDropReason, FrameError,
    FrameReader, Incoming, InvalidCommand, Message, PartialMerkleTree, PayloadLimits, Reject,
    RejectCode, RevokeMid, WireString,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::any_message::{message, payload};
use crate::support::{MAGIC, cases, read_all};

/// Asserts that a text is one line that no terminal interprets.
#[track_caller]
fn assert_one_line(text: &str) {
    assert!(
        text.bytes().all(|byte| matches!(byte, b' '..=b'~')),
        "{text}"
    );
}

/// Text that can confuse readers of a log: line ends, terminal codes in seven and eight bits,
/// right-to-left text, and characters without a width.
const HOSTILE: &str = "x\n2026-11-22 ERROR\r\t\u{0}\u{8}\u{7f}\u{1b}[2J\u{9b}31m\u{85}\u{2028}\
                       \u{202e}\u{2066}\u{200b}\u{feff}\u{301}\u{1f600}\"\\";

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn debug_form_of_message_is_one_plain_line(message in message()) {
        assert_one_line(&format!("{message:?}"));
        if let Message::Reject(reject) = &message {
            assert_one_line(&reject.to_string());
        }
    }

    #[test]
    fn decode_errors_are_one_plain_line((command, bytes) in payload()) {
        match Message::decode(command, bytes.into()) {
            Ok(message) => assert_one_line(&format!("{message:?}")),
            Err(error) => {
                assert_one_line(&error.to_string());
                assert_one_line(&format!("{error:?}"));
            }
        }
    }

    #[test]
    fn frame_errors_are_one_plain_line(
        command in vec(prop_oneof![any::<u8>(), select(&b"\n\x1b\0p"[..])], 12),
        magic in prop_oneof![Just(MAGIC.0.to_vec()), vec(any::<u8>(), 4)],
        rest in vec(any::<u8>(), 8..60),
    ) {
        let bytes = [magic, command, rest].concat();
        let mut frames = FrameReader::new(MAGIC, PayloadLimits::default());
        let seen = read_all(&mut frames, &mut &bytes[..]);
        if let Some(error) = seen.error {
            assert_one_line(&error.to_string());
            assert_one_line(&format!("{error:?}"));
        }
        for incoming in seen.incoming {
            assert_one_line(&format!("{incoming:?}"));
            if let Incoming::Dropped(cause) = incoming {
                assert_one_line(&cause.to_string());
            }
        }
    }
}

#[test]
fn wire_strings_show_only_printable_ascii() {
    for hostile in [
        HOSTILE.as_bytes(),
        &[0xff, 0xc3, 0x28, 0x9b],
        &Vec::from_iter(0..=255),
    ] {
        let string = WireString::from(hostile);
        assert_one_line(&string.to_string());
        assert_one_line(&format!("{string:?} {string:#?}"));
        let reject = Reject {
            message: string.clone(),
            reason: string.clone(),
            ..Reject::new("", RejectCode(0xee), "")
        };
        assert_one_line(&reject.to_string());
        assert_one_line(&format!("{reject:?}"));
        let dropped = FrameDropReason::from(InvalidCommand(string.clone()));
        assert_one_line(&dropped.to_string());
        let too_long = FrameError::TooLong {
            command: string,
            len: 2,
            limit: 1,
        };
        assert_one_line(&too_long.to_string());
        let payload = hostile.to_vec().into();
        let command = Command::new("foobar");
        assert_one_line(&format!("{:?}", Message::Unknown { command, payload }));
    }
    let shown = WireString::from(HOSTILE).to_string();
    for escaped in [
        r"\n2026",
        r"\x1b[2J",
        r"\xe2\x80\xae",
        r"\xe2\x80\x8b",
        r"\xc2\x9b31m",
    ] {
        assert!(shown.contains(escaped), "{escaped} is not in {shown}");
    }
}

#[test]
fn hashes_and_bytes_are_shown_in_hexadecimal() {
    #[track_caller]
    fn assert_shown(value: impl Debug, shown: &str) {
        assert_eq!(format!("{value:?}"), shown);
    }
    let mut hash = BlockHash::ZERO;
    hash.0[0] = 0xab;
    assert_shown(hash, &format!("{}ab", "0".repeat(62)));
    let bytes = |len| vec![0x0a, 0xff][..len].to_vec();
    assert_shown(FilterAdd { data: bytes(2) }, "FilterAdd { data: 0aff }");
    assert_shown(FilterAdd::default(), "FilterAdd { data:  }");
    let alert = Alert {
        message: bytes(2),
        signature: bytes(1),
    };
    assert_shown(alert, "Alert { message: 0aff, signature: 0a }");
    let challenge = Authch {
        version: 1,
        challenge: [0x0a; 32],
    };
    let digits = "0a".repeat(32);
    assert_shown(
        challenge,
        &format!("Authch {{ version: 1, challenge: {digits} }}"),
    );
    let key = "02".repeat(33);
    let answer = Authresp {
        public_key: [2; 33],
        client_nonce: 7,
        signature: bytes(2),
    };
    assert_shown(
        answer,
        &format!("Authresp {{ public_key: {key}, client_nonce: 7, signature: 0aff }}"),
    );
    let revokemid = RevokeMid {
        revocation_key: [2; 33],
        miner_id: [2; 33],
        id_to_revoke: [2; 33],
        signature1: bytes(1),
        signature2: bytes(2),
    };
    assert_shown(
        revokemid,
        &format!(
            "RevokeMid {{ revocation_key: {key}, miner_id: {key}, id_to_revoke: {key}, \
             signature1: 0a, signature2: 0aff }}"
        ),
    );
    let tree = PartialMerkleTree {
        total_transactions: 1,
        hashes: vec![],
        flags: bytes(2),
    };
    assert_shown(
        tree,
        "PartialMerkleTree { total_transactions: 1, hashes: [], flags: 0aff }",
    );
}
