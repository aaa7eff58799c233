//! Wall time, CPU time and memory of this process.

use std::{fs, time::Instant};

use serde::Serialize;

/// What a measurement says: one JSON object.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub bench: &'static str,
    /// How many units were done.
    pub size: u64,
    /// Wall time, in seconds.
    pub seconds: f64,
    /// User and system CPU time of the whole process meanwhile, in seconds.
    pub cpu_seconds: f64,
    /// Units a second.
    pub rate: f64,
    /// Greatest resident memory of the process so far, in MB (10⁶ bytes).
    pub peak_rss_mb: f64,
    /// What else is worth saying, by name.
    #[serde(flatten)]
    pub more: serde_json::Map<String, serde_json::Value>,
}

/// Runs from its making.
pub struct Stopwatch {
    wall: Instant,
    cpu: f64,
}

impl Stopwatch {
    /// Starts.
    #[must_use]
    pub fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
        let wall = Instant::now();
        Self { wall, cpu: cpu_seconds() }
    }

    /// Wall and CPU seconds so far.
    #[must_use]
    pub fn elapsed(&self) -> (f64, f64) {
        (self.wall.elapsed().as_secs_f64(), cpu_seconds() - self.cpu)
    }

    /// Stops, and reports so many units done.
    #[must_use]
    pub fn report(&self, bench: &'static str, size: u64) -> Report {
        let (seconds, cpu_seconds) = self.elapsed();
        Report {
            bench,
            size,
            seconds,
            cpu_seconds,
            rate: size as f64 / seconds.max(1e-9),
            peak_rss_mb: peak_rss_mb(),
            more: serde_json::Map::new(),
        }
    }
}

/// User and system CPU seconds of this process (Linux's `/proc/self/stat`, clock ticks of 10 ms); 0 elsewhere.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the command's name in brackets, user and system time are the 12th and 13th figures.
    let figures: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |i: usize| figures.get(i).and_then(|f| f.parse::<f64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) / 100.0
}

/// Greatest resident memory so far, in MB; 0 where `/proc` is missing.
fn peak_rss_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    let kib: f64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or_default();
    kib * 1024.0 / 1e6
}
