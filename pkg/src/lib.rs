//! The engine for JavaScript: inputs as `Uint8Array`s in, the report out.
//! Knows how JavaScript's values become the engine's; must not know what the engine makes of them. The package's types
//! stand in `hopscope.d.ts`, what people read about it in `README.md`.

use hopscope::analysis::analyze as analyze_inputs;
use hopscope::digest::Rate;
use hopscope::ingest::{Ingest, Ingested};
use hopscope::report::Report;
use hopscope::sample::{self, PACKET_BYTES};
use js_sys::{Array, Error, JSON, Object, Reflect, Uint8Array};
use serde::{Deserialize, Serialize};
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::prelude::*;

/// How much of an input is copied into WebAssembly's memory at a time, in bytes: an input may be larger than what is free there.
const CHUNK: u32 = 4 << 20;

/// Panics say where they happened on the console, not just `unreachable`.
#[wasm_bindgen(start)]
pub fn start() {
    console_error_panic_hook::set_once();
}

/// The report over `inputs`, each `{name: string, bytes: Uint8Array}`, as a plain object.
///
/// # Errors
/// An input is not of that shape. Inputs that cannot be read are no error: the report says so.
#[wasm_bindgen]
pub fn analyze(inputs: &Array) -> Result<JsValue, Error> {
    to_object(&report_of(inputs)?)
}

/// The report over `inputs` as the text that `hopscope analyze --format json` writes, byte for byte.
///
/// # Errors
/// As for [`analyze`].
#[wasm_bindgen(js_name = analyzeToJson)]
pub fn analyze_to_json(inputs: &Array) -> Result<String, Error> {
    to_text(&report_of(inputs)?)
}

/// Reads inputs piece by piece, so that none need be in memory as a whole.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Analysis {
    /// By handle; `None` once it is finished.
    reading: Vec<Option<Ingest>>,
    read: Vec<Ingested>,
    /// So many packets are kept at most.
    most: u64,
}

/// `AnalysisOptions` of `hopscope.d.ts`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Options {
    memory: Option<f64>,
}

#[wasm_bindgen]
impl Analysis {
    /// No inputs yet. `options`: `{memory?: number}`, how many bytes packets may take.
    ///
    /// # Errors
    /// The options are not of that shape.
    #[wasm_bindgen(constructor)]
    pub fn new(options: JsValue) -> Result<Self, Error> {
        // A bound that is misspelt would be none.
        if let Some(unknown) = options.dyn_ref::<Object>().and_then(|o| Object::keys(o).iter().find(|key| *key != "memory")) {
            return Err(Error::new(&format!("options: there is no {}", unknown.as_string().unwrap_or_default())));
        }
        let Options { memory } = match options.is_undefined() {
            true => Options::default(),
            false => serde_wasm_bindgen::from_value(options).map_err(|e| Error::new(&format!("options: {e}")))?,
        };
        if memory.is_some_and(|bytes| bytes.is_nan() || bytes < 0.0) {
            return Err(Error::new("options: memory is a number of bytes"));
        }
        // What is beyond the largest number becomes that: no bound.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "neither negative nor no number")]
        let most = memory.map_or(u64::MAX, |bytes| bytes as u64 / PACKET_BYTES);
        Ok(Self { reading: Vec::new(), read: Vec::new(), most })
    }

    /// Begin an input called `name`; gives the handle that [`Analysis::push`] and [`Analysis::finish`] take.
    pub fn add(&mut self, name: &str) -> usize {
        self.reading.push(Some(Ingest::new(name)));
        self.reading.len() - 1
    }

    /// The input's next bytes.
    ///
    /// # Errors
    /// No input with this handle is being read.
    pub fn push(&mut self, handle: usize, bytes: &Uint8Array) -> Result<(), Error> {
        let ingest = self.reading.get_mut(handle).and_then(Option::as_mut).ok_or_else(|| not_being_read(handle))?;
        push(ingest, bytes);
        self.bound();
        Ok(())
    }

    /// The input has no more bytes: from now on it is part of the report.
    ///
    /// # Errors
    /// No input with this handle is being read.
    pub fn finish(&mut self, handle: usize) -> Result<(), Error> {
        let ingest = self.reading.get_mut(handle).and_then(Option::take).ok_or_else(|| not_being_read(handle))?;
        self.read.extend(ingest.finish());
        self.bound();
        Ok(())
    }

