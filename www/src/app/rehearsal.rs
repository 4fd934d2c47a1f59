//! The page draws each of its parts once before anything is given, out of sight, from a report that the analyst makes up.
//! What is done for the first time takes browsers ten times as long: compiling, looking for fonts, laying out. While a large file is
//! being read, looking for fonts alone would take half a second, for it waits for the process that hands out the file.

use std::cell::Cell;

use gloo_timers::future::TimeoutFuture;
use js_sys::Promise;
use leptos::html::{div, p};
use leptos::mount::mount_to;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;

use super::state::{App, Focus, InputRow, Live, Tab};
use super::{conversations, inputs, lists, path};
use crate::host;
use crate::protocol::{Found, FromWorker, Overview};

/// Between two parts, so that whatever the person does comes first.
const PAUSE_MS: u32 = 60;

/// What is written in the page's kinds of letters, by element and class: those of the lists, of tables, of the picture.
const LETTERS: [&[&str]; 4] = [
    &["badge", "protocol", "end-port", "heading", "input-what"],
    &["about", "owner", "interface", "number", "input-name"],
    &["mono", "kind", "chip", "number-badge", "next"],
    &["source", "message", "state", "brand", "through"],
];
const PICTURE_LETTERS: [&str; 5] = ["caption", "name", "address", "remark", "mark"];
/// What is in no font that has the usual letters.
const SIGNS: &str = "a1→−·…±µ✕⤢";

/// A frame: fonts are looked for as it is laid out.
const FRAME_MS: u32 = 16;

/// So long is waited for the fonts, at most: a window that nobody sees has no frames.
const LETTERS_MS: f64 = 400.0;

thread_local! {
    static ARE_LETTERS_KNOWN: Cell<bool> = const { Cell::new(false) };
}

/// Waits until the fonts have been looked for. Nothing that makes a browser compile may begin before: from then on the page would wait for
/// each font until the compiler has a thread to spare.
pub async fn letters_known() {
    let begun = js_sys::Date::now();
    while !ARE_LETTERS_KNOWN.get() && js_sys::Date::now() - begun < LETTERS_MS {
        TimeoutFuture::new(FRAME_MS).await;
    }
}

/// Looks for the fonts, a few in each frame, as soon as the page is there: a file may come before the rehearsal.
pub fn letters() {
    spawn_local(async move {
        TimeoutFuture::new(FRAME_MS).await;
        let Ok((host, stage)) = host::stage() else { return ARE_LETTERS_KNOWN.set(true) };
        let mut written = Vec::new();
        for classes in LETTERS {
            written.push(mount_to(stage.clone(), move || {
                classes.iter().map(|class| p().class(*class).child(SIGNS)).collect_view().into_any()
            }));
            TimeoutFuture::new(FRAME_MS).await;
        }
        written.push(mount_to(stage, || {
            let texts = PICTURE_LETTERS.map(|class| leptos::svg::text().attr("class", class).child(SIGNS)).collect_view();
            div().class("picture").child(leptos::svg::svg().child(texts)).into_any()
        }));
        frame().await;
        TimeoutFuture::new(FRAME_MS).await;
        drop(written);
        host.remove();
        ARE_LETTERS_KNOWN.set(true);
    });
}

/// Has the analyst make up a report, soon after the engine has come.
pub fn begin(app: App) {
    spawn_local(async move {
        TimeoutFuture::new(PAUSE_MS).await;
        app.pool.update_value(|pool| pool.rehearse(app));
    });
}

/// Draws everything from that report, a part at a time, until there is something real to show.
pub fn go_on(app: App, overview: Overview) {
    spawn_local(async move {
        if app.is_in_use() {
            return app.pool.with_value(super::pool::Pool::rehearsed);
        }
        let Ok((host, stage)) = host::stage() else { return app.pool.with_value(super::pool::Pool::rehearsed) };
        // It is never disposed of: what is asked may be answered whenever it will.
        let owner = Owner::new();
        let understudy = owner.with(|| {
            let understudy = app.understudy();
            understudy.connect();
            understudy
        });
        std::mem::forget(owner);
        let mut drawn = Vec::new();
        let names: Vec<String> = overview.inputs.iter().map(|input| input.name.clone()).collect();
        let mut overview = Some(overview);
        for scene in 0..9 {
            TimeoutFuture::new(PAUSE_MS).await;
            if app.is_in_use() {
                break;
            }
            let mut show = |part: fn(App) -> AnyView| drawn.push(mount_to(stage.clone(), move || part(understudy)));
            match scene {
                0 => show(inputs::inputs),
                1 => {
                    for (key, name) in (0..).zip(&names) {
                        let live = RwSignal::new(Live::begun());
                        understudy.inputs.update(|all| all.push(InputRow { key, name: name.as_str().into(), bytes: 2, live }));
                    }
                }
                2 => show(conversations::conversations),
                3 => {
                    show(lists::lists);
                    if let Some(overview) = overview.take() {
                        understudy.report(overview, None, true);
                    }
                }
                4 => show(path::hops),
                5 => show(path::path),
                6 => {
                    for (key, name) in (0..).zip(&names) {
                        let found = Found { name: name.clone(), kind: "pcap".to_owned(), ..Found::default() };
                        understudy.hear(FromWorker::Read { key, found: vec![found], took_ms: 1 });
                    }
                    understudy.look_at(Focus::Hop(0, 0));
                }
                7 => understudy.tab.set(Tab::Points),
                _ => understudy.is_map.set(true),
            }
        }
        // What the parts have asked is answered, and what they do in the next frame is done, before they go. (A window that nobody sees
        // has no frames.)
        while app.pool.with_value(super::pool::Pool::is_asked) {
            TimeoutFuture::new(PAUSE_MS).await;
        }
        for _ in 0..2 {
            frame().await;
            TimeoutFuture::new(PAUSE_MS).await;
        }
        drop(drawn);
        host.remove();
        app.pool.with_value(super::pool::Pool::rehearsed);
    });
}

async fn frame() {
    let next = Promise::new(&mut |resolve, _| {
        request_animation_frame(move || {
            let _ = resolve.call0(&JsValue::NULL);
        });
    });
    let _ = JsFuture::from(next).await;
}
