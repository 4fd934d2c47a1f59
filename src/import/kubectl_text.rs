//! What `kubectl get -o wide` and `kubectl describe` print for people → pods, nodes, services and endpoints.
//! Knows headings and labels; says less than JSON does, and nothing more.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::facts::{
    BranchEni, ContainerPort, Endpoint, EndpointPort, Endpoints, Fact, Located, Node, Pod, Service, ServicePort, TargetPort,
};
use crate::model::{Locator, Protocol};
use crate::order;

use super::kubectl::{branch_enis, is_instance_id};

/// What the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Pods,
    Nodes,
    Services,
    Endpoints,
    /// Deployments, and tables without addresses.
    Other,
}

/// A table under its heading.
#[derive(Debug)]
pub(crate) struct Table {
    kind: Kind,
    columns: Vec<(String, usize)>,
}

/// What a row gave.
#[derive(Debug)]
pub(crate) enum Row {
    /// Statements, and what could not be read of them.
    Read(Vec<Fact>, Option<&'static str>),
    /// It has too few cells to be of this table.
    End,
}

/// The heading of a table: `NAMESPACE   NAME   READY   STATUS   RESTARTS   AGE   IP   NODE …`.
pub(crate) fn heading(line: &str) -> Option<Table> {
    let columns = split(line);
    let has = |wanted: &str| columns.iter().any(|(name, _)| *name == wanted);
    let is_heading = has("NAME") && columns.len() > 1 && columns.iter().all(|(name, _)| !name.chars().any(char::is_lowercase));
    if !is_heading {
        return None;
    }
    let kind = if has("READY") && has("IP") && has("NODE") {
        Kind::Pods
    } else if has("STATUS") && has("INTERNAL-IP") {
        Kind::Nodes
    } else if has("CLUSTER-IP") && has("PORT(S)") {
        Kind::Services
    } else if has("ENDPOINTS") && !has("ADDRESSTYPE") {
        Kind::Endpoints
    } else if has("AGE") {
        Kind::Other
    } else {
        return None;
    };
    Some(Table { kind, columns: columns.into_iter().map(|(name, at)| (name.to_owned(), at)).collect() })
}

/// Whether the rows under a heading tell anything, so that one heading makes a text kubectl's.
pub(crate) fn is_telling(table: &Table) -> bool {
    table.kind != Kind::Other
}

/// Cells and their offsets. kubectl puts three spaces between columns, and single ones inside cells (`2 (5h ago)`).
fn split(line: &str) -> Vec<(&str, usize)> {
    let mut cells = Vec::new();
    let mut start = 0;
    let bytes = line.as_bytes();
    let is_gap = |at: usize| match bytes.get(at) {
        Some(b'\t') | None => true,
        Some(b' ') => matches!(bytes.get(at + 1), Some(b' ' | b'\t') | None),
        Some(_) => false,
    };
    while start < line.len() {
        if matches!(bytes.get(start), Some(b' ' | b'\t')) {
            start += 1;
            continue;
        }
        let end = (start..=line.len()).find(|at| is_gap(*at)).unwrap_or(line.len());
        cells.extend(line.get(start..end).map(|cell| (cell, start)));
        start = end.max(start + 1);
    }
    cells
}

impl Table {
    /// Whether its objects belong to namespaces that it does not name.
    pub(crate) fn is_without_namespace(&self) -> bool {
        matches!(self.kind, Kind::Pods | Kind::Services | Kind::Endpoints) && !self.columns.iter().any(|(name, _)| name == "NAMESPACE")
    }

    pub(crate) fn row(&self, line: &str) -> Row {
        let mut cells: Vec<&str> = split(line).into_iter().map(|(cell, _)| cell).collect();
        if cells.len() != self.columns.len() {
            // A cell is empty: then the columns' places count.
            cells = self.by_place(line).unwrap_or_default();
        }
        let Some(name) = self.cell(&cells, "NAME").filter(|n| !n.contains(' ')) else { return Row::End };
        // `kubectl get pods,services` puts the kind before each name.
        let name = name.rsplit('/').next().unwrap_or(name).to_owned();
        let cell = |column: &str| self.cell(&cells, column).filter(|c| !matches!(*c, "" | "<none>" | "<pending>" | "<unknown>"));
        let namespace = cell("NAMESPACE").unwrap_or("default").to_owned();
        match self.kind {
            Kind::Pods => pod(name, namespace, cell),
            Kind::Nodes => node(name, cell),
            Kind::Services => service(name, namespace, cell),
            Kind::Endpoints => endpoints(name, namespace, cell("ENDPOINTS"), &[Protocol::Tcp, Protocol::Udp]),
            Kind::Other => Row::Read(Vec::new(), None),
        }
    }

