//! The faults planned for one connection.

use std::time::Duration;

use test_support::SeededRandom;

/// Faults for both directions, in the order of their offsets.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultPlan {
    pub(crate) to_target: Vec<Fault>,
    pub(crate) to_dialer: Vec<Fault>,
}

/// A fault that occurs before the byte at `at` is forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The number of bytes sent before.
    pub(crate) at: u64,
    pub(crate) kind: FaultKind,
}

/// The kind of a fault. Lengths are in bytes from its offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// Bytes that arrive are delayed.
    Latency { delay: Duration, len: u64 },
    /// The bytes are forwarded slowly.
    Bandwidth { bytes_per_second: u64, len: u64 },
    /// Each byte is sent in its own segment.
    SingleBytes { len: u64 },
    /// Both ends are reset.
    Reset,
    /// The receiver sees the end of the stream. Later bytes of the sender are discarded.
    HalfClose,
    /// Nothing is read or forwarded any more. The sockets stay open.
    Stall,
    /// Both ends are closed.
    Truncate,
    /// A bit of the byte is flipped.
    Flip { bit: u8 },
    /// Extra bytes are inserted before the offset.
    Insert { bytes: Vec<u8> },
    /// Bytes are removed.
    Remove { len: u64 },
    /// Bytes are forwarded twice.
    Duplicate { len: u64 },
}

impl FaultKind {
    /// Returns whether every byte arrives, only later.
    pub(crate) fn is_harmless(&self) -> bool {
        matches!(
            self,
            FaultKind::Latency { .. } | FaultKind::Bandwidth { .. } | FaultKind::SingleBytes { .. }
        )
    }

    /// Returns whether other bytes arrive than were sent.
    pub(crate) fn corrupts(&self) -> bool {
        matches!(
            self,
            FaultKind::Flip { .. }
                | FaultKind::Insert { .. }
                | FaultKind::Remove { .. }
                | FaultKind::Duplicate { .. }
        )
    }

    /// Returns the name without the details.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            FaultKind::Latency { .. } => "latency",
            FaultKind::Bandwidth { .. } => "bandwidth",
            FaultKind::SingleBytes { .. } => "single bytes",
            FaultKind::Reset => "reset",
            FaultKind::HalfClose => "half-close",
            FaultKind::Stall => "stall",
            FaultKind::Truncate => "truncation",
            FaultKind::Flip { .. } => "bit flip",
            FaultKind::Insert { .. } => "insertion",
            FaultKind::Remove { .. } => "removal",
            FaultKind::Duplicate { .. } => "duplication",
        }
    }
}

/// A handshake and a few short messages are shorter than this.
const OPENING: usize = 700;
/// Most faults are within this number of bits: 4 MiB.
const OFFSET_BITS: u32 = 22;

impl FaultPlan {
    /// Creates the plan of `seed`: at most one harmful fault, and up to two harmless ones in each
    /// direction.
    pub(crate) fn from_seed(seed: u64) -> Self {
        let random = &mut SeededRandom::new(seed);
        let mut plan = Self::default();
        for faults in [&mut plan.to_target, &mut plan.to_dialer] {
            for _ in 0..random.below(3) {
                faults.push(Fault {
                    at: offset(random),
                    kind: harmless(random),
                });
            }
        }
        // One in eight plans has no harmful fault.
        if random.below(8) > 0 {
            let fault = Fault {
                at: offset(random),
                kind: harmful(random),
            };
            let way = random.below(2);
            [&mut plan.to_target, &mut plan.to_dialer][way].push(fault);
        }
        for faults in [&mut plan.to_target, &mut plan.to_dialer] {
            faults.sort_by_key(|fault| fault.at);
        }
        plan
    }

    /// Returns the harmful fault, if any.
    pub(crate) fn harm(&self) -> Option<&FaultKind> {
        let mut kinds = self.to_target.iter().chain(&self.to_dialer);
        kinds
            .find(|fault| !fault.kind.is_harmless())
            .map(|fault| &fault.kind)
    }
}

/// Returns an offset: half of them in the handshake and shortly after it, half anywhere.
fn offset(random: &mut SeededRandom) -> u64 {
    match random.below(2) {
        0 => random.below(OPENING) as u64,
        _ => random.of_any_size(OFFSET_BITS),
    }
}

fn harmless(random: &mut SeededRandom) -> FaultKind {
    match random.below(3) {
        0 => FaultKind::Latency {
            delay: Duration::from_millis(1 + random.below(20) as u64),
            len: random.of_any_size(19),
        },
        1 => {
            let bytes_per_second = 20_000 << random.below(8);
            FaultKind::Bandwidth {
                bytes_per_second,
                // At most a quarter of a second.
                len: random.next_u64() % (bytes_per_second / 4),
            }
        }
        _ => FaultKind::SingleBytes {
            len: random.of_any_size(11),
        },
    }
}

fn harmful(random: &mut SeededRandom) -> FaultKind {
    let len = 1 + random.of_any_size(8);
    match random.below(10) {
        0 => FaultKind::Reset,
        1 => FaultKind::HalfClose,
        2 => FaultKind::Stall,
        3 => FaultKind::Truncate,
        4..7 => FaultKind::Flip {
            bit: random.below(8) as u8,
        },
        7 => FaultKind::Insert {
            bytes: (0..len.min(32)).map(|_| random.next_u64() as u8).collect(),
        },
        8 => FaultKind::Remove { len },
        _ => FaultKind::Duplicate { len },
    }
}
