//! The peer store and its file: always complete, robust against any content, safe for many threads.

mod damaged;
mod files;
mod killed;
mod samples;
mod threads;
