//! The hops as CSV (RFC 4180), one line each, for spreadsheets and data frames.

use super::escape;
use super::words;
use crate::report::Report;

/// Every hop of every path. The first line names the columns; times are nanoseconds.
#[must_use]
pub fn csv(report: &Report) -> String {
    let mut out = String::from(
        "path,protocol,direction,verdict,hop,owner,interface,observed,src_mac,dst_mac,src_ip,src_port,dst_ip,dst_port,ttl,rewrites,\
         encapsulation,delay_ns,seen,missing,lost_after_here,confidence,capture_points,evidence",
    );
    // What only a sample has stands behind what every report has.
    if report.sampling.is_some() {
        out.push_str(",sampled_one_in,delay_low_ns,delay_high_ns,missing_low,missing_high");
    }
    out.push_str("\r\n");
    for p in &report.paths {
        for d in &p.directions {
            for (n, h) in d.hops.iter().enumerate() {
                let text = |t: &Option<String>| t.clone().unwrap_or_default();
                let port = |p: Option<u16>| p.map(|p| p.to_string()).unwrap_or_default();
                let mut fields = vec![
                    p.id.clone(),
                    p.flow.protocol.clone(),
                    words::way(d.direction).to_owned(),
                    words::verdict_word(d.verdict).to_owned(),
                    (n + 1).to_string(),
                    h.owner.clone(),
                    text(&h.interface),
                    h.observed.to_string(),
                    text(&h.src_mac),
                    text(&h.dst_mac),
                    text(&h.src_ip),
                    port(h.src_port),
                    text(&h.dst_ip),
                    port(h.dst_port),
                    h.ttl.map(|t| t.to_string()).unwrap_or_default(),
                    h.rewrites.iter().map(|r| words::rewrite(*r)).collect::<Vec<_>>().join(" "),
                    h.encapsulation.iter().map(words::encapsulation).collect::<Vec<_>>().join("; "),
                    h.delay_ns.map(|d| d.to_string()).unwrap_or_default(),
                    h.seen.to_string(),
                    h.missing.to_string(),
                    (d.lost_after.is_some_and(|l| usize::try_from(l) == Ok(n))).to_string(),
                    words::confidence(h.confidence),
                    h.capture_points.join(" "),
                    h.evidence.join(" "),
                ];
                if let Some(s) = &report.sampling {
                    let ends = |range: Option<[String; 2]>| range.unwrap_or_default();
                    fields.push(s.one_in.to_string());
                    fields.extend(ends(h.delay_range_ns.map(|r| r.map(|n| n.to_string()))));
                    fields.extend(ends(h.missing_range.map(|r| r.map(|n| n.to_string()))));
                }
                // A negative delay is a number, not a formula: it keeps its sign.
                let is_number = |f: &str| f.parse::<i64>().is_ok();
                let fields: Vec<String> = fields.iter().map(|f| if is_number(f) { f.clone() } else { escape::csv(f) }).collect();
                out.push_str(&fields.join(","));
                out.push_str("\r\n");
            }
        }
    }
    out
}
