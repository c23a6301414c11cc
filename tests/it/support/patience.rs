//! Waiting for something that must come true, without saying how fast the machine is.

use std::time::Duration;

use tokio::time::Instant;

/// How long a test waits for what must happen: `SIDEPASS_TEST_PATIENCE` seconds, or 10.
pub(crate) fn patience() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "set by whoever runs the tests on a slow machine")]
    let seconds = std::env::var("SIDEPASS_TEST_PATIENCE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(10))
}

/// Waits until `holds` says yes; the test fails with `what` when patience runs out.
#[track_caller]
pub(crate) fn eventually(what: &str, holds: impl FnMut() -> bool) {
    eventually_within(patience(), what, holds);
}

/// Like [`eventually`], with a patience of its own: for what is slow by design.
#[track_caller]
pub(crate) fn eventually_within(span: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < span, "waited {span:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
