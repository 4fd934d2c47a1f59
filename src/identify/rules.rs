//! What a node's own tables say of services and of MACs behind bridges: kube-proxy's chains (iptables, nftables), virtual servers (IPVS), `bridge fdb`.
//! Knows how kube-proxy names chains, maps and comments; must not look at a capture.
//!
//! Sources: kubernetes `pkg/proxy/iptables/proxier.go`, `pkg/proxy/nftables/proxier.go`, `pkg/proxy/ipvs/proxier.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::inventory::{Claim, HostInfo, Id, Inventory, ServiceInfo, interface_id};
use crate::confidence::owner as weight;
use crate::evidence::{Book, Ev, Place};
use crate::facts::{IptablesRule, ServicePort, TargetPort};
use crate::model::Protocol;
use crate::order;

/// From a service's chain to an endpoint's: `KUBE-EXT-…`, `KUBE-SVL-…`, `KUBE-SVC-…`, `KUBE-SEP-…`.
const DEEPEST: usize = 6;
/// kube-proxy takes node ports from here unless it is told otherwise (`--service-node-port-range`).
const NODE_PORTS: std::ops::RangeInclusive<u16> = 30_000..=32_767;
/// How many endpoints one statement names.
const NAMED: usize = 8;

/// Where a service's packets go.
struct Target<'a> {
    ip: IpAddr,
    port: Option<u16>,
    place: &'a Place,
}

/// One address and port of a service, as rules state it.
struct Stated<'a> {
    id: Id,
    port_name: Option<String>,
    protocol: Protocol,
    ip: IpAddr,
    port: u16,
    node_port: Option<u16>,
    targets: Vec<Target<'a>>,
    place: &'a Place,
}

impl Inventory {
    /// Services that no `kubectl` output names, and endpoints that it leaves out. What Kubernetes itself says goes before.
    pub(super) fn services_from_hosts(&mut self, book: &mut Book) {
        let hosts = std::mem::take(&mut self.hosts);
        let known: BTreeSet<Id> = order::set(self.services.iter().filter(|(_, s)| !s.endpoints.is_empty()).map(|(id, _)| id.clone()));
        for host in &hosts {
            for stated in by_rules(host).into_iter().chain(self.by_ipvs(host)) {
                if !known.contains(&stated.id) {
                    self.service_from_host(stated, book);
                }
            }
        }
        self.hosts = hosts;
    }

    fn service_from_host(&mut self, x: Stated<'_>, book: &mut Book) {
        let ends: Vec<String> = x.targets.iter().take(NAMED).map(|t| end(t.ip, t.port)).collect();
        let more = x.targets.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let mut places = vec![x.place.clone()];
        places.extend(x.targets.iter().take(NAMED).map(|t| t.place.clone()));
        places.dedup();
        let statement = format!("a node's rules send {} to {}{more}", end(x.ip, Some(x.port)), ends.join(", "));
        let ev: Ev = book.add("stated", statement, places);
        let s = self.services.entry(x.id.clone()).or_insert_with(|| ServiceInfo {
            id: x.id.clone(),
            kind: "ClusterIP".to_owned(),
            ..ServiceInfo::default()
        });
        if !s.ips.contains(&x.ip) {
            s.ips.push(x.ip);
        }
        if x.node_port.is_some() && s.kind == "ClusterIP" {
            "NodePort".clone_into(&mut s.kind);
        }
        match s.ports.iter_mut().find(|p| p.port == x.port && p.protocol == x.protocol) {
            Some(p) => p.node_port = p.node_port.or(x.node_port),
            None => s.ports.push(ServicePort {
                name: x.port_name.clone(),
                protocol: x.protocol,
                port: x.port,
                target_port: x.targets.first().and_then(|t| t.port).map(TargetPort::Number),
                node_port: x.node_port,
            }),
        }
        for t in &x.targets {
            let endpoint = (t.ip, x.port_name.clone(), t.port, x.protocol);
            if !s.endpoints.contains(&endpoint) {
                s.endpoints.push(endpoint);
            }
        }
        if !s.ev.contains(&ev) {
            s.ev.push(ev);
        }
    }

