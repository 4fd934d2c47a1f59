//! What AWS describes, merged: VPCs, subnets, ENIs and whom they belong to, load balancers and gateways.
//! Knows AWS's facts and the nodes' instance ids; must not look at a packet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Claim, EniInfo, Id, Inventory, list, merge, push_claim};
use crate::evidence::{Book, Ev, Place};
use crate::facts::{self, Fact};
use crate::order;

impl Inventory {
    pub(super) fn aws(&mut self, facts: &[(&Fact, Place)], book: &mut Book) {
        let mut by_load_balancer: BTreeMap<String, Id> = BTreeMap::new();
        for (fact, place) in facts {
            let at = || vec![place.clone()];
            match fact {
                Fact::Vpc(x) => {
                    let ev = book.add("stated", format!("{} has the networks {}", x.id, list(&x.cidrs)), at());
                    let v = self.vpcs.entry(x.id.clone()).or_default();
                    v.name = v.name.take().or_else(|| x.name.clone());
                    merge(&mut v.cidrs, &x.cidrs);
                    merge(&mut v.ev, &[ev]);
                }
                Fact::Subnet(x) => {
                    let zone = x.zone.as_deref().unwrap_or("an unknown zone");
                    let ev = book.add("stated", format!("{} is {} in {zone}", x.id, list(&x.cidrs)), at());
                    let s = self.subnets.entry(x.id.clone()).or_default();
                    s.name = s.name.take().or_else(|| x.name.clone());
                    s.vpc = s.vpc.take().or_else(|| x.vpc.clone());
                    s.zone = s.zone.take().or_else(|| x.zone.clone());
                    merge(&mut s.cidrs, &x.cidrs);
                    merge(&mut s.ev, &[ev]);
                }
                Fact::LoadBalancer(x) => {
                    let ev = book.add("stated", format!("{} is a {} load balancer", x.name, x.kind), at());
                    let id = format!("lb:{}", x.name);
                    by_load_balancer.insert(x.name.clone(), id.clone());
                    let lb = self.lbs.entry(id.clone()).or_default();
                    lb.id = id;
                    lb.name.clone_from(&x.name);
                    lb.kind.clone_from(&x.kind);
                    lb.dns_name = lb.dns_name.take().or_else(|| x.dns_name.clone());
                    lb.aliases.extend(x.arn.clone());
                    merge(&mut lb.listeners, &x.listeners);
                    merge(&mut lb.ips, &x.ips);
                    merge(&mut lb.ev, &[ev]);
                }
                Fact::InternetGateway(x) => {
                    let ev = book.add("stated", format!("{} is attached to {}", x.id, x.vpcs.join(", ")), at());
                    self.device(&format!("igw:{}", x.id), &x.id, x.vpcs.first().cloned(), None, &[], ev);
                }
                Fact::NatGateway(x) => {
                    let ev = book.add("stated", format!("{} stands in {}", x.id, x.subnet.as_deref().unwrap_or("no known subnet")), at());
                    let public: Vec<IpAddr> = x.addresses.iter().filter_map(|a| a.1).collect();
                    self.device(&format!("natgw:{}", x.id), &x.id, x.vpc.clone(), x.subnet.clone(), &public, ev);
                    for (private, _, eni) in &x.addresses {
                        if let (Some(ip), None) = (private, eni.as_ref().filter(|e| self.enis.contains_key(*e))) {
                            push_claim(
                                &mut self.by_ip,
                                *ip,
                                Claim { owner: format!("natgw:{}", x.id), interface: None, p: 1.0, ev: vec![ev] },
                            );
                        }
                    }
                }
                Fact::VpcEndpoint(x) => {
                    let ev = book.add("stated", format!("{} is a VPC endpoint for {}", x.id, x.service), at());
                    self.device(&format!("vpce:{}", x.id), &x.id, x.vpc.clone(), x.subnets.first().cloned(), &[], ev);
                }
                Fact::RouteTable(x) => {
                    let ev = book.add(
                        "stated",
                        format!(
                            "{} holds the routes of {}",
                            x.id,
                            if x.subnets.is_empty() { "the VPC's other subnets".to_owned() } else { x.subnets.join(", ") }
                        ),
                        at(),
                    );
                    self.route_tables.push((x.clone(), ev));
                }
                Fact::Instance(x) => {
                    let ev = book.add(
                        "stated",
                        format!("{} is {}", x.id, x.private_dns.as_deref().unwrap_or("an instance without a private name")),
                        at(),
                    );
                    let id = format!("instance:{}", x.id);
                    let n = self.nodes.entry(id.clone()).or_default();
                    n.name = x.private_dns.clone().filter(|d| !d.is_empty()).unwrap_or_else(|| x.id.clone());
                    n.id = id;
                    n.zone = n.zone.take().or_else(|| x.zone.clone());
                    n.ips.extend(x.private_ip);
                    merge(&mut n.ev, &[ev]);
                }
                _ => {}
            }
        }
        for (fact, place) in facts {
            let Fact::Eni(x) = fact else { continue };
            let what = match (&x.instance, x.description.as_str()) {
                (Some(i), _) => format!("is device {} of {i}", x.device_index.map_or("?".to_owned(), |d| d.to_string())),
                (None, "") => "is attached to no instance".to_owned(),
                (None, d) => format!("is described as \"{d}\""),
            };
            let mac = x.mac.map_or("no MAC address".to_owned(), |m| m.to_string());
            let ev = book.add("stated", format!("{} has {mac} and {what}", x.id), vec![place.clone()]);
            self.eni(x, ev);
        }
    }

