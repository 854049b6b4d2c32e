//! Threads that share one frame.

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use anyhow::{Context, Result};
use gradgate_engine::compute::Workers;
use rayon::{ThreadPool, ThreadPoolBuilder, Yield};

/// A pool for the engine's parts of a step.
pub struct Pool {
    threads: ThreadPool,
    /// Held while the threads wait awake for one caller's frames.
    awake: Mutex<()>,
}

impl Pool {
    /// The pool of this process, made at the first call; `None` for a single thread.
    pub fn get(threads: u64) -> Result<Option<&'static Pool>> {
        static POOL: OnceLock<Pool> = OnceLock::new();
        let threads = usize::try_from(threads).context("too many threads")?;
        if threads < 2 {
            return Ok(None);
        }
        if POOL.get().is_none() {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build();
            let pool = pool.with_context(|| format!("no {threads} threads"))?;
            let pool = || Pool { threads: pool, awake: Mutex::new(()) };
            return Ok(Some(POOL.get_or_init(pool)));
        }
        Ok(POOL.get())
    }

    /// Runs `work` on a thread of the pool, and keeps the others awake meanwhile: a verdict has
    /// some sixty steps of two or three parts each, and a thread that sleeps between them takes
    /// longer to come back than many a step lasts (20 us a part in a virtual machine).
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.threads.install(|| {
            // A second caller's threads would wait for the first one's.
            let Ok(_awake) = self.awake.try_lock() else { return work() };
            let (started, ended) = (AtomicUsize::new(1), AtomicBool::new(false));
            rayon::in_place_scope(|scope| {
                let _end = End(&ended);
                for _ in 1..self.count() {
                    scope.spawn(|_| wait_awake(&started, &ended));
                }
                // This thread must not take such a task itself: it would never end.
                while started.load(Ordering::Acquire) < self.count() {
                    hint::spin_loop();
                }
                work()
            })
        })
    }
}

/// Ends the waiting, also when the work panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Counts a part as done, also when it panics.
struct Done<'a>(&'a AtomicUsize);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Takes up parts of steps until the end.
fn wait_awake(started: &AtomicUsize, ended: &AtomicBool) {
    started.fetch_add(1, Ordering::AcqRel);
    while !ended.load(Ordering::Acquire) {
        if rayon::yield_now() != Some(Yield::Executed) {
            hint::spin_loop();
        }
    }
}

impl Workers for Pool {
    fn count(&self) -> usize {
        self.threads.current_num_threads()
    }

    fn run(&self, tasks: &mut [&mut (dyn FnMut() + Send)]) {
        let left = AtomicUsize::new(tasks.len().saturating_sub(1));
        let left = &left;
        self.threads.in_place_scope(|scope| {
            let mut tasks = tasks.iter_mut();
            let own = tasks.next();
            for task in tasks {
                scope.spawn(move |_| {
                    let _done = Done(left);
                    task();
                });
            }
            // This thread takes a part itself instead of waiting for the others.
            if let Some(task) = own {
                task();
            }
            // Waiting for the scope's end would put this thread to sleep after some 20 us, and to
            // be woken takes longer than that.
            while left.load(Ordering::Acquire) > 0 {
                if rayon::yield_now() != Some(Yield::Executed) {
                    hint::spin_loop();
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_task_runs_once() {
        assert!(Pool::get(1).unwrap().is_none());
        let pool = Pool::get(3).unwrap().unwrap();
        assert_eq!(pool.count(), 3);
        let counts = [const { AtomicUsize::new(0) }; 5];
        let mut tasks: Vec<_> = counts
            .iter()
            .map(|n| {
                move || {
                    n.fetch_add(1, Ordering::Relaxed);
                }
            })
            .collect();
        let mut tasks: Vec<&mut (dyn FnMut() + Send)> =
            tasks.iter_mut().map(|task| task as _).collect();
        pool.inside(|| pool.run(&mut tasks));
        pool.run(&mut tasks);
        assert!(counts.iter().all(|n| n.load(Ordering::Relaxed) == 2), "{counts:?}");
    }
}
