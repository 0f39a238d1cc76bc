//! How long payloads may be.

use super::{Command, Inventory, MessageNumber};

/// The node's default for payloads that have no limit of their own: 2 MiB (`src/protocol.h`).
pub const DEFAULT_MAX_RECEIVE_PAYLOAD: u32 = 2 * 1024 * 1024;

/// What a peer takes that has sent no `protoconf`, and the least that one may announce: 1 MiB.
pub const LEGACY_MAX_RECEIVE_PAYLOAD: u32 = 1024 * 1024;

/// How long a `protoconf` may be: 1 MiB.
pub const MAX_PROTOCONF_PAYLOAD: u64 = 1024 * 1024;

/// The maximum length of the count at the start of a list, in bytes.
const MAX_COUNT_LEN: u64 = 9;

/// How many inventory vectors fit a payload limit, by the estimate that both sides of the protocol use:
/// (limit - 8) / 36.
pub const fn inventory_limit(max_payload: u32) -> usize {
    (max_payload.saturating_sub(8) / 36) as usize
}

/// The longest payloads that we accept, per command (Bitcoin SV node, `src/protocol.cpp`, `GetMaxMessageLength`).
///
/// A node bans a peer for a frame above its limit as soon as the header is there, and so do we. A payload
/// within its limit but above `buffered` is read past and reported, not kept. So is a payload above its limit that may answer
/// a request: see [`ExpectedPayloads`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct PayloadLimits {
    /// For every command without a limit of its own, in bytes. Our `protoconf` announces it.
    pub general: u32,
    /// For `tx` and `datareftx`, in bytes.
    pub transaction: u64,
    /// For `block`, `cmpctblock`, `blocktxn` and `hdrsen`, in bytes.
    pub block: u64,
    /// The longest payload that is kept in memory, in bytes.
    pub buffered: u64,
    /// The longest payload that is kept in memory of a `block`, `cmpctblock`, `blocktxn`, `hdrsen` or `tx` while nothing is
    /// [expected](ExpectedPayloads), in bytes; never above `buffered`.
    pub unrequested: u64,
    /// A ceiling over all the others but that of `protoconf`, in bytes; `u64::MAX` for none.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_with::unless_max"))]
    pub ceiling: u64,
}

impl PayloadLimits {
    /// The ceiling before the handshake is complete: 64 KiB.
    pub const HANDSHAKE_CEILING: u64 = 64 * 1024;

    /// These limits as they hold until the handshake is complete. A lower ceiling stays.
    pub const fn before_handshake(self) -> Self {
        let ceiling = if self.ceiling < Self::HANDSHAKE_CEILING {
            self.ceiling
        } else {
            Self::HANDSHAKE_CEILING
        };
        Self { ceiling, ..self }
    }

    /// The limit for a command, in bytes.
    pub fn limit(&self, command: Command) -> u64 {
        self.limit_by_name(command.name().as_bytes())
    }

    /// The longest payload that is kept of a command, in bytes. What is longer and within its limit is read past.
    pub fn kept_limit(&self, command: Command, expected: ExpectedPayloads) -> u64 {
        let unrequested = match MessageNumber::of(command) {
            Some(
                MessageNumber::Block
                | MessageNumber::CompactBlock
                | MessageNumber::BlockTransactions
                | MessageNumber::HdrsEn,
            ) => !expected.blocks,
            Some(MessageNumber::Tx) => !expected.transactions,
            _ => false,
        };
        if unrequested {
            self.buffered.min(self.unrequested)
        } else {
            self.buffered
        }
    }

    pub(super) fn limit_by_name(&self, name: &[u8]) -> u64 {
        let limit = match name {
            b"protoconf" => return MAX_PROTOCONF_PAYLOAD,
            b"tx" | b"datareftx" => self.transaction,
            b"block" | b"cmpctblock" | b"blocktxn" | b"hdrsen" => self.block,
            b"getblocktxn" => {
                // One index of up to six bytes for each transaction that a block can hold.
                let indexes = (self.block / 215).saturating_mul(6);
                let header = if indexes > u64::from(u32::MAX) {
                    44
                } else {
                    24
                };
                indexes.saturating_add(header)
            }
            _ => u64::from(self.general),
        };
        limit.min(self.ceiling)
    }
}

/// Which large payloads somebody has asked for.
///
/// A peer that sends what nobody wants is not to fill the memory with it.
///
/// A peer does not know the limits of this side for most answers, and an SV Node ignores them for `notfound`. A payload above
/// the limit of its command that may answer a request is therefore discarded while it arrives, up to a maximum:
///
/// | request | answer | maximum in bytes |
/// | --- | --- | --- |
/// | any object | `notfound` | that of a list with all [`objects`](Self::objects) |
/// | a transaction | `tx` | 1,000,000,000 |
/// | a block in any form | `block`, `merkleblock`, `cmpctblock`, `blocktxn`, `hdrsen` | 2^63 - 1 |
///
/// The longest `headers` and `addr` that the protocol allows are always within the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedPayloads {
    /// Blocks in any form: `block`, `merkleblock`, `cmpctblock`, `blocktxn`, `hdrsen`.
    pub blocks: bool,
    /// Transactions: `tx`.
    pub transactions: bool,
    /// The number of objects that were requested and have not arrived. A `notfound` may name all of them.
    pub objects: u64,
}

