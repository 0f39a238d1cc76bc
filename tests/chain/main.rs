//! The rules of block headers: real headers, each rule at its boundary, and a reference
//! implementation.

mod branch;
mod vectors;
