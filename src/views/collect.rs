//! The commands that collect everything an analysis can use, to be shown and copied: data, never run by anything here.
//! Every command only reads; what it writes are its own output files. Names are quoted for a POSIX shell.

use serde::Serialize;

use super::escape::shell;

/// What to collect around.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Pods as `namespace/name`: they are captured inside, and so are their nodes.
    pub pods: Vec<String>,
    /// Nodes by their Kubernetes names.
    pub nodes: Vec<String>,
}

/// Where a command is to be run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Where `kubectl` and `aws` are set up.
    Workstation,
    /// On this node, as root.
    Node(String),
    /// On the node that runs this pod, as root.
    NodeOfPod(String),
    /// On every node of interest, as root.
    EachNode,
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Command {
    /// Where to run it.
    pub place: Place,
    /// What it tells, in one sentence without a full stop.
    pub why: String,
    /// The command, one line of POSIX shell.
    pub command: String,
}

/// Bytes kept of each frame: every header that the engine reads, with room for tunnels and TCP options.
const SNAP: u32 = 160;
/// How long captures run.
const SECONDS: u32 = 60;

/// Every command, in the order to run them: inventories first, then hosts, then captures (all at the same time).
#[must_use]
pub fn commands(target: &Target) -> Vec<Command> {
    let mut list = Vec::new();
    let mut add = |place: &Place, why: &str, command: String| {
        list.push(Command { place: place.clone(), why: why.to_owned(), command });
    };
    let here = &Place::Workstation;
    add(here, "which pods run on which nodes with which addresses", "kubectl get pods -A -o json > pods.json".into());
    add(here, "the nodes' instance ids, zones and addresses", "kubectl get nodes -o json > nodes.json".into());
    add(here, "the services' addresses, ports and traffic policies", "kubectl get services -A -o json > services.json".into());
    add(here, "which pods stand behind each service", "kubectl get endpointslices -A -o json > endpointslices.json".into());
    for pod in &target.pods {
        let (namespace, name) = pod.split_once('/').unwrap_or(("default", pod));
        add(here, &format!("which node runs {pod}"), format!("kubectl get pod -n {} -o wide -- {}", shell(namespace), shell(name)));
    }
    for (what, why) in [
        ("ec2 describe-instances", "instances, their interfaces and subnets"),
        (
            "ec2 describe-network-interfaces",
            "the owner of every MAC and private address in the VPC: nodes, load balancers, NAT gateways, endpoints",
        ),
        ("ec2 describe-subnets", "subnets: which zone they lie in, and which addresses their routers have"),
        ("ec2 describe-vpcs", "the VPCs' address ranges: what is outside"),
        ("ec2 describe-route-tables", "where each subnet's router sends packets"),
        ("ec2 describe-security-groups", "what the security groups let through"),
        ("ec2 describe-internet-gateways", "internet gateways"),
        ("ec2 describe-nat-gateways", "NAT gateways and their addresses"),
        ("ec2 describe-vpc-endpoints", "VPC endpoints and their interfaces"),
        ("elbv2 describe-load-balancers", "application and network load balancers"),
        ("elbv2 describe-target-groups", "where these send connections"),
        ("elb describe-load-balancers", "classic load balancers"),
    ] {
        let file = what.replace(' ', "-").replace("describe-", "");
        add(here, why, format!("aws {what} --output json > {file}.json"));
    }
    add(
        here,
        "which targets each load balancer holds for healthy, and why not",
        "for g in $(aws elbv2 describe-target-groups --query 'TargetGroups[].TargetGroupArn' --output text); do aws elbv2 describe-target-health --target-group-arn \"$g\" --output json; done > elbv2-target-health.json".into(),
    );
    add(
        here,
        "where the VPC's Flow Logs are written, and in which format",
        "aws ec2 describe-flow-logs --output json > ec2-flow-logs.json".into(),
    );
    add(
        here,
        "what the VPC accepted and rejected at each ENI in the last half hour, where Flow Logs go to the log group GROUP",
        "aws logs filter-log-events --log-group-name GROUP --start-time $(( ($(date +%s) - 1800) * 1000 )) --output json > flow-log.json"
            .into(),
    );
    // How files begin; for `None` with the host's own name, which the shell is asked for.
    let mut places: Vec<(Place, Option<String>)> =
        target.nodes.iter().map(|n| (Place::Node(n.clone()), Some(n.replace('/', "-")))).collect();
    places.extend(target.pods.iter().map(|p| (Place::NodeOfPod(p.clone()), Some(format!("node-of-{}", p.replace('/', "-"))))));
    if places.is_empty() {
        places.push((Place::EachNode, None));
    }
    for (place, name) in &places {
        let file = |what: &str| match name {
            Some(name) => shell(&format!("{name}-{what}")),
            None => format!("\"$(hostname)-{what}\""),
        };
        for (command, what, why) in [
            ("ip -d addr", "ip-addr.txt", "interfaces with MACs, addresses and the other ends of veth pairs"),
            ("ip neigh", "ip-neigh.txt", "which MAC the host uses for each neighbour"),
            ("ip route show table all", "ip-route.txt", "every routing table: which interface a packet leaves by"),
            ("ip rule", "ip-rule.txt", "which routing table applies to which pod"),
            ("iptables-save -c", "iptables-save.txt", "address translation of services, and rules that drop, with counters"),
            ("nft list ruleset", "nft.txt", "the same rules where kube-proxy or a policy engine writes them with nftables"),
            ("ipvsadm -Ln", "ipvsadm.txt", "services' addresses and endpoints, where kube-proxy runs in IPVS mode"),
            ("ss -tunapi", "ss.txt", "sockets of the host with their processes, and how often each sent again"),
            ("bridge fdb", "bridge-fdb.txt", "which MAC is behind which port of a bridge or behind which tunnel"),
            ("conntrack -L", "conntrack.txt", "connections with their addresses before and after translation"),
        ] {
            add(place, why, format!("{command} > {}", file(what)));
        }
        add(
            place,
            &format!("what crosses each interface, {SECONDS} s long: per interface, since `-i any` loses the destination's MAC"),
            format!(
                "for i in $(ls /sys/class/net); do timeout {SECONDS} tcpdump -nn -i \"$i\" -s {SNAP} -w {}\"-$i.pcap\" & done; wait",
                name.as_deref().map_or("\"$(hostname)\"".to_owned(), shell)
            ),
        );
        add(
            place,
            "instead, where there are hundreds of pods: all interfaces in one file",
            format!("timeout {SECONDS} tcpdump -nn -i any -s {SNAP} -w {}", file("any.pcap")),
        );
    }
    for pod in &target.pods {
        let (namespace, name) = pod.split_once('/').unwrap_or(("default", pod));
        // An anchored pattern: crictl takes names as regular expressions.
        let sandbox = format!("$(crictl pods -q --namespace {} --name {})", shell(namespace), shell(&format!("^{name}$")));
        let pid = format!("$(crictl inspectp -o go-template --template '{{{{.info.pid}}}}' {sandbox})");
        add(
            &Place::NodeOfPod(pod.clone()),
            "what the pod itself sends and receives, from inside its network namespace, without touching the pod",
            format!(
                "timeout {SECONDS} nsenter -t {pid} -n tcpdump -nn -i eth0 -s {SNAP} -w {}",
                shell(&format!("pod-{namespace}-{name}-eth0.pcap"))
            ),
        );
    }
    list
}

