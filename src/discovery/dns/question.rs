//! What a name server is asked.

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{DNSClass, Name, RecordType};

use crate::random;

/// How long an answer we take over UDP: what every way through the network carries in one piece. Longer ones are cut short, and asked
/// for over TCP (RFC 6891, section 6.2.5, and the agreement of the makers of name servers of 2020, known as the DNS flag day).
pub(super) const UDP_PAYLOAD: u16 = 1232;

/// One question for addresses of one family. Its id is random, and the source port is the system's choice: both have to be guessed by
/// whoever would answer in the server's place (RFC 5452, section 9.2).
#[derive(Debug)]
pub(super) struct Question {
    pub(super) id: u16,
    pub(super) query: Query,
    /// Whether the server is told how long an answer may be. Some old ones refuse questions that have more than the question.
    pub(super) with_edns: bool,
}

impl Question {
    pub(super) fn new(name: Name, family: RecordType) -> Self {
        Self {
            id: random::number() as u16,
            query: Query::query(name, family),
            with_edns: true,
        }
    }

    /// The packet that asks it: one question, and the wish that the server asks others (RFC 1035, section 4.1).
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

    /// Whether a server repeats this question. Servers may write a name in other cases than it was asked.
    pub(super) fn is_repeated_by(&self, query: &Query) -> bool {
        query.name() == self.query.name()
            && query.query_type() == self.query.query_type()
            && query.query_class() == DNSClass::IN
    }
}
