//! `aws ec2 describe-…`, `aws elbv2 describe-…`, `aws elb describe-load-balancers` → VPC facts. Knows the member names of
//! the EC2 and Elastic Load Balancing APIs, not what they mean for a packet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Deserialize;

use super::json::{Maybe, Reader, each};
use super::scan::{self, Step};
use crate::facts::{
    Eni, EniIp, Fact, Instance, InternetGateway, LoadBalancer, NatGateway, RouteTable, SecurityGroup, SecurityRule, Subnet, TargetGroup,
    TargetHealth, Vpc, VpcEndpoint, VpcRoute,
};
use crate::model::Protocol;
use crate::order;

/// What the elements of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Reservation,
    Instance,
    Eni,
    Subnet,
    RouteTable,
    Vpc,
    SecurityGroup,
    NatGateway,
    InternetGateway,
    VpcEndpoint,
    ClassicLoadBalancer,
    LoadBalancer,
    TargetGroup,
    TargetHealth,
    /// Of an answer that is known and tells nothing that is used.
    Unused,
}

impl Kind {
    /// By the name of the member that holds the list.
    pub(crate) fn of_list(name: &str) -> Option<Self> {
        Some(match name {
            "Reservations" => Self::Reservation,
            "Instances" => Self::Instance,
            // `create-network-interface` answers with one, which is read the same.
            "NetworkInterfaces" | "NetworkInterface" => Self::Eni,
            "Subnets" => Self::Subnet,
            "RouteTables" => Self::RouteTable,
            "Vpcs" => Self::Vpc,
            "SecurityGroups" => Self::SecurityGroup,
            "NatGateways" => Self::NatGateway,
            "InternetGateways" => Self::InternetGateway,
            "VpcEndpoints" => Self::VpcEndpoint,
            "LoadBalancerDescriptions" => Self::ClassicLoadBalancer,
            "LoadBalancers" => Self::LoadBalancer,
            "TargetGroups" => Self::TargetGroup,
            "TargetHealthDescriptions" => Self::TargetHealth,
            "Addresses"
            | "AvailabilityZones"
            | "CustomerGateways"
            | "DhcpOptions"
            | "EgressOnlyInternetGateways"
            | "FlowLogs"
            | "InstanceStatuses"
            | "ManagedPrefixLists"
            | "NetworkAcls"
            | "PrefixLists"
            | "SecurityGroupRules"
            | "TrafficMirrorSessions"
            | "TransitGatewayAttachments"
            | "TransitGateways"
            | "VpcPeeringConnections"
            | "VpnConnections"
            | "VpnGateways" => Self::Unused,
            _ => return None,
        })
    }

    /// By the members of one element. The order matters: a NAT gateway has a `SubnetId` too.
    pub(crate) fn of_element(has: impl Fn(&str) -> bool) -> Option<Self> {
        Some(if has("ReservationId") {
            Self::Reservation
        } else if has("NatGatewayId") && has("NatGatewayAddresses") {
            Self::NatGateway
        } else if has("VpcEndpointId") {
            Self::VpcEndpoint
        } else if has("InternetGatewayId") {
            Self::InternetGateway
        } else if has("RouteTableId") && has("Routes") {
            Self::RouteTable
        } else if has("NetworkInterfaceId") && (has("MacAddress") || has("PrivateIpAddress") || has("PrivateIpAddresses")) {
            Self::Eni
        } else if has("InstanceId") && (has("ImageId") || has("NetworkInterfaces") || has("PrivateDnsName") || has("PrivateIpAddress")) {
            Self::Instance
        } else if has("GroupId") && has("IpPermissions") {
            Self::SecurityGroup
        } else if has("SubnetId") && has("CidrBlock") {
            Self::Subnet
        } else if has("VpcId") && (has("CidrBlock") || has("CidrBlockAssociationSet")) {
            Self::Vpc
        } else if has("TargetGroupArn") && has("TargetGroupName") {
            Self::TargetGroup
        } else if has("LoadBalancerArn") && has("LoadBalancerName") {
            Self::LoadBalancer
        } else if has("LoadBalancerName") && has("ListenerDescriptions") {
            Self::ClassicLoadBalancer
        } else if has("Target") && has("TargetHealth") {
            Self::TargetHealth
        } else {
            return None;
        })
    }

