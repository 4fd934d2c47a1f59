//! Whether confidence is a probability: every claim of a report held against what really happened.
//! Knows the report's and `truth.json`'s members, as `tests/cases/score.py` does; must not know how claims come about.
// A `Value` indexed by a key gives null where there is none; the table's indexes are its loops' own.
#![allow(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

/// A verdict has no confidence of its own in the report; whoever reads "lost" takes it for sure.
const OF_VERDICT: f64 = 0.95;
/// So many wrong claims are shown.
const SHOWN: usize = 12;

/// One claim and whether it is right.
struct Claim {
    kind: &'static str,
    confidence: f64,
    is_right: bool,
    /// Case and claim, for people.
    what: String,
}

/// Analyses every case below `directory` with `command` and says how often its claims are right.
pub(crate) fn calibration(directory: &Path, command: &Path) -> Result<String> {
    let mut cases = Vec::new();
    find(directory, &mut cases)?;
    let mut claims = Vec::new();
    for case in &cases {
        let run = Command::new(command).args(["analyze", "--format", "json"]).arg(case.join("inputs")).output()?;
        let report: Value = serde_json::from_slice(&run.stdout).with_context(|| format!("the report of {}", case.display()))?;
        let truth: Value = serde_json::from_slice(&std::fs::read(case.join("truth.json"))?)?;
        let name = case.strip_prefix(directory).unwrap_or(case).display().to_string();
        Judge::new(&report, &truth, name).all(&mut claims);
    }
    Ok(table(&claims, cases.len()))
}

/// Folders that hold a `truth.json`, in the order of their names.
fn find(folder: &Path, cases: &mut Vec<PathBuf>) -> Result<()> {
    if folder.join("truth.json").is_file() {
        cases.push(folder.to_path_buf());
        return Ok(());
    }
    let mut inside: Vec<PathBuf> = std::fs::read_dir(folder)?.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.is_dir()).collect();
    inside.sort();
    inside.iter().try_for_each(|f| find(f, cases))
}

fn table(claims: &[Claim], cases: usize) -> String {
    let mut kinds: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
    for c in claims {
        kinds.entry(c.kind).or_default().push(c);
        kinds.entry("~all").or_default().push(c);
    }
    let mut out = format!("calibration over {cases} cases: claims held against the truth\n");
    let _ = writeln!(out, "{:10} {:>7} {:>9} {:>9} {:>7}", "claim", "number", "conf ≥0.9", "right", "Brier");
    for (kind, list) in kinds {
        let sure: Vec<_> = list.iter().filter(|c| c.confidence >= 0.9).collect();
        let right = sure.iter().filter(|c| c.is_right).count();
        let share = if sure.is_empty() { "-".to_owned() } else { format!("{:.2} %", 100.0 * right as f64 / sure.len() as f64) };
        let brier = list.iter().map(|c| (c.confidence - f64::from(u8::from(c.is_right))).powi(2)).sum::<f64>() / list.len().max(1) as f64;
        let _ = writeln!(out, "{:10} {:>7} {:>9} {share:>9} {brier:>7.4}", kind.trim_start_matches('~'), list.len(), sure.len());
    }
    let mut wrong: Vec<&Claim> = claims.iter().filter(|c| !c.is_right && c.confidence >= 0.9).collect();
    // One of each case and kind: what is wrong once is mostly wrong for every path.
    let mut seen = BTreeSet::new();
    wrong.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    let total = wrong.len();
    let case = |c: &Claim| (c.kind, c.what.split_whitespace().next().map(str::to_owned));
    let shown: Vec<&&Claim> = wrong.iter().filter(|c| seen.insert(case(c))).collect();
    let most = std::env::var("WRONG").ok().and_then(|n| n.parse().ok()).unwrap_or(SHOWN);
    if total > 0 {
        let _ = writeln!(out, "{total} wrong with confidence ≥ 0.9, in {} cases and kinds, such as (WRONG=n shows n):", shown.len());
    }
    for c in shown.iter().take(most) {
        let _ = writeln!(out, "  {:.3} {:9} {}", c.confidence, c.kind, c.what);
    }
    out
}

fn text(v: &Value) -> &str {
    v.as_str().unwrap_or_default()
}

fn list(v: &Value) -> &[Value] {
    v.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn confidence(v: &Value) -> f64 {
    v["confidence"].as_f64().unwrap_or(1.0)
}

struct Judge<'a> {
    report: &'a Value,
    truth: &'a Value,
    case: String,
    /// Entities by id and alias.
    entities: BTreeMap<&'a str, &'a Value>,
}

