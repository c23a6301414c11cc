//! A worker's coarse clock: timeouts that are exact to a second, for a fraction of what a timer each costs.
//!
//! Invariant: nothing is late by two seconds, and nothing is early by more than the ticks themselves may be late. The clock
//! moves when its worker says so, once a second; between two ticks it stands, so that asking it costs a load.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

/// How often the clock moves.
const TICK: Duration = Duration::from_secs(1);

/// By how much a tick may be late without costing everybody who waits for the next one a whole second.
const JITTER: Duration = Duration::from_millis(50);

/// The clock of one worker, and who waits on it.
#[derive(Debug)]
pub struct Ticker {
    now: Cell<Instant>,
    waiting: RefCell<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    places: Vec<Option<(Instant, Waker)>>,
    free: Vec<usize>,
}

impl Ticker {
    /// A clock that shows the time.
    pub fn new() -> Rc<Self> {
        Rc::new(Self { now: Cell::new(Instant::now()), waiting: RefCell::default() })
    }

    /// What it shows: at most a second ago.
    pub fn now(&self) -> Instant {
        self.now.get()
    }

    /// When `span` will have passed since some moment between `since`, which the clock showed, and its next tick; zero is
    /// never.
    pub fn due(since: Instant, span: Duration) -> Option<Instant> {
        if span.is_zero() { None } else { since.checked_add(span.saturating_add(TICK - JITTER)) }
    }

    /// Moves the clock, and wakes whoever's time has come. A worker calls it once a second.
    pub fn tick(&self) {
        let now = Instant::now();
        self.now.set(now);
        let is_due =
            |place: &&mut Option<(Instant, Waker)>| place.as_ref().is_some_and(|(due, _)| *due <= now);
        // Woken when nothing is borrowed: a waker that is dropped may take an alarm with it.
        let due: Vec<_> =
            self.waiting.borrow_mut().places.iter_mut().filter(is_due).filter_map(Option::take).collect();
        for (_, waker) in due {
            waker.wake();
        }
    }
}

/// One that waits; it takes a place only while it does.
#[derive(Debug)]
pub struct Alarm {
    ticker: Rc<Ticker>,
    place: Option<usize>,
}

impl Alarm {
    /// An alarm that nobody has set.
    pub fn new(ticker: &Rc<Ticker>) -> Self {
        Self { ticker: Rc::clone(ticker), place: None }
    }

    /// The clock.
    pub fn ticker(&self) -> &Rc<Ticker> {
        &self.ticker
    }

    /// Ready when the clock shows `due`; until then it wakes at that time.
    pub fn poll(&mut self, due: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.ticker.now() >= due {
            return Poll::Ready(());
        }
        let mut waiting = self.ticker.waiting.borrow_mut();
        let place = match self.place {
            Some(place) => place,
            None => waiting.place(),
        };
        self.place = Some(place);
        let mut old = None;
        if let Some(entry) = waiting.places.get_mut(place) {
            match entry {
                Some((at, waker)) if waker.will_wake(context.waker()) => *at = due,
                entry => old = entry.replace((due, context.waker().clone())),
            }
        }
        drop(waiting);
        drop(old);
        Poll::Pending
    }
}

impl Waiting {
    fn place(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut waiting = self.ticker.waiting.borrow_mut();
        let old = waiting.places.get_mut(place).and_then(Option::take);
        waiting.free.push(place);
        drop(waiting);
        drop(old);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_alarm_goes_off_in_time_to_two_seconds() {
        let ticker = Ticker::new();
        let ticking = Rc::clone(&ticker);
        let ticks = async move {
            loop {
                tokio::time::sleep(TICK).await;
                ticking.tick();
            }
        };
        let waits = async {
            for (ahead, span) in [(0, 1000), (300, 1000), (999, 2500), (100, 1)] {
                tokio::time::sleep(Duration::from_millis(ahead)).await;
                let (started, span) = (Instant::now(), Duration::from_millis(span));
                let due = Ticker::due(ticker.now(), span).unwrap();
                let mut alarm = Alarm::new(&ticker);
                poll_fn(|context| alarm.poll(due, context)).await;
                let took = started.elapsed();
                assert!(took + JITTER >= span && took < span + TICK * 2, "{span:?}: {took:?}");
            }
        };
        tokio::select! { () = ticks => unreachable!(), () = waits => {} }
    }

    #[tokio::test(start_paused = true)]
    async fn places_are_used_again() {
        let ticker = Ticker::new();
        let due = ticker.now() + TICK;
        for _ in 0..100 {
            let mut alarms = [Alarm::new(&ticker), Alarm::new(&ticker)];
            for alarm in &mut alarms {
                let waits = poll_fn(|context| Poll::Ready(alarm.poll(due, context).is_pending())).await;
                assert!(waits);
            }
        }
        assert_eq!(ticker.waiting.borrow().places.len(), 2);
        assert!(ticker.waiting.borrow().places.iter().all(Option::is_none));
    }

    #[test]
    fn no_limit_is_never_due() {
        assert_eq!(Ticker::due(Instant::now(), Duration::ZERO), None);
        assert_eq!(Ticker::due(Instant::now(), Duration::MAX), None, "as good as never");
    }
}
