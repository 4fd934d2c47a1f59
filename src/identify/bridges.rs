//! What a node's own tables say of the way inside it: which bridge a pod hangs on and by which port, which device leads to another node.
//! Knows `ip link`, `ip route`, `ip neigh` and `bridge fdb` of one host; must not know a capture.
//!
//! Flannel, Calico's VXLAN and kubenet put pods on a bridge and reach the other nodes' pods by a tunnel device, whose packets leave by
//! the node's own interface under the node's own address (RFC 7348; flannel's `backend/vxlan`).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::inventory::{Id, Inventory, spoken};
use crate::evidence::{Book, Ev, Place};
use crate::model::Mac;

/// Kinds of device (`ip -d link`) that put a packet into another.
const TUNNELS: &[&str] = &["vxlan", "geneve", "ipip", "gre", "gretap", "sit", "ip6tnl", WIREGUARD];

/// What sends packets by it is policy routing: its routes stand in a table of their own (Calico's and Cilium's encryption).
const WIREGUARD: &str = "wireguard";

/// Those of them that carry Ethernet frames.
const WITH_ETHERNET: &[&str] = &["vxlan", "geneve", "gretap"];

/// A node's routes and devices, as far as packets of pods cross them.
#[derive(Clone, Debug, Default)]
pub struct NodeTables {
    /// Port → bridge.
    masters: BTreeMap<String, (String, Place)>,
    tunnels: BTreeSet<String>,
    /// Those of them that encrypt.
    sealed: BTreeSet<String>,
    /// Those of them whose packets have no Ethernet header: IP in IP, GRE.
    bare: BTreeSet<String>,
    /// Routes by a bridge or a tunnel: destination, device, and where it says so.
    routes: Vec<(IpNet, String, Ev)>,
}

impl NodeTables {
    /// The tunnel device by which packets to an address leave, and the route that says so.
    #[must_use]
    pub fn tunnel_to(&self, ip: IpAddr) -> Option<(&str, Ev)> {
        self.route(ip).filter(|(dev, _)| self.tunnels.contains(*dev))
    }

    /// As [`Self::tunnel_to`], of devices whose packets have no Ethernet header.
    #[must_use]
    pub fn bare_tunnel_to(&self, ip: IpAddr) -> Option<(&str, Ev)> {
        self.tunnel_to(ip).filter(|(dev, _)| self.bare.contains(*dev))
    }

    /// Whether a device puts packets into others.
    #[must_use]
    pub fn is_tunnel(&self, dev: &str) -> bool {
        self.tunnels.contains(dev)
    }

    /// Whether a device is a bridge's port.
    #[must_use]
    pub fn is_port(&self, dev: &str) -> bool {
        self.masters.contains_key(dev)
    }

    /// Whether a device is a bridge.
    #[must_use]
    pub fn is_bridge(&self, dev: &str) -> bool {
        self.masters.values().any(|m| m.0 == dev)
    }

    /// The longest prefix wins, as in the kernel.
    fn route(&self, ip: IpAddr) -> Option<(&str, Ev)> {
        let fits = self.routes.iter().filter(|r| r.0.contains(&ip));
        fits.max_by_key(|r| r.0.prefix_len()).map(|r| (r.1.as_str(), r.2))
    }
}

