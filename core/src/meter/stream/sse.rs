//! How are server-sent events cut out of bytes?
//!
//! By the rules of the WHATWG: lines end with LF, CR or CR LF; a blank line ends an event; its `data`
//! lines are joined. Other fields and comments are handed on with the event they stand in. Memory is
//! bounded by the largest event.

use crate::error::{Error, Result};

/// The largest event, in bytes.
const EVENT_MAX_BYTES: usize = 8 << 20;

/// Cuts a stream into events.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each remembers another thing across cuts")]
pub(super) struct Decoder {
    /// The bytes that came and are not yet done with.
    raw: Vec<u8>,
    /// Where in them the present event begins.
    event: usize,
    /// Where its present line begins.
    line: usize,
    /// How far that line has been searched for its end.
    searched: usize,
    data: Vec<u8>,
    has_data: bool,
    begun: bool,
    /// The last line ended with CR: an LF right behind belongs to it.
    after_cr: bool,
    /// The last event was kept back.
    kept_back: bool,
    overflowed: bool,
}

/// Takes the bytes of an event and its data; says whether it was kept back.
pub(super) type Sink<'a> = dyn FnMut(&[u8], Option<&[u8]>) -> bool + 'a;

impl Decoder {
    pub(super) fn push(&mut self, bytes: &[u8], sink: &mut Sink<'_>) -> Result<()> {
        if self.overflowed {
            sink(bytes, None);
            return Ok(());
        }
        self.raw.extend_from_slice(bytes);
        while let Some(end) = self.raw[self.searched..].iter().position(|byte| matches!(byte, b'\n' | b'\r'))
        {
            let end = self.searched + end;
            self.searched = end + 1;
            let is_feed = self.raw[end] == b'\n';
            if std::mem::replace(&mut self.after_cr, !is_feed) && is_feed && end == self.line {
                self.skip_feed(sink);
            } else {
                self.end_line(end, sink);
            }
        }
        self.searched = self.raw.len();
        self.raw.drain(..self.event);
        self.line -= self.event;
        self.searched -= self.event;
        self.event = 0;
        if self.raw.len() > EVENT_MAX_BYTES {
            self.overflowed = true;
            sink(&std::mem::take(&mut self.raw), None);
            return Err(Error::invalid(format!(
                "an event of the stream is larger than {EVENT_MAX_BYTES} bytes"
            )));
        }
        Ok(())
    }

    pub(super) fn end(&mut self, sink: &mut Sink<'_>) {
        if self.overflowed {
            return;
        }
        self.searched = self.raw.len();
        if self.searched > self.line {
            self.read_line(self.searched);
        }
        if !self.raw.is_empty() {
            self.end_event(sink);
        }
        *self = Self { begun: self.begun, ..Self::default() };
    }

    /// Takes the LF of a CR LF, whose CR already ended the line.
    fn skip_feed(&mut self, sink: &mut Sink<'_>) {
        let begins_event = self.line == self.event;
        self.line = self.searched;
        if begins_event {
            // It is the last byte of the event before, and goes where that went.
            self.event = self.searched;
            if !self.kept_back {
                sink(b"\n", None);
            }
        }
    }

    fn end_line(&mut self, end: usize, sink: &mut Sink<'_>) {
        let is_blank = end == self.line;
        if !is_blank {
            self.read_line(end);
        }
        self.line = self.searched;
        if is_blank {
            self.end_event(sink);
        }
    }

    fn end_event(&mut self, sink: &mut Sink<'_>) {
        let data = self.has_data.then_some(&*self.data);
        self.kept_back = sink(&self.raw[self.event..self.searched], data);
        self.event = self.searched;
        self.data.clear();
        self.has_data = false;
    }

    fn read_line(&mut self, end: usize) {
        let mut line = &self.raw[self.line..end];
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        let Some(rest) = line.strip_prefix(b"data") else { return };
        let value = match rest {
            [] => rest,
            [b':', b' ', value @ ..] | [b':', value @ ..] => value,
            _ => return,
        };
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
    }
}
