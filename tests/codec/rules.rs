//! Protocol rules that concern one message or field.

use bsv_p2p::Network;
use bsv_p2p::wire::{
    Addr, BlockHash, BlockHeader, Command, Decode, DecodeError, Encode, GetData, GetHeaders,
    Headers, Inventory, Message, NetworkAddress, Ping, Pong, Protoconf, Reject, RejectCode,
    SendCmpct, Services, TimestampedAddress, Tx, Version, sha256d,
};
use proptest::prelude::*;

use crate::any_message::message;
use crate::support::{MAGIC, cases, frame_of};

const ADDRESS: &str = "203.0.114.7:8333";
const ADDRESS_BYTES: [u8; 18] = *b"\0\0\0\0\0\0\0\0\0\0\xff\xff\xcb\x00\x72\x07\x20\x8d";

fn decode(command: &str, payload: &[u8]) -> Result<Message, DecodeError> {
    Message::decode(Command::new(command), payload.to_vec().into())
}

fn address() -> NetworkAddress {
    NetworkAddress::new(Services::NETWORK, ADDRESS.parse().unwrap())
}

fn version() -> Version {
    Version {
        version: 70016,
        services: Services(0x21),
        timestamp: 1_700_000_000,
        receiver: address(),
        sender: None,
        nonce: None,
        user_agent: None,
        start_height: None,
        relay: None,
        association_id: None,
    }
}

