//! The data plane's threads: one worker that accepts for itself, or several and a thread that accepts for them.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::{StartError, block_on, live};
use crate::clock::Clock;
use crate::config::Config;
use crate::config::server::Workers;
use crate::guard::Guard;
use crate::metrics::Metrics;
use crate::proxy::Live;
use crate::server::listen::Socket;
use crate::server::{self, Intake, Slots};
use crate::server::{acceptor, descriptors};
use crate::shutdown::Stop;

/// Starts the threads. The receiver closes when the last of them has ended.
pub(super) fn start(
    listeners: Vec<(Socket, Arc<Guard>)>,
    config: &Config,
    live: &Live,
    clock: &Clock,
    metrics: &Arc<Metrics>,
    stop: &Stop,
) -> Result<mpsc::Receiver<()>, StartError> {
    let limits = config.proxy.limits;
    let places = descriptors::places(limits.connections);
    let slots = Slots::counted(places, limits.connections_per_caller, Arc::clone(metrics));
    let (done, ended) = mpsc::channel(1);
    let worker = |index: usize, intake: Intake| {
        let (live, clock, metrics, stop) =
            (Arc::clone(live), clock.clone(), Arc::clone(metrics), stop.clone());
        thread(format!("worker-{index}"), done.clone(), move || async move {
            let handler = Rc::new(live::Worker::new(live, clock, metrics, &limits));
            server::serve(intake, handler, limits, stop).await;
        })
    };
    let count = count(config.proxy.workers);
    if count == 1 {
        worker(0, Intake::Listeners(listeners, slots))?;
        return Ok(ended);
    }
    let mut workers = Vec::new();
    for index in 0..count {
        let (handle, handed) = acceptor::Worker::new();
        worker(index, Intake::Handed(handed))?;
        workers.push(handle);
    }
    let mut stop = stop.clone();
    thread("acceptor".to_owned(), done.clone(), move || async move {
        tokio::select! {
            () = acceptor::distribute(listeners, slots, workers) => {}
            () = async {
                stop.drain().await;
                tokio::time::sleep(server::SETTLE).await;
            } => {}
        }
    })?;
    Ok(ended)
}

/// How many workers there are to be.
fn count(workers: Workers) -> usize {
    match workers {
        Workers::Count(count) => count.get(),
        // Knows of cgroup quotas.
        Workers::Auto => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

/// A thread with a runtime of its own; `done` is dropped when its work is.
fn thread<F: Future<Output = ()>>(
    name: String,
    done: mpsc::Sender<()>,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<(), StartError> {
    let run = move || {
        // The work is made on this thread, where its parts stay.
        if let Err(error) = block_on(async { work().await }) {
            tracing::error!(%error, "a worker cannot start");
        }
        drop(done);
    };
    // Not joined: `done` tells of its end, and a drain that takes too long leaves it behind with the process.
    std::thread::Builder::new().name(name).spawn(run).map(drop).map_err(StartError::Runtime)
}