    pub(super) fn device(&mut self, id: &str, name: &str, vpc: Option<String>, subnet: Option<String>, public: &[IpAddr], ev: Ev) {
        let d = self.devices.entry(id.to_owned()).or_default();
        id.clone_into(&mut d.id);
        name.clone_into(&mut d.name);
        d.vpc = d.vpc.take().or(vpc);
        d.subnet = d.subnet.take().or(subnet);
        merge(&mut d.public_ips, public);
        merge(&mut d.ev, &[ev]);
    }

    pub(super) fn eni(&mut self, x: &facts::Eni, ev: Ev) {
        let owner = self.eni_owner(x, ev);
        let e = self.enis.entry(x.id.clone()).or_default();
        e.id.clone_from(&x.id);
        e.mac = e.mac.or(x.mac);
        e.subnet = e.subnet.take().or_else(|| x.subnet.clone());
        e.vpc = e.vpc.take().or_else(|| x.vpc.clone());
        // An instance's own list of its ENIs and the list of all ENIs say the same; the more specific owner stays.
        if e.owner.is_empty() || e.owner.starts_with("if:") {
            e.owner = owner;
        }
        e.primary = e.primary.or_else(|| x.private_ips.iter().find(|i| i.is_primary).or(x.private_ips.first()).map(|i| i.ip));
        merge(&mut e.ips, &x.private_ips.iter().map(|i| i.ip).collect::<Vec<_>>());
        merge(&mut e.ips, &x.ipv6s);
        merge(&mut e.public, &x.private_ips.iter().filter_map(|i| Some((i.ip, i.public_ip?))).collect::<Vec<_>>());
        merge(&mut e.prefixes, &x.prefixes);
        e.device_index = e.device_index.or(x.device_index);
        e.instance = e.instance.take().or_else(|| x.instance.clone());
        if e.description.is_empty() {
            e.description.clone_from(&x.description);
        }
        if e.kind.is_empty() {
            e.kind = x.interface_type.clone().unwrap_or_default();
        }
        merge(&mut e.ev, &[ev]);
    }

    /// Whose ENI it is. The attachment decides; the description names what AWS made it for
    /// (`Description` texts as AWS services write them, see FORMATS.md).
    pub(super) fn eni_owner(&mut self, x: &facts::Eni, ev: Ev) -> Id {
        let description = x.description.as_str();
        if let Some(instance) = &x.instance {
            let id = format!("instance:{instance}");
            let n = self.nodes.entry(id.clone()).or_default();
            if n.id.is_empty() {
                n.id.clone_from(&id);
                n.name.clone_from(instance);
                n.zone.clone_from(&x.zone);
                n.ev.push(ev);
            }
            return id;
        }
        if let Some(rest) = description.strip_prefix("ELB ") {
            // `ELB app/NAME/hash`, `ELB net/NAME/hash`, `ELB NAME`.
            let mut parts = rest.split('/');
            let (first, second) = (parts.next().unwrap_or(rest), parts.next());
            let (kind, name) = match second {
                Some(name) if first == "app" => ("application", name),
                Some(name) if first == "net" => ("network", name),
                Some(name) if first == "gwy" => ("gateway", name),
                _ => ("classic", rest),
            };
            let id = format!("lb:{name}");
            let lb = self.lbs.entry(id.clone()).or_default();
            if second.is_some() {
                lb.aliases.insert(format!("lb:{rest}"));
            }
            lb.id.clone_from(&id);
            name.clone_into(&mut lb.name);
            if lb.kind.is_empty() {
                kind.clone_into(&mut lb.kind);
            }
            merge(&mut lb.enis, std::slice::from_ref(&x.id));
            merge(&mut lb.ev, &[ev]);
            return id;
        }
        let word = |prefix: &str| description.split_whitespace().find(|w| w.starts_with(prefix)).map(str::to_owned);
        let kind = x.interface_type.as_deref().unwrap_or_default();
        if let Some(nat) = word("nat-").filter(|_| kind.to_lowercase().contains("nat") || description.contains("NAT Gateway")) {
            let id = format!("natgw:{nat}");
            let public: Vec<IpAddr> = x.private_ips.iter().filter_map(|i| i.public_ip).collect();
            self.device(&id, &nat, x.vpc.clone(), x.subnet.clone(), &public, ev);
            return id;
        }
        if let Some(endpoint) = word("vpce-") {
            let id = format!("vpce:{endpoint}");
            self.device(&id, &endpoint, x.vpc.clone(), x.subnet.clone(), &[], ev);
            return id;
        }
        x.mac.map_or_else(|| format!("eni:{}", x.id), |m| format!("if:{m}"))
    }

