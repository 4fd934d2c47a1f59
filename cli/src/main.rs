//! The `hopscope` command: files in, report out. Knows the file system, the terminal and the processor's threads;
//! must not know networks (the engine does).

mod inputs;
mod output;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use hopscope::analysis::analyze_packed;
use hopscope::digest::Rate;
use hopscope::ingest::{DIGEST_SUFFIX, Data, Ingested};
use hopscope::packed::PackedReport;
use hopscope::report::{Report, Status};
use hopscope::sample::PACKET_BYTES;

use crate::output::{Format, Output, When};

/// Finds one packet in many captures and shows the way that it took.
#[derive(Debug, Parser)]
#[command(name = "hopscope", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Analyze(Analyze),
    Render(Render),
    Collect(Collect),
    Digest(Digest),
}

/// Read captures and inventories, and report every path that they show.
#[derive(Debug, Args)]
#[command(after_long_help = ANALYZE_EXAMPLES)]
struct Analyze {
    /// Captures, inventories (kubectl, aws, ip, iptables …) and archives of them: files, folders (read recursively,
    /// without hidden files), or `-` for standard input.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    sampling: Sampling,
    #[command(flatten)]
    shown: Shown,
    /// Say on standard error how long reading, analysing and writing took, and the most memory that was in use.
    #[arg(long)]
    timings: bool,
}

/// Write all that the analysis keeps of a capture as a Parquet file: small, without payload, read by `analyze` and the page like
/// the capture itself, and by databases as a table.
#[derive(Debug, Args)]
#[command(after_long_help = DIGEST_EXAMPLES)]
struct Digest {
    /// The capture (it may be compressed), or `-` for standard input.
    #[arg(value_name = "CAPTURE")]
    capture: PathBuf,
    #[command(flatten)]
    sampling: Sampling,
    /// Write to this file; else to the capture's name with `.parquet` behind.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What to do where captures are larger than memory.
#[derive(Clone, Copy, Debug, Args)]
struct Sampling {
    /// Let packets take so much memory at most (500M, 2G; K, M and G are powers of 1024): of captures with more packets, the same 1 in 2,
    /// 1 in 4 … is examined at every capture point. What is missing and delays are then estimates, and the report says so.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,
    /// Examine only 1 in N packets from the beginning (N or 1/N, rounded up to a power of two).
    #[arg(long, value_name = "1/N", value_parser = one_in)]
    sample: Option<Rate>,
}

impl Sampling {
    /// How many packets fit.
    fn most(self) -> u64 {
        self.memory.map_or(u64::MAX, |bytes| bytes / PACKET_BYTES)
    }

