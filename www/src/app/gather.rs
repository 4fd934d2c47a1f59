//! What the person gives: dropped files and folders, picked files, pasted text, the examples.

use js_sys::{Array, Promise, Reflect, Uint8Array};
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    ClipboardEvent, DataTransfer, DragEvent, File, FileList, FileSystemDirectoryEntry, FileSystemDirectoryReader, FileSystemEntry,
    FileSystemFileEntry, HtmlElement,
};

use super::state::App;
use crate::host;

/// Files that systems put into folders by themselves; nobody means to give them.
const NOISE: [&str; 3] = [".DS_Store", "Thumbs.db", "desktop.ini"];

/// Listens for drops and pastes anywhere on the page.
pub fn listen(app: App) {
    let over = window_event_listener(leptos::ev::dragover, |event: DragEvent| {
        event.prevent_default();
        if let Some(body) = document().body() {
            let _ = body.class_list().add_1("is-dropping");
        }
    });
    let leave = window_event_listener(leptos::ev::dragleave, |event: DragEvent| {
        if event.related_target().is_none() {
            stop_dropping();
        }
    });
    let drop = window_event_listener(leptos::ev::drop, move |event: DragEvent| {
        event.prevent_default();
        stop_dropping();
        if let Some(data) = event.data_transfer() {
            dropped(app, &data);
        }
    });
    let paste = window_event_listener_untyped("paste", move |event| {
        let Ok(event) = event.dyn_into::<ClipboardEvent>() else { return };
        // A field keeps what is pasted into it.
        if event.target().and_then(|t| t.dyn_into::<HtmlElement>().ok()).is_some_and(|t| is_field(&t)) {
            return;
        }
        let Some(data) = event.clipboard_data() else { return };
        if data.files().is_some_and(|files| files.length() > 0) {
            dropped(app, &data);
        } else if let Ok(text) = data.get_data("text/plain") {
            pasted(app, &text);
        }
    });
    // They live as long as the page.
    std::mem::forget((over, leave, drop, paste));
}

fn stop_dropping() {
    if let Some(body) = document().body() {
        let _ = body.class_list().remove_1("is-dropping");
    }
}

