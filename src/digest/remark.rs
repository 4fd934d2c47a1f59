//! What tools that know processes and pods write beside packets: ptcpdump's and retis' comments, Inspektor Gadget's descriptions of interfaces.
//! Knows how they write it; must not know what an address is, and says nothing that a frame could contradict.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// So many streams of one capture have one.
pub(super) const MOST: usize = 4096;

/// More of a name than anybody reads.
const LONGEST: usize = 120;

/// What was noted of a packet, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// Index of the stream, of which it is the first.
    pub stream: u32,
    /// The packet's row.
    pub row: u32,
    /// Who sent or got it, or which function of the kernel saw it.
    pub text: String,
}

/// What a packet's comment says of who sent or got it; `None`: nothing that is known here.
pub(super) fn of_packet(comment: &str) -> Option<String> {
    ptcpdump(comment).or_else(|| comment.lines().next().and_then(retis))
}

/// ptcpdump (`internal/writer/pcapng.go`): lines of `Key: value`. Arguments of commands are left out: they hold what nobody else should read.
fn ptcpdump(comment: &str) -> Option<String> {
    let said: BTreeMap<&str, &str> = comment.lines().filter_map(|l| l.trim().split_once(": ")).collect();
    let get = |key: &str| said.get(key).map(|v| v.trim()).filter(|v| !v.is_empty()).map(short);
    let command = get("Cmd").or_else(|| get("Command"));
    let process = get("PID").filter(|p| p.bytes().all(|b| b.is_ascii_digit())).map(|pid| match &command {
        Some(command) => format!("process `{}` (pid {pid})", command.rsplit('/').next().unwrap_or(command)),
        None => format!("pid {pid}"),
    });
    let container = get("ContainerId").map(|id| format!("container `{}`", get("ContainerName").unwrap_or(id)));
    joined([process, container, pod(get("PodNamespace"), get("PodName"))])
}

/// retis (`retis pcap`): `30419169125909 (6) [ping] 11330 [kr] ovs_dp_upcall #1baa83c…`, a time, a CPU, the task, the kind of probe and its symbol.
fn retis(line: &str) -> Option<String> {
    let is_number = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_digit());
    let mut words = line.split_whitespace();
    words.next().filter(|w| is_number(w))?;
    words.next()?.strip_prefix('(')?.strip_suffix(')').filter(|w| is_number(w))?;
    let task = words.next()?.strip_prefix('[')?.strip_suffix(']')?;
    let pid = words.next()?.split('/').next().filter(|w| is_number(w))?;
    words.next()?.strip_prefix('[')?.strip_suffix(']')?;
    let symbol = words.next()?;
    Some(format!("seen at `{}` in task `{}` (pid {pid})", short(symbol), short(task)))
}

/// Inspektor Gadget's `tcpdump` gadget: `k8s.node=…;k8s.podName=…`, percent-encoded as in a URL's query.
pub(super) fn of_interface(description: &str) -> Option<String> {
    let said: BTreeMap<&str, String> =
        description.split(';').filter_map(|part| part.split_once('=')).map(|(key, value)| (key, short(&decoded(value)))).collect();
    let get = |key: &str| said.get(key).filter(|v| !v.is_empty()).cloned();
    let container = get("k8s.containerName").or_else(|| get("runtime.containerName")).map(|name| format!("container `{name}`"));
    let node = get("k8s.node").map(|name| format!("node `{name}`"));
    joined([container, pod(get("k8s.namespace"), get("k8s.podName")), node])
}

fn pod(namespace: Option<String>, name: Option<String>) -> Option<String> {
    let name = name?;
    Some(namespace.map_or_else(|| format!("pod `{name}`"), |namespace| format!("pod `{namespace}/{name}`")))
}

fn joined(parts: [Option<String>; 3]) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A name as it may stand between backticks, which mark names for whoever replaces them by pseudonyms.
fn short(text: &str) -> String {
    text.chars().filter(|c| *c != '`').take(LONGEST).collect()
}

/// Percent-encoding with `+` for a space (WHATWG URL, 5.1).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let digit = |at: usize| after.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_it_was_in_each_tools_words() {
        let comment = "PID: 1234\nCmd: /usr/bin/curl\nArgs: curl -H Authorization:x http://db\nContainerName: web\nContainerId: 0123abcd\n\
                       ContainerImage: nginx\nContainerLabels: {}\nPodName: web-0\nPodNamespace: shop\nPodUID: 1-2\nPodLabels: {}\nPodAnnotations: {}";
        assert_eq!(of_packet(comment).unwrap(), "process `curl` (pid 1234), container `web`, pod `shop/web-0`");
        assert_eq!(of_packet("PID: 7\nCommand: nginx").unwrap(), "process `nginx` (pid 7)");
        let comment =
            "30419169372774 (6) [handler8] 985/995 [kr] ovs_dp_upcall #1baa83c8a025ffff8e95c3b67c00 (skb ffff8e95d3009200)\n  a > b";
        assert_eq!(of_packet(comment).unwrap(), "seen at `ovs_dp_upcall` in task `handler8` (pid 985)");
        let description = "k8s.node=ip-10-0-1-5;k8s.containerName=web;k8s.podName=web%2D0;k8s.podLabels=app%3Dweb";
        assert_eq!(of_interface(description).unwrap(), "container `web`, pod `web-0`, node `ip-10-0-1-5`");
        for other in ["", "a comment", "note: look here", "12 (3) x", "PID: none", "30419169125909 (6) [ping] 11330"] {
            assert_eq!(of_packet(other), None, "{other}");
        }
        assert_eq!(of_interface("Intel 10G=fast;port 2"), None);
        assert_eq!(decoded("100%25+%4x%"), "100% %4x%");
    }
}
