//! What is measured: once a round the server's own figures and the kernel's, once a minute a line of them, and in the end
//! whether they are as they should be.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crate::field::{Field, tell, wait_until};
use crate::flat;
use crate::support::http::Request;
use crate::support::server::Server;
use crate::visits::KINDS;

/// What stands over the lines of the minutes.
pub(crate) fn header() -> String {
    let columns = [
        (8, "minute"),
        (9, "published"),
        (9, "heard"),
        (7, "visits"),
        (7, "stalled"),
        (7, "refused"),
        (7, "reloads"),
        (8, "rejected"),
        (4, "open"),
        (5, "tasks"),
        (5, "files"),
        (7, "threads"),
        (8, "RSS KiB"),
        (8, "heap KiB"),
        (6, "CPU %"),
        (7, "p99 ms"),
    ];
    let columns = columns.iter().map(|(width, name)| format!("{name:>width$}"));
    columns.collect::<Vec<_>>().join(" ")
}

/// What there is at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) connections: f64,
    pending: f64,
    channels: f64,
    tasks: f64,
    files: f64,
    threads: f64,
    queue: f64,
    queue_memory: f64,
    refused: f64,
    reloads: f64,
    rejected: f64,
    slow: f64,
    faults: f64,
    cpu: f64,
    /// Of the process and of its heap and stacks alone, in KiB.
    memory: f64,
    heap: f64,
}

impl Sample {
    pub(crate) fn take(server: &Server, field: &Field) -> Sample {
        let answer = Request::get("/metrics").send(field.metrics);
        assert_eq!(answer.status, 200, "{answer:?}");
        let series: BTreeMap<&str, f64> = answer
            .body
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.rsplit_once(' ').expect("a series and its value"))
            .map(|(name, value)| (name, value.parse().expect("a number")))
            .collect();
        // Whatever labels it has.
        let sum = |name: &str| -> f64 {
            let of_it = |series: &&str| series.split('{').next() == Some(name);
            let values = series.iter().filter(|(series, _)| of_it(series));
            let (count, sum) = values.fold((0, 0.0), |(n, sum), (_, value)| (n + 1, sum + value));
            assert!(count > 0, "no {name}");
            sum
        };
        let of = |name: &str| *series.get(name).unwrap_or_else(|| panic!("no {name}"));
        let accepted = of("philote_handshakes_total{result=\"accepted\"}");
        let (memory, heap) = memory(server.pid());
        Sample {
            connections: sum("philote_connections"),
            pending: sum("philote_pending_sockets"),
            channels: sum("philote_channels"),
            tasks: sum("philote_worker_tasks"),
            files: sum("process_open_fds"),
            threads: sum("process_threads"),
            queue: sum("philote_queue_bytes"),
            queue_memory: sum("philote_queue_memory_bytes"),
            refused: sum("philote_handshakes_total") - accepted,
            reloads: of("philote_config_reloads_total{result=\"done\"}"),
            rejected: of("philote_config_reloads_total{result=\"rejected\"}"),
            slow: of("philote_connections_closed_total{reason=\"slow_consumer\"}"),
            faults: of("philote_connections_closed_total{reason=\"fault\"}"),
            cpu: sum("process_cpu_seconds_total"),
            memory,
            heap,
        }
    }

    /// The same once nothing has changed for longer than the server takes to count its tasks anew.
    pub(crate) fn settled(server: &Server, field: &Field) -> Sample {
        let mut last = Sample::take(server, field);
        for _ in 0..8 {
            wait_until(Instant::now() + Duration::from_millis(1100));
            let now = Sample::take(server, field);
            if now.more_than(&last).is_empty() && last.more_than(&now).is_empty() {
                return now;
            }
            last = now;
        }
        last
    }

    /// Of what there is more than there was; nothing where there is no more of anything.
    pub(crate) fn more_than(&self, before: &Sample) -> String {
        let pairs = [
            ("connections", self.connections, before.connections),
            ("pending sockets", self.pending, before.pending),
            ("channels", self.channels, before.channels),
            ("tasks", self.tasks, before.tasks),
            ("open files", self.files, before.files),
            ("threads", self.threads, before.threads),
            ("queued bytes", self.queue, before.queue),
            ("bytes of queues", self.queue_memory, before.queue_memory),
        ];
        let more = pairs.iter().filter(|(_, now, before)| now > before);
        let told = more.map(|(what, now, before)| format!("{now} {what} where {before} were"));
        told.collect::<Vec<_>>().join(", ")
    }
}

