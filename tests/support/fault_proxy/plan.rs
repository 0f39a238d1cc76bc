//! What is to happen to the bytes of one connection.

use std::time::Duration;

use crate::seeded::Seeded;

/// Faults for both directions, in the order of their offsets.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultPlan {
    pub(crate) to_target: Vec<Fault>,
    pub(crate) to_dialler: Vec<Fault>,
}

/// Something that happens before the byte at `at` is passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// How many bytes the sender has sent before.
    pub(crate) at: u64,
    pub(crate) kind: FaultKind,
}

/// What happens. Lengths are in bytes from there on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// What comes at once is held back for a while.
    Latency { delay: Duration, len: u64 },
    /// The bytes come slowly.
    Bandwidth { bytes_per_second: u64, len: u64 },
    /// Each byte is sent in a segment of its own.
    SingleBytes { len: u64 },
    /// Both ends are reset.
    Reset,
    /// The receiver is told that nothing more comes; what the sender still sends is swallowed.
    HalfClose,
    /// Nothing is passed on any more, nor read; the sockets stay open.
    Stall,
    /// Both ends are closed.
    Truncate,
    /// A bit of the byte is turned round.
    Flip { bit: u8 },
    /// Bytes come before it that nobody has sent.
    Insert { bytes: Vec<u8> },
    /// Bytes are left out.
    Remove { len: u64 },
    /// Bytes come twice.
    Duplicate { len: u64 },
}

impl FaultKind {
    /// Whether every byte arrives all the same, only later.
    pub(crate) fn is_harmless(&self) -> bool {
        matches!(
            self,
            FaultKind::Latency { .. } | FaultKind::Bandwidth { .. } | FaultKind::SingleBytes { .. }
        )
    }

    /// Whether other bytes arrive than were sent.
    pub(crate) fn corrupts(&self) -> bool {
        matches!(
            self,
            FaultKind::Flip { .. }
                | FaultKind::Insert { .. }
                | FaultKind::Remove { .. }
                | FaultKind::Duplicate { .. }
        )
    }

    /// The name without the details.
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
/// Most faults come before so many bits' worth of bytes: 4 MiB.
const OFFSET_BITS: u32 = 22;

impl FaultPlan {
    /// A plan that `seed` decides: at most one fault that is not harmless, and up to two in each direction that are.
    pub(crate) fn from_seed(seed: u64) -> Self {
        let random = &mut Seeded(seed);
        let mut plan = Self::default();
        for faults in [&mut plan.to_target, &mut plan.to_dialler] {
            for _ in 0..random.below(3) {
                faults.push(Fault {
                    at: offset(random),
                    kind: harmless(random),
                });
            }
        }
        // One in eight stays harmless.
        if random.below(8) > 0 {
            let fault = Fault {
                at: offset(random),
                kind: harmful(random),
            };
            let way = random.below(2);
            [&mut plan.to_target, &mut plan.to_dialler][way].push(fault);
        }
        for faults in [&mut plan.to_target, &mut plan.to_dialler] {
            faults.sort_by_key(|fault| fault.at);
        }
        plan
    }

    /// The one fault that is not harmless, if there is one.
    pub(crate) fn harm(&self) -> Option<&FaultKind> {
        let mut kinds = self.to_target.iter().chain(&self.to_dialler);
        kinds
            .find(|fault| !fault.kind.is_harmless())
            .map(|fault| &fault.kind)
    }
}

/// Half of them in the handshake and what follows it, half anywhere.
fn offset(random: &mut Seeded) -> u64 {
    match random.below(2) {
        0 => random.below(OPENING) as u64,
        _ => random.of_any_size(OFFSET_BITS),
    }
}

fn harmless(random: &mut Seeded) -> FaultKind {
    match random.below(3) {
        0 => FaultKind::Latency {
            delay: Duration::from_millis(1 + random.below(20) as u64),
            len: random.of_any_size(19),
        },
        1 => {
            let bytes_per_second = 20_000 << random.below(8);
            FaultKind::Bandwidth {
                bytes_per_second,
                // A quarter of a second at most.
                len: random.next() % (bytes_per_second / 4),
            }
        }
        _ => FaultKind::SingleBytes {
            len: random.of_any_size(11),
        },
    }
}

fn harmful(random: &mut Seeded) -> FaultKind {
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
            bytes: (0..len.min(32)).map(|_| random.next() as u8).collect(),
        },
        8 => FaultKind::Remove { len },
        _ => FaultKind::Duplicate { len },
    }
}
