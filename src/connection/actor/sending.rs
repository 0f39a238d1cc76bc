//! Checks messages and queues them on their streams.

use super::active_connection::ActiveConnection;
use super::handle::PeerConnectionHandle;
use super::pending_request::RequestTimeout;
use crate::connection::logging;
use crate::connection::outbox::{Outbox, QueueError};
use crate::connection::requests::Requests;
use crate::error::{Error, Timeout};
use crate::session::{DisconnectReason, PeerCapabilities, SendError, Session};
use crate::wire::Message;

impl PeerConnectionHandle {
    pub(super) fn send_checked(
        &self,
        connection: &ActiveConnection,
        message: &Message,
        timeout: RequestTimeout,
        check: fn(PeerCapabilities, &Message) -> Result<(), SendError>,
    ) -> Result<(), Error> {
        self.send_by(connection, message, timeout, check, |outbox| {
            outbox.send(std::slice::from_ref(message), timeout.deadline)
        })
    }

    /// Checks `message`, passes it to the outbox of its stream with `send`, and records it in the
    /// session.
    pub(super) fn send_by(
        &self,
        connection: &ActiveConnection,
        message: &Message,
        timeout: RequestTimeout,
        check: impl FnOnce(PeerCapabilities, &Message) -> Result<(), SendError>,
        send: impl FnOnce(&Outbox) -> Result<(), QueueError>,
    ) -> Result<(), Error> {
        let capabilities = self.capabilities(connection)?;
        check(capabilities, message).map_err(|refused| self.refused(refused))?;
        let is_request = Session::is_request(message);
        if is_request {
            connection.session().on_sent(message);
        }
        let Some(stream) = connection.stream_for(message) else {
            return Err(self.ended(connection));
        };
        send(&stream.outbox).map_err(|error| {
            if is_request {
                connection.session().on_not_sent(message);
            }
            self.queue_error(connection, error, timeout)
        })?;
        if Session::is_answer(message) {
            connection.session().on_sent(message);
        }
        logging::log_sent(&*self.peer, message);
        if message.command() == Message::GetAddr.command() {
            connection.requests.with(Requests::on_getaddr_sent);
        }
        Ok(())
    }

    /// Queues the messages of a request in the table on the stream of the first one, either all or
    /// none.
    ///
    /// The peer handles them in this order. `timeout` limits the wait for queue capacity.
    pub(super) fn send_request(
        &self,
        connection: &ActiveConnection,
        messages: &[Message],
        timeout: RequestTimeout,
    ) -> Result<(), Error> {
        let Some(first) = messages.first() else {
            return Ok(());
        };
        let capabilities = self.capabilities(connection)?;
        let mut checks = messages.iter().map(|one| capabilities.check(one));
        checks
            .try_for_each(|checked| checked)
            .map_err(|refused| self.refused(refused))?;
        {
            let mut session = connection.session();
            messages.iter().for_each(|one| session.on_request_sent(one));
        }
        let Some(stream) = connection.stream_for(first) else {
            return Err(self.ended(connection));
        };
        let sent = stream.outbox.send(messages, timeout.deadline);
        sent.map_err(|error| self.queue_error(connection, error, timeout))?;
        for message in messages {
            logging::log_sent(&*self.peer, message);
        }
        Ok(())
    }

    /// Returns the messages that the peer accepts now. Fails if the connection has ended.
    fn capabilities(&self, connection: &ActiveConnection) -> Result<PeerCapabilities, Error> {
        let capabilities = connection.peer_capabilities();
        capabilities.map_err(|reason| self.disconnected(reason))
    }

    fn refused(&self, refused: SendError) -> Error {
        let peer = self.name();
        Error::Send { peer, refused }
    }

    /// Returns the error of a call that found the connection without a stream.
    fn ended(&self, connection: &ActiveConnection) -> Error {
        let reason = connection.close.reason();
        self.disconnected(reason.unwrap_or(DisconnectReason::Requested))
    }

    pub(super) fn queue_error(
        &self,
        connection: &ActiveConnection,
        error: QueueError,
        timeout: RequestTimeout,
    ) -> Error {
        match error {
            QueueError::Full => self.timed_out(Timeout::Send, timeout),
            QueueError::Closed => self.ended(connection),
        }
    }
}
