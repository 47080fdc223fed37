//! What goes wrong, at random.

use std::{fmt, time::Duration};

use multiflexi_fixture::{
    Agent, Clock, Scheduler, eventually, processes,
    proxy::{Mode, Proxy},
};

use crate::random::Random;

/// Shortest and longest time that a connection is disturbed.
const DISTURBED: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(60)];

/// Whose clock it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The scheduler's.
    Scheduler,
    /// The agent's, with its supervisor's.
    Agent,
}

/// How far a clock may be off, in seconds.
const OFF: u64 = 900;

/// What faults happen to.
#[derive(Debug)]
pub struct System {
    /// The scheduler.
    pub scheduler: Scheduler,
    /// The agent.
    pub agent: Agent,
    /// What is between them.
    pub proxy: Proxy,
    /// The scheduler's clock and the agent's.
    pub clocks: [Clock; 2],
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// kill -9 of the scheduler; it is started again.
    KillScheduler,
    /// kill -9 of the agent's session; it is started again.
    KillSession,
    /// Both at once.
    KillBoth,
    /// kill -9 of the agent's supervisor: what runs is lost, and tried again.
    KillSupervisor,
    /// The scheduler's clock, or the agent's, is put forward or back to differ from the
    /// host's by so many seconds.
    Clock(Side, i64),
    /// The connection is cut for a time.
    Cut(Duration),
    /// The connection swallows everything for a time.
    BlackHole(Duration),
    /// The connection is slow for a time.
    Delay(Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillScheduler => f.write_str("kill -9 scheduler"),
            Self::KillSession => f.write_str("kill -9 session"),
            Self::KillBoth => f.write_str("kill -9 both"),
            Self::KillSupervisor => f.write_str("kill -9 supervisor"),
            Self::Clock(side, seconds) => write!(f, "clock of {side:?} off by {seconds} s"),
            Self::Cut(time) => write!(f, "cut for {:.1} s", time.as_secs_f64()),
            Self::BlackHole(time) => write!(f, "black hole for {:.1} s", time.as_secs_f64()),
            Self::Delay(time) => write!(f, "slow for {:.1} s", time.as_secs_f64()),
        }
    }
}

impl Fault {
    /// The name of its kind, for counting.
    pub fn kind(self) -> &'static str {
        match self {
            Self::KillScheduler => "scheduler killed",
            Self::KillSession => "session killed",
            Self::KillBoth => "both killed",
            Self::KillSupervisor => "supervisor killed",
            Self::Clock(..) => "clock put forward or back",
            Self::Cut(_) => "cut",
            Self::BlackHole(_) => "black hole",
            Self::Delay(_) => "slow",
        }
    }

    /// The next one; none lasts longer than `longest`.
    pub fn random(random: &mut Random, longest: Duration) -> Self {
        let [least, most] = DISTURBED;
        let time = random.duration(least, most.min(longest));
        match random.below(20) {
            0..6 => Self::KillScheduler,
            6..11 => Self::KillSession,
            11..13 => Self::KillBoth,
            13 => Self::KillSupervisor,
            14 => {
                let side = if random.below(3) == 0 { Side::Agent } else { Side::Scheduler };
                let seconds = i64::try_from(random.below(2 * OFF)).unwrap_or_default();
                Self::Clock(side, seconds - OFF.cast_signed())
            }
            15..17 => Self::Cut(time),
            17..19 => Self::BlackHole(time),
            _ => Self::Delay(time.min(Duration::from_secs(2))),
        }
    }

    /// Lets it happen and heals it.
    pub fn inject(self, system: &mut System) {
        let System { scheduler, agent, proxy, clocks } = system;
        match self {
            Self::Clock(side, seconds) => clocks[side as usize].set(seconds),
            Self::KillScheduler => scheduler.restart(),
            Self::KillSession => {
                agent.kill_session();
                agent.start_again();
            }
            Self::KillBoth => {
                scheduler.kill();
                agent.kill_session();
                agent.start_again();
                scheduler.restart();
            }
            Self::KillSupervisor => {
                if let Some(pid) = agent.supervisor() {
                    processes::signal(pid, rustix::process::Signal::KILL);
                    eventually("the supervisor is gone", || {
                        (!processes::is_alive(pid)).then_some(())
                    });
                }
            }
            Self::Cut(time) => disturb(proxy, Mode::Cut, time),
            Self::BlackHole(time) => disturb(proxy, Mode::BlackHole, time),
            Self::Delay(time) => disturb(proxy, Mode::Delay(Duration::from_millis(50)), time),
        }
    }
}

fn disturb(proxy: &Proxy, mode: Mode, time: Duration) {
    proxy.set(mode);
    pause(time);
    proxy.set(Mode::Pass);
}

/// Lets time pass: the fault itself.
#[expect(clippy::disallowed_methods, reason = "a disturbance has a length")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}
