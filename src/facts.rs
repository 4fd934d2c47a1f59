//! What inventories state outright: pods, nodes, ENIs, routes, neighbours … each with the place where it stands.
//! Knows no file format (importers fill these in) and draws no conclusion (`identify` does).
//!
//! Every list is in the order of the input; nothing here is merged or judged.

#![allow(missing_docs)] // Fields carry the names of the commands that print them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use serde::{Deserialize, Serialize};

use crate::model::{Locator, Mac, Nanos, Protocol};

/// A statement and where it stands in its input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// Where the statement stands.
    pub at: Locator,
    /// What is stated.
    pub fact: Fact,
}

/// One statement of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // Each variant's type documents itself.
pub enum Fact {
    Pod(Pod),
    Node(Node),
    Service(Service),
    Endpoints(Endpoints),
    Vpc(Vpc),
    Subnet(Subnet),
    Instance(Instance),
    Eni(Eni),
    RouteTable(RouteTable),
    InternetGateway(InternetGateway),
    NatGateway(NatGateway),
    VpcEndpoint(VpcEndpoint),
    LoadBalancer(LoadBalancer),
    TargetGroup(TargetGroup),
    TargetHealth(TargetHealth),
    SecurityGroup(SecurityGroup),
    HostInterface(HostInterface),
    Neighbour(Neighbour),
    Route(Route),
    Rule(Rule),
    Iptables(IptablesRule),
    Conntrack(Conntrack),
    VirtualServer(VirtualServer),
    Socket(Socket),
    Fdb(FdbEntry),
    FlowLog(FlowLog),
    FlowLogGap(FlowLogGap),
    /// What a person stated in a session file.
    Correction(Correction),
}

/// A person's word, which outweighs what is inferred.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Correction {
    /// This capture point sits on that interface (`if:…` id) or entity.
    Placement { input_name: String, interface_name: Option<String>, at: String },
    /// This MAC or IP belongs to that entity.
    Owner { mac: Option<Mac>, ip: Option<IpAddr>, entity: String },
    /// The clock of this capture is this much ahead of the reference.
    ClockOffset { input_name: String, offset_ns: Nanos },
}

/// `kubectl get pods`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub uid: Option<String>,
    pub node: Option<String>,
    /// `status.podIPs`, `status.podIP` and the CNI's `pod-ips` annotation, without doubles.
    pub ips: Vec<IpAddr>,
    pub host_ip: Option<IpAddr>,
    pub host_network: bool,
    pub ports: Vec<ContainerPort>,
    pub labels: BTreeMap<String, String>,
    /// Annotation `vpc.amazonaws.com/pod-eni` (security groups for pods).
    pub branch_enis: Vec<BranchEni>,
    /// `status.phase`.
    pub phase: Option<String>,
    /// `metadata.deletionTimestamp` is set.
    pub is_terminating: bool,
    /// `metadata.creationTimestamp`: nothing that a capture showed before it was this pod's.
    pub created: Option<Nanos>,
}

/// A port of a pod's container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerPort {
    pub name: Option<String>,
    pub port: u16,
    pub host_port: Option<u16>,
    pub protocol: Protocol,
}

/// One element of the annotation `vpc.amazonaws.com/pod-eni`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchEni {
    pub eni_id: String,
    pub mac: Option<Mac>,
    pub ip: Option<IpAddr>,
    pub ipv6: Option<IpAddr>,
    pub vlan: Option<u16>,
}

/// `kubectl get nodes`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub name: String,
    /// From `spec.providerID` (`aws:///zone/i-…`).
    pub instance_id: Option<String>,
    pub zone: Option<String>,
    /// `InternalIP` addresses.
    pub internal_ips: Vec<IpAddr>,
    /// `ExternalIP` addresses.
    pub external_ips: Vec<IpAddr>,
    /// `Hostname`, `InternalDNS`, `ExternalDNS`, without the name itself.
    pub other_names: Vec<String>,
    pub pod_cidrs: Vec<IpNet>,
}

