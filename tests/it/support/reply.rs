//! What a mock server answers, step by step: bytes, pauses, stalls, resets.

use std::time::Duration;

use super::gate::Gate;

/// One thing that a mock does on a connection.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Writes these bytes.
    Bytes(Vec<u8>),
    /// Writes these bytes one at a time, so long apart.
    Dribble(Vec<u8>, Duration),
    /// Does nothing for so long.
    Pause(Duration),
    /// Does nothing until the gate is open.
    Hold(Gate),
    /// Does nothing until the other side gives up.
    Stall,
    /// Writes these bytes again and again, as fast as they are taken.
    Endless(Vec<u8>),
    /// Sends back what comes, until the other side ends.
    Echo,
    /// Closes in good order.
    Close,
    /// Closes with a TCP reset.
    Reset,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The status it carries; 0 if it never gets that far.
    pub(crate) status: u16,
    /// What is done, in order. The connection is kept alive afterwards unless a step closes it.
    pub(crate) steps: Vec<Step>,
}

impl Reply {
    /// A well-framed answer.
    pub(crate) fn new(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} {}\r\n", if status < 400 { "OK" } else { "No" });
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        Self { status, steps: vec![Step::Bytes([head.as_bytes(), body].concat())] }
    }

    /// A JSON answer.
    pub(crate) fn json(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::new(status, &[("Content-Type", "application/json")], body)
    }

    /// Exactly these bytes; the status is read from them for the record.
    pub(crate) fn raw(bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        let status = bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        Self { status: status.unwrap_or(0), steps: vec![Step::Bytes(bytes.to_vec())] }
    }

    /// Nothing at all, until the other side gives up.
    pub(crate) fn stall() -> Self {
        Self { status: 0, steps: vec![Step::Stall] }
    }

    /// A TCP reset instead of an answer.
    pub(crate) fn reset() -> Self {
        Self { status: 0, steps: vec![Step::Reset] }
    }

    /// The connection is closed instead of an answer.
    pub(crate) fn close() -> Self {
        Self { status: 0, steps: vec![Step::Close] }
    }

    /// One more step at the end.
    pub(crate) fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// This step before everything else.
    pub(crate) fn after(mut self, step: Step) -> Self {
        self.steps.insert(0, step);
        self
    }

    /// So much later.
    pub(crate) fn delayed(self, span: Duration) -> Self {
        self.after(Step::Pause(span))
    }

    /// Not before the gate is open.
    pub(crate) fn held(self, gate: &Gate) -> Self {
        self.after(Step::Hold(gate.clone()))
    }

    /// The first `bytes` of it, and then silence.
    pub(crate) fn stalling_after(self, bytes: usize) -> Self {
        let Self { status, steps } = self;
        let cut = |step| match step {
            Step::Bytes(all) => Step::Bytes(all[..bytes.min(all.len())].to_vec()),
            other => other,
        };
        Self { status, steps: steps.into_iter().map(cut).chain([Step::Stall]).collect() }
    }

    /// One byte at a time, so long apart.
    pub(crate) fn dribbled(self, every: Duration) -> Self {
        let slow = |step| match step {
            Step::Bytes(all) => Step::Dribble(all, every),
            other => other,
        };
        Self { status: self.status, steps: self.steps.into_iter().map(slow).collect() }
    }
}
