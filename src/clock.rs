//! The time that expiry is judged by: the wall clock and a clock that runs through suspend, both at once.
//!
//! Invariant: a deadline is past as soon as **either** clock says so. The wall clock alone can be set back; the monotonic
//! clock that timers use stops while a laptop sleeps or a VM is paused.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// A jump between the two clocks of more than this is no drift: somebody set the clock, or the machine slept.
const JUMP: Duration = Duration::from_secs(5);

/// One moment, read on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Since the Unix epoch; may be set forth and back.
    wall: Duration,
    /// Since boot, including the time spent in suspend; never goes back.
    boot: Duration,
}

impl Moment {
    /// This moment plus a span, on both clocks; saturates instead of overflowing.
    pub fn after(self, span: Duration) -> Self {
        Self { wall: self.wall.saturating_add(span), boot: self.boot.saturating_add(span) }
    }

    /// Whether a deadline at this moment has passed at `now`: true as soon as either clock says so.
    pub fn is_past(self, now: Moment) -> bool {
        now.wall >= self.wall || now.boot >= self.boot
    }

    /// How long it is from `now` until this moment, on the clock that gets there first; zero when it is past.
    pub fn remaining(self, now: Moment) -> Duration {
        self.wall.saturating_sub(now.wall).min(self.boot.saturating_sub(now.boot))
    }

    /// How long it has been since this moment, on the clock that shows more; zero when it lies ahead.
    pub fn elapsed(self, now: Moment) -> Duration {
        now.wall.saturating_sub(self.wall).max(now.boot.saturating_sub(self.boot))
    }

    /// Whether between `self` and the later `now` the clocks went different ways (somebody set the wall clock).
    pub fn jumped(self, now: Moment) -> bool {
        let wall = now.wall.as_secs_f64() - self.wall.as_secs_f64();
        let boot = now.boot.as_secs_f64() - self.boot.as_secs_f64();
        (wall - boot).abs() > JUMP.as_secs_f64()
    }

    /// The wall clock's reading, for people and for metrics.
    pub fn wall(self) -> SystemTime {
        UNIX_EPOCH + self.wall
    }

    /// Whole seconds since the Unix epoch, as a JWT says when it was made.
    pub fn wall_seconds(self) -> u64 {
        self.wall.as_secs()
    }

    /// Seconds since the Unix epoch, for metrics and for a JWT's `exp`.
    pub fn unix_seconds(self) -> f64 {
        self.wall.as_secs_f64()
    }
}

/// Where the time comes from. Cheap to clone; handed to whoever needs it, so that a test can hand out its own.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    #[cfg(test)]
    Fake(std::sync::Arc<fake::FakeClock>),
}

impl Clock {
    /// The machine's own clocks.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Now, on both clocks. Two reads without a system call (vDSO).
    pub fn now(&self) -> Moment {
        match &self.0 {
            Source::System => Moment { wall: read(ClockId::Realtime), boot: read(ClockId::Boottime) },
            #[cfg(test)]
            Source::Fake(fake) => fake.now(),
        }
    }
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    // Neither clock is negative on a machine that booted; a nonsense reading becomes zero, which only expires things.
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod fake {
    //! A clock for tests: it follows tokio's (paused) time and can be made to jump.

    use std::sync::{Arc, Mutex};

    use super::*;

    /// 2026-01-01T00:00:00Z, so that test output reads like real output.
    const START: Duration = Duration::from_secs(1_767_225_600);

    #[derive(Debug)]
    pub(crate) struct FakeClock {
        start: tokio::time::Instant,
        /// What jumps have added to (wall, boot) so far, in milliseconds.
        jumped: Mutex<(i64, u64)>,
    }

    impl FakeClock {
        pub(super) fn now(&self) -> Moment {
            let ran = self.start.elapsed();
            let (wall, boot) = *self.jumped.lock().unwrap();
            let step = Duration::from_millis(wall.unsigned_abs());
            let wall = if wall >= 0 { START + ran + step } else { (START + ran).saturating_sub(step) };
            Moment { wall, boot: Duration::from_secs(1000) + ran + Duration::from_millis(boot) }
        }
    }

    impl Clock {
        /// A clock that stands still unless tokio's time moves; use it under `start_paused`.
        pub(crate) fn fake() -> Self {
            Self(Source::Fake(Arc::new(FakeClock {
                start: tokio::time::Instant::now(),
                jumped: Mutex::new((0, 0)),
            })))
        }

        /// The wall clock is set forth (or back); timers and the boot clock know nothing of it.
        pub(crate) fn set_wall_by(&self, seconds: i64) {
            if let Source::Fake(fake) = &self.0 {
                fake.jumped.lock().unwrap().0 += seconds * 1000;
            }
        }

        /// The machine sleeps: both clocks run on, timers stand still.
        pub(crate) fn suspend(&self, span: Duration) {
            if let Source::Fake(fake) = &self.0 {
                let mut jumped = fake.jumped.lock().unwrap();
                jumped.0 += i64::try_from(span.as_millis()).unwrap();
                jumped.1 += u64::try_from(span.as_millis()).unwrap();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_deadline_is_past_when_either_clock_says_so() {
        let clock = Clock::fake();
        let deadline = clock.now().after(MINUTE);
        assert!(!deadline.is_past(clock.now()));
        clock.set_wall_by(61);
        assert!(deadline.is_past(clock.now()), "the wall clock was set forth");
        clock.set_wall_by(-120);
        assert!(!deadline.is_past(clock.now()));
        clock.suspend(MINUTE);
        assert!(deadline.is_past(clock.now()), "the machine slept");
    }

    #[tokio::test(start_paused = true)]
    async fn setting_the_wall_clock_is_a_jump_and_sleeping_is_not() {
        let clock = Clock::fake();
        let before = clock.now();
        clock.suspend(MINUTE);
        assert!(!before.jumped(clock.now()));
        clock.set_wall_by(-7200);
        assert!(before.jumped(clock.now()));
    }

    #[test]
    fn the_system_clock_moves_on_both_sides() {
        let clock = Clock::system();
        let before = clock.now();
        std::thread::sleep(Duration::from_millis(5));
        assert!(before.elapsed(clock.now()) >= Duration::from_millis(4));
    }
}