    /// Printed by `aws elb` or `aws elbv2`.
    pub(crate) fn is_elb(self) -> bool {
        matches!(self, Self::ClassicLoadBalancer | Self::LoadBalancer | Self::TargetGroup | Self::TargetHealth)
    }
}

/// Reads every list of an answer whose name is known.
pub(crate) fn document(reader: &mut Reader<'_>, at: usize) -> Step {
    reader.members(at, |reader, name, at| match Kind::of_list(name) {
        Some(kind) => elements(reader, at, kind, None),
        None => reader.skip(at),
    })
}

fn elements(reader: &mut Reader<'_>, at: usize, kind: Kind, instance: Option<&str>) -> Step {
    if kind == Kind::Unused {
        return reader.skip(at);
    }
    if kind == Kind::Eni && reader.text().get(at) == Some(&b'{') {
        return element(reader, at, kind, instance);
    }
    reader.elements(at, |reader, _, at| element(reader, at, kind, instance))
}

/// Reads one element; `instance` is the one that it stands in.
pub(crate) fn element(reader: &mut Reader<'_>, at: usize, kind: Kind, instance: Option<&str>) -> Step {
    match kind {
        Kind::Reservation => reader.members(at, |reader, name, at| match name {
            "Instances" => elements(reader, at, Kind::Instance, None),
            _ => reader.skip(at),
        }),
        Kind::Instance => {
            let id = string_member(reader.text(), at, "InstanceId");
            // Its interfaces are read one by one, so that a bad one spoils neither its neighbours nor the instance,
            // and those before a cut are read although the instance is not.
            if let Ok((_, Some(object))) = reader.parse(at) {
                instance_fact(reader, object);
            }
            reader.members(at, |reader, name, at| match name {
                "NetworkInterfaces" => elements(reader, at, Kind::Eni, id.as_deref()),
                _ => reader.skip(at),
            })
        }
        Kind::Eni => reader.read(at, |reader, object| eni(reader, object, instance)),
        Kind::Subnet => reader.read(at, subnet),
        Kind::RouteTable => reader.read(at, route_table),
        Kind::Vpc => reader.read(at, vpc),
        Kind::SecurityGroup => reader.read(at, security_group),
        Kind::NatGateway => reader.read(at, nat_gateway),
        Kind::InternetGateway => reader.read(at, internet_gateway),
        Kind::VpcEndpoint => reader.read(at, vpc_endpoint),
        Kind::ClassicLoadBalancer => reader.read(at, classic_load_balancer),
        Kind::LoadBalancer => reader.read(at, load_balancer),
        Kind::TargetGroup => reader.read(at, target_group),
        Kind::TargetHealth => reader.read(at, target_health),
        Kind::Unused => reader.skip(at),
    }
}

/// A member that is text, of an object that may be cut after it.
fn string_member(text: &[u8], at: usize, wanted: &str) -> Option<String> {
    let mut found = None;
    let _ = scan::members(text, at, |name, at| {
        let end = scan::skip_value(text, at)?;
        if name == wanted {
            found = serde_json::from_slice(text.get(at..end).unwrap_or_default()).ok();
        }
        Ok(end)
    });
    found
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: Option<String>,
}

fn tags(list: Maybe<Tag>) -> BTreeMap<String, String> {
    order::map(each(list).map(|(_, t)| (t.key, t.value.unwrap_or_default())))
}

