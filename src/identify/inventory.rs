//! All inventories merged: entities under the names of the report's contract, with what each states and where.
//! Knows what kubectl, AWS and hosts state; must not look at a packet.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use sha1::{Digest as _, Sha1};

use crate::confidence::{self as weight, needed};
use crate::evidence::{Book, Ev, Place};
use crate::facts::{self, Fact, Located};
use crate::identify::unlisted;
use crate::model::{Mac, Nanos, Protocol};
use crate::order;

/// An entity's id, as the report has it.
pub type Id = String;

/// A VPC.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct VpcInfo {
    pub name: Option<String>,
    pub cidrs: Vec<IpNet>,
    pub ev: Vec<Ev>,
}

/// A subnet.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct SubnetInfo {
    pub name: Option<String>,
    pub vpc: Option<String>,
    pub zone: Option<String>,
    pub cidrs: Vec<IpNet>,
    /// No AWS inventory names it: hosts' own words show it, and its key is its router's MAC.
    pub is_nameless: bool,
    pub ev: Vec<Ev>,
}

/// An ENI.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct EniInfo {
    pub id: String,
    pub mac: Option<Mac>,
    pub subnet: Option<String>,
    pub vpc: Option<String>,
    /// The entity that it belongs to: a node, a load balancer, a gateway, or (`if:<MAC>`) itself.
    pub owner: Id,
    pub primary: Option<IpAddr>,
    pub ips: Vec<IpAddr>,
    pub public: Vec<(IpAddr, IpAddr)>,
    pub prefixes: Vec<IpNet>,
    pub device_index: Option<u32>,
    pub instance: Option<String>,
    pub description: String,
    pub kind: String,
    /// What its interface is called, where that is told from captures alone.
    pub name: Option<String>,
    /// A branch ENI: the VLAN in which its frames cross the trunk ENI of its node (docs.aws.amazon.com/eks/latest/userguide/security-groups-for-pods.html).
    pub vlan: Option<u16>,
    pub ev: Vec<Ev>,
}

/// A node: a Kubernetes node, an EC2 instance, or a host known by what it printed.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct NodeInfo {
    pub id: Id,
    pub name: String,
    pub aliases: BTreeSet<String>,
    pub zone: Option<String>,
    pub ips: BTreeSet<IpAddr>,
    /// Its own address, and the public one that Kubernetes says it has (`ExternalIP`): one address is made the other on the way out.
    pub public: Option<(IpAddr, IpAddr)>,
    /// ENI ids by device index.
    pub enis: Vec<String>,
    pub ev: Vec<Ev>,
}

/// A pod.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct PodInfo {
    pub id: Id,
    pub namespace: String,
    pub name: String,
    pub node: Option<Id>,
    pub ips: Vec<IpAddr>,
    pub host_network: bool,
    /// The name of its host side: prefix and hash.
    pub veth: String,
    /// The bridge that its link is a port of.
    pub bridge: Option<String>,
    pub eni: Option<String>,
    pub branch: Option<facts::BranchEni>,
    pub ports: Vec<facts::ContainerPort>,
    /// Its address has passed on to another pod.
    pub is_former: bool,
    /// `metadata.deletionTimestamp` is set.
    pub is_terminating: bool,
    /// When it was created.
    pub created: Option<Nanos>,
    pub ev: Vec<Ev>,
}

/// A service with its endpoints.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct ServiceInfo {
    pub id: Id,
    pub kind: String,
    pub ips: Vec<IpAddr>,
    pub ports: Vec<facts::ServicePort>,
    pub endpoints: Vec<(IpAddr, Option<String>, Option<u16>, Protocol)>,
    pub ingress_hostnames: Vec<String>,
    pub ingress_ips: Vec<IpAddr>,
    pub external_policy_local: bool,
    pub uid: Option<String>,
    pub ev: Vec<Ev>,
}

/// A load balancer.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct LbInfo {
    pub id: Id,
    pub name: String,
    pub kind: String,
    pub dns_name: Option<String>,
    pub aliases: BTreeSet<String>,
    /// (load balancer port, instance port)
    pub listeners: Vec<(u16, u16)>,
    pub enis: Vec<String>,
    pub ips: Vec<IpAddr>,
    pub ev: Vec<Ev>,
}

/// Another AWS device: gateway or endpoint.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct DeviceInfo {
    pub id: Id,
    pub name: String,
    pub vpc: Option<String>,
    pub subnet: Option<String>,
    pub public_ips: Vec<IpAddr>,
    pub ev: Vec<Ev>,
}