    /// Branch ENIs, by what the pods' annotations say: each is a VLAN device on its pod's node, under the branch ENI's own MAC.
    pub(super) fn branch_enis(&mut self) {
        let pods = self.pods.values().filter_map(|p| Some((p.branch.clone()?, p.node.clone()?, p.ips.clone(), p.ev.clone())));
        for (b, node, ips, ev) in pods.collect::<Vec<_>>() {
            let e = self.enis.entry(b.eni_id.clone()).or_default();
            e.id.clone_from(&b.eni_id);
            e.mac = e.mac.or(b.mac);
            e.primary = e.primary.or(b.ip);
            merge(&mut e.ips, &b.ip.into_iter().chain(b.ipv6).chain(ips).collect::<Vec<_>>());
            if e.owner.is_empty() || e.owner.starts_with("if:") {
                e.owner = node;
            }
            e.vlan = b.vlan;
            e.name = e.vlan.map(|v| format!("vlan.eth.{v}"));
            "branch".clone_into(&mut e.kind);
            merge(&mut e.ev, &ev);
        }
    }

    /// Which ENI carries each pod, and each node's ENIs in the order of their device indexes.
    pub(super) fn assign_enis(&mut self) {
        self.branch_enis();
        let mut by_node: BTreeMap<Id, Vec<(u32, String)>> = BTreeMap::new();
        for e in self.enis.values().filter(|e| e.kind != "branch") {
            if self.nodes.contains_key(&e.owner) {
                by_node.entry(e.owner.clone()).or_default().push((e.device_index.unwrap_or(u32::MAX), e.id.clone()));
            }
        }
        for (node, mut enis) in by_node {
            order::sort(&mut enis);
            if let Some(n) = self.nodes.get_mut(&node) {
                n.enis = enis.into_iter().map(|e| e.1).collect();
            }
        }
        // A node without a known instance: its primary address may still name its ENI.
        let orphans: Vec<(String, Id)> = self
            .enis
            .values()
            .filter(|e| !self.nodes.contains_key(&e.owner) && e.owner.starts_with("if:"))
            .filter_map(|e| {
                let primary = e.primary?;
                self.nodes.values().find(|n| n.ips.contains(&primary)).map(|n| (e.id.clone(), n.id.clone()))
            })
            .collect();
        for (eni, node) in orphans {
            if let Some(e) = self.enis.get_mut(&eni) {
                e.owner.clone_from(&node);
            }
            if let Some(n) = self.nodes.get_mut(&node) {
                n.enis.push(eni);
            }
        }
        let enis: Vec<&EniInfo> = self.enis.values().collect();
        let mut by_ip: BTreeMap<IpAddr, Vec<&EniInfo>> = BTreeMap::new();
        for e in &enis {
            e.ips.iter().for_each(|ip| by_ip.entry(*ip).or_default().push(e));
        }
        let vpc_of = |node: &Id| self.nodes.get(node)?.enis.iter().find_map(|e| self.enis.get(e)?.vpc.as_ref());
        for pod in self.pods.values_mut() {
            if let Some(b) = &pod.branch {
                pod.eni = Some(b.eni_id.clone());
                continue;
            }
            // VPCs may have the same addresses: a pod's is its own node's, or at least in its node's VPC.
            let vpc = pod.node.as_ref().and_then(vpc_of);
            let reachable = |e: &&&EniInfo| vpc.is_none() || e.vpc.is_none() || e.vpc.as_ref() == vpc;
            let by_address = || {
                let all = || pod.ips.iter().filter_map(|ip| by_ip.get(ip)).flatten();
                all().find(|e| Some(&e.owner) == pod.node.as_ref()).or_else(|| all().rfind(reachable)).copied()
            };
            let by_prefix = || {
                let holds = |e: &&&EniInfo| pod.ips.iter().any(|ip| e.prefixes.iter().any(|p| p.contains(ip)));
                let own = enis.iter().filter(holds).find(|e| Some(&e.owner) == pod.node.as_ref());
                own.or_else(|| enis.iter().filter(holds).find(reachable)).copied()
            };
            pod.eni = by_address().or_else(by_prefix).map(|e| e.id.clone());
        }
    }
}
