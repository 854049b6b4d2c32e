//! One view of one sign: what is fixed at a place, and what changes from frame to frame.

use super::background::{Background, Framing, light, mix};
use super::camera::{Blur, Illumination, Sensor, Shadow, blur, expose, illuminate};
use super::catalogue::{Paint, Sign};
use super::pose::{NEAREST, Pose, Projection};
use super::raster::{Canvas, Light};
use super::shape::{Outline, Point, rectangle};
use crate::random::{Noise, Random, sine_cosine};

/// A place with a sign: the same for all frames of a track.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    background: Background,
    /// Linear light of each paint, faded by sun and age, in the order of [`paint_index`].
    paints: [Light; 6],
    dirt: Noise,
    /// Share of light that the worst dirt takes.
    dirtiness: f32,
    post: Option<(Light, f32)>,
    /// Something in front of the sign, in the sign's units.
    obstacle: Option<(Light, Outline)>,
    shadow_normal: Point,
    shadow_depth: f32,
    sensor: Sensor,
}

/// What changes from frame to frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    pub pose: Pose,
    pub framing: Framing,
    pub illumination: Illumination,
    pub blur: Blur,
}

impl Site {
    /// A random place.
    pub fn draw(random: &mut Random) -> Self {
        let background = Background::draw(random);
        let paints = faded_paints(random);
        let post_colour = light([0.5 + random.around(0.35); 3]);
        let post = random.chance(0.5).then(|| (post_colour, random.between(0.06, 0.14)));
        let obstacle = random.chance(0.12).then(|| obstacle(random));
        let (sine, cosine) = sine_cosine(random.unit());
        let shaded = random.chance(0.35);
        Site {
            background,
            paints,
            dirt: Noise(random.bits() as u32),
            dirtiness: random.unit() * random.unit() * 0.7,
            post,
            obstacle,
            shadow_normal: [cosine, sine],
            shadow_depth: if shaded { random.between(0.3, 0.75) } else { 0.0 },
            sensor: Sensor {
                shot: random.between(0.0002, 0.006),
                read: random.between(0.002, 0.02),
            },
        }
    }

    /// Paints the sign as seen, `size` pixels square, rows of red, green, blue.
    pub fn render(&self, sign: &Sign, view: &View, size: usize, noise: &mut Random) -> Vec<u8> {
        let mut canvas = Canvas::new(size);
        self.background.paint(&mut canvas, view.framing);
        let projection = Projection::new(view.pose);
        let side = size as f32;
        let place = |&point: &Point| projection.point(point).map(|share| share * side);
        if let Some((colour, half)) = self.post {
            canvas.outline(rectangle([-half, 0.0], [half, 2.4]).iter().map(place));
            canvas.fill(|_, _| colour);
        }
        for layer in &sign.layers {
            for outline in &layer.outlines {
                canvas.outline(outline.iter().map(place));
            }
            let colour = self.paints[paint_index(layer.paint)];
            canvas.fill(|x, y| self.soiled(colour, view, [x, y].map(|p| (p as f32 + 0.5) / side)));
        }
        if let Some((colour, outline)) = &self.obstacle {
            canvas.outline(outline.iter().map(place));
            canvas.fill(|_, _| *colour);
        }
        illuminate(&mut canvas, &view.illumination);
        blur(&mut canvas, &view.blur);
        expose(&canvas, &self.sensor, noise)
    }

    fn soiled(&self, colour: Light, view: &View, at: Point) -> Light {
        if self.dirtiness < 0.02 {
            return colour;
        }
        let Pose { centre, half, .. } = view.pose;
        let [x, y] = [0, 1].map(|c| (at[c] - centre[c]) / half);
        let dirt = self.dirt.at(x * 2.5, y * 2.5);
        colour.map(|v| v * (1.0 - self.dirtiness * dirt))
    }

    /// A random view of this place, the sign's half between the bounds.
    pub fn view(&self, random: &mut Random, half: [f32; 2]) -> View {
        let half = random.between(half[0], half[1]);
        let pose = Pose {
            centre: [0.5 + random.around(0.16), 0.5 + random.around(0.16)],
            half,
            yaw: random.around(0.14),
            pitch: random.around(0.07),
            roll: random.around(0.05),
            distance: random.between(NEAREST, 9.0),
        };
        let framing = Framing {
            shift: [random.around(0.2), random.around(0.2)],
            zoom: random.between(0.8, 1.4),
        };
        let blur = Blur {
            defocus: random.unit() * random.unit() * 0.045,
            motion: if random.chance(0.3) { way(random, 0.09) } else { [0.0; 2] },
        };
        View { pose, framing, illumination: self.illumination(random), blur }
    }

    fn illumination(&self, random: &mut Random) -> Illumination {
        // Squared: as many dark frames as bright ones for an eye that sees square roots.
        let brightness = random.between(0.55, 1.25);
        Illumination {
            exposure: brightness * brightness,
            warmth: random.around(0.28),
            tint: random.around(0.1),
            gradient: [random.around(0.7), random.around(0.7)],
            shadow: Shadow {
                normal: self.shadow_normal,
                offset: random.around(0.35),
                softness: random.between(0.02, 0.15),
                depth: self.shadow_depth,
            },
            fog: if random.chance(0.2) { random.between(0.0, 0.4) } else { 0.0 },
        }
    }
}

fn way(random: &mut Random, length: f32) -> Point {
    let (sine, cosine) = sine_cosine(random.unit());
    let length = random.unit() * length;
    [length * cosine, length * sine]
}

fn paint_index(paint: Paint) -> usize {
    match paint {
        Paint::White => 0,
        Paint::Black => 1,
        Paint::Red => 2,
        Paint::Yellow => 3,
        Paint::Blue => 4,
        Paint::Green => 5,
    }
}

fn faded_paints(random: &mut Random) -> [Light; 6] {
    let fade = random.unit() * random.unit() * 0.5;
    let gain = random.between(0.75, 1.25);
    let fresh = [
        [0.93, 0.93, 0.92],
        [0.09, 0.09, 0.1],
        [0.78, 0.1, 0.13],
        [0.97, 0.78, 0.1],
        [0.06, 0.3, 0.68],
        [0.04, 0.5, 0.3],
    ];
    fresh.map(|colour| {
        let jittered = light(colour.map(|v| v * (1.0 + random.around(0.12))));
        mix(jittered, [0.55, 0.54, 0.5], fade).map(|v| v * gain)
    })
}

/// A trunk, a branch or the edge of a box in front of some part of the sign.
fn obstacle(random: &mut Random) -> (Light, Outline) {
    let colours = [[0.2, 0.3, 0.12], [0.35, 0.25, 0.18], [0.5, 0.5, 0.5], [0.1, 0.1, 0.12]];
    let colour = light(random.choose(&colours).map(|v| v * random.between(0.8, 1.2)));
    let (sine, cosine) = sine_cosine(random.unit());
    let turned = |&[x, y]: &Point| [x * cosine - y * sine, x * sine + y * cosine];
    let (near, width) = if random.chance(0.5) {
        (random.between(0.4, 0.85), 2.0)
    } else {
        (random.around(0.8), random.between(0.1, 0.22))
    };
    let slant = random.around(0.25);
    let band = [
        [near - slant, -2.0],
        [near - slant + width, -2.0],
        [near + slant + width, 2.0],
        [near + slant, 2.0],
    ];
    (colour, band.iter().map(turned).collect())
}
