//! The page. Shows what the workers say and passes on what the person does; computes nothing that takes time.
//!
//! `state` is what is known, `pool` runs the workers, `gather` takes what the person gives; the other modules are the
//! parts of the screen. Everything from an input is shown as text: no part of the page parses markup.

mod conversations;
mod evidence;
mod gather;
mod inputs;
mod lists;
mod path;
mod picture;
mod pool;
mod session;
mod shell;
mod start;
mod state;
mod ui;

use leptos::prelude::*;

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
        gather::listen(app);
        shell::shell(app)
    });
}
