//! What `boot.js` offers to the page, and messages as both sides write them.
//! Knows JavaScript values; must not know what a message means.

use js_sys::{Array, ArrayBuffer, Function, Promise, Reflect, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

fn host() -> Option<JsValue> {
    Reflect::get(&js_sys::global(), &JsValue::from_str("hopscopeHost")).ok().filter(JsValue::is_object)
}

fn method(name: &str, argument: &JsValue) -> Result<JsValue, String> {
    let host = host().ok_or("the page was not started by boot.js")?;
    let function = Reflect::get(&host, &JsValue::from_str(name)).ok().and_then(|f| f.dyn_into::<Function>().ok());
    function.ok_or_else(|| format!("boot.js has no {name}"))?.call1(&host, argument).map_err(|e| text_of(&e))
}

/// Waits for the engine, which is asked for if it has not been; when it is there, workers can be started.
///
/// # Errors
/// It could not be loaded, for a person; the next call tries again.
pub async fn engine() -> Result<(), String> {
    let promise = method("engine", &JsValue::UNDEFINED)?.dyn_into::<Promise>().map_err(|_| "no promise".to_owned())?;
    JsFuture::from(promise).await.map(drop).map_err(|e| text_of(&e))
}

/// A new worker with the engine in it; it takes messages at once.
///
/// # Errors
/// The engine is not there, or the browser refused to start a worker; its own words.
pub fn start_worker() -> Result<web_sys::Worker, String> {
    method("startWorker", &JsValue::UNDEFINED)?.dyn_into().map_err(|_| "boot.js gave something other than a worker".to_owned())
}

/// The files of an example: path and bytes. They come with the engine.
///
/// # Errors
/// There is no such example, or the browser could not load or unpack it.
pub async fn example(name: &str) -> Result<Vec<(String, js_sys::Uint8Array)>, String> {
    let promise = method("example", &JsValue::from_str(name))?.dyn_into::<Promise>().map_err(|_| "no promise".to_owned())?;
    let files = JsFuture::from(promise).await.map_err(|e| text_of(&e))?;
    Ok(Array::from(&files)
        .iter()
        .filter_map(|pair| {
            let pair = Array::from(&pair);
            Some((pair.get(0).as_string()?, pair.get(1).dyn_into().ok()?))
        })
        .collect())
}

/// An element in which things are laid out as in the page and never seen, heard or found, behind the one that holds it: removing that
/// removes all.
///
/// # Errors
/// The browser's words.
pub fn stage() -> Result<(web_sys::HtmlElement, web_sys::HtmlElement), String> {
    let both = Array::from(&method("stage", &JsValue::UNDEFINED)?);
    let element = |index| both.get(index).dyn_into().map_err(|_| "boot.js gave something other than an element".to_owned());
    Ok((element(0)?, element(1)?))
}

/// Which build this is; empty if unknown.
pub fn build() -> String {
    host().and_then(|h| Reflect::get(&h, &JsValue::from_str("build")).ok()?.as_string()).unwrap_or_default()
}

/// A message, and which of its buffers move to the other side rather than being copied: `head` as bytes, then `attached`.
pub fn message(head: &impl Serialize, attached: &[JsValue]) -> (Array, Array) {
    let head = JsValue::from(bytes(head));
    let (message, buffers) = (Array::of1(&head), Array::of1(&head));
    for value in attached {
        message.push(value);
        if value.is_instance_of::<ArrayBuffer>() {
            buffers.push(value);
        }
    }
    (message, buffers)
}

/// The head of a message, and the message for what is attached (from index 1); `None` for anything that is not one.
pub fn open<T: DeserializeOwned>(data: &JsValue) -> Option<(T, Array)> {
    let message = data.dyn_ref::<Array>()?.clone();
    let head = read(&message.get(0))?;
    Some((head, message))
}

/// A value as bytes that [`read`] reads.
pub fn bytes(value: &impl Serialize) -> ArrayBuffer {
    Uint8Array::from(postcard::to_stdvec(value).unwrap_or_default().as_slice()).buffer()
}

/// The value that a buffer holds the bytes of.
pub fn read<T: DeserializeOwned>(buffer: &JsValue) -> Option<T> {
    let buffer = buffer.dyn_ref::<ArrayBuffer>()?;
    postcard::from_bytes(&Uint8Array::new(buffer).to_vec()).ok()
}

/// What a thrown value says.
pub fn text_of(thrown: &JsValue) -> String {
    if let Some(error) = thrown.dyn_ref::<js_sys::Error>() {
        return String::from(error.message());
    }
    let message = Reflect::get(thrown, &JsValue::from_str("message")).ok().and_then(|m| m.as_string());
    message.or_else(|| thrown.as_string()).unwrap_or_else(|| format!("{thrown:?}"))
}
