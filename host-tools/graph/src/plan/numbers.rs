//! A set of small numbers that gives its smallest one quickly.

/// Numbers below a fixed limit, a bit each, and a bit for every 64 of them.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    words: Vec<u64>,
    /// Which words hold a number.
    summary: Vec<u64>,
}

impl Numbers {
    /// None of 0..limit.
    pub fn below(limit: usize) -> Self {
        let words = limit.div_ceil(64);
        Self { words: vec![0; words], summary: vec![0; words.div_ceil(64)] }
    }

    pub fn insert(&mut self, number: u32) {
        let word = number as usize / 64;
        self.words[word] |= 1 << (number % 64);
        self.summary[word / 64] |= 1 << (word % 64);
    }

    pub fn remove(&mut self, number: u32) {
        let word = number as usize / 64;
        self.words[word] &= !(1 << (number % 64));
        if self.words[word] == 0 {
            self.summary[word / 64] &= !(1 << (word % 64));
        }
    }

    pub fn contains(&self, number: u32) -> bool {
        self.words[number as usize / 64] >> (number % 64) & 1 == 1
    }

    /// The smallest.
    pub fn first(&self) -> Option<u32> {
        let at = self.summary.iter().position(|&bits| bits != 0)?;
        let word = 64 * at + self.summary[at].trailing_zeros() as usize;
        Some(64 * word as u32 + self.words[word].trailing_zeros())
    }

    /// Takes the smallest out.
    pub fn pop_first(&mut self) -> Option<u32> {
        let first = self.first()?;
        self.remove(first);
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::ops::check::Rng;

    #[test]
    fn a_tree_gives_the_same_numbers() {
        let mut rng = Rng(8);
        for limit in [1, 64, 65, 4096, 4097, 9000] {
            let (mut numbers, mut tree) = (Numbers::below(limit), BTreeSet::new());
            for _ in 0..2000 {
                let number = rng.range(0, limit - 1) as u32;
                match rng.range(0, 3) {
                    0 | 1 => {
                        numbers.insert(number);
                        tree.insert(number);
                    }
                    2 => {
                        numbers.remove(number);
                        tree.remove(&number);
                    }
                    _ => assert_eq!(numbers.pop_first(), tree.pop_first()),
                }
                assert_eq!(numbers.contains(number), tree.contains(&number));
                assert_eq!(numbers.first(), tree.first().copied());
            }
        }
    }
}
