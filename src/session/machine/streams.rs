//! Further streams: which side has which association ID, whether there shall be a second stream, and what is done about `createstrm`.
//!
//! The session decides; whoever drives it opens the connections and finds the peer that an association belongs to.

use uuid::Uuid;

use super::Session;
use crate::session::output::Output;
use crate::session::streams::StreamFault;
use crate::session::{Direction, DisconnectReason, SessionEvent, StreamSetupError};
use crate::wire::{
    AssociationId, Command, CreateStrm, DecodeError, Protoconf, RejectCode, StreamPolicy,
    StreamType, Version,
};

/// What a session knows of further streams. Without a driver that can have them, nothing.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// The ID of our `version` where we dial; where we are dialled it goes unused.
    own: Option<Uuid>,
    /// The ID that both sides have sent.
    agreed: Option<Uuid>,
    /// Whether the peer has shown that our `verack` has come, by its answer to a ping that we sent behind it.
    verack_arrived: bool,
    /// What is to be opened as soon as it has.
    wanted: Option<CreateStrm>,
}

impl Streams {
    /// Returns whether both sides have the association ID, so that the peer may have a second
    /// stream.
    pub(super) fn is_agreed(&self) -> bool {
        self.agreed.is_some()
    }
}

impl Session {
    /// Whoever drives this session can have further TCP connections for its peer. `id` is one that nobody has had, for the `version` of a
    /// connection that we dial. To be called before [`Session::on_connected`]; does nothing if the configuration wants no further streams. A
    /// peer for which there is no room is offered none, but the connection may still become one of another peer.
    pub fn enable_multistream(&mut self, id: Uuid) {
        if self.config.multistreams {
            self.streams.own = Some(id);
        }
    }

    /// The ID of our own, if this peer may have further streams. One that is about to be turned away is not to dial once more; what it may still be
    /// is a stream itself.
    fn offered(&self) -> Option<Uuid> {
        self.streams.own.filter(|_| !self.over_capacity)
    }

    /// The peer's `createstrm` leads to no stream: it is told why, and the connection ends.
    pub(crate) fn refuse_stream(&mut self, fault: StreamFault) {
        if self.end.is_none() {
            self.send(fault.reject());
            self.close(fault.reason());
        }
    }

    /// The ID that our `version` carries.
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
                // Known before the peer hears that it may use it.
                self.outputs.push_back(Output::RegisterAssociation(id));
                AssociationId::Uuid(id)
            }
        }
    }

    /// Whether an answer to our `version` has another ID than ours, for which a node closes the connection.
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

    /// The handshake is complete: a peer that has declined streams is told of.
    pub(super) fn judge_association(&mut self) {
        if self.may_open() && self.streams.agreed.is_none() {
            self.tell_refusal(StreamSetupError::AssociationNotEchoed);
        }
    }

    /// The peer has said which policies it knows: the one who has dialled chooses.
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
                self.streams.wanted = Some(CreateStrm {
                    association_id: AssociationId::Uuid(association),
                    stream_type: StreamType::Data1,
                    stream_policy: policy.name().into(),
                });
                self.open_wanted_stream();
            }
            None => self.tell_refusal(StreamSetupError::NoCommonPolicy),
        }
    }

    /// The peer has answered a ping.
    pub(super) fn on_pong_after_verack(&mut self) {
        self.streams.verack_arrived = true;
        self.open_wanted_stream();
    }

    /// A second stream has no order with the first: what comes over it may overtake our `verack`, as long as that is on its way, and would be dropped
    /// and scored (Bitcoin SV node 1.2.2, `src/net/net_processing.cpp`, "missing-verack"), though the stream itself is let in before.
    fn open_wanted_stream(&mut self) {
        if self.streams.verack_arrived
            && let Some(request) = self.streams.wanted.take()
        {
            self.outputs.push_back(Output::OpenStream(request));
        }
    }

    pub(super) fn on_createstrm(&mut self, request: &CreateStrm) {
        let has_begun = self.peer.is_some() || self.version_sent;
        match request.association_id {
            _ if self.peer.is_some() => self.refuse_stream(StreamFault::NotFirst),
            AssociationId::Null => self.refuse_stream(StreamFault::NullAssociation),
            AssociationId::Uuid(_) if has_begun || self.streams.own.is_none() => {
                self.refuse_stream(StreamFault::UnknownAssociation);
            }
            AssociationId::Uuid(_) => {
                self.outputs
                    .push_back(Output::AttachStream(request.clone()));
            }
        }
    }

    pub(super) fn on_malformed_createstrm(&mut self, error: &DecodeError) {
        self.refuse_stream(match error {
            _ if self.peer.is_some() => StreamFault::NotFirst,
            DecodeError::BadValue {
                field: "stream type",
                ..
            } => StreamFault::TypeOutOfRange,
            _ => StreamFault::Malformed,
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

    /// Whether a second stream is ours to open, and wanted.
    fn may_open(&self) -> bool {
        let wanted = self
            .config
            .stream_policies
            .contains(&StreamPolicy::BlockPriority);
        wanted && self.direction == Direction::Outbound && self.streams.own.is_some()
    }

    fn tell_refusal(&mut self, refusal: StreamSetupError) {
        self.outputs
            .push_back(Output::Event(SessionEvent::StreamSetupFailed(refusal)));
    }

    /// What our `protoconf` lists.
    pub(super) fn offered_policies(&self) -> String {
        if self.offered().is_none() {
            return StreamPolicy::Default.name().to_owned();
        }
        let policies = self.config.stream_policies.iter();
        let names: Vec<_> = policies.map(|policy| policy.name()).collect();
        names.join(",")
    }
}
