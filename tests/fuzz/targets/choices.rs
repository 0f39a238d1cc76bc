//! Events of a session, selected by the bytes of an input.

use std::io::ErrorKind;

use bsv_p2p::session::{DisconnectReason, TransportClose};
use bsv_p2p::wire::{
    AssociationId, Command, FrameDropReason, InvalidCommand, Message, NetworkAddress, Protoconf,
    Reject, RejectCode, Services, Version, WireString,
};

use uuid::Uuid;

use super::input::Input;

/// The association ID of a session that offers streams.
pub(crate) const ASSOCIATION: Uuid = Uuid::from_u128(7);

/// The start time of each connection, in seconds since 1970.
pub(crate) const UNIX_TIME: i64 = 1_700_000_000;
/// The first nonce of the session; they count up.
pub(crate) const FIRST_NONCE: u64 = 1000;
/// The nonce of another connection of this program.
pub(crate) const OTHER_NONCE: u64 = 5;

/// Returns a `version` of a real peer, valid or nearly so.
pub(crate) fn version(input: &mut Input<'_>) -> Message {
    let versions = [
        70_016,
        70_015,
        70_012,
        70_011,
        60_001,
        60_000,
        31_800,
        31_799,
        i32::MIN,
        i32::MAX,
    ];
    let agents: [&[u8]; 5] = [
        b"/Bitcoin SV:1.2.2/",
        b"/Bitcoin Cash/",
        b"/Satoshi:27.0.0/",
        b"\xff\n",
        b"",
    ];
    let nonces = [
        Some(77),
        None,
        Some(OTHER_NONCE),
        Some(FIRST_NONCE),
        Some(0),
    ];
    let choice = input.u8();
    let services = Services(u64::from(choice & 1));
    let content = Version {
        version: versions[usize::from(input.u8()) % versions.len()],
        services,
        timestamp: UNIX_TIME,
        receiver: NetworkAddress::unspecified(Services::NONE),
        sender: Some(NetworkAddress::unspecified(services)),
        nonce: nonces[usize::from(choice >> 1) % nonces.len()],
        user_agent: Some(WireString::from(
            agents[usize::from(choice >> 4) % agents.len()],
        )),
        start_height: Some(800_000),
        relay: Some(true),
        association_id: match choice >> 6 {
            0 => None,
            1 => Some(AssociationId::Null),
            2 => Some(AssociationId::Uuid(ASSOCIATION)),
            _ => Some(AssociationId::Uuid(Uuid::from_u128(8))),
        },
    };
    content.into()
}

pub(crate) fn protoconf(input: &mut Input<'_>) -> Message {
    let content = Protoconf {
        max_receive_payload: 1_048_570 + u32::from(input.u16()),
        stream_policies: Some("BlockPriority,Default".into()),
    };
    content.into()
}

pub(crate) fn reject(input: &mut Input<'_>) -> Message {
    let code = RejectCode(input.u8());
    let message = if input.u8() & 1 == 0 { "version" } else { "tx" };
    Reject::new(message, code, "why").into()
}

pub(crate) fn cause(choice: u8) -> FrameDropReason {
    if choice & 1 == 0 {
        FrameDropReason::ChecksumMismatch {
            command: Command::new("inv"),
            expected: [1; 4],
            got: [2; 4],
        }
    } else {
        FrameDropReason::InvalidCommand(InvalidCommand("\x07".into()))
    }
}

pub(crate) fn transport_end(choice: u8) -> TransportClose {
    match choice % 4 {
        0 => TransportClose::ConnectionClosed,
        1 => TransportClose::Failed(ErrorKind::ConnectionReset),
        2 => TransportClose::Failed(ErrorKind::BrokenPipe),
        _ => TransportClose::Failed(ErrorKind::TimedOut),
    }
}

pub(crate) fn reason(choice: u8) -> DisconnectReason {
    match choice % 6 {
        0 => DisconnectReason::Shutdown,
        1 => DisconnectReason::Requested,
        2 => DisconnectReason::Duplicate,
        3 => DisconnectReason::AtCapacity,
        4 => DisconnectReason::ConnectRefused,
        _ => DisconnectReason::InternalError,
    }
}