    fn rate(self) -> Rate {
        self.sample.unwrap_or(Rate::ALL)
    }
}

fn size(text: &str) -> Result<u64, String> {
    let text = text.trim().trim_end_matches(['b', 'B']).trim_end_matches('i');
    let scale = match text.chars().last().map(|c| c.to_ascii_uppercase()) {
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some('T') => 40,
        _ => 0,
    };
    let number = if scale > 0 { text.get(..text.len() - 1).unwrap_or_default() } else { text };
    let bytes = number.trim().parse::<u64>().ok().and_then(|n| n.checked_mul(1 << scale)).filter(|n| *n > 0);
    bytes.ok_or_else(|| "a size is a number with K, M or G behind it, such as 2G".to_owned())
}

fn one_in(text: &str) -> Result<Rate, String> {
    let n = text.strip_prefix("1/").unwrap_or(text).parse::<u64>().ok().filter(|n| *n > 0);
    n.map(Rate::one_in).ok_or_else(|| "a rate is 1/N or N, such as 1/16".to_owned())
}

/// Show a saved JSON report again, in any format.
#[derive(Debug, Args)]
#[command(after_long_help = RENDER_EXAMPLES)]
struct Render {
    /// A report that `hopscope analyze --format json` wrote, or `-` for standard input.
    #[arg(value_name = "REPORT")]
    report: PathBuf,
    #[command(flatten)]
    shown: Shown,
}

/// Print the commands that collect everything worth analysing. Runs none of them; each only reads.
#[derive(Debug, Args)]
#[command(after_long_help = COLLECT_EXAMPLES)]
struct Collect {
    /// The pod that sends, captured inside as well as on its node.
    #[arg(long, value_name = "NAMESPACE/NAME")]
    pod: Option<String>,
    /// The pod that should receive, likewise.
    #[arg(long, value_name = "NAMESPACE/NAME", requires = "pod")]
    to: Option<String>,
    /// A node to look at (may be given several times).
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,
}

/// What both commands say about their output.
#[derive(Debug, Args)]
struct Shown {
    /// What to write.
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Only this path (its id in the report, such as p1).
    #[arg(long, value_name = "ID")]
    path: Option<String>,
    /// Give every address and name a pseudonym, the same everywhere in the report, so that it can be shared. Times, ports, lengths and TTLs stay.
    #[arg(long)]
    redact: bool,
    /// Make the pseudonyms from this secret: reports with the same one have the same pseudonyms. Without it they follow from the report's content.
    #[arg(long, value_name = "SECRET", requires = "redact")]
    redact_key: Option<String>,
    /// Write to this file and not to standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Colours in text.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    color: When,
}

const ANALYZE_EXAMPLES: &str = "\
Examples:
  hopscope analyze captures/ inventory/        everything in two folders, as text
  hopscope analyze eks-logs.tar.gz *.pcap      archives are read as the files in them
  hopscope analyze --format json . > report.json
  hopscope analyze --memory 2G captures/       of more packets than fit into 2 GiB, a sample
  hopscope analyze --format svg --path p1 -o p1.svg .
  hopscope analyze --redact --format html -o report.html .    to show to others
  ssh node1 sudo tcpdump -c 100 -w - -i any | hopscope analyze - pods.json

Exit status:
  0  analysed, nothing rejected
  1  analysed, and some input was rejected or read only in part (named on standard error)
  2  nothing could be read, or the arguments are wrong";

const COLLECT_EXAMPLES: &str = "\
Examples:
  hopscope collect
  hopscope collect --pod shop/orders-0 --to shop/payments-0
  hopscope collect --node ip-192-168-34-143.ec2.internal";

const DIGEST_EXAMPLES: &str = "\
Examples:
  hopscope digest node1-eth0.pcap                        writes node1-eth0.pcap.parquet
  sudo tcpdump -i eth0 -w - -c 1000000 | hopscope digest - -o node1-eth0.pcap.parquet
  hopscope analyze *.parquet inventory/                  the same report as with the captures
  duckdb -c \"SELECT src, dst, count(*) FROM 'node1-eth0.pcap.parquet' GROUP BY ALL\"";

const RENDER_EXAMPLES: &str = "\
Examples:
  hopscope render report.json
  hopscope render --format svg --path p1 -o p1.svg report.json";

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Analyze(args) => run_analyze(&args),
        Command::Render(args) => run_render(&args),
        Command::Collect(args) => run_collect(args),
        Command::Digest(args) => run_digest(&args),
    };
    result.unwrap_or_else(|fault| {
        eprintln!("hopscope: {}", hopscope::views::escape::inert(&fault.to_string()));
        ExitCode::from(NOTHING)
    })
}

/// Exit status: some input was rejected or read only in part.
const SOME: u8 = 1;
/// Exit status: nothing could be read, or the arguments are wrong.
const NOTHING: u8 = 2;

/// Why a command stopped, for a person; the sensitive part (a path) stands last.
type Fault = String;

fn run_analyze(args: &Analyze) -> Result<ExitCode, Fault> {
    let output = Output::new(args.shown.format, args.shown.output.as_deref(), args.shown.color, args.shown.path.as_deref());
    let (start, worked) = (Instant::now(), processor_time());
    let ingested = inputs::read(&args.paths, args.sampling.most(), args.sampling.rate())?;
    let read = start.elapsed();
    let worked = processor_time().zip(worked).map(|(after, before)| after.saturating_sub(before));
    let status = complain(&ingested)?;
    let start = Instant::now();
    let report = analyze_packed(&ingested);
    let analysed = start.elapsed();
    let start = Instant::now();
    output.write(chosen(shareable(report, &args.shown), args.shown.path.as_deref())?)?;
    if args.timings {
        let packets: u64 = ingested.iter().map(|i| if let Data::Capture(digest) = &i.data { u64::from(digest.len()) } else { 0 }).sum();
        let [read, analysed, written] = [read, analysed, start.elapsed()].map(|t| t.as_secs_f64());
        eprintln!("packets {packets}\nread {read:.3} s\nanalysed {analysed:.3} s\nwritten {written:.3} s");
        if let Some(worked) = worked {
            eprintln!("read_processor {:.4} s", worked.as_secs_f64());
        }
        if let Some(peak) = peak_memory() {
            eprintln!("peak {peak} kB");
        }
    }
    Ok(ExitCode::from(status))
}

/// The most memory that this process had at once, in kB, where the system says so (Linux, `proc(5)`).
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok())
}

