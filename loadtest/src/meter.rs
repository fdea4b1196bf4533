//! What a stretch of time cost: the server's CPU, our own, memory, sends.

use std::time::Instant;

use anyhow::Result;

use crate::procfs;

/// What the load client counts itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Own {
    /// Calls of `send` so far.
    pub(crate) sends: u64,
    /// Bytes received so far.
    pub(crate) received_bytes: u64,
    /// Nanoseconds spent in polls that were not to wait and found nothing.
    pub(crate) idle_ns: u64,
}

/// A reading of all counters.
pub(crate) struct Meter {
    pid: Option<u32>,
    wall: Instant,
    server_cpu_ns: u64,
    server_user_ns: u64,
    server_system_ns: u64,
    own_cpu_ns: u64,
    segments: u64,
    own: Own,
}

/// The difference of two readings.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    /// Time that went by.
    pub(crate) wall_ns: u64,
    /// The server's time on the CPU; 0 where its process is not known.
    pub(crate) server_cpu_ns: u64,
    /// The share of it in user space, to the 10 ms of the system's ticks.
    pub(crate) server_user_share: f64,
    /// Our own time on the CPU, less that of polls that found nothing.
    pub(crate) own_cpu_ns: u64,
    /// Data segments that the server sent.
    pub(crate) server_sends: u64,
    /// Bytes that we received, frames' headers among them.
    pub(crate) received_bytes: u64,
}

impl Meter {
    /// Reads all counters.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) fn read(pid: Option<u32>, own: Own) -> Result<Self> {
        let (server_user_ns, server_system_ns) =
            pid.map_or(Ok((0, 0)), procfs::user_and_system_ns)?;
        Ok(Self {
            pid,
            wall: Instant::now(),
            server_cpu_ns: pid.map_or(Ok(0), procfs::cpu_ns)?,
            server_user_ns,
            server_system_ns,
            own_cpu_ns: procfs::own_cpu_ns(),
            segments: procfs::data_segments_sent(),
            own,
        })
    }

    /// What it cost since this reading.
    ///
    /// # Errors
    /// The server is gone.
    pub(crate) fn until_now(&self, own: Own) -> Result<Cost> {
        let now = Self::read(self.pid, own)?;
        // A worker of the server that has ended takes its counts with it.
        let user = now.server_user_ns.saturating_sub(self.server_user_ns);
        let system = now.server_system_ns.saturating_sub(self.server_system_ns);
        Ok(Cost {
            wall_ns: (now.wall - self.wall).as_nanos() as u64,
            server_cpu_ns: now.server_cpu_ns.saturating_sub(self.server_cpu_ns),
            server_user_share: user as f64 / (user + system).max(1) as f64,
            own_cpu_ns: (now.own_cpu_ns - self.own_cpu_ns)
                .saturating_sub(now.own.idle_ns - self.own.idle_ns),
            server_sends: (now.segments - self.segments)
                .saturating_sub(now.own.sends - self.own.sends),
            received_bytes: now.own.received_bytes - self.own.received_bytes,
        })
    }
}

impl Cost {
    /// Whether the load client had no time left; `false` if the server had none either.
    pub(crate) fn load_was_the_bottleneck(&self) -> bool {
        let share = |cpu: u64| cpu as f64 / self.wall_ns.max(1) as f64;
        share(self.own_cpu_ns) >= 0.95 && share(self.server_cpu_ns) < 0.95
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_client_of_an_idle_server_is_the_bottleneck() {
        let cost = |server, own| Cost {
            wall_ns: 100,
            server_cpu_ns: server,
            own_cpu_ns: own,
            ..Cost::default()
        };
        assert!(cost(80, 96).load_was_the_bottleneck());
        assert!(!cost(96, 96).load_was_the_bottleneck());
        assert!(!cost(50, 60).load_was_the_bottleneck());
    }
}
