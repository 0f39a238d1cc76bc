//! Reads frames in hexadecimal and prints what they say.

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

mod shared;

/// Read frames of the Bitcoin SV protocol in hexadecimal and print each as one JSON object in a line.
///
/// An object has the frame's command, all fields of the message, and as `reencoded` the hexadecimal of the message written again.
/// A frame that is refused becomes an object with `error`, and the exit status is 1 at the end.
#[derive(Parser)]
#[command(name = "decode")]
struct Arguments {
    /// Frames in hexadecimal; without them, those of standard input, line by line.
    ///
    /// An argument or a line may have several frames one behind the other, with spaces anywhere, and may begin with 0x. A line of
    /// spaces alone has none. If a frame is cut off it takes the rest of its line for its content, and the next line goes on.
    hex: Option<String>,
    /// The network of the frames: mainnet, testnet, stn, regtest, teratestnet, tstn, or a JSON file that defines one
    #[arg(long, default_value = "mainnet", value_name = "NAME|FILE", value_parser = shared::network)]
    network: Network,
}

fn main() -> ExitCode {
    shared::run(decode)
}

fn decode(arguments: Arguments) -> Result<(), shared::Failure> {
    let mut output = Output {
        magic: arguments.network.magic(),
        frames: 0,
        refused: 0,
    };
    match arguments.hex {
        Some(frames) if frames.trim().is_empty() => {
            return Err(shared::WrongUsage("[HEX] has no frame (see --help)".into()).into());
        }
        Some(frames) => output.line(frames.as_bytes())?,
        None => {
            for line in io::stdin().lock().split(b'\n') {
                output.line(&line?)?;
            }
        }
    }
    match output {
        Output { refused: 0, .. } => Ok(()),
        Output {
            refused, frames, ..
        } => Err(format!("{refused} of {frames} frames were refused").into()),
    }
}

/// Prints frames and counts them.
struct Output {
    magic: Magic,
    frames: u64,
    refused: u64,
}

impl Output {
    /// Prints the frames of a line. A line of spaces alone has none.
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        let bytes = match bytes(line) {
            Ok(bytes) => bytes,
            Err(error) => return self.print(Err(error)),
        };
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            // One that is refused, of another network for instance, does not take the next with it.
            let (frame, behind) = rest.split_at(frame_len(rest));
            self.print(decode_frame(self.magic, frame))?;
            rest = behind;
        }
        Ok(())
    }

    fn print(&mut self, frame: Result<Decoded, String>) -> io::Result<()> {
        self.frames += 1;
        match frame {
            Ok(decoded) => shared::say_json(&decoded),
            Err(error) => {
                self.refused += 1;
                shared::say_json(&json!({ "error": error }))
            }
        }
    }
}

/// A frame as it is printed.
#[derive(Serialize)]
struct Decoded {
    #[serde(flatten)]
    message: Message,
    #[serde(serialize_with = "hexadecimal")]
    reencoded: Vec<u8>,
}

fn hexadecimal<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

/// The bytes of a line in hexadecimal, in which spaces may stand anywhere, and 0x in front.
fn bytes(line: &[u8]) -> Result<Vec<u8>, String> {
    let mut digits = line.to_vec();
    digits.retain(|byte| !byte.is_ascii_whitespace());
    if let [b'0', b'x' | b'X', _, ..] = digits[..] {
        digits.drain(..2);
    }
    hex::decode(digits).map_err(|error| format!("not hexadecimal: {error}"))
}

/// How many of `bytes` belong to the first frame: as many as its header says, or all if it is cut off.
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

/// What the command of a frame with the longer header begins with.
const EXTENDED: &[u8] = b"extmsg";

/// Reads one frame as a node does.
fn decode_frame(magic: Magic, mut bytes: &[u8]) -> Result<Decoded, String> {
    let limits = PayloadLimits {
        buffered: u64::MAX, // it is all in memory already
        ..PayloadLimits::default()
    };
    let mut frames = FrameReader::new(magic, limits);
    let len = bytes.len();
    loop {
        match frames.next_frame().map_err(|error| error.to_string())? {
            Some(Incoming::Frame(frame)) => {
                let message = Message::decode(frame.command, frame.payload)
                    .map_err(|error| format!("{}: {error}", frame.command))?;
                let reencoded = reencode(magic, &message);
                return Ok(Decoded { message, reencoded });
            }
            Some(Incoming::Dropped(cause)) => return Err(cause.to_string()),
            Some(Incoming::Discarded { command, len, .. }) => {
                return Err(format!("{command}: {len} bytes are too many"));
            }
            // Blocks are told when they are whole.
            Some(
                Incoming::BlockStart { .. } | Incoming::BlockChunk(_) | Incoming::BlockEnd { .. },
            ) => {}
            None => {
                let read = frames
                    .read_from(&mut bytes)
                    .map_err(|error| error.to_string())?;
                if read == 0 {
                    return Err(match frames.arriving() {
                        Some((_, missing)) => format!(
                            "the frame is cut off: {missing} bytes of its payload are missing"
                        ),
                        None => {
                            format!("the frame is cut off within its header, after {len} bytes")
                        }
                    });
                }
            }
        }
    }
}

/// The whole frame; the payload alone for a name that makes readers look for another header.
fn reencode(magic: Magic, message: &Message) -> Vec<u8> {
    if message.command().name().as_bytes().starts_with(EXTENDED) {
        return message.encode_to_vec();
    }
    let mut frame = Vec::new();
    encode_frame(magic, message, &mut frame);
    frame
}
