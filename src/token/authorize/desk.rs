//! The loopback listener of one consent: as many connections as a browser likes to open, one answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::callback::{Expected, Verdict};
use super::page::Page;
use crate::secret::Secret;

/// A browser opens connections to have them ready; what has not asked by then is closed.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// The longest head that is read.
const MAX_HEAD: usize = 64 * 1024;

/// Connections at a time.
const CONNECTIONS: usize = 64;

/// How long a browser may take to read the last page.
const GOODBYE: Duration = Duration::from_secs(2);

/// The answer, and the browser that brought it and waits for a page.
#[derive(Debug)]
pub(super) struct Answer {
    /// A code, or why there is none.
    pub(super) outcome: Result<Secret, String>,
    /// Who waits.
    pub(super) browser: Browser,
}

/// A browser that waits for a page.
#[derive(Debug)]
pub(super) struct Browser {
    page: oneshot::Sender<Page>,
    /// Ends when it has its page.
    written: oneshot::Receiver<Infallible>,
}

/// The listener and its connections.
#[derive(Debug)]
pub(super) struct Desk {
    listener: TcpListener,
    counter: Arc<Counter>,
    connections: JoinSet<()>,
    answers: mpsc::Receiver<Answer>,
}

/// What every connection shares.
#[derive(Debug)]
struct Counter {
    expected: Expected,
    taken: AtomicBool,
    answers: mpsc::Sender<Answer>,
}

impl Desk {
    pub(super) fn new(listener: TcpListener, expected: Expected) -> Self {
        let (sender, answers) = mpsc::channel(1);
        let counter = Arc::new(Counter { expected, taken: AtomicBool::new(false), answers: sender });
        Self { listener, counter, connections: JoinSet::new(), answers }
    }

    /// Waits for the answer.
    pub(super) async fn answer(&mut self) -> Answer {
        let Self { listener, counter, connections, answers } = self;
        tokio::select! {
            Some(answer) = answers.recv() => answer,
            never = accept(listener, counter, connections) => match never {},
        }
    }

    /// Goes on answering, now that there is nothing left to say.
    pub(super) async fn refuse(&mut self) -> Infallible {
        accept(&self.listener, &self.counter, &mut self.connections).await
    }

    /// Shows the browser how it ended, and closes.
    pub(super) async fn close(self, browser: Browser, page: Page) {
        drop(self.listener);
        // An error: the browser is gone.
        let _ = browser.page.send(page);
        let _ = tokio::time::timeout(GOODBYE, browser.written).await;
    }
}

async fn accept(listener: &TcpListener, counter: &Arc<Counter>, connections: &mut JoinSet<()>) -> Infallible {
    loop {
        while connections.len() >= CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                while connections.try_join_next().is_some() {}
                connections.spawn(serve(stream, Arc::clone(counter)));
            }
            // No descriptors, mostly: it passes.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn serve(mut stream: TcpStream, counter: Arc<Counter>) {
    let Ok(Some(head)) = tokio::time::timeout(HEAD_TIME, read_head(&mut stream)).await else { return };
    // Dropped with everything else here, when the page is written.
    let _end;
    let page = match counter.expected.judge(&head) {
        Verdict::Refused(page) => page,
        Verdict::Answer(_) if counter.taken.swap(true, Ordering::SeqCst) => {
            Page::refused(400, "sidepass has got its answer already.")
        }
        Verdict::Answer(outcome) => {
            let (sender, page) = oneshot::channel();
            let (end, written) = oneshot::channel();
            _end = end;
            let answer = Answer { outcome, browser: Browser { page: sender, written } };
            // An error, here and below: the command has ended.
            let (Ok(()), Ok(page)) = (counter.answers.send(answer).await, page.await) else { return };
            page
        }
    };
    let _ = stream.write_all(&page.to_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A whole head; nothing, if the other side ends before, or goes on for ever.
async fn read_head(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::with_capacity(4096);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}
