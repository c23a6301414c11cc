//! The binary itself: for signals, exit codes, and what stands on its standard error.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

use super::leaks;
use super::patience::patience;
use super::proxy::Variables;

/// A running `sidepass`; killed when dropped.
pub(crate) struct Process {
    child: Child,
    out: Arc<Mutex<Vec<u8>>>,
    err: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; -1 if a signal ended it.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Process {
    /// Starts the binary with nothing in its environment but `variables`.
    pub(crate) fn spawn(arguments: &[&str], variables: &Variables, folder: &Path) -> Self {
        Self::spawn_with(None, arguments, variables, folder)
    }

    /// The same, where it may open so many files.
    pub(crate) fn spawn_with(
        files: Option<u32>,
        arguments: &[&str],
        variables: &Variables,
        folder: &Path,
    ) -> Self {
        let binary = env!("CARGO_BIN_EXE_sidepass");
        let mut command = match files {
            None => Command::new(binary),
            Some(most) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\""), binary]);
                shell
            }
        };
        let mut child = command
            .args(arguments)
            .env_clear()
            .envs(variables)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let (out, err) = (Arc::default(), Arc::default());
        let readers = vec![
            keep(child.stdout.take().unwrap(), Arc::clone(&out)),
            keep(child.stderr.take().unwrap(), Arc::clone(&err)),
        ];
        Self { child, out, err, readers }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// What it has written to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.err.lock().unwrap()).into_owned()
    }

    /// What it has written to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.out.lock().unwrap()).into_owned()
    }

    /// Where its admin listener is, once it has said so; for `run` with ports of its own choice.
    pub(crate) fn admin(&self) -> Option<SocketAddr> {
        let said = self.stderr();
        said.split("\"admin\":\"[").nth(1)?.split(']').next()?.parse().ok()
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub(crate) fn wait(&mut self, span: Duration) -> Ended {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < span, "the process did not end within {span:?}:\n{}", self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        };
        self.ended(status)
    }

    fn ended(&mut self, status: ExitStatus) -> Ended {
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
        let text = |bytes: &Mutex<Vec<u8>>| String::from_utf8_lossy(&bytes.lock().unwrap()).into_owned();
        Ended { code: status.code().unwrap_or(-1), out: text(&self.out), err: text(&self.err) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        if let Ok(status) = self.child.wait() {
            let ended = self.ended(status);
            leaks::scan("standard error", ended.err.as_bytes());
        }
    }
}

fn keep(mut from: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let copy = move || {
        let mut some = [0; 8192];
        while let Ok(read @ 1..) = from.read(&mut some) {
            into.lock().unwrap().extend_from_slice(&some[..read]);
        }
    };
    std::thread::Builder::new().name("caller".to_owned()).spawn(copy).unwrap()
}

/// Runs a command to its end.
#[track_caller]
pub(crate) fn sidepass(arguments: &[&str], variables: &Variables, folder: &Path) -> Ended {
    Process::spawn(arguments, variables, folder).wait(patience() * 2)
}

/// A folder with this proxy.yaml in it.
pub(crate) fn folder_with(yaml: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("proxy.yaml");
    std::fs::write(&file, yaml).unwrap();
    (folder, file)
}

/// A port of 127.0.0.1 that nobody uses just now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Whether somebody listens there.
pub(crate) fn listens(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

/// Resident memory of a process in KiB.
pub(crate) fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
