//! The page. Shows what the workers say and passes on what the person does; computes nothing that takes time.
//!
//! `state` is what is known, `pool` runs the workers, `gather` takes what the person gives; the other modules are the
//! parts of the screen. Everything from an input is shown as text: no part of the page parses markup.

mod conversations;
mod corrections;
mod evidence;
mod gather;
mod inputs;
mod lists;
mod map;
mod pairs;
mod path;
mod picture;
mod pool;
mod rehearsal;
mod scroll;
mod session;
mod shell;
mod start;
mod state;
mod ui;
mod viewport;

use js_sys::{Promise, Reflect};
use leptos::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

/// Starts the page: fills the body, listens for drops, pastes and keys.
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        ui::show_fault(&info.to_string());
        console_error_panic_hook::hook(info);
    }));
    leptos::mount::mount_to_body(|| {
        let app = state::App::new();
        provide_context(app);
        app.connect();
        app.keep_address();
        app.bring_engine();
        offer_report(app);
        rehearsal::letters();
        gather::listen(app);
        shell::shell(app)
    });
}

/// `hopscopeReport()` gives a promise of the report's JSON: for tests, and for the console of whoever wants the document itself.
fn offer_report(app: state::App) {
    let give = Closure::<dyn Fn() -> Promise>::new(move || {
        wasm_bindgen_futures::future_to_promise(async move {
            let report = app.export(crate::protocol::Form::Json, None, false).await;
            report.map(|(text, _, _)| JsValue::from_str(&text)).map_err(|why| JsValue::from_str(&why))
        })
    });
    let _ = Reflect::set(&window(), &JsValue::from_str("hopscopeReport"), give.as_ref());
    // It lives as long as the page.
    give.forget();
}
