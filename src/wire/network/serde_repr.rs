//! The serde form of a network: the name of a built-in one, the whole table of a custom one.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CustomNetwork, Network, NetworkParams};

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = match self {
            Network::Custom(CustomNetwork(params)) => NetworkSer::Custom(params),
            builtin => NetworkSer::Builtin(builtin.name()),
        };
        match form {
            form if !serializer.is_human_readable() => form.serialize(serializer),
            NetworkSer::Builtin(name) => serializer.serialize_str(name),
            NetworkSer::Custom(params) => params.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(NetworkVisitor);
        }
        match NetworkDe::deserialize(deserializer)? {
            NetworkDe::Builtin(name) => name.parse().map_err(D::Error::custom),
            NetworkDe::Custom(params) => Network::custom(*params).map_err(D::Error::custom),
        }
    }
}

/// What formats that are not for people contain.
#[derive(Serialize)]
enum NetworkSer<'a> {
    Builtin(&'a str),
    Custom(&'a NetworkParams),
}

/// Like [`NetworkSer`], as it is read.
#[derive(Deserialize)]
enum NetworkDe {
    Builtin(String),
    Custom(Box<NetworkParams>),
}

struct NetworkVisitor;

impl<'de> Visitor<'de> for NetworkVisitor {
    type Value = Network;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a network, or an object with the parameters of one")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Network, E> {
        name.parse().map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Network, A::Error> {
        let params = NetworkParams::deserialize(MapAccessDeserializer::new(map))?;
        Network::custom(params).map_err(A::Error::custom)
    }
}
