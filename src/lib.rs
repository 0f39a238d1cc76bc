//! A synchronous library for the Bitcoin SV peer-to-peer protocol.
