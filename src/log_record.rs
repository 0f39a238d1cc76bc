//! Log records with their key-values.

use std::error::Error;
use std::fmt::{self, Display};
use std::net::SocketAddr;
use std::panic::Location;

use log::kv::{self, Key, Source, Value, VisitSource};
use log::{Level, Record};

use crate::Network;
use crate::error::WithSources;
use crate::log_level::LogLevel;
use crate::peers::{PeerId, Subnet};
use crate::session::{ConnectionState, Direction};
use crate::wire::Command;

/// The part of the library that a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Component {
    Connection,
    Manager,
    Discovery,
    Peers,
    HeaderStore,
    LocalNode,
}

impl Component {
    /// Returns the target of the records, by which loggers filter.
    pub(crate) const fn target(self) -> &'static str {
        match self {
            Component::Connection => "bsv_p2p::connection",
            Component::Manager => "bsv_p2p::manager",
            Component::Discovery => "bsv_p2p::discovery",
            Component::Peers => "bsv_p2p::peers",
            Component::HeaderStore => "bsv_p2p::header_store",
            Component::LocalNode => "bsv_p2p::local_node",
        }
    }
}

/// A log record that is being built. Nothing is formatted if its level is disabled.
///
/// Each component has one function that creates its records with the fields that it knows.
#[must_use = "a record is written by `write` or `write_event`"]
pub(crate) struct LogRecord<'a> {
    component: Component,
    level: Level,
    is_enabled: bool,
    peer_id: Option<PeerId>,
    peer_address: Option<LogAddress>,
    direction: Option<Direction>,
    state: Option<ConnectionState>,
    network: Option<Network>,
    command: Option<Command>,
    height: Option<u32>,
    subscription: Option<&'a str>,
    error: Option<Cause<'a>>,
}

/// The value of the key `peer_address`.
pub(crate) enum LogAddress {
    Peer(SocketAddr),
    /// The addresses of a ban.
    Subnet(Subnet),
}

impl From<SocketAddr> for LogAddress {
    fn from(address: SocketAddr) -> Self {
        LogAddress::Peer(address)
    }
}

impl From<Subnet> for LogAddress {
    fn from(subnet: Subnet) -> Self {
        LogAddress::Subnet(subnet)
    }
}

impl Display for LogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogAddress::Peer(address) => address.fmt(f),
            LogAddress::Subnet(subnet) => subnet.fmt(f),
        }
    }
}

/// The value of the key `error`.
enum Cause<'a> {
    Error(&'a dyn Error),
    Reason(&'a dyn Display),
}

impl Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Error(error) => WithSources(*error).fmt(f),
            Cause::Reason(reason) => reason.fmt(f),
        }
    }
}

/// Returns whether records of this level are written. Does not allocate.
#[inline]
pub(crate) fn is_enabled(component: Component, level: Level, limit: Option<&LogLevel>) -> bool {
    limit.is_none_or(|limit| limit.allows(level))
        && log::log_enabled!(target: component.target(), level)
}

impl<'a> LogRecord<'a> {
    /// Creates a record without fields. `limit` is the maximum level of the owner, if it has one.
    pub(crate) fn new(component: Component, level: Level, limit: Option<&LogLevel>) -> Self {
        Self {
            component,
            level,
            is_enabled: is_enabled(component, level, limit),
            peer_id: None,
            peer_address: None,
            direction: None,
            state: None,
            network: None,
            command: None,
            height: None,
            subscription: None,
            error: None,
        }
    }

    /// Returns whether the record will be written. Otherwise its fields need not be set.
    pub(crate) fn is_enabled(&self) -> bool {
        self.is_enabled
    }

    pub(crate) fn peer_id(mut self, peer_id: PeerId) -> Self {
        self.peer_id = Some(peer_id);
        self
    }

    /// Sets the address of the peer, or the subnet of a ban.
    pub(crate) fn peer_address(mut self, address: impl Into<LogAddress>) -> Self {
        self.peer_address = Some(address.into());
        self
    }

    pub(crate) fn direction(mut self, direction: Direction) -> Self {
        self.direction = Some(direction);
        self
    }

    pub(crate) fn state(mut self, state: ConnectionState) -> Self {
        self.state = Some(state);
        self
    }

    pub(crate) fn network(mut self, network: &Network) -> Self {
        self.network = Some(network.clone());
        self
    }

    pub(crate) fn command(mut self, command: Command) -> Self {
        self.command = Some(command);
        self
    }

    pub(crate) fn height(mut self, height: u32) -> Self {
        self.height = Some(height);
        self
    }

    pub(crate) fn subscription(mut self, name: &'a str) -> Self {
        self.subscription = Some(name);
        self
    }

    /// Sets the cause, which is written with its sources.
    pub(crate) fn error(mut self, error: &'a dyn Error) -> Self {
        self.error = Some(Cause::Error(error));
        self
    }

    /// Sets a cause that is not an [`Error`].
    pub(crate) fn reason(mut self, reason: &'a dyn Display) -> Self {
        self.error = Some(Cause::Reason(reason));
        self
    }