impl<'a> Judge<'a> {
    fn new(report: &'a Value, truth: &'a Value, case: String) -> Self {
        let mut entities = BTreeMap::new();
        for e in list(&report["entities"]) {
            for name in std::iter::once(&e["id"]).chain(list(&e["aliases"])) {
                entities.entry(text(name)).or_insert(e);
            }
        }
        Self { report, truth, case, entities }
    }

    fn all(&self, claims: &mut Vec<Claim>) {
        self.points(claims);
        self.addresses(claims);
        self.paths(claims);
    }

    fn claim(&self, claims: &mut Vec<Claim>, kind: &'static str, confidence: f64, is_right: bool, what: String) {
        claims.push(Claim { kind, confidence, is_right, what: format!("{} {what}", self.case) });
    }

    /// Whether one of an entity's names is one of the truth's for it.
    fn same(&self, id: &str, truth: &str) -> bool {
        let known = |name: &str| name == truth || list(&self.truth["aliases"][truth]).iter().any(|a| text(a) == name);
        let entity = self.entities.get(id);
        known(id) || entity.is_some_and(|e| known(text(&e["id"])) || list(&e["aliases"]).iter().any(|a| known(text(a))))
    }

    /// An interface's owner; any other entity is its own.
    fn owner<'b>(&'b self, id: &'b str) -> &'b str {
        match self.entities.get(id) {
            Some(e) if e["kind"] == "interface" => text(&e["parent"]),
            Some(e) => text(&e["id"]),
            None => id.strip_prefix("if:").and_then(|i| i.rsplit_once('/')).map_or(id, |i| i.0),
        }
    }

    fn is_interface(&self, id: &str, name: &str) -> bool {
        let fits = |n: &str| n == name || n.rsplit('/').next() == Some(name) || n.strip_prefix("if:") == Some(name);
        let entity = self.entities.get(id);
        fits(id)
            || entity.is_some_and(|e| fits(text(&e["name"])) || fits(text(&e["id"])) || list(&e["aliases"]).iter().any(|a| fits(text(a))))
    }

    fn points(&self, claims: &mut Vec<Claim>) {
        let inputs: BTreeMap<&str, &str> = list(&self.report["inputs"]).iter().map(|i| (text(&i["id"]), text(&i["name"]))).collect();
        let Some(points) = self.truth["points"].as_object() else { return };
        for (key, want) in points {
            let (file, interface) = key.split_once('#').unwrap_or((key, ""));
            let here = list(&self.report["capture_points"]).iter().find(|c| {
                let is_file = inputs.get(text(&c["input"])).is_some_and(|n| Path::new(n).ends_with(file) || Path::new(file).ends_with(n));
                let name = text(&c["interface_name"]);
                let digits: String = name.chars().filter(char::is_ascii_digit).collect();
                let index = want["interface_index"].as_u64().map(|n| n.to_string());
                is_file
                    && (interface.is_empty()
                        || name == interface
                        || name == text(&want["interface"])
                        || (!digits.is_empty() && index == Some(digits)))
            });
            let Some((point, at)) = here.and_then(|c| Some((c, c["at"].as_str()?))) else { continue };
            let is_owner = self.same(self.owner(at), text(&want["owner"]));
            let is_right = is_owner && want["interface"].as_str().is_none_or(|i| self.is_interface(at, i));
            self.claim(
                claims,
                "point",
                confidence(point),
                is_right,
                format!("{key} at {at}, not {} {}", text(&want["owner"]), text(&want["interface"])),
            );
        }
    }

    fn addresses(&self, claims: &mut Vec<Claim>) {
        for e in list(&self.report["entities"]) {
            let (id, kind) = (text(&e["id"]), text(&e["kind"]));
            if id.starts_with("unknown:") || matches!(kind, "subnet" | "vpc" | "availability_zone") {
                continue;
            }
            for mac in list(&e["macs"]).iter().map(text) {
                let want = &self.truth["macs"][mac];
                if want.is_null() {
                    continue;
                }
                let fits = |i: &str| kind != "interface" || self.is_interface(id, i);
                let is_right = self.same(self.owner(id), text(&want["owner"])) && want["interface"].as_str().is_none_or(fits);
                self.claim(
                    claims,
                    "mac",
                    confidence(e),
                    is_right,
                    format!("{mac} of {id}, not {} {}", text(&want["owner"]), text(&want["interface"])),
                );
            }
            for ip in list(&e["ips"]).iter().map(text) {
                let want = &self.truth["ips"][ip];
                let wanted: Vec<&str> =
                    if want.is_array() { list(want).iter().map(text).collect() } else { want.as_str().into_iter().collect() };
                if !wanted.is_empty() {
                    let is_right = wanted.iter().any(|w| self.same(self.owner(id), w));
                    self.claim(claims, "ip", confidence(e), is_right, format!("{ip} of {id}, not {wanted:?}"));
                }
            }
        }
    }

