//! What may not grow unnoticed, told in instructions and bytes, which are the same on a busy machine; and digests as DuckDB sees them.
//! Knows budgets and how to measure against them; must not time anything.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::captures_made::Wanted;
use crate::cases::hopscope;
use crate::sh::{find_program, say, scratch};

/// Instructions (x86-64, as callgrind counts them) for each packet more of known headers that is read, digested and written as
/// Parquet: 2,055 when this was set. Two thirds of them are the writing.
const READ_INSTRUCTIONS: f64 = 2100.0;

/// Of each packet of two points that is read, dissected, digested and followed from one to the other: a tenth more than they were
/// when this was set.
const ANALYSIS_INSTRUCTIONS: f64 = 1700.0;

/// Of each conversation more among as many packets of two points: followed, told in the report and written as JSON. A tenth more than they were
/// when this was set.
const CONVERSATION_INSTRUCTIONS: f64 = 315_000.0;

/// Octets that each conversation more of four packets, seen at two points, adds to the most memory in use at once: its digests, what is found out about
/// it, and the report. A tenth more than they were when this was set.
const CONVERSATION_BYTES: f64 = 3_050.0;

/// Doubling packets, points or conversations may multiply the instructions of a whole analysis by this.
const GROWTH: f64 = 2.3;

/// Of one conversation, what twice the packets add over what half of them added: n log n adds between 2 and 2.3 times as much at these
/// numbers, what is quadratic 4 times.
const ONE_BY_PACKETS: f64 = 2.3;

/// And what twice the points add: what is linear adds twice as much.
const ONE_BY_POINTS: f64 = 2.1;

/// `Ok(None)`: all within its budget; a text says why nothing was measured.
pub(crate) fn instructions() -> Result<Option<String>> {
    let Some(valgrind) = find_program(&["valgrind"]) else { return Ok(Some("valgrind is not installed".to_owned())) };
    if !cfg!(target_arch = "x86_64") {
        return Ok(Some("the budgets are those of x86-64".to_owned()));
    }
    let command = hopscope(true)?;
    let folder = scratch().join("budget");
    let base = Wanted { packets: 20_000, conversations: 100, points: 1, snaplen: 128 };
    let digest = |wanted: Wanted| {
        let file = wanted.make(&folder)?.into_iter().next().context("no capture")?;
        let out = folder.join("digest.parquet");
        count(&valgrind, &command, &["digest".as_ref(), file.as_ref(), "-o".as_ref(), out.as_ref()])
    };
    // The writing of the digest is in it; starting the program is not.
    let per_packet = (digest(Wanted { packets: 60_000, ..base })? as f64 - digest(base)? as f64) / 40_000.0;
    say(&format!("{per_packet:.0} instructions for each packet read, digested and written as Parquet; the budget is {READ_INSTRUCTIONS}"));
    ensure!(per_packet <= READ_INSTRUCTIONS, "reading takes more instructions than its budget");

    let base = Wanted { packets: 20_000, conversations: 100, points: 2, snaplen: 128 };
    let analysis = |wanted: Wanted| {
        let files = wanted.make(&folder)?;
        let arguments = ["analyze", "--format", "json", "-o", "/dev/null"].map(std::ffi::OsStr::new);
        let arguments: Vec<&std::ffi::OsStr> = arguments.into_iter().chain(files.iter().map(|f| f.as_os_str())).collect();
        count(&valgrind, &command, &arguments)
    };
    let first = analysis(base)?;
    // Reading both points and following every packet from one to the other; what conversations cost is the same in both.
    let per_packet =
        (analysis(Wanted { packets: base.packets * 3, ..base })? as f64 - first as f64) / (base.packets * 2 * base.points) as f64;
    say(&format!("{per_packet:.0} instructions for each packet read and analysed; the budget is {ANALYSIS_INSTRUCTIONS}"));
    ensure!(per_packet <= ANALYSIS_INSTRUCTIONS, "analysing takes more instructions than its budget");
    for (what, wanted) in [
        ("packets", Wanted { packets: base.packets * 2, ..base }),
        ("points", Wanted { points: base.points * 2, ..base }),
        ("conversations", Wanted { conversations: base.conversations * 2, ..base }),
    ] {
        let factor = analysis(wanted)? as f64 / first as f64;
        say(&format!("twice the {what}: {factor:.2} times the instructions; the budget is {GROWTH}"));
        ensure!(factor <= GROWTH, "twice the {what} takes more than {GROWTH} times the instructions");
    }
    let few = Wanted { packets: 8_000, conversations: 100, ..base };
    let many = Wanted { conversations: 2_000, ..few };
    let each = (analysis(many)? as f64 - analysis(few)? as f64) / (many.conversations - few.conversations) as f64;
    say(&format!("{each:.0} instructions for each conversation more; the budget is {CONVERSATION_INSTRUCTIONS}"));
    ensure!(each <= CONVERSATION_INSTRUCTIONS, "a conversation takes more instructions than its budget");
    let peak = |conversations: u64| peak(&command, &Wanted { packets: conversations * 4, conversations, ..base }.make(&folder)?);
    let (half, whole) = (20_000, 40_000);
    let each = (peak(whole)? - peak(half)?) / (whole - half) as f64;
    say(&format!("{each:.0} octets of memory for each conversation more; the budget is {CONVERSATION_BYTES}"));
    ensure!(each <= CONVERSATION_BYTES, "a conversation takes more memory than its budget");
    // All packets of one conversation: nothing is shared out among others.
    let base = Wanted { conversations: 1, ..base };
    let grown = |by: fn(Wanted, u64) -> Wanted| {
        let [one, two, four] = [1, 2, 4].map(|n| analysis(by(base, n)));
        let (one, two, four) = (one? as f64, two? as f64, four? as f64);
        anyhow::Ok((four - two) / (two - one))
    };
    let by_packets = grown(|base, n| Wanted { packets: base.packets * n, ..base })?;
    let by_points = grown(|base, n| Wanted { points: base.points * n, ..base })?;
    for (what, factor, most) in [("packets", by_packets, ONE_BY_PACKETS), ("points", by_points, ONE_BY_POINTS)] {
        say(&format!("of one conversation, {what} that double again add {factor:.2} times as many instructions; the budget is {most}"));
        ensure!(factor <= most, "one conversation costs more than it should for its {what}");
    }
    Ok(None)
}

