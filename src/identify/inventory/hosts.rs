//! What hosts print of themselves, merged: whose output it is, what interfaces and links are called, which neighbours they know.
//! Knows the facts of `ip`, `arp` and their like; must not look at a packet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::{
    Claim, EniInfo, HostInfo, Id, Inventory, PodInfo, gateway_of, host_route, interface_id, is_eni_name, is_link_local, is_special, merge,
    push_claim, spoken,
};
use crate::confidence as weight;
use crate::evidence::{Book, Ev, Place};
use crate::facts::Located;
use crate::model::Mac;
use crate::order;

impl Inventory {
    /// Which host each input with host facts comes from.
    pub(super) fn locate_hosts(&mut self, inputs: &[(usize, &str, &[Located])]) {
        let mut owners: Vec<Option<(Id, f64)>> = self.hosts.iter().map(|h| self.host_owner(h)).collect();
        // What does not say where it comes from was most likely collected with the files beside it.
        let folder = |input: usize| inputs.iter().find(|i| i.0 == input).and_then(|i| i.1.rsplit_once('/')).map(|x| x.0);
        for at in 0..self.hosts.len() {
            if owners.get(at).is_some_and(Option::is_some) {
                continue;
            }
            let Some(here) = self.hosts.get(at).and_then(|h| folder(h.input)) else { continue };
            let beside: BTreeSet<&Id> = self
                .hosts
                .iter()
                .zip(&owners)
                .filter(|(h, _)| folder(h.input) == Some(here))
                .filter_map(|(_, o)| o.as_ref().map(|o| &o.0))
                .collect();
            let only = if beside.len() == 1 { beside.first().map(|o| ((*o).clone(), weight::host::SAME_FOLDER)) } else { None };
            if let Some(slot) = owners.get_mut(at) {
                *slot = only;
            }
        }
        for (host, owner) in self.hosts.iter_mut().zip(owners) {
            host.owner = owner;
        }
        let mut words: BTreeMap<String, BTreeSet<Id>> = BTreeMap::new();
        for host in &self.hosts {
            let Some((input, (owner, _))) = inputs.iter().find(|i| i.0 == host.input).zip(host.owner.as_ref()) else { continue };
            for word in input.1.to_lowercase().split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| w.len() > 1) {
                words.entry(word.to_owned()).or_default().insert(owner.clone());
            }
        }
        // One host's inputs alone have no word that tells it from others.
        if order::set(self.hosts.iter().filter_map(|h| h.owner.as_ref()).map(|o| &o.0)).len() > 1 {
            for (word, owners) in words.into_iter().filter(|(_, o)| o.len() == 1) {
                for owner in owners {
                    self.host_words.entry(owner).or_default().insert(word.clone());
                }
            }
        }
    }

    /// Without AWS's list of ENIs, hosts' own `ip addr`, `ip neigh`, `ip rule` and `ip route` say which interfaces a node has, which
    /// router each speaks to, and which pod is behind which.
    pub(super) fn enis_from_hosts(&mut self, book: &mut Book) {
        let hosts = std::mem::take(&mut self.hosts);
        let bare: BTreeSet<Id> = order::set(self.nodes.values().filter(|n| n.enis.is_empty()).map(|n| n.id.clone()));
        for node in bare {
            let own: Vec<&HostInfo> = hosts.iter().filter(|h| h.owner.as_ref().is_some_and(|o| o.0 == node)).collect();
            let macs: BTreeMap<IpAddr, (Mac, &Place)> =
                own.iter().flat_map(|h| &h.neighbours).filter_map(|(n, p)| Some((n.ip, (n.mac?, p)))).collect();
            let mut found: Vec<EniInfo> = Vec::new();
            for (i, place) in own.iter().flat_map(|h| &h.interfaces).filter(|(i, _)| is_eni_name(&i.name) && i.name != "lo") {
                let (Some(mac), Some(address)) = (i.mac.filter(|m| !m.is_zero()), i.addresses.iter().find(|a| a.addr().is_ipv4())) else {
                    continue;
                };
                let ev = book.add("stated", format!("{} has {address} at its {}", spoken(&node), i.name), vec![place.clone()]);
                let cidr = address.trunc();
                let gateway = gateway_of(&cidr).and_then(|g| Some((g, macs.get(&g)?)));
                let subnet = gateway.map(|(g, (router, at))| {
                    let key = router.to_string();
                    let ev = book.add("neighbour_table", format!("{} has its gateway {g} at {router}", spoken(&node)), vec![(*at).clone()]);
                    let s = self.subnets.entry(key.clone()).or_default();
                    s.is_nameless = true;
                    merge(&mut s.cidrs, &[cidr]);
                    merge(&mut s.ev, &[ev]);
                    let claim = || Claim { owner: format!("router:{key}"), interface: None, p: weight::owner::GATEWAY_TOLD, ev: vec![ev] };
                    push_claim(&mut self.by_ip, g, claim());
                    push_claim(&mut self.by_mac, *router, claim());
                    key
                });
                let number: String = i.name.chars().rev().take_while(char::is_ascii_digit).collect::<Vec<_>>().into_iter().rev().collect();
                // udev's names count from the slot of the first ENI, which is 5 on EC2's Nitro instances.
                let first = if i.name.starts_with("ens") { 5 } else { 0 };
                let said = self.nodes.get(&node);
                let public = said.and_then(|n| n.public).filter(|p| p.0 == address.addr());
                let also = said.filter(|_| public.is_some()).map(|n| n.ev.clone()).unwrap_or_default();
                found.push(EniInfo {
                    id: format!("{}@{node}", i.name),
                    mac: Some(mac),
                    subnet,
                    owner: node.clone(),
                    primary: Some(address.addr()),
                    ips: vec![address.addr()],
                    public: public.into_iter().collect(),
                    device_index: number.parse::<u32>().ok().map(|n| n.saturating_sub(first)),
                    ev: std::iter::once(ev).chain(also).collect(),
                    ..EniInfo::default()
                });
            }
            order::sort_by(&mut found, |a, b| (a.device_index, &a.id).cmp(&(b.device_index, &b.id)));
            let Some(primary) = found.first().map(|e| e.id.clone()) else { continue };
            // A pod of a secondary ENI has a rule of its own, to that ENI's table (`pkg/networkutils/network.go`).
            let mut tables: BTreeMap<&str, &str> = BTreeMap::new();
            for (r, _) in own.iter().flat_map(|h| &h.routes).filter(|(r, _)| r.destination.is_none()) {
                if let Some(dev) = &r.dev {
                    tables.insert(&r.table, dev);
                }
            }
            let mut behind: BTreeMap<IpAddr, String> = BTreeMap::new();
            for (r, _) in own.iter().flat_map(|h| &h.rules) {
                let from = r.from.filter(|f| f.prefix_len() == f.max_prefix_len());
                if let (Some(from), Some(dev)) = (from, r.table.as_deref().and_then(|t| tables.get(t))) {
                    behind.insert(from.addr(), format!("{dev}@{node}"));
                }
            }
            for pod in self.pods.values_mut().filter(|p| p.node.as_ref() == Some(&node) && p.eni.is_none() && !p.host_network) {
                let by_rule = pod.ips.iter().find_map(|ip| behind.get(ip)).filter(|e| found.iter().any(|f| &f.id == *e));
                pod.eni = Some(by_rule.unwrap_or(&primary).clone());
            }
            if let Some(n) = self.nodes.get_mut(&node) {
                n.enis = found.iter().map(|e| e.id.clone()).collect();
            }
            self.enis.extend(found.into_iter().map(|e| (e.id.clone(), e)));
        }
        self.hosts = hosts;
        self.index();
    }

    /// A pod whose address is none of the VPC's is another CNI's, and what that one calls the pod's link only its node can say.
    pub(super) fn unname_links(&mut self) {
        let is_listed = self.subnets.values().any(|s| !s.is_nameless && !s.cidrs.is_empty());
        let outside =
            |p: &PodInfo| p.eni.is_none() && p.branch.is_none() && !p.ips.is_empty() && !p.ips.iter().any(|ip| self.is_inside(*ip));
        let others = self.pods.values().filter(|p| is_listed && !p.host_network && outside(p));
        let names: Vec<(Id, String)> = others.filter_map(|p| Some((p.id.clone(), format!("to-{}", p.ips.first()?)))).collect();
        for (id, name) in names {
            if let Some(p) = self.pods.get_mut(&id) {
                p.veth = name;
            }
        }
    }

    /// The names that hosts give to their pods' links outweigh the ones that the CNI would compute.
    pub(super) fn name_links(&mut self, book: &mut Book) {
        let mut named: Vec<(Id, String, Ev)> = Vec::new();
        for host in &self.hosts {
            let Some((owner, _)) = &host.owner else { continue };
            let neighbours = host.neighbours.iter().map(|(n, place)| (Some(n.ip), n.dev.as_ref(), place));
            let routes = host.routes.iter().map(|(r, place)| (host_route(r), r.dev.as_ref(), place));
            for (ip, dev, place) in neighbours.chain(routes) {
                let (Some(ip), Some(dev)) = (ip, dev) else { continue };
                let pod = self.pod_behind(ip, owner, dev).filter(|p| p.node.as_ref() == Some(owner) && !p.host_network);
                let is_bridge = self.tables.get(owner).is_some_and(|t| t.is_bridge(dev));
                if let Some(pod) = pod.filter(|_| !is_eni_name(dev) && !is_bridge) {
                    let ev = book.add("stated", format!("{} reaches {ip} by {dev}", spoken(owner)), vec![place.clone()]);
                    named.push((pod.id.clone(), dev.clone(), ev));
                }
            }
        }
        for (pod, name, ev) in named {
            self.name_link(&pod, &name, ev);
        }
    }

    /// The host side of a pod's link is called `name`.
    pub fn name_link(&mut self, pod: &str, name: &str, ev: Ev) {
        if let Some(pod) = self.pods.get_mut(pod) {
            name.clone_into(&mut pod.veth);
            merge(&mut pod.ev, &[ev]);
        }
    }

    /// What hosts say of their own interfaces and neighbours.
    pub(super) fn host_claims(&mut self, book: &mut Book) {
        let hosts = std::mem::take(&mut self.hosts);
        for host in &hosts {
            let Some((owner, p)) = host.owner.clone() else { continue };
            let is_pod = owner.starts_with("pod:");
            for (i, place) in &host.interfaces {
                let said = i.mac.map_or(String::new(), |m| format!(" with {m}"));
                let ev = book.add("stated", format!("{} has the interface {}{said}", spoken(&owner), i.name), vec![place.clone()]);
                if let Some(mac) = i.mac.filter(|m| !m.is_zero()) {
                    self.names_by_mac.insert((owner.clone(), mac), (i.name.clone(), ev));
                    if i.kind.as_deref() != Some("vlan") {
                        let interface = Some(interface_id(&owner, &i.name));
                        let known = self.by_mac.entry(mac).or_default();
                        match known.iter_mut().find(|c| c.owner == owner) {
                            // The host's own name for the interface replaces the conventional one.
                            Some(c) => {
                                c.interface = interface;
                                c.ev.push(ev);
                            }
                            None => known.push(Claim { owner: owner.clone(), interface, p, ev: vec![ev] }),
                        }
                    }
                }
                if let Some(index) = i.index {
                    self.names_by_index.insert((owner.clone(), index), (i.name.clone(), ev));
                }
                for a in i.addresses.iter().map(IpNet::addr).filter(|a| !is_special(*a)) {
                    let interface = Some(interface_id(&owner, &i.name));
                    // kube-proxy in IPVS mode puts every service's address on this dummy device.
                    if i.name != "kube-ipvs0" {
                        push_claim(
                            &mut self.by_ip,
                            a,
                            Claim { owner: owner.clone(), interface, p: weight::owner::HOST_ADDRESS * p, ev: vec![ev] },
                        );
                    }
                }
            }
            for (r, place) in &host.routes {
                let Some((ip, dev)) = host_route(r).filter(|ip| is_link_local(*ip)).zip(r.dev.as_ref()) else { continue };
                if !is_pod && r.kind == "unicast" && !is_eni_name(dev) {
                    let ev = book.add("stated", format!("{} reaches {ip} by {dev}", spoken(&owner)), vec![place.clone()]);
                    self.guests.entry((owner.clone(), ip)).or_insert_with(|| (dev.clone(), ev));
                }
            }
            for (n, place) in &host.neighbours {
                let Some(mac) = n.mac.filter(|m| m.is_unicast()) else { continue };
                let dev = n.dev.as_deref().map_or(String::new(), |d| format!(" on {d}"));
                let ev = book.add("neighbour_table", format!("{} knows {} at {mac}{dev}", spoken(&owner), n.ip), vec![place.clone()]);
                let on_veth = !is_pod && n.dev.as_deref().is_some_and(|d| !is_eni_name(d));
                let claims = self.by_ip.get(&n.ip).cloned().unwrap_or_default();
                if let Some(c) = claims.iter().max_by(|a, b| a.p.total_cmp(&b.p)) {
                    if c.owner.starts_with("router:") {
                        push_claim(
                            &mut self.by_mac,
                            mac,
                            Claim { owner: c.owner.clone(), interface: None, p: weight::owner::HOST_MAC, ev: vec![ev] },
                        );
                    } else if let Some(pod) =
                        self.pod_behind(n.ip, &owner, n.dev.as_deref().unwrap_or_default()).filter(|_| on_veth).map(|p| p.id.clone())
                    {
                        let interface = Some(interface_id(&pod, "eth0"));
                        push_claim(&mut self.by_mac, mac, Claim { owner: pod, interface, p: weight::owner::HOST_ADDRESS, ev: vec![ev] });
                    }
                }
                if is_pod && n.ip == IpAddr::from([169, 254, 1, 1]) {
                    // The pod's default gateway is its own host side (amazon-vpc-cni-k8s, docs/cni-proposal.md).
                    if let Some(pod) = self.pods.get(&owner)
                        && let Some(node) = pod.node.clone()
                    {
                        let interface = Some(interface_id(&node, &pod.veth));
                        push_claim(&mut self.by_mac, mac, Claim { owner: node, interface, p: weight::owner::HOST_MAC, ev: vec![ev] });
                    }
                }
            }
        }
        self.learnt(&hosts, book);
        self.hosts = hosts;
        // Interface names may have changed by what hosts said.
        let names: BTreeMap<Mac, Id> = self
            .enis
            .values()
            .filter(|e| self.nodes.contains_key(&e.owner))
            .filter_map(|e| Some((e.mac?, interface_id(&e.owner, &self.eni_name(e)))))
            .collect();
        for (mac, interface) in &names {
            for c in self.by_mac.get_mut(mac).into_iter().flatten() {
                if interface.starts_with(&format!("if:{}/", c.owner)) {
                    c.interface = Some(interface.clone());
                }
            }
        }
    }
}