    fn cell<'a>(&self, cells: &[&'a str], column: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|(name, _)| name == column)?;
        cells.get(at).copied()
    }

    fn by_place<'a>(&self, line: &'a str) -> Option<Vec<&'a str>> {
        let ends = self.columns.iter().skip(1).map(|(_, at)| *at).chain([line.len()]);
        let cells = self.columns.iter().zip(ends).map(|((_, start), end)| {
            let start = (*start).min(line.len());
            line.get(start..end.clamp(start, line.len())).map(str::trim)
        });
        cells.collect()
    }
}

fn pod<'a>(name: String, namespace: String, cell: impl Fn(&str) -> Option<&'a str>) -> Row {
    let ip = cell("IP");
    let ips: Vec<IpAddr> = ip.and_then(|ip| ip.parse().ok()).into_iter().collect();
    let fault = (ip.is_some() && ips.is_empty()).then_some("has no IP address that can be read");
    let status = cell("STATUS");
    let pod = Pod {
        namespace,
        name,
        ips,
        node: cell("NODE").map(str::to_owned),
        labels: cell("LABELS").map(labels).unwrap_or_default(),
        phase: status.and_then(phase).map(str::to_owned),
        is_terminating: status == Some("Terminating"),
        ..Pod::default()
    };
    Row::Read(vec![Fact::Pod(pod)], fault)
}

/// `status.phase`, where the printed status tells it.
fn phase(status: &str) -> Option<&'static str> {
    match status {
        "Running" | "CrashLoopBackOff" => Some("Running"),
        "Pending" | "ContainerCreating" | "ImagePullBackOff" | "ErrImagePull" => Some("Pending"),
        "Succeeded" | "Completed" => Some("Succeeded"),
        "Failed" | "Error" | "Evicted" => Some("Failed"),
        _ => None,
    }
}

fn labels(text: &str) -> BTreeMap<String, String> {
    order::map(text.split(',').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())))
}

/// Two pods of one node with the same address, both alive, can only be using the node's own.
pub(crate) fn mark_host_network(facts: &mut [Located]) {
    let is_alive = |pod: &Pod| !matches!(pod.phase.as_deref(), Some("Succeeded" | "Failed"));
    let mut users: BTreeMap<(String, IpAddr), u32> = BTreeMap::new();
    let mut of_nodes: Vec<(String, IpAddr)> = Vec::new();
    for located in facts.iter() {
        match &located.fact {
            Fact::Pod(pod) if is_alive(pod) => {
                for key in pod.node.iter().flat_map(|node| pod.ips.iter().map(move |ip| (node.clone(), *ip))) {
                    *users.entry(key).or_default() += 1;
                }
            }
            Fact::Node(node) => of_nodes.extend(node.internal_ips.iter().map(|ip| (node.name.clone(), *ip))),
            _ => {}
        }
    }
    for located in facts {
        let Fact::Pod(pod) = &mut located.fact else { continue };
        let Some(node) = &pod.node else { continue };
        let is_shared = pod.ips.iter().any(|ip| {
            let key = (node.clone(), *ip);
            of_nodes.contains(&key) || users.get(&key).is_some_and(|count| *count > 1)
        });
        pod.host_network |= is_shared && is_alive(pod);
    }
}

fn node<'a>(name: String, cell: impl Fn(&str) -> Option<&'a str>) -> Row {
    let ips =
        |column: &str| -> Vec<IpAddr> { cell(column).into_iter().flat_map(|c| c.split(',')).filter_map(|ip| ip.parse().ok()).collect() };
    let labels = cell("LABELS").map(labels).unwrap_or_default();
    let node = Node {
        internal_ips: ips("INTERNAL-IP"),
        external_ips: ips("EXTERNAL-IP"),
        zone: labels.get("topology.kubernetes.io/zone").cloned(),
        name,
        ..Node::default()
    };
    Row::Read(vec![Fact::Node(node)], None)
}

