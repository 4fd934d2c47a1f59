//! `ip addr`, `ip link`, `ip neigh`, `ip route`, `ip rule` as `-j` JSON, and the lines of their text forms.
//! Knows what iproute2 prints. Which line belongs to which interface is `text`'s affair.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::json::Reader;
use super::scan::Step;
use crate::facts::{Fact, HostInterface, Neighbour, Route, Rule};
use crate::model::quotable;

/// Link kinds (`info_kind`) that `ip -d` prints as the first word of a line.
const LINK_KINDS: &[&str] = &[
    "amt",
    "bareudp",
    "bond",
    "bridge",
    "dsa",
    "dummy",
    "erspan",
    "geneve",
    "gre",
    "gretap",
    "gtp",
    "hsr",
    "ifb",
    "ip6erspan",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "ipoib",
    "ipvlan",
    "ipvtap",
    "macsec",
    "macvlan",
    "macvtap",
    "netdevsim",
    "netkit",
    "nlmon",
    "rmnet",
    "sit",
    "team",
    "tun",
    "vcan",
    "vlan",
    "vrf",
    "vsockmon",
    "vti",
    "vti6",
    "veth",
    "vxlan",
    "wireguard",
    "xfrm",
];

/// Route types that stand before the destination (`ip-route(8)`).
const ROUTE_TYPES: &[&str] =
    &["unicast", "local", "broadcast", "multicast", "throw", "unreachable", "prohibit", "blackhole", "nat", "anycast"];

/// States of a neighbour (`ip-neighbour(8)`).
const NEIGHBOUR_STATES: &[&str] = &["PERMANENT", "NOARP", "REACHABLE", "STALE", "NONE", "INCOMPLETE", "DELAY", "PROBE", "FAILED"];

/// A prefix, or an address as the prefix that holds it alone.
pub(crate) fn prefix(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// An address, without a zone (`fe80::1%eth0`).
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    text.split('%').next().unwrap_or(text).parse().ok()
}

/// The word after `key`.
fn after<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words.iter().position(|w| *w == key).and_then(|at| words.get(at + 1)).copied()
}

/// `2: eth0: <BROADCAST,UP> mtu 9001 …`, the first line of an interface.
pub(crate) fn interface_line(line: &str) -> Option<HostInterface> {
    let (index, rest) = line.split_once(": ")?;
    let index = index.parse().ok()?;
    let (name, rest) = rest.split_once(": <")?;
    let (flags, rest) = rest.split_once('>')?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (name, peer) = name.split_once('@').unwrap_or((name, ""));
    let peer_index = peer.strip_prefix("if").and_then(|n| n.parse().ok());
    let flags: Vec<&str> = flags.split(',').collect();
    Some(HostInterface {
        index: Some(index),
        name: name.to_owned(),
        parent_name: Some(peer).filter(|p| peer_index.is_none() && !p.is_empty() && *p != "NONE").map(str::to_owned),
        peer_index,
        mtu: after(&words, "mtu").and_then(|m| m.parse().ok()),
        master: after(&words, "master").map(str::to_owned),
        is_up: Some(is_up(&flags)),
        ..HostInterface::default()
    })
}

/// `eth0@if2         UP             10.40.11.164/19 fe80::1/64` or `eth0  UP  02:f9:e6:6e:20:46 <BROADCAST,UP>`, of `ip -br`.
/// An interface without addresses has nothing more to tell here.
pub(crate) fn brief_line(line: &str) -> Option<HostInterface> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (name, state, rest) = (*words.first()?, *words.get(1)?, words.get(2..)?);
    let is_up = match state {
        "UP" => Some(true),
        "DOWN" | "LOWERLAYERDOWN" => Some(false),
        // What has no carrier to tell of, such as `lo`.
        "UNKNOWN" => None,
        _ => return None,
    };
    let (name, peer) = name.split_once('@').unwrap_or((name, ""));
    let peer_index = peer.strip_prefix("if").and_then(|n| n.parse().ok());
    let mut interface = HostInterface {
        name: name.to_owned(),
        parent_name: Some(peer).filter(|p| peer_index.is_none() && !p.is_empty() && *p != "NONE").map(str::to_owned),
        peer_index,
        is_up,
        ..HostInterface::default()
    };
    if let [mac, flags] = rest
        && flags.starts_with('<')
    {
        interface.mac = Some(mac.parse().ok()?);
        return Some(interface);
    }
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        match *word {
            "metric" => drop(words.next()),
            // The other end of a point-to-point link.
            "peer" => drop(words.next()),
            word => interface.addresses.push(word.contains('/').then(|| prefix(word))??),
        }
    }
    (!interface.addresses.is_empty()).then_some(interface)
}

