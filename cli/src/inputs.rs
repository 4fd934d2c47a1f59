//! Paths as the person gave them → ingested inputs. Knows files, folders and standard input; not what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hopscope::digest::Rate;
use hopscope::ingest::{Ingest, Ingested};
use hopscope::report::Status;
use hopscope::sample::{Shares, fit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};
use walkdir::WalkDir;

use crate::Fault;

/// Everything that `paths` name, read; of captures with more than `most` packets in all, a sample. A file that cannot be read is a rejected input, not a fault.
///
/// # Errors
/// When the paths name no file at all.
pub(crate) fn read(paths: &[PathBuf], most: u64, rate: Rate) -> Result<Vec<Ingested>, Fault> {
    let sources = sources(paths);
    if sources.is_empty() {
        let named: Vec<String> = paths.iter().map(|p| slashed(p)).collect();
        return Err(format!("no files to read in {}", named.join(", ")));
    }
    let bar = progress(&sources);
    let pool = Mutex::new(Pool { shares: Shares::new(most, rate), read: BTreeMap::new() });
    // Each file is its own unit of work: the engine's result does not depend on who finishes first.
    sources.par_iter().enumerate().for_each(|(n, s)| {
        let read = ingest(n, s, &bar, &pool);
        hold(&pool, |pool| pool.done(n, read));
    });
    bar.finish_and_clear();
    let Pool { shares, read } = pool.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut found: Vec<Ingested> = read.into_values().flatten().collect();
    fit(&mut found, most, shares.rate());
    Ok(found)
}

/// What all that read share: how much each holds, and what has been read, which is thinned out with the rest.
struct Pool {
    shares: Shares,
    read: BTreeMap<usize, Vec<Ingested>>,
}

impl Pool {
    /// The rate that file number `n`, now with so many packets, has to be thinned out to.
    fn hold(&mut self, n: usize, rate: Rate, kept: u64) -> Rate {
        loop {
            let before = self.shares.rate();
            let now = self.shares.hold(n, rate, kept);
            if now == before {
                return now;
            }
            for (other, read) in &mut self.read {
                read.iter_mut().for_each(|one| one.sample(now));
                self.shares.hold(*other, now, read.iter().map(Ingested::kept).sum());
            }
        }
    }

    fn done(&mut self, n: usize, mut read: Vec<Ingested>) {
        let mut rate = self.shares.rate();
        loop {
            read.iter_mut().for_each(|one| one.sample(rate));
            let now = self.hold(n, rate, read.iter().map(Ingested::kept).sum());
            if now == rate {
                break;
            }
            rate = now;
        }
        self.read.insert(n, read);
    }
}

fn hold<T>(pool: &Mutex<Pool>, with: impl FnOnce(&mut Pool) -> T) -> T {
    with(&mut pool.lock().unwrap_or_else(PoisonError::into_inner))
}

/// One file's bytes, or standard input's for `-`.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read_whole(path: &Path) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    let read = open(path).and_then(|mut f| f.read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|e| format!("{e}: {}", path.display()))
}

/// One input to read.
#[derive(Debug)]
struct Source {
    /// What the report calls it.
    name: String,
    place: Place,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    /// Found, but not to be opened: the reason.
    Unreadable(String),
}

/// The files behind `paths`, in order, each once.
fn sources(paths: &[PathBuf]) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut known = BTreeSet::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut sources, &mut known);
        } else if is_new(path, &mut known) {
            sources.push(Source { name: slashed(path), place: Place::File(path.clone()) });
        }
    }
    sources
}

fn walk(folder: &Path, sources: &mut Vec<Source>, known: &mut BTreeSet<PathBuf>) {
    let is_hidden = |e: &walkdir::DirEntry| e.depth() > 0 && e.file_name().to_string_lossy().starts_with('.');
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter().filter_entry(|e| !is_hidden(e)) {
        match entry {
            Ok(e) if e.file_type().is_file() => {
                if is_new(e.path(), known) {
                    sources.push(Source { name: slashed(e.path()), place: Place::File(e.into_path()) });
                }
            }
            // Folders come by themselves; sockets and pipes inside a folder are not evidence that anyone laid there.
            Ok(_) => {}
            // A folder that links to one of its own parents repeats what is read already.
            Err(e) if e.loop_ancestor().is_some() => {}
            Err(e) => {
                let name = e.path().map_or_else(|| slashed(folder), slashed);
                let why = e.io_error().map_or_else(|| "cannot be read".to_owned(), ToString::to_string);
                sources.push(Source { name, place: Place::Unreadable(why) });
            }
        }
    }
}

/// A file named twice (`.` and `./a.pcap`) would look like two captures that agree in everything.
fn is_new(path: &Path, known: &mut BTreeSet<PathBuf>) -> bool {
    known.insert(path.canonicalize().unwrap_or_else(|_| path.to_path_buf()))
}

/// The path as given, with `/` between folders on every system.
fn slashed(path: &Path) -> String {
    let name = path.to_string_lossy();
    if std::path::MAIN_SEPARATOR == '/' { name.into_owned() } else { name.replace(std::path::MAIN_SEPARATOR, "/") }
}

/// Large enough that system calls do not show, small enough that what was read still lies in the processor's cache.
const CHUNK: usize = 1 << 17;

fn ingest(number: usize, source: &Source, bar: &ProgressBar, pool: &Mutex<Pool>) -> Vec<Ingested> {
    let mut ingest = Ingest::new(&source.name);
    let read = match &source.place {
        Place::Unreadable(why) => Err(why.clone()),
        Place::File(path) => push_all(path, number, &mut ingest, bar, pool).map_err(|e| e.to_string()),
    };
    let mut ingested = ingest.finish();
    if let Err(why) = read {
        for i in &mut ingested {
            // What was read before the fault stays; a file that never opened gave nothing.
            i.status = if i.bytes > 0 && i.status != Status::Rejected { Status::Partial } else { Status::Rejected };
            i.message = Some(match &i.message {
                Some(m) if i.bytes > 0 => format!("{why}; {m}"),
                _ => why.clone(),
            });
        }
    }
    ingested
}

fn push_all(path: &Path, number: usize, ingest: &mut Ingest, bar: &ProgressBar, pool: &Mutex<Pool>) -> io::Result<()> {
    ingest.sample(hold(pool, |pool| pool.shares.rate()));
    let mut file = open(path)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                ingest.push(chunk.get(..n).unwrap_or_default());
                bar.inc(n as u64);
                loop {
                    let rate = hold(pool, |pool| pool.hold(number, ingest.rate(), ingest.kept()));
                    if rate <= ingest.rate() {
                        break;
                    }
                    ingest.sample(rate);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new("-") { Ok(Box::new(io::stdin().lock())) } else { Ok(Box::new(File::open(path)?)) }
}

/// A bar over all bytes, on a terminal only: in a log it would be noise.
fn progress(sources: &[Source]) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let size = |s: &Source| match &s.place {
        Place::File(path) => path.metadata().map_or(0, |m| m.len()),
        Place::Unreadable(_) => 0,
    };
    let bar = ProgressBar::with_draw_target(Some(sources.iter().map(size).sum()), ProgressDrawTarget::stderr());
    let style = "{bar:32} {bytes} of {total_bytes} ({bytes_per_sec})";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}