/// `kubectl get services`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    pub namespace: String,
    pub name: String,
    /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
    pub kind: String,
    /// Empty for headless services.
    pub cluster_ips: Vec<IpAddr>,
    pub external_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress[].ip`.
    pub ingress_ips: Vec<IpAddr>,
    /// `status.loadBalancer.ingress[].hostname`.
    pub ingress_hostnames: Vec<String>,
    pub ports: Vec<ServicePort>,
    /// `Cluster` or `Local`.
    pub external_traffic_policy: Option<String>,
    pub internal_traffic_policy: Option<String>,
    pub health_check_node_port: Option<u16>,
    pub selector: BTreeMap<String, String>,
    /// Only those that begin with `service.beta.kubernetes.io/`.
    pub annotations: BTreeMap<String, String>,
    pub uid: Option<String>,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    pub name: Option<String>,
    pub protocol: Protocol,
    pub port: u16,
    pub target_port: Option<TargetPort>,
    pub node_port: Option<u16>,
}

/// A service's `targetPort`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetPort {
    Number(u16),
    /// A container port's name.
    Name(String),
}

/// An EndpointSlice, or one subset of an Endpoints object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    pub namespace: String,
    /// The service's name: label `kubernetes.io/service-name`, or the Endpoints object's own name.
    pub service: String,
    pub endpoints: Vec<Endpoint>,
    pub ports: Vec<EndpointPort>,
}

/// One address that backs a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub ip: IpAddr,
    /// `targetRef` where it is a Pod: namespace, name.
    pub pod: Option<(String, String)>,
    pub node: Option<String>,
    pub is_ready: bool,
}

/// A port of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointPort {
    pub name: Option<String>,
    pub port: Option<u16>,
    pub protocol: Protocol,
}

/// `aws ec2 describe-vpcs`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    pub id: String,
    /// Tag `Name`.
    pub name: Option<String>,
    /// IPv4 and IPv6, associated ones only.
    pub cidrs: Vec<IpNet>,
}

/// `aws ec2 describe-subnets`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub id: String,
    pub name: Option<String>,
    pub vpc: Option<String>,
    /// `AvailabilityZone`, such as `eu-central-1a`.
    pub zone: Option<String>,
    pub cidrs: Vec<IpNet>,
}

/// `aws ec2 describe-instances`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub id: String,
    pub name: Option<String>,
    pub private_dns: Option<String>,
    pub private_ip: Option<IpAddr>,
    pub public_ip: Option<IpAddr>,
    pub vpc: Option<String>,
    pub subnet: Option<String>,
    pub zone: Option<String>,
    /// `State.Name`.
    pub state: Option<String>,
    pub instance_type: Option<String>,
}

/// `aws ec2 describe-network-interfaces`, or an element of an instance's `NetworkInterfaces`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eni {
    pub id: String,
    pub mac: Option<Mac>,
    pub description: String,
    /// `InterfaceType`: `interface`, `natGateway`, `trunk`, `branch`, `network_load_balancer` …
    pub interface_type: Option<String>,
    pub requester_id: Option<String>,
    pub requester_managed: Option<bool>,
    pub vpc: Option<String>,
    pub subnet: Option<String>,
    pub zone: Option<String>,
    pub private_ips: Vec<EniIp>,
    pub ipv6s: Vec<IpAddr>,
    /// Delegated prefixes, IPv4 (/28) and IPv6 (/80).
    pub prefixes: Vec<IpNet>,
    /// `Attachment.InstanceId`.
    pub instance: Option<String>,
    pub device_index: Option<u32>,
    pub network_card: Option<u32>,
    pub source_dest_check: Option<bool>,
    /// `Status`: `in-use`, `available` …
    pub status: Option<String>,
    /// Security group ids.
    pub groups: Vec<String>,
    pub tags: BTreeMap<String, String>,
}

/// A private address of an ENI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EniIp {
    pub ip: IpAddr,
    pub is_primary: bool,
    /// `Association.PublicIp`.
    pub public_ip: Option<IpAddr>,
}

/// `aws ec2 describe-route-tables`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    pub id: String,
    pub vpc: Option<String>,
    pub subnets: Vec<String>,
    pub is_main: bool,
    pub routes: Vec<VpcRoute>,
}

/// A route of a VPC's route table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcRoute {
    pub destination: Option<IpNet>,
    /// Managed prefix list, where it is the destination.
    pub prefix_list: Option<String>,
    /// `local`, `igw-…`, `nat-…`, `eni-…`, `i-…`, `tgw-…`, `pcx-…`, `vpce-…`.
    pub target: String,
    pub state: Option<String>,
}

/// `aws ec2 describe-internet-gateways`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InternetGateway {
    pub id: String,
    pub vpcs: Vec<String>,
}

/// `aws ec2 describe-nat-gateways`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatGateway {
    pub id: String,
    pub vpc: Option<String>,
    pub subnet: Option<String>,
    /// `private` or `public`.
    pub connectivity: Option<String>,
    /// Private address, public address, ENI.
    pub addresses: Vec<(Option<IpAddr>, Option<IpAddr>, Option<String>)>,
}

/// `aws ec2 describe-vpc-endpoints`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcEndpoint {
    pub id: String,
    pub vpc: Option<String>,
    pub service: String,
    /// `Interface`, `Gateway`, `GatewayLoadBalancer`.
    pub kind: Option<String>,
    pub subnets: Vec<String>,
    pub enis: Vec<String>,
}

/// `aws elbv2 describe-load-balancers` and `aws elb describe-load-balancers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancer {
    pub name: String,
    pub arn: Option<String>,
    /// `classic`, `application`, `network`, `gateway`.
    pub kind: String,
    /// `internal` or `internet-facing`.
    pub scheme: Option<String>,
    pub dns_name: Option<String>,
    pub vpc: Option<String>,
    pub subnets: Vec<String>,
    /// Addresses where the document has them (`LoadBalancerAddresses`).
    pub ips: Vec<IpAddr>,
    /// Registered instances (classic only).
    pub instances: Vec<String>,
    /// (load balancer port, instance port), classic only.
    pub listeners: Vec<(u16, u16)>,
}

