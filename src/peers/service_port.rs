//! The ports of well-known services.

/// The ports above 1,023 of services that are not Bitcoin nodes, in ascending order.
const SERVICE_PORTS: [u16; 35] = [
    1433,  // Microsoft SQL Server
    1521,  // Oracle database
    1719,  // H.323
    1720,  // H.323
    1723,  // PPTP
    2049,  // NFS
    2375,  // Docker
    2376,  // Docker over TLS
    3306,  // MySQL
    3389,  // remote desktop
    3659,  // Apple SASL
    4045,  // NFS lock manager
    5060,  // SIP
    5061,  // SIP over TLS
    5222,  // XMPP
    5432,  // PostgreSQL
    5672,  // AMQP
    5900,  // VNC
    6000,  // X11
    6379,  // Redis
    6443,  // Kubernetes
    6566,  // SANE
    6665,  // IRC
    6666,  // IRC
    6667,  // IRC
    6668,  // IRC
    6669,  // IRC
    6697,  // IRC over TLS
    8080,  // HTTP
    8443,  // HTTPS
    9092,  // Kafka
    9200,  // Elasticsearch
    10080, // Amanda
    11211, // memcached
    27017, // MongoDB
];

/// Returns whether a port belongs to a well-known service.
///
/// Returns `true` for all system ports (below 1,024, including 0; RFC 6335), and for the ports of
/// common mail, chat, database, telephony and remote access services. Returns `false` for the
/// default ports of the Bitcoin networks.
///
/// A peer can advertise the address of a server that is not a node. Every node that dials such an
/// address takes part in an attack on the server.
pub fn is_service_port(port: u16) -> bool {
    port < 1024 || SERVICE_PORTS.binary_search(&port).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Network;

    #[test]
    fn service_ports_exclude_network_ports() {
        assert!(SERVICE_PORTS.is_sorted());
        for port in [0, 22, 25, 53, 80, 443, 1023, 1433, 6667, 8080, 27017] {
            assert!(is_service_port(port), "{port}");
        }
        for port in [1024, 6664, 6670, 8333, 18332, 18333, 18444, 28333, 65535] {
            assert!(!is_service_port(port), "{port}");
        }
        for network in Network::ALL {
            assert!(!is_service_port(network.port()), "{network}");
        }
    }
}
