//! A query of a name server.

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RecordType};

use crate::random;

/// The maximum length of a reply over UDP, in bytes. It fits into one packet of any network (RFC
/// 6891, section 6.2.5, and DNS flag day 2020). Longer replies are truncated and queried over TCP.
pub(super) const UDP_PAYLOAD: u16 = 1232;

/// A query for the addresses of one family.
///
/// The id is random, and the system chooses the source port. An attacker has to guess both to forge
/// a reply (RFC 5452, section 9.2).
#[derive(Debug)]
pub(super) struct Question {
    pub(super) id: u16,
    pub(super) query: Query,
    /// Whether the query contains the maximum length of a reply. Some old servers reject such
    /// queries.
    pub(super) with_edns: bool,
}

impl Question {
    pub(super) fn new(name: Name, family: RecordType) -> Self {
        Self {
            id: random::random_u64() as u16,
            query: Query::query(name, family),
            with_edns: true,
        }
    }

    /// Returns the encoded query, with the request for recursion (RFC 1035, section 4.1).
    pub(super) fn packet(&self) -> Result<Vec<u8>, ProtoError> {
        let mut message = Message::new(self.id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(self.query.clone());
        if self.with_edns {
            let mut edns = Edns::new();
            edns.set_max_payload(UDP_PAYLOAD);
            message.set_edns(edns);
        }
        message.to_vec()
    }

    /// Returns whether a reply repeats this query. The case of letters may differ.
    pub(super) fn is_repeated_by(&self, query: &Query) -> bool {
        query.name() == self.query.name()
            && query.query_type() == self.query.query_type()
            && query.query_class() == DNSClass::IN
    }
}
