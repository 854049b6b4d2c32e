//! Views along a track: a robot comes nearer to one sign, smoothly.

use super::background::Framing;
use super::camera::{Blur, Illumination};
use super::pose::Pose;
use super::scene::{Site, View};
use super::shape::Point;
use crate::random::{Noise, Random};

/// Frames over which the robot sways once to and fro, about.
const SWAY: f32 = 12.0;

/// The way from the first view of a track to its last.
pub(crate) struct Track {
    first: View,
    last: View,
    /// How the robot sways and the light changes on the way.
    sway: Noise,
}

impl Track {
    /// A random one.
    pub fn draw(site: &Site, random: &mut Random) -> Self {
        let first = site.view(random, [0.2, 0.28]);
        let mut last = site.view(random, [0.38, 0.5]);
        // The robot passes the sign, which is never as far to the side as chance would have it.
        last.pose.yaw = (first.pose.yaw + last.pose.yaw) * 0.6;
        last.pose.pitch = (first.pose.pitch + last.pose.pitch) * 0.5;
        last.pose.roll = first.pose.roll;
        last.framing = Framing {
            shift: halfway(first.framing.shift, last.framing.shift),
            zoom: first.framing.zoom * 1.15,
        };
        let (from, to) = (first.illumination, last.illumination);
        last.illumination =
            Illumination { warmth: from.warmth, tint: from.tint, fog: from.fog, ..to };
        last.illumination.exposure = (from.exposure + to.exposure) * 0.5;
        Track { first, last, sway: Noise(random.bits() as u32) }
    }

    /// The view of frame `step` out of `steps`.
    pub fn view(&self, step: usize, steps: usize) -> View {
        let t = step as f32 / steps.saturating_sub(1).max(1) as f32;
        let blend = |a: f32, b: f32| a + (b - a) * t;
        let both = |a: Point, b: Point| [blend(a[0], b[0]), blend(a[1], b[1])];
        let swayed = |channel: i32, reach: f32| {
            (self.sway.at(step as f32 / SWAY, channel as f32) - 0.5) * 2.0 * reach
        };
        let (a, b) = (self.first.pose, self.last.pose);
        let centre = both(a.centre, b.centre);
        let pose = Pose {
            centre: [centre[0] + swayed(0, 0.05), centre[1] + swayed(1, 0.05)],
            // At even speed the distance shrinks evenly, and the size grows as its inverse.
            half: 1.0 / blend(1.0 / a.half, 1.0 / b.half),
            yaw: blend(a.yaw, b.yaw) + swayed(2, 0.01),
            pitch: blend(a.pitch, b.pitch) + swayed(3, 0.01),
            roll: blend(a.roll, b.roll) + swayed(4, 0.015),
            distance: blend(a.distance, b.distance),
        };
        let (a, b) = (self.first.framing, self.last.framing);
        let shift = both(a.shift, b.shift);
        let framing = Framing {
            shift: [shift[0] + swayed(0, 0.03), shift[1] + swayed(1, 0.03)],
            zoom: blend(a.zoom, b.zoom),
        };
        let blur = Blur {
            defocus: blend(self.first.blur.defocus, self.last.blur.defocus),
            motion: [swayed(5, 0.04), swayed(6, 0.03)],
        };
        View { pose, framing, illumination: self.illumination(t, swayed(7, 0.12)), blur }
    }

    fn illumination(&self, t: f32, change: f32) -> Illumination {
        let (a, b) = (self.first.illumination, self.last.illumination);
        let blend = |a: f32, b: f32| a + (b - a) * t;
        let mut light = a;
        light.exposure = blend(a.exposure, b.exposure) * (1.0 + change);
        light.gradient = [0, 1].map(|c| blend(a.gradient[c], b.gradient[c]));
        light.shadow.offset = blend(a.shadow.offset, b.shadow.offset);
        light
    }
}

fn halfway(a: Point, b: Point) -> Point {
    [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0]
}