fn name_tag(list: Maybe<Tag>) -> Option<String> {
    tags(list).remove("Name").filter(|n| !n.is_empty())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    name: Option<String>,
    state: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceObject {
    instance_id: String,
    instance_type: Option<String>,
    placement: Option<Placement>,
    private_dns_name: Option<String>,
    private_ip_address: Option<String>,
    public_ip_address: Option<String>,
    state: Option<State>,
    subnet_id: Option<String>,
    vpc_id: Option<String>,
    tags: Maybe<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Placement {
    availability_zone: Option<String>,
}

fn some(text: Option<String>) -> Option<String> {
    text.filter(|t| !t.is_empty())
}

fn instance_fact(reader: &mut Reader<'_>, object: InstanceObject) {
    let fact = Instance {
        id: object.instance_id,
        name: name_tag(object.tags),
        private_dns: some(object.private_dns_name),
        private_ip: reader.value("/PrivateIpAddress", object.private_ip_address.as_deref(), "an IP address"),
        public_ip: reader.value("/PublicIpAddress", object.public_ip_address.as_deref(), "an IP address"),
        vpc: some(object.vpc_id),
        subnet: some(object.subnet_id),
        zone: object.placement.and_then(|p| some(p.availability_zone)),
        state: object.state.and_then(|s| s.name),
        instance_type: object.instance_type,
    };
    reader.push(Fact::Instance(fact));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EniObject {
    network_interface_id: String,
    mac_address: Option<String>,
    description: Option<String>,
    interface_type: Option<String>,
    requester_id: Option<String>,
    requester_managed: Option<bool>,
    vpc_id: Option<String>,
    subnet_id: Option<String>,
    availability_zone: Option<String>,
    private_ip_address: Option<String>,
    private_ip_addresses: Maybe<PrivateAddress>,
    association: Option<Association>,
    ipv6_addresses: Maybe<Ipv6Address>,
    ipv4_prefixes: Maybe<Ipv4Prefix>,
    ipv6_prefixes: Maybe<Ipv6Prefix>,
    attachment: Option<Attachment>,
    source_dest_check: Option<bool>,
    status: Option<String>,
    groups: Maybe<Group>,
    #[serde(alias = "Tags")]
    tag_set: Maybe<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PrivateAddress {
    private_ip_address: Option<String>,
    primary: Option<bool>,
    association: Option<Association>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Association {
    public_ip: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv6Address {
    ipv6_address: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv4Prefix {
    ipv4_prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv6Prefix {
    ipv6_prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attachment {
    instance_id: Option<String>,
    device_index: Option<u32>,
    network_card_index: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Group {
    group_id: Option<String>,
}

fn eni(reader: &mut Reader<'_>, object: EniObject, instance: Option<&str>) {
    let mut private_ips: Vec<EniIp> = Vec::new();
    for (index, address) in each(object.private_ip_addresses) {
        let below = format!("/PrivateIpAddresses/{index}");
        let ip = reader.value(&format!("{below}/PrivateIpAddress"), address.private_ip_address.as_deref(), "an IP address");
        let public = address.association.and_then(|a| a.public_ip);
        let public_ip = reader.value(&format!("{below}/Association/PublicIp"), public.as_deref(), "an IP address");
        private_ips.extend(ip.map(|ip| EniIp { ip, is_primary: address.primary == Some(true), public_ip }));
    }
    // The interface's own members repeat its primary address; `--query` may have left nothing else.
    if let Some(ip) = reader.value("/PrivateIpAddress", object.private_ip_address.as_deref(), "an IP address") {
        let public = object.association.and_then(|a| a.public_ip);
        let public_ip = reader.value("/Association/PublicIp", public.as_deref(), "an IP address");
        match private_ips.iter_mut().find(|p| p.ip == ip) {
            Some(primary) => primary.public_ip = primary.public_ip.or(public_ip),
            None => private_ips.insert(0, EniIp { ip, is_primary: true, public_ip }),
        }
    }
    let mut ipv6s = Vec::new();
    for (index, address) in each(object.ipv6_addresses) {
        let below = format!("/Ipv6Addresses/{index}/Ipv6Address");
        ipv6s.extend(reader.value::<IpAddr>(&below, address.ipv6_address.as_deref(), "an IP address"));
    }
    let mut prefixes = Vec::new();
    for (index, prefix) in each(object.ipv4_prefixes) {
        let below = format!("/Ipv4Prefixes/{index}/Ipv4Prefix");
        prefixes.extend(reader.value::<IpNet>(&below, prefix.ipv4_prefix.as_deref(), "an IP prefix"));
    }
    for (index, prefix) in each(object.ipv6_prefixes) {
        let below = format!("/Ipv6Prefixes/{index}/Ipv6Prefix");
        prefixes.extend(reader.value::<IpNet>(&below, prefix.ipv6_prefix.as_deref(), "an IP prefix"));
    }
    let attachment = object.attachment;
    let fact = Eni {
        id: object.network_interface_id,
        mac: reader.value("/MacAddress", object.mac_address.as_deref(), "a MAC address"),
        description: object.description.unwrap_or_default(),
        interface_type: some(object.interface_type),
        requester_id: some(object.requester_id),
        requester_managed: object.requester_managed,
        vpc: some(object.vpc_id),
        subnet: some(object.subnet_id),
        zone: some(object.availability_zone),
        private_ips,
        ipv6s,
        prefixes,
        instance: attachment.as_ref().and_then(|a| some(a.instance_id.clone())).or_else(|| instance.map(str::to_owned)),
        device_index: attachment.as_ref().and_then(|a| a.device_index),
        network_card: attachment.as_ref().and_then(|a| a.network_card_index),
        source_dest_check: object.source_dest_check,
        status: some(object.status),
        groups: each(object.groups).filter_map(|(_, g)| g.group_id).collect(),
        tags: tags(object.tag_set),
    };
    reader.push(Fact::Eni(fact));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CidrAssociation {
    cidr_block: Option<String>,
    cidr_block_state: Option<State>,
    ipv6_cidr_block: Option<String>,
    ipv6_cidr_block_state: Option<State>,
}

/// The CIDR blocks that are associated now, without doubles.
fn cidrs(reader: &mut Reader<'_>, main: Option<String>, v4: Maybe<CidrAssociation>, v6: Maybe<CidrAssociation>) -> Vec<IpNet> {
    let mut found: Vec<IpNet> = Vec::new();
    found.extend(reader.value::<IpNet>("/CidrBlock", main.as_deref(), "an IP prefix"));
    let is_associated = |state: &Option<State>| state.as_ref().and_then(|s| s.state.as_deref()).is_none_or(|s| s == "associated");
    for (index, a) in each(v4).filter(|(_, a)| is_associated(&a.cidr_block_state)) {
        let below = format!("/CidrBlockAssociationSet/{index}/CidrBlock");
        found.extend(reader.value::<IpNet>(&below, a.cidr_block.as_deref(), "an IP prefix"));
    }
    for (index, a) in each(v6).filter(|(_, a)| is_associated(&a.ipv6_cidr_block_state)) {
        let below = format!("/Ipv6CidrBlockAssociationSet/{index}/Ipv6CidrBlock");
        found.extend(reader.value::<IpNet>(&below, a.ipv6_cidr_block.as_deref(), "an IP prefix"));
    }
    let mut cidrs = Vec::new();
    for cidr in found {
        if !cidrs.contains(&cidr) {
            cidrs.push(cidr);
        }
    }
    cidrs
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SubnetObject {
    subnet_id: String,
    vpc_id: Option<String>,
    availability_zone: Option<String>,
    cidr_block: Option<String>,
    ipv6_cidr_block_association_set: Maybe<CidrAssociation>,
    tags: Maybe<Tag>,
}

fn subnet(reader: &mut Reader<'_>, object: SubnetObject) {
    let fact = Subnet {
        cidrs: cidrs(reader, object.cidr_block, None, object.ipv6_cidr_block_association_set),
        id: object.subnet_id,
        name: name_tag(object.tags),
        vpc: some(object.vpc_id),
        zone: some(object.availability_zone),
    };
    reader.push(Fact::Subnet(fact));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VpcObject {
    vpc_id: String,
    cidr_block: Option<String>,
    cidr_block_association_set: Maybe<CidrAssociation>,
    ipv6_cidr_block_association_set: Maybe<CidrAssociation>,
    tags: Maybe<Tag>,
}

fn vpc(reader: &mut Reader<'_>, object: VpcObject) {
    let cidrs = cidrs(reader, object.cidr_block, object.cidr_block_association_set, object.ipv6_cidr_block_association_set);
    reader.push(Fact::Vpc(Vpc { id: object.vpc_id, name: name_tag(object.tags), cidrs }));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RouteTableObject {
    route_table_id: String,
    vpc_id: Option<String>,
    associations: Maybe<RouteTableAssociation>,
    routes: Maybe<RouteObject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RouteTableAssociation {
    main: Option<bool>,
    subnet_id: Option<String>,
    association_state: Option<State>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RouteObject {
    destination_cidr_block: Option<String>,
    destination_ipv6_cidr_block: Option<String>,
    destination_prefix_list_id: Option<String>,
    gateway_id: Option<String>,
    nat_gateway_id: Option<String>,
    transit_gateway_id: Option<String>,
    vpc_peering_connection_id: Option<String>,
    egress_only_internet_gateway_id: Option<String>,
    local_gateway_id: Option<String>,
    carrier_gateway_id: Option<String>,
    core_network_arn: Option<String>,
    network_interface_id: Option<String>,
    instance_id: Option<String>,
    state: Option<String>,
}

fn route_table(reader: &mut Reader<'_>, object: RouteTableObject) {
    let mut fact = RouteTable { id: object.route_table_id, vpc: some(object.vpc_id), ..RouteTable::default() };
    for (_, association) in each(object.associations) {
        let state = association.association_state.and_then(|s| s.state);
        if state.is_none_or(|s| s == "associated" || s == "associating") {
            fact.is_main |= association.main == Some(true);
            fact.subnets.extend(some(association.subnet_id));
        }
    }
    for (index, route) in each(object.routes) {
        let v4 = reader.value(&format!("/Routes/{index}/DestinationCidrBlock"), route.destination_cidr_block.as_deref(), "an IP prefix");
        let v6 = route.destination_ipv6_cidr_block.as_deref();
        let destination = v4.or_else(|| reader.value(&format!("/Routes/{index}/DestinationIpv6CidrBlock"), v6, "an IP prefix"));
        // A route by an instance names its interface too; the interface is the more exact.
        let target = [
            route.gateway_id,
            route.nat_gateway_id,
            route.transit_gateway_id,
            route.vpc_peering_connection_id,
            route.egress_only_internet_gateway_id,
            route.local_gateway_id,
            route.carrier_gateway_id,
            route.core_network_arn,
            route.network_interface_id,
            route.instance_id,
        ];
        let target = target.into_iter().flatten().find(|t| !t.is_empty()).unwrap_or_default();
        let prefix_list = some(route.destination_prefix_list_id);
        if destination.is_some() || prefix_list.is_some() {
            fact.routes.push(VpcRoute { destination, prefix_list, target, state: some(route.state) });
        }
    }
    reader.push(Fact::RouteTable(fact));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SecurityGroupObject {
    group_id: String,
    group_name: Option<String>,
    vpc_id: Option<String>,
    ip_permissions: Maybe<Permission>,
    ip_permissions_egress: Maybe<Permission>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Permission {
    ip_protocol: Option<String>,
    from_port: Option<i32>,
    to_port: Option<i32>,
    ip_ranges: Maybe<IpRange>,
    ipv6_ranges: Maybe<Ipv6Range>,
    prefix_list_ids: Maybe<PrefixListId>,
    user_id_group_pairs: Maybe<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct IpRange {
    cidr_ip: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ipv6Range {
    cidr_ipv6: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PrefixListId {
    prefix_list_id: Option<String>,
}

fn security_group(reader: &mut Reader<'_>, object: SecurityGroupObject) {
    let fact = SecurityGroup {
        id: object.group_id,
        name: object.group_name.unwrap_or_default(),
        vpc: some(object.vpc_id),
        ingress: permissions(reader, "/IpPermissions", object.ip_permissions),
        egress: permissions(reader, "/IpPermissionsEgress", object.ip_permissions_egress),
    };
    reader.push(Fact::SecurityGroup(fact));
}

fn permissions(reader: &mut Reader<'_>, below: &str, list: Maybe<Permission>) -> Vec<SecurityRule> {
    let mut rules = Vec::new();
    for (index, permission) in each(list) {
        let protocol = match permission.ip_protocol.as_deref() {
            None | Some("-1") => None,
            Some("tcp") => Some(Protocol::Tcp),
            Some("udp") => Some(Protocol::Udp),
            Some("icmp") => Some(Protocol::Icmp),
            Some("icmpv6") => Some(Protocol::Icmpv6),
            Some(number) => match reader.value::<u8>(&format!("{below}/{index}/IpProtocol"), Some(number), "a protocol") {
                Some(number) => Some(Protocol::from_number(number)),
                // Read as "all protocols" the rule would allow more than it does.
                None => continue,
            },
        };
        let has_ports = matches!(protocol, Some(Protocol::Tcp | Protocol::Udp | Protocol::Sctp));
        let port = |p: Option<i32>| p.and_then(|p| u16::try_from(p).ok());
        let ports = if has_ports { port(permission.from_port).zip(port(permission.to_port)) } else { None };
        let mut cidrs = Vec::new();
        for (number, range) in each(permission.ip_ranges) {
            let at = format!("{below}/{index}/IpRanges/{number}/CidrIp");
            cidrs.extend(reader.value::<IpNet>(&at, range.cidr_ip.as_deref(), "an IP prefix"));
        }
        for (number, range) in each(permission.ipv6_ranges) {
            let at = format!("{below}/{index}/Ipv6Ranges/{number}/CidrIpv6");
            cidrs.extend(reader.value::<IpNet>(&at, range.cidr_ipv6.as_deref(), "an IP prefix"));
        }
        rules.push(SecurityRule {
            protocol,
            ports,
            cidrs,
            groups: each(permission.user_id_group_pairs).filter_map(|(_, g)| g.group_id).collect(),
            prefix_lists: each(permission.prefix_list_ids).filter_map(|(_, p)| p.prefix_list_id).collect(),
        });
    }
    rules
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NatGatewayObject {
    nat_gateway_id: String,
    vpc_id: Option<String>,
    subnet_id: Option<String>,
    connectivity_type: Option<String>,
    nat_gateway_addresses: Maybe<NatGatewayAddress>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NatGatewayAddress {
    private_ip: Option<String>,
    public_ip: Option<String>,
    network_interface_id: Option<String>,
}

fn nat_gateway(reader: &mut Reader<'_>, object: NatGatewayObject) {
    let mut addresses = Vec::new();
    for (index, address) in each(object.nat_gateway_addresses) {
        let below = format!("/NatGatewayAddresses/{index}");
        let private = reader.value(&format!("{below}/PrivateIp"), address.private_ip.as_deref(), "an IP address");
        let public = reader.value(&format!("{below}/PublicIp"), address.public_ip.as_deref(), "an IP address");
        addresses.push((private, public, some(address.network_interface_id)));
    }
    let fact = NatGateway {
        id: object.nat_gateway_id,
        vpc: some(object.vpc_id),
        subnet: some(object.subnet_id),
        connectivity: some(object.connectivity_type),
        addresses,
    };
    reader.push(Fact::NatGateway(fact));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InternetGatewayObject {
    internet_gateway_id: String,
    attachments: Maybe<GatewayAttachment>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GatewayAttachment {
    vpc_id: Option<String>,
}

fn internet_gateway(reader: &mut Reader<'_>, object: InternetGatewayObject) {
    let vpcs = each(object.attachments).filter_map(|(_, a)| some(a.vpc_id)).collect();
    reader.push(Fact::InternetGateway(InternetGateway { id: object.internet_gateway_id, vpcs }));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VpcEndpointObject {
    vpc_endpoint_id: String,
    vpc_id: Option<String>,
    service_name: Option<String>,
    vpc_endpoint_type: Option<String>,
    subnet_ids: Maybe<String>,
    network_interface_ids: Maybe<String>,
}

fn vpc_endpoint(reader: &mut Reader<'_>, object: VpcEndpointObject) {
    reader.push(Fact::VpcEndpoint(VpcEndpoint {
        id: object.vpc_endpoint_id,
        vpc: some(object.vpc_id),
        service: object.service_name.unwrap_or_default(),
        kind: some(object.vpc_endpoint_type),
        subnets: object.subnet_ids.unwrap_or_default(),
        enis: object.network_interface_ids.unwrap_or_default(),
    }));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ClassicObject {
    load_balancer_name: String,
    scheme: Option<String>,
    #[serde(rename = "DNSName")]
    dns_name: Option<String>,
    #[serde(rename = "VPCId")]
    vpc_id: Option<String>,
    subnets: Maybe<String>,
    instances: Maybe<InstanceRef>,
    listener_descriptions: Maybe<ListenerDescription>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceRef {
    instance_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListenerDescription {
    listener: Option<Listener>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listener {
    load_balancer_port: Option<u16>,
    instance_port: Option<u16>,
}

fn classic_load_balancer(reader: &mut Reader<'_>, object: ClassicObject) {
    reader.push(Fact::LoadBalancer(LoadBalancer {
        name: object.load_balancer_name,
        arn: None,
        kind: "classic".to_owned(),
        scheme: some(object.scheme),
        dns_name: some(object.dns_name),
        vpc: some(object.vpc_id),
        subnets: object.subnets.unwrap_or_default(),
        ips: Vec::new(),
        instances: each(object.instances).filter_map(|(_, i)| i.instance_id).collect(),
        listeners: each(object.listener_descriptions)
            .filter_map(|(_, l)| l.listener)
            .filter_map(|l| l.load_balancer_port.zip(l.instance_port))
            .collect(),
    }));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LoadBalancerObject {
    load_balancer_name: String,
    load_balancer_arn: Option<String>,
    r#type: Option<String>,
    scheme: Option<String>,
    #[serde(rename = "DNSName")]
    dns_name: Option<String>,
    vpc_id: Option<String>,
    availability_zones: Maybe<LoadBalancerZone>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LoadBalancerZone {
    subnet_id: Option<String>,
    load_balancer_addresses: Maybe<LoadBalancerAddress>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LoadBalancerAddress {
    ip_address: Option<String>,
    #[serde(rename = "PrivateIPv4Address")]
    private_ipv4_address: Option<String>,
    #[serde(rename = "IPv6Address")]
    ipv6_address: Option<String>,
}

fn load_balancer(reader: &mut Reader<'_>, object: LoadBalancerObject) {
    let mut subnets = Vec::new();
    let mut ips = Vec::new();
    for (index, zone) in each(object.availability_zones) {
        subnets.extend(some(zone.subnet_id));
        for (number, address) in each(zone.load_balancer_addresses) {
            let below = format!("/AvailabilityZones/{index}/LoadBalancerAddresses/{number}");
            let members = [
                ("IpAddress", address.ip_address),
                ("PrivateIPv4Address", address.private_ipv4_address),
                ("IPv6Address", address.ipv6_address),
            ];
            for (name, ip) in members {
                ips.extend(reader.value::<IpAddr>(&format!("{below}/{name}"), ip.as_deref(), "an IP address"));
            }
        }
    }
    reader.push(Fact::LoadBalancer(LoadBalancer {
        name: object.load_balancer_name,
        arn: some(object.load_balancer_arn),
        kind: object.r#type.unwrap_or_else(|| "application".to_owned()),
        scheme: some(object.scheme),
        dns_name: some(object.dns_name),
        vpc: some(object.vpc_id),
        subnets,
        ips,
        instances: Vec::new(),
        listeners: Vec::new(),
    }));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TargetGroupObject {
    target_group_name: String,
    target_group_arn: String,
    load_balancer_arns: Maybe<String>,
    target_type: Option<String>,
    protocol: Option<String>,
    port: Option<u16>,
    vpc_id: Option<String>,
}

fn target_group(reader: &mut Reader<'_>, object: TargetGroupObject) {
    reader.push(Fact::TargetGroup(TargetGroup {
        name: object.target_group_name,
        arn: object.target_group_arn,
        load_balancer_arns: object.load_balancer_arns.unwrap_or_default(),
        target_type: some(object.target_type),
        protocol: some(object.protocol),
        port: object.port,
        vpc: some(object.vpc_id),
    }));
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TargetHealthObject {
    target: Target,
    target_health: Option<Health>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Target {
    id: String,
    port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Health {
    state: Option<String>,
    reason: Option<String>,
}

fn target_health(reader: &mut Reader<'_>, object: TargetHealthObject) {
    let (state, reason) = object.target_health.map_or((None, None), |h| (h.state, h.reason));
    reader.push(Fact::TargetHealth(TargetHealth {
        target: object.target.id,
        port: object.target.port,
        state: state.unwrap_or_default(),
        reason: some(reason),
    }));
}
