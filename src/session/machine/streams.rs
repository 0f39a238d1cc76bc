//! Association ids, the decision to open a second stream, and the handling of `createstrm`.
//!
//! The session decides. Its driver opens the connections and finds the peer of an association.

use uuid::Uuid;

use super::Session;
use crate::session::output::Output;
use crate::session::streams::StreamError;
use crate::session::{Direction, DisconnectReason, SessionEvent, StreamSetupError};
use crate::wire::{
    AssociationId, Command, CreateStrm, DecodeError, Protoconf, RejectCode, StreamPolicy,
    StreamType, Version,
};

/// The state of further streams. Unused unless the driver supports them.
#[derive(Debug, Default)]
pub(super) struct StreamsState {
    /// The association id of our `version`, if this side dials. An inbound session sends the id of
    /// the peer instead.
    own: Option<Uuid>,
    /// The association id that both sides have sent.
    agreed: Option<Uuid>,
    /// Whether our `verack` is known to have arrived, because the peer answered a ping sent after
    /// it.
    verack_arrived: bool,
    /// The request of a stream that is opened once `verack` has arrived.
    pending: Option<CreateStrm>,
}

impl StreamsState {
    /// Returns whether both sides have the association ID, so that the peer may have a second
    /// stream.
    pub(super) fn is_agreed(&self) -> bool {
        self.agreed.is_some()
    }
}

impl Session {
    /// Enables further TCP connections for the peer. Must be called before
    /// [`Session::on_connected`].
    ///
    /// `id` must be unique. It is sent in the `version` of an outbound connection. Does nothing if
    /// [`SessionConfig::multistreams`](crate::session::SessionConfig::multistreams) is `false`. A
    /// peer that is rejected for capacity is offered no streams.
    pub fn enable_multistream(&mut self, id: Uuid) {
        if self.config.multistreams {
            self.streams.own = Some(id);
        }
    }

    /// Returns our association id, if the peer may have further streams. A peer that is rejected
    /// for capacity must not open another connection.
    fn offered(&self) -> Option<Uuid> {
        self.streams.own.filter(|_| !self.over_capacity)
    }

    /// Rejects the peer's `createstrm` and closes the session.
    fn reject_stream(&mut self, fault: StreamError) {
        if self.close_reason.is_none() {
            self.send(fault.reject());
            self.close(fault.reason());
        }
    }

    /// Returns the association id for our `version`.
    pub(super) fn association_id(&mut self) -> AssociationId {
        let Some(own) = self.offered() else {
            return AssociationId::Null;
        };
        match self.direction {
            Direction::Outbound => AssociationId::Uuid(own),
            Direction::Inbound => {
                let id = self.peer.as_ref().and_then(|peer| peer.association_id);
                let Some(AssociationId::Uuid(id)) = id else {
                    return AssociationId::Null;
                };
                self.streams.agreed = Some(id);
                // The driver must know the id before the peer receives our `version` and may use
                // it.
                self.outputs.push_back(Output::RegisterAssociation(id));
                AssociationId::Uuid(id)
            }
        }
    }

    /// Returns whether the peer's `version` has another association id than ours, for which a node
    /// closes the connection.
    pub(super) fn is_mismatch(&mut self, version: &Version) -> bool {
        let (Some(own), Direction::Outbound) = (self.streams.own, self.direction) else {
            return false;
        };
        match version.association_id {
            Some(AssociationId::Uuid(id)) if id == own => {
                self.streams.agreed = Some(id);
                false
            }
            Some(AssociationId::Uuid(_)) => {
                let text = "Badly formatted association ID: Mismatched association IDs";
                self.reject("version", RejectCode::STREAM_SETUP, text);
                true
            }
            Some(AssociationId::Null) | None => false,
        }
    }

    /// Reports a peer that has declined streams. Called when the handshake is complete.
    pub(super) fn check_association(&mut self) {
        if self.may_open() && self.streams.agreed.is_none() {
            self.emit_setup_failure(StreamSetupError::AssociationNotEchoed);
        }
    }

