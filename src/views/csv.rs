//! The hops as CSV (RFC 4180), one line each, for spreadsheets and data frames.

use std::io;

use super::escape;
use super::words;
use crate::packed::PackedReport;
use crate::report::{Path, Report, Sampling};

/// Every hop of every path. The first line names the columns; times are nanoseconds.
#[must_use]
pub fn csv(report: &Report) -> String {
    let mut out = columns(report.sampling.as_ref());
    report.paths.iter().for_each(|p| lines(p, report.sampling.as_ref(), &mut out));
    out
}

/// The same, path by path: laid out, many of them take far more room than the table's lines.
///
/// # Errors
/// What `out` says.
pub fn write_csv(report: &PackedReport, mut out: impl io::Write) -> io::Result<()> {
    let sampling = report.head.sampling.as_ref();
    let mut text = columns(sampling);
    for path in report.paths.iter() {
        lines(&path, sampling, &mut text);
        out.write_all(text.as_bytes())?;
        text.clear();
    }
    out.write_all(text.as_bytes())
}

fn columns(sampling: Option<&Sampling>) -> String {
    let mut out = String::from(
        "path,protocol,direction,verdict,hop,owner,interface,observed,src_mac,dst_mac,src_ip,src_port,dst_ip,dst_port,ttl,rewrites,\
         encapsulation,delay_ns,seen,missing,lost_after_here,confidence,capture_points,evidence",
    );
    // What only a sample has stands behind what every report has.
    if sampling.is_some() {
        out.push_str(",sampled_one_in,delay_low_ns,delay_high_ns,missing_low,missing_high");
    }
    out.push_str("\r\n");
    out
}

fn lines(p: &Path, sampling: Option<&Sampling>, out: &mut String) {
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
            if let Some(s) = sampling {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{DirectionPath, Hop};

    #[test]
    fn the_table_is_the_same_path_by_path() {
        let hop = |owner: &str| Hop { owner: owner.to_owned(), delay_ns: Some(-5), missing_range: Some([1, 2]), ..Hop::default() };
        let path = |id: &str| {
            let hops = vec![hop("=cmd()"), hop("node:a,b")];
            Path { id: id.to_owned(), directions: vec![DirectionPath { hops, ..DirectionPath::default() }], ..Path::default() }
        };
        for (paths, sampling) in [(0, None), (2, None), (3, Some(Sampling { one_in: 4, ..Sampling::default() }))] {
            let report = Report { paths: (0..paths).map(|n| path(&format!("p{n}"))).collect(), sampling, ..Report::default() };
            let whole = csv(&report);
            assert_eq!(whole.lines().count(), 1 + paths * 2, "{whole}");
            let mut rows = Vec::new();
            write_csv(&report.into(), &mut rows).unwrap();
            assert_eq!(String::from_utf8(rows).unwrap(), whole);
        }
    }
}
