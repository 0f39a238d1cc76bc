//! Log records of a connection.

use std::fmt::{self, Display, Write};

use log::{Level, log, log_enabled};

use super::shared::Shared;
use crate::connection::inlet::{BlockPart, Next, Received};
use crate::wire::{Command, Encode, Message};

/// The log target of connections.
const TARGET: &str = "bsv_p2p::connection";
const BLOCK: Command = Command::new("block");
/// The maximum length of the logged contents of a message. An `inv` alone may have megabytes.
const MAX_CONTENTS: usize = 2_000;

/// Returns whether `level` is enabled. Cache the result when logging in a loop.
pub(super) fn wanted(shared: &Shared, level: Level) -> bool {
    shared.log_level.allows(level) && log_enabled!(target: TARGET, level)
}

/// Writes a log record with the attributes of the connection. Must not be called while the session
/// is locked.
pub(super) fn write(
    shared: &Shared,
    level: Level,
    error: Option<&dyn Display>,
    text: fmt::Arguments<'_>,
) {
    if !wanted(shared, level) {
        return;
    }
    // The session is unlocked before the logger is called, because the logger may block.
    let state = shared.session.lock().state();
    let config = shared.config();
    let network = &config.network;
    let address = shared.address;
    match error {
        None => log!(
            target: TARGET,
            level,
            peer_id:% = shared.peer_id,
            peer_address:% = address,
            direction:% = shared.direction,
            state:% = state,
            network:% = network;
            "{address}: {text}"
        ),
        Some(error) => log!(
            target: TARGET,
            level,
            peer_id:% = shared.peer_id,
            peer_address:% = address,
            direction:% = shared.direction,
            state:% = state,
            network:% = network,
            error:% = error;
            "{address}: {text}"
        ),
    }
}

/// Logs a received message, block or discarded payload.
pub(super) fn came(shared: &Shared, next: &Next) {
    match next {
        Next::Received(Received::Message(message)) => {
            message_in(shared, message.command(), message.payload_len());
            let contents = Contents(message);
            let text = format_args!("received {contents}");
            write(shared, Level::Trace, None, text);
        }
        Next::Received(Received::Discarded { command, len, .. }) => {
            let text = format_args!("discarded {command} of {len} bytes");
            write(shared, Level::Debug, None, text);
        }
        // A block that is read while it arrives is logged when it starts.
        Next::Block(BlockPart::Begins { len, .. }) => message_in(shared, BLOCK, *len),
        Next::Block(_) | Next::Handled | Next::NeedsMore => {}
    }
}

fn message_in(shared: &Shared, command: Command, len: u64) {
    let text = format_args!("received {command} of {len} bytes");
    write(shared, Level::Debug, None, text);
}

/// Logs a message that was written or queued.
pub(super) fn sent(shared: &Shared, message: &Message) {
    if !wanted(shared, Level::Debug) {
        return;
    }
    let (command, len) = (message.command(), message.encoded_len());
    let text = format_args!("sent {command} of {len} bytes");
    write(shared, Level::Debug, None, text);
    let contents = Contents(message);
    write(shared, Level::Trace, None, format_args!("sent {contents}"));
}

/// The `Debug` output of a message, cut off at the maximum length. Text of the peer is escaped.
struct Contents<'a>(&'a Message);

impl Display for Contents<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut clipped = Clipped {
            to: f,
            room: MAX_CONTENTS,
            is_full: false,
        };
        match write!(clipped, "{:?}", self.0) {
            // The error only stops the formatting.
            Err(_) if clipped.is_full => f.write_str(" ..."),
            written => written,
        }
    }
}

/// A writer that forwards up to `room` bytes and fails at the first one beyond.
struct Clipped<'a, 'f> {
    to: &'a mut fmt::Formatter<'f>,
    room: usize,
    is_full: bool,
}

impl Write for Clipped<'_, '_> {
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
    use super::*;
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
}