impl Inventory {
    /// Reads the tables of every host that is a node, and puts its pods behind their ports.
    pub(super) fn bridges(&mut self, book: &mut Book) {
        let mut tables: BTreeMap<Id, NodeTables> = BTreeMap::new();
        let mut learnt: BTreeMap<(Id, Mac), (String, Place)> = BTreeMap::new();
        let mut known: BTreeMap<(Id, IpAddr), (Mac, Place)> = BTreeMap::new();
        for host in &self.hosts {
            let Some((owner, _)) = host.owner.as_ref().filter(|o| self.nodes.contains_key(&o.0)) else { continue };
            let t = tables.entry(owner.clone()).or_default();
            for (i, place) in &host.interfaces {
                if let Some(bridge) = &i.master {
                    t.masters.entry(i.name.clone()).or_insert((bridge.clone(), place.clone()));
                }
                if i.kind.as_deref().is_some_and(|k| TUNNELS.contains(&k)) {
                    t.tunnels.insert(i.name.clone());
                    if i.kind.as_deref() == Some(WIREGUARD) {
                        t.sealed.insert(i.name.clone());
                    }
                    if i.kind.as_deref().is_some_and(|k| !WITH_ETHERNET.contains(&k)) {
                        t.bare.insert(i.name.clone());
                    }
                }
            }
            for (e, place) in &host.fdb {
                if e.remote.is_some() {
                    t.tunnels.insert(e.dev.clone());
                } else if let Some(bridge) = e.master.as_ref().filter(|b| **b != e.dev) {
                    t.masters.entry(e.dev.clone()).or_insert((bridge.clone(), place.clone()));
                    if e.state.is_none() && !e.mac.is_group() {
                        learnt.insert((owner.clone(), e.mac), (e.dev.clone(), place.clone()));
                    }
                }
            }
            for (n, place) in &host.neighbours {
                if let Some(mac) = n.mac {
                    known.insert((owner.clone(), n.ip), (mac, place.clone()));
                }
            }
        }
        for host in &self.hosts {
            let Some((owner, _)) = &host.owner else { continue };
            let Some(t) = tables.get_mut(owner) else { continue };
            for (r, place) in host.routes.iter().filter(|(r, _)| r.kind == "unicast") {
                let (Some(net), Some(dev)) = (r.destination, &r.dev) else { continue };
                let is_main = r.table == "main" && (t.tunnels.contains(dev) || t.is_bridge(dev));
                if is_main || t.sealed.contains(dev) {
                    let ev = book.add("stated", format!("{} sends what is for {net} by {dev}", spoken(owner)), vec![place.clone()]);
                    t.routes.push((net, dev.clone(), ev));
                }
            }
        }
        tables.retain(|_, t| !t.masters.is_empty() || !t.tunnels.is_empty());
        self.behind_ports(&tables, &learnt, &known, book);
        self.tables = tables;
    }

    /// The neighbour table has a pod's MAC, the bridge has learnt behind which port that is; the last port is the last pod's.
    fn behind_ports(
        &mut self,
        tables: &BTreeMap<Id, NodeTables>,
        learnt: &BTreeMap<(Id, Mac), (String, Place)>,
        known: &BTreeMap<(Id, IpAddr), (Mac, Place)>,
        book: &mut Book,
    ) {
        let mut open: BTreeMap<(Id, String), Vec<Id>> = BTreeMap::new();
        let mut taken: BTreeSet<(Id, String)> = BTreeSet::new();
        for pod in self.pods.values_mut().filter(|p| !p.host_network) {
            let Some((node, t)) = pod.node.as_ref().and_then(|n| Some((n, tables.get(n)?))) else { continue };
            let hung = pod.ips.iter().find_map(|ip| Some((*ip, t.route(*ip).filter(|(dev, _)| t.is_bridge(dev))?)));
            let Some((ip, (bridge, _))) = hung else { continue };
            pod.bridge = Some(bridge.to_owned());
            let port = known.get(&(node.clone(), ip)).and_then(|(mac, at)| Some((mac, at, learnt.get(&(node.clone(), *mac))?)));
            let Some((mac, at, (port, place))) = port else {
                open.entry((node.clone(), bridge.to_owned())).or_default().push(pod.id.clone());
                continue;
            };
            let statement = format!("{ip} has {mac}, which {bridge} of {} knows behind {port}", spoken(node));
            let ev = book.add("stated", statement, vec![at.clone(), place.clone()]);
            taken.insert((node.clone(), port.clone()));
            pod.veth.clone_from(port);
            pod.ev.push(ev);
        }
        for ((node, bridge), pods) in open {
            let Some(t) = tables.get(&node) else { continue };
            let mut free = t.masters.iter().filter(|(p, m)| m.0 == bridge && !taken.contains(&(node.clone(), (*p).clone())));
            let (Some((port, (_, place))), None, [pod]) = (free.next(), free.next(), pods.as_slice()) else { continue };
            let statement = format!("{port} is the only port of {bridge} of {} behind which no other pod is known", spoken(&node));
            let ev = book.add("stated", statement, vec![place.clone()]);
            if let Some(pod) = self.pods.get_mut(pod) {
                pod.veth.clone_from(port);
                pod.ev.push(ev);
            }
        }
    }
}
