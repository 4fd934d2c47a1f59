//! `ss` and `netstat`: the sockets of one network namespace, with their processes. Knows the columns, nothing of connections.

use std::net::{IpAddr, Ipv4Addr};

use crate::facts::Socket;
use crate::model::Protocol;

/// States as `ss` and as `netstat` print them.
const STATES: &[&str] = &[
    "ESTAB",
    "ESTABLISHED",
    "SYN-SENT",
    "SYN_SENT",
    "SYN-RECV",
    "SYN_RECV",
    "FIN-WAIT-1",
    "FIN_WAIT1",
    "FIN-WAIT-2",
    "FIN_WAIT2",
    "TIME-WAIT",
    "TIME_WAIT",
    "UNCONN",
    "CLOSE",
    "CLOSE-WAIT",
    "CLOSE_WAIT",
    "LAST-ACK",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
];

/// An address with its port; `*` where there is none. `10.0.0.1%eth0:68` is bound to an interface.
fn end(word: &str) -> Option<(IpAddr, Option<u16>)> {
    let (host, port) = word.rsplit_once(':')?;
    let port = if port == "*" { None } else { Some(port.parse().ok()?) };
    let host = host.split('%').next().unwrap_or(host).trim_start_matches('[').trim_end_matches(']');
    let ip = if host == "*" { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { host.parse().ok()? };
    // What an IPv6 socket has of IPv4 is IPv4 on the wire.
    let ip = match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        v4 => v4,
    };
    Some((ip, port))
}

/// `tcp  ESTAB 0 0 10.0.1.5:44312 10.0.2.7:5432 users:(("java",pid=123,fd=45))`: the first two columns are left out where
/// one protocol or one state was asked for. `netstat`: `tcp 0 0 10.0.1.5:44312 10.0.2.7:5432 ESTABLISHED 123/java`.
pub(crate) fn line(line: &str) -> Option<Socket> {
    let first = line.split_whitespace().next()?;
    if !(STATES.contains(&first) || ["tcp", "udp", "sctp"].iter().any(|p| first.starts_with(p))) {
        return None;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut at = 0;
    let mut protocol = Protocol::Tcp;
    if let Some(first) = words.first() {
        let known = match first.trim_end_matches('6') {
            "tcp" => Some(Protocol::Tcp),
            "udp" => Some(Protocol::Udp),
            "sctp" => Some(Protocol::Sctp),
            _ => None,
        };
        if let Some(known) = known {
            (protocol, at) = (known, 1);
        }
    }
    let mut state = words.get(at).copied().filter(|w| STATES.contains(w));
    at += usize::from(state.is_some());
    let is_number = |at: usize| words.get(at).is_some_and(|w| w.parse::<u64>().is_ok());
    // At least one of both columns must stand there, or any two numbers before two addresses would do.
    if at == 0 || !is_number(at) || !is_number(at + 1) {
        return None;
    }
    let (local, peer) = (end(words.get(at + 2)?)?, end(words.get(at + 3)?)?);
    let rest = words.get(at + 4..).unwrap_or_default();
    if state == Some("UNCONN") && words.first().is_some_and(|w| *w == "UNCONN") {
        protocol = Protocol::Udp;
    }
    let (mut process, mut pid) = (None, None);
    if let Some(users) = rest.iter().position(|w| w.starts_with("users:((")) {
        let text = rest.get(users..).unwrap_or_default().join(" ");
        process = text.split('"').nth(1).map(str::to_owned);
        pid = text.split("pid=").nth(1).and_then(|t| t.split(',').next()).and_then(|p| p.parse().ok());
    } else if let Some(word) = rest.iter().find(|w| STATES.contains(*w)) {
        state = Some(word);
    }
    if let Some((number, name)) = rest.iter().find_map(|w| w.split_once('/')).filter(|(n, _)| n.parse::<u32>().is_ok()) {
        (pid, process) = (number.parse().ok(), Some(name.to_owned()));
    }
    let state = state.map(|s| if s == "ESTABLISHED" { "ESTAB".to_owned() } else { s.replace('_', "-") });
    Some(Socket {
        protocol,
        state,
        local: local.0,
        local_port: local.1?,
        peer: peer.1.map(|port| (peer.0, port)),
        process,
        pid,
        retransmits: None,
        rtt_us: None,
        path_mtu: None,
    })
}

/// The indented line of `ss -i`: `cubic rto:204 rtt:0.051/0.029 … pmtu:9001 retrans:0/3`. `false`: it is none.
pub(crate) fn detail(socket: &mut Socket, line: &str) -> bool {
    let mut any = false;
    for word in line.split_whitespace() {
        let Some((key, value)) = word.split_once(':') else { continue };
        match key {
            // Outstanding and total.
            "retrans" => socket.retransmits = value.rsplit('/').next().and_then(|n| n.parse().ok()),
            "pmtu" => socket.path_mtu = value.parse().ok(),
            // Milliseconds and their deviation; kept as whole microseconds.
            "rtt" => {
                let (whole, part) = value
                    .split('/')
                    .next()
                    .unwrap_or_default()
                    .split_once('.')
                    .unwrap_or((value.split('/').next().unwrap_or_default(), ""));
                let part: String = part.chars().chain("000".chars()).take(3).collect();
                let micros = whole.parse::<u64>().ok().zip(part.parse::<u64>().ok());
                socket.rtt_us = micros.map(|(w, p)| w.saturating_mul(1000).saturating_add(p));
            }
            "rto" | "cwnd" | "mss" | "wscale" => {}
            _ => continue,
        }
        any = true;
    }
    any
}
