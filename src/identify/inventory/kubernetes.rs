//! What Kubernetes states, merged: nodes, pods and services, and which of two pods had an address when.
//! Knows kubectl's facts; must not look at a packet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::{Claim, Id, Inventory, PodInfo, host_route, host_veth_name, is_eni_name, is_private, list, merge, push_claim, short};
use crate::evidence::{Book, Ev, Place};
use crate::facts::{self, Fact};
use crate::order;

impl Inventory {
    pub(super) fn kubernetes(&mut self, facts: &[(&Fact, Place)], book: &mut Book) {
        for (fact, place) in facts {
            let Fact::Node(x) = fact else { continue };
            let ev = book.add(
                "stated",
                format!("node {} is {}", x.name, x.instance_id.as_deref().unwrap_or("no known instance")),
                vec![place.clone()],
            );
            let id = format!("node:{}", x.name);
            // The node is the instance: by its provider id, else by its address.
            let by_ip = || {
                let ip = x.internal_ips.first()?;
                self.enis.values().find(|e| e.primary == Some(*ip)).map(|e| e.owner.clone()).filter(|o| o.starts_with("instance:"))
            };
            let instance = x.instance_id.as_ref().map(|i| format!("instance:{i}")).or_else(by_ip);
            let mut n = self.nodes.remove(&id).unwrap_or_default();
            if let Some(known) = instance.as_ref().and_then(|i| self.nodes.remove(i)) {
                n.ips.extend(known.ips);
                n.zone = n.zone.take().or(known.zone);
                merge(&mut n.ev, &known.ev);
                if known.name != x.name && !known.name.is_empty() {
                    n.aliases.insert(known.name);
                }
            }
            if let Some(instance) = instance {
                for e in self.enis.values_mut().filter(|e| e.owner == instance) {
                    e.owner.clone_from(&id);
                }
                n.aliases.insert(instance);
            }
            n.id.clone_from(&id);
            n.name.clone_from(&x.name);
            n.zone = x.zone.clone().or(n.zone);
            n.ips.extend(x.internal_ips.iter().copied());
            let of = |ips: &[IpAddr], wants_private: bool| {
                let mut fits = ips.iter().copied().filter(|ip| ip.is_ipv4() && is_private(*ip) == wants_private);
                fits.next().filter(|_| fits.next().is_none())
            };
            n.public = of(&x.internal_ips, true).zip(of(&x.external_ips, false));
            merge(&mut n.ev, &[ev]);
            for ip in &x.external_ips {
                push_claim(&mut self.by_ip, *ip, Claim { owner: id.clone(), interface: None, p: 1.0, ev: vec![ev] });
            }
            self.nodes.insert(id, n);
        }
        for (fact, place) in facts {
            match fact {
                Fact::Pod(x) => self.pod(x, place, book),
                Fact::Service(x) => {
                    let ev = book.add(
                        "stated",
                        format!("service {}/{} is a {} at {}", x.namespace, x.name, x.kind, list(&x.cluster_ips)),
                        vec![place.clone()],
                    );
                    let id = format!("service:{}/{}", x.namespace, x.name);
                    let s = self.services.entry(id.clone()).or_default();
                    s.id = id;
                    s.kind.clone_from(&x.kind);
                    merge(&mut s.ips, &x.cluster_ips);
                    merge(&mut s.ips, &x.external_ips);
                    merge(&mut s.ports, &x.ports);
                    merge(&mut s.ingress_hostnames, &x.ingress_hostnames);
                    merge(&mut s.ingress_ips, &x.ingress_ips);
                    s.external_policy_local = x.external_traffic_policy.as_deref() == Some("Local");
                    s.uid = x.uid.clone().or(s.uid.take());
                    merge(&mut s.ev, &[ev]);
                }
                Fact::Endpoints(x) => {
                    let ips: Vec<_> = x.endpoints.iter().map(|e| e.ip).collect();
                    let ev = book.add(
                        "stated",
                        format!("service {}/{} is served by {}", x.namespace, x.service, list(&ips)),
                        vec![place.clone()],
                    );
                    let id = format!("service:{}/{}", x.namespace, x.service);
                    let s = self.services.entry(id.clone()).or_default();
                    s.id = id;
                    for e in x.endpoints.iter().filter(|e| e.is_ready) {
                        for p in &x.ports {
                            merge(&mut s.endpoints, &[(e.ip, p.name.clone(), p.port, p.protocol)]);
                        }
                    }
                    merge(&mut s.ev, &[ev]);
                }
                _ => {}
            }
        }
    }

    pub(super) fn pod(&mut self, x: &facts::Pod, place: &Place, book: &mut Book) {
        // A finished pod holds no address any more, although its status may still show one.
        if matches!(x.phase.as_deref(), Some("Succeeded" | "Failed")) {
            return;
        }
        let on = x.node.as_deref().unwrap_or("no node");
        let ev = book.add("stated", format!("pod {}/{} on {on} has {}", x.namespace, x.name, list(&x.ips)), vec![place.clone()]);
        let id = format!("pod:{}/{}", x.namespace, x.name);
        let node = x.node.as_ref().map(|n| format!("node:{n}"));
        if let Some(node_id) = &node {
            let n = self.nodes.entry(node_id.clone()).or_default();
            if n.id.is_empty() {
                n.id.clone_from(node_id);
                n.name = x.node.clone().unwrap_or_default();
                n.ips.extend(x.host_ip);
                n.ev.push(ev);
            }
        }
        let branch = x.branch_enis.first().cloned();
        let prefix = if branch.is_some() { "vlan" } else { "eni" };
        let pod = PodInfo {
            id: id.clone(),
            namespace: x.namespace.clone(),
            name: x.name.clone(),
            node,
            ips: x.ips.clone(),
            host_network: x.host_network,
            veth: host_veth_name(prefix, &x.namespace, &x.name),
            bridge: None,
            eni: None,
            branch,
            ports: x.ports.clone(),
            is_former: false,
            is_terminating: x.is_terminating,
            created: x.created,
            ev: vec![ev],
        };
        self.pods.insert(id, pod);
    }

