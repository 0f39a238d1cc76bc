//! The 24 bytes in front of a payload, or 44 where the length needs more than 32 bits.

use std::fmt;

use byteorder::{ByteOrder, LittleEndian};

use crate::network::Magic;
use crate::wire::Command;
use crate::wire::command::text_before_nul;

/// The length of the usual header: magic, command, length, checksum.
pub const BASIC_HEADER_LEN: usize = 24;

/// The length of the header for payloads above 4 GiB: the usual one with the command `extmsg`, then the real command
/// and a length of 64 bits.
pub const EXTENDED_HEADER_LEN: usize = 44;

/// The letters that mark an extended header. Whatever follows them in the command does not matter to the node.
const EXTENDED_MARK: &[u8] = b"extmsg";

/// The header of a frame that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    /// The real command, also in an extended frame; or the twelve bytes that are none.
    pub(super) command: Result<Command, [u8; Command::LEN]>,
    /// The payload's length in bytes.
    pub(super) len: u64,
    /// The first four bytes of the payload's double SHA-256; `None` in an extended frame, which has none.
    pub(super) checksum: Option<[u8; 4]>,
    /// The twelve bytes of the real command as they came.
    command_bytes: [u8; Command::LEN],
}

impl FrameHeader {
    /// Reads a header, behind its magic, from the start of `bytes`; `None` if more bytes are needed.
    #[inline]
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let basic = bytes.first_chunk::<BASIC_HEADER_LEN>()?;
        let command = command_at(basic, 4);
        if !command.starts_with(EXTENDED_MARK) {
            let checksum = [basic[20], basic[21], basic[22], basic[23]];
            let len = u64::from(LittleEndian::read_u32(&basic[16..20]));
            return Some(Self::new(command, command, len, Some(checksum)));
        }
        // The basic length and checksum of an extended frame are not looked at, as in the node.
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
        let command = Command::of(outer).ok_or(outer).and_then(|command| {
            if outer == real {
                Ok(command)
            } else {
                Command::of(real).ok_or(real)
            }
        });
        Self {
            command,
            len,
            checksum,
            command_bytes: real,
        }
    }

    /// How many bytes the header itself has.
    pub(super) fn header_len(&self) -> usize {
        if self.checksum.is_some() {
            BASIC_HEADER_LEN
        } else {
            EXTENDED_HEADER_LEN
        }
    }

    /// The text before the first NUL of the command, well formed or not: what the length limit goes by.
    pub(super) fn name(&self) -> &[u8] {
        text_before_nul(&self.command_bytes)
    }
}

fn command_at(bytes: &[u8], at: usize) -> [u8; Command::LEN] {
    let mut command = [0; Command::LEN];
    command.copy_from_slice(&bytes[at..at + Command::LEN]);
    command
}

/// Four bytes where a frame's magic was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MagicMismatch {
    /// The magic of the network that was wanted.
    pub expected: Magic,
    /// What came.
    pub got: Magic,
}

impl MagicMismatch {
    /// What the four bytes are known to mean, if anything.
    pub fn meaning(&self) -> Option<&'static str> {
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
            b"HTTP" | b"GET " | b"POST" => "a speaker of HTTP",
            b"SSH-" => "a speaker of SSH",
            [0x15 | 0x16, 0x03, _, _] => "a speaker of TLS",
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
        if let Some(meaning) = self.meaning() {
            write!(f, ": the peer is {meaning}")?;
        }
        Ok(())
    }
}
