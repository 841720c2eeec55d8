//! Measurements from outside: CPU time of threads and processes, and the command counts of a Redis server.

use std::{collections::BTreeMap, time::Duration};

use super::rig::RedisServer;

/// The unit of CPU time in Linux.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of the threads of this process whose names begin with this (proc(5), `/proc/PID/task/TID/stat`).
pub fn cpu_of_threads(name: &str) -> anyhow::Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task")? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        if stat.contains(&format!("({name}")) {
            sum += cpu(&stat)?;
        }
    }
    Ok(sum)
}

/// CPU time of a process.
pub fn cpu_of_process(id: &str) -> anyhow::Result<Duration> {
    cpu(&std::fs::read_to_string(format!("/proc/{id}/stat"))?)
}

fn cpu(stat: &str) -> anyhow::Result<Duration> {
    let fields: Vec<&str> = stat
        .rsplit_once(") ")
        .map_or("", |(_, tail)| tail)
        .split(' ')
        .collect();
    anyhow::ensure!(fields.len() > 12, "it is a line of proc");
    Ok(TICK * (fields[11].parse::<u32>()? + fields[12].parse::<u32>()?))
}

/// The number of calls and their microseconds, by command.
#[derive(Clone, Debug, Default)]
pub struct Commands(BTreeMap<String, (f64, f64)>);

impl Commands {
    /// Reads the counts of the server since its start, including commands that scripts call.
    pub fn of(server: &RedisServer) -> Self {
        let text = server.cmd(&["INFO", "commandstats"]).text();
        let read = |line: &str| {
            let (name, fields) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let field = |wanted: &str| {
                let field = fields
                    .split(',')
                    .find_map(|field| field.strip_prefix(wanted)?.strip_prefix('='));
                field
                    .and_then(|number| number.trim().parse().ok())
                    .unwrap_or_default()
            };
            Some((name.to_lowercase(), (field("calls"), field("usec"))))
        };
        Self(text.lines().filter_map(read).collect())
    }

    /// The difference to earlier counts.
    pub fn since(&self, before: &Self) -> Self {
        let less = |name: &String, (calls, usec): (f64, f64)| {
            let (calls_before, usec_before) = before.0.get(name).copied().unwrap_or_default();
            (calls - calls_before, usec - usec_before)
        };
        Self(
            self.0
                .iter()
                .map(|(name, count)| (name.clone(), less(name, *count)))
                .collect(),
        )
    }

    pub fn add(&mut self, more: &Self) {
        for (name, (calls, usec)) in &more.0 {
            let sum = self.0.entry(name.clone()).or_default();
            *sum = (sum.0 + calls, sum.1 + usec);
        }
    }

    fn calls(&self, name: &str) -> f64 {
        self.0.get(name).map_or(0.0, |(calls, _)| *calls)
    }

    /// The number of loads: each reads the record and the epoch of its shard with one MGET, which no script uses.
    pub fn loads(&self) -> f64 {
        self.calls("mget")
    }

    /// The number of commits: only they compare a token.
    pub fn commits(&self) -> f64 {
        self.calls("getrange")
    }

    /// The number of draws from quotas: all scripts except commits and heartbeats. Only heartbeats remove dead
    /// processes.
    pub fn draws(&self) -> f64 {
        self.calls("evalsha") - self.commits() - self.calls("zremrangebyscore")
    }

    /// The number of reads of the due index of a shard.
    pub fn looks(&self) -> f64 {
        self.calls("zrange") - self.calls("zremrangebyscore")
    }

    /// Prints a line for each frequent command. The time of a script includes that of the commands it calls.
    pub fn print(&self, pairs: f64) {
        let mut rows: Vec<_> = self
            .0
            .iter()
            .filter(|(_, (calls, _))| *calls >= pairs / 100.0)
            .collect();
        rows.sort_by(|(_, one), (_, other)| other.1.total_cmp(&one.1));
        for (name, (calls, usec)) in rows {
            println!(
                "    {name:<12} {:>8.2} a pair {:>8.2} us each",
                calls / pairs,
                usec / calls
            );
        }
    }
}

/// A percentile of the latencies, in milliseconds.
pub fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let last = times.len().saturating_sub(1);
    times
        .get(last.min(times.len() * percent / 100))
        .copied()
        .unwrap_or_default()
        .as_secs_f64()
        * 1e3
}