    /// What bridges have learnt: the MAC behind a tunnel is the node's at its other end (flannel and Calico write these entries), the MAC
    /// that came in by a pod's link is that pod's.
    pub(super) fn learnt(&mut self, hosts: &[HostInfo], book: &mut Book) {
        for host in hosts {
            let Some((owner, p)) = &host.owner else { continue };
            for (e, place) in host.fdb.iter().filter(|(e, _)| !e.mac.is_group() && !e.mac.is_zero()) {
                if let Some(remote) = e.remote {
                    let node = self.owner_of_ip(remote).map(|c| c.owner.clone()).filter(|o| self.nodes.contains_key(o));
                    let Some(node) = node else { continue };
                    let ev = book.add("stated", format!("{} is behind {remote}, by {}", e.mac, e.dev), vec![place.clone()]);
                    self.by_mac.entry(e.mac).or_default().push(Claim {
                        owner: node,
                        interface: None,
                        p: weight::TUNNEL_ENTRY * p,
                        ev: vec![ev],
                    });
                } else if e.state.is_none() && !e.is_self {
                    let pod = self.pods.values().find(|x| x.veth == e.dev && x.node.as_ref() == Some(owner)).map(|x| x.id.clone());
                    let Some(pod) = pod else { continue };
                    let ev = book.add("stated", format!("{} came in by {}", e.mac, e.dev), vec![place.clone()]);
                    let interface = Some(interface_id(&pod, "eth0"));
                    self.by_mac.entry(e.mac).or_default().push(Claim { owner: pod, interface, p: weight::LEARNT_ENTRY * p, ev: vec![ev] });
                }
            }
        }
    }

    /// Virtual servers have no names: a service that is known by its address keeps its own.
    fn by_ipvs<'a>(&self, host: &'a HostInfo) -> Vec<Stated<'a>> {
        let own: BTreeSet<IpAddr> = host
            .interfaces
            .iter()
            .filter(|(i, _)| i.name != "kube-ipvs0")
            .flat_map(|(i, _)| &i.addresses)
            .map(ipnet::IpNet::addr)
            .collect();
        let is_machine = |ip: IpAddr| {
            own.contains(&ip)
                || self.nodes.values().any(|n| n.ips.contains(&ip))
                || self.enis.values().any(|e| e.ips.contains(&ip))
                || super::inventory::is_special(ip)
        };
        let servers =
            host.virtual_servers.iter().filter(|(v, _)| !v.servers.is_empty() && !is_machine(v.ip) && !NODE_PORTS.contains(&v.port));
        let stated = servers.map(|(v, place)| {
            let known = self.services.values().find(|s| s.ips.contains(&v.ip));
            let named = known.and_then(|s| s.ports.iter().find(|p| p.port == v.port && p.protocol == v.protocol));
            Stated {
                id: known.map_or_else(|| format!("service:{}", v.ip), |s| s.id.clone()),
                port_name: named.and_then(|p| p.name.clone()),
                protocol: v.protocol,
                ip: v.ip,
                port: v.port,
                node_port: None,
                targets: v.servers.iter().map(|s| Target { ip: s.ip, port: Some(s.port), place }).collect(),
                place,
            }
        });
        stated.collect()
    }
}

fn end(ip: IpAddr, port: Option<u16>) -> String {
    port.map_or_else(|| ip.to_string(), |p| SocketAddr::new(ip, p).to_string())
}

type Chains<'a> = BTreeMap<&'a str, Vec<(&'a IptablesRule, &'a Place)>>;

fn by_rules(host: &HostInfo) -> Vec<Stated<'_>> {
    // The chains of `filter` that are called like those of `nat` reject what has no endpoints, and translate nothing.
    let mut chains: Chains<'_> = BTreeMap::new();
    for (rule, place) in &host.iptables {
        chains.entry(&rule.chain).or_default().push((rule, place));
    }
    let mut node_ports: BTreeMap<(Id, Option<String>), u16> = BTreeMap::new();
    let mut stated = Vec::new();
    for (rule, place) in &host.iptables {
        let Some(target) = rule.target.as_deref().filter(|t| chains.contains_key(t)) else { continue };
        let (Some(port), Some((id, port_name))) = (rule.destination_port, name(rule)) else { continue };
        let whole = rule.destination.filter(|d| d.prefix_len() == d.max_prefix_len());
        // A service's own chain names its address again, for what comes from outside the cluster.
        if target.contains("MARK-MASQ") || target == "mark-for-masquerade" {
            continue;
        }
        let mut targets = Vec::new();
        endpoints(&chains, target, 0, &mut targets);
        if targets.is_empty() {
            continue;
        }
        match whole {
            Some(ip) => stated.push(Stated {
                id,
                port_name,
                protocol: rule.protocol.unwrap_or(Protocol::Tcp),
                ip: ip.addr(),
                port,
                node_port: None,
                targets,
                place,
            }),
            None if rule.destination.is_none() => {
                node_ports.insert((id, port_name), port);
            }
            None => {}
        }
    }
    for s in &mut stated {
        s.node_port = node_ports.get(&(s.id.clone(), s.port_name.clone())).copied();
    }
    stated
}