    /// Chooses the stream policy from those of the peer's `protoconf`. The side that dialed
    /// chooses.
    pub(super) fn choose_policy(&mut self, protoconf: &Protoconf) {
        let Some(association) = self.streams.agreed.filter(|_| self.may_open()) else {
            return;
        };
        let theirs = |policy: &&StreamPolicy| {
            let mut names = protoconf.policies();
            names.any(|name| name == policy.name().as_bytes())
        };
        match self.config.stream_policies.iter().find(theirs).copied() {
            Some(StreamPolicy::Default) => {}
            Some(policy @ StreamPolicy::BlockPriority) => {
                self.streams.pending = Some(CreateStrm {
                    association_id: AssociationId::Uuid(association),
                    stream_type: StreamType::Data1,
                    stream_policy: policy.name().into(),
                });
                self.open_pending_stream();
            }
            None => self.emit_setup_failure(StreamSetupError::NoCommonPolicy),
        }
    }

    /// Handles the answer to a ping, which shows that our `verack` has arrived.
    pub(super) fn on_pong_after_verack(&mut self) {
        self.streams.verack_arrived = true;
        self.open_pending_stream();
    }

    /// Opens the requested stream if our `verack` is known to have arrived.
    ///
    /// There is no order between streams. Messages on the second one could overtake `verack`, and
    /// would be dropped and scored (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`,
    /// "missing-verack"). The node accepts the stream itself before `verack`.
    fn open_pending_stream(&mut self) {
        if self.streams.verack_arrived
            && let Some(request) = self.streams.pending.take()
        {
            self.outputs.push_back(Output::OpenStream(request));
        }
    }

    /// Rejects a `createstrm`.
    ///
    /// It is valid as the first message of an accepted socket only, and the driver handles it there
    /// before it creates a session.
    pub(super) fn on_createstrm(&mut self, request: &CreateStrm) {
        self.reject_stream(match request.association_id {
            _ if self.peer.is_some() => StreamError::NotFirst,
            AssociationId::Null => StreamError::NullAssociation,
            AssociationId::Uuid(_) => StreamError::UnknownAssociation,
        });
    }

    pub(super) fn on_malformed_createstrm(&mut self, error: &DecodeError) {
        self.reject_stream(match error {
            _ if self.peer.is_some() => StreamError::NotFirst,
            error => StreamError::from_decode(error),
        });
    }

    /// Returns whether a message only repeats the handshake on a second stream.
    ///
    /// Teranode writes `verack` and `protoconf` on each stream that is opened to it. They are
    /// ignored there, whatever they contain.
    pub(super) fn is_stream_greeting(&self, command: Command) -> bool {
        self.stream != StreamType::General && matches!(command.name(), "verack" | "protoconf")
    }

    /// Handles a `streamack` out of place.
    ///
    /// The `streamack` that answers our `createstrm` arrives before the connection belongs to the
    /// session. On every other connection a node sends a `reject` if it has the peer's version, and
    /// closes (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`, `ProcessStreamAckMessage`).
    pub(super) fn on_streamack(&mut self) {
        if self.peer.is_some() {
            self.reject("streamack", RejectCode::NONSTANDARD, "Invalid streamack");
        }
        self.close(DisconnectReason::UnexpectedStreamAck);
    }

    /// Returns whether this side should open a second stream.
    fn may_open(&self) -> bool {
        let wanted = self
            .config
            .stream_policies
            .contains(&StreamPolicy::BlockPriority);
        wanted && self.direction == Direction::Outbound && self.streams.own.is_some()
    }

    fn emit_setup_failure(&mut self, refusal: StreamSetupError) {
        self.outputs
            .push_back(Output::Event(SessionEvent::StreamSetupFailed(refusal)));
    }

    /// Returns the list of stream policies for our `protoconf`.
    pub(super) fn offered_policies(&self) -> String {
        if self.offered().is_none() {
            return StreamPolicy::Default.name().to_owned();
        }
        let policies = self.config.stream_policies.iter();
        let names: Vec<_> = policies.map(|policy| policy.name()).collect();
        names.join(",")
    }
}
