//! The frames of the protocol: a header followed by a payload.

mod buffer_pool;
mod encoder;
mod header;
mod payload;
mod reader;

pub(crate) use buffer_pool::BufferPool;
pub use encoder::{EncodedFrame, encode_frame};
use header::FrameHeader;
pub use header::{BASIC_HEADER_LEN, EXTENDED_HEADER_LEN, MagicMismatch};
pub use payload::{BLOCK_CHUNK, COPY_THRESHOLD};
pub(crate) use reader::Found;
pub use reader::{Frame, FrameDropReason, FrameError, FrameReader, Incoming};