/// The service and its port's name: from the comment (`shop/web:http cluster IP`), or in nftables from the chain that the rule leads to
/// (`service-ULMVA6XW-shop/web/tcp/http`).
fn name(rule: &IptablesRule) -> Option<(Id, Option<String>)> {
    let id = |namespace: &str, name: &str| format!("service:{namespace}/{name}");
    let is_word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    if let Some(rest) = rule.target.as_deref().and_then(|t| t.strip_prefix("service-").or_else(|| t.strip_prefix("external-"))) {
        let mut parts = rest.split_once('-')?.1.split('/');
        let (namespace, name, _protocol, port) = (parts.next()?, parts.next()?, parts.next()?, parts.next());
        return (is_word(namespace) && is_word(name)).then(|| (id(namespace, name), port.filter(|p| !p.is_empty()).map(str::to_owned)));
    }
    let first = rule.comment.as_deref()?.split_whitespace().next()?;
    let (namespace, rest) = first.split_once('/')?;
    let (name, port) = rest.split_once(':').map_or((rest, None), |(n, p)| (n, Some(p.to_owned())));
    (is_word(namespace) && is_word(name)).then(|| (id(namespace, name), port))
}

/// Every address that a chain translates to, through the chains that it leads to.
fn endpoints<'a>(chains: &Chains<'a>, chain: &str, depth: usize, found: &mut Vec<Target<'a>>) {
    for (rule, place) in chains.get(chain).into_iter().flatten() {
        if let Some((ip, port)) = rule.to_destination {
            if !found.iter().any(|t| t.ip == ip && t.port == port) {
                found.push(Target { ip, port, place });
            }
        } else if let Some(next) = rule.target.as_deref().filter(|t| depth < DEEPEST && *t != chain) {
            endpoints(chains, next, depth + 1, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Fact, Located};

    /// What stands in `tests/formats/inventory`, printed by the commands themselves.
    fn services(format: crate::sniff::Format, bytes: &[u8]) -> BTreeMap<Id, ServiceInfo> {
        let facts: Vec<Located> = crate::import::import(format, bytes).facts;
        assert!(facts.iter().any(|f| matches!(f.fact, Fact::Iptables(_) | Fact::VirtualServer(_))));
        Inventory::build([(0, "rules", facts.as_slice())], &mut Book::default()).services
    }

    #[test]
    fn kube_proxys_rules_are_services_with_their_endpoints() {
        use crate::sniff::Format::Iptables;
        let expected: [(IpAddr, Option<u16>); 2] = [("10.0.1.9".parse().unwrap(), Some(8080)), ("10.0.2.9".parse().unwrap(), Some(8080))];
        for (file, bytes) in [
            ("iptables -nvL", include_bytes!("../../tests/formats/inventory/iptables/1.8.9/iptables-nat-nvL.txt").as_slice()),
            ("iptables -nL", include_bytes!("../../tests/formats/inventory/iptables/1.8.9/iptables-nat-nL.txt")),
            ("nft", include_bytes!("../../tests/formats/inventory/nftables/1.0.6/nft-ruleset.txt")),
            ("nft -j", include_bytes!("../../tests/formats/inventory/nftables/1.0.6/nft-ruleset.json")),
        ] {
            let all = services(Iptables, bytes);
            let web = all.get("service:shop/web").unwrap_or_else(|| panic!("{file}: {:?}", all.keys()));
            assert_eq!(web.ips, ["10.100.7.7".parse::<IpAddr>().unwrap()], "{file}");
            let port = web.ports.first().unwrap();
            assert_eq!((port.port, port.node_port, port.name.as_deref()), (80, Some(31080), Some("http")), "{file}");
            let ends: Vec<_> = web.endpoints.iter().map(|e| (e.0, e.2)).collect();
            assert_eq!(ends, expected, "{file}");
        }
    }

    #[test]
    fn virtual_servers_are_services_without_a_name() {
        let all = services(crate::sniff::Format::Ipvs, include_bytes!("../../tests/formats/inventory/ipvsadm/1.31/ipvsadm-ln.txt"));
        assert_eq!(all.keys().collect::<Vec<_>>(), ["service:10.100.0.1", "service:10.100.7.7", "service:fd00:10::7"]);
        assert_eq!(all["service:10.100.7.7"].endpoints.len(), 2);
    }
}
