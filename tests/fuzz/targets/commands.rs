//! The names that one byte of an input chooses among.

use bsv_p2p::wire::Command;

/// All known commands. New ones go to the end: the place of a name is its number in the inputs that are kept.
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

/// The command of that number; one that nobody knows for a number behind the last name.
pub(crate) fn command(number: u8) -> Command {
    let name = NAMES.get(usize::from(number % 64));
    Command::new(name.copied().unwrap_or("foobar"))
}
