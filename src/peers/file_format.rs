//! The format of the store's file: one JSON document.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, Write};
use std::marker::PhantomData;
use std::time::SystemTime;

use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::json_limits::LimitedJson;
use super::serde_repr::{BanEntry, PeerEntry};
use super::{Ban, BanList, Peer};
use crate::network::{Network, UnknownNetwork, is_network_name};
use crate::wire::BlockHash;

/// The version of the format.
pub(super) const VERSION: u64 = 1;

/// The maximum number of peers in a file.
pub(super) const MAX_PEERS: usize = 50_000;

/// The maximum size of a peer in the file, in bytes. A test checks it.
const MAX_PEER_BYTES: usize = 2560;
/// The maximum size of a ban in the file, in bytes. A test checks it.
const MAX_BAN_BYTES: usize = 256;

/// The maximum size of a file, in bytes.
pub(super) const MAX_BYTES: u64 =
    (MAX_PEERS * MAX_PEER_BYTES + BanList::MAX_BANS * MAX_BAN_BYTES + 1024) as u64;

/// The length at which the description of an error is cut, in bytes.
const MAX_ERROR_LEN: usize = 200;

/// The reason why a file could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// A system call failed.
    Io(io::Error),
    /// The file belongs to this network; see [`identity`].
    Network(String),
    /// The file has this later version.
    Version(u64),
    /// The content is invalid for this reason.
    Corrupt(String),
}

/// The fields that are read first. They must not change in later versions.
#[derive(Deserialize)]
struct FileHeader {
    version: u64,
    network: String,
}

#[derive(Deserialize)]
struct FileBody {
    peers: BoundedSeq<PeerEntry, MAX_PEERS>,
    bans: BoundedSeq<BanEntry, { BanList::MAX_BANS }>,
}

#[derive(Serialize)]
struct PeerFile {
    version: u64,
    network: String,
    peers: Vec<PeerEntry>,
    bans: Vec<BanEntry>,
}

pub(super) fn write(
    writer: &mut impl Write,
    network: &Network,
    peers: Vec<Peer>,
    bans: Vec<Ban>,
) -> io::Result<()> {
    let content = PeerFile {
        version: VERSION,
        network: identity(network),
        peers: peers.into_iter().map(PeerEntry).collect(),
        bans: bans.into_iter().map(BanEntry).collect(),
    };
    serde_json::to_writer(&mut *writer, &content)?;
    writer.write_all(b"\n")
}

pub(super) fn read(
    file: &mut File,
    network: &Network,
    now: SystemTime,
) -> Result<(Vec<Peer>, Vec<Ban>), ReadError> {
    let len = file.metadata().map_err(ReadError::Io)?.len();
    if len > MAX_BYTES {
        return Err(ReadError::Corrupt(format!(
            "expected at most {MAX_BYTES} bytes, got {len}"
        )));
    }
    let header: FileHeader = parse(file)?;
    if header.network != identity(network) {
        return Err(if is_identity(&header.network) {
            ReadError::Network(header.network)
        } else {
            corrupt(&UnknownNetwork(header.network))
        });
    }
    if header.version > VERSION {
        return Err(ReadError::Version(header.version));
    }
    let body: FileBody = parse(file)?;
    let peers = checked(body.peers.entries, now)?;
    let bans = body.bans.entries.into_iter().map(|BanEntry(ban)| ban);
    Ok((peers, bans.collect()))
}

/// Returns the text that names a network in a file. Custom networks may have equal names, so magic
/// and genesis block follow.
fn identity(network: &Network) -> String {
    match network {
        Network::Custom(_) => {
            let (magic, genesis) = (network.magic(), network.genesis_header().hash());
            format!("{network} {magic} {genesis}")
        }
        builtin => builtin.name().to_owned(),
    }
}

/// Returns whether a text can be the [`identity`] of a network.
fn is_identity(text: &str) -> bool {
    let mut words = text.split(' ');
    let custom = [words.next(), words.next(), words.next(), words.next()];
    match custom {
        [Some(name), None, ..] => name.parse::<Network>().is_ok(),
        [Some(name), Some(magic), Some(genesis), None] => {
            is_network_name(name)
                && magic.len() == 8
                && magic.bytes().all(|byte| byte.is_ascii_hexdigit())
                && genesis.parse::<BlockHash>().is_ok()
        }
        _ => false,
    }
}

/// Reads the file from its start. Ignores bytes above the limit that another process appends.
fn parse<T: DeserializeOwned>(file: &mut File) -> Result<T, ReadError> {
    file.rewind().map_err(ReadError::Io)?;
    let reader = LimitedJson::new(file.take(MAX_BYTES));
    serde_json::from_reader(BufReader::new(reader)).map_err(|error| {
        match error.io_error_kind() {
            // `InvalidData` comes from `LimitedJson`.
            None | Some(io::ErrorKind::InvalidData) => corrupt(&error),
            Some(kind) => ReadError::Io(kind.into()),
        }
    })
}

/// Returns the peers, with future times replaced by `now`.
///
/// Fails if an id or an address occurs twice.
fn checked(entries: Vec<PeerEntry>, now: SystemTime) -> Result<Vec<Peer>, ReadError> {
    let (mut ids, mut addresses) = (HashSet::new(), HashSet::new());
    let mut peers = Vec::with_capacity(entries.len());
    for PeerEntry(mut peer) in entries {
        if !ids.insert(peer.id) || !addresses.insert(peer.socket_address()) {
            let reason = format!(
                "peer {} at {} is stored twice",
                peer.id,
                peer.socket_address()
            );
            return Err(ReadError::Corrupt(reason));
        }
        peer.status_timestamp = peer.status_timestamp.min(now);
        peer.last_seen = peer.last_seen.min(now);
        peer.last_tried = peer.last_tried.map(|time| time.min(now));
        peer.last_connected = peer.last_connected.map(|time| time.min(now));
        peers.push(peer);
    }
    Ok(peers)
}

/// Returns an error with the start of a message as one line of printable ASCII. The message may
/// quote the file.
fn corrupt(error: &dyn fmt::Display) -> ReadError {
    let mut reason = String::new();
    for character in error.to_string().chars() {
        if reason.len() >= MAX_ERROR_LEN {
            break;
        }
        match character {
            ' '..='~' => reason.push(character),
            _ => reason.extend(character.escape_default()),
        }
    }
    ReadError::Corrupt(reason)
}

/// A list with a bounded number of entries.
struct BoundedSeq<T, const MAX: usize> {
    entries: Vec<T>,
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for BoundedSeq<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(BoundedSeqVisitor(PhantomData))
    }
}

struct BoundedSeqVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for BoundedSeqVisitor<T, MAX> {
    type Value = BoundedSeq<T, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = list.next_element()? {
            if entries.len() == MAX {
                return Err(A::Error::invalid_length(MAX + 1, &self));
            }
            entries.push(entry);
        }
        Ok(BoundedSeq { entries })
    }
}

#[cfg(test)]
mod tests;