/// Processor time of this process's threads, where the system tells it to the nanosecond (Linux, `Documentation/scheduler/sched-stats.rst`).
fn processor_time() -> Option<Duration> {
    let mut sum = 0;
    for thread in std::fs::read_dir("/proc/self/task").ok()? {
        let line = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        sum += line.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(sum))
}

/// Says on standard error what of the inputs was not read, and gives the exit status that follows.
fn complain(ingested: &[Ingested]) -> Result<u8, Fault> {
    let mut read_any = false;
    let mut status = 0;
    for input in ingested {
        read_any |= input.status != Status::Rejected;
        let outcome = match input.status {
            Status::Ok => continue,
            Status::Partial => "read only in part",
            Status::Rejected => "rejected",
        };
        status = SOME;
        let why = input.message.as_deref().unwrap_or("its format is not known");
        eprintln!("hopscope: {}: {outcome}: {}", hopscope::views::escape::inert(&input.name), hopscope::views::escape::inert(why));
    }
    if read_any { Ok(status) } else { Err("nothing could be read".to_owned()) }
}

fn run_digest(args: &Digest) -> Result<ExitCode, Fault> {
    let place = match (&args.output, args.capture.as_path()) {
        (Some(place), _) => place.clone(),
        (None, path) if path == Path::new("-") => return Err("where to? standard input has no name: give one with -o".to_owned()),
        (None, path) => PathBuf::from(format!("{}{DIGEST_SUFFIX}", path.display())),
    };
    let ingested = inputs::read(std::slice::from_ref(&args.capture), args.sampling.most(), args.sampling.rate())?;
    let status = complain(&ingested)?;
    let mut captures = ingested.iter().filter(|i| matches!(i.data, Data::Capture(_)));
    let capture = match (captures.next(), captures.next()) {
        (Some(one), None) => one,
        (None, _) => return Err(format!("no capture: {}", args.capture.display())),
        (Some(_), Some(_)) => return Err(format!("more than one capture; unpack them first: {}", args.capture.display())),
    };
    let fault = |e: io::Error| format!("{e}: {}", place.display());
    let mut file = BufWriter::new(File::create(&place).map_err(fault)?);
    let mut written = Ok(());
    capture.write_digest(&mut |bytes| {
        if written.is_ok() {
            written = file.write_all(bytes);
        }
    });
    written.and_then(|()| file.flush()).map_err(fault)?;
    Ok(ExitCode::from(status))
}

fn run_render(args: &Render) -> Result<ExitCode, Fault> {
    let output = Output::new(args.shown.format, args.shown.output.as_deref(), args.shown.color, args.shown.path.as_deref());
    let bytes = inputs::read_whole(&args.report)?;
    let report: Report = serde_json::from_slice(&bytes).map_err(|e| format!("not a Hopscope report ({e}): {}", args.report.display()))?;
    if report.schema != hopscope::report::SCHEMA {
        let schema = hopscope::views::escape::inert(&report.schema);
        return Err(format!(
            "a report of version {} is needed, this one says {schema}: {}",
            hopscope::report::SCHEMA,
            args.report.display()
        ));
    }
    output.write(chosen(shareable(report.into(), &args.shown), args.shown.path.as_deref())?)?;
    Ok(ExitCode::SUCCESS)
}

fn run_collect(args: Collect) -> Result<ExitCode, Fault> {
    let target = hopscope::views::collect::Target { pods: args.pod.into_iter().chain(args.to).collect(), nodes: args.node };
    output::print(&hopscope::views::collect::script(&target))?;
    Ok(ExitCode::SUCCESS)
}

/// The report as it is, or with pseudonyms.
fn shareable(report: PackedReport, shown: &Shown) -> PackedReport {
    if !shown.redact {
        return report;
    }
    let report = Report::from(report);
    let key = shown.redact_key.clone().unwrap_or_else(|| hopscope::redact::key_of(&report));
    hopscope::redact::redact(&report, &key).into()
}

/// The whole report, or the one path that the person asked for.
fn chosen(report: PackedReport, path: Option<&str>) -> Result<PackedReport, Fault> {
    let Some(id) = path else { return Ok(report) };
    let count = report.paths.len();
    let (first, last) = (report.paths.get(0), report.paths.get(count.saturating_sub(1)));
    report.only_path(id).ok_or_else(|| match (first, last) {
        (Some(first), Some(last)) if count > 1 => {
            format!("the report has paths {} to {}, and no path {id}", first.id, last.id)
        }
        (Some(only), _) => format!("the report has one path, {}, and no path {id}", only.id),
        _ => format!("the report has no paths, so no path {id}"),
    })
}