    /// Pods that an older inventory puts elsewhere, or gives an address that another pod has now. What hosts and ENIs say
    /// decides: they change with the data plane, while a list of pods shows the moment that it was printed at.
    pub(super) fn settle_pods(&mut self, book: &mut Book) {
        // Which host routes which address to which device, by the devices' and rules' own words.
        let mut routed: BTreeMap<IpAddr, (String, usize, Ev)> = BTreeMap::new();
        let mut devices: BTreeSet<String> = BTreeSet::new();
        let mut live: BTreeSet<(IpAddr, String)> = BTreeSet::new();
        for (n, host) in self.hosts.iter().enumerate() {
            devices.extend(host.interfaces.iter().map(|i| i.0.name.clone()));
            for (r, place) in &host.routes {
                let Some((ip, dev)) = host_route(r).zip(r.dev.clone()).filter(|(_, d)| !is_eni_name(d)) else { continue };
                devices.insert(dev.clone());
                live.insert((ip, dev.clone()));
                let ev = book.add("stated", format!("a host reaches {ip} by its {dev}"), vec![place.clone()]);
                routed.insert(ip, (dev, n, ev));
            }
        }
        // An address is its VPC's: two VPCs may both have it.
        let mut by_ip: BTreeMap<(IpAddr, Option<String>), Vec<Id>> = BTreeMap::new();
        for p in self.pods.values().filter(|p| !p.host_network) {
            let vpc = p.node.as_ref().and_then(|n| self.vpc_of_node(n)).map(str::to_owned);
            p.ips.iter().for_each(|ip| by_ip.entry((*ip, vpc.clone())).or_default().push(p.id.clone()));
        }
        for ((ip, _), ids) in by_ip.into_iter().filter(|(_, ids)| ids.len() > 1) {
            let score = |p: &PodInfo| {
                let named = devices.contains(&p.veth);
                let carried = p.eni.as_ref().and_then(|e| self.enis.get(e)).is_some_and(|e| Some(&e.owner) == p.node.as_ref());
                // A replaced pod's link may be there still; the route to the address is the new one's.
                let routed = p.ips.iter().any(|ip| live.contains(&(*ip, p.veth.clone())));
                2 * (i32::from(named) + i32::from(routed)) + i32::from(carried) - i32::from(p.is_terminating)
            };
            let mut ranked: Vec<(i32, &PodInfo)> = ids.iter().filter_map(|id| self.pods.get(id)).map(|p| (score(p), p)).collect();
            order::sort_by(&mut ranked, |a, b| b.0.cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
            let Some((_, winner)) = ranked.first() else { continue };
            let ev: Vec<Ev> = ranked.iter().flat_map(|(_, p)| p.ev.iter().copied()).collect();
            let names = ranked.iter().skip(1).map(|(_, p)| short(&p.id)).collect::<Vec<_>>().join(", ");
            let tie = ranked.get(1).is_some_and(|(second, _)| ranked.first().is_some_and(|(first, _)| first == second));
            // Nodes that reach it over the links of several pods, each its own, have it twice.
            let alive = ranked.iter().filter(|(_, p)| live.contains(&(ip, p.veth.clone()))).count();
            let (kind, summary) = if tie || alive > 1 {
                ("duplicate_address", format!("{ip} is listed for {names} and {} alike", short(&winner.id)))
            } else {
                ("stale_inventory", format!("{ip} is listed for {names} too, yet it is {}'s now", short(&winner.id)))
            };
            let losers: Vec<Id> = ranked.iter().skip(1).map(|(_, p)| p.id.clone()).collect();
            self.contradictions.push((kind, ids, summary, ev));
            for id in losers {
                if let Some(p) = self.pods.get_mut(&id) {
                    p.is_former = true;
                }
            }
        }
        // A pod behind an ENI of another node than its own.
        let mut moved: Vec<(Id, Id, Vec<Ev>)> = Vec::new();
        for pod in self.pods.values().filter(|p| !p.host_network && !p.is_former && p.branch.is_none()) {
            let Some(eni) = pod.eni.as_ref().and_then(|e| self.enis.get(e)) else { continue };
            if !self.nodes.contains_key(&eni.owner) || pod.node.as_ref() == Some(&eni.owner) {
                continue;
            }
            let mut ev: Vec<Ev> = pod.ev.clone();
            merge(&mut ev, &eni.ev);
            ev.extend(pod.ips.iter().filter_map(|ip| routed.get(ip)).map(|r| r.2));
            moved.push((pod.id.clone(), eni.owner.clone(), ev));
        }
        for (id, node, ev) in moved {
            let Some(pod) = self.pods.get_mut(&id) else { continue };
            let before = pod.node.replace(node.clone());
            let told = before.as_deref().map_or("no node", short).to_owned();
            let summary = format!("{} is listed on {told}, yet the ENI that holds its address is {}'s", short(&id), short(&node));
            self.contradictions.push(("stale_inventory", before.into_iter().chain([id, node]).collect(), summary, ev));
        }
    }
}