    /// Whether a reported hop is the true one: `owner` or `owner interface`.
    fn is_hop(&self, hop: &Value, want: &str, alternatives: &Value) -> bool {
        let is = |want: &str| {
            let (owner, interface) = want.split_once(' ').unwrap_or((want, ""));
            self.same(text(&hop["owner"]), owner)
                && (interface.is_empty() || hop["interface"].as_str().is_some_and(|i| self.is_interface(i, interface)))
        };
        is(want) || list(&alternatives[want]).iter().any(|a| is(text(a)))
    }

    /// For each reported hop the true one that it stands for, in order: a longest common subsequence.
    fn aligned(&self, hops: &[Value], wanted: &[Value], alternatives: &Value) -> Vec<Option<usize>> {
        let (n, m) = (hops.len(), wanted.len());
        let mut best = vec![vec![0_usize; m + 1]; n + 1];
        let equal: Vec<Vec<bool>> = hops.iter().map(|h| wanted.iter().map(|w| self.is_hop(h, text(w), alternatives)).collect()).collect();
        for i in (0..n).rev() {
            for j in (0..m).rev() {
                best[i][j] = if equal[i][j] { best[i + 1][j + 1] + 1 } else { best[i + 1][j].max(best[i][j + 1]) };
            }
        }
        let (mut found, mut i, mut j) = (vec![None; n], 0, 0);
        while i < n && j < m {
            if equal[i][j] {
                found[i] = Some(j);
                (i, j) = (i + 1, j + 1);
            } else if best[i + 1][j] >= best[i][j + 1] {
                i += 1;
            } else {
                j += 1;
            }
        }
        found
    }

    /// The spelling of a true direction that fits best, and each hop's place in it.
    fn best_fit(&self, hops: &[Value], path: &'a Value, way: &str) -> (usize, Vec<Option<usize>>) {
        let alternatives = &path["alternatives"];
        let spellings = std::iter::once(&path[way]).chain(list(&alternatives[way]));
        let fits = spellings.map(|w| (list(w).len(), self.aligned(hops, list(w), &alternatives["hops"])));
        // The most right hops, then the fewest missing.
        fits.max_by_key(|(len, a)| (a.iter().flatten().count(), std::cmp::Reverse(*len))).unwrap_or_default()
    }

    fn paths(&self, claims: &mut Vec<Claim>) {
        let links: BTreeMap<(&str, &str), f64> = list(&self.report["links"])
            .iter()
            .flat_map(|l| [((text(&l["a"]), text(&l["b"])), confidence(l)), ((text(&l["b"]), text(&l["a"])), confidence(l))])
            .collect();
        let mut told: BTreeMap<(&str, &str), (f64, bool)> = BTreeMap::new();
        let mut free: Vec<&Value> = list(&self.report["paths"]).iter().collect();
        for truth in list(&self.truth["paths"]) {
            let flows = std::iter::once(&truth["flow"]).chain(list(&truth["alternatives"]["flows"]));
            let mut flows = flows.filter_map(|f| free.iter().position(|p| is_flow(&p["flow"], f)));
            let Some(at) = flows.next() else { continue };
            let path = free.remove(at);
            for d in list(&path["directions"]) {
                let way = text(&d["direction"]);
                let inferable = &truth["inferable"];
                let is_open = inferable == &Value::Bool(false) || inferable[way] == Value::Bool(false);
                if is_open || list(&truth[way]).is_empty() {
                    continue;
                }
                let hops = list(&d["hops"]);
                let (_, places) = self.best_fit(hops, truth, way);
                for (h, place) in hops.iter().zip(&places) {
                    let name = h["interface"].as_str().unwrap_or(text(&h["owner"]));
                    let seen = if h["observed"] == true { "observed" } else { "inferred" };
                    self.claim(claims, "hop", confidence(h), place.is_some(), format!("{} {way} {seen} {name}", text(&path["id"])));
                }
                for (pair, places) in hops.windows(2).zip(places.windows(2)) {
                    let end = |h: &'a Value| h["interface"].as_str().unwrap_or(text(&h["owner"]));
                    let key = (end(&pair[0]), end(&pair[1]));
                    let is_right = matches!(places, [Some(a), Some(b)] if a + 1 == *b);
                    if let Some(p) = links.get(&key) {
                        let key = if key.0 <= key.1 { key } else { (key.1, key.0) };
                        let e = told.entry(key).or_insert((*p, false));
                        e.1 |= is_right;
                    }
                }
                self.verdict(claims, truth, path, d);
            }
        }
        for ((a, b), (p, is_right)) in told {
            self.claim(claims, "link", p, is_right, format!("{a} – {b}"));
        }
    }