    /// Thins out all captures alike where they hold more packets than fit.
    fn bound(&mut self) {
        let reading = || self.reading.iter().flatten();
        let kept = reading().map(Ingest::kept).sum::<u64>() + self.read.iter().map(Ingested::kept).sum::<u64>();
        if kept <= self.most {
            return;
        }
        let now = reading().map(Ingest::rate).chain(self.read.iter().map(Ingested::rate)).fold(Rate::ALL, Rate::max);
        for rate in std::iter::successors(Some(now), |rate| rate.coarser()) {
            self.reading.iter_mut().flatten().for_each(|one| one.sample(rate));
            self.read.iter_mut().for_each(|one| one.sample(rate));
            let kept = self.reading.iter().flatten().map(Ingest::kept).sum::<u64>() + self.read.iter().map(Ingested::kept).sum::<u64>();
            if kept <= self.most {
                return;
            }
        }
    }

    /// The report over the finished inputs, as a plain object. More inputs may follow, and another report.
    ///
    /// # Errors
    /// None that an input could cause.
    pub fn report(&mut self) -> Result<JsValue, Error> {
        to_object(&self.analysed())
    }

    /// The report over the finished inputs as the command line's text.
    ///
    /// # Errors
    /// None that an input could cause.
    #[wasm_bindgen(js_name = reportToJson)]
    pub fn report_to_json(&mut self) -> Result<String, Error> {
        to_text(&self.analysed())
    }

    fn analysed(&mut self) -> Report {
        // One rate for all, whatever each was thinned out to while others were still to come.
        sample::fit(&mut self.read, self.most, Rate::ALL);
        analyze_inputs(&self.read)
    }
}

/// `AnalysisInput` of `hopscope.d.ts`.
#[derive(Deserialize)]
struct Input {
    name: String,
    #[serde(with = "serde_wasm_bindgen::preserve")]
    bytes: Uint8Array,
}

fn report_of(inputs: &Array) -> Result<Report, Error> {
    let mut read = Vec::new();
    for (place, input) in inputs.iter().enumerate() {
        let input: Input = serde_wasm_bindgen::from_value(input).map_err(|e| Error::new(&format!("inputs[{place}]: {e}")))?;
        let mut ingest = Ingest::new(&input.name);
        push(&mut ingest, &input.bytes);
        read.extend(ingest.finish());
    }
    Ok(analyze_inputs(&read))
}

fn push(ingest: &mut Ingest, bytes: &Uint8Array) {
    let mut start = 0;
    while start < bytes.length() {
        let end = start.saturating_add(CHUNK).min(bytes.length());
        ingest.push(&bytes.subarray(start, end).to_vec());
        start = end;
    }
}

fn not_being_read(handle: usize) -> Error {
    Error::new(&format!("no input with the handle {handle} is being read"))
}

fn to_text(report: &Report) -> Result<String, Error> {
    report.to_json().map_err(|e| Error::new(&format!("the report could not be written: {e}")))
}

/// The same object as `JSON.parse` makes of the text.
///
/// Nanoseconds since 1970 are beyond what a JavaScript number holds exactly, and serde-wasm-bindgen refuses to round: they
/// are put in rounded, as `JSON.parse` rounds them. Where an absurd clock makes another number too large, the text decides.
fn to_object(report: &Report) -> Result<JsValue, Error> {
    let mut small = report.clone();
    for point in &mut small.capture_points {
        (point.first_ns, point.last_ns) = (None, None);
    }
    let Ok(object) = small.serialize(&Serializer::json_compatible()) else {
        return JSON::parse(&to_text(report)?).map_err(|e| thrown(e, "the report is no JSON"));
    };
    put_times(report, &object).map_err(|e| thrown(e, "the report is no object"))?;
    Ok(object)
}

fn put_times(report: &Report, object: &JsValue) -> Result<(), JsValue> {
    let points: Array = Reflect::get(object, &"capture_points".into())?.dyn_into()?;
    for (point, to) in report.capture_points.iter().zip(points.iter()) {
        for (name, time) in [("first_ns", point.first_ns), ("last_ns", point.last_ns)] {
            if let Some(time) = time {
                #[expect(clippy::cast_precision_loss, reason = "meant, and documented in hopscope.d.ts")]
                Reflect::set(&to, &name.into(), &JsValue::from_f64(time as f64))?;
            }
        }
    }
    Ok(())
}

fn thrown(value: JsValue, otherwise: &str) -> Error {
    value.dyn_into().unwrap_or_else(|_| Error::new(otherwise))
}
