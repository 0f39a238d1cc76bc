//! Registry of the peers that can open a second stream, by association id.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use uuid::Uuid;

use super::actor::{ActiveConnection, PeerConnection};

/// A registry that assigns the second streams of inbound peers to their connections.
///
/// A peer opens a second stream by a further TCP connection that sends the association id of the
/// first one. All connections of one owner must share a registry, so that the new connection finds
/// its peer. A clone shares the registry. It can be used from several threads. Methods block only
/// for the duration of a lookup.
#[derive(Clone, Default)]
pub struct AssociationRegistry {
    peers: Arc<Mutex<HashMap<Uuid, Entry>>>,
}

struct Entry {
    peer: Weak<PeerConnection>,
    connection: Weak<ActiveConnection>,
}

impl AssociationRegistry {
    /// Adds a connection until the returned guard is dropped. Returns `None` if the id is already in
    /// use.
    pub(super) fn register(
        &self,
        id: Uuid,
        peer: &Arc<PeerConnection>,
        connection: &Arc<ActiveConnection>,
    ) -> Option<AssociationGuard> {
        let mut peers = self.peers.lock();
        if peers.contains_key(&id) {
            return None;
        }
        let entry = Entry {
            peer: Arc::downgrade(peer),
            connection: Arc::downgrade(connection),
        };
        peers.insert(id, entry);
        Some(AssociationGuard {
            registry: self.clone(),
            id,
        })
    }

    /// Returns the peer with an association id, and its connection.
    pub(super) fn find(&self, id: Uuid) -> Option<(Arc<PeerConnection>, Arc<ActiveConnection>)> {
        let peers = self.peers.lock();
        let entry = peers.get(&id)?;
        Some((entry.peer.upgrade()?, entry.connection.upgrade()?))
    }

    /// Returns the number of peers in the registry.
    pub fn len(&self) -> usize {
        self.peers.lock().len()
    }

    /// Returns whether the registry is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for AssociationRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssociationRegistry")
            .field("len", &self.len())
            .finish()
    }
}

/// An entry of an [`AssociationRegistry`]. Dropping it removes the peer.
#[derive(Debug)]
pub(super) struct AssociationGuard {
    registry: AssociationRegistry,
    id: Uuid,
}

impl Drop for AssociationGuard {
    fn drop(&mut self) {
        self.registry.peers.lock().remove(&self.id);
    }
}
