//! The process's own figures, under the names that every Prometheus dashboard knows, read from /proc at each scrape.
//!
//! The prometheus crate's own collector would bring five more crates for the same few lines.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts};

/// Reads /proc/self when asked. Off Linux the figures stay at zero.
#[derive(Debug)]
pub(super) struct ProcessCollector {
    resident: Gauge,
    cpu_seconds: Counter,
    open_fds: Gauge,
    start_time: Gauge,
}

impl ProcessCollector {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| Gauge::with_opts(Opts::new(name, help));
        Ok(Self {
            resident: gauge("process_resident_memory_bytes", "Resident memory.")?,
            cpu_seconds: Counter::new("process_cpu_seconds_total", "User and system CPU time.")?,
            open_fds: gauge("process_open_fds", "Open file descriptors.")?,
            start_time: gauge("process_start_time_seconds", "Start of the process (Unix time).")?,
        })
    }

    fn all(&self) -> [&dyn Collector; 4] {
        [&self.resident, &self.cpu_seconds, &self.open_fds, &self.start_time]
    }

    fn read(&self) -> Option<()> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // Fields are counted behind the command's name, which stands in parentheses and may hold spaces (proc(5)).
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        // The kernel counts; we only pass its count on.
        self.cpu_seconds.reset();
        self.cpu_seconds.inc_by((field(14)? + field(15)?) / ticks);
        self.resident.set(field(24)? * rustix::param::page_size() as f64);
        self.open_fds.set(fs::read_dir("/proc/self/fd").ok()?.count() as f64);
        let booted = fs::read_to_string("/proc/stat").ok()?;
        let booted = booted.lines().find_map(|line| line.strip_prefix("btime "))?.parse::<f64>().ok()?;
        self.start_time.set(booted + field(22)? / ticks);
        Some(())
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.all().into_iter().flat_map(|one| one.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // A /proc that cannot be read (hidden by a sandbox) leaves the figures as they were.
        let _ = self.read();
        self.all().into_iter().flat_map(|one| one.collect()).collect()
    }
}