/// A network namespace's own words: one per input with host facts.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct HostInfo {
    pub input: usize,
    /// The node or pod that it is, and how sure that is.
    pub owner: Option<(Id, f64)>,
    pub interfaces: Vec<(facts::HostInterface, Place)>,
    pub neighbours: Vec<(facts::Neighbour, Place)>,
    pub routes: Vec<(facts::Route, Place)>,
    pub rules: Vec<(facts::Rule, Place)>,
    pub iptables: Vec<(facts::IptablesRule, Place)>,
    pub conntrack: Vec<(facts::Conntrack, Place)>,
    pub virtual_servers: Vec<(facts::VirtualServer, Place)>,
    pub sockets: Vec<(facts::Socket, Place)>,
    pub fdb: Vec<(facts::FdbEntry, Place)>,
}

/// Who is said to own an address.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The owner.
    pub owner: Id,
    /// The interface (`if:…`), where it is known.
    pub interface: Option<Id>,
    /// How sure.
    pub p: f64,
    /// Why.
    pub ev: Vec<Ev>,
}

/// Everything that inventories state, by entity.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Inventory {
    pub vpcs: BTreeMap<String, VpcInfo>,
    pub subnets: BTreeMap<String, SubnetInfo>,
    pub enis: BTreeMap<String, EniInfo>,
    pub nodes: BTreeMap<Id, NodeInfo>,
    pub pods: BTreeMap<Id, PodInfo>,
    pub services: BTreeMap<Id, ServiceInfo>,
    pub lbs: BTreeMap<Id, LbInfo>,
    pub devices: BTreeMap<Id, DeviceInfo>,
    pub route_tables: Vec<(facts::RouteTable, Ev)>,
    pub hosts: Vec<HostInfo>,
    /// The way inside nodes that have bridges or tunnels.
    pub tables: BTreeMap<Id, super::bridges::NodeTables>,
    /// Words that the names of one host's inputs have and no other host's: the folder that they are in, most often.
    pub host_words: BTreeMap<Id, BTreeSet<String>>,
    pub corrections: Vec<(facts::Correction, Place)>,
    /// VPC Flow Logs' records, by ENI.
    pub flow_logs: BTreeMap<String, Vec<(facts::FlowLog, Place)>>,
    /// What AWS skipped of them.
    pub flow_log_gaps: Vec<(facts::FlowLogGap, Place)>,
    /// Statements that contradict one another: the finding's kind, whom it is about, one sentence, and both sides' places.
    pub contradictions: Vec<(&'static str, Vec<Id>, String, Vec<Ev>)>,
    /// Owner claims by IP, best first.
    pub by_ip: BTreeMap<IpAddr, Vec<Claim>>,
    /// Owner claims by MAC, best first.
    pub by_mac: BTreeMap<Mac, Vec<Claim>>,
    /// Names of interfaces by node: MAC → name, and index → name.
    pub names_by_mac: BTreeMap<(Id, Mac), (String, Ev)>,
    /// Index → interface name, by node or pod.
    pub names_by_index: BTreeMap<(Id, u32), (String, Ev)>,
    index: Index,
}

/// Look-ups that must not walk the inventory for every conversation.
#[derive(Clone, Debug, Default)]
struct Index {
    eni_by_ip: BTreeMap<IpAddr, String>,
    eni_by_mac: BTreeMap<Mac, String>,
    service_by_ip: BTreeMap<IpAddr, Id>,
    /// Public address → (ENI, private address).
    by_public: BTreeMap<IpAddr, (String, IpAddr)>,
    /// (private, public).
    translations: BTreeSet<(IpAddr, IpAddr)>,
    with_prefixes: Vec<String>,
    subnets: Vec<(IpNet, String)>,
}

/// The VPC CNI's name for a pod's host side: prefix and the first 11 hexadecimal digits of SHA-1 over `namespace.pod`
/// (amazon-vpc-cni-k8s, `pkg/networkutils/names.go`).
#[must_use]
pub fn host_veth_name(prefix: &str, namespace: &str, pod: &str) -> String {
    let digest = Sha1::digest(format!("{namespace}.{pod}"));
    let mut name = prefix.to_owned();
    for byte in digest.iter().take(6) {
        name.push_str(&format!("{byte:02x}"));
    }
    name.truncate(prefix.len() + 11);
    name
}

/// `if:<owner>/<name>`; an interface without a name goes by its MAC: `if:<MAC>`.
#[must_use]
pub fn interface_id(owner: &str, name: &str) -> Id {
    if name.parse::<Mac>().is_ok() { format!("if:{name}") } else { format!("if:{owner}/{name}") }
}

/// Loopback, link-local, multicast, unspecified: nobody's address in particular.
#[must_use]
pub fn is_special(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_unspecified() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_multicast() || v6.is_unspecified() || (v6.segments()[0] & 0xffc0) == 0xfe80,
    }
}

/// IPv4's link-local addresses (RFC 3927): no router forwards them, so they are of the host that gets them, or on its link.
#[must_use]
pub fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.is_link_local())
}

/// Link-local addresses that EC2 answers beyond an instance's ENI: instance metadata, the Amazon DNS server, the time service
/// (EC2 user guide: "Link-local addresses").
#[must_use]
pub fn is_behind_eni(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if matches!(v4.octets(), [169, 254, 169, 123 | 249..=254]))
}

