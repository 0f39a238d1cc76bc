//! hostile_streams
