//! Metrics of the process from the kernel, under the names that Prometheus' own libraries use.

/// Updates the metrics of the process. What cannot be read keeps its last value.
#[cfg(target_os = "linux")]
pub(super) fn measure() {
    use metrics::{counter, gauge};
    use procfs::{ProcError, ProcResult, process::LimitValue};

    let read = || -> ProcResult<()> {
        let process = procfs::process::Process::myself()?;
        let stat = process.stat()?;
        let ticks = procfs::ticks_per_second();
        counter!("process_cpu_seconds_total").absolute((stat.utime + stat.stime) / ticks);
        gauge!("process_resident_memory_bytes").set(number(stat.rss * procfs::page_size()));
        gauge!("process_virtual_memory_bytes").set(number(stat.vsize));
        gauge!("process_threads").set(number(u64::try_from(stat.num_threads).unwrap_or(0)));
        let started = procfs::boot_time_secs()? + stat.starttime / ticks;
        gauge!("process_start_time_seconds").set(number(started));
        let open = u64::try_from(process.fd_count()?)
            .map_err(|_| ProcError::Other("more descriptors than fit".to_owned()))?;
        gauge!("process_open_fds").set(number(open));
        if let LimitValue::Value(most) = process.limits()?.max_open_files.soft_limit {
            gauge!("process_max_fds").set(number(most));
        }
        Ok(())
    };
    if let Err(error) = read() {
        tracing::debug!(%error, "process metrics not read");
    }
}

/// Other systems than Linux have no source for these metrics.
#[cfg(not(target_os = "linux"))]
pub(super) fn measure() {}

/// Metrics are floating-point numbers, which hold whole numbers up to 2^53 exactly.
#[cfg(target_os = "linux")]
fn number(whole: u64) -> f64 {
    whole as f64
}
