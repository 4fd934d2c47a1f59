//! Wireshark display filters that find a path's or a hop's packets again in the captures.
//! Knows Wireshark's field names; addresses that are none are left out, so nothing from an input gets into the filter's grammar.

use std::net::IpAddr;

use crate::order;
use crate::report::{DirectionPath, Hop, Path};

/// The packets of a whole path, as they look at any of its hops; empty if nothing of it can be filtered for.
#[must_use]
pub fn path_filter(path: &Path) -> String {
    let mut forms: Vec<String> = Vec::new();
    for hop in path.directions.iter().flat_map(DirectionPath::all_hops) {
        let form = hop_filter(path, hop);
        if !form.is_empty() && !forms.contains(&form) {
            forms.push(form);
        }
    }
    match forms.as_slice() {
        [one] => one.clone(),
        many => many.iter().map(|f| format!("({f})")).collect::<Vec<_>>().join(" || "),
    }
}

/// A path's packets as they look at one hop, in both directions; empty if the hop has no addresses.
#[must_use]
pub fn hop_filter(path: &Path, hop: &Hop) -> String {
    // The lower end first, so that a request's hop and its reply's give the same filter.
    let mut ends = [(hop.src_ip.as_deref(), hop.src_port), (hop.dst_ip.as_deref(), hop.dst_port)];
    order::sort(&mut ends);
    let mut terms = Vec::new();
    for ip in ends.iter().filter_map(|(ip, _)| ip.and_then(|ip| ip.parse::<IpAddr>().ok())) {
        terms.push(match ip {
            IpAddr::V4(ip) => format!("ip.addr == {ip}"),
            IpAddr::V6(ip) => format!("ipv6.addr == {ip}"),
        });
    }
    if terms.is_empty() {
        return String::new();
    }
    match path.flow.protocol.as_str() {
        name @ ("tcp" | "udp" | "sctp") => {
            terms.extend(ends.iter().filter_map(|(_, port)| *port).map(|port| format!("{name}.port == {port}")));
        }
        name @ ("icmp" | "icmpv6") => terms.push(name.to_owned()),
        _ => {}
    }
    terms.dedup();
    terms.join(" && ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Flow;

    fn hop(src: (&str, u16), dst: (&str, u16)) -> Hop {
        Hop { src_ip: Some(src.0.into()), src_port: Some(src.1), dst_ip: Some(dst.0.into()), dst_port: Some(dst.1), ..Hop::default() }
    }

    #[test]
    fn each_form_of_a_translated_path_stands_once() {
        let (client, node, pod) = (("203.0.113.9", 51514), ("192.168.29.46", 8482), ("2001:db8::1", 8080));
        let path = Path {
            flow: Flow { protocol: "tcp".into(), ..Flow::default() },
            directions: vec![
                DirectionPath { hops: vec![hop(client, node), hop(client, node), hop(node, pod)], ..DirectionPath::default() },
                DirectionPath { hops: vec![hop(pod, node), hop(node, client)], ..DirectionPath::default() },
            ],
            ..Path::default()
        };
        assert_eq!(
            path_filter(&path),
            "(ip.addr == 192.168.29.46 && ip.addr == 203.0.113.9 && tcp.port == 8482 && tcp.port == 51514) || \
             (ip.addr == 192.168.29.46 && ipv6.addr == 2001:db8::1 && tcp.port == 8482 && tcp.port == 8080)"
        );
    }

    #[test]
    fn what_is_no_address_stays_out() {
        let path = Path { flow: Flow { protocol: "tcp) || (frame".into(), ..Flow::default() }, ..Path::default() };
        assert_eq!(hop_filter(&path, &hop(("1.2.3.4 || frame", 1), ("10.0.0.1", 2))), "ip.addr == 10.0.0.1");
        assert_eq!(hop_filter(&path, &Hop::default()), "");
    }
}
