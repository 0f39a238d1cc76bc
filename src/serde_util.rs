//! Serde representations of single fields: bytes as hexadecimal text, durations in seconds.
//!
//! Human-readable formats use text and plain numbers. Binary formats use bytes and structures.

use std::fmt;

use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes, in wire order. Hexadecimal text in human-readable formats.
pub(crate) mod hex {
    use super::*;

    pub(crate) fn serialize<T, S>(bytes: &T, serializer: S) -> Result<S::Ok, S::Error>
    where
        T: AsRef<[u8]>,
        S: Serializer,
    {
        if serializer.is_human_readable() {
            serializer.serialize_str(&digits(bytes.as_ref()))
        } else {
            serializer.serialize_bytes(bytes.as_ref())
        }
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: TryFrom<Vec<u8>>,
        D: Deserializer<'de>,
    {
        let bytes = if deserializer.is_human_readable() {
            deserializer.deserialize_str(HexVisitor)?
        } else {
            plain_bytes(deserializer)?
        };
        let len = bytes.len();
        T::try_from(bytes)
            .map_err(|_| D::Error::invalid_length(len, &"as many bytes as the field has"))
    }

    fn digits(bytes: &[u8]) -> String {
        let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
        bytes
            .iter()
            .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
            .collect()
    }

    struct HexVisitor;

    impl Visitor<'_> for HexVisitor {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an even number of hexadecimal digits")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<u8>, E> {
            let (pairs, rest) = text.as_bytes().as_chunks::<2>();
            let digit = |digit: u8| char::from(digit).to_digit(16);
            let bytes: Option<Vec<u8>> = pairs
                .iter()
                .map(|[high, low]| Some((digit(*high)? * 16 + digit(*low)?) as u8))
                .collect();
            match bytes {
                Some(bytes) if rest.is_empty() => Ok(bytes),
                _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
            }
        }
    }
}

/// Deserializes a byte string, or a list of bytes.
pub(crate) fn plain_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    deserializer.deserialize_byte_buf(BytesVisitor)
}

struct BytesVisitor;

impl<'de> Visitor<'de> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u8>, A::Error> {
        // No memory is reserved, because the claimed length of a list is untrusted.
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element()? {
            bytes.push(byte);
        }
        Ok(bytes)
    }
}

/// A duration. A number of seconds, whole or fractional, in human-readable formats.
pub(crate) mod seconds {
    use super::*;

    /// Durations below this number of seconds (twelve days) may be written as a floating-point
    /// number. Such a number keeps every nanosecond, even if a parser is off by the last bit.
    pub(super) const EXACT: u64 = 1 << 20;

    pub(crate) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            duration.serialize(serializer)
        } else if duration.subsec_nanos() == 0 {
            serializer.serialize_u64(duration.as_secs())
        } else if duration.as_secs() < EXACT {
            serializer.serialize_f64(duration.as_secs_f64())
        } else {
            duration.serialize(serializer)
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(SecondsVisitor)
        } else {
            Duration::deserialize(deserializer)
        }
    }

    struct SecondsVisitor;

    impl<'de> Visitor<'de> for SecondsVisitor {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number of seconds, or an object with `secs` and `nanos`")
        }

        fn visit_u64<E>(self, seconds: u64) -> Result<Duration, E> {
            Ok(Duration::from_secs(seconds))
        }

        fn visit_i64<E: Error>(self, seconds: i64) -> Result<Duration, E> {
            match u64::try_from(seconds) {
                Ok(seconds) => Ok(Duration::from_secs(seconds)),
                Err(_) => Err(E::invalid_value(Unexpected::Signed(seconds), &self)),
            }
        }

        fn visit_f64<E: Error>(self, seconds: f64) -> Result<Duration, E> {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| E::invalid_value(Unexpected::Float(seconds), &self))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Duration, A::Error> {
            Duration::deserialize(MapAccessDeserializer::new(map))
        }
    }
}

/// An optional duration, represented like [`seconds`].
pub(crate) mod optional_seconds {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Seconds(#[serde(with = "seconds")] Duration);

    pub(crate) fn serialize<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration.map(Seconds).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let duration = Option::<Seconds>::deserialize(deserializer)?;
        Ok(duration.map(|Seconds(duration)| duration))
    }
}

/// A number whose maximum means "none". It is serialized as an absent value.
pub(crate) mod unless_max {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        (*number != u64::MAX)
            .then_some(number)
            .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let number = Option::deserialize(deserializer)?;
        Ok(number.unwrap_or(u64::MAX))
    }
}

/// Serializes an [`io::ErrorKind`](std::io::ErrorKind) as its name, such as `ConnectionReset`.
pub(crate) fn io_kind<S: Serializer>(
    kind: &std::io::ErrorKind,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{kind:?}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Waits {
        #[serde(with = "seconds")]
        always: Duration,
        #[serde(with = "optional_seconds")]
        perhaps: Option<Duration>,
    }

    fn read(always: Value) -> Result<Waits, serde_json::Error> {
        serde_json::from_value(json!({ "always": always, "perhaps": null }))
    }

    #[test]
    fn durations_are_seconds_and_keep_every_nanosecond() {
        let last = Duration::new(seconds::EXACT - 1, 999_999_999);
        for (duration, written) in [
            (Duration::ZERO, json!(0)),
            (Duration::from_secs(60), json!(60)),
            (Duration::from_secs(u64::MAX), json!(u64::MAX)),
            (Duration::from_millis(250), json!(0.25)),
            (Duration::from_nanos(1), json!(1e-9)),
            (last, json!(1_048_575.999_999_999)),
            (
                Duration::new(seconds::EXACT, 1),
                json!({ "secs": seconds::EXACT, "nanos": 1 }),
            ),
        ] {
            let waits = Waits {
                always: duration,
                perhaps: Some(duration),
            };
            let json = serde_json::to_value(&waits).unwrap();
            assert_eq!(json, json!({ "always": written, "perhaps": written }));
            let text = json.to_string();
            assert_eq!(serde_json::from_str::<Waits>(&text).unwrap(), waits);
            let bytes = postcard::to_stdvec(&waits).unwrap();
            assert_eq!(postcard::from_bytes::<Waits>(&bytes).unwrap(), waits);
        }
    }

    #[test]
    fn invalid_durations_are_rejected() {
        for wrong in [
            json!(-1),
            json!(-0.5),
            json!(1e300),
            json!("60"),
            json!(null),
            json!({ "secs": u64::MAX, "nanos": 1_000_000_000 }),
            json!({ "secs": 1 }),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
