//! Limits of payload lengths.

use super::{Command, Inventory, MessageKind};

/// The node's default maximum for payloads without a limit of their own: 2 MiB (`src/protocol.h`).
pub const DEFAULT_MAX_RECEIVE_PAYLOAD: u32 = 2 * 1024 * 1024;

/// The payload limit of a peer that has not sent a `protoconf`: 1 MiB.
///
/// It is also the minimum that a `protoconf` may announce.
pub const LEGACY_MAX_RECEIVE_PAYLOAD: u32 = 1024 * 1024;

/// The maximum payload of a `protoconf`: 1 MiB.
pub const MAX_PROTOCONF_PAYLOAD: u64 = 1024 * 1024;

/// The maximum length of the count at the start of a list, in bytes.
const MAX_COUNT_LEN: u64 = 9;

/// The maximum payload in bytes that is kept of a command whose payloads are always short, or that
/// answers something and was not requested.
///
/// It holds 2,000 hashes of a locator, and indexes of as many missing transactions of a compact
/// block.
const SHORT_PAYLOAD: u64 = 64 * 1024;

/// The maximum payload of `headers` that is kept, in bytes. 2,000 headers have 162,003. Somewhat
/// longer lists are decoded as well, because sending one is misbehavior.
const HEADERS_PAYLOAD: u64 = 256 * 1024;

/// Returns the number of inventory vectors that fit into a payload of `max_payload` bytes.
///
/// The result is `(max_payload - 8) / 36`, the estimate that both sides of the protocol use.
pub const fn inventory_limit(max_payload: u32) -> usize {
    (max_payload.saturating_sub(8) / 36) as usize
}

/// The maximum payloads that this side accepts, by command.
///
/// A frame above the limit of its command is misbehavior. The peer is banned as soon as the header
/// of the frame is received, as by the node (Bitcoin SV node, `src/protocol.cpp`,
/// `GetMaxMessageLength`). In two cases, a payload is instead discarded while it arrives, and
/// reported:
///
/// - It is within its limit, but above [`kept_limit`](Self::kept_limit).
/// - It is above its limit, but may be the response to a request: see [`ExpectedPayloads`].
///
/// Struct expressions that end with `..PayloadLimits::default()` keep compiling when a field is
/// added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct PayloadLimits {
    /// The limit of every command without its own limit, in bytes. Defaults to 2 MiB. Our
    /// `protoconf` announces it.
    pub general: u32,
    /// The limit of `tx` and `datareftx`, in bytes. Defaults to 1,000,000,000.
    pub transaction: u64,
    /// The limit of `block`, `cmpctblock`, `blocktxn` and `hdrsen`, in bytes. Defaults to 2^63 - 1.
    pub block: u64,
    /// The maximum payload that is kept in memory, in bytes. Defaults to 32 MiB.
    pub buffered: u64,
    /// The maximum unrequested payload that is kept in memory, in bytes. Defaults to 1 MiB.
    ///
    /// It applies to `block`, `cmpctblock`, `blocktxn`, `hdrsen`, `tx` and `datareftx` if they are
    /// unrequested or late, see [`ExpectedPayloads`], and to `dsdetected`. Most other commands have
    /// lower limits: see [`kept_limit`](Self::kept_limit). Values above `buffered` have no effect.
    pub unrequested: u64,
    /// The maximum of all other limits except that of `protoconf`, in bytes. Defaults to
    /// `u64::MAX`, which means none.
    #[cfg_attr(feature = "serde", serde(with = "crate::serde_util::unless_max"))]
    pub ceiling: u64,
}

impl PayloadLimits {
    /// The ceiling until the handshake is complete: 64 KiB.
    pub const HANDSHAKE_CEILING: u64 = 64 * 1024;

    /// Returns the limits that apply until the handshake is complete. A lower ceiling is kept.
    pub const fn before_handshake(self) -> Self {
        let ceiling = if self.ceiling < Self::HANDSHAKE_CEILING {
            self.ceiling
        } else {
            Self::HANDSHAKE_CEILING
        };
        Self { ceiling, ..self }
    }

    /// Returns the maximum payload of a command, in bytes.
    pub fn limit(&self, command: Command) -> u64 {
        self.limit_of(MessageKind::from_command(command))
    }

