//! All inventories merged: entities under the names of the report's contract, with what each states and where.
//! Knows what kubectl, AWS and hosts state; must not look at a packet.

mod aws;
mod hosts;
mod kubernetes;

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
use crate::phrase::push_ip;

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

impl ServiceInfo {
    /// Whether only EndpointSlices speak of it: a Service object has a type, and an address unless it is headless.
    #[must_use]
    pub fn is_addressless(&self) -> bool {
        self.kind.is_empty() && self.ips.is_empty()
    }
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
    /// Link-local addresses that a node routes to a device of its own, such as those by which pods of an IPv6 cluster reach IPv4 hosts
    /// (amazon-vpc-cni-k8s, `egress-cni`): every node has the same, so they say who it is only together with the node.
    pub guests: BTreeMap<(Id, IpAddr), (String, Ev)>,
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
    /// The first service that has it.
    service_by_node_port: BTreeMap<(Protocol, u16), Id>,
    services_by_endpoint: BTreeMap<IpAddr, BTreeSet<Id>>,
    /// Public address → (ENI, private address).
    by_public: BTreeMap<IpAddr, (String, IpAddr)>,
    /// (private, public).
    translations: BTreeSet<(IpAddr, IpAddr)>,
    with_prefixes: Vec<String>,
    subnets: Vec<(IpNet, String)>,
    has_addressless: bool,
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
        inv.unname_links();
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

    /// The ENI whose wire carries the branch ENIs of a node: the one that AWS calls a trunk, else the only one that there is.
    #[must_use]
    pub fn trunk_of(&self, node: &str) -> Option<&EniInfo> {
        let all = || self.nodes.get(node).into_iter().flat_map(|n| &n.enis).filter_map(|e| self.enis.get(e));
        let mut several = all();
        all().find(|e| e.kind == "trunk").or_else(|| several.next().filter(|_| several.next().is_none()))
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
            for (protocol, port) in s.ports.iter().filter_map(|p| Some((p.protocol, p.node_port?))) {
                index.service_by_node_port.entry((protocol, port)).or_insert_with(|| s.id.clone());
            }
            for (ip, ..) in &s.endpoints {
                index.services_by_endpoint.entry(*ip).or_default().insert(s.id.clone());
            }
        }
        index.has_addressless = self.services.values().any(ServiceInfo::is_addressless);
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

    /// The node of a pod; any other entity itself.
    #[must_use]
    pub fn host_of<'a>(&'a self, id: &'a Id) -> &'a Id {
        self.pods.get(id).and_then(|p| p.node.as_ref()).unwrap_or(id)
    }

    /// The pod that a node reaches by a device under an address: of several that have had it, the one whose link bears that name.
    #[must_use]
    pub fn pod_behind(&self, ip: IpAddr, node: &str, dev: &str) -> Option<&PodInfo> {
        let all = self.by_ip.get(&ip).into_iter().flatten().filter_map(|c| self.pods.get(&c.owner)).filter(|p| !p.host_network);
        let mut here = all.filter(|p| p.node.as_deref() == Some(node));
        here.find(|p| p.veth == dev).or_else(|| self.pod_on(ip, node))
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

    /// The first service with a node port, and that port.
    #[must_use]
    pub fn service_by_node_port(&self, protocol: Protocol, port: u16) -> Option<(&ServiceInfo, &facts::ServicePort)> {
        let service = self.services.get(self.index.service_by_node_port.get(&(protocol, port))?)?;
        service.ports.iter().find(|p| p.protocol == protocol && p.node_port == Some(port)).map(|p| (service, p))
    }

    /// The services of which an address is an endpoint, in order of their ids.
    pub fn services_by_endpoint(&self, ip: IpAddr) -> impl Iterator<Item = &ServiceInfo> {
        self.index.services_by_endpoint.get(&ip).into_iter().flatten().filter_map(|s| self.services.get(s))
    }

    /// Whether any service has endpoints.
    #[must_use]
    pub fn has_endpoints(&self) -> bool {
        !self.index.services_by_endpoint.is_empty()
    }

    /// Enters an address of a service that no input gives one.
    pub fn name_service(&mut self, ip: IpAddr, id: &Id, ev: Ev) {
        let Some(service) = self.services.get_mut(id) else { return };
        service.ips.push(ip);
        self.index.service_by_ip.entry(ip).or_insert_with(|| id.clone());
        let claim = Claim { owner: id.clone(), interface: None, p: weight::owner::DIALLED, ev: vec![ev] };
        push_claim(&mut self.by_ip, ip, claim);
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
        let ip = behind_nat64(ip).unwrap_or(ip);
        let mut id = String::with_capacity(24);
        id.push_str(if self.is_outside(ip) { "external:" } else { "unknown:" });
        push_ip(&mut id, ip);
        id
    }

    /// Whether an address that no inventory claims is outside all networks.
    fn is_outside(&self, ip: IpAddr) -> bool {
        // What could be a service's address that no input gives is nobody's until something says so.
        let is_open = is_link_local(ip) || ip.is_loopback() || self.index.has_addressless && is_private(ip);
        if self.knows_networks() { !self.is_inside(ip) && !is_open } else { !is_private(ip) }
    }

    /// Whether the owner of an address, whoever that is, is outside all networks.
    #[must_use]
    pub fn is_external(&self, ip: IpAddr) -> bool {
        self.owner_of_end(ip).map_or_else(|| self.is_outside(behind_nat64(ip).unwrap_or(ip)), |c| c.owner.starts_with("external:"))
    }

    /// The best claim on the address of a conversation's end: of one that a NAT64 gateway translates, on what it translates to.
    #[must_use]
    pub fn owner_of_end(&self, ip: IpAddr) -> Option<&Claim> {
        self.owner_of_ip(ip).or_else(|| self.owner_of_ip(behind_nat64(ip)?))
    }

    /// The owner's id of an address, whoever that is.
    #[must_use]
    pub fn entity_of_ip(&self, ip: IpAddr) -> Id {
        self.owner_of_end(ip).map_or_else(|| self.stranger(ip), |c| c.owner.clone())
    }
}

/// The IPv4 address that an IPv6 one of the well-known prefix stands for (RFC 6052 §2.1): a NAT64 gateway translates to it.
#[must_use]
pub fn behind_nat64(ip: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(six) = ip else { return None };
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = six.segments() else { return None };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Some(IpAddr::from([a, b, c, d]))
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
