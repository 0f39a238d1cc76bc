//! Frames: the header in front of every payload, read as bytes arrive and written in one go.

mod encoder;
mod header;
mod payload;
mod reader;

pub use encoder::{EncodedFrame, encode_frame};
use header::FrameHeader;
pub use header::{BASIC_HEADER_LEN, EXTENDED_HEADER_LEN, ForeignMagic};
pub use payload::{BLOCK_CHUNK, SMALL_FRAME};
pub(crate) use reader::Found;
pub use reader::{DropCause, Frame, FrameError, FrameReader, Incoming};
