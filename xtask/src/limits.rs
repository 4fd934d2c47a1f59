//! Texts that are too long for anybody, through the command line as it is shipped: they end soon, in bounded memory, with what they are too long for.
//! Knows how they are made and how much they may take; must not know how they are read.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::cases;
use crate::sh::{say, seconds};

const LINES: usize = 100_000_000;
/// Address space, with everything that a process reserves and never touches: half a gigabyte of text is held, and what is read of it.
const MOST_KIB: u32 = 3 << 20;
/// A busy machine takes ten times what an idle one does.
const LONGEST: Duration = Duration::from_secs(240);

/// A hundred million lines: of a packet each, of a table's row each, and of nothing that is known.
pub(crate) fn long_texts() -> Result<Option<String>> {
    if !cfg!(target_os = "linux") {
        return Ok(Some("memory is bounded by ulimit -v, which other systems do not have".to_owned()));
    }
    let hopscope = cases::hopscope(true)?;
    let row = "10.0.0.1 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n";
    let packet = "10:00:00.000001 IP 10.0.0.1.1 > 10.0.0.2.2: Flags [S], seq 1, win 1, length 0\n";
    for (line, said) in [("x\n", "only its first 10000000 lines were read"), (packet, "only its first 512 MiB were read")] {
        let start = Instant::now();
        let mut child = Command::new("sh")
            .args(["-c", &format!("ulimit -v {MOST_KIB} && exec \"$0\" analyze -")])
            .arg(&hopscope)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let chunk = line.repeat(100_000);
        let Some(mut to) = child.stdin.take() else { bail!("no standard input") };
        to.write_all(row.as_bytes())?;
        for _ in 0..LINES / 100_000 {
            to.write_all(chunk.as_bytes())?;
        }
        drop(to);
        let output = child.wait_with_output()?;
        let messages = String::from_utf8_lossy(&output.stderr);
        let took = start.elapsed();
        say(&format!("{LINES} lines of {line:?}: {} in {}", output.status, seconds(took)));
        if output.status.code() != Some(1) || !messages.contains(said) || took > LONGEST {
            bail!("it was to say {said:?}, and said {messages}");
        }
    }
    Ok(None)
}
