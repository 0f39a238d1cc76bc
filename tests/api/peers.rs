//! Peers, their status, and a store with the four required methods.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bsv_p2p::local_node::LocalNode;
use bsv_p2p::peers::{
    BanReason, Peer, PeerId, PeerSource, PeerStatus, PeerStatusKind, PeerStore, StoreError,
};
use bsv_p2p::{Manager, ManagerConfig, Network};

use crate::{TIMEOUT, TestResult};

#[derive(Default)]
struct MapStore(Mutex<HashMap<PeerId, Peer>>);

impl PeerStore for MapStore {
    fn create(&self, peer: Peer, _: SystemTime) -> Result<Option<Peer>, StoreError> {
        if self.find_by_ip_port(peer.ip_address, peer.port)?.is_some() {
            let address = SocketAddr::new(peer.ip_address, peer.port);
            return Err(StoreError::DuplicateAddress(address));
        }
        self.0.lock().unwrap().insert(peer.id, peer);
        Ok(None)
    }

    fn update(&self, peer: Peer) -> Result<(), StoreError> {
        let mut peers = self.0.lock().unwrap();
        let old = peers
            .get_mut(&peer.id)
            .ok_or(StoreError::NotFound(peer.id))?;
        *old = peer;
        Ok(())
    }

    fn delete(&self, id: PeerId) -> Result<Option<Peer>, StoreError> {
        Ok(self.0.lock().unwrap().remove(&id))
    }

    fn list_all(&self) -> Result<Vec<Peer>, StoreError> {
        Ok(self.0.lock().unwrap().values().cloned().collect())
    }
}

#[test]
fn store_with_minimal_methods_keeps_peers() -> TestResult {
    let node = LocalNode::start()?;
    let (ip, port) = (node.address().ip(), node.address().port());
    let store = Arc::new(MapStore::default());
    let config = ManagerConfig::new(Network::Regtest);
    let manager = Manager::with_store(config.clone(), store.clone())?;
    manager.start_fixed([node.address()])?;
    manager.wait_for_peers(1, TIMEOUT)?;
    manager.shutdown()?;

    let stored = store.find_by_ip_port(ip, port)?.ok_or("peer not stored")?;
    assert_eq!(store.count_by_status(PeerStatusKind::Valid)?, 1);
    assert_eq!(store.read(stored.id)?, Some(stored.clone()));

    let restarted = Manager::with_store(config, store)?;
    restarted.start()?;
    restarted.wait_for_peers(1, TIMEOUT)?;
    assert_eq!(restarted.connections()[0].peer_id, stored.id);
    Ok(())
}

#[test]
fn columns_of_a_database_parse_again() -> TestResult {
    for status in [PeerStatus::Valid, PeerStatus::Banned(BanReason::Manual)] {
        assert_eq!(status.to_string().parse::<PeerStatus>()?, status);
        assert_eq!(
            status.kind().to_string().parse::<PeerStatusKind>()?,
            status.kind()
        );
    }
    assert_eq!(
        BanReason::Manual.to_string().parse::<BanReason>()?,
        BanReason::Manual
    );
    for source in [PeerSource::Seed, PeerSource::Manual] {
        assert_eq!(source.to_string().parse::<PeerSource>()?, source);
    }
    let id = PeerId::random();
    assert_eq!(id.to_string().parse::<PeerId>()?, id);
    assert_eq!(PeerId::from_uuid(*id.as_uuid()), id);
    Ok(())
}
