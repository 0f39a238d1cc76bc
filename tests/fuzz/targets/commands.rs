//! The commands that one byte of an input selects.

use bsv_p2p::wire::Command;

/// All known commands. New ones must be appended: the position of a command is its number in the
/// stored inputs.
pub(crate) const NAMES: [&str; 38] = [
    "version",
    "verack",
    "protoconf",
    "ping",
    "pong",
    "sendheaders",
    "sendhdrsen",
    "sendcmpct",
    "feefilter",
    "getaddr",
    "addr",
    "inv",
    "getdata",
    "notfound",
    "getblocks",
    "getheaders",
    "gethdrsen",
    "headers",
    "hdrsen",
    "block",
    "tx",
    "mempool",
    "filterload",
    "filteradd",
    "filterclear",
    "merkleblock",
    "cmpctblock",
    "getblocktxn",
    "blocktxn",
    "reject",
    "alert",
    "authch",
    "authresp",
    "revokemid",
    "createstrm",
    "streamack",
    "datareftx",
    "dsdetected",
];

/// Returns the command of this number, or an unknown command after the last one.
pub(crate) fn command(number: u8) -> Command {
    let name = NAMES.get(usize::from(number % 64));
    Command::new(name.copied().unwrap_or("foobar"))
}
