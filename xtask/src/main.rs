//! `cargo xtask …`: everything that a person or CI does with this repository.
//! Knows the commands and their options; what each does stands in its own module.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)] // Those rules are the engine's.

mod bench;
mod budget;
mod build;
mod calibration;
mod captures;
mod captures_made;
mod cases;
mod fields;
mod fuzz;
mod http;
mod limits;
mod sbom;
mod serve;
mod setup;
mod sh;
mod site;
mod test;
mod tidy;
mod weight;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  serve [--port N] [--no-open]     set up, build the page, serve it on 127.0.0.1
  test [STEP...]                   set up, then everything that CI runs; or only the named steps
  cases [DIR] [--json] [--min X] [--mean X] [--with HOPSCOPE]
                                   analyse every case in DIR, score the reports against the truth and say how often sure claims are right
  captures DIR                     read every capture of a collection, and compare the counts with capinfos'
  fields DIR [--frames N] [--values N] [--examples N]
                                   read every frame of a collection, and compare its headers' fields with tshark's: at least N frames and values,
                                   99.9 % of which agree
  dist [--check]                   the site, the single HTML file and the npm package, with a bill of materials and checksums, into dist/;
                                   with --check all of it is built again elsewhere, and every byte must be the same
  bench [--packets N] [--conversations N] [--points N] [--runs N] [--no-micro] [--no-browser]
                                   how fast captures are read and joined, beside tcpdump, capinfos and tshark, and in Chromium and Firefox
                                   beside raw reading; writes BENCHMARKS.md
  fuzz [--seconds N]               every fuzz target for N seconds (60)
  setup                            only install what the other commands need
  tidy                             only the repository's own checks
  help                             this text

Every command does its own set-up and says how long each step took; what is there already is not done again.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whether what was asked for succeeded; an error when it could not be done at all.
fn run(arguments: &[String]) -> Result<bool> {
    let (command, rest) = arguments.split_first().map_or(("help", arguments), |(first, rest)| (first.as_str(), rest));
    let mut options = Options::new(rest);
    let done = match command {
        "serve" => {
            let port = options.number("--port")?;
            let open = !options.flag("--no-open");
            options.end()?;
            serve::serve(port, open)?;
            true
        }
        "test" => test::test(&options.words()?)?,
        "cases" => {
            let json = options.flag("--json");
            let min = options.value("--min")?;
            let mean = options.value("--mean")?;
            let with = options.value("--with")?;
            let directory = options.words()?;
            if directory.len() > 1 {
                bail!("cases takes one folder at most");
            }
            cases::cases(directory.first().map(String::as_str), json, min.as_deref(), mean.as_deref(), with.as_deref())?
        }
        "captures" => match options.words()?.as_slice() {
            [folder] => captures::captures(std::path::Path::new(folder))?,
            _ => bail!("captures takes one folder"),
        },
        "fields" => {
            let at_least =
                fields::AtLeast { frames: options.number("--frames")?.unwrap_or(1), values: options.number("--values")?.unwrap_or(1) };
            let examples = options.number("--examples")?.unwrap_or(3);
            match options.words()?.as_slice() {
                [folder] => fields::fields(std::path::Path::new(folder), at_least, examples)?,
                _ => bail!("fields takes one folder"),
            }
        }
        "dist" => {
            let check = options.flag("--check");
            options.end()?;
            build::dist()?;
            !check || build::is_reproducible()?
        }
        "bench" => {
            let mut number = |name: &str, usual: u64| Ok::<u64, anyhow::Error>(options.value(name)?.map_or(Ok(usual), |n| n.parse())?);
            let bench = bench::Options {
                packets: number("--packets", 1_000_000)?.max(4),
                conversations: number("--conversations", 1_000)?.max(1),
                points: number("--points", 4)?.clamp(1, 60),
                runs: usize::try_from(number("--runs", 5)?)?.max(1),
                with_micro: !options.flag("--no-micro"),
                with_browser: !options.flag("--no-browser"),
            };
            options.end()?;
            bench::bench(bench)?;
            true
        }
        "fuzz" => {
            let seconds = options.number("--seconds")?.unwrap_or(60);
            options.end()?;
            fuzz::fuzz(seconds)?
        }
        "setup" => {
            options.end()?;
            setup::everything()?
        }
        "tidy" => {
            options.end()?;
            tidy::tidy()?
        }
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            true
        }
        other => bail!("there is no command {other:?}\n\n{HELP}"),
    };
    Ok(done)
}

/// What stands after the command, taken out piece by piece.
#[derive(Debug)]
struct Options(Vec<String>);

impl Options {
    fn new(arguments: &[String]) -> Self {
        Self(arguments.to_vec())
    }

    fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|a| a != name);
        self.0.len() < before
    }

    /// The value of `--name VALUE` or `--name=VALUE`.
    fn value(&mut self, name: &str) -> Result<Option<String>> {
        let with_equals = format!("{name}=");
        let Some(at) = self.0.iter().position(|a| a == name || a.starts_with(&with_equals)) else { return Ok(None) };
        let argument = self.0.remove(at);
        if let Some(value) = argument.strip_prefix(&with_equals) {
            return Ok(Some(value.to_owned()));
        }
        if at < self.0.len() { Ok(Some(self.0.remove(at))) } else { bail!("{name} needs a value") }
    }

    fn number<T: std::str::FromStr>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.value(name)? else { return Ok(None) };
        text.parse().ok().with_context(|| format!("{name} needs a number, not {text:?}")).map(Some)
    }

    /// The arguments that are left, none of which may be an option.
    fn words(self) -> Result<Vec<String>> {
        match self.0.iter().find(|a| a.starts_with('-')) {
            Some(option) => bail!("unknown option {option}\n\n{HELP}"),
            None => Ok(self.0),
        }
    }

    fn end(self) -> Result<()> {
        match self.words()?.first() {
            Some(word) => bail!("unexpected argument {word:?}\n\n{HELP}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn options(words: &[&str]) -> Options {
        Options(words.iter().map(|w| (*w).to_owned()).collect())
    }

    #[test]
    fn options_are_taken_in_any_order_and_both_spellings() {
        let mut o = options(&["DIR", "--min", "0.5", "--mean=0.7", "--json"]);
        assert!(o.flag("--json"));
        assert_eq!(o.value("--min").unwrap().as_deref(), Some("0.5"));
        assert_eq!(o.value("--mean").unwrap().as_deref(), Some("0.7"));
        assert_eq!(o.words().unwrap(), ["DIR"]);
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        assert!(options(&["--port"]).number::<u16>("--port").is_err());
        assert!(options(&["--port", "high"]).number::<u16>("--port").is_err());
        assert!(options(&["--verbose"]).words().is_err());
        assert!(options(&["word"]).end().is_err());
    }
}