/// `aws elbv2 describe-target-groups`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroup {
    pub name: String,
    pub arn: String,
    pub load_balancer_arns: Vec<String>,
    /// `instance`, `ip`, `lambda`, `alb`.
    pub target_type: Option<String>,
    pub protocol: Option<String>,
    pub port: Option<u16>,
    pub vpc: Option<String>,
}

/// One target of `aws elbv2 describe-target-health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetHealth {
    /// Instance id or IP address.
    pub target: String,
    pub port: Option<u16>,
    pub state: String,
    pub reason: Option<String>,
}

/// `aws ec2 describe-security-groups`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    pub id: String,
    pub name: String,
    pub vpc: Option<String>,
    pub ingress: Vec<SecurityRule>,
    pub egress: Vec<SecurityRule>,
}

/// One permission of a security group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityRule {
    /// `None`: all protocols (`-1`).
    pub protocol: Option<Protocol>,
    /// `None`: all ports.
    pub ports: Option<(u16, u16)>,
    pub cidrs: Vec<IpNet>,
    pub groups: Vec<String>,
    pub prefix_lists: Vec<String>,
}

/// An interface of `ip addr`, `ip link`, `ifconfig`. All host facts of one input are one host's (or one network namespace's).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInterface {
    pub index: Option<u32>,
    /// Without `@…`.
    pub name: String,
    /// The name after `@`, where it is one (`vlan.eth.1@eth1`).
    pub parent_name: Option<String>,
    /// The number after `@if`: the veth peer's index in its own namespace.
    pub peer_index: Option<u32>,
    /// `link-netns NAME` (or `link-netnsid N` as text).
    pub peer_netns: Option<String>,
    pub mac: Option<Mac>,
    pub mtu: Option<u32>,
    /// `info_kind`: `veth`, `vlan`, `vxlan`, `bridge` …
    pub kind: Option<String>,
    pub vlan: Option<u16>,
    /// Address with its prefix length.
    pub addresses: Vec<IpNet>,
    pub is_up: Option<bool>,
    pub master: Option<String>,
}

/// An entry of `ip neigh` or `arp`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    pub ip: IpAddr,
    /// `None`: incomplete or failed.
    pub mac: Option<Mac>,
    pub dev: Option<String>,
    /// `REACHABLE`, `STALE`, `PERMANENT`, `FAILED` …, `incomplete`.
    pub state: Option<String>,
}

/// A route of `ip route show table all`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// `main` unless the line says another; numbers as text.
    pub table: String,
    /// `unicast` unless the line begins with another type (`local`, `broadcast`, `unreachable` …).
    pub kind: String,
    /// `None`: default.
    pub destination: Option<IpNet>,
    pub via: Option<IpAddr>,
    pub dev: Option<String>,
    pub src: Option<IpAddr>,
    pub metric: Option<u32>,
}

/// A rule of `ip rule`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub priority: u32,
    pub from: Option<IpNet>,
    pub to: Option<IpNet>,
    pub iif: Option<String>,
    pub oif: Option<String>,
    /// As printed: `0x80/0x80`.
    pub fwmark: Option<String>,
    pub is_not: bool,
    /// `local`, `main`, `default` or a number.
    pub table: Option<String>,
}

