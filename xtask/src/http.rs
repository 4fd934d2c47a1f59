//! A small web server for one folder, on this machine's loopback address only.
//! Knows HTTP/1.1's GET and HEAD; must not know what it serves.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

/// A server that has its port and answers once [`Server::run`] is called.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    folder: Arc<PathBuf>,
}

impl Server {
    /// Bind to `port` on 127.0.0.1; 0 takes any that is free.
    pub(crate) fn bind(folder: &Path, port: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| format!("could not listen on 127.0.0.1:{port}"))?;
        Ok(Self { listener, folder: Arc::new(folder.to_path_buf()) })
    }

    /// The port that it has.
    pub(crate) fn port(&self) -> Result<u16> {
        Ok(self.listener.local_addr()?.port())
    }

    /// Answer, each connection in a thread of its own, until the program ends.
    pub(crate) fn run(&self) {
        for stream in self.listener.incoming().flatten() {
            let folder = Arc::clone(&self.folder);
            // A browser that goes away in the middle is no reason to say anything.
            std::thread::spawn(move || drop(connection(&stream, &folder)));
        }
    }
}

/// Longest request head that is read.
const HEAD_LIMIT: u64 = 64 * 1024;

fn connection(stream: &TcpStream, folder: &Path) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = reader.by_ref().take(HEAD_LIMIT);
        let mut request = String::new();
        if head.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let (mut close, mut local) = (false, false);
        loop {
            let mut header = String::new();
            if head.read_line(&mut header)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = header.trim_end().split_once(':') else { break };
            match name.to_ascii_lowercase().as_str() {
                "connection" => close = value.trim().eq_ignore_ascii_case("close"),
                "host" => local = is_local(value.trim()),
                _ => {}
            }
        }
        let answer = if local { answer(&request, folder) } else { Answer::text(403, "This server is for this machine only.\n") };
        let mut out = stream;
        out.write_all(answer.head().as_bytes())?;
        if !request.starts_with("HEAD ") {
            out.write_all(&answer.body)?;
        }
        out.flush()?;
        if close {
            return Ok(());
        }
    }
}

/// A name for this machine. Another site's name that points here (DNS rebinding) gets nothing.
fn is_local(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost")
}

#[derive(Debug)]
struct Answer {
    status: u16,
    mime: &'static str,
    body: Vec<u8>,
}

impl Answer {
    fn text(status: u16, text: &str) -> Self {
        Self { status, mime: "text/plain; charset=utf-8", body: text.as_bytes().to_vec() }
    }

    fn head(&self) -> String {
        let reason = match self.status {
            200 => "OK",
            403 => "Forbidden",
            404 => "Not Found",
            _ => "Method Not Allowed",
        };
        // no-cache: the browser asks again each time, so that a rebuilt page is never mixed with an old one.
        format!(
            "HTTP/1.1 {} {reason}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\nX-Content-Type-Options: nosniff\r\n\r\n",
            self.status,
            self.mime,
            self.body.len()
        )
    }
}

fn answer(request: &str, folder: &Path) -> Answer {
    let mut words = request.split_whitespace();
    let (Some("GET" | "HEAD"), Some(target)) = (words.next(), words.next()) else {
        return Answer::text(405, "Only GET and HEAD.\n");
    };
    let Some(path) = file_of(target, folder) else { return Answer::text(404, "Not found.\n") };
    match fs::read(&path) {
        Ok(body) => Answer { status: 200, mime: mime(&path), body },
        Err(_) => Answer::text(404, "Not found.\n"),
    }
}

/// The file that a request's target names; `None` for whatever would lead out of the folder.
fn file_of(target: &str, folder: &Path) -> Option<PathBuf> {
    let path = target.split(['?', '#']).next()?;
    let relative = PathBuf::from(percent_decoded(path)?.trim_start_matches('/'));
    if !relative.components().all(|c| matches!(c, Component::Normal(_))) {
        return None;
    }
    let file = folder.join(relative);
    Some(if file.is_dir() { file.join("index.html") } else { file })
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().filter(|s| !s.contains('\0'))
}

/// The media type by the name's ending. Browsers compile WebAssembly from a stream, and run module scripts, only with the right one.
fn mime(path: &Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn nothing_outside_the_folder_has_a_name() {
        let folder = Path::new("/site");
        assert_eq!(file_of("/a%20b.js?x=1", folder), Some(PathBuf::from("/site/a b.js")));
        for outside in ["/../secret", "/%2e%2e/secret", "/a/../../secret", "//etc/../..", "/%zz", "/%00"] {
            assert_eq!(file_of(outside, folder), None, "{outside}");
        }
        assert_eq!(file_of("//etc/passwd", folder), Some(PathBuf::from("/site/etc/passwd")));
    }

    #[test]
    fn a_connection_is_answered_more_than_once_and_only_for_this_machine() {
        let folder = std::env::temp_dir().join(format!("hopscope-http-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("index.html"), "<p>here").unwrap();
        fs::write(folder.join("e.wasm"), b"\0asm").unwrap();
        let server = Server::bind(&folder, 0).unwrap();
        let port = server.port().unwrap();
        std::thread::spawn(move || server.run());
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let mut requests = String::new();
        for (line, host) in [
            ("GET / HTTP/1.1", "127.0.0.1"),
            ("GET /e.wasm HTTP/1.1", "localhost:1"),
            ("HEAD / HTTP/1.1", "127.0.0.1"),
            ("GET /none HTTP/1.1", "127.0.0.1"),
            ("POST / HTTP/1.1", "127.0.0.1"),
            ("GET / HTTP/1.1\r\nConnection: close", "rebound.example"),
        ] {
            requests.push_str(&format!("{line}\r\nHost: {host}\r\n\r\n"));
        }
        stream.write_all(requests.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let answers: Vec<&str> = text.split("HTTP/1.1 ").skip(1).collect();
        let statuses: Vec<&str> = answers.iter().map(|a| &a[..3]).collect();
        assert_eq!(statuses, ["200", "200", "200", "404", "405", "403"]);
        assert!(answers[0].ends_with("\r\n\r\n<p>here") && answers[0].contains("text/html"));
        assert!(answers[1].contains("application/wasm"));
        assert!(answers[2].ends_with("\r\n\r\n"));
    }
}