fn service<'a>(name: String, namespace: String, cell: impl Fn(&str) -> Option<&'a str>) -> Row {
    let mut service = Service { namespace, name, kind: cell("TYPE").unwrap_or("ClusterIP").to_owned(), ..Service::default() };
    service.cluster_ips.extend(cell("CLUSTER-IP").filter(|ip| *ip != "None").and_then(|ip| ip.parse::<IpAddr>().ok()));
    // One column for three members: a load balancer's addresses and names, and the external IPs of the specification.
    for text in cell("EXTERNAL-IP").into_iter().flat_map(|c| c.split(',')) {
        match text.parse::<IpAddr>() {
            Ok(ip) if service.kind == "LoadBalancer" => service.ingress_ips.push(ip),
            Ok(ip) => service.external_ips.push(ip),
            Err(_) => service.ingress_hostnames.push(text.to_owned()),
        }
    }
    let mut fault = None;
    for text in cell("PORT(S)").into_iter().flat_map(|c| c.split(',')) {
        let parsed = text.split_once('/').and_then(|(ports, protocol)| {
            let (port, node_port) = ports.split_once(':').map_or((ports, None), |(port, node)| (port, Some(node)));
            let node_port = match node_port {
                Some(node) => Some(node.parse().ok()?),
                None => None,
            };
            Some(ServicePort { name: None, protocol: protocol_of(protocol)?, port: port.parse().ok()?, target_port: None, node_port })
        });
        match parsed {
            Some(port) => service.ports.push(port),
            None => fault = Some("has ports that cannot be read"),
        }
    }
    service.selector = cell("SELECTOR").map(labels).unwrap_or_default();
    Row::Read(vec![Fact::Service(service)], fault)
}

fn protocol_of(text: &str) -> Option<Protocol> {
    match text {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        "SCTP" => Some(Protocol::Sctp),
        _ => None,
    }
}

/// `10.0.1.102:8080,10.0.2.101:8080 + 1 more...`. The protocols are not printed: `protocols` are those it may be.
fn endpoints(service: String, namespace: String, text: Option<&str>, protocols: &[Protocol]) -> Row {
    let text = text.unwrap_or_default();
    let (list, more) = text.split_once(" + ").unwrap_or((text, ""));
    let mut by_port: BTreeMap<u16, Vec<Endpoint>> = BTreeMap::new();
    for word in list.split(',').filter(|w| !w.is_empty()) {
        let parsed = word.rsplit_once(':').and_then(|(host, port)| {
            let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
            Some((host.parse::<IpAddr>().ok()?, port.parse::<u16>().ok()?))
        });
        let Some((ip, port)) = parsed else { return Row::Read(Vec::new(), Some("has endpoints that cannot be read")) };
        by_port.entry(port).or_default().push(Endpoint { ip, pod: None, node: None, is_ready: true });
    }
    let facts = by_port.into_iter().map(|(port, endpoints)| {
        let ports = protocols.iter().map(|protocol| EndpointPort { name: None, port: Some(port), protocol: *protocol }).collect();
        Fact::Endpoints(Endpoints { namespace: namespace.clone(), service: service.clone(), endpoints, ports })
    });
    Row::Read(facts.collect(), (!more.is_empty()).then_some("leaves endpoints out: ask for JSON (`-o json`)"))
}

/// An object of `kubectl describe`, line by line. Which kind it is shows in its labels, when it is over.
#[derive(Debug)]
pub(crate) struct Description {
    line: u64,
    name: String,
    /// Labels at the beginning of a line and their values, continued lines included.
    members: Vec<(String, Vec<String>)>,
}

/// `Name:             web-576558f5b7-5vq9v`, with which every description begins.
pub(crate) fn description(number: u64, line: &str) -> Option<Description> {
    let name = line.strip_prefix("Name:")?.trim();
    (!name.is_empty() && !name.contains(char::is_whitespace)).then(|| Description {
        line: number,
        name: name.to_owned(),
        members: Vec::new(),
    })
}

