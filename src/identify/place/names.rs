//! What names say of where a capture was taken: an interface's index or name in the file, and the file's own name, the weakest of all.
//! Must not add a place that the frames rule out: it only weighs, but for an index that `ip link` of the host explains.

use std::collections::{BTreeMap, BTreeSet};

use super::{Candidate, Capture, Point, best, first_frame, push};
use crate::confidence as weight;
use crate::evidence::{Book, Ev};
use crate::identify::inventory::{Id, Inventory, interface_id, short};
use crate::identify::unlisted;
use crate::order;

/// SLL2's interface indexes, read with `ip link` of the host that the file's other interfaces show.
pub(super) fn by_index(
    captures: &[Capture<'_>],
    points: &mut [Point],
    candidates: &mut [Vec<Candidate>],
    inv: &Inventory,
    book: &mut Book,
) {
    let mut hosts: BTreeMap<usize, BTreeMap<Id, f64>> = BTreeMap::new();
    for (p, c) in points.iter().zip(candidates.iter()).filter(|(p, _)| p.ifindex.is_some()) {
        if let Some(best) = best(c) {
            *hosts.entry(p.capture).or_default().entry(best.owner.clone()).or_default() += best.odds.min(weight::place::MOST_OF_ONE).ln();
        }
    }
    for (p, c) in points.iter_mut().zip(candidates.iter_mut()) {
        let Some(index) = p.ifindex else { continue };
        let Some(votes) = hosts.get(&p.capture) else { continue };
        let Some((owner, _)) = votes.iter().max_by(|a, b| a.1.total_cmp(b.1).then_with(|| b.0.cmp(a.0))) else { continue };
        for x in c.iter_mut().filter(|x| &x.owner == owner) {
            x.odds *= weight::place::SAME_FILE;
        }
        let Some((name, ev)) = inv.names_by_index.get(&(owner.clone(), index)) else { continue };
        let Some(first) = first_frame(captures, p) else { continue };
        let mut places = vec![first];
        places.extend(book.sources(*ev));
        let ev = book.add("interface_index", format!("interface {index} of {} is {name}", short(owner)), places);
        let link = inv.pods.values().find(|q| q.node.as_ref() == Some(owner) && &q.veth == name).map(|q| (q.id.clone(), false));
        let interface = interface_id(owner, name);
        for x in c.iter_mut().filter(|x| x.interface != interface) {
            x.odds /= weight::INTERFACE_INDEX;
        }
        push(
            c,
            Candidate {
                interface,
                owner: owner.clone(),
                name: name.clone(),
                odds: weight::INTERFACE_INDEX,
                trust: 1.0,
                ev: vec![ev],
                link,
            },
        );
    }
}

/// A host side's name that the CNI would not have computed: written by the capture program, or in the file's name.
pub(super) fn name_links(
    captures: &[Capture<'_>],
    points: &[Point],
    candidates: &mut [Vec<Candidate>],
    inv: &mut Inventory,
    book: &mut Book,
) {
    let known: BTreeSet<String> = order::set(inv.pods.values().map(|p| p.veth.clone()));
    let mut named: Vec<(Id, String, Ev)> = Vec::new();
    for (p, found) in points.iter().zip(candidates.iter()) {
        let Some((pod, _)) = best(found).and_then(|c| c.link.clone()) else { continue };
        let (Some(capture), None) = (captures.get(p.capture), p.ifindex) else { continue };
        let Some(place) = first_frame(captures, p).map(|first| vec![first]) else { continue };
        if let Some(name) = p.interface_name.as_ref().filter(|n| *n != "eth0" && !known.contains(*n)) {
            named.push((pod, name.clone(), book.add("interface_name", format!("the capture file names the interface {name}"), place)));
        } else if let Some(name) = p.interface_name.is_none().then(|| veth_word(capture.name)).flatten().filter(|n| !known.contains(n)) {
            let ev = book.add("file_name", format!("the file's name has an interface {name}"), place);
            named.push((pod, name, ev));
        }
    }
    for (pod, name, ev) in named {
        inv.name_link(&pod, &name, ev);
        let Some(node) = inv.pods.get(&pod).and_then(|p| p.node.clone()) else { continue };
        for c in candidates.iter_mut().flatten().filter(|c| c.link.as_ref() == Some(&(pod.clone(), false))) {
            c.interface = interface_id(&node, &name);
            c.name.clone_from(&name);
            c.ev.push(ev);
        }
    }
}

/// A word of a file's name that is a host side's name: `eni` or `vlan` and eleven hexadecimal digits (the CNI's), or `veth…`, `cali…`.
pub(super) fn veth_word(file: &str) -> Option<String> {
    let last = file.rsplit('/').next().unwrap_or(file);
    let mut words = last.split(|c: char| !c.is_ascii_alphanumeric());
    let fits = |w: &&str| {
        let rest = ["eni", "vlan", "veth", "cali"].iter().find_map(|p| w.strip_prefix(p));
        rest.is_some_and(|r| r.len() >= 8 && r.chars().all(|c| c.is_ascii_hexdigit()))
    };
    words.find(fits).map(str::to_owned)
}

/// Names that the capture program or a person gave.
pub(super) fn by_name(captures: &[Capture<'_>], points: &[Point], candidates: &mut [Vec<Candidate>], inv: &Inventory, book: &mut Book) {
    for (p, found) in points.iter().zip(candidates.iter_mut()) {
        let Some(capture) = captures.get(p.capture) else { continue };
        let Some(first) = first_frame(captures, p) else { continue };
        if let (Some(name), None) = (&p.interface_name, p.ifindex) {
            if found.iter().any(|c| &c.name == name) {
                let ev = book.add("interface_name", format!("the capture file names the interface {name}"), vec![first]);
                for c in found.iter_mut() {
                    c.weigh(&c.name == name, weight::INTERFACE_NAME, ev);
                }
            }
            continue;
        }
        let file = capture.name.to_lowercase();
        let says = |c: &Candidate| file_name_says(&file, c, inv);
        let most = found.iter().map(says).max().unwrap_or(0);
        if most == 0 && p.ifindex.is_none() {
            let last = file.rsplit('/').next().unwrap_or(&file);
            let word = |words: &[&str]| words.iter().any(|w| contains_word(last, w));
            // People call a pod's capture after what runs there; of its node's side they say so.
            let runs = |c: &Candidate| c.link.as_ref().and_then(|l| inv.pods.get(&l.0)).map(|p| workload(&p.name).to_lowercase());
            let is_named = |c: &Candidate| runs(c).is_some_and(|w| contains_word(last, &w));
            let named = found.iter().any(is_named);
            let (pod, node) = (named || word(&["pod", "container"]), word(&["node", "host", "worker", "veth"]));
            if pod != node {
                for c in found.iter_mut().filter(|c| c.link.as_ref().is_some_and(|l| l.1 == pod) && (!named || is_named(c))) {
                    c.odds *= weight::FILE_NAME_WORD;
                }
            }
        }
        if most > 0 && p.ifindex.is_none() {
            let short_name = capture.name.rsplit('/').next().unwrap_or(capture.name);
            let ev = book.add("file_name", format!("the file is called {short_name}"), vec![first]);
            for c in found.iter_mut() {
                if file_name_says(&file, c, inv) == most {
                    c.odds *= weight::FILE_NAME;
                    c.ev.push(ev);
                }
            }
        }
    }
}

/// How well a file's name fits a place: 3 the interface's unmistakable name, 2 its pod's or node's name with its interface's, 1 one of both.
pub(super) fn file_name_says(file: &str, c: &Candidate, inv: &Inventory) -> u8 {
    let has = |word: &str| !word.is_empty() && contains_word(file, &word.to_lowercase());
    let interface = has(&c.name);
    if interface && c.name.len() > 8 {
        return 3;
    }
    // `node1-eth1` names node 1, and says that it is none of its links.
    if !interface && unlisted::eni_word(file).is_some_and(|w| w != c.name) {
        return 0;
    }
    let owner = match inv.pods.get(&c.owner) {
        Some(p) => has(&p.name),
        None => {
            let told = inv.host_words.get(&c.owner);
            has(short(&c.owner).split('.').next().unwrap_or_default()) || told.is_some_and(|words| words.iter().any(|w| has(w)))
        }
    };
    // The other end's name is the stronger hint: `node-enia6653479892` is not the pod's own eth0.
    u8::from(interface) + u8::from(owner)
}

/// What a pod's name says of what runs there: without the number of a StatefulSet's pod, or the suffixes that a DaemonSet or a Deployment's
/// ReplicaSet gives, of the letters that Kubernetes draws them from (apimachinery, `pkg/util/rand`: no vowels, no digit that looks like one).
fn workload(pod: &str) -> &str {
    let is_drawn = |s: &str| s.bytes().all(|b| b"bcdfghjklmnpqrstvwxz2456789".contains(&b));
    let Some((rest, last)) = pod.rsplit_once('-') else { return pod };
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return rest;
    }
    if last.len() != 5 || !is_drawn(last) {
        return pod;
    }
    rest.rsplit_once('-').filter(|(_, hash)| (6..=10).contains(&hash.len()) && is_drawn(hash)).map_or(rest, |x| x.0)
}

/// Whether `text` contains `word` with no letter or digit of a longer word around it.
fn contains_word(text: &str, word: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|t| t.chars().next());
        !is_part(before) && !is_part(after)
    })
}
