//! Command-line tool that decodes frames in hexadecimal and prints them as JSON.

use std::io::{self, BufRead};
use std::process::ExitCode;

use bsv_p2p::Network;
use bsv_p2p::network::Magic;
use bsv_p2p::wire::{
    BASIC_HEADER_LEN, EXTENDED_HEADER_LEN, Encode, FrameReader, Incoming, Message, PayloadLimits,
    encode_frame,
};
use clap::Parser;
use serde::{Serialize, Serializer};
use serde_json::json;

#[path = "shared/plural.rs"]
mod plural;
mod shared;

use plural::plural;

/// Decode frames of the Bitcoin SV protocol and print one JSON object per line.
///
/// An object contains the command of the frame, all fields of the message, and `reencoded`: the
/// message encoded again, in hexadecimal. If a frame is rejected, its object contains an `error`,
/// and the exit status is 1. The output is always JSON, also without --json.
#[derive(Parser)]
#[command(name = "decode", version)]
struct Arguments {
    /// Frames in hexadecimal. Defaults to standard input, line by line.
    ///
    /// An argument or a line may contain several frames, spaces, and a leading 0x. Blank lines are
    /// ignored. A truncated frame consumes the rest of its line. The next line starts a new frame.
    hex: Option<String>,
    #[command(flatten)]
    common: shared::Common,
}

fn main() -> ExitCode {
    shared::run(decode)
}

fn decode(arguments: Arguments) -> Result<(), shared::Failure> {
    let mut output = Output {
        magic: arguments.common.network_or(Network::Mainnet).magic(),
        frames: 0,
        rejected: 0,
    };
    match arguments.hex {
        Some(frames) if frames.trim().is_empty() => {
            return Err(shared::WrongUsage("[HEX] contains no frame (see --help)".into()).into());
        }
        Some(frames) => output.line(frames.as_bytes())?,
        None => {
            for line in io::stdin().lock().split(b'\n') {
                output.line(&line?)?;
            }
        }
    }
    match output {
        Output { rejected: 0, .. } => Ok(()),
        Output {
            rejected, frames, ..
        } => Err(format!("rejected {rejected} of {}", plural(frames, "frame")).into()),
    }
}

/// Prints frames and counts them.
struct Output {
    magic: Magic,
    /// Number of frames printed, including the rejected ones.
    frames: u64,
    /// Number of rejected frames.
    rejected: u64,
}

impl Output {
    /// Prints the frames of a line. A blank line contains none.
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let bytes = match bytes(line) {
            Ok(bytes) => bytes,
            Err(error) => return self.print(Err(error)),
        };
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            // Split by length, so that a rejected frame does not affect the next one.
            let (frame, next) = rest.split_at(frame_len(rest));
            self.print(decode_frame(self.magic, frame))?;
            rest = next;
        }
        Ok(())
    }

    /// Prints and counts a decoded frame, or the error of a rejected one.
    fn print(&mut self, frame: Result<Decoded, String>) -> io::Result<()> {
        self.frames += 1;
        match frame {
            Ok(decoded) => shared::say_json("Frame", &decoded),
            Err(error) => {
                self.rejected += 1;
                shared::say_json("FrameRejected", &json!({ "error": error }))
            }
        }
    }
}

/// The printed form of a frame.
#[derive(Serialize)]
struct Decoded {
    #[serde(flatten)]
    message: Message,
    #[serde(serialize_with = "hexadecimal")]
    reencoded: Vec<u8>,
}

/// Serializes bytes as a string in hexadecimal.
fn hexadecimal<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

/// Returns the bytes of a line in hexadecimal.
///
/// Whitespace and a leading `0x` are ignored.
fn bytes(line: &[u8]) -> Result<Vec<u8>, String> {
    let mut digits = line.to_vec();
    digits.retain(|byte| !byte.is_ascii_whitespace());
    if let [b'0', b'x' | b'X', _, ..] = digits[..] {
        digits.drain(..2);
    }
    hex::decode(digits).map_err(|error| format!("not hexadecimal: {error}"))
}

/// Returns the length of the first frame in `bytes`, according to its header.
///
/// Returns the length of `bytes` if the frame is truncated.
fn frame_len(bytes: &[u8]) -> usize {
    let number = |at: usize, len: usize| {
        let bytes = bytes.get(at..at + len)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0, |number, byte| number << 8 | u64::from(*byte)),
        )
    };
    let len = if bytes
        .get(4..)
        .is_some_and(|command| command.starts_with(EXTENDED))
    {
        number(36, 8).map(|payload| payload.saturating_add(EXTENDED_HEADER_LEN as u64))
    } else {
        number(16, 4).map(|payload| payload + BASIC_HEADER_LEN as u64)
    };
    let len = len.and_then(|len| usize::try_from(len).ok());
    len.map_or(bytes.len(), |len| len.min(bytes.len()))
}

/// Prefix of the command in an extended header.
const EXTENDED: &[u8] = b"extmsg";

/// Decodes one frame with the rules for received frames.
fn decode_frame(magic: Magic, mut bytes: &[u8]) -> Result<Decoded, String> {
    let limits = PayloadLimits {
        buffered: u64::MAX, // the frame is in memory already
        ..PayloadLimits::default()
    };
    let mut frames = FrameReader::new(magic, limits);
    let len = bytes.len();
    loop {
        match frames
            .next_frame()
            .map_err(|error| shared::with_sources(&error))?
        {
            Some(Incoming::Frame(frame)) => {
                let message = Message::decode(frame.command, frame.payload).map_err(|error| {
                    format!("{}: {}", frame.command, shared::with_sources(&error))
                })?;
                let reencoded = reencode(magic, &message);
                return Ok(Decoded { message, reencoded });
            }
            Some(Incoming::Dropped(cause)) => return Err(shared::with_sources(&cause)),
            Some(Incoming::Discarded { command, len, .. }) => {
                let len = plural(len, "byte");
                return Err(format!("{command}: payload of {len} exceeds the limit"));
            }
            // A complete block is returned as a frame.
            Some(
                Incoming::BlockStart { .. } | Incoming::BlockChunk(_) | Incoming::BlockEnd { .. },
            ) => {}
            None => {
                let read = frames
                    .read_from(&mut bytes)
                    .map_err(|error| shared::with_sources(&error))?;
                if read == 0 {
                    return Err(match frames.arriving() {
                        Some((_, missing)) => {
                            format!(
                                "frame is truncated: {} of its payload missing",
                                plural(missing, "byte")
                            )
                        }
                        None => format!(
                            "frame is truncated within its header, after {}",
                            plural(len, "byte")
                        ),
                    });
                }
            }
        }
    }
}

/// Returns the encoded frame of `message`.
///
/// Returns the payload alone if the command starts with `extmsg`. A reader would take the header
/// of such a frame for an extended one.
fn reencode(magic: Magic, message: &Message) -> Vec<u8> {
    if message.command().name().as_bytes().starts_with(EXTENDED) {
        return message.encode_to_vec();
    }
    let mut frame = Vec::new();
    encode_frame(magic, message, &mut frame);
    frame
}
