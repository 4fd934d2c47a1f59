//! `ipvsadm -Ln` and `ipvsadm -Sn`: virtual servers and the real ones behind them. Knows how they are written (ipvsadm(8)), nothing of services.

use std::net::IpAddr;

use crate::facts::{RealServer, VirtualServer};
use crate::model::Protocol;

/// What a line adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Virtual(VirtualServer),
    /// Of the virtual server before it, or of the one that it names.
    Real(Option<(Protocol, IpAddr, u16)>, RealServer),
}

/// `10.0.0.1:80`, `[fd00::1]:80`.
fn end(word: &str) -> Option<(IpAddr, u16)> {
    let (host, port) = word.rsplit_once(':')?;
    Some((host.trim_start_matches('[').trim_end_matches(']').parse().ok()?, port.parse().ok()?))
}

fn protocol(word: &str) -> Option<Protocol> {
    match word {
        "TCP" | "-t" => Some(Protocol::Tcp),
        "UDP" | "-u" => Some(Protocol::Udp),
        "SCTP" | "--sctp-service" => Some(Protocol::Sctp),
        _ => None,
    }
}

/// `IP Virtual Server version …`, the first line of a listing.
pub(crate) fn is_heading(line: &str) -> bool {
    line.starts_with("IP Virtual Server version ")
}

/// `TCP  10.100.7.7:80 rr`, `  -> 10.0.1.9:8080  Masq  1  0  0`; `-A -t 10.100.7.7:80 -s rr`, `-a -t 10.100.7.7:80 -r 10.0.1.9:8080 -m -w 1`.
pub(crate) fn line(line: &str) -> Option<Line> {
    if !["-> ", "-A -", "-a -", "TCP ", "UDP ", "SCTP "].iter().any(|p| line.trim_start().starts_with(p)) {
        return None;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        ["->", real, forward, weight, ..] => {
            let ((ip, port), weight) = (end(real)?, weight.parse().ok()?);
            Some(Line::Real(None, RealServer { ip, port, forward: (*forward).to_owned(), weight }))
        }
        ["-A", kind, at, "-s", scheduler, ..] => {
            let ((ip, port), protocol) = (end(at)?, protocol(kind)?);
            Some(Line::Virtual(VirtualServer { protocol, ip, port, scheduler: (*scheduler).to_owned(), servers: Vec::new() }))
        }
        ["-a", kind, at, "-r", real, rest @ ..] => {
            let (protocol, (vip, vport), (ip, port)) = (protocol(kind)?, end(at)?, end(real)?);
            let forward = match rest.first().copied() {
                Some("-m") => "Masq",
                Some("-i") => "Tunnel",
                _ => "Route",
            };
            let weight = rest.iter().position(|w| *w == "-w").and_then(|n| rest.get(n + 1)).and_then(|w| w.parse().ok()).unwrap_or(1);
            Some(Line::Real(Some((protocol, vip, vport)), RealServer { ip, port, forward: forward.to_owned(), weight }))
        }
        [kind @ ("TCP" | "UDP" | "SCTP"), at, scheduler, ..] => {
            let ((ip, port), protocol) = (end(at)?, protocol(kind)?);
            Some(Line::Virtual(VirtualServer { protocol, ip, port, scheduler: (*scheduler).to_owned(), servers: Vec::new() }))
        }
        _ => None,
    }
}
