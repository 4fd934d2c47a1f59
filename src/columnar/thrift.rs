//! Thrift's compact protocol, as far as Parquet's headers and footer need it: numbers, strings, lists and structures.
//! Knows no field's meaning. <https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md>

const INT32: u8 = 5;
const INT64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// A structure being written: its fields in rising order.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    last: i16,
}

impl Writer {
    fn field(&mut self, id: i16, kind: u8) {
        // Fields are written in rising order and none is far from the one before.
        let delta = u8::try_from(id.saturating_sub(self.last)).unwrap_or(1);
        self.bytes.push(delta << 4 | kind);
        self.last = id;
    }

    pub(super) fn i32(mut self, id: i16, value: i32) -> Self {
        self.field(id, INT32);
        varint(&mut self.bytes, zigzag(i64::from(value)));
        self
    }

    pub(super) fn i64(mut self, id: i16, value: i64) -> Self {
        self.field(id, INT64);
        varint(&mut self.bytes, zigzag(value));
        self
    }

    pub(super) fn text(mut self, id: i16, value: &str) -> Self {
        self.field(id, BINARY);
        binary(&mut self.bytes, value.as_bytes());
        self
    }

    pub(super) fn structure(mut self, id: i16, inner: Self) -> Self {
        self.field(id, STRUCT);
        self.bytes.extend(inner.finish());
        self
    }

    pub(super) fn structures(mut self, id: i16, inner: impl ExactSizeIterator<Item = Self>) -> Self {
        self.field(id, LIST);
        list(&mut self.bytes, inner.len(), STRUCT);
        for one in inner {
            self.bytes.extend(one.finish());
        }
        self
    }

    pub(super) fn i32s(mut self, id: i16, values: &[i32]) -> Self {
        self.field(id, LIST);
        list(&mut self.bytes, values.len(), INT32);
        for value in values {
            varint(&mut self.bytes, zigzag(i64::from(*value)));
        }
        self
    }

    pub(super) fn texts(mut self, id: i16, values: &[&str]) -> Self {
        self.field(id, LIST);
        list(&mut self.bytes, values.len(), BINARY);
        for value in values {
            binary(&mut self.bytes, value.as_bytes());
        }
        self
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// LEB128, as both Thrift and Parquet's runs have it.
pub(super) fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn binary(to: &mut Vec<u8>, value: &[u8]) {
    varint(to, value.len() as u64);
    to.extend_from_slice(value);
}

fn list(to: &mut Vec<u8>, len: usize, kind: u8) {
    match u8::try_from(len) {
        Ok(len) if len < 15 => to.push(len << 4 | kind),
        _ => {
            to.push(0xf0 | kind);
            varint(to, len as u64);
        }
    }
}

/// Something that was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Number(i64),
    Bytes(&'a [u8]),
    List(Vec<Self>),
    Fields(Vec<(i16, Self)>),
}

impl<'a> Value<'a> {
    pub(super) fn get(&self, id: i16) -> Option<&Self> {
        let Self::Fields(fields) = self else { return None };
        fields.iter().find(|f| f.0 == id).map(|f| &f.1)
    }

    pub(super) fn number(&self, id: i16) -> Option<i64> {
        if let Self::Number(n) = self.get(id)? { Some(*n) } else { None }
    }

    pub(super) fn bytes(&self, id: i16) -> Option<&'a [u8]> {
        if let Self::Bytes(b) = self.get(id)? { Some(b) } else { None }
    }

    pub(super) fn list(&self, id: i16) -> &[Self] {
        if let Some(Self::List(values)) = self.get(id) { values } else { &[] }
    }
}

/// Bytes being read; every step fails at their end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

/// Deeper than any Parquet footer.
const MAX_DEPTH: u8 = 8;

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn number(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// A whole structure; the rest stays to be read.
    pub(super) fn structure(&mut self) -> Option<Value<'a>> {
        self.fields(0)
    }

    fn fields(&mut self, depth: u8) -> Option<Value<'a>> {
        let mut fields = Vec::new();
        let mut last = 0_i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Some(Value::Fields(fields));
            }
            last = match head >> 4 {
                0 => i16::try_from(self.number()?).ok()?,
                delta => last.checked_add(i16::from(delta))?,
            };
            let value = match head & 0x0f {
                // A field's truth stands in its head.
                1 => Value::Number(1),
                2 => Value::Number(0),
                kind => self.value(kind, depth)?,
            };
            fields.push((last, value));
        }
    }

    fn value(&mut self, kind: u8, depth: u8) -> Option<Value<'a>> {
        if depth >= MAX_DEPTH {
            return None;
        }
        Some(match kind {
            1..=3 => Value::Number(i64::from(self.byte()?)),
            4..=6 => Value::Number(self.number()?),
            7 => Value::Bytes(self.take(8)?),
            BINARY => {
                let len = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(len)?)
            }
            LIST | 10 => {
                let head = self.byte()?;
                let len = if head >> 4 == 15 { usize::try_from(self.varint()?).ok()? } else { usize::from(head >> 4) };
                // Each takes a byte at least: a list cannot claim more than there is.
                if len > self.0.len() {
                    return None;
                }
                let mut values = Vec::new();
                for _ in 0..len {
                    values.push(self.value(head & 0x0f, depth + 1)?);
                }
                Value::List(values)
            }
            STRUCT => self.fields(depth + 1)?,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_a_cut_is_noticed() {
        let texts: Vec<String> = (0..20).map(|n| format!("column {n}")).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let inner = || Writer::default().i32(1, -7).text(4, "ünder");
        let bytes =
            Writer::default().i64(2, i64::MIN).i32s(3, &[1, -1]).texts(9, &texts).structures(10, [inner(), inner()].into_iter()).finish();
        let mut reader = Reader(&bytes);
        let value = reader.structure().unwrap();
        assert!(reader.0.is_empty());
        assert_eq!((value.number(2), value.list(9).len(), value.list(3)), (Some(i64::MIN), 20, &[Value::Number(1), Value::Number(-1)][..]));
        let second = value.list(10).get(1).unwrap();
        assert_eq!((second.number(1), second.bytes(4)), (Some(-7), Some("ünder".as_bytes())));
        for len in 0..bytes.len() {
            assert_eq!(Reader(&bytes[..len]).structure(), None, "cut at {len}");
        }
    }
}
