//! `kubectl get … -o json` → pods, nodes, services and endpoints. Knows the Kubernetes API's member names
//! (core/v1, discovery.k8s.io/v1), not what they mean for a packet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use super::json::{Maybe, Reader, each};
use super::scan::{self, Step};
use crate::facts::{BranchEni, ContainerPort, Endpoint, EndpointPort, Endpoints, Fact, Node, Pod, Service, ServicePort, TargetPort};
use crate::model::{Nanos, Protocol, quotable};

/// The kinds that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pod,
    Node,
    Service,
    EndpointSlice,
    Endpoints,
}

impl Kind {
    /// `Pod`, and `PodList` as the kind of a list of pods.
    fn from_name(name: &str) -> Option<Self> {
        match name.strip_suffix("List").unwrap_or(name) {
            "Pod" => Some(Self::Pod),
            "Node" => Some(Self::Node),
            "Service" => Some(Self::Service),
            "EndpointSlice" => Some(Self::EndpointSlice),
            "Endpoints" => Some(Self::Endpoints),
            _ => None,
        }
    }
}

/// Reads a `List`, a `PodList` …, or a single object.
pub(crate) fn document(reader: &mut Reader<'_>, at: usize) -> Step {
    object(reader, at, None)
}

/// `of_list` is the kind that the list around it gives its items: those of a `PodList` have none of their own.
fn object(reader: &mut Reader<'_>, at: usize, of_list: Option<Kind>) -> Step {
    let mut own: Option<String> = None;
    let mut has_items = false;
    let mut is_kind_bad = false;
    let mut guess = None;
    let text = reader.text();
    // The kind stands after the items as kubectl sorts them, and not at all where the text is cut: members are asked first.
    let _ = scan::members(text, at, |name, at| {
        match name {
            "items" => has_items = true,
            "subsets" => guess = Some(Kind::Endpoints),
            "endpoints" => guess = Some(Kind::EndpointSlice),
            "kind" => {
                let end = scan::skip_value(text, at)?;
                own = serde_json::from_slice(text.get(at..end).unwrap_or_default()).ok();
                is_kind_bad = own.is_none();
            }
            _ => {}
        }
        scan::skip_value(text, at)
    });
    if is_kind_bad {
        reader.loss("/kind", "this is not the name of a kind");
    }
    if has_items {
        let of_items = own.as_deref().and_then(Kind::from_name);
        return reader.members(at, |reader, name, at| match name {
            "items" => reader.elements(at, |reader, _, at| object(reader, at, of_items)),
            _ => reader.skip(at),
        });
    }
    let kind = match own {
        Some(name) => Kind::from_name(&name),
        None => of_list.or(guess),
    };
    match kind {
        Some(Kind::Pod) => reader.read(at, pod),
        Some(Kind::Node) => reader.read(at, node),
        Some(Kind::Service) => reader.read(at, service),
        Some(Kind::EndpointSlice) => reader.read(at, endpoint_slice),
        Some(Kind::Endpoints) => reader.read(at, endpoints),
        None if text.get(at) == Some(&b'{') => reader.skip(at),
        None => reader.members(at, |reader, _, at| reader.skip(at)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    namespace: Option<String>,
    uid: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    deletion_timestamp: Option<String>,
    creation_timestamp: Option<String>,
}

impl Metadata {
    fn namespace(&self) -> String {
        self.namespace.clone().unwrap_or_else(|| "default".to_owned())
    }

    fn label(&self, name: &str) -> Option<&String> {
        self.labels.as_ref().and_then(|l| l.get(name))
    }
}

#[derive(Deserialize)]
struct Ip {
    ip: Option<String>,
}

#[derive(Deserialize)]
struct PodObject {
    metadata: Metadata,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    node_name: Option<String>,
    host_network: Option<bool>,
    containers: Maybe<Container>,
    init_containers: Maybe<Container>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    ports: Maybe<ContainerPortObject>,
    restart_policy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPortObject {
    name: Option<String>,
    container_port: u16,
    host_port: Option<u16>,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
struct PodStatus {
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Maybe<Ip>,
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
    phase: Option<String>,
}

fn protocol(name: Option<&str>) -> Protocol {
    match name {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        // The API's default.
        _ => Protocol::Tcp,
    }
}

fn pod(reader: &mut Reader<'_>, object: PodObject) {
    let PodObject { metadata, spec, status } = object;
    let mut ips = Vec::new();
    for (index, ip) in each(status.pod_ips) {
        ips.extend(reader.value::<IpAddr>(&format!("/status/podIPs/{index}/ip"), ip.ip.as_deref(), "an IP address"));
    }
    ips.extend(reader.value::<IpAddr>("/status/podIP", status.pod_ip.as_deref(), "an IP address"));
    let host_ip = reader.value("/status/hostIP", status.host_ip.as_deref(), "an IP address");
    let annotation = |name: &str| metadata.annotations.as_ref().and_then(|a| a.get(name));
    if let Some(list) = annotation("vpc.amazonaws.com/pod-ips") {
        for ip in list.split([',', ' ']) {
            ips.extend(reader.value::<IpAddr>("/metadata/annotations/vpc.amazonaws.com~1pod-ips", Some(ip), "an IP address"));
        }
    }
    let branch_enis = annotation("vpc.amazonaws.com/pod-eni").map_or_else(Vec::new, |text| {
        branch_enis(text, &mut |fault| reader.loss("/metadata/annotations/vpc.amazonaws.com~1pod-eni", fault))
    });
    let mut seen = Vec::new();
    ips.retain(|ip| {
        let is_new = !seen.contains(ip);
        seen.push(*ip);
        is_new
    });
    // An init container that is restarted always is a sidecar: its ports serve as long as the pod lives.
    let sidecars = each(spec.init_containers).map(|(_, c)| c).filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = each(spec.containers)
        .map(|(_, c)| c)
        .chain(sidecars)
        .flat_map(|c| c.ports.unwrap_or_default())
        .map(|p| ContainerPort {
            name: p.name,
            port: p.container_port,
            host_port: p.host_port.filter(|p| *p != 0),
            protocol: protocol(p.protocol.as_deref()),
        })
        .collect();
    reader.push(Fact::Pod(Pod {
        namespace: metadata.namespace(),
        name: metadata.name,
        uid: metadata.uid,
        node: spec.node_name,
        ips,
        host_ip,
        host_network: spec.host_network.unwrap_or(false),
        ports,
        labels: metadata.labels.unwrap_or_default(),
        branch_enis,
        phase: status.phase,
        is_terminating: metadata.deletion_timestamp.is_some(),
        created: metadata.creation_timestamp.as_deref().and_then(created),
    }));
}

/// A `metav1.Time`: RFC 3339 in UTC, to the second (`2026-01-31T10:20:30Z`). Any other form says nothing.
fn created(text: &str) -> Option<Nanos> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut parts = time.split(':').map(|p| p.parse::<i64>().ok().filter(|n| (0..=60).contains(n)));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    let days = super::date(date)?;
    (days * 86_400 + hours * 3600 + minutes * 60 + seconds).checked_mul(1_000_000_000)
}

/// The annotation's JSON. Its writer and its reader disagree on the case of `vlanID`, and Go does not mind: nor do we.
pub(crate) fn branch_enis(text: &str, fault: &mut dyn FnMut(&str)) -> Vec<BranchEni> {
    let list: Vec<BTreeMap<String, Value>> = match serde_json::from_str(text) {
        Ok(list) => list,
        Err(_) => {
            fault("the annotation's text is not a JSON list of objects");
            return Vec::new();
        }
    };
    let mut enis = Vec::new();
    for element in list {
        let member = |name: &str| element.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v);
        let text = |name: &str| member(name).and_then(Value::as_str).filter(|t| !t.is_empty());
        let Some(eni_id) = text("eniId") else {
            fault("an element has no `eniId`");
            continue;
        };
        let mut ip = |name: &str| {
            let ip = text(name).map(str::parse);
            if let Some(Err(_)) = ip {
                fault(&format!("`{}` is not an IP address", quotable(name)));
            }
            ip.and_then(Result::ok)
        };
        let (v4, v6) = (ip("privateIp"), ip("ipv6Addr"));
        let mac = text("ifAddress").map(str::parse);
        if let Some(Err(_)) = mac {
            fault("`ifAddress` is not a MAC address");
        }
        enis.push(BranchEni {
            eni_id: eni_id.to_owned(),
            mac: mac.and_then(Result::ok),
            ip: v4,
            ipv6: v6,
            vlan: member("vlanId").and_then(Value::as_u64).and_then(|v| u16::try_from(v).ok()),
        });
    }
    enis
}

/// The end of `aws:///eu-central-1a/i-0123456789abcdef0`.
pub(crate) fn is_instance_id(text: &str) -> bool {
    text.starts_with("i-")
}

#[derive(Deserialize)]
struct NodeObject {
    metadata: Metadata,
    #[serde(default)]
    spec: NodeSpec,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
struct NodeSpec {
    #[serde(rename = "providerID")]
    provider_id: Option<String>,
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Maybe<String>,
}

#[derive(Default, Deserialize)]
struct NodeStatus {
    addresses: Maybe<NodeAddress>,
}

#[derive(Deserialize)]
struct NodeAddress {
    address: String,
    r#type: String,
}

fn node(reader: &mut Reader<'_>, object: NodeObject) {
    let NodeObject { metadata, spec, status } = object;
    let mut fact = Node {
        instance_id: spec.provider_id.and_then(|id| id.rsplit('/').next().filter(|i| is_instance_id(i)).map(str::to_owned)),
        zone: metadata.label("topology.kubernetes.io/zone").or_else(|| metadata.label("failure-domain.beta.kubernetes.io/zone")).cloned(),
        name: metadata.name,
        ..Node::default()
    };
    for (index, NodeAddress { address, r#type }) in each(status.addresses) {
        let below = format!("/status/addresses/{index}/address");
        match r#type.as_str() {
            "InternalIP" => fact.internal_ips.extend(reader.value::<IpAddr>(&below, Some(&address), "an IP address")),
            "ExternalIP" => fact.external_ips.extend(reader.value::<IpAddr>(&below, Some(&address), "an IP address")),
            _ if address == fact.name || address.is_empty() || fact.other_names.contains(&address) => {}
            _ => fact.other_names.push(address),
        }
    }
    match spec.pod_cidrs {
        Some(cidrs) => {
            for (index, cidr) in cidrs.iter().enumerate() {
                fact.pod_cidrs.extend(reader.value::<ipnet::IpNet>(&format!("/spec/podCIDRs/{index}"), Some(cidr), "an IP prefix"));
            }
        }
        None => fact.pod_cidrs.extend(reader.value::<ipnet::IpNet>("/spec/podCIDR", spec.pod_cidr.as_deref(), "an IP prefix")),
    }
    reader.push(Fact::Node(fact));
}

#[derive(Deserialize)]
struct ServiceObject {
    metadata: Metadata,
    #[serde(default)]
    spec: ServiceSpec,
    #[serde(default)]
    status: ServiceStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceSpec {
    r#type: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Maybe<String>,
    #[serde(rename = "externalIPs")]
    external_ips: Maybe<String>,
    ports: Maybe<ServicePortObject>,
    external_traffic_policy: Option<String>,
    internal_traffic_policy: Option<String>,
    health_check_node_port: Option<u16>,
    selector: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServicePortObject {
    name: Option<String>,
    protocol: Option<String>,
    port: u16,
    target_port: Option<IntOrString>,
    node_port: Option<u16>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum IntOrString {
    Int(u16),
    String(String),
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServiceStatus {
    load_balancer: Option<LoadBalancerStatus>,
}

#[derive(Deserialize)]
struct LoadBalancerStatus {
    ingress: Maybe<Ingress>,
}

#[derive(Deserialize)]
struct Ingress {
    ip: Option<String>,
    hostname: Option<String>,
}

fn service(reader: &mut Reader<'_>, object: ServiceObject) {
    let ServiceObject { metadata, spec, status } = object;
    let mut fact = Service {
        namespace: metadata.namespace(),
        name: metadata.name,
        uid: metadata.uid,
        kind: spec.r#type.unwrap_or_else(|| "ClusterIP".to_owned()),
        external_traffic_policy: spec.external_traffic_policy,
        internal_traffic_policy: spec.internal_traffic_policy,
        health_check_node_port: spec.health_check_node_port.filter(|p| *p != 0),
        selector: spec.selector.unwrap_or_default(),
        annotations: metadata.annotations.unwrap_or_default(),
        ..Service::default()
    };
    fact.annotations.retain(|name, _| name.starts_with("service.beta.kubernetes.io/"));
    let (below, cluster_ips) = match spec.cluster_ips {
        Some(ips) if !ips.is_empty() => ("/spec/clusterIPs", ips),
        _ => ("/spec/clusterIP", spec.cluster_ip.into_iter().collect()),
    };
    for ip in cluster_ips.iter().filter(|ip| *ip != "None") {
        fact.cluster_ips.extend(reader.value::<IpAddr>(below, Some(ip), "an IP address"));
    }
    for (index, ip) in each(spec.external_ips) {
        fact.external_ips.extend(reader.value::<IpAddr>(&format!("/spec/externalIPs/{index}"), Some(&ip), "an IP address"));
    }
    for (index, ingress) in each(status.load_balancer.and_then(|l| l.ingress)) {
        let below = format!("/status/loadBalancer/ingress/{index}/ip");
        fact.ingress_ips.extend(reader.value::<IpAddr>(&below, ingress.ip.as_deref(), "an IP address"));
        fact.ingress_hostnames.extend(ingress.hostname.filter(|h| !h.is_empty()));
    }
    for (_, port) in each(spec.ports) {
        fact.ports.push(ServicePort {
            name: port.name,
            protocol: protocol(port.protocol.as_deref()),
            port: port.port,
            target_port: port.target_port.map(|t| match t {
                IntOrString::Int(number) => TargetPort::Number(number),
                IntOrString::String(name) => name.parse().map_or_else(|_| TargetPort::Name(name), TargetPort::Number),
            }),
            node_port: port.node_port.filter(|p| *p != 0),
        });
    }
    reader.push(Fact::Service(fact));
}

#[derive(Deserialize)]
struct EndpointSliceObject {
    metadata: Metadata,
    endpoints: Maybe<EndpointObject>,
    ports: Maybe<PortObject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointObject {
    addresses: Maybe<String>,
    conditions: Option<Conditions>,
    node_name: Option<String>,
    target_ref: Option<TargetRef>,
}

#[derive(Deserialize)]
struct Conditions {
    ready: Option<bool>,
}

#[derive(Deserialize)]
struct TargetRef {
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
}

#[derive(Deserialize)]
struct PortObject {
    name: Option<String>,
    port: Option<u16>,
    protocol: Option<String>,
}

fn pod_of(target: Option<TargetRef>, namespace: &str) -> Option<(String, String)> {
    let target = target.filter(|t| t.kind.as_deref() == Some("Pod"))?;
    Some((target.namespace.unwrap_or_else(|| namespace.to_owned()), target.name?))
}

fn ports(list: Maybe<PortObject>) -> Vec<EndpointPort> {
    each(list)
        .map(|(_, p)| EndpointPort { name: p.name.filter(|n| !n.is_empty()), port: p.port, protocol: protocol(p.protocol.as_deref()) })
        .collect()
}

fn endpoint_slice(reader: &mut Reader<'_>, object: EndpointSliceObject) {
    let namespace = object.metadata.namespace();
    // A slice without the label belongs to no service; its own name is the best that can be said.
    let service = object.metadata.label("kubernetes.io/service-name").unwrap_or(&object.metadata.name).clone();
    let mut endpoints = Vec::new();
    for (index, endpoint) in each(object.endpoints) {
        // Absent means ready, by the API's definition.
        let is_ready = endpoint.conditions.and_then(|c| c.ready).unwrap_or(true);
        let pod = pod_of(endpoint.target_ref, &namespace);
        for (number, address) in each(endpoint.addresses) {
            let below = format!("/endpoints/{index}/addresses/{number}");
            // addressType FQDN has names here, which own no address.
            let is_name = address.parse::<IpAddr>().is_err() && address.bytes().any(|b| b.is_ascii_alphabetic()) && !address.contains(':');
            if is_name {
                continue;
            }
            if let Some(ip) = reader.value(&below, Some(&address), "an IP address") {
                endpoints.push(Endpoint { ip, pod: pod.clone(), node: endpoint.node_name.clone(), is_ready });
            }
        }
    }
    reader.push(Fact::Endpoints(Endpoints { namespace, service, endpoints, ports: ports(object.ports) }));
}

#[derive(Deserialize)]
struct EndpointsObject {
    metadata: Metadata,
    subsets: Maybe<Subset>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subset {
    addresses: Maybe<SubsetAddress>,
    not_ready_addresses: Maybe<SubsetAddress>,
    ports: Maybe<PortObject>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubsetAddress {
    ip: Option<String>,
    node_name: Option<String>,
    target_ref: Option<TargetRef>,
}

fn endpoints(reader: &mut Reader<'_>, object: EndpointsObject) {
    let namespace = object.metadata.namespace();
    for (index, subset) in each(object.subsets) {
        let mut endpoints = Vec::new();
        let lists = [("addresses", subset.addresses, true), ("notReadyAddresses", subset.not_ready_addresses, false)];
        for (name, list, is_ready) in lists {
            for (number, address) in each(list) {
                let below = format!("/subsets/{index}/{name}/{number}/ip");
                if let Some(ip) = reader.value(&below, address.ip.as_deref(), "an IP address") {
                    endpoints.push(Endpoint { ip, pod: pod_of(address.target_ref, &namespace), node: address.node_name, is_ready });
                }
            }
        }
        let fact = Endpoints { namespace: namespace.clone(), service: object.metadata.name.clone(), endpoints, ports: ports(subset.ports) };
        reader.push_below(&format!("/subsets/{index}"), Fact::Endpoints(fact));
    }
}

#[cfg(test)]
mod tests {
    use super::created;

    #[test]
    fn times_are_seconds_in_utc() {
        assert_eq!(created("2026-11-22T22:42:24Z"), Some(1_795_387_344_000_000_000));
        assert_eq!(created("2026-11-22T22:42:24+01:00"), None);
        assert_eq!(created("2026-11-22"), None);
    }
}