/// Switched on, and with a carrier.
fn is_up<T: AsRef<str>>(flags: &[T]) -> bool {
    flags.iter().any(|f| f.as_ref() == "UP") && !flags.iter().any(|f| f.as_ref() == "NO-CARRIER")
}

/// What an indented line adds to its interface.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Something was added, or nothing of it is wanted.
    Understood,
    /// An address or a MAC that cannot be read.
    Damaged,
}

/// Adds an indented line (`    inet 10.0.0.1/24 …`) to its interface.
pub(crate) fn interface_detail(interface: &mut HostInterface, line: &str) -> Detail {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some(first) = words.first().copied() else { return Detail::Understood };
    let second = words.get(1).copied().unwrap_or_default();
    match first {
        "inet" | "inet6" => {
            // Of a point-to-point address, the prefix length stands with the peer.
            let length = after(&words, "peer").and_then(|p| p.split_once('/')).map(|(_, l)| l);
            let text = length.map_or_else(|| second.to_owned(), |l| format!("{second}/{l}"));
            match prefix(&text) {
                Some(address) => interface.addresses.push(address),
                None => return Detail::Damaged,
            }
        }
        _ if first.starts_with("link/") => {
            match second.parse() {
                Ok(mac) => interface.mac = Some(mac),
                // Tunnels print IP addresses or nothing here; only Ethernet promises a MAC.
                Err(_) if first == "link/ether" => return Detail::Damaged,
                Err(_) => {}
            }
            interface.peer_netns = after(&words, "link-netns").or_else(|| after(&words, "link-netnsid")).map(str::to_owned);
        }
        "vlan" => {
            interface.kind = Some(first.to_owned());
            interface.vlan = after(&words, "id").and_then(|id| id.parse().ok());
        }
        _ if LINK_KINDS.contains(&first) => interface.kind = Some(first.to_owned()),
        _ => {}
    }
    Detail::Understood
}

/// `10.0.0.1 dev eth0 lladdr 0e:… REACHABLE`.
pub(crate) fn neighbour_line(line: &str) -> Option<Neighbour> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ip = address(words.first()?)?;
    let last = *words.last()?;
    let state = if NEIGHBOUR_STATES.contains(&last) || last == "proxy" { last } else { return None };
    let mac = match after(&words, "lladdr") {
        Some(text) => Some(text.parse().ok()?),
        None => None,
    };
    Some(Neighbour { ip, mac, dev: after(&words, "dev").map(str::to_owned), state: Some(state.to_owned()) })
}

/// `default via 10.0.0.1 dev eth0 …`. The answer of `ip route get` looks the same, and is no route of a table: it has a `uid`.
pub(crate) fn route_line(line: &str) -> Option<Route> {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let kind = words.first().copied().filter(|w| ROUTE_TYPES.contains(w));
    if kind.is_some() {
        words.remove(0);
    }
    let destination = match *words.first()? {
        "default" => None,
        text => Some(prefix(text)?),
    };
    words.remove(0);
    if words.contains(&"uid")
        || (kind.is_none() && !words.iter().any(|w| matches!(*w, "dev" | "via" | "nhid" | "proto" | "scope" | "metric")))
    {
        return None;
    }
    let mut route = Route { destination, kind: kind.unwrap_or("unicast").to_owned(), table: "main".to_owned(), ..Route::default() };
    route_words(&mut route, &words)?;
    Some(route)
}

/// `nexthop via 10.0.0.1 dev eth0 weight 1`, one way of the route before it.
pub(crate) fn nexthop_line(line: &str, route: &Route) -> Option<Route> {
    let words: Vec<&str> = line.split_whitespace().collect();
    if words.first() != Some(&"nexthop") {
        return None;
    }
    let mut route = route.clone();
    route_words(&mut route, &words)?;
    Some(route)
}

fn route_words(route: &mut Route, words: &[&str]) -> Option<()> {
    if let Some(via) = words.iter().position(|w| *w == "via") {
        // `via inet6 fe80::1` for an IPv4 route with an IPv6 gateway.
        let text = words.get(via + 1).copied().filter(|w| !matches!(*w, "inet" | "inet6")).or_else(|| words.get(via + 2).copied())?;
        route.via = Some(address(text)?);
    }
    if let Some(text) = after(words, "src") {
        route.src = Some(address(text)?);
    }
    if let Some(table) = after(words, "table") {
        route.table = table.to_owned();
    }
    route.dev = after(words, "dev").map(str::to_owned).or(route.dev.take());
    route.metric = after(words, "metric").and_then(|m| m.parse().ok()).or(route.metric);
    Some(())
}

