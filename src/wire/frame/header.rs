//! The header of a frame: 24 bytes, or 44 for a payload of 4 GiB or more.

use std::fmt;

use byteorder::{ByteOrder, LittleEndian};

use crate::network::Magic;
use crate::wire::command::text_before_nul;
use crate::wire::{Command, MessageKind};

/// The length of the basic header in bytes: magic, command, payload length and checksum.
pub const BASIC_HEADER_LEN: usize = 24;

/// The length in bytes of the extended header, for a payload of 4 GiB or more.
///
/// It is a basic header with the command `extmsg`, the real command and a payload length of 64
/// bits.
pub const EXTENDED_HEADER_LEN: usize = 44;

/// The start of the command that marks an extended header. Like the node, the parser ignores the
/// rest of that command.
const EXTENDED_MARK: &[u8] = b"extmsg";

/// The header of a received frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// The real command, also in an extended header. If a command is invalid, its twelve bytes.
    pub(super) command: Result<Command, [u8; Command::LEN]>,
    /// The message of the command up to its first NUL, valid or not. It selects the length limit.
    pub(super) kind: Option<MessageKind>,
    /// The length of the payload in bytes.
    pub(super) len: u64,
    /// The first four bytes of the double SHA-256 of the payload. `None` in an extended header.
    pub(super) checksum: Option<[u8; 4]>,
    /// The twelve bytes of the real command, as received.
    command_bytes: [u8; Command::LEN],
}

impl FrameHeader {
    /// Parses the header at the start of `bytes`, whose magic must have been checked.
    ///
    /// Returns `None` if more bytes are needed.
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let basic = bytes.first_chunk::<BASIC_HEADER_LEN>()?;
        let command = command_at(basic, 4);
        if !command.starts_with(EXTENDED_MARK) {
            let checksum = [basic[20], basic[21], basic[22], basic[23]];
            let len = u64::from(LittleEndian::read_u32(&basic[16..20]));
            return Some(Self::new(command, command, len, Some(checksum)));
        }
        // Like the node, this ignores the basic length and checksum of an extended header.
        let extended = bytes.first_chunk::<EXTENDED_HEADER_LEN>()?;
        let real = command_at(extended, BASIC_HEADER_LEN);
        let len = LittleEndian::read_u64(&extended[36..]);
        Some(Self::new(command, real, len, None))
    }

    #[inline]
    fn new(
        outer: [u8; Command::LEN],
        real: [u8; Command::LEN],
        len: u64,
        checksum: Option<[u8; 4]>,
    ) -> Self {
        let command = Command::from_wire(outer).ok_or(outer).and_then(|command| {
            if outer == real {
                Ok(command)
            } else {
                Command::from_wire(real).ok_or(real)
            }
        });
        let kind = match command {
            Ok(command) => MessageKind::from_command(command),
            Err(_) => kind_before_nul(&real),
        };
        Self {
            command,
            kind,
            len,
            checksum,
            command_bytes: real,
        }
    }

    /// Returns the length of the header itself in bytes.
    pub(super) fn header_len(&self) -> usize {
        if self.checksum.is_some() {
            BASIC_HEADER_LEN
        } else {
            EXTENDED_HEADER_LEN
        }
    }

    /// Returns the command up to its first NUL, valid or not.
    pub(super) fn name(&self) -> &[u8] {
        text_before_nul(&self.command_bytes)
    }
}

fn kind_before_nul(command: &[u8; Command::LEN]) -> Option<MessageKind> {
    let name = text_before_nul(command);
    let mut padded = [0; Command::LEN];
    padded[..name.len()].copy_from_slice(name);
    MessageKind::from_command(Command::from_wire(padded)?)
}

fn command_at(bytes: &[u8], at: usize) -> [u8; Command::LEN] {
    let mut command = [0; Command::LEN];
    command.copy_from_slice(&bytes[at..at + Command::LEN]);
    command
}

/// The first four bytes of a frame that are not the expected magic. The list of fields is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MagicMismatch {
    /// The magic of the expected network.
    pub expected: Magic,
    /// The received bytes.
    pub got: Magic,
}

impl MagicMismatch {
    /// Returns a description of the peers that send these bytes, or `None` if the bytes are
    /// unknown.
    ///
    /// Recognizes the public networks of BSV and BTC, HTTP, SSH and TLS.
    pub fn detected(&self) -> Option<&'static str> {
        if let Some(network) = self.got.network() {
            return Some(match network {
                crate::Network::Mainnet => "a node of BSV mainnet",
                crate::Network::Testnet => "a node of BSV testnet",
                crate::Network::Stn => "a node of BSV STN",
                crate::Network::Regtest => "a node of BSV regtest",
                crate::Network::Teratestnet => "a node of BSV teratestnet",
                crate::Network::Tstn => "a node of BSV tstn",
                crate::Network::Custom(_) => return None,
            });
        }
        Some(match &self.got.0 {
            [0xf9, 0xbe, 0xb4, 0xd9] => "a node of BTC mainnet",
            [0x0b, 0x11, 0x09, 0x07] => "a node of BTC testnet",
            [0xfa, 0xbf, 0xb5, 0xda] => "a node of BTC regtest",
            b"HTTP" | b"GET " | b"POST" => "an HTTP endpoint",
            b"SSH-" => "an SSH endpoint",
            [0x15 | 0x16, 0x03, _, _] => "a TLS endpoint",
            _ => return None,
        })
    }
}

impl fmt::Display for MagicMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, got } = self;
        write!(f, "expected a frame with magic {expected}")?;
        if let Some(network) = expected.network() {
            write!(f, " ({network})")?;
        }
        write!(f, ", got {got}")?;
        if let Some(detected) = self.detected() {
            write!(f, ": the peer is {detected}")?;
        }
        Ok(())
    }
}