/// The commands as a shell script to read: grouped by place, each with its reason in a comment. Meant to be copied piece by piece.
#[must_use]
pub fn script(target: &Target) -> String {
    let mut out =
        String::from("# Collects what Hopscope can use. Every command only reads.\n# Start the captures on all nodes at the same time.\n");
    let mut last = None;
    for c in commands(target) {
        if last.as_ref() != Some(&c.place) {
            let place = match &c.place {
                Place::Workstation => "where kubectl and aws are set up".to_owned(),
                Place::Node(name) => format!("on node {}, as root", super::escape::inert(name)),
                Place::NodeOfPod(pod) => format!("on the node that runs {}, as root", super::escape::inert(pod)),
                Place::EachNode => "on every node of interest, as root".to_owned(),
            };
            out.push_str(&format!("\n# --- {place}\n"));
            last = Some(c.place);
        }
        out.push_str(&format!("# {}\n{}\n", super::escape::inert(&c.why), c.command));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_reason_and_nothing_changes_the_cluster() {
        let target = Target { pods: vec!["shop/orders-1".into()], nodes: vec!["ip-10-0-0-1".into()] };
        // Of what may change something, only programs and the words behind them that read are printed.
        let reads = [
            "kubectl get ",
            "aws ec2 describe-",
            "aws elbv2 describe-",
            "aws elb describe-",
            "aws logs filter-log-events ",
            "ip -d addr >",
            "ip neigh >",
            "ip route show ",
            "ip rule >",
            "iptables-save -c >",
            "nft list ",
            "ipvsadm -Ln >",
            "ss -tunapi >",
            "bridge fdb >",
            "conntrack -L >",
            "timeout 60 tcpdump ",
            "timeout 60 nsenter ",
            "for g in $(aws elbv2 describe-",
            "for i in $(ls /sys/class/net); do timeout 60 tcpdump ",
        ];
        for c in commands(&target).into_iter().chain(commands(&Target::default())) {
            assert!(reads.iter().any(|r| c.command.starts_with(r)), "{}", c.command);
            assert!(!c.why.is_empty() && !c.command.contains('\n'), "{c:?}");
            for verb in ["apply", "delete", "patch", "exec", "create", "modify", "debug", "edit"] {
                assert!(!c.command.split([' ', '-']).any(|w| w == verb), "{}", c.command);
            }
        }
    }

    #[test]
    fn hostile_names_stay_one_word() {
        let target = Target { pods: vec!["a/b; rm -rf ~ #".into()], nodes: vec!["$(reboot)'\n".into()] };
        let script = script(&target);
        assert!(script.contains("kubectl get pod -n a -o wide -- 'b; rm -rf ~ #'"));
        assert!(!script.lines().any(|l| l.starts_with("reboot")), "{script}");
        // Wherever the name stands outside of a comment, the shell finds it between single quotes.
        let mut times = 0;
        for line in script.lines().filter(|l| !l.starts_with('#')) {
            for (at, _) in line.match_indices("$(reboot)") {
                let before = line.get(..at).unwrap_or_default().replace("'\\''", "");
                assert_eq!(before.matches('\'').count() % 2, 1, "{line}");
                times += 1;
            }
        }
        assert!(times > 10, "{times}");
    }
}