/// The resident memory of a process and of its heap and stacks, in KiB. Pages of files count whole, however many share
/// them: their share would follow what else comes and goes on the machine.
fn memory(pid: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let of = |name: &str| -> f64 {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_suffix(" kB"))
            .expect(name);
        line.trim().parse().expect("a number")
    };
    (of("VmRSS:"), of("RssAnon:"))
}

/// All that was measured.
pub(crate) struct Figures {
    whole: Duration,
    begun: Instant,
    samples: Vec<(Duration, Sample)>,
    /// Of the last line: when it was, and what had been counted.
    last: (Instant, Sample),
    minutes: u32,
}

impl Figures {
    pub(crate) fn new(whole: Duration) -> Figures {
        let begun = Instant::now();
        let last = (begun, Sample::default());
        Figures { whole, begun, samples: Vec::new(), last, minutes: 0 }
    }

    pub(crate) fn add(&mut self, sample: Sample, field: &Field) {
        if self.samples.is_empty() {
            self.last.1 = sample.clone();
        }
        if sample.faults > 0.0 {
            field.note("the server", "a connection ended by a fault of the server's own");
        }
        self.samples.push((self.begun.elapsed(), sample));
        if self.begun.elapsed() >= Duration::from_secs(60) * (self.minutes + 1) {
            self.minutes += 1;
            self.next_minute(field);
        }
    }

    /// Tells of the time since it was told last.
    pub(crate) fn next_minute(&mut self, field: &Field) {
        let Some((at, now)) = self.samples.last() else { return };
        let since = self.last.0.elapsed().as_secs_f64();
        let cpu = (now.cpu - self.last.1.cpu) / since * 100.0;
        let visits: u64 = field.visits.iter().map(|count| count.load(Relaxed)).sum();
        let median = |of: fn(&Sample) -> f64| {
            let recent = self.samples.iter().rev().take(60);
            let mut values: Vec<f64> = recent.map(|(_, sample)| of(sample)).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let minute = at.as_secs_f64() / 60.0;
        tell(&format!(
            "{minute:8.1} {:9} {:9} {visits:7} {:7} {:7} {:7} {:8} {:4} {:5} {:5} {:7} {:8} {:8} {cpu:6.1} {:7.1}",
            published(field),
            field.heard.load(Relaxed),
            field.stalled.load(Relaxed),
            now.refused,
            now.reloads,
            now.rejected,
            now.connections,
            now.tasks,
            now.files,
            now.threads,
            median(|sample| sample.memory),
            median(|sample| sample.heap),
            field.p99(),
        ));
        self.last = (Instant::now(), now.clone());
    }

    /// What is to be said of all of it in the end.
    ///
    /// # Errors
    /// Where memory did not stay where it was.
    pub(crate) fn verdict(&self, field: &Field) -> Result<(), String> {
        for ((name, _), count) in KINDS.iter().zip(&field.visits) {
            tell(&format!("{:9} visits: {name}", count.load(Relaxed)));
        }
        let (sent, heard) = (published(field), field.heard.load(Relaxed));
        tell(&format!("{sent:9} messages of the healthy, {heard} deliveries held against them"));
        let queued = |of: fn(&Sample) -> f64| {
            self.samples.iter().map(|(_, sample)| of(sample)).fold(0.0, f64::max)
        };
        let (most, memory) = (queued(|sample| sample.queue), queued(|sample| sample.queue_memory));
        tell(&format!("{most:9} bytes at most in queues, which took {memory} bytes of memory"));
        let stalled = field.stalled.load(Relaxed);
        if self.samples.last().is_some_and(|(_, last)| last.slow > stalled as f64 + 1.0) {
            return Err(format!("{stalled} stalled, and more were closed as slow consumers"));
        }
        let mut failed = Vec::new();
        let whole = self.whole;
        for (what, of) in [
            ("memory", (|sample: &Sample| sample.memory) as fn(&Sample) -> f64),
            ("heap", |sample| sample.heap),
        ] {
            let samples: Vec<_> =
                self.samples.iter().map(|(at, sample)| (*at, of(sample))).collect();
            let Some((medians, risen)) = flat::windows(&samples, whole) else {
                tell(&format!("{what}: too short to tell"));
                continue;
            };
            let line = format!(
                "{what}, medians of five windows after the warm-up: {medians:?} KiB, risen by {:.2} % at most",
                risen * 100.0
            );
            tell(&line);
            if what != "memory" {
                continue;
            }
            if whole < flat::LEAST {
                tell("that is not judged: it takes half an hour at least");
            } else if !flat::is_flat(risen) {
                failed.push(line);
            }
        }
        if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
    }
}

fn published(field: &Field) -> u64 {
    let all = field.sent.iter().flatten();
    all.map(|count| count.load(Relaxed)).sum()
}