/// `512: from all to 10.0.0.1 lookup main`.
pub(crate) fn rule_line(line: &str) -> Option<Rule> {
    let (priority, rest) = line.split_once(':')?;
    let words: Vec<&str> = rest.split_whitespace().collect();
    let is_not = words.first() == Some(&"not");
    if words.get(usize::from(is_not)) != Some(&"from") {
        return None;
    }
    let mut rule = Rule { priority: priority.trim().parse().ok()?, is_not, ..Rule::default() };
    rule.from = all_or_prefix(after(&words, "from")?)?;
    if let Some(text) = after(&words, "to") {
        rule.to = all_or_prefix(text)?;
    }
    rule.iif = after(&words, "iif").map(str::to_owned);
    rule.oif = after(&words, "oif").map(str::to_owned);
    rule.fwmark = after(&words, "fwmark").map(str::to_owned);
    rule.table = after(&words, "lookup").map(str::to_owned);
    Some(rule)
}

/// `None`: neither `all` nor a prefix.
fn all_or_prefix(text: &str) -> Option<Option<IpNet>> {
    if text == "all" { Some(None) } else { prefix(text).map(Some) }
}

fn read<T: DeserializeOwned>(reader: &mut Reader<'_>, at: usize, take: impl FnOnce(&mut Reader<'_>, T)) -> Step {
    let (end, value) = reader.parse(at)?;
    if let Some(value) = value {
        take(reader, value);
    }
    Ok(end)
}

/// A member that iproute2 prints as a number in one version and as text in another.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Number(u64),
    Text(String),
}

impl Word {
    fn into_text(self) -> String {
        match self {
            Self::Number(n) => n.to_string(),
            Self::Text(t) => t,
        }
    }

    fn number<T: TryFrom<u64>>(&self) -> Option<T> {
        match self {
            Self::Number(n) => T::try_from(*n).ok(),
            Self::Text(t) => t.parse::<u64>().ok().and_then(|n| T::try_from(n).ok()),
        }
    }
}

#[derive(Deserialize)]
struct Link {
    ifindex: Option<u32>,
    ifname: String,
    link: Option<String>,
    link_index: Option<u32>,
    link_netns: Option<String>,
    link_netnsid: Option<i64>,
    flags: Option<Vec<String>>,
    mtu: Option<u32>,
    address: Option<String>,
    link_type: Option<String>,
    master: Option<String>,
    linkinfo: Option<LinkInfo>,
    addr_info: Option<Vec<AddressInfo>>,
}

#[derive(Deserialize)]
struct LinkInfo {
    info_kind: Option<String>,
    info_data: Option<LinkData>,
}

#[derive(Deserialize)]
struct LinkData {
    id: Option<Word>,
}

#[derive(Deserialize)]
struct AddressInfo {
    local: Option<String>,
    prefixlen: Option<u8>,
}

/// An element of `ip -j addr` or `ip -j link`.
pub(crate) fn json_link(reader: &mut Reader<'_>, at: usize) -> Step {
    read(reader, at, |reader, link: Link| {
        let mut addresses = Vec::new();
        for (index, info) in link.addr_info.unwrap_or_default().into_iter().enumerate() {
            // Some versions print empty objects for the addresses that a filter left out.
            let Some(local) = info.local else { continue };
            let text = info.prefixlen.map_or_else(|| local.clone(), |l| format!("{local}/{l}"));
            match prefix(&text) {
                Some(address) => addresses.push(address),
                None => reader.loss(&format!("/addr_info/{index}"), &format!("`{}` is not an interface's address", quotable(&text))),
            }
        }
        // Tunnels have IP addresses in this member.
        let is_ethernet = link.link_type.as_deref().is_none_or(|t| t == "ether");
        let mac = match link.address.as_deref() {
            Some(text) if is_ethernet => reader.value("/address", Some(text), "a MAC address"),
            other => other.and_then(|t| t.parse().ok()),
        };
        let kind = link.linkinfo.as_ref().and_then(|i| i.info_kind.clone());
        let id = link.linkinfo.and_then(|i| i.info_data).and_then(|d| d.id);
        reader.push(Fact::HostInterface(HostInterface {
            index: link.ifindex,
            name: link.ifname,
            parent_name: link.link,
            peer_index: link.link_index,
            peer_netns: link.link_netns.or_else(|| link.link_netnsid.map(|n| n.to_string())),
            mac,
            mtu: link.mtu,
            vlan: id.filter(|_| kind.as_deref() == Some("vlan")).and_then(|i| i.number()),
            kind,
            addresses,
            is_up: link.flags.map(|f| is_up(&f)),
            master: link.master,
        }));
    })
}

#[derive(Deserialize)]
struct NeighbourObject {
    dst: String,
    dev: Option<String>,
    lladdr: Option<String>,
    #[serde(default)]
    state: States,
}

