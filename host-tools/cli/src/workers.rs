//! Threads that share one frame.

use std::sync::OnceLock;

use anyhow::{Context, Result};
use gradgate_engine::compute::Workers;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// A pool for the engine's parts of a step.
pub struct Pool(ThreadPool);

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
            return Ok(Some(POOL.get_or_init(|| Pool(pool))));
        }
        Ok(POOL.get())
    }

    /// Runs `work` on a thread of the pool: from there, parts of a step start without waking it.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.install(work)
    }
}

impl Workers for Pool {
    fn count(&self) -> usize {
        self.0.current_num_threads()
    }

    fn run(&self, tasks: &mut [&mut (dyn FnMut() + Send)]) {
        self.0.in_place_scope(|scope| {
            let mut tasks = tasks.iter_mut();
            let own = tasks.next();
            for task in tasks {
                scope.spawn(move |_| task());
            }
            // This thread takes a part itself instead of waiting for the others.
            if let Some(task) = own {
                task();
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
