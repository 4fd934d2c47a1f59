//! Which command printed a JSON document, told from member names alone, so that a cut document is recognised too.
//! Knows names, not values.

use super::aws;
use super::ipamd;
use super::scan;
use crate::sniff::Format;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A Kubernetes object or list.
    Kubectl,
    /// A whole answer of `aws ec2|elb|elbv2 describe-…`.
    Aws,
    /// One element of such an answer, as `--query` leaves it.
    AwsElement(aws::Kind),
    /// `ip -j addr`, `ip -j link`.
    Link,
    /// `ip -j neigh`.
    Neighbour,
    /// `ip -j route`.
    Route,
    /// `ip -j rule`.
    Rule,
    /// `nft -j list ruleset`.
    Nft,
    /// `bridge -j fdb`.
    Fdb,
    /// `aws logs get-log-events`, `filter-log-events`: what the events say is told by their messages.
    LogEvents,
    /// The VPC CNI's books.
    Ipamd,
    /// Hopscope's session file.
    Session,
}

impl Shape {
    pub(crate) fn format(self) -> Format {
        match self {
            Self::Kubectl => Format::Kubectl,
            Self::Aws => Format::Ec2,
            Self::AwsElement(kind) if kind.is_elb() => Format::Elb,
            Self::AwsElement(_) => Format::Ec2,
            Self::Link => Format::IpAddr,
            Self::Neighbour => Format::IpNeigh,
            Self::Route => Format::IpRoute,
            Self::Rule => Format::IpRule,
            Self::Nft => Format::Iptables,
            Self::Fdb => Format::BridgeFdb,
            Self::LogEvents => Format::FlowLog,
            Self::Ipamd => Format::Ipamd,
            Self::Session => Format::Session,
        }
    }
}

/// The format of the value at `at`: of an array, that of its first telling element.
pub(crate) fn of(text: &[u8], at: usize) -> Option<Format> {
    of_depth(text, at, 0)
}

fn of_depth(text: &[u8], at: usize, depth: usize) -> Option<Format> {
    match text.get(at) {
        Some(b'{') => {
            let names = names(text, at);
            let shape = shape(&names)?;
            let is_elb = shape == Shape::Aws && names.iter().any(|n| aws::Kind::of_list(n).is_some_and(aws::Kind::is_elb));
            Some(if is_elb { Format::Elb } else { shape.format() })
        }
        Some(b'[') if depth < 4 => {
            let mut found = None;
            let _ = scan::elements(text, at, |index, at| {
                if found.is_none() && index < 100 {
                    found = of_depth(text, at, depth + 1);
                }
                scan::skip_value(text, at)
            });
            found
        }
        _ => None,
    }
}

/// What the object at `at` is.
pub(crate) fn of_object(text: &[u8], at: usize) -> Option<Shape> {
    shape(&names(text, at))
}

/// The member names of an object, up to where it is cut.
fn names(text: &[u8], at: usize) -> Vec<String> {
    let mut names = Vec::new();
    let _ = scan::members(text, at, |name, at| {
        names.push(name.to_owned());
        scan::skip_value(text, at)
    });
    names
}

fn shape(names: &[String]) -> Option<Shape> {
    let has = |wanted: &str| names.iter().any(|n| n == wanted);
    if has("schema") && (has("placements") || has("owners") || has("clocks")) {
        return Some(Shape::Session);
    }
    if has("apiVersion") || (has("kind") && (has("items") || has("metadata"))) || (has("metadata") && (has("spec") || has("subsets"))) {
        return Some(Shape::Kubectl);
    }
    // An instance has `NetworkInterfaces` and a load balancer `Subnets`, as whole answers have.
    if let Some(kind) = aws::Kind::of_element(has) {
        return Some(Shape::AwsElement(kind));
    }
    if names.iter().any(|n| aws::Kind::of_list(n).is_some()) {
        return Some(Shape::Aws);
    }
    if has("events") && ["nextForwardToken", "nextBackwardToken", "searchedLogStreams", "nextToken"].into_iter().any(has)
        || has("message") && has("ingestionTime")
    {
        return Some(Shape::LogEvents);
    }
    if has("nftables") {
        return Some(Shape::Nft);
    }
    if has("mac") && has("ifname") && !has("ifindex") {
        return Some(Shape::Fdb);
    }
    if has("ifname") || has("ifindex") {
        return Some(Shape::Link);
    }
    if has("priority") && (has("src") || has("table")) {
        return Some(Shape::Rule);
    }
    if has("dst") && (has("lladdr") || has("state")) {
        return Some(Shape::Neighbour);
    }
    if has("dst") && (has("dev") || has("gateway") || has("nexthops") || has("type") || has("flags")) {
        return Some(Shape::Route);
    }
    if ipamd::is_book(names) {
        return Some(Shape::Ipamd);
    }
    // A list of `items` of which nothing else is known yet: only Kubernetes' lists begin so.
    (names.len() == 1 && has("items")).then_some(Shape::Kubectl)
}