/// Returns whether fields may be missing at the end. Bytes after such a message would be these
/// fields.
fn may_end_early(message: &Message) -> bool {
    match message {
        Message::Version(version) => version.association_id.is_none(),
        Message::Ping(Ping { nonce }) => nonce.is_none(),
        Message::Pong(Pong { nonce }) => nonce.is_none(),
        Message::Reject(reject) => reject.hash.is_none(),
        Message::Mempool(mempool) => mempool.age().is_none(),
        Message::Unknown { .. } => true,
        _ => false,
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn bytes_after_last_field_are_ignored(
        message in message(),
        more in proptest::collection::vec(any::<u8>(), 1..40),
    ) {
        if !may_end_early(&message) {
            let longer = [message.encode_to_vec(), more].concat();
            let read = Message::decode(message.command(), longer.into());
            prop_assert_eq!(read, Ok(message));
        }
    }
}

#[test]
fn checksum_of_empty_payload_is_5df6e0e2() {
    let frame = frame_of(MAGIC, &Message::Verack);
    assert_eq!(frame[16..24], [0, 0, 0, 0, 0x5d, 0xf6, 0xe0, 0xe2]);
}

#[test]
fn nonzero_byte_is_true_and_encoded_as_one() {
    for byte in [0, 1, 2, 0x80, 0xff] {
        let Ok(Message::SendCmpct(wish)) = decode("sendcmpct", &[byte, 1, 0, 0, 0, 0, 0, 0, 0])
        else {
            panic!("{byte}");
        };
        assert_eq!(wish.announce, byte != 0, "{byte}");
        assert_eq!(wish.encode_to_vec()[0], u8::from(byte != 0));

        let with_relay = Version {
            relay: Some(false),
            ..version()
        };
        let mut bytes = with_relay.encode_to_vec();
        *bytes.last_mut().unwrap() = byte;
        let read = Box::<Version>::decode_from(&bytes).unwrap();
        assert_eq!(read.relay, Some(byte != 0), "{byte}");
        assert_eq!(read.encode_to_vec().last(), Some(&u8::from(byte != 0)));
    }
}

/// Holds for every message with a compact size, which must fit 32 bits.
#[test]
fn sizes_must_be_canonical_and_backed_by_bytes() {
    for (command, before) in [
        ("addr", 0),
        ("inv", 0),
        ("getdata", 0),
        ("notfound", 0),
        ("headers", 0),
        ("hdrsen", 0),
        ("getheaders", 4),
        ("getblocks", 4),
        ("gethdrsen", 4),
        ("tx", 4),
        ("block", 80),
        ("cmpctblock", 88),
        ("getblocktxn", 32),
        ("blocktxn", 32),
        ("merkleblock", 84),
        ("dsdetected", 2),
        ("filterload", 0),
        ("filteradd", 0),
        ("reject", 0),
        ("alert", 0),
        ("protoconf", 0),
        ("createstrm", 0),
        ("streamack", 0),
        ("authresp", 0),
        ("revokemid", 103),
        ("datareftx", 4),
    ] {
        let with = |size: &[u8]| {
            let mut start = vec![0; before];
            if command == "dsdetected" {
                start[0] = 1; // its version
            }
            decode(command, &[&start, size, &[0; 300]].concat())
        };
        for long_form in [
            &[0xfd, 1, 0][..],
            &[0xfe, 1, 0, 0, 0],
            &[0xff, 1, 0, 0, 0, 0, 0, 0, 0],
        ] {
            let refused = with(long_form);
            assert!(
                matches!(refused, Err(DecodeError::NonCanonicalSize { value: 1, .. })),
                "{command}: {refused:?}"
            );
        }
        // The maximum, without bytes for it. The limit of a field may be checked first. Unknown
        // fields need no bytes.
        let refused = with(&[0xfe, 0xff, 0xff, 0xff, 0xff]);
        let named = matches!(
            refused,
            Err(DecodeError::Truncated { .. }
                | DecodeError::TooLong { .. }
                | DecodeError::TooManyEntries { .. })
        );
        assert!(named || command == "protoconf", "{command}: {refused:?}");
        let refused = with(&[0xff, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert!(
            matches!(
                refused,
                Err(DecodeError::SizeTooLarge {
                    value: 0x1_0000_0000,
                    ..
                })
            ),
            "{command}: {refused:?}"
        );
    }
}

#[test]
fn address_has_time_in_addr_but_not_version() {
    let entry = TimestampedAddress {
        time: 0x6553_f100,
        address: address(),
    };
    let addr = Addr {
        addresses: vec![entry],
    };
    let services = [1, 0, 0, 0, 0, 0, 0, 0];
    let expected = [&[1, 0x00, 0xf1, 0x53, 0x65][..], &services, &ADDRESS_BYTES].concat();
    assert_eq!(addr.encode_to_vec(), expected);
    assert_eq!(Addr::decode_from(&expected), Ok(addr));

    let bytes = version().encode_to_vec();
    assert_eq!(bytes.len(), 46);
    assert_eq!(bytes[20..], [&services[..], &ADDRESS_BYTES].concat());
}

#[test]
fn unset_address_is_zero_bytes_and_port_0() {
    let unset = NetworkAddress::unspecified(Services(0x21));
    let bytes = unset.encode_to_vec();
    assert_eq!(bytes[..8], [0x21, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(bytes[8..], [0; 18]);
    assert_eq!(NetworkAddress::decode_from(&bytes), Ok(unset));
}

#[test]
fn service_bits_match_the_node() {
    for (service, bits) in [
        (Services::NONE, 0),
        (Services::NETWORK, 0x01),
        (Services::GETUTXO, 0x02),
        (Services::BLOOM, 0x04),
        (Services::XTHIN, 0x10),
        (Services::BITCOIN_CASH, 0x20),
    ] {
        assert_eq!(service.0, bits);
    }
}

#[test]
fn inventory_type_uses_all_32_bits() {
    for kind in [0, 1, 2, 3, 4, 5, 6, 0x4000_0001, 0x4000_0002, 0x8000_0001] {
        let payload = [&[1], &u32::to_le_bytes(kind)[..], &[7; 32]].concat();
        let list = GetData::decode_from(&payload).unwrap();
        let [entry] = list.inventory[..] else {
            panic!("{list:?}");
        };
        assert_eq!(entry.kind(), kind);
        let is_unknown = matches!(entry, Inventory::Unknown { .. });
        assert_eq!(is_unknown, !(1..=5).contains(&kind), "{kind:x}");
        assert_eq!(list.encode_to_vec(), payload);
    }
}

#[test]
fn header_version_is_signed() {
    let mut bytes = Network::Regtest.genesis_header().to_bytes();
    bytes[..4].fill(0xff);
    let header = BlockHeader::decode_from(&bytes).unwrap();
    assert_eq!(header.version, -1);
    assert_eq!(header.hash().0, sha256d(&bytes).0);
}

#[test]
fn transactions_have_no_witness_form() {
    // Version 2, then the marker and flag of other chains: here no inputs and one output.
    let output = [&[5, 0, 0, 0, 0, 0, 0, 0][..], &[1, 0x51]].concat();
    let bytes = [&[2, 0, 0, 0, 0x00, 0x01][..], &output, &[0; 4]].concat();
    let tx = Tx::from_payload(bytes.clone().into()).unwrap();
    assert_eq!(
        (tx.view().inputs().len(), tx.view().outputs().len()),
        (0, 1)
    );
    assert_eq!(tx.view().outputs().next().unwrap().value, 5);
    assert_eq!(tx.txid().0, sha256d(&bytes).0);
}

#[test]
fn locator_version_is_ignored() {
    for version in [i32::MIN, -1, 0, 1, 31_800, 70_016, i32::MAX] {
        let question = GetHeaders {
            version,
            locator: vec![BlockHash([7; 32])],
            stop: BlockHash::ZERO,
        };
        let read = GetHeaders::decode_from(&question.encode_to_vec());
        assert_eq!(read, Ok(question));
    }
}

#[test]
fn protoconf_fields_after_second_are_ignored() {
    let two = Protoconf {
        max_receive_payload: 2_097_152,
        stream_policies: Some("Default".into()),
    };
    let mut bytes = two.encode_to_vec();
    assert_eq!(bytes[0], 2);
    for fields in [3, 252] {
        bytes[0] = fields;
        let longer = [&bytes[..], b"whatever they are"].concat();
        assert_eq!(Protoconf::decode_from(&longer), Ok(two.clone()));
        assert_eq!(Protoconf::decode_from(&bytes), Ok(two.clone()));
    }
    // A single field means no policies, whatever follows it.
    bytes[0] = 1;
    let one = Protoconf {
        stream_policies: None,
        ..two
    };
    assert_eq!(Protoconf::decode_from(&bytes), Ok(one));
}

#[test]
fn empty_headers_message_is_valid() {
    assert_eq!(decode("headers", &[0]), Ok(Headers::default().into()));
}

#[test]
fn sendcmpct_of_any_version_is_decoded() {
    for version in [0, 1, 2, u64::MAX] {
        let wish = SendCmpct {
            announce: true,
            version,
        };
        assert_eq!(SendCmpct::decode_from(&wish.encode_to_vec()), Ok(wish));
    }
}

#[test]
fn reject_codes_match_the_protocol() {
    for (code, number) in [
        (RejectCode::MALFORMED, 0x01),
        (RejectCode::INVALID, 0x10),
        (RejectCode::OBSOLETE, 0x11),
        (RejectCode::DUPLICATE, 0x12),
        (RejectCode::SOFT_CONSENSUS_FREEZE, 0x13),
        (RejectCode::NONSTANDARD, 0x40),
        (RejectCode::DUST, 0x41),
        (RejectCode::INSUFFICIENT_FEE, 0x42),
        (RejectCode::CHECKPOINT, 0x43),
        (RejectCode::TOO_BUSY, 0x44),
        (RejectCode::RATE_EXCEEDED, 0x45),
        (RejectCode::STREAM_SETUP, 0x60),
        (RejectCode::AUTHENTICATED_SETUP, 0x70),
    ] {
        let reject = Reject::new("tx", code, "");
        assert_eq!(reject.encode_to_vec(), [2, b't', b'x', number, 0]);
        assert!(code.name().is_some());
    }
}
