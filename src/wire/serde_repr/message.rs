//! Messages: an object of `command` and the fields in human-readable formats, else command and
//! payload.

use std::fmt;

use bytes::Bytes;
use serde::de::value::{MapAccessDeserializer, MapDeserializer};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::content::Value;
use crate::wire::{Command, Encode, Message};

/// The field that contains the command of the message.
const COMMAND: &str = "command";

/// The fields of a message without content.
#[derive(Serialize, Deserialize)]
pub(in crate::wire) struct NoFields {}

/// The fields of a message with an unknown command.
#[derive(Serialize, Deserialize)]
pub(in crate::wire) struct UnknownFields {
    #[serde(with = "crate::serde_util::hex")]
    pub(in crate::wire) payload: Bytes,
}

#[derive(Serialize)]
struct MessageSer<'a> {
    command: Command,
    #[serde(flatten)]
    fields: FieldsSer<'a>,
}

struct FieldsSer<'a>(&'a Message);

impl Serialize for FieldsSer<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_fields(serializer)
    }
}

#[derive(Serialize, Deserialize)]
struct RawMessageSerde {
    command: Command,
    #[serde(with = "crate::serde_util::hex")]
    payload: Bytes,
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let command = self.command();
        if serializer.is_human_readable() {
            let fields = FieldsSer(self);
            MessageSer { command, fields }.serialize(serializer)
        } else {
            let payload = match self.payload_bytes() {
                Some(payload) => payload.clone(),
                None => self.encode_to_vec().into(),
            };
            RawMessageSerde { command, payload }.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_map(MessageVisitor)
        } else {
            let RawMessageSerde { command, payload } = RawMessageSerde::deserialize(deserializer)?;
            Message::decode(command, payload).map_err(D::Error::custom)
        }
    }
}

struct MessageVisitor;

impl<'de> Visitor<'de> for MessageVisitor {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an object with `{COMMAND}` and the fields of that message"
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Message, A::Error> {
        let mut before: Vec<(String, Value)> = Vec::new();
        let command = loop {
            match map.next_key::<String>()? {
                Some(name) if name == COMMAND => break map.next_value()?,
                Some(name) => before.push((name, map.next_value()?)),
                None => return Err(A::Error::missing_field(COMMAND)),
            }
        };
        if before.is_empty() {
            // The order in which messages are written: no field needs to be buffered.
            return Message::deserialize_fields(command, MapAccessDeserializer::new(map));
        }
        while let Some(field) = map.next_entry()? {
            before.push(field);
        }
        Message::deserialize_fields(command, MapDeserializer::new(before.into_iter()))
    }
}
