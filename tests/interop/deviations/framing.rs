//! Frames and the encoding of numbers.

use std::io::Write;
use std::time::{Duration, Instant};

use bsv_p2p::Network;
use bsv_p2p::wire::{DecodeError, Inv, Inventory, Mempool, Message, Txid};
use chain_gang::messages::{self as theirs, MAX_PAYLOAD_SIZE};
use chain_gang::util::rx::Observable;
use test_support::raw_peer::{DEADLINE, frame, header_claiming};

use super::{connected_dialer, frame_of_payload, refusal};
use crate::codec::{read_ours, read_theirs};

#[test]
fn invalid_checksum_ends_connection() {
    let (dialer, raw) = connected_dialer();
    let mut bytes = frame_of_payload("ping", &[7; 8]);
    bytes[20] ^= 1;
    assert!(refusal(&bytes).contains("Bad checksum"));
    raw.send_bytes(&bytes);
    dialer.wait_disconnected();
}

#[test]
fn extended_frame_ends_connection() {
    let (dialer, raw) = connected_dialer();
    let mut bytes = Network::Regtest.magic().0.to_vec();
    bytes.extend_from_slice(b"extmsg\0\0\0\0\0\0");
    bytes.extend_from_slice(&[0xff; 4]);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(b"ping\0\0\0\0\0\0\0\0");
    bytes.extend_from_slice(&8_u64.to_le_bytes());
    bytes.extend_from_slice(&7_u64.to_le_bytes());
    assert!(matches!(read_ours(&bytes), Ok(Message::Ping(_))));
    assert!(refusal(&bytes).contains("Bad size"));
    raw.send_bytes(&bytes);
    dialer.wait_disconnected();
}

#[test]
fn transaction_above_32_mib_is_refused() {
    let refused = header_claiming("tx", MAX_PAYLOAD_SIZE + 1);
    assert!(refusal(&refused).contains("Bad size"));
    for accepted in [
        header_claiming("tx", MAX_PAYLOAD_SIZE),
        header_claiming("block", u32::MAX),
    ] {
        assert!(refusal(&accepted).contains("only 0 were available"));
    }
}

/// A payload that arrives in parts is read in parts. The parts before an incomplete one are lost,
/// and bytes of the next frames take their place. The frames are repeated in case chain-gang reads
/// late and finds the whole payload.
#[test]
fn payload_in_pieces_ends_connection() {
    let (dialer, raw) = connected_dialer();
    let entries: Vec<_> = (0..50).map(|n| Inventory::Tx(Txid([n; 32]))).collect();
    let whole = frame(&Inv::from(entries).into());
    let (first, rest) = whole.split_at(whole.len() / 2);
    let rest = [rest, &whole, &whole].concat();
    let deadline = Instant::now() + DEADLINE;
    while dialer.peer.connected() {
        assert!(Instant::now() < deadline, "the payloads were received");
        for piece in [first, &rest] {
            // Fails once chain-gang has closed the connection.
            let _ = raw.tcp().write_all(piece);
            let moment = Duration::from_millis(2);
            let _ = dialer.peer.disconnected_event().poll_timeout(moment);
        }
    }
    dialer.wait_disconnected();
}

#[test]
fn noncanonical_size_is_accepted() {
    let mut payload = vec![0xfd, 1, 0];
    payload.extend_from_slice(&[1, 0, 0, 0]);
    payload.extend_from_slice(&[9; 32]);
    let bytes = frame_of_payload("inv", &payload);
    assert!(matches!(read_theirs(&bytes), Ok(theirs::Message::Inv(_))));
    let refused = read_ours(&bytes);
    assert!(
        matches!(refused, Err(DecodeError::NonCanonicalSize { .. })),
        "{refused:?}"
    );
}

#[test]
fn content_of_empty_message_is_refused() {
    for command in ["verack", "getaddr", "sendheaders", "filterclear"] {
        let bytes = frame_of_payload(command, &[1]);
        assert!(read_ours(&bytes).is_ok(), "{command}");
        assert!(refusal(&bytes).contains("Bad payload"), "{command}");
    }
}

#[test]
fn mempool_with_age_is_refused() {
    for mempool in [Mempool::NoAge, Mempool::Age(3_600)] {
        let bytes = frame(&mempool.into());
        assert!(refusal(&bytes).contains("Bad payload"));
    }
}