impl ExpectedPayloads {
    /// All of them.
    pub const ALL: Self = Self {
        blocks: true,
        transactions: true,
        objects: u64::MAX,
    };

    /// Returns the maximum payload of a message that may answer a request, in bytes; 0 if it answers none.
    pub(super) fn answer_limit(&self, name: &[u8]) -> u64 {
        let node = PayloadLimits::default();
        match name {
            b"notfound" if self.objects > 0 => self
                .objects
                .saturating_mul(Inventory::LEN as u64)
                .saturating_add(MAX_COUNT_LEN),
            b"tx" if self.transactions => node.transaction,
            b"block" | b"merkleblock" | b"cmpctblock" | b"blocktxn" | b"hdrsen" if self.blocks => {
                node.block
            }
            _ => 0,
        }
    }
}

impl Default for PayloadLimits {
    /// The node's defaults where it has any: 2 MiB, transactions of 10^9 bytes, blocks without a limit;
    /// at most 32 MiB are kept in memory, and 1 MiB of what nobody has asked for.
    fn default() -> Self {
        Self {
            general: DEFAULT_MAX_RECEIVE_PAYLOAD,
            transaction: 1_000_000_000,
            block: i64::MAX as u64,
            buffered: 32 * 1024 * 1024,
            unrequested: 1024 * 1024,
            ceiling: u64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_limits_for_each_kind_of_command() {
        let limits = PayloadLimits::default();
        let limit = |name| limits.limit(Command::new(name));
        assert_eq!(limit("protoconf"), 1_048_576);
        assert_eq!(limit("tx"), 1_000_000_000);
        assert_eq!(limit("inv"), 2_097_152);
        assert_eq!(limit("foobar"), 2_097_152);
        assert_eq!(limit("block"), (1 << 63) - 1);
        assert_eq!(limit("getblocktxn"), 257_396_428_935_482_156);
    }

    #[test]
    fn of_blocks_and_transactions_less_is_kept_unless_they_are_expected() {
        let mut limits = PayloadLimits::default();
        let nothing = ExpectedPayloads {
            blocks: false,
            transactions: false,
            objects: 0,
        };
        let kept = |limits: &PayloadLimits, name, expected| {
            limits.kept_limit(Command::new(name), expected)
        };
        for name in ["block", "cmpctblock", "blocktxn", "hdrsen", "tx"] {
            assert_eq!(kept(&limits, name, nothing), 1 << 20, "{name}");
            assert_eq!(
                kept(&limits, name, ExpectedPayloads::ALL),
                32 << 20,
                "{name}"
            );
        }
        assert_eq!(kept(&limits, "inv", nothing), 32 << 20);
        let blocks = ExpectedPayloads {
            blocks: true,
            ..nothing
        };
        assert_eq!(kept(&limits, "block", blocks), 32 << 20);
        assert_eq!(kept(&limits, "tx", blocks), 1 << 20);
        limits.buffered = 10;
        assert_eq!(kept(&limits, "block", nothing), 10);
    }

    #[test]
    fn answer_limit_depends_on_requests() {
        let nothing = ExpectedPayloads {
            blocks: false,
            transactions: false,
            objects: 0,
        };
        let all = ["notfound", "tx", "block", "merkleblock", "hdrsen"];
        for name in all {
            assert_eq!(nothing.answer_limit(name.as_bytes()), 0, "{name}");
            assert!(ExpectedPayloads::ALL.answer_limit(name.as_bytes()) >= 1_000_000_000);
        }
        for name in ["inv", "headers", "addr", "foobar"] {
            assert_eq!(
                ExpectedPayloads::ALL.answer_limit(name.as_bytes()),
                0,
                "{name}"
            );
        }
        let objects = 60_000;
        let some = ExpectedPayloads { objects, ..nothing };
        assert_eq!(some.answer_limit(b"notfound"), 9 + 60_000 * 36);
        assert_eq!(some.answer_limit(b"tx"), 0);
    }

    #[test]
    fn before_the_handshake_only_protoconf_may_exceed_64_kib() {
        let limits = PayloadLimits::default().before_handshake();
        assert_eq!(limits.limit(Command::new("block")), 65_536);
        assert_eq!(limits.limit(Command::new("version")), 65_536);
        assert_eq!(limits.limit(Command::new("protoconf")), 1_048_576);
    }

    #[test]
    fn inventory_limits_of_the_protocol_document() {
        assert_eq!(inventory_limit(1_048_576), 29_126);
        assert_eq!(inventory_limit(2_097_152), 58_254);
        assert_eq!(inventory_limit(8_388_608), 233_016);
        assert_eq!(inventory_limit(0), 0);
    }
}