    fn verdict(&self, claims: &mut Vec<Claim>, truth: &Value, path: &Value, d: &Value) {
        let (way, verdict) = (text(&d["direction"]), text(&d["verdict"]));
        let prefix = if way == "request" { "" } else { "reply_" };
        let want = text(&truth[format!("{prefix}verdict").as_str()]);
        if verdict == "unknown" || want.is_empty() {
            return;
        }
        let others = if way == "request" { list(&truth["verdict_alternatives"]) } else { &[] };
        let mut is_right = verdict == want || others.iter().any(|o| text(o) == verdict);
        let (true_after, after) = (&truth[format!("{prefix}lost_after").as_str()], &d["lost_after"]);
        if verdict == "lost" && is_right {
            let hop = after.as_u64().and_then(|n| list(&d["hops"]).get(usize::try_from(n).ok()?));
            let wanted = true_after.as_u64().and_then(|n| list(&truth[way]).get(usize::try_from(n).ok()?));
            is_right = hop.zip(wanted).is_some_and(|(h, w)| self.is_hop(h, text(w), &truth["alternatives"]["hops"]));
        }
        self.claim(claims, "verdict", OF_VERDICT, is_right, format!("{} {way} {verdict}, not {want}", text(&path["id"])));
    }
}

fn is_flow(flow: &Value, want: &Value) -> bool {
    let end = |name: &str| {
        let (have, ip, port) = (&flow[name], text(&want[format!("{name}_ip").as_str()]), want[format!("{name}_port").as_str()].as_u64());
        let same_ip = match (text(&have["ip"]).parse::<IpAddr>(), ip.parse::<IpAddr>()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        };
        same_ip && (port.is_none() || have["port"].as_u64() == port || (have["port"].is_null() && want["any_port"] == true))
    };
    flow["protocol"] == want["protocol"] && end("client") && end("server")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::{Claim, Judge, table};
    use serde_json::json;

    #[test]
    fn a_wrong_hop_a_wrong_owner_and_a_wrong_verdict_are_counted() {
        let hop = |owner: &str, p: f64| json!({"owner": owner, "interface": null, "observed": true, "confidence": p});
        let flow = |ip: &str| json!({"protocol": "tcp", "client": {"ip": ip, "port": 1}, "server": {"ip": "10.0.0.2", "port": 2}});
        let report = json!({
            "entities": [{"id": "node:a", "kind": "node", "aliases": ["instance:i"], "macs": [], "ips": ["10.0.0.1", "10.0.0.9"], "confidence": 0.95}],
            "paths": [{"id": "p1", "flow": flow("10.0.0.1"), "directions": [
                {"direction": "request", "verdict": "delivered", "hops": [hop("instance:i", 0.99), hop("router:x", 0.92), hop("node:b", 0.5)]}]}],
        });
        let truth = json!({
            "points": {}, "macs": {}, "ips": {"10.0.0.1": "instance:i", "10.0.0.9": "node:b"}, "aliases": {},
            "paths": [{"flow": {"protocol": "tcp", "client_ip": "10.0.0.1", "client_port": 1, "server_ip": "10.0.0.2", "server_port": 2},
                "request": ["node:a", "node:b"], "reply": [], "inferable": true, "verdict": "lost", "lost_after": 0, "alternatives": {}}],
        });
        let mut claims: Vec<Claim> = Vec::new();
        Judge::new(&report, &truth, "case".to_owned()).all(&mut claims);
        let count = |kind: &str, right: bool| claims.iter().filter(|c| c.kind == kind && c.is_right == right).count();
        assert_eq!((count("ip", true), count("ip", false)), (1, 1));
        // `instance:i` is an alias of `node:a` in the report; the router is in no true sequence.
        assert_eq!((count("hop", true), count("hop", false)), (2, 1));
        assert_eq!((count("verdict", true), count("verdict", false)), (0, 1));
        assert!(table(&claims, 1).contains("3 wrong with confidence ≥ 0.9"), "{}", table(&claims, 1));
    }
}
