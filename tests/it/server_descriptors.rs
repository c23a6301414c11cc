//! Few file descriptors, many callers.

use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::time::Instant;

use crate::support::patience::{eventually, eventually_within};
use crate::support::setup::Setup;

const SECOND: Duration = Duration::from_secs(1);

/// Clock ticks of CPU that a process has used; a hundred a second.
fn cpu(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

// G 32 (B28): the limit sinks below what is in use while it runs, so that accepting itself fails
#[test]
fn a_process_without_descriptors_neither_spins_nor_dies() {
    let mut rig = Setup::new().start_process();
    let id = rig.process().id();
    let process = Pid::from_raw(i32::try_from(id).unwrap());
    prlimit(process, Resource::Nofile, Rlimit { current: Some(30), maximum: Some(4096) }).unwrap();
    let silent: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(rig.address).unwrap()).collect();
    let (before, lines, started) = (cpu(id), rig.process().stderr().lines().count(), Instant::now());
    std::thread::sleep(SECOND * 3);
    let used = (cpu(id) - before) as f64 / 100.0 / started.elapsed().as_secs_f64();
    assert!(used < 0.2, "it used {used} of a processor");
    let written = rig.process().stderr().lines().count() - lines;
    assert!(written < 5, "{written} lines in three seconds");
    drop(silent);
    eventually("service resumes", || rig.get("/").status == 200);
}

// G 32 (B24, B28): the limit is low from the start
#[test]
fn few_descriptors_are_shared_so_that_everybody_is_served() {
    let mut rig = Setup::new().lifetime(SECOND * 4).start_process_with_files(64);
    let fetched = rig.idp.count();
    let id = rig.process().id();
    let slow: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(rig.address).unwrap()).collect();
    let (before, started) = (cpu(id), Instant::now());
    while started.elapsed() < SECOND * 4 {
        assert_eq!(rig.get("/").status, 200, "who has something to ask is served");
        std::thread::sleep(SECOND / 20);
    }
    let used = (cpu(id) - before) as f64 / 100.0 / started.elapsed().as_secs_f64();
    assert!(used < 0.5, "it used {used} of a processor");
    eventually_within(SECOND * 10, "tokens are renewed", || rig.idp.count() > fetched + 1);
    assert_eq!(rig.probe("/readyz").status, 200);
    let lines = rig.process().stderr().lines().count();
    assert!(lines < 40, "{lines} lines");
    drop(slow);
}
