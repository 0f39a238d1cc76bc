//! Traffic counters.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::wire::{BASIC_HEADER_LEN, Command, EXTENDED_HEADER_LEN, Message, MessageKind};

/// The number of commands with their own counter. All other commands share one more.
const KNOWN: usize = Message::COMMANDS.len();

/// The message and byte counters of one TCP connection. Each is exact, but they are not read at the
/// same instant.
#[derive(Debug)]
pub(super) struct TrafficCounters {
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
    large_frame_bytes: AtomicU64,
    commands: [CommandCounters; KNOWN + 1],
}

#[derive(Debug, Default)]
struct CommandCounters {
    messages_received: AtomicU64,
    messages_sent: AtomicU64,
    bytes_received: AtomicU64,
    bytes_sent: AtomicU64,
}

impl Default for TrafficCounters {
    fn default() -> Self {
        Self {
            bytes_received: AtomicU64::default(),
            bytes_sent: AtomicU64::default(),
            large_frame_bytes: AtomicU64::default(),
            commands: std::array::from_fn(|_| CommandCounters::default()),
        }
    }
}

/// The numbers of messages and bytes received and sent, on a connection or of one command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct TrafficStats {
    /// The number of complete frames received, including discarded ones.
    pub messages_received: u64,
    /// The number of messages sent or queued.
    pub messages_sent: u64,
    /// The number of bytes received, including frame headers. For one command, complete frames
    /// only.
    pub bytes_received: u64,
    /// The number of bytes handed to the operating system, including frame headers. For one
    /// command, queued bytes are included.
    pub bytes_sent: u64,
}

impl TrafficStats {
    /// Returns the sum of both.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            messages_received: self.messages_received + other.messages_received,
            messages_sent: self.messages_sent + other.messages_sent,
            bytes_received: self.bytes_received + other.bytes_received,
            bytes_sent: self.bytes_sent + other.bytes_sent,
        }
    }
}

/// The traffic of one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct CommandTraffic {
    /// The command, or [`CommandTraffic::OTHERS`] for all commands without a message type of this
    /// library.
    pub command: Command,
    /// The numbers of messages and bytes.
    pub traffic: TrafficStats,
}

impl CommandTraffic {
    /// The placeholder for all commands without a message type of this library. A node uses the
    /// same name in `getpeerinfo`.
    pub const OTHERS: Command = Command::new("*other*");

    /// Returns the sum of several lists, with one entry for each command.
    pub(super) fn sum(lists: impl IntoIterator<Item = Vec<Self>>) -> Vec<Self> {
        let mut sum: Vec<Self> = Vec::new();
        for more in lists.into_iter().flatten() {
            match sum.iter_mut().find(|one| one.command == more.command) {
                Some(one) => one.traffic = one.traffic.plus(more.traffic),
                None => sum.push(more),
            }
        }
        sum
    }
}

impl TrafficCounters {
    /// Counts a complete frame. Commands without a number are counted together.
    ///
    /// Only one thread at a time may call it: the one that reads the connection.
    pub(super) fn add_message_in(&self, number: Option<MessageKind>, payload_len: u64) {
        let counters = self.of(number);
        add_alone(&counters.messages_received, 1);
        add_alone(&counters.bytes_received, frame_len(payload_len));
    }

    pub(super) fn add_message_out(&self, command: Command, frame_len: usize) {
        let counters = self.of(MessageKind::from_command(command));
        counters.messages_sent.fetch_add(1, Relaxed);
        counters.bytes_sent.fetch_add(frame_len as u64, Relaxed);
    }

    pub(super) fn add_bytes_in(&self, bytes: usize) {
        add_alone(&self.bytes_received, bytes as u64);
    }

    /// Counts bytes that were received in the middle of a large frame.
    pub(super) fn add_large_frame_bytes(&self, bytes: usize) {
        add_alone(&self.large_frame_bytes, bytes as u64);
    }

    /// Returns the number of bytes that were received in the middle of large frames. It grows only
    /// while a large frame is arriving.
    pub(super) fn large_frame_bytes(&self) -> u64 {
        self.large_frame_bytes.load(Relaxed)
    }

    pub(super) fn add_bytes_out(&self, bytes: usize) {
        self.bytes_sent.fetch_add(bytes as u64, Relaxed);
    }

    /// Returns the totals of all commands.
    pub(super) fn snapshot(&self) -> TrafficStats {
        let sum = |number: fn(&CommandCounters) -> &AtomicU64| {
            let numbers = self.commands.iter().map(number);
            numbers.map(|number| number.load(Relaxed)).sum()
        };
        TrafficStats {
            messages_received: sum(|counters| &counters.messages_received),
            messages_sent: sum(|counters| &counters.messages_sent),
            bytes_received: self.bytes_received.load(Relaxed),
            bytes_sent: self.bytes_sent.load(Relaxed),
        }
    }

    /// Returns the traffic of each command that was sent or received.
    pub(super) fn by_command(&self) -> Vec<CommandTraffic> {
        let names = Message::COMMANDS.iter().chain([&CommandTraffic::OTHERS]);
        let each = names.zip(&self.commands).map(|(command, counters)| {
            let traffic = TrafficStats {
                messages_received: counters.messages_received.load(Relaxed),
                messages_sent: counters.messages_sent.load(Relaxed),
                bytes_received: counters.bytes_received.load(Relaxed),
                bytes_sent: counters.bytes_sent.load(Relaxed),
            };
            CommandTraffic {
                command: *command,
                traffic,
            }
        });
        each.filter(|each| each.traffic != TrafficStats::default())
            .collect()
    }

    fn of(&self, number: Option<MessageKind>) -> &CommandCounters {
        &self.commands[number.map_or(KNOWN, |number| number as usize)]
    }
}

/// Adds to a counter that has a single writer. Cheaper than an atomic addition.
fn add_alone(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(more), Relaxed);
}

/// Returns the length of a frame. A peer could use the extended header for a short payload, but no
/// node does.
fn frame_len(payload_len: u64) -> u64 {
    let header = if payload_len > u64::from(u32::MAX) {
        EXTENDED_HEADER_LEN
    } else {
        BASIC_HEADER_LEN
    };
    payload_len.saturating_add(header as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_commands_are_counted_together() {
        let counters = TrafficCounters::default();
        let ping = Command::new("ping");
        counters.add_message_in(MessageKind::from_command(ping), 8);
        counters.add_message_in(MessageKind::from_command(Command::new("foo")), 1);
        counters.add_message_in(None, 2);
        counters.add_message_out(ping, 32);
        counters.add_message_out(ping, 32);
        let ping = CommandTraffic {
            command: ping,
            traffic: TrafficStats {
                messages_received: 1,
                messages_sent: 2,
                bytes_received: 32,
                bytes_sent: 64,
            },
        };
        let others = CommandTraffic {
            command: CommandTraffic::OTHERS,
            traffic: TrafficStats {
                messages_received: 2,
                bytes_received: 51,
                ..TrafficStats::default()
            },
        };
        assert_eq!(counters.by_command(), [ping, others]);
        assert_eq!(counters.snapshot().messages_received, 3);
        assert_eq!(counters.snapshot().messages_sent, 2);
    }

    #[test]
    fn known_commands_have_distinct_numbers() {
        for (at, command) in Message::COMMANDS.iter().enumerate() {
            let number = MessageKind::from_command(*command);
            assert_eq!(number.map(|number| number as usize), Some(at));
        }
        assert_eq!(MessageKind::from_command(Command::new("foo")), None);
    }
}