    /// Returns the maximum payload of a command that is kept in memory, in bytes.
    ///
    /// A longer payload within its limit is discarded while it arrives. The maximum is the lowest
    /// of the [`limit`](Self::limit) of the command, [`buffered`](Self::buffered) and:
    ///
    /// | command | maximum in bytes |
    /// | --- | --- |
    /// | `inv`, `getdata`, unknown commands | `general` |
    /// | `block`, `cmpctblock`, `blocktxn`, `hdrsen`, `tx`, `datareftx` | `unrequested`, unless expected |
    /// | `merkleblock`, `notfound` | 64 KiB, unless expected |
    /// | `getblocktxn` | 64 KiB; `unrequested` after a `cmpctblock` was sent |
    /// | `headers` | 256 KiB |
    /// | `dsdetected` | `unrequested` |
    /// | any other command | 64 KiB |
    pub fn kept_limit(&self, command: Command, expected: ExpectedPayloads) -> u64 {
        let kind = MessageKind::from_command(command);
        let useful = self.useful_limit(kind, expected);
        self.limit_of(kind).min(self.buffered).min(useful)
    }

    /// Returns the part of [`kept_limit`](Self::kept_limit) that depends on the use of the message.
    /// `kind` is `None` for an unknown command.
    pub(super) fn useful_limit(
        &self,
        kind: Option<MessageKind>,
        expected: ExpectedPayloads,
    ) -> u64 {
        use MessageKind::*;
        let unless = |is_expected, limit| if is_expected { u64::MAX } else { limit };
        let Some(kind) = kind else {
            return u64::MAX;
        };
        match kind {
            // Both sides fill them up to the limit that `protoconf` announces.
            Inv | GetData => u64::MAX,
            Block | CompactBlock | BlockTransactions | HdrsEn => {
                unless(expected.blocks, self.unrequested)
            }
            Tx | DatarefTx => unless(expected.transactions, self.unrequested),
            MerkleBlock => unless(expected.blocks, SHORT_PAYLOAD),
            NotFound => unless(expected.objects > 0, SHORT_PAYLOAD),
            GetBlockTxn if expected.compact_block_sent => self.unrequested,
            GetBlockTxn => SHORT_PAYLOAD,
            Headers => HEADERS_PAYLOAD,
            DsDetected => self.unrequested,
            Version | Verack | Protoconf | Ping | Pong | SendHeaders | SendHdrsEn | SendCmpct
            | FeeFilter | Authch | Authresp | RevokeMid | CreateStrm | StreamAck | GetAddr
            | Addr | GetBlocks | GetHeaders | GetHdrsEn | Mempool | FilterLoad | FilterAdd
            | FilterClear | Alert | Reject => SHORT_PAYLOAD,
        }
    }

