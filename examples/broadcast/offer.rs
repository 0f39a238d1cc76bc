//! Who has been told of a transaction, and what came of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bsv_p2p::event::ControlEvent;
use bsv_p2p::wire::{Hash256, Inventory, Message, RejectCode, Txid};
use uuid::Uuid;

/// A transaction that is handed out.
pub(crate) struct Offer {
    txid: Txid,
    /// How many peers there shall be.
    expected: usize,
    parties: Vec<Party>,
    last_news: Instant,
}

/// A peer, and what it has to do with the transaction.
pub(crate) struct Party {
    peer_id: Uuid,
    pub(crate) address: SocketAddr,
    connected: bool,
    pub(crate) told: bool,
    pub(crate) asked: bool,
    pub(crate) rejected: Option<(RejectCode, String)>,
    pub(crate) echoed: bool,
}

/// Something that has happened.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// We have announced it.
    Told { peer: SocketAddr },
    /// The peer wants to have it.
    Asked { peer: SocketAddr },
    /// The peer does not take it.
    Rejected {
        peer: SocketAddr,
        code: RejectCode,
        reason: String,
    },
    /// The peer has it from somebody else: the network passes it on.
    Echoed { peer: SocketAddr },
}

impl Offer {
    pub(crate) fn new(txid: Txid, expected: usize) -> Self {
        Self {
            txid,
            expected,
            parties: Vec::new(),
            last_news: Instant::now(),
        }
    }

    pub(crate) fn txid(&self) -> Txid {
        self.txid
    }

    pub(crate) fn parties(&self) -> &[Party] {
        &self.parties
    }

    pub(crate) fn asked(&self) -> usize {
        self.parties.iter().filter(|party| party.asked).count()
    }

    pub(crate) fn rejected(&self) -> usize {
        let rejected = |party: &&Party| party.rejected.is_some();
        self.parties.iter().filter(rejected).count()
    }

    /// Whether there has been nobody at all.
    pub(crate) fn is_unheard(&self) -> bool {
        self.parties.is_empty()
    }

    /// Whether everybody has been there, and nobody who still is has yet to say something.
    pub(crate) fn all_have_spoken(&self) -> bool {
        let mut connected = self.parties.iter().filter(|party| party.connected);
        self.parties.len() >= self.expected && connected.all(|party| party.asked || party.echoed)
    }

    /// For how long nothing has happened.
    pub(crate) fn silent_for(&self) -> Duration {
        self.last_news.elapsed()
    }

    /// A peer is there. If there is news the transaction is to be announced to it: to half of all, and to those again who have not
    /// asked before they were lost.
    pub(crate) fn on_connected(&mut self, peer_id: Uuid, address: SocketAddr) -> Option<News> {
        let told = self.parties.iter().filter(|party| party.told).count();
        let tell = told * 2 <= self.parties.len();
        let known = self.parties.iter_mut().find(|one| one.peer_id == peer_id);
        if let Some(known) = known {
            known.connected = true;
            let again = known.told && !known.asked;
            return again.then_some(News::Told { peer: address });
        }
        self.parties.push(Party {
            peer_id,
            address,
            connected: true,
            told: tell,
            asked: false,
            rejected: None,
            echoed: false,
        });
        self.last_news = Instant::now();
        tell.then_some(News::Told { peer: address })
    }

    /// Takes note of who goes.
    pub(crate) fn on_control(&mut self, event: &ControlEvent) {
        if let ControlEvent::ConnectionLost { peer_id, .. }
        | ControlEvent::ConnectionRestarting { peer_id, .. } = event
        {
            let mut parties = self.parties.iter_mut();
            if let Some(party) = parties.find(|one| one.peer_id == *peer_id) {
                party.connected = false;
            }
        }
    }

    /// Takes note of what a peer says. Only what is about this transaction counts, each thing once.
    pub(crate) fn on_message(&mut self, peer_id: Uuid, message: &Message) -> Option<News> {
        let wanted = Inventory::Tx(self.txid);
        let mut parties = self.parties.iter_mut();
        let party = parties.find(|one| one.peer_id == peer_id)?;
        let peer = party.address;
        let news = match message {
            Message::GetData(asked) if party.told && asked.inventory.contains(&wanted) => {
                let first = !std::mem::replace(&mut party.asked, true);
                first.then_some(News::Asked { peer })
            }
            Message::Reject(reject)
                if party.asked
                    && party.rejected.is_none()
                    && reject.message == "tx"
                    && reject.hash == Some(Hash256::from(self.txid)) =>
            {
                let (code, reason) = (reject.code, reject.reason.to_string());
                party.rejected = Some((code, reason.clone()));
                Some(News::Rejected { peer, code, reason })
            }
            Message::Inv(told) if !party.told && told.inventory.contains(&wanted) => {
                let first = !std::mem::replace(&mut party.echoed, true);
                first.then_some(News::Echoed { peer })
            }
            _ => None,
        };
        if news.is_some() {
            self.last_news = Instant::now();
        }
        news
    }
}
