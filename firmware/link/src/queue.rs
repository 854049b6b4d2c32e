//! A bounded queue: full is an answer, not a wait.
//!
//! Who must not lose anything uses [`Queue::push`] and tells the other side to come back; who wants
//! the newest (telemetry) uses [`Queue::push_newest`], and what is dropped is counted.

/// First in, first out, `N` at most.
#[derive(Clone, Debug)]
pub struct Queue<T, const N: usize> {
    items: [Option<T>; N],
    first: usize,
    length: usize,
    dropped: u32,
}

impl<T, const N: usize> Default for Queue<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> Queue<T, N> {
    /// An empty one.
    pub const fn new() -> Self {
        const { assert!(N > 0, "a queue of nothing") };
        Queue { items: [const { None }; N], first: 0, length: 0, dropped: 0 }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether the next [`Queue::push`] is refused.
    pub fn is_full(&self) -> bool {
        self.length == N
    }

    /// How many [`Queue::push_newest`] dropped; stops at its maximum.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Gives `item` back where the queue is full.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.is_full() {
            return Err(item);
        }
        match self.items.get_mut((self.first + self.length) % N) {
            Some(free) => *free = Some(item),
            None => return Err(item),
        }
        self.length += 1;
        Ok(())
    }

    /// Drops the oldest where the queue is full.
    pub fn push_newest(&mut self, item: T) {
        if self.is_full() {
            let _ = self.pop();
            self.dropped = self.dropped.saturating_add(1);
        }
        // There is room now.
        let _ = self.push(item);
    }

    /// The oldest.
    pub fn pop(&mut self) -> Option<T> {
        let item = self.items.get_mut(self.first)?.take()?;
        self.first = (self.first + 1) % N;
        self.length -= 1;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;

    #[test]
    fn a_full_queue_refuses_or_drops_the_oldest() {
        let mut queue = Queue::<u8, 2>::new();
        assert_eq!((queue.push(1), queue.push(2), queue.push(3)), (Ok(()), Ok(()), Err(3)));
        assert!(queue.is_full());
        queue.push_newest(4);
        assert_eq!((queue.dropped(), queue.len()), (1, 2));
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(2), Some(4), None));
        assert!(queue.is_empty());
    }

    #[test]
    fn any_mix_agrees_with_the_library_s_queue() {
        let mut queue = Queue::<u32, 5>::new();
        let mut peer = VecDeque::new();
        for step in 0..10_000_u32 {
            match step.wrapping_mul(2_654_435_761) >> 29 {
                0..=2 => {
                    let full = peer.len() == 5;
                    assert_eq!(queue.push(step).is_err(), full, "step {step}");
                    if !full {
                        peer.push_back(step);
                    }
                }
                3 => {
                    queue.push_newest(step);
                    if peer.len() == 5 {
                        peer.pop_front();
                    }
                    peer.push_back(step);
                }
                _ => assert_eq!(queue.pop(), peer.pop_front(), "step {step}"),
            }
            assert_eq!(queue.len(), peer.len(), "step {step}");
        }
    }
}