    /// Like [`limit`](Self::limit), for a message. `kind` is `None` for an unknown command.
    pub(super) fn limit_of(&self, kind: Option<MessageKind>) -> u64 {
        use MessageKind::*;
        let limit = match kind {
            Some(Protoconf) => return MAX_PROTOCONF_PAYLOAD,
            Some(Tx | DatarefTx) => self.transaction,
            Some(Block | CompactBlock | BlockTransactions | HdrsEn) => self.block,
            Some(GetBlockTxn) => {
                // One index of up to six bytes for each transaction that fits into a block.
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

/// The objects that were requested and have not arrived.
///
/// They determine which large payloads are kept, so that an unrequested payload cannot fill the
/// memory. An object is late if its request ended before it arrived, for example by a timeout. A
/// large payload that arrives late is treated like an unrequested one.
///
/// A peer does not know the limits of this side for most answers, and an SV Node ignores them for
/// `notfound`. If a payload above the limit of its command may answer a request, also a late one, it
/// is discarded while it arrives, up to a maximum:
///
/// | request | answer | maximum in bytes |
/// | --- | --- | --- |
/// | any object | `notfound` | that of a list with all objects |
/// | a transaction | `tx`, `datareftx` | 1,000,000,000 |
/// | a block in any form | `block`, `merkleblock`, `cmpctblock`, `blocktxn`, `hdrsen` | 2^63 - 1 |
///
/// The longest `headers` and `addr` that the protocol allows are always within the limits. The
/// default expects nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpectedPayloads {
    /// Whether blocks in any form were requested: `block`, `merkleblock`, `cmpctblock`, `blocktxn`,
    /// `hdrsen`.
    pub blocks: bool,
    /// Whether transactions were requested: `tx`, `datareftx`.
    pub transactions: bool,
    /// Whether a `cmpctblock` was sent, which a `getblocktxn` may follow.
    pub compact_block_sent: bool,
    /// The number of objects that were requested and have not arrived, without late ones. A
    /// `notfound` may list all of them.
    pub objects: u64,
    /// The number of late blocks in any form.
    pub late_blocks: u64,
    /// The number of late transactions.
    pub late_transactions: u64,
}

impl ExpectedPayloads {
    /// Everything was requested.
    pub const ALL: Self = Self {
        blocks: true,
        transactions: true,
        compact_block_sent: true,
        objects: u64::MAX,
        late_blocks: u64::MAX,
        late_transactions: u64::MAX,
    };

    /// Returns the maximum payload of a message that may answer a request, in bytes, or 0 if the
    /// message answers none.
    pub(super) fn answer_limit(&self, kind: Option<MessageKind>) -> u64 {
        use MessageKind::*;
        let node = PayloadLimits::default();
        let late = self.late_blocks.saturating_add(self.late_transactions);
        let objects = self.objects.saturating_add(late);
        let blocks = self.blocks || self.late_blocks > 0;
        let transactions = self.transactions || self.late_transactions > 0;
        match kind {
            Some(NotFound) if objects > 0 => objects
                .saturating_mul(Inventory::LEN as u64)
                .saturating_add(MAX_COUNT_LEN),
            Some(Tx | DatarefTx) if transactions => node.transaction,
            Some(Block | MerkleBlock | CompactBlock | BlockTransactions | HdrsEn) if blocks => {
                node.block
            }
            _ => 0,
        }
    }
}

impl Default for PayloadLimits {
    /// Returns the node's defaults where it has any; see the fields.
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
    use crate::wire::Message;

    #[test]
    fn default_limits_match_the_node() {
        let limits = PayloadLimits::default();
        let limit = |name| limits.limit(Command::new(name));
        assert_eq!(limit("protoconf"), 1_048_576);
        assert_eq!(limit("tx"), 1_000_000_000);
        assert_eq!(limit("inv"), 2_097_152);
        assert_eq!(limit("foobar"), 2_097_152);
        assert_eq!(limit("block"), (1 << 63) - 1);
        assert_eq!(limit("getblocktxn"), 257_396_428_935_482_156);
    }

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    /// Returns the length of the longest useful payload of a command that nothing requested, and
    /// the maximum that may be kept of it.
    fn unrequested(command: Command) -> (u64, u64) {
        match command.name() {
            // 58,254 entries, as announced by the default `protoconf`.
            "inv" | "getdata" => (2 * MIB - 8, 2 * MIB),
            // Announced without a request, at most as large as usual blocks and transactions.
            "block" | "cmpctblock" | "hdrsen" | "tx" => (500_000, MIB),
            // Sent on request only.
            "blocktxn" | "datareftx" => (0, MIB),
            "merkleblock" | "notfound" | "getblocktxn" => (0, 64 * KIB),
            "headers" => (3 + 2000 * 81, 256 * KIB),
            "addr" => (3 + 1000 * 30, 64 * KIB),
            // A locator of 500 hashes.
            "getblocks" | "getheaders" | "gethdrsen" => (4 + 3 + 501 * 32, 64 * KIB),
            "filterload" => (3 + 36_000 + 9, 64 * KIB),
            "filteradd" => (3 + 520, 64 * KIB),
            "version" => (86 + 3 + 256 + 5 + 130, 64 * KIB),
            "protoconf" => (1 + 4 + 3 + 650, 64 * KIB),
            "revokemid" => (4 + 3 * 33 + 3 + 512, 64 * KIB),
            "reject" => (13 + 1 + 112 + 32, 64 * KIB),
            "createstrm" => (130 + 1 + 65, 64 * KIB),
            "streamack" => (130 + 1, 64 * KIB),
            "alert" => (1000, 64 * KIB),
            "authch" => (40, 64 * KIB),
            "authresp" => (34 + 8 + 73, 64 * KIB),
            // Two chains of 1,000 headers, each with a transaction.
            "dsdetected" => (2 * (1000 * 80 + 100_000), MIB),
            "verack" | "getaddr" | "sendheaders" | "sendhdrsen" | "filterclear" | "ping"
            | "pong" | "sendcmpct" | "feefilter" | "mempool" => (9, 64 * KIB),
            other => panic!("{other}: which payloads are useful?"),
        }
    }

    #[test]
    fn every_command_has_proportionate_unrequested_limit() {
        let limits = PayloadLimits::default();
        let nothing = ExpectedPayloads::default();
        for &command in Message::COMMANDS {
            let kept = limits.kept_limit(command, nothing);
            let (useful, max) = unrequested(command);
            assert!(useful <= kept && kept <= max, "{command}: {kept}");
            assert!(kept <= limits.limit(command), "{command}");
        }
        let unknown = Command::new("foobar");
        assert_eq!(limits.kept_limit(unknown, nothing), 2 * MIB);
    }

    #[test]
    fn expected_payload_is_kept_up_to_buffered() {
        let limits = PayloadLimits::default();
        let nothing = ExpectedPayloads::default();
        let blocks = ExpectedPayloads {
            blocks: true,
            ..nothing
        };
        let transactions = ExpectedPayloads {
            transactions: true,
            ..nothing
        };
        let objects = ExpectedPayloads {
            objects: 1,
            ..nothing
        };
        let compact_block = ExpectedPayloads {
            compact_block_sent: true,
            ..nothing
        };
        for (names, expected, max) in [
            (
                &["block", "cmpctblock", "blocktxn", "hdrsen"][..],
                blocks,
                32 * MIB,
            ),
            (&["merkleblock"], blocks, 2 * MIB),
            (&["tx", "datareftx"], transactions, 32 * MIB),
            (&["notfound"], objects, 2 * MIB),
            (&["getblocktxn"], compact_block, MIB),
        ] {
            for name in names {
                let command = Command::new(name);
                assert_eq!(limits.kept_limit(command, expected), max, "{name}");
                // Nothing else raises the limit.
                for other in [blocks, transactions, objects, compact_block] {
                    let kept = limits.kept_limit(command, other);
                    assert!(other == expected || kept < max, "{name}");
                }
            }
        }
        let limits = PayloadLimits {
            buffered: 10,
            ..limits
        };
        for &command in Message::COMMANDS {
            assert_eq!(limits.kept_limit(command, ExpectedPayloads::ALL), 10);
        }
    }

    fn kind(name: &str) -> Option<MessageKind> {
        MessageKind::from_command(Command::new(name))
    }

    #[test]
    fn answer_limit_depends_on_requests() {
        let nothing = ExpectedPayloads::default();
        let all = ["notfound", "tx", "block", "merkleblock", "hdrsen"];
        for name in all {
            assert_eq!(nothing.answer_limit(kind(name)), 0, "{name}");
            assert!(ExpectedPayloads::ALL.answer_limit(kind(name)) >= 1_000_000_000);
        }
        for name in ["inv", "headers", "addr", "foobar"] {
            assert_eq!(ExpectedPayloads::ALL.answer_limit(kind(name)), 0, "{name}");
        }
        let objects = 60_000;
        let some = ExpectedPayloads { objects, ..nothing };
        assert_eq!(some.answer_limit(kind("notfound")), 9 + 60_000 * 36);
        assert_eq!(some.answer_limit(kind("tx")), 0);
    }

    #[test]
    fn late_objects_raise_only_answer_limit() {
        let limits = PayloadLimits::default();
        let nothing = ExpectedPayloads::default();
        let late = ExpectedPayloads {
            late_blocks: 1,
            late_transactions: 60_000,
            ..nothing
        };
        for &command in Message::COMMANDS {
            let kept = limits.kept_limit(command, nothing);
            assert_eq!(limits.kept_limit(command, late), kept, "{command}");
        }
        assert_eq!(late.answer_limit(kind("notfound")), 9 + 60_001 * 36);
        for name in ["tx", "datareftx", "block", "merkleblock", "hdrsen"] {
            assert!(late.answer_limit(kind(name)) >= 1_000_000_000, "{name}");
        }
    }

    #[test]
    fn protoconf_is_exempt_from_handshake_ceiling() {
        let limits = PayloadLimits::default().before_handshake();
        assert_eq!(limits.limit(Command::new("block")), 65_536);
        assert_eq!(limits.limit(Command::new("version")), 65_536);
        assert_eq!(limits.limit(Command::new("protoconf")), 1_048_576);
    }

    #[test]
    fn inventory_limits_match_protocol_document() {
        assert_eq!(inventory_limit(1_048_576), 29_126);
        assert_eq!(inventory_limit(2_097_152), 58_254);
        assert_eq!(inventory_limit(8_388_608), 233_016);
        assert_eq!(inventory_limit(0), 0);
    }
}