/// The most memory in use at once while these are analysed and the report is written as JSON, in octets.
fn peak(command: &Path, files: &[PathBuf]) -> Result<f64> {
    let mut run = Command::new(command);
    run.args(["analyze", "--timings", "--format", "json", "-o", "/dev/null"]).args(files).env("RAYON_NUM_THREADS", "1");
    let output = run.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let peak = text.lines().find_map(|l| l.strip_prefix("peak ")?.strip_suffix(" kB")?.parse::<f64>().ok());
    Ok(1024.0 * peak.with_context(|| format!("{run:?} did not say how much memory it used: {text}"))?)
}

fn count(valgrind: &Path, command: &Path, arguments: &[&std::ffi::OsStr]) -> Result<u64> {
    let mut run = Command::new(valgrind);
    run.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(command).args(arguments).env("RAYON_NUM_THREADS", "1");
    let output = run.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{run:?} failed: {text}");
    }
    let collected = text.lines().find_map(|l| l.split_once("Collected :")?.1.trim().parse().ok());
    collected.with_context(|| format!("callgrind did not say what it collected: {text}"))
}

/// The join that the README shows, and every column, as DuckDB reads them.
const QUERY: &str = r#"
import sys, duckdb

def one(query):
    return duckdb.connect().execute(query).fetchall()[0]

a, b, packets = sys.argv[1], sys.argv[2], int(sys.argv[3])
rows, first, last, streams, distinct, lengths = one(f"""
    SELECT count(*), min(frame), max(frame), count(DISTINCT stream), count(DISTINCT (src, src_port, dst, dst_port, ttl, src_mac)), sum(len)
    FROM '{a}'""")
assert (rows, first, last) == (packets, 1, packets), (rows, first, last)
assert streams == distinct > 100, (streams, distinct)
assert lengths > packets, lengths
joined, ttl, same, later = one(f"""
    SELECT count(*), avg(abs(a.ttl::INTEGER - b.ttl)), bool_and(a.src = b.src AND a.dst_port = b.dst_port AND a.protocol = 'tcp'), max(abs(b.time_ns - a.time_ns))
    FROM '{a}' a JOIN '{b}' b USING (ident) WHERE ident <> 0""")
assert (joined, ttl, same, later) == (packets, 1, True, 20000), (joined, ttl, same, later)
print(f"DuckDB {duckdb.__version__}: {joined} packets joined")
"#;

/// `Ok(None)`: DuckDB reads digests and joins them; a text says why that was not tried.
pub(crate) fn duckdb() -> Result<Option<String>> {
    let python = match crate::setup::python_with_duckdb() {
        Ok(python) => python,
        Err(error) => return Ok(Some(format!("{error:#}"))),
    };
    let command = hopscope(true)?;
    // More than a row group, so that there are two.
    let wanted = Wanted { packets: 150_000, conversations: 100, points: 2, snaplen: 96 };
    let mut digests: Vec<PathBuf> = Vec::new();
    for file in wanted.make(&scratch().join("budget"))? {
        let digest = file.with_extension("pcap.parquet");
        let status = Command::new(&command).arg("digest").arg(&file).arg("-o").arg(&digest).status()?;
        ensure!(status.success(), "hopscope digest failed");
        digests.push(digest);
    }
    let status = python.command().args(["-c", QUERY]).args(&digests).arg(wanted.packets.to_string()).status()?;
    ensure!(status.success(), "DuckDB does not read the digests as it should");
    Ok(None)
}
