//! `cargo xtask serve`: the built page in this machine's browser.
//! Knows ports and browsers; must not know the page.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::build;
use crate::http::Server;
use crate::sh::{Run, find_program, program, say, seconds};

/// The first port that is tried when none is asked for, and how many after it.
const PORTS: std::ops::Range<u16> = 8311..8331;

/// Build the page and serve it until the program is stopped.
pub(crate) fn serve(port: Option<u16>, open: bool) -> Result<()> {
    let start = Instant::now();
    let page = build::site()?;
    let server = match port {
        Some(port) => Server::bind(&page.folder, port)?,
        None => match PORTS.clone().find_map(|port| Server::bind(&page.folder, port).ok()) {
            Some(server) => server,
            None => bail!("every port from {} to {} is taken; choose one with --port", PORTS.start, PORTS.end - 1),
        },
    };
    let url = format!("http://127.0.0.1:{}/", server.port()?);
    say("");
    say(&format!("Ready in {}. Hopscope is at {url}", seconds(start.elapsed())));
    say("The founding example is one click away there. Nothing that you drop leaves this machine. Ctrl+C ends.");
    if open {
        open_browser(&url);
    }
    server.run();
    Ok(())
}

/// Best effort: the URL stands on the screen anyway.
fn open_browser(url: &str) {
    let has_screen = cfg!(target_os = "macos") || std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some();
    if std::env::var_os("CI").is_some() || !has_screen {
        return;
    }
    if let Some(opener) = find_program(&["xdg-open", "open"]) {
        let _ = program(opener).arg(url).succeeds();
    }
}