    /// Writes the record as `{peer address}: {text}: {cause}`, without the parts that are not set.
    #[track_caller]
    pub(crate) fn write(self, text: fmt::Arguments<'_>) {
        if self.is_enabled {
            let line = Line {
                record: &self,
                text,
            };
            self.log(format_args!("{line}"), Location::caller());
        }
    }

    /// Writes a record whose text is that of an event, which contains the address and the cause.
    #[track_caller]
    pub(crate) fn write_event(self, event: &dyn Display) {
        if self.is_enabled {
            self.log(format_args!("{event}"), Location::caller());
        }
    }

    fn log(&self, text: fmt::Arguments<'_>, place: &'static Location<'static>) {
        let target = self.component.target();
        log::logger().log(
            &Record::builder()
                .args(text)
                .level(self.level)
                .target(target)
                .module_path_static(Some(target))
                .file_static(Some(place.file()))
                .line(Some(place.line()))
                .key_values(&self)
                .build(),
        );
    }
}

impl Source for LogRecord<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), kv::Error> {
        let fields = [
            ("peer_id", self.peer_id.as_ref().map(Value::from_display)),
            (
                "peer_address",
                self.peer_address.as_ref().map(Value::from_display),
            ),
            (
                "direction",
                self.direction.as_ref().map(Value::from_display),
            ),
            ("state", self.state.as_ref().map(Value::from_display)),
            ("network", self.network.as_ref().map(Value::from_display)),
            ("command", self.command.as_ref().map(Value::from_display)),
            ("height", self.height.map(Value::from)),
            ("subscription", self.subscription.map(Value::from)),
            ("error", self.error.as_ref().map(Value::from_display)),
        ];
        for (key, value) in fields {
            if let Some(value) = value {
                visitor.visit_pair(Key::from_str(key), value)?;
            }
        }
        Ok(())
    }
}

/// The text of a record.
struct Line<'a> {
    record: &'a LogRecord<'a>,
    text: fmt::Arguments<'a>,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(address) = &self.record.peer_address {
            write!(f, "{address}: ")?;
        }
        f.write_fmt(self.text)?;
        if let Some(error) = &self.record.error {
            write!(f, ": {error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use log::LevelFilter;

    use super::*;
    use crate::session::DisconnectReason;

    #[derive(Default)]
    struct Fields(BTreeMap<String, String>);

    impl<'kvs> VisitSource<'kvs> for Fields {
        fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
            let before = self.0.insert(key.to_string(), value.to_string());
            assert_eq!(before, None, "{key} is a duplicate");
            Ok(())
        }
    }

    fn record(level: LevelFilter) -> LogRecord<'static> {
        LogRecord::new(
            Component::Manager,
            Level::Debug,
            Some(&LogLevel::new(level)),
        )
    }

    fn fields(record: &LogRecord<'_>) -> BTreeMap<String, String> {
        let mut fields = Fields::default();
        record.visit(&mut fields).unwrap();
        fields.0
    }

    #[test]
    fn only_set_fields_are_visited() {
        assert_eq!(fields(&record(LevelFilter::Trace)), BTreeMap::new());
        let address: SocketAddr = ([127, 0, 0, 1], 8333).into();
        let record = record(LevelFilter::Trace)
            .peer_id(PeerId::from_u128(7))
            .peer_address(address)
            .direction(Direction::Inbound)
            .state(ConnectionState::Connected)
            .network(&Network::Regtest)
            .command(Command::new("inv"))
            .height(7)
            .subscription("blocks")
            .error(&DisconnectReason::Shutdown);
        let expected = [
            ("command", "inv".to_owned()),
            ("direction", "inbound".to_owned()),
            ("error", DisconnectReason::Shutdown.to_string()),
            ("height", "7".to_owned()),
            ("network", "regtest".to_owned()),
            ("peer_address", address.to_string()),
            ("peer_id", PeerId::from_u128(7).to_string()),
            ("state", "connected".to_owned()),
            ("subscription", "blocks".to_owned()),
        ];
        let expected: BTreeMap<_, _> = expected
            .map(|(key, value)| (key.to_owned(), value))
            .into_iter()
            .collect();
        assert_eq!(fields(&record), expected);
    }

    #[test]
    fn text_has_address_and_cause() {
        let text = |record: &LogRecord<'_>| {
            let text = format_args!("dialing failed");
            Line { record, text }.to_string()
        };
        let record = record(LevelFilter::Trace);
        assert_eq!(text(&record), "dialing failed");
        let record = record.reason(&"refused");
        assert_eq!(text(&record), "dialing failed: refused");
        let address: SocketAddr = ([127, 0, 0, 1], 8333).into();
        let record = record.peer_address(address);
        assert_eq!(text(&record), "127.0.0.1:8333: dialing failed: refused");
    }

    #[test]
    fn disabled_record_formats_nothing() {
        struct Unformatted;

        impl Display for Unformatted {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("a disabled record was formatted");
            }
        }

        let record = record(LevelFilter::Info);
        assert!(!record.is_enabled());
        let record = record.reason(&Unformatted);
        record.write(format_args!("{Unformatted}"));
        let record = self::record(LevelFilter::Off);
        record.write_event(&Unformatted);
    }
}
