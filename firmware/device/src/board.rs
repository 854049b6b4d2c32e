//! What a board gives the device: time, a port, a pin, a watchdog.
//!
//! [`Board`] is all that the event loop asks for. [`Parts`] makes one of `embedded-hal` and
//! `embedded-io` parts; a simulation implements it by itself.

use crate::camera::{FrameSource, Geometry};
use embedded_hal::digital::OutputPin;
use embedded_io::{Read, ReadReady, Write, WriteReady};

/// What the pin shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Monitor: the level that the board declares as idle, whatever the gate does.
    Idle,
    /// The gate is OPEN. At `until_us` the board itself goes to [`Level::Closed`], by a timer that
    /// does not depend on the event loop.
    Open {
        /// Device time in microseconds.
        until_us: u64,
    },
    /// The gate is CLOSED, and the fail state.
    Closed,
}

/// Who a board is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Description {
    /// Such as `mps2-an500`.
    pub board: &'static str,
    /// Version of the firmware.
    pub firmware: &'static str,
    /// The chip's own number.
    pub serial: [u8; 16],
    /// Why the device started, numbered as [`crate::log::Reset`].
    pub reset: crate::log::Reset,
    /// Longest time that an erase of one sector stops the event loop.
    pub erase_us_max: u32,
    /// What its camera sends; on a board without one, what a host may send in its place.
    pub camera: Geometry,
    /// A camera's frame older than this many frame periods of the policy is late.
    pub age_periods: u8,
}

/// Hardware as the event loop sees it. No call waits.
pub trait Board {
    /// Where frames come from; [`crate::camera::NoCamera`] where they come over the link alone.
    type Camera: FrameSource;

    /// Microseconds since the start; never goes back.
    fn now_us(&mut self) -> u64;
    /// Takes bytes that arrived; how many there were.
    fn read(&mut self, bytes: &mut [u8]) -> usize;
    /// Sends as many bytes as there is room for; how many that were.
    fn write(&mut self, bytes: &[u8]) -> usize;
    /// Bytes that the port lost since the last call, as more came than were taken.
    fn lost(&mut self) -> u32 {
        0
    }
    /// The camera.
    fn camera(&mut self) -> &mut Self::Camera;
    /// Sets the pin.
    fn set_pin(&mut self, level: Level);
    /// The event loop is alive.
    fn feed_watchdog(&mut self);
    /// Room for the stack and the most of it that was ever used, in bytes; zeros: not known.
    fn stack(&mut self) -> (u32, u32) {
        (0, 0)
    }
}

/// A clock.
pub trait Clock {
    /// Microseconds since the start; never goes back.
    fn now_us(&mut self) -> u64;
}

/// A watchdog that runs from the reset on and is never switched off.
pub trait Watchdog {
    /// Puts the bite off.
    fn feed(&mut self);
}

/// The pin that shows the gate, with the timer that closes it.
pub trait GatePin {
    /// Sets the pin.
    fn set(&mut self, level: Level);
}

/// A gate on a plain output pin. It has no timer of its own: whoever has none must see to it that
/// the event loop comes round within the lease, as a verdict that takes longer holds an OPEN pin.
pub struct PlainPin<P> {
    /// The pin.
    pub pin: P,
    /// High means OPEN.
    pub open_is_high: bool,
    /// What is shown in monitor mode: OPEN.
    pub idle_is_open: bool,
}

impl<P: OutputPin> GatePin for PlainPin<P> {
    fn set(&mut self, level: Level) {
        let open = match level {
            Level::Idle => self.idle_is_open,
            Level::Open { .. } => true,
            Level::Closed => false,
        };
        // A pin that fails cannot be helped from here; the next round sets it again.
        let _ = match open == self.open_is_high {
            true => self.pin.set_high(),
            false => self.pin.set_low(),
        };
    }
}

/// A board of parts.
pub struct Parts<C, P, G, W, S> {
    /// Time.
    pub clock: C,
    /// The link's bytes.
    pub port: P,
    /// The gate's pin.
    pub pin: G,
    /// The watchdog.
    pub watchdog: W,
    /// The camera, configured.
    pub camera: S,
}

impl<C, P, G, W, S> Board for Parts<C, P, G, W, S>
where
    C: Clock,
    P: Read + ReadReady + Write + WriteReady,
    G: GatePin,
    W: Watchdog,
    S: FrameSource,
{
    type Camera = S;

    fn camera(&mut self) -> &mut S {
        &mut self.camera
    }

    fn now_us(&mut self) -> u64 {
        self.clock.now_us()
    }

    fn read(&mut self, bytes: &mut [u8]) -> usize {
        match self.port.read_ready() {
            Ok(true) => self.port.read(bytes).unwrap_or(0),
            Ok(false) | Err(_) => 0,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        match self.port.write_ready() {
            Ok(true) => self.port.write(bytes).unwrap_or(0),
            Ok(false) | Err(_) => 0,
        }
    }

    fn set_pin(&mut self, level: Level) {
        self.pin.set(level);
    }

    fn feed_watchdog(&mut self) {
        self.watchdog.feed();
    }
}
