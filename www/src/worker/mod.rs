//! A worker: waits for messages, reads files or answers about the report.
//! Knows the engine and the protocol; must not know how anything is shown.

mod analyst;
mod export;
mod reader;
mod rehearsal;
mod shown;
mod source;
mod unwrap;

use std::cell::RefCell;
use std::panic;

use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use crate::host;
use crate::protocol::{FromWorker, ToWorker};

/// Where this worker's words go.
#[derive(Clone, Debug)]
struct Out(DedicatedWorkerGlobalScope);

impl Out {
    /// Says something; buffers among `attached` move to the page rather than being copied.
    fn say(&self, head: &FromWorker, attached: &[JsValue]) {
        let (message, buffers) = host::message(head, attached);
        // Fails only for values that cannot be cloned, of which the protocol has none.
        let _ = self.0.post_message_with_transfer(&message, &buffers);
    }
}

/// Begins to listen. Returns at once; the worker lives until the page ends it.
pub fn start(scope: DedicatedWorkerGlobalScope) {
    let out = Out(scope.clone());
    let panic_out = scope.clone();
    panic::set_hook(Box::new(move |info| {
        let head = FromWorker::Panicked { message: info.to_string() };
        let _ = panic_out.post_message(&host::message(&head, &[]).0);
        console_error_panic_hook::hook(info);
    }));

    let analyst = RefCell::new(analyst::Analyst::new(out.clone()));
    let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
        let Some((head, message)) = host::open::<ToWorker>(&event.data()) else { return };
        let file = || message.get(1).dyn_into::<web_sys::File>().ok();
        match head {
            ToWorker::Read { key, name, room } => {
                if let Some(file) = file() {
                    wasm_bindgen_futures::spawn_local(reader::read(out.clone(), key, name, file, room));
                }
            }
            ToWorker::Prepare => reader::prepare(),
            ToWorker::Add { key, room, is_last } => analyst.borrow_mut().add(key, room, is_last, message.iter().skip(1)),
            ToWorker::Remove { key } => analyst.borrow_mut().remove(key),
            ToWorker::Open { key } => {
                if let Some(file) = file() {
                    analyst.borrow_mut().open(key, file);
                }
            }
            ToWorker::Ask { ask, question, is_rehearsal } => analyst.borrow_mut().answer(ask, question, is_rehearsal, file()),
            ToWorker::Rehearse => analyst.borrow_mut().rehearse(),
            ToWorker::Rehearsed => analyst.borrow_mut().rehearsed(),
        }
    });
    scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    on_message.forget();
}