impl Description {
    /// Takes the next line; `false`: it is none of this object's.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        if line.starts_with([' ', '\t']) {
            if let Some((_, values)) = self.members.last_mut() {
                values.push(line.trim().to_owned());
            }
            return true;
        }
        let Some((label, value)) = line.split_once(':') else { return false };
        let is_label = label.starts_with(|c: char| c.is_ascii_uppercase())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-'))
            && (value.is_empty() || value.starts_with(' '));
        if is_label && label != "Name" {
            self.members.push((label.to_owned(), vec![value.trim().to_owned()]));
        }
        is_label && label != "Name"
    }

    fn values(&self, label: &str) -> impl Iterator<Item = &str> {
        let found = self.members.iter().filter(move |(l, _)| l == label);
        found.flat_map(|(_, values)| values.iter().map(String::as_str)).filter(|v| !matches!(*v, "" | "<none>" | "<unset>"))
    }

    fn value(&self, label: &str) -> Option<&str> {
        self.values(label).next()
    }

    /// The statement, once all lines are there.
    pub(crate) fn finish(self) -> Vec<Located> {
        let has = |label: &str| self.members.iter().any(|(l, _)| l == label);
        let facts = if has("Node") && has("Status") {
            vec![Fact::Pod(self.pod())]
        } else if has("Addresses") && (has("ProviderID") || has("Roles")) {
            vec![Fact::Node(self.node())]
        } else if has("Type") && has("Session Affinity") {
            self.service()
        } else {
            Vec::new()
        };
        facts.into_iter().map(|fact| Located { at: Locator::Line(self.line), fact }).collect()
    }

    fn labels(&self, label: &str) -> BTreeMap<String, String> {
        self.values(label).filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    fn namespace(&self) -> String {
        self.value("Namespace").unwrap_or("default").to_owned()
    }

    fn pod(&self) -> Pod {
        let (node, host_ip) = self.value("Node").map_or((None, None), |n| {
            let (name, ip) = n.split_once('/').unwrap_or((n, ""));
            (Some(name.to_owned()), ip.parse().ok())
        });
        let mut ips: Vec<IpAddr> = Vec::new();
        let listed = self.values("IPs").filter_map(|v| v.strip_prefix("IP:"));
        for ip in self.values("IP").chain(listed).filter_map(|ip| ip.trim().parse().ok()) {
            if !ips.contains(&ip) {
                ips.push(ip);
            }
        }
        let status = self.value("Status").map(|s| s.split_whitespace().next().unwrap_or(s));
        Pod {
            namespace: self.namespace(),
            name: self.name.clone(),
            node,
            host_network: host_ip.is_some_and(|ip| ips.contains(&ip)),
            host_ip,
            ips,
            ports: self.ports(),
            labels: self.labels("Labels"),
            branch_enis: self.branch_enis(),
            phase: status.and_then(phase).map(str::to_owned),
            is_terminating: status == Some("Terminating"),
            ..Pod::default()
        }
    }

    /// `Port:  8080/TCP` and `Host Port:  0/TCP`, in the same order and with as many values.
    fn ports(&self) -> Vec<ContainerPort> {
        let mut ports: Vec<ContainerPort> = Vec::new();
        let mut host_ports: Vec<u16> = Vec::new();
        for value in self.values("Containers") {
            let Some((label, list)) = value.split_once(':') else { continue };
            for word in list.split(',').map(str::trim) {
                // Newer versions print the port's name in brackets: `8080/TCP (http)`.
                let (word, name) = word.split_once(" (").map_or((word, None), |(w, n)| (w, n.strip_suffix(')')));
                let Some((port, protocol)) = word.split_once('/') else { continue };
                let (Ok(port), Some(protocol)) = (port.parse(), protocol_of(protocol)) else { continue };
                match label {
                    "Port" | "Ports" => {
                        ports.push(ContainerPort { name: name.map(str::to_owned), port, host_port: None, protocol });
                    }
                    "Host Port" | "Host Ports" => host_ports.push(port),
                    _ => {}
                }
            }
        }
        for (port, host_port) in ports.iter_mut().zip(host_ports) {
            port.host_port = Some(host_port).filter(|p| *p != 0);
        }
        ports
    }

    /// A short annotation stands after its name, a long one below it.
    fn branch_enis(&self) -> Vec<BranchEni> {
        let mut values = self.values("Annotations");
        let Some(first) = values.find_map(|v| v.strip_prefix("vpc.amazonaws.com/pod-eni:")) else { return Vec::new() };
        let text = if first.trim().is_empty() { values.next().unwrap_or_default() } else { first };
        branch_enis(text.trim(), &mut |_| {})
    }

    fn node(&self) -> Node {
        let address = |kind: &'static str| {
            self.values("Addresses").filter_map(move |v| v.split_once(':')).filter(move |(k, _)| *k == kind).map(|(_, v)| v.trim())
        };
        let mut node = Node {
            internal_ips: address("InternalIP").filter_map(|ip| ip.parse().ok()).collect(),
            external_ips: address("ExternalIP").filter_map(|ip| ip.parse().ok()).collect(),
            instance_id: self.value("ProviderID").and_then(|id| id.rsplit('/').next()).filter(|i| is_instance_id(i)).map(str::to_owned),
            zone: self.labels("Labels").remove("topology.kubernetes.io/zone"),
            pod_cidrs: self.values("PodCIDRs").flat_map(|v| v.split(',')).filter_map(|c| c.parse().ok()).collect(),
            name: self.name.clone(),
            ..Node::default()
        };
        for name in address("InternalDNS").chain(address("ExternalDNS")).chain(address("Hostname")) {
            if name != node.name && !name.is_empty() && !node.other_names.iter().any(|n| n == name) {
                node.other_names.push(name.to_owned());
            }
        }
        node
    }

    fn service(&self) -> Vec<Fact> {
        let mut cluster_ips: Vec<IpAddr> = Vec::new();
        for ip in self.values("IPs").chain(self.values("IP")).flat_map(|v| v.split(',')).filter_map(|ip| ip.parse().ok()) {
            if !cluster_ips.contains(&ip) {
                cluster_ips.push(ip);
            }
        }
        let mut service = Service {
            namespace: self.namespace(),
            name: self.name.clone(),
            kind: self.value("Type").unwrap_or("ClusterIP").to_owned(),
            cluster_ips,
            external_ips: self.values("External IPs").flat_map(|v| v.split(',')).filter_map(|ip| ip.parse().ok()).collect(),
            external_traffic_policy: self.value("External Traffic Policy").map(str::to_owned),
            internal_traffic_policy: self.value("Internal Traffic Policy").map(str::to_owned),
            health_check_node_port: self.value("HealthCheck NodePort").and_then(|p| p.parse().ok()),
            selector: self.value("Selector").map(labels).unwrap_or_default(),
            annotations: self
                .values("Annotations")
                .filter(|a| a.starts_with("service.beta.kubernetes.io/"))
                .filter_map(|a| a.split_once(": "))
                .map(|(k, v)| (k.to_owned(), v.trim().to_owned()))
                .collect(),
            ..Service::default()
        };
        for text in self.values("LoadBalancer Ingress").flat_map(|v| v.split(", ")) {
            // `10.0.0.1 (VIP)`, since 1.31.
            let text = text.split(" (").next().unwrap_or(text);
            match text.parse() {
                Ok(ip) => service.ingress_ips.push(ip),
                Err(_) => service.ingress_hostnames.push(text.to_owned()),
            }
        }
        let mut facts = Vec::new();
        for (label, values) in &self.members {
            let text = values.first().map(String::as_str).unwrap_or_default();
            let last = text.split_whitespace().last().unwrap_or_default();
            let (port, protocol) = last.split_once('/').unwrap_or((last, ""));
            match label.as_str() {
                "Port" => {
                    let name = text.split_whitespace().next().filter(|n| *n != "<unset>" && *n != last).map(str::to_owned);
                    if let (Ok(port), Some(protocol)) = (port.parse(), protocol_of(protocol)) {
                        service.ports.push(ServicePort { name, protocol, port, target_port: None, node_port: None });
                    }
                }
                "TargetPort" => {
                    if let Some(open) = service.ports.last_mut().filter(|_| !port.is_empty()) {
                        open.target_port = Some(port.parse().map_or_else(|_| TargetPort::Name(port.to_owned()), TargetPort::Number));
                    }
                }
                "NodePort" => {
                    if let Some(open) = service.ports.last_mut() {
                        open.node_port = port.parse().ok();
                    }
                }
                "Endpoints" if text != "<none>" => {
                    let open = service.ports.last();
                    let protocol = open.map_or(Protocol::Tcp, |p| p.protocol);
                    let row = endpoints(self.name.clone(), self.namespace(), Some(text), &[protocol]);
                    let Row::Read(found, _) = row else { continue };
                    facts.extend(found.into_iter().map(|mut fact| {
                        if let (Fact::Endpoints(endpoints), Some(open)) = (&mut fact, open) {
                            for port in &mut endpoints.ports {
                                port.name.clone_from(&open.name);
                            }
                        }
                        fact
                    }));
                }
                _ => {}
            }
        }
        facts.insert(0, Fact::Service(service));
        facts
    }
}