/// Whether an element takes text itself.
pub fn is_field(element: &HtmlElement) -> bool {
    matches!(element.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT") || element.is_content_editable()
}

fn dropped(app: App, data: &DataTransfer) {
    // Entries and files are only to be had during the event; they stay good after it. A file is taken as a file: on a page
    // from file://, Chromium refuses to open it by way of its entry (EncodingError).
    let items = data.items();
    let mut entries = Vec::new();
    for item in (0..items.length()).filter_map(|i| items.get(i)) {
        if let Ok(Some(entry)) = item.webkit_get_as_entry() {
            let file = if entry.is_file() { item.get_as_file().ok().flatten() } else { None };
            entries.push((entry, file));
        }
    }
    if entries.is_empty() {
        if let Some(files) = data.files() {
            picked(app, &files);
        }
        if let (0, Ok(text)) = (data.files().map_or(0, |f| f.length()), data.get_data("text/plain")) {
            pasted(app, &text);
        }
        return;
    }
    spawn_local(async move {
        // All at once: the page draws its list once, and the analysis does not begin with half of them.
        let mut files = Vec::new();
        for (entry, file) in entries {
            match file {
                Some(file) => files.push((entry.full_path().trim_start_matches('/').to_owned(), file)),
                None => {
                    if let Err(why) = walk(entry, &mut files).await {
                        app.notice.set(Some(why));
                    }
                }
            }
        }
        add(app, files);
    });
}

/// Takes a file, or everything in a folder, in the folder's order.
async fn walk(entry: FileSystemEntry, files: &mut Vec<(String, File)>) -> Result<(), String> {
    let mut rest = vec![entry];
    while let Some(entry) = rest.pop() {
        let path = entry.full_path();
        let name = path.trim_start_matches('/').to_owned();
        let is_from_disk = window().location().protocol().is_ok_and(|p| p == "file:");
        let unreadable = |e: JsValue| match is_from_disk {
            true => format!("{name}: this browser opens no dropped folder for a page from the disk; use “Add a folder…”"),
            false => format!("{name} could not be opened: {}", host::text_of(&e)),
        };
        if entry.is_directory() {
            let reader = entry.unchecked_into::<FileSystemDirectoryEntry>().create_reader();
            let mut inside = Vec::new();
            // Chromium gives at most a hundred at a time; an empty list is the end.
            loop {
                let some = Array::from(&entries_of(&reader).await.map_err(unreadable)?);
                if some.length() == 0 {
                    break;
                }
                inside.extend(some.iter().map(|e| e.unchecked_into::<FileSystemEntry>()));
            }
            inside.sort_by_key(|e| std::cmp::Reverse(e.name()));
            rest.append(&mut inside);
        } else {
            let entry = entry.unchecked_into::<FileSystemFileEntry>();
            let promise = Promise::new(&mut |resolve, reject| entry.file_with_callback_and_callback(&resolve, &reject));
            let file: File = JsFuture::from(promise).await.map_err(unreadable)?.unchecked_into();
            files.push((name, file));
        }
    }
    Ok(())
}

async fn entries_of(reader: &FileSystemDirectoryReader) -> Result<JsValue, JsValue> {
    let promise = Promise::new(&mut |resolve, reject| {
        if let Err(why) = reader.read_entries_with_callback_and_callback(&resolve, &reject) {
            let _ = reject.call1(&JsValue::NULL, &why);
        }
    });
    JsFuture::from(promise).await
}

/// Adds files from a picker; a folder picker's files keep their path.
pub fn picked(app: App, files: &FileList) {
    let named = |file: File| {
        let relative = Reflect::get(&file, &JsValue::from_str("webkitRelativePath")).ok().and_then(|p| p.as_string());
        (relative.filter(|p| !p.is_empty()).unwrap_or_else(|| file.name()), file)
    };
    add(app, (0..files.length()).filter_map(|i| files.get(i)).map(named).collect());
}

/// Adds pasted text as an input of its own.
pub fn pasted(app: App, text: &str) {
    if text.trim().is_empty() {
        return;
    }
    let number = app.inputs.with_untracked(|rows| rows.iter().filter(|r| r.name.starts_with("pasted-")).count()) + 1;
    add_text(app, &format!("pasted-{number}.txt"), text);
}

/// Adds a text under a name.
pub fn add_text(app: App, name: &str, text: &str) {
    match text_file(name, text) {
        Ok(file) => app.add_files(vec![(name.to_owned(), file)]),
        Err(why) => app.notice.set(Some(why)),
    }
}

/// A file that holds a text.
///
/// # Errors
/// The browser's words.
pub fn text_file(name: &str, text: &str) -> Result<File, String> {
    File::new_with_str_sequence(&Array::of1(&JsValue::from_str(text)), name).map_err(|e| host::text_of(&e))
}

fn add(app: App, mut files: Vec<(String, File)>) {
    files.retain(|(name, _)| !NOISE.contains(&name.rsplit('/').next().unwrap_or(name)));
    app.add_files(files);
}

/// Loads one of the embedded examples as if it had been dropped.
pub fn example(app: App, name: &'static str) {
    const COMING: &str = "The examples come with the engine, which is on its way…";
    if !app.has_engine.get_untracked() {
        app.notice.set(Some(COMING.to_owned()));
    }
    spawn_local(async move {
        let files = match app.engine().await {
            Ok(()) => host::example(name).await,
            Err(why) => Err(why),
        };
        app.notice.update(|now| {
            now.take_if(|n| n == COMING);
        });
        match files {
            Ok(files) => {
                let made = files.into_iter().filter_map(|(path, bytes)| {
                    let file = File::new_with_u8_array_sequence(&Array::of1(&Uint8Array::new(&bytes)), &path).ok()?;
                    Some((path, file))
                });
                app.add_files(made.collect());
            }
            Err(why) => app.notice.set(Some(format!("the example could not be opened: {why}"))),
        }
    });
}
