//! Where the tools listen that let peers in.

use std::net::SocketAddr;

use bsv_p2p::Network;
use bsv_p2p::connection::resolve;

use crate::lasting::RESOLVE_TIMEOUT;
use crate::shared::Failure;

/// Where to listen: the first address of a name, whose port may be 0 for a free one.
pub(crate) fn listen_address(name: &str, network: &Network) -> Result<SocketAddr, Failure> {
    let addresses = resolve(name, network.port(), RESOLVE_TIMEOUT)?;
    let first = addresses.first().copied();
    first.ok_or_else(|| format!("{name} has no address").into())
}
