//! The lines of `arp` and `ifconfig`: net-tools', BSD's and Windows' ways of writing them.
//! Knows how they are written, nothing else.

use crate::facts::{HostInterface, Neighbour};

use super::ip;

/// `? (10.0.0.1) at 0e:… [ether] on eth0`, a row of `arp -n`, or a row of Windows' `arp -a`.
pub(crate) fn line(line: &str) -> Option<Neighbour> {
    in_words(line).or_else(|| row(line))
}

fn in_words(line: &str) -> Option<Neighbour> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ip = words.get(1)?.strip_prefix('(')?.strip_suffix(')').and_then(ip::address)?;
    if words.get(2) != Some(&"at") {
        return None;
    }
    let text = *words.get(3)?;
    let is_incomplete = matches!(text, "<incomplete>" | "(incomplete)");
    let mac = if is_incomplete { None } else { Some(text.parse().ok()?) };
    let dev = words.iter().position(|w| *w == "on").and_then(|at| words.get(at + 1)).map(|d| (*d).to_owned());
    let state =
        if is_incomplete { Some("incomplete") } else { words.iter().any(|w| matches!(*w, "PERM" | "permanent")).then_some("PERMANENT") };
    Some(Neighbour { ip, mac, dev, state: state.map(str::to_owned) })
}

fn row(line: &str) -> Option<Neighbour> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ip = ip::address(words.first()?)?;
    match *words.get(1)? {
        "(incomplete)" => {
            let dev = words.get(2)?;
            (words.len() == 3).then(|| Neighbour { ip, mac: None, dev: Some((*dev).to_owned()), state: Some("incomplete".to_owned()) })
        }
        "ether" => {
            let mac = words.get(2)?.parse().ok()?;
            let flags = *words.get(3)?;
            let dev = (*words.last()?).to_owned();
            let state = flags.contains('M').then(|| "PERMANENT".to_owned());
            (words.len() >= 5).then_some(Neighbour { ip, mac: Some(mac), dev: Some(dev), state })
        }
        text => {
            let mac = text.parse().ok()?;
            let state = match *words.get(2)? {
                "dynamic" => None,
                "static" => Some("PERMANENT".to_owned()),
                _ => return None,
            };
            (words.len() == 3).then_some(Neighbour { ip, mac: Some(mac), dev: None, state })
        }
    }
}

/// A row of `arp` without `-n`, which has a name where the address should be.
pub(crate) fn is_row_with_name(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words.get(1) == Some(&"ether") && words.len() >= 5 && words.get(2).is_some_and(|w| w.parse::<crate::model::Mac>().is_ok())
}

/// The first line of an interface: `eth0: flags=4163<UP,…>  mtu 9001` (net-tools 2, BSD) or
/// `eth0      Link encap:Ethernet  HWaddr 0E:…` (net-tools 1).
pub(crate) fn ifconfig_line(line: &str) -> Option<HostInterface> {
    let (name, rest) = line.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    if let Some(flags) = rest.strip_prefix("flags=") {
        let (_, flags) = flags.split_once('<')?;
        let (flags, rest) = flags.split_once('>')?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let mtu = words.iter().position(|w| *w == "mtu").and_then(|at| words.get(at + 1)).and_then(|m| m.parse().ok());
        return Some(HostInterface {
            name: alias_of(name.strip_suffix(':')?),
            mtu,
            is_up: Some(has_carrier(flags.split(','))),
            ..HostInterface::default()
        });
    }
    let rest = rest.strip_prefix("Link encap:")?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let mac = words.iter().position(|w| *w == "HWaddr").and_then(|at| words.get(at + 1)).and_then(|m| m.parse().ok());
    Some(HostInterface { name: alias_of(name), mac, ..HostInterface::default() })
}

/// `eth0:1` is a second address of `eth0`.
fn alias_of(name: &str) -> String {
    name.split(':').next().unwrap_or(name).to_owned()
}

fn has_carrier<'a>(mut flags: impl Iterator<Item = &'a str> + Clone) -> bool {
    flags.clone().any(|f| f == "UP") && flags.any(|f| f == "RUNNING")
}

/// Adds an indented line of `ifconfig` to its interface.
pub(crate) fn ifconfig_detail(interface: &mut HostInterface, line: &str) -> ip::Detail {
    let words: Vec<&str> = line.split_whitespace().collect();
    let after = |key: &str| words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1)).copied();
    let prefixed = |key: &str| words.iter().find_map(|w| w.strip_prefix(key));
    match words.first().copied().unwrap_or_default() {
        "inet" => {
            let text = prefixed("addr:").or_else(|| words.get(1).copied()).unwrap_or_default();
            let mask = prefixed("Mask:").or_else(|| after("netmask"));
            match (text.parse::<std::net::Ipv4Addr>(), mask.map(mask_length)) {
                (Ok(address), None) => interface.addresses.push(std::net::IpAddr::V4(address).into()),
                (Ok(address), Some(Some(length))) => interface.addresses.extend(ip::prefix(&format!("{address}/{length}"))),
                _ => return ip::Detail::Damaged,
            }
        }
        "inet6" => {
            let text = words.iter().skip(1).find(|w| **w != "addr:").copied().unwrap_or_default();
            let text = text.strip_prefix("addr:").unwrap_or(text);
            let (address, length) = text.split_once('/').unwrap_or((text, after("prefixlen").unwrap_or("128")));
            let found = ip::address(address).and_then(|a| ip::prefix(&format!("{a}/{length}")));
            match found {
                Some(address) => interface.addresses.push(address),
                None => return ip::Detail::Damaged,
            }
        }
        "ether" => match words.get(1).and_then(|m| m.parse().ok()) {
            Some(mac) => interface.mac = Some(mac),
            None => return ip::Detail::Damaged,
        },
        _ => {
            if let Some(mtu) = prefixed("MTU:") {
                interface.mtu = mtu.parse().ok();
                interface.is_up = Some(has_carrier(words.iter().copied()));
            }
        }
    }
    ip::Detail::Understood
}

/// `255.255.224.0` or, on BSD, `0xffffe000`.
fn mask_length(mask: &str) -> Option<u32> {
    let bits = match mask.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => mask.parse::<std::net::Ipv4Addr>().ok()?.into(),
    };
    (bits.count_ones() == bits.leading_ones()).then(|| bits.count_ones())
}
