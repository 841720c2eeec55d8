//! Checks whether this machine can listen on an address, without taking the port of a service that runs.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
};

/// The first port that every user may listen on, as most systems are set up.
const UNPRIVILEGED: u16 = 1024;

/// Why a listener cannot be bound, as the end of a sentence that begins with its key; `None` if it can, or if another
/// process has the port, which may be the service itself.
pub(super) fn unusable(address: SocketAddr) -> Option<String> {
    // Any free port tells whether the address is one of this machine; only a privileged port must be tried itself.
    let port = match address.port() {
        port if port < UNPRIVILEGED => port,
        _ => 0,
    };
    let error = TcpListener::bind((address.ip(), port)).err()?;
    match error.kind() {
        ErrorKind::AddrInUse => None,
        ErrorKind::AddrNotAvailable => {
            Some(format!("is {address}, which is no address of this machine"))
        }
        ErrorKind::PermissionDenied => Some(format!(
            "is {address}, and this user may not listen on port {port}; use a port from {UNPRIVILEGED} on, or grant \
             CAP_NET_BIND_SERVICE"
        )),
        _ => Some(format!(
            "is {address}, where this machine cannot listen: {error}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conf_04_an_address_of_another_machine_is_named() {
        // TEST-NET-1 of RFC 5737 and the documentation prefix of RFC 3849 belong to no machine.
        for text in ["192.0.2.1:50051", "192.0.2.1:0", "[2001:db8::1]:50051"] {
            let told = unusable(text.parse().unwrap()).expect("it is refused");
            assert!(told.starts_with(&format!("is {text}")), "{told}");
        }
        for text in ["127.0.0.1:50051", "0.0.0.0:50051", "127.0.0.1:0"] {
            assert_eq!(unusable(text.parse().unwrap()), None, "{text}");
        }
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(unusable(taken.local_addr().unwrap()), None);
    }
}
