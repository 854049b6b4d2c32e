//! Devices for tests: a board behind a wire whose clock is virtual, and behind a TCP port.
// Each suite uses what it needs.
#![allow(dead_code, unused_imports)]

mod bundle;
mod fake;
mod script;
mod server;

use gradgate_field::wire::Wire;
use gradgate_link::channel::Random;

pub use bundle::{bundle, key, other_key, sized};
pub use fake::Fake;
pub use script::{NAME, SERIAL, Script};
pub use server::Server;

/// Whatever is at the other end of a wire: the fake here, or real device code.
pub trait Board: Send {
    /// Takes bytes at a time in milliseconds; what it sends for them.
    fn take(&mut self, bytes: &[u8], now_ms: u64) -> Vec<u8>;
    /// What it sends unasked by this time.
    fn tick(&mut self, now_ms: u64) -> Vec<u8>;
}

/// A wire to a board in the same thread; its clock goes on only while somebody waits.
pub struct Virtual<B> {
    pub board: B,
    pub now_ms: u64,
    arrived: Vec<u8>,
    random: Random,
    /// Frames that were sent.
    pub sent: u64,
}

impl<B: Board> Virtual<B> {
    pub fn new(board: B) -> Virtual<B> {
        Virtual { board, now_ms: 1000, arrived: Vec::new(), random: Random::new(5), sent: 0 }
    }
}

impl<B: Board> Wire for Virtual<B> {
    fn now_ms(&mut self) -> u64 {
        self.now_ms
    }

    fn read(&mut self, buffer: &mut [u8], until_ms: u64) -> usize {
        loop {
            let told = self.board.tick(self.now_ms);
            self.arrived.extend(told);
            let length = self.arrived.len().min(buffer.len());
            if length > 0 || self.now_ms >= until_ms {
                buffer[..length].copy_from_slice(&self.arrived[..length]);
                self.arrived.drain(..length);
                return length;
            }
            self.now_ms += 1;
        }
    }

    fn write(&mut self, frame: &[u8]) {
        self.sent += 1;
        let answer = self.board.take(frame, self.now_ms);
        self.arrived.extend(answer);
        // A frame takes its time on the wire.
        self.now_ms += 1;
    }

    fn nonce(&mut self) -> u64 {
        self.random.bits()
    }
}
