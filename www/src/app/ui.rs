//! Small things that every part of the screen uses: words, numbers, downloads, the clipboard.

use js_sys::Array;
use leptos::html::{button, div, section, span, table, tbody, th, thead, tr};
use leptos::prelude::*;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::JsValue;
use web_sys::{Blob, BlobPropertyBag, HtmlAnchorElement, Url};

use super::state::App;

/// Shows that the program itself has failed, without the framework, which may be what failed.
pub fn show_fault(message: &str) {
    let Some(document) = web_sys::window().and_then(|w| w.document()) else { return };
    let (Ok(bar), Some(body)) = (document.create_element("div"), document.body()) else { return };
    bar.set_class_name("fault");
    let _ = bar.set_attribute("role", "alert");
    bar.set_text_content(Some(&format!(
        "Hopscope has met a defect of its own and this page can no longer be relied on. Reload it; your files are unharmed. {message}"
    )));
    let _ = body.prepend_with_node_1(&bar);
}

/// A button with a word on it.
pub fn push(label: &'static str, title: &'static str, test: &'static str, act: impl FnMut() + Send + 'static) -> AnyView {
    made(label, title, test, Box::new(act))
}

/// Its type does not tell what it does: the page would have the making of a button once for each of them.
fn made(label: &'static str, title: &'static str, test: &'static str, mut act: Box<dyn FnMut() + Send>) -> AnyView {
    button()
        .attr("type", "button")
        .attr("title", title)
        .attr("data-testid", test)
        .on(leptos::ev::click, move |_| act())
        .child(label)
        .into_any()
}

/// A state as a coloured word: the word carries the meaning, the colour helps.
pub fn badge(class: &'static str, word: &'static str) -> AnyView {
    span().class(format!("badge {class}")).child(word).into_any()
}

/// A table in a frame with a title; of each column what it is called and what that means.
pub fn titled_table(
    name: &'static str,
    direction: Option<&'static str>,
    title: AnyView,
    heads: &[(&'static str, &'static str)],
    rows: Vec<AnyView>,
) -> AnyView {
    let heads = heads.iter().map(|(h, title)| th().attr("scope", "col").attr("title", *title).child(*h)).collect_view();
    section()
        .class("direction")
        .attr("data-testid", name)
        .attr("data-direction", direction)
        .child((
            div().class("direction-head").child(title),
            div().class("table-wrap").child(table().class("hops").child((thead().child(tr().child(heads)), tbody().child(rows)))),
        ))
        .into_any()
}

/// `1536` → `1.5 KiB`.
pub fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// `12345` → `12 345`, with a thin space that no line breaks at.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len().saturating_sub(i)).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1`, `"packet"` → `1 packet`; `2` → `2 packets`.
pub fn plural(number: u64, word: &str) -> String {
    format!("{} {word}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A duration, for a person; signed.
pub fn duration(nanos: i64) -> String {
    let magnitude = nanos.unsigned_abs() as f64;
    let sign = if nanos < 0 { "−" } else { "" };
    let (value, unit) = match magnitude {
        n if n < 1e3 => (n, "ns"),
        n if n < 1e6 => (n / 1e3, "µs"),
        n if n < 1e9 => (n / 1e6, "ms"),
        n => (n / 1e9, "s"),
    };
    if value >= 100.0 || unit == "ns" { format!("{sign}{value:.0} {unit}") } else { format!("{sign}{value:.1} {unit}") }
}

/// `0.97` → `97 %`.
pub fn percent(probability: f64) -> String {
    format!("{:.0} %", probability * 100.0)
}

/// Nanoseconds since the epoch as UTC, to the microsecond. Printed packets often tell no date: the first two days of 1970 stand for none.
pub fn time(nanos: i64) -> String {
    let date = js_sys::Date::new(&JsValue::from_f64(nanos.div_euclid(1_000_000) as f64));
    let text = String::from(date.to_iso_string());
    let micros = nanos.rem_euclid(1_000_000_000) / 1000;
    match text.split_once('.') {
        Some((whole, _)) if (0..2 * 86_400).contains(&nanos.div_euclid(1_000_000_000)) => {
            format!("{}.{micros:06} (no date)", whole.split_once('T').map_or(whole, |(_, of_day)| of_day))
        }
        Some((whole, _)) => format!("{}.{micros:06} UTC", whole.replace('T', " ")),
        None => text,
    }
}

/// Offers a text as a file.
pub fn download(app: App, name: &str, media_type: &str, text: &str) {
    let offer = || -> Result<(), JsValue> {
        let options = BlobPropertyBag::new();
        options.set_type(media_type);
        let blob = Blob::new_with_str_sequence_and_options(&Array::of1(&JsValue::from_str(text)), &options)?;
        let url = Url::create_object_url_with_blob(&blob)?;
        let anchor: HtmlAnchorElement = document().create_element("a")?.unchecked_into();
        anchor.set_href(&url);
        anchor.set_download(name);
        document().body().ok_or(JsValue::NULL)?.append_child(&anchor)?;
        anchor.click();
        anchor.remove();
        // The browser takes the bytes when it likes; a minute is more than it needs.
        leptos::task::spawn_local(async move {
            gloo_timers::future::TimeoutFuture::new(60_000).await;
            let _ = Url::revoke_object_url(&url);
        });
        Ok(())
    };
    if let Err(why) = offer() {
        app.notice.set(Some(format!("{name} could not be saved: {}", crate::host::text_of(&why))));
    }
}

/// Copies a text and says so.
pub fn copy(app: App, what: &str, text: &str) {
    let promise = window().navigator().clipboard().write_text(text);
    let what = what.to_owned();
    leptos::task::spawn_local(async move {
        match wasm_bindgen_futures::JsFuture::from(promise).await {
            Ok(_) => tell(app, format!("{what} copied")),
            Err(why) => app.notice.set(Some(format!("the browser did not let the page copy: {}", crate::host::text_of(&why)))),
        }
    });
}

/// Shows a message for a few seconds.
pub fn tell(app: App, message: String) {
    app.notice.set(Some(message.clone()));
    leptos::task::spawn_local(async move {
        gloo_timers::future::TimeoutFuture::new(3_000).await;
        app.notice.update(|now| {
            now.take_if(|n| *n == message);
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 << 40), "5.0 TiB");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(plural(1, "packet"), "1 packet");
        assert_eq!(plural(0, "packet"), "0 packets");
        assert_eq!(duration(-3_200_000_000), "−3.2 s");
        assert_eq!(duration(41_000), "41.0 µs");
        assert_eq!(duration(999), "999 ns");
        assert_eq!(percent(0.97), "97 %");
    }
}
