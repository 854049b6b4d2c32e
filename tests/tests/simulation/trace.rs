//! What happened, as one number and, where wanted, in words.

/// FNV-1a over everything that matters.
pub struct Trace {
    hash: u64,
    verbose: bool,
}

impl Trace {
    /// Nothing happened yet.
    pub fn new(verbose: bool) -> Trace {
        Trace { hash: 0xCBF2_9CE4_8422_2325, verbose }
    }

    /// Of all so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Numbers.
    pub fn mark(&mut self, numbers: &[u64]) {
        for &number in numbers {
            self.hash = (self.hash ^ number).wrapping_mul(0x0100_0000_01B3);
        }
    }

    /// Bytes of the wire.
    pub fn bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.mark(&[u64::from(byte)]));
    }

    /// Something rare.
    pub fn say(&mut self, now_us: u64, text: impl FnOnce() -> String) {
        let text = text();
        self.bytes(text.as_bytes());
        if self.verbose {
            println!("{:>12.3} ms  {text}", now_us as f64 / 1000.0);
        }
    }
}