/// A list, or one word.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum States {
    Many(Vec<String>),
    One(String),
    #[default]
    None,
}

/// An element of `ip -j neigh`.
pub(crate) fn json_neighbour(reader: &mut Reader<'_>, at: usize) -> Step {
    read(reader, at, |reader, object: NeighbourObject| {
        let state = match object.state {
            States::Many(states) => states.into_iter().next(),
            States::One(state) => Some(state),
            States::None => None,
        };
        let mac = reader.value("/lladdr", object.lladdr.as_deref(), "a MAC address");
        if let Some(ip) = reader.value("/dst", Some(&object.dst), "an IP address") {
            reader.push(Fact::Neighbour(Neighbour { ip, mac, dev: object.dev, state }));
        }
    })
}

#[derive(Deserialize)]
struct RouteObject {
    r#type: Option<String>,
    dst: String,
    gateway: Option<String>,
    via: Option<Via>,
    dev: Option<String>,
    table: Option<Word>,
    prefsrc: Option<String>,
    metric: Option<u32>,
    nexthops: Option<Vec<Nexthop>>,
}

#[derive(Deserialize)]
struct Via {
    host: Option<String>,
}

#[derive(Deserialize)]
struct Nexthop {
    gateway: Option<String>,
    via: Option<Via>,
    dev: Option<String>,
}

/// An element of `ip -j route`.
pub(crate) fn json_route(reader: &mut Reader<'_>, at: usize) -> Step {
    read(reader, at, |reader, object: RouteObject| {
        let destination = match object.dst.as_str() {
            "default" => None,
            text => match prefix(text) {
                Some(prefix) => Some(prefix),
                None => return reader.loss("/dst", &format!("`{}` is not an IP prefix", quotable(text))),
            },
        };
        let gateway = object.gateway.or(object.via.and_then(|v| v.host));
        let route = Route {
            table: object.table.map_or_else(|| "main".to_owned(), Word::into_text),
            kind: object.r#type.unwrap_or_else(|| "unicast".to_owned()),
            destination,
            via: reader.value("/gateway", gateway.as_deref(), "an IP address"),
            dev: object.dev,
            src: reader.value("/prefsrc", object.prefsrc.as_deref(), "an IP address"),
            metric: object.metric,
        };
        let Some(nexthops) = object.nexthops.filter(|n| !n.is_empty()) else {
            return reader.push(Fact::Route(route));
        };
        for (index, hop) in nexthops.into_iter().enumerate() {
            let below = format!("/nexthops/{index}");
            let gateway = hop.gateway.or(hop.via.and_then(|v| v.host));
            let via = reader.value(&format!("{below}/gateway"), gateway.as_deref(), "an IP address");
            reader.push_below(&below, Fact::Route(Route { via, dev: hop.dev, ..route.clone() }));
        }
    })
}

#[derive(Deserialize)]
struct RuleObject {
    priority: u32,
    #[serde(default, deserialize_with = "present")]
    not: bool,
    src: Option<String>,
    srclen: Option<u8>,
    dst: Option<String>,
    dstlen: Option<u8>,
    iif: Option<String>,
    oif: Option<String>,
    fwmark: Option<Word>,
    fwmask: Option<Word>,
    table: Option<Word>,
}

/// iproute2 prints `"not": null` for a negated rule, and no member for the others.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// An element of `ip -j rule`.
pub(crate) fn json_rule(reader: &mut Reader<'_>, at: usize) -> Step {
    read(reader, at, |reader, object: RuleObject| {
        let mut selector = |below: &str, address: Option<String>, length: Option<u8>| {
            let Some(address) = address.filter(|a| a != "all") else { return Some(None) };
            let text = length.map_or_else(|| address.clone(), |l| format!("{address}/{l}"));
            let found = prefix(&text);
            if found.is_none() {
                reader.loss(below, &format!("`{}` is not an IP prefix", quotable(&text)));
            }
            found.map(Some)
        };
        // Without its selector a rule would select everything: better no rule.
        let from = selector("/src", object.src, object.srclen);
        let to = selector("/dst", object.dst, object.dstlen);
        let (Some(from), Some(to)) = (from, to) else { return };
        let mark = object.fwmark.map(Word::into_text);
        let mask = object.fwmask.map(Word::into_text);
        reader.push(Fact::Rule(Rule {
            priority: object.priority,
            from,
            to,
            iif: object.iif,
            oif: object.oif,
            fwmark: mark.map(|mark| mask.map_or_else(|| mark.clone(), |mask| format!("{mark}/{mask}"))),
            is_not: object.not,
            table: object.table.map(Word::into_text),
        }));
    })
}
