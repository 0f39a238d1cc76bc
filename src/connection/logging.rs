//! Log records of a connection.

use std::fmt::{self, Display, Write};

use log::Level;

use super::message_reader::{BlockPart, ReadOutcome, Received};
use crate::log_level::LogLevel;
use crate::log_record::{self, Component, LogRecord};
use crate::wire::{Command, Encode, Message};

const BLOCK: Command = Command::new("block");
/// The maximum length of the logged contents of a message. An `inv` alone may have megabytes.
const MAX_CONTENTS: usize = 2_000;

/// A connection that writes log records.
pub(super) trait Logged {
    /// Returns the maximum level that the owner configured, if any.
    fn log_limit(&self) -> Option<&LogLevel>;

    /// Adds the fields of the connection to a record that will be written.
    fn add_fields(&self, record: LogRecord<'static>) -> LogRecord<'static>;

    /// Returns whether records of this level are written. A caller can check it once for several
    /// messages.
    fn logs(&self, level: Level) -> bool {
        log_record::is_enabled(Component::Connection, level, self.log_limit())
    }

    /// Creates a record about the connection, with its fields. Must not be called while the session
    /// is locked.
    fn log(&self, level: Level) -> LogRecord<'static> {
        let record = LogRecord::new(Component::Connection, level, self.log_limit());
        if record.is_enabled() {
            self.add_fields(record)
        } else {
            record
        }
    }
}

/// Logs a received message, block or discarded payload.
pub(super) fn log_received(connection: &impl Logged, next: &ReadOutcome) {
    match next {
        ReadOutcome::Received(Received::Message(message)) => {
            let command = message.command();
            message_in(connection, command, message.payload_len());
            let contents = Contents(message);
            let record = connection.log(Level::Trace).command(command);
            record.write(format_args!("received {contents}"));
        }
        ReadOutcome::Received(Received::Discarded { command, len, .. }) => {
            let record = connection.log(Level::Debug).command(*command);
            record.write(format_args!("discarded {command} of {len} bytes"));
        }
        // A block that is read while it arrives is logged when it starts.
        ReadOutcome::Block(BlockPart::Start { len, .. }) => message_in(connection, BLOCK, *len),
        ReadOutcome::Block(_)
        | ReadOutcome::Handled
        | ReadOutcome::NeedsMemory
        | ReadOutcome::NeedsMore => {}
    }
}

fn message_in(connection: &impl Logged, command: Command, len: u64) {
    let record = connection.log(Level::Debug).command(command);
    record.write(format_args!("received {command} of {len} bytes"));
}

/// Logs a message that was written or queued.
pub(super) fn log_sent(connection: &impl Logged, message: &Message) {
    if !connection.logs(Level::Debug) {
        return;
    }
    let (command, len) = (message.command(), message.encoded_len());
    let record = connection.log(Level::Debug).command(command);
    record.write(format_args!("sent {command} of {len} bytes"));
    let contents = Contents(message);
    let record = connection.log(Level::Trace).command(command);
    record.write(format_args!("sent {contents}"));
}

/// The `Debug` output of a message, cut off at the maximum length. Text of the peer is escaped.
struct Contents<'a>(&'a Message);

impl Display for Contents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut truncated = Truncated {
            to: f,
            room: MAX_CONTENTS,
            is_full: false,
        };
        match write!(truncated, "{:?}", self.0) {
            // The error only stops the formatting.
            Err(_) if truncated.is_full => f.write_str(" ..."),
            written => written,
        }
    }
}

/// A writer that forwards up to `room` bytes and fails at the first one beyond.
struct Truncated<'a, 'f> {
    to: &'a mut fmt::Formatter<'f>,
    room: usize,
    is_full: bool,
}

impl Write for Truncated<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.floor_char_boundary(self.room);
        self.to.write_str(&text[..fits])?;
        self.room -= fits;
        self.is_full = fits < text.len();
        if self.is_full {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use allocation_counter::measure;
    use log::LevelFilter;

    use super::*;
    use crate::event::SharedMessage;
    use crate::wire::{Inv, Inventory, Reject, RejectCode, Txid};

    #[test]
    fn long_contents_are_truncated() {
        let reject = Message::from(Reject::new("tx", RejectCode::INVALID, "no\n\u{1b}[2J\"é"));
        let contents = Contents(&reject).to_string();
        assert_eq!(contents, format!("{reject:?}"));
        assert!(contents.bytes().all(|byte| matches!(byte, b' '..=b'~')));
        let inventory = vec![Inventory::Tx(Txid([7; 32])); 50_000];
        let contents = Contents(&Inv::from(inventory).into()).to_string();
        assert_eq!(contents.len(), MAX_CONTENTS + 4);
        assert!(contents.starts_with("Inv(Inv { inventory: ["), "{contents}");
        assert!(contents.ends_with(" ..."), "{contents}");
    }

    /// A connection whose log level is disabled.
    struct Silent(Option<LogLevel>);

    impl Logged for Silent {
        fn log_limit(&self) -> Option<&LogLevel> {
            self.0.as_ref()
        }

        fn add_fields(&self, _: LogRecord<'static>) -> LogRecord<'static> {
            panic!("a disabled record has no fields");
        }
    }

    #[test]
    fn disabled_message_records_allocate_nothing() {
        let inventory = vec![Inventory::Tx(Txid([7; 32])); 50_000];
        let message = Message::from(Inv::from(inventory));
        let shared = SharedMessage::new(message.clone(), 1);
        let next = ReadOutcome::Received(Received::Message(shared));
        for limit in [None, Some(LogLevel::new(LevelFilter::Info))] {
            let connection = Silent(limit);
            let counted = measure(|| {
                log_received(&connection, &next);
                log_sent(&connection, &message);
            });
            assert_eq!(counted.count_total, 0, "{counted:?}");
        }
    }
}