/// A rule of `iptables-save`, `iptables -L` or `nft list ruleset` that names an address, a port or a translation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IptablesRule {
    /// Empty where `iptables -L` does not say which it was.
    pub table: String,
    /// Of an nftables verdict map, the map's name: each element is a rule of it.
    pub chain: String,
    /// The whole line; empty for a rule from JSON.
    pub text: String,
    pub source: Option<IpNet>,
    pub destination: Option<IpNet>,
    pub protocol: Option<Protocol>,
    pub destination_port: Option<u16>,
    pub source_port: Option<u16>,
    pub in_interface: Option<String>,
    pub out_interface: Option<String>,
    pub comment: Option<String>,
    /// `-j` or `-g`.
    pub target: Option<String>,
    /// `--to-destination`: address, port.
    pub to_destination: Option<(IpAddr, Option<u16>)>,
    /// `--to-source`.
    pub to_source: Option<IpAddr>,
}

/// One entry of `conntrack -L`: the tuple as it came, and the tuple of the replies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conntrack {
    pub protocol: Protocol,
    pub original: Tuple,
    pub reply: Tuple,
    pub state: Option<String>,
    pub mark: Option<u32>,
}

/// A virtual server of `ipvsadm`: kube-proxy in IPVS mode makes one of each address and port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualServer {
    pub protocol: Protocol,
    pub ip: IpAddr,
    pub port: u16,
    /// `rr`, `lc` …
    pub scheduler: String,
    pub servers: Vec<RealServer>,
}

/// A real server behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RealServer {
    pub ip: IpAddr,
    pub port: u16,
    /// `Masq`, `Route`, `Tunnel`, `Local`.
    pub forward: String,
    pub weight: u32,
}

/// A socket of `ss` or `netstat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    pub protocol: Protocol,
    /// As `ss` prints it: `ESTAB`, `LISTEN`, `UNCONN` …
    pub state: Option<String>,
    /// Unspecified: every address of the namespace.
    pub local: IpAddr,
    pub local_port: u16,
    /// `None`: it listens.
    pub peer: Option<(IpAddr, u16)>,
    pub process: Option<String>,
    pub pid: Option<u32>,
    /// Segments sent again, in all (`retrans:0/3` of `ss -i`).
    pub retransmits: Option<u32>,
    /// Smoothed round-trip time in microseconds.
    pub rtt_us: Option<u64>,
    /// `pmtu`.
    pub path_mtu: Option<u32>,
}

/// An entry of `bridge fdb`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FdbEntry {
    pub mac: Mac,
    /// The port.
    pub dev: String,
    /// The bridge.
    pub master: Option<String>,
    /// The tunnel's other end (`dst`).
    pub remote: Option<IpAddr>,
    pub vlan: Option<u16>,
    /// `permanent`: the port's own, or put there by a program; `None`: learnt from a frame.
    pub state: Option<String>,
    /// Of the device itself, not of its bridge.
    pub is_self: bool,
}

/// Records of a VPC Flow Log for one flow, one way, at one ENI: what the VPC counted there, not packets that anybody captured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowLog {
    /// `interface-id`.
    pub eni: String,
    /// `srcaddr`, `dstaddr`. On the ENI's own side this is its primary address, whichever of its addresses the packet had.
    pub src: IpAddr,
    pub dst: IpAddr,
    /// `pkt-srcaddr`, `pkt-dstaddr`: the packet's own addresses.
    pub packet_src: Option<IpAddr>,
    pub packet_dst: Option<IpAddr>,
    pub src_port: Option<u16>,
    pub dst_port: Option<u16>,
    pub protocol: Protocol,
    pub packets: u64,
    pub bytes: u64,
    /// Seconds since the Unix epoch, by AWS's clock; up to 60 seconds after the packets (User Guide, `start`).
    pub start_s: i64,
    pub end_s: i64,
    /// `ACCEPT` or `REJECT`.
    pub is_accepted: bool,
    /// The flags of all its segments, or-ed: FIN 1, SYN 2, RST 4, SYN-ACK 18.
    pub tcp_flags: Option<u8>,
    /// `flow-direction`: from the ENI to the network, or to it.
    pub is_egress: Option<bool>,
    /// `reject-reason`: `BPA`, `EC`; security groups and network ACLs are not told apart there.
    pub reject_reason: Option<String>,
}

/// `SKIPDATA`: records of an ENI that AWS could not keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowLogGap {
    pub eni: String,
    pub start_s: i64,
    pub end_s: i64,
}

/// Addresses and ports, one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tuple {
    pub src: IpAddr,
    pub src_port: Option<u16>,
    pub dst: IpAddr,
    pub dst_port: Option<u16>,
}
