//! Where a sign stands before the camera, and where its points come to lie in the frame.

use super::shape::Point;
use crate::random::sine_cosine;

/// The place of a sign. Lengths are shares of the frame's side, angles are turns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Pose {
    /// The middle of the sign.
    pub centre: Point,
    /// From the middle of the sign to its rim, seen from the front.
    pub half: f32,
    /// About the upright axis.
    pub yaw: f32,
    /// About the level axis.
    pub pitch: f32,
    /// About the camera's axis.
    pub roll: f32,
    /// From the camera, in halves of the sign: the nearer, the stronger the perspective.
    pub distance: f32,
}

/// Nearest distance that a pose may have: corners reach 1.3, so nothing comes behind the camera.
pub(crate) const NEAREST: f32 = 2.5;

/// A pose made ready to project many points.
pub(crate) struct Projection {
    right: [f32; 3],
    down: [f32; 3],
    pose: Pose,
}

impl Projection {
    /// Of a pose.
    pub fn new(pose: Pose) -> Self {
        let (sy, cy) = sine_cosine(pose.yaw);
        let (sp, cp) = sine_cosine(pose.pitch);
        let (sr, cr) = sine_cosine(pose.roll);
        // Roll within the sign's plane, then yaw, then pitch.
        let turned = |u: f32, v: f32| {
            let depth = u * sy;
            [u * cy, v * cp - depth * sp, v * sp + depth * cp]
        };
        Projection { right: turned(cr, sr), down: turned(-sr, cr), pose }
    }

    /// Where a point of the sign lies in the frame, as shares of its side.
    pub fn point(&self, [u, v]: Point) -> Point {
        let at = |axis: usize| self.right[axis] * u + self.down[axis] * v;
        let scale = self.pose.half * self.pose.distance / (self.pose.distance + at(2));
        [self.pose.centre[0] + scale * at(0), self.pose.centre[1] + scale * at(1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRONT: Pose =
        Pose { centre: [0.5, 0.5], half: 0.4, yaw: 0.0, pitch: 0.0, roll: 0.0, distance: 4.0 };

    #[test]
    fn points_lie_where_geometry_puts_them() {
        let half = std::f32::consts::FRAC_1_SQRT_2;
        let cases = [
            (FRONT, [1.0, -1.0], [0.9, 0.1]),
            (Pose { roll: 0.25, ..FRONT }, [1.0, 0.0], [0.5, 0.9]),
            // The right rim turns away: farther, and so smaller.
            (
                Pose { yaw: 0.125, ..FRONT },
                [1.0, 0.0],
                [0.5 + 0.4 * half * 4.0 / (4.0 + half), 0.5],
            ),
            (
                Pose { pitch: 0.125, ..FRONT },
                [0.0, 1.0],
                [0.5, 0.5 + 0.4 * half * 4.0 / (4.0 + half)],
            ),
            (Pose { yaw: 0.1, pitch: 0.05, roll: 0.2, ..FRONT }, [0.0, 0.0], [0.5, 0.5]),
        ];
        for (pose, point, expected) in cases {
            let found = Projection::new(pose).point(point);
            for axis in 0..2 {
                assert!(
                    (found[axis] - expected[axis]).abs() < 1e-6,
                    "{pose:?} {point:?}: {found:?}"
                );
            }
        }
    }
}