impl Inventory {
    /// Merges the facts of all inputs. `facts` pairs each input's index (in the analysis's order) with its name and statements.
    pub fn build<'a>(inputs: impl IntoIterator<Item = (usize, &'a str, &'a [Located])>, book: &mut Book) -> Self {
        let mut inv = Self::default();
        let mut rest = Vec::new();
        let inputs: Vec<_> = inputs.into_iter().collect();
        for (input, _, facts) in &inputs {
            let mut host = HostInfo { input: *input, ..HostInfo::default() };
            for located in *facts {
                let place = Place { input: *input, at: located.at.clone() };
                match &located.fact {
                    Fact::HostInterface(x) => host.interfaces.push((x.clone(), place)),
                    Fact::Neighbour(x) => host.neighbours.push((x.clone(), place)),
                    Fact::Route(x) => host.routes.push((x.clone(), place)),
                    Fact::Rule(x) => host.rules.push((x.clone(), place)),
                    Fact::Iptables(x) => host.iptables.push((x.clone(), place)),
                    Fact::Conntrack(x) => host.conntrack.push((x.clone(), place)),
                    Fact::VirtualServer(x) => host.virtual_servers.push((x.clone(), place)),
                    Fact::Socket(x) => host.sockets.push((x.clone(), place)),
                    Fact::Fdb(x) => host.fdb.push((x.clone(), place)),
                    Fact::Correction(x) => inv.corrections.push((x.clone(), place)),
                    Fact::FlowLog(x) => inv.flow_logs.entry(x.eni.clone()).or_default().push((x.clone(), place)),
                    Fact::FlowLogGap(x) => inv.flow_log_gaps.push((x.clone(), place)),
                    other => rest.push((other, place)),
                }
            }
            if !(host.interfaces.is_empty()
                && host.neighbours.is_empty()
                && host.routes.is_empty()
                && host.rules.is_empty()
                && host.iptables.is_empty()
                && host.conntrack.is_empty()
                && host.virtual_servers.is_empty()
                && host.sockets.is_empty()
                && host.fdb.is_empty())
            {
                inv.hosts.push(host);
            }
        }
        inv.aws(&rest, book);
        inv.kubernetes(&rest, book);
        inv.services_from_hosts(book);
        inv.assign_enis();
        inv.index();
        inv.settle_pods(book);
        inv.claim_addresses();
        unlisted::unnamed_hosts(&mut inv, &inputs, book);
        inv.locate_hosts(&inputs);
        unlisted::routed_pods(&mut inv, book);
        inv.bridges(book);
        inv.name_links(book);
        inv.enis_from_hosts(book);
        inv.host_claims(book);
        inv.by_ip.values_mut().chain(inv.by_mac.values_mut()).for_each(|c| sort_claims(c));
        inv.owners_by_hand(book);
        inv
    }

    /// A person's word on whose an address is outweighs every claim that was stated or inferred; those stay visible behind it.
    fn owners_by_hand(&mut self, book: &mut Book) {
        let by_hand: Vec<_> = self.corrections.clone();
        for (correction, place) in by_hand {
            let facts::Correction::Owner { mac, ip, entity } = correction else { continue };
            let address = [mac.map(|m| m.to_string()), ip.map(|i| i.to_string())].into_iter().flatten().collect::<Vec<_>>().join(" and ");
            let ev = book.add("correction", format!("a person says that {address} is {entity}"), vec![place]);
            // An interface's owner stands in its id.
            let (owner, interface) = match entity.strip_prefix("if:").and_then(|rest| rest.rsplit_once('/')) {
                Some((owner, _)) => (owner.to_owned(), Some(entity.clone())),
                None => (entity, None),
            };
            let claim = Claim { owner, interface, p: 1.0, ev: vec![ev] };
            let claims_on = [ip.map(|i| self.by_ip.entry(i).or_default()), mac.map(|m| self.by_mac.entry(m).or_default())];
            for claims in claims_on.into_iter().flatten() {
                claims.iter_mut().for_each(|c| c.p = c.p.min(crate::confidence::OVERRULED));
                claims.insert(0, claim.clone());
            }
        }
    }

    fn aws(&mut self, facts: &[(&Fact, Place)], book: &mut Book) {
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

    fn device(&mut self, id: &str, name: &str, vpc: Option<String>, subnet: Option<String>, public: &[IpAddr], ev: Ev) {
        let d = self.devices.entry(id.to_owned()).or_default();
        id.clone_into(&mut d.id);
        name.clone_into(&mut d.name);
        d.vpc = d.vpc.take().or(vpc);
        d.subnet = d.subnet.take().or(subnet);
        merge(&mut d.public_ips, public);
        merge(&mut d.ev, &[ev]);
    }

    fn eni(&mut self, x: &facts::Eni, ev: Ev) {
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
    fn eni_owner(&mut self, x: &facts::Eni, ev: Ev) -> Id {
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

    fn kubernetes(&mut self, facts: &[(&Fact, Place)], book: &mut Book) {
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

    fn pod(&mut self, x: &facts::Pod, place: &Place, book: &mut Book) {
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

    /// Branch ENIs, by what the pods' annotations say: each is a VLAN device on its pod's node, under the branch ENI's own MAC.
    fn branch_enis(&mut self) {
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

    /// The ENI whose wire carries the branch ENIs of a node: the one that AWS calls a trunk, else the only one that there is.
    #[must_use]
    pub fn trunk_of(&self, node: &str) -> Option<&EniInfo> {
        let all = || self.nodes.get(node).into_iter().flat_map(|n| &n.enis).filter_map(|e| self.enis.get(e));
        let mut several = all();
        all().find(|e| e.kind == "trunk").or_else(|| several.next().filter(|_| several.next().is_none()))
    }

    /// Which ENI carries each pod, and each node's ENIs in the order of their device indexes.
    fn assign_enis(&mut self) {
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

    /// Pods that an older inventory puts elsewhere, or gives an address that another pod has now. What hosts and ENIs say
    /// decides: they change with the data plane, while a list of pods shows the moment that it was printed at.
    fn settle_pods(&mut self, book: &mut Book) {
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
                2 * i32::from(named) + i32::from(carried) - i32::from(p.is_terminating)
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

    pub(super) fn index(&mut self) {
        let mut index = Index::default();
        for e in self.enis.values() {
            for ip in &e.ips {
                index.eni_by_ip.entry(*ip).or_insert_with(|| e.id.clone());
            }
            if let Some(mac) = e.mac {
                index.eni_by_mac.entry(mac).or_insert_with(|| e.id.clone());
            }
            for (private, public) in &e.public {
                index.by_public.entry(*public).or_insert_with(|| (e.id.clone(), *private));
                index.translations.insert((*private, *public));
            }
            if !e.prefixes.is_empty() {
                index.with_prefixes.push(e.id.clone());
            }
        }
        for s in self.services.values() {
            for ip in &s.ips {
                index.service_by_ip.entry(*ip).or_insert_with(|| s.id.clone());
            }
        }
        index.subnets = self.subnets.iter().flat_map(|(id, s)| s.cidrs.iter().map(|c| (*c, id.clone()))).collect();
        // The longest prefix first; of equal ones, the lowest id.
        order::sort_by(&mut index.subnets, |a, b| b.0.prefix_len().cmp(&a.0.prefix_len()).then_with(|| a.1.cmp(&b.1)));
        self.index = index;
    }

    fn claim_addresses(&mut self) {
        let mut ips: Vec<(IpAddr, Claim)> = Vec::new();
        let mut macs: Vec<(Mac, Claim)> = Vec::new();
        for pod in self.pods.values() {
            let interface = interface_id(&pod.id, "eth0");
            for ip in &pod.ips {
                // The node's own address is the node's; its hostNetwork pods only share it.
                let p = if pod.host_network || pod.is_former { weight::owner::SHARED } else { 1.0 };
                let interface = (!pod.host_network).then(|| interface.clone());
                ips.push((*ip, Claim { owner: pod.id.clone(), interface, p, ev: pod.ev.clone() }));
            }
        }
        for node in self.nodes.values() {
            for ip in &node.ips {
                ips.push((*ip, Claim { owner: node.id.clone(), interface: None, p: 1.0, ev: node.ev.clone() }));
            }
        }
        for e in self.enis.values() {
            let is_node = self.nodes.contains_key(&e.owner);
            let interface = if is_node { Some(interface_id(&e.owner, &self.eni_name(e))) } else { None };
            if let Some(mac) = e.mac {
                macs.push((mac, Claim { owner: e.owner.clone(), interface: interface.clone(), p: 1.0, ev: e.ev.clone() }));
            }
            for ip in &e.ips {
                // A node's secondary addresses are there for pods: whoever holds one says so elsewhere.
                let p = if is_node && (e.primary != Some(*ip) || e.kind == "branch") { weight::owner::SECONDARY } else { 1.0 };
                ips.push((*ip, Claim { owner: e.owner.clone(), interface: interface.clone(), p, ev: e.ev.clone() }));
            }
            for (private, public) in &e.public {
                let owner = self.pods.values().find(|p| !p.host_network && p.ips.contains(private)).map_or(&e.owner, |p| &p.id).clone();
                ips.push((*public, Claim { owner, interface: None, p: 1.0, ev: e.ev.clone() }));
            }
        }
        for s in self.services.values() {
            for ip in &s.ips {
                ips.push((*ip, Claim { owner: s.id.clone(), interface: None, p: 1.0, ev: s.ev.clone() }));
            }
        }
        for lb in self.lbs.values() {
            for ip in &lb.ips {
                ips.push((*ip, Claim { owner: lb.id.clone(), interface: None, p: 1.0, ev: lb.ev.clone() }));
            }
        }
        for d in self.devices.values() {
            for ip in &d.public_ips {
                ips.push((*ip, Claim { owner: d.id.clone(), interface: None, p: 1.0, ev: d.ev.clone() }));
            }
        }
        for (id, s) in &self.subnets {
            for cidr in &s.cidrs {
                // The first address after the network's is the VPC router's (docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html).
                if let Some(gateway) = gateway_of(cidr) {
                    ips.push((
                        gateway,
                        Claim { owner: format!("router:{id}"), interface: None, p: weight::owner::GATEWAY, ev: s.ev.clone() },
                    ));
                }
            }
        }
        for (ip, claim) in ips {
            push_claim(&mut self.by_ip, ip, claim);
        }
        for (mac, claim) in macs {
            push_claim(&mut self.by_mac, mac, claim);
        }
    }

    /// What an ENI's interface is called on its node: as the host printed it, else `eth` and the device index.
    #[must_use]
    pub fn eni_name(&self, e: &EniInfo) -> String {
        let said = e.mac.and_then(|m| self.names_by_mac.get(&(e.owner.clone(), m))).map(|n| n.0.clone());
        said.or_else(|| e.name.clone()).unwrap_or_else(|| format!("eth{}", e.device_index.unwrap_or(0)))
    }

    /// Which host each input with host facts comes from.
    fn locate_hosts(&mut self, inputs: &[(usize, &str, &[Located])]) {
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

    pub(super) fn host_owner(&self, host: &HostInfo) -> Option<(Id, f64)> {
        let mut votes: BTreeMap<Id, f64> = BTreeMap::new();
        let mut vote = |id: &Id, weight: f64| *votes.entry(id.clone()).or_default() += weight;
        let veths: BTreeMap<&str, &PodInfo> = order::map(self.pods.values().map(|p| (p.veth.as_str(), p)));
        let veth = |dev: Option<&str>| dev.and_then(|d| veths.get(d)).and_then(|p| p.node.as_ref());
        for (i, _) in &host.interfaces {
            if let Some(claims) = i.mac.and_then(|m| self.by_mac.get(&m)) {
                claims.iter().for_each(|c| vote(&c.owner, weight::host::MAC));
            }
            for a in &i.addresses {
                for c in
                    self.by_ip.get(&a.addr()).into_iter().flatten().filter(|c| c.p > needed::LIKELY && !c.owner.starts_with("service:"))
                {
                    vote(&c.owner, weight::host::ADDRESS);
                }
            }
            if let Some(n) = veth(Some(&i.name)) {
                vote(n, weight::host::POD_DEVICE);
            }
        }
        let devs = host.neighbours.iter().map(|(n, _)| n.dev.as_deref()).chain(host.routes.iter().map(|(r, _)| r.dev.as_deref()));
        for dev in devs {
            if let Some(n) = veth(dev) {
                vote(n, weight::host::POD_DEVICE);
            }
        }
        // A neighbour or a host route behind anything but an ENI is a pod of this node.
        let behind = host.neighbours.iter().map(|(n, _)| (n.ip, n.dev.as_deref()));
        let routed = host.routes.iter().filter_map(|(r, _)| Some((host_route(r)?, r.dev.as_deref())));
        for (ip, dev) in behind.chain(routed) {
            if dev.is_some_and(|d| !is_eni_name(d))
                && let Some(n) = self.owner_of_ip(ip).and_then(|c| self.pods.get(&c.owner)).and_then(|p| p.node.as_ref())
            {
                vote(n, weight::host::POD_DEVICE);
            }
        }
        let own = host.routes.iter().filter(|(r, _)| r.kind == "local").filter_map(|(r, _)| r.destination).map(|d| d.addr());
        for ip in own.chain(host.routes.iter().filter_map(|(r, _)| r.src)) {
            for c in self.by_ip.get(&ip).into_iter().flatten().filter(|c| c.p > needed::LIKELY && !c.owner.starts_with("service:")) {
                vote(&c.owner, weight::host::ADDRESS);
            }
        }
        for (r, _) in &host.rules {
            for net in [r.from, r.to].into_iter().flatten().filter(|n| n.prefix_len() == n.max_prefix_len()) {
                let pod = self.by_ip.get(&net.addr()).into_iter().flatten().find_map(|c| self.pods.get(&c.owner));
                if let Some(n) = pod.and_then(|p| p.node.as_ref()) {
                    vote(n, weight::host::POD_RULE);
                }
            }
        }
        for (s, _) in &host.sockets {
            for c in self.by_ip.get(&s.local).into_iter().flatten().filter(|c| c.p > needed::LIKELY && !c.owner.starts_with("service:")) {
                vote(&c.owner, weight::host::USED_ADDRESS);
            }
        }
        for (r, _) in &host.iptables {
            if let Some(ip) = r.to_source {
                for c in self.by_ip.get(&ip).into_iter().flatten().filter(|c| c.p > needed::LIKELY) {
                    vote(&c.owner, weight::host::USED_ADDRESS);
                }
            }
        }
        votes.retain(|id, _| self.nodes.contains_key(id) || self.pods.contains_key(id));
        let total: f64 = votes.values().sum();
        let best = votes.into_iter().max_by(|a, b| a.1.total_cmp(&b.1).then_with(|| b.0.cmp(&a.0)))?;
        (best.1 > total * needed::LIKELY).then_some((best.0, weight::host::VOTED))
    }

    /// Without AWS's list of ENIs, hosts' own `ip addr`, `ip neigh`, `ip rule` and `ip route` say which interfaces a node has, which
    /// router each speaks to, and which pod is behind which.
    fn enis_from_hosts(&mut self, book: &mut Book) {
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

    /// The names that hosts give to their pods' links outweigh the ones that the CNI would compute.
    fn name_links(&mut self, book: &mut Book) {
        let mut named: Vec<(Id, String, Ev)> = Vec::new();
        for host in &self.hosts {
            let Some((owner, _)) = &host.owner else { continue };
            let neighbours = host.neighbours.iter().map(|(n, place)| (Some(n.ip), n.dev.as_ref(), place));
            let routes = host.routes.iter().map(|(r, place)| (host_route(r), r.dev.as_ref(), place));
            for (ip, dev, place) in neighbours.chain(routes) {
                let (Some(ip), Some(dev)) = (ip, dev) else { continue };
                let pod = self.pod_on(ip, owner).filter(|p| p.node.as_ref() == Some(owner) && !p.host_network);
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
    fn host_claims(&mut self, book: &mut Book) {
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
            for (n, place) in &host.neighbours {
                let Some(mac) = n.mac.filter(|m| !m.is_zero() && !m.is_group()) else { continue };
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
                    } else if let Some(pod) = self.pod_on(n.ip, &owner).filter(|_| on_veth).map(|p| p.id.clone()) {
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

    /// The VPC that a node's ENIs are in.
    #[must_use]
    pub fn vpc_of_node(&self, node: &str) -> Option<&str> {
        self.nodes.get(node)?.enis.iter().find_map(|e| self.enis.get(e)?.vpc.as_deref())
    }

    /// Whether several VPCs have one address, so that an address alone does not say whose it is.
    #[must_use]
    pub fn has_overlapping_vpcs(&self) -> bool {
        let nets: Vec<(&String, &IpNet)> = self.vpcs.iter().flat_map(|(id, v)| v.cidrs.iter().map(move |c| (id, c))).collect();
        let overlap = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
        nets.iter().enumerate().any(|(n, (id, a))| nets.iter().skip(n + 1).any(|(other, b)| other != id && overlap(a, b)))
    }

    /// What is in one VPC, and in none; with the pods in `chosen` as the owners of their addresses.
    #[must_use]
    pub fn scoped(&self, vpc: Option<&str>, chosen: &BTreeSet<Id>) -> Self {
        let mut view = self.clone();
        if let Some(vpc) = vpc {
            let fits = |v: Option<&str>| v.is_none_or(|v| v == vpc);
            view.vpcs.retain(|id, _| id == vpc);
            view.subnets.retain(|_, s| fits(s.vpc.as_deref()));
            view.enis.retain(|_, e| fits(e.vpc.as_deref()));
            view.devices.retain(|_, d| fits(d.vpc.as_deref()));
            view.nodes.retain(|id, _| fits(self.vpc_of_node(id)));
            view.pods.retain(|_, p| p.node.as_ref().is_none_or(|n| fits(self.vpc_of_node(n))));
            view.route_tables.retain(|(t, _)| fits(t.vpc.as_deref()));
            let is_kept = |id: &Id| {
                let (kind, rest) = id.split_once(':').unwrap_or(("", id));
                match kind {
                    "node" | "instance" | "host" => view.nodes.contains_key(id),
                    "pod" => view.pods.contains_key(id),
                    "router" => view.subnets.contains_key(rest),
                    _ => true,
                }
            };
            for claims in view.by_ip.values_mut() {
                claims.retain(|c| is_kept(&c.owner));
            }
            view.by_ip.retain(|_, claims| !claims.is_empty());
        }
        for id in chosen {
            let ips = view.pods.get(id).map(|p| p.ips.clone()).unwrap_or_default();
            for ip in ips {
                if let Some(claims) = view.by_ip.get_mut(&ip) {
                    order::sort_by_key(claims, |c| &c.owner != id);
                }
            }
        }
        view.index();
        view
    }

    /// The pod that has an address on a node: where several pods have it, that node's.
    #[must_use]
    pub fn pod_on(&self, ip: IpAddr, node: &str) -> Option<&PodInfo> {
        let all = || self.by_ip.get(&ip).into_iter().flatten().filter_map(|c| self.pods.get(&c.owner)).filter(|p| !p.host_network);
        all()
            .filter(|p| p.node.as_deref() == Some(node))
            .min_by_key(|p| p.is_former)
            .or_else(|| self.owner_of_ip(ip).and_then(|c| self.pods.get(&c.owner)))
    }

    /// The best claim on an address.
    #[must_use]
    pub fn owner_of_ip(&self, ip: IpAddr) -> Option<&Claim> {
        self.by_ip.get(&ip)?.first()
    }

    /// The best claim on a MAC.
    #[must_use]
    pub fn owner_of_mac(&self, mac: Mac) -> Option<&Claim> {
        self.by_mac.get(&mac)?.first()
    }

    /// The subnet that holds an address.
    #[must_use]
    pub fn subnet_of(&self, ip: IpAddr) -> Option<&str> {
        self.index.subnets.iter().find(|(c, _)| c.contains(&ip)).map(|x| x.1.as_str())
    }

    /// Whether an address is inside a known VPC or subnet.
    #[must_use]
    pub fn is_inside(&self, ip: IpAddr) -> bool {
        self.vpcs.values().flat_map(|v| &v.cidrs).chain(self.subnets.values().flat_map(|s| &s.cidrs)).any(|c| c.contains(&ip))
    }

    /// Whether any VPC or subnet is known at all.
    #[must_use]
    pub fn knows_networks(&self) -> bool {
        !(self.vpcs.is_empty() && self.subnets.values().all(|s| s.is_nameless))
    }

    /// The ENI that delivers an address.
    #[must_use]
    pub fn eni_of_ip(&self, ip: IpAddr) -> Option<&EniInfo> {
        if let Some(pod) = self.owner_of_ip(ip).and_then(|c| self.pods.get(&c.owner)).filter(|p| !p.host_network)
            && let Some(e) = pod.eni.as_ref().and_then(|e| self.enis.get(e))
        {
            return Some(e);
        }
        let by_prefix =
            || self.index.with_prefixes.iter().filter_map(|e| self.enis.get(e)).find(|e| e.prefixes.iter().any(|p| p.contains(&ip)));
        self.index.eni_by_ip.get(&ip).and_then(|e| self.enis.get(e)).or_else(by_prefix)
    }

    /// The service whose address and port this is.
    #[must_use]
    pub fn service_at(&self, ip: IpAddr) -> Option<&ServiceInfo> {
        self.index.service_by_ip.get(&ip).and_then(|s| self.services.get(s))
    }

    /// Whether any MAC is known to be an owner's.
    #[must_use]
    pub fn has_mac(&self, owner: &str) -> bool {
        self.by_mac.values().any(|claims| claims.first().is_some_and(|c| c.owner == owner))
    }

    /// The ENI with a MAC.
    #[must_use]
    pub fn eni_of_mac(&self, mac: Mac) -> Option<&EniInfo> {
        self.index.eni_by_mac.get(&mac).and_then(|e| self.enis.get(e))
    }

    /// The ENI and private address behind a public address (an Internet gateway translates between them).
    #[must_use]
    pub fn behind_public(&self, ip: IpAddr) -> Option<(&EniInfo, IpAddr)> {
        let (eni, private) = self.index.by_public.get(&ip)?;
        Some((self.enis.get(eni)?, *private))
    }

    /// Whether an Internet gateway translates this private address to that public one.
    #[must_use]
    pub fn is_translation(&self, private: IpAddr, public: IpAddr) -> bool {
        self.index.translations.contains(&(private, public))
    }

    /// The entity for an address that no inventory claims: outside all networks, or a stranger.
    #[must_use]
    pub fn stranger(&self, ip: IpAddr) -> Id {
        let outside = if self.knows_networks() { !self.is_inside(ip) } else { !is_private(ip) };
        if outside { format!("external:{ip}") } else { format!("unknown:{ip}") }
    }

    /// The owner's id of an address, whoever that is.
    #[must_use]
    pub fn entity_of_ip(&self, ip: IpAddr) -> Id {
        self.owner_of_ip(ip).map_or_else(|| self.stranger(ip), |c| c.owner.clone())
    }
}

/// Addresses that nobody can have on the Internet: RFC 1918, RFC 4193, link-local, and RFC 6598's shared ones.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || (v4.octets()[0] == 100 && (v4.octets()[1] & 0xc0) == 64),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xfe00) == 0xfc00 || (v6.segments()[0] & 0xffc0) == 0xfe80,
    }
}

/// `eth0`, `ens5`, `enp0s6`: the kernel's and udev's names for an ENI; a branch ENI's VLAN device.
#[must_use]
pub fn is_eni_name(dev: &str) -> bool {
    let digits_after = |prefix: &str| dev.strip_prefix(prefix).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
    dev == "lo" || ["eth", "ens", "enp", "vlan.eth."].iter().any(|p| digits_after(p))
}

/// The address of a route to one host.
pub(super) fn host_route(r: &facts::Route) -> Option<IpAddr> {
    r.destination.filter(|d| d.prefix_len() == d.max_prefix_len() && r.kind == "unicast" && r.via.is_none()).map(|d| d.addr())
}

/// The first host address of a network.
#[must_use]
pub fn gateway_of(cidr: &IpNet) -> Option<IpAddr> {
    match cidr.network() {
        IpAddr::V4(v4) => u32::from(v4).checked_add(1).map(|n| IpAddr::from(n.to_be_bytes())),
        IpAddr::V6(v6) => u128::from(v6).checked_add(1).map(|n| IpAddr::from(n.to_be_bytes())),
    }
}

/// A host in a sentence about its own words, where a name made of its MAC would state what they do not.
pub(super) fn spoken(id: &str) -> &str {
    if id.starts_with("host:") { "the host" } else { short(id) }
}

/// An id without its kind, for sentences.
#[must_use]
pub fn short(id: &str) -> &str {
    let id = id.strip_prefix("if:").unwrap_or(id);
    // A MAC has colons too.
    match id.split_once(':') {
        Some((kind, rest)) if kind.len() > 2 || matches!(kind, "lb" | "az") => rest,
        _ => id,
    }
}

pub(super) fn push_claim<K: Ord>(map: &mut BTreeMap<K, Vec<Claim>>, key: K, claim: Claim) {
    let claims = map.entry(key).or_default();
    match claims.iter_mut().find(|c| c.owner == claim.owner) {
        Some(known) => {
            known.p = known.p.max(claim.p);
            known.interface = known.interface.take().or(claim.interface);
            merge(&mut known.ev, &claim.ev);
        }
        None => claims.push(claim),
    }
}

/// The likeliest first.
pub(super) fn sort_claims(claims: &mut [Claim]) {
    order::sort_by(claims, |a, b| b.p.total_cmp(&a.p).then_with(|| a.owner.cmp(&b.owner)));
}

pub(super) fn merge<T: Clone + PartialEq>(into: &mut Vec<T>, from: &[T]) {
    for x in from {
        if !into.contains(x) {
            into.push(x.clone());
        }
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return "no address".to_owned();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Inventory, host_veth_name};
    use crate::evidence::Book;
    use crate::facts::{Eni, EniIp, Fact, Located, Node, Pod, Vpc};
    use crate::model::Locator;

    /// Two nodes, each in the VPC given, and on each a pod with the same address.
    fn twins(vpcs: [&str; 2]) -> Inventory {
        let mut facts = Vec::new();
        for (n, vpc) in vpcs.iter().enumerate() {
            let instance = Some(format!("i-{n}"));
            let ips = vec![EniIp { ip: format!("10.0.0.{}", n + 4).parse().unwrap(), is_primary: true, public_ip: None }];
            let (id, vpc_id) = (format!("eni-{n}"), Some((*vpc).to_owned()));
            facts.push(Fact::Vpc(Vpc { id: (*vpc).to_owned(), cidrs: vec!["10.0.0.0/16".parse().unwrap()], ..Vpc::default() }));
            facts.push(Fact::Eni(Eni { id, vpc: vpc_id, instance: instance.clone(), private_ips: ips, ..Eni::default() }));
            facts.push(Fact::Node(Node { name: format!("n{n}"), instance_id: instance, ..Node::default() }));
            let (name, node) = (format!("p{n}"), Some(format!("n{n}")));
            facts.push(Fact::Pod(Pod { name, namespace: "d".to_owned(), node, ips: vec!["10.0.0.99".parse().unwrap()], ..Pod::default() }));
        }
        let facts: Vec<Located> = (1..).map(Locator::Line).zip(facts).map(|(at, fact)| Located { at, fact }).collect();
        Inventory::build([(0, "all", facts.as_slice())], &mut Book::default())
    }

    #[test]
    fn an_address_is_its_vpcs() {
        let apart = twins(["vpc-a", "vpc-b"]);
        assert!(apart.contradictions.is_empty() && apart.has_overlapping_vpcs());
        let ip = "10.0.0.99".parse().unwrap();
        for (vpc, pod) in [("vpc-a", "pod:d/p0"), ("vpc-b", "pod:d/p1")] {
            assert_eq!(apart.scoped(Some(vpc), &BTreeSet::new()).entity_of_ip(ip), pod);
        }
        let together = twins(["vpc-a", "vpc-a"]);
        assert_eq!(together.contradictions.len(), 1);
        let chosen = BTreeSet::from(["pod:d/p1".to_owned()]);
        assert_eq!(together.scoped(None, &chosen).entity_of_ip(ip), "pod:d/p1");
    }

    #[test]
    fn host_side_names_are_the_cnis() {
        // Printed in a public log of the CNI's own integration tests.
        assert_eq!(host_veth_name("eni", "cni-automation", "deployment-test-548f675f8c-8j4xn"), "enia5bef95afdc");
        assert_eq!(host_veth_name("eni", "cni-automation", "deployment-test-548f675f8c-jc5mw"), "eni3703cc9a0ba");
    }
}
