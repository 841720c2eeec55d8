//! What is measured from outside: CPU time of threads and processes, and what a Redis server counts.

use std::{collections::BTreeMap, time::Duration};

use super::rig::RedisServer;

/// Linux reports CPU time in ticks of 10 ms.
const TICK: Duration = Duration::from_millis(10);

/// CPU time of the threads of this process whose name begins so (proc(5), `/proc/PID/task/TID/stat`).
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

/// Calls, and microseconds of them, by command.
#[derive(Clone, Debug, Default)]
pub struct Commands(BTreeMap<String, (f64, f64)>);

impl Commands {
    /// As the server counts them since its start, those of scripts too.
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

    /// What came since.
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

    /// Loads: each gets the record and the shard's epoch at once, and so does a draw with its buckets.
    pub fn loads(&self) -> f64 {
        self.calls("mget") - self.draws()
    }

    /// Commits: each compares a token, and nothing else does.
    pub fn commits(&self) -> f64 {
        self.calls("getrange")
    }

    /// Draws from quotas: all scripts but commits and the signs of life, of which each drops the processes that gave none.
    pub fn draws(&self) -> f64 {
        self.calls("evalsha") - self.commits() - self.calls("zremrangebyscore")
    }

    /// Looks at one shard's due index.
    pub fn looks(&self) -> f64 {
        self.calls("zrange") - self.calls("zremrangebyscore")
    }

    /// A line for each command that is called often. What a script calls is part of its time too.
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

/// What so many percent of the times are not above, in milliseconds.
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
