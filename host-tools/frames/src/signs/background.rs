//! What stands behind a sign: sky, leaves, walls, shelves, a street; and clutter in signs' colours.

use super::raster::{Canvas, Light};
use super::shape::{Outline, Point, disc, moved, rectangle, regular};
use crate::random::{Noise, Random, smooth};

/// A flat piece of scenery, in shares of the frame's side.
#[derive(Clone, Debug)]
struct Piece {
    colour: Light,
    outline: Outline,
}

/// Two colours above the horizon and two below, mixed by noise.
#[derive(Clone, Copy, Debug)]
struct Texture {
    upper: [Light; 2],
    lower: [Light; 2],
    horizon: f32,
    /// Lattice points of the noise across the frame.
    frequency: [f32; 2],
    noise: Noise,
}

/// The scenery behind a sign.
#[derive(Clone, Debug)]
pub(crate) struct Background {
    texture: Texture,
    pieces: Vec<Piece>,
}

/// How scenery lies in the frame: far things move less than the sign.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Framing {
    pub shift: Point,
    pub zoom: f32,
}

/// A colour as displays take it, made linear with the camera's own curve, a square.
pub(crate) fn light([r, g, b]: [f32; 3]) -> Light {
    [r * r, g * g, b * b]
}

/// A mixture; all of `b` at 1.
pub(crate) fn mix(a: Light, b: Light, t: f32) -> Light {
    std::array::from_fn(|c| a[c] + (b[c] - a[c]) * t)
}

impl Background {
    /// A random one.
    pub fn draw(random: &mut Random) -> Self {
        let kinds = [sky, leaves, bricks, plain_wall, shelf, street];
        let kind = random.choose(&kinds);
        let mut background = kind(random);
        let clutter = random.below(4);
        background.pieces.extend((0..clutter).map(|_| clutter_piece(random)));
        background
    }

    /// Paints all of the canvas.
    pub fn paint(&self, canvas: &mut Canvas, framing: Framing) {
        let (size, side) = (canvas.size, canvas.size as f32);
        let Framing { shift, zoom } = framing;
        for (i, pixel) in canvas.pixels.iter_mut().enumerate() {
            let at = |p: usize, c: usize| ((p as f32 + 0.5) / side - 0.5 - shift[c]) / zoom + 0.5;
            *pixel = self.texture.colour([at(i % size, 0), at(i / size, 1)]);
        }
        for Piece { colour, outline } in &self.pieces {
            let place = |p: f32, c: usize| ((p - 0.5) * zoom + 0.5 + shift[c]) * side;
            canvas.outline(outline.iter().map(|&[x, y]| [place(x, 0), place(y, 1)]));
            canvas.fill(|_, _| *colour);
        }
    }
}

impl Texture {
    fn colour(&self, [x, y]: Point) -> Light {
        let n = self.noise.rough(x * self.frequency[0], y * self.frequency[1]);
        // Sharper than the noise itself, which rarely leaves its middle.
        let n = smooth(((n - 0.5) * 1.9 + 0.5).clamp(0.0, 1.0));
        let upper = mix(self.upper[0], self.upper[1], n);
        let below = ((y - self.horizon + (n - 0.5) * 0.12) * 14.0 + 0.5).clamp(0.0, 1.0);
        if below == 0.0 {
            return upper;
        }
        mix(upper, mix(self.lower[0], self.lower[1], n), below)
    }
}

/// A colour near another one.
fn near(random: &mut Random, [r, g, b]: [f32; 3], reach: f32) -> Light {
    let grey = random.around(reach);
    let mut one = |v: f32| (v + grey + random.around(reach * 0.6)).clamp(0.02, 0.98);
    light([one(r), one(g), one(b)])
}

fn texture(random: &mut Random, pair: [[f32; 3]; 2], frequency: [f32; 2]) -> Texture {
    let pair = pair.map(|colour| near(random, colour, 0.12));
    let noise = Noise(random.bits() as u32);
    Texture { upper: pair, lower: pair, horizon: 9.0, frequency, noise }
}

fn sky(random: &mut Random) -> Background {
    let pair = random.choose(&[
        [[0.35, 0.58, 0.88], [0.62, 0.76, 0.92]],
        [[0.3, 0.5, 0.85], [0.92, 0.93, 0.95]],
        [[0.72, 0.75, 0.78], [0.85, 0.87, 0.88]],
        [[0.85, 0.6, 0.42], [0.55, 0.5, 0.62]],
        [[0.16, 0.2, 0.32], [0.26, 0.28, 0.38]],
    ]);
    let mut texture = texture(random, pair, [2.0, 4.0]);
    let ground = random.choose(&[[0.16, 0.27, 0.12], [0.3, 0.26, 0.2], [0.4, 0.42, 0.36]]);
    texture.lower = [near(random, ground, 0.1), near(random, ground, 0.2)];
    texture.horizon = random.between(0.45, 1.3);
    Background { texture, pieces: Vec::new() }
}

fn leaves(random: &mut Random) -> Background {
    let pair = random.choose(&[
        [[0.1, 0.2, 0.08], [0.42, 0.58, 0.24]],
        [[0.14, 0.22, 0.12], [0.6, 0.68, 0.36]],
        [[0.25, 0.15, 0.08], [0.8, 0.55, 0.2]],
        [[0.3, 0.14, 0.1], [0.75, 0.3, 0.18]],
        [[0.3, 0.28, 0.25], [0.75, 0.73, 0.7]],
    ]);
    let frequency = random.between(5.0, 11.0);
    let texture = texture(random, pair, [frequency, frequency * 0.9]);
    Background { texture, pieces: Vec::new() }
}

fn wall_texture(random: &mut Random) -> Texture {
    let colour = random.choose(&[
        [0.55, 0.26, 0.2],
        [0.66, 0.4, 0.28],
        [0.6, 0.6, 0.58],
        [0.8, 0.76, 0.66],
        [0.88, 0.88, 0.86],
        [0.35, 0.45, 0.6],
        [0.85, 0.72, 0.35],
        [0.45, 0.55, 0.45],
        [0.3, 0.3, 0.32],
    ]);
    let frequency = [random.between(3.0, 9.0), random.between(3.0, 9.0)];
    texture(random, [colour, colour], frequency)
}

fn bricks(random: &mut Random) -> Background {
    let texture = wall_texture(random);
    let mortar = near(random, [0.62, 0.6, 0.57], 0.15);
    let height = random.between(0.09, 0.2);
    let (joint, width) = (height * 0.16, height * random.between(1.6, 2.6));
    let start = random.between(-0.4, -0.2);
    let mut pieces = Vec::new();
    let mut add = |from: Point, to: Point| {
        pieces.push(Piece { colour: mortar, outline: rectangle(from, to) });
    };
    let rows = (1.7 / height) as usize;
    for row in 0..rows {
        let y = start + row as f32 * height;
        add([-0.5, y], [1.5, y + joint]);
        let first = start + width * 0.5 * (row % 2) as f32;
        for column in 0..(1.7 / width) as usize {
            let x = first + column as f32 * width;
            add([x, y], [x + joint, y + height]);
        }
    }
    Background { texture, pieces }
}

fn plain_wall(random: &mut Random) -> Background {
    let mut texture = wall_texture(random);
    let mut pieces = Vec::new();
    if random.chance(0.5) {
        // A dado or a floor of another colour.
        texture.lower = wall_texture(random).upper;
        texture.horizon = random.between(0.3, 1.1);
    }
    if random.chance(0.4) {
        let left = random.between(-0.3, 0.9);
        let (width, top) = (random.between(0.15, 0.5), random.between(-0.2, 0.5));
        let colour = near(random, [0.4, 0.45, 0.5], 0.4);
        let outline = rectangle([left, top], [left + width, top + random.between(0.3, 1.2)]);
        pieces.push(Piece { colour, outline });
    }
    if random.chance(0.3) {
        pieces.extend(hazard_stripes(random));
    }
    Background { texture, pieces }
}

/// A level band of yellow and black.
fn hazard_stripes(random: &mut Random) -> Vec<Piece> {
    let (top, height) = (random.between(-0.1, 1.0), random.between(0.06, 0.16));
    let colours = [[0.93, 0.75, 0.1], [0.1, 0.1, 0.1]].map(light);
    let stripe = |i: usize| {
        let left = -0.5 + i as f32 * height;
        let slant = height * 0.8;
        let outline = vec![
            [left + slant, top],
            [left + slant + height, top],
            [left + height, top + height],
            [left, top + height],
        ];
        Piece { colour: colours[i % 2], outline }
    };
    (0..(2.0 / height) as usize).map(stripe).collect()
}

fn shelf(random: &mut Random) -> Background {
    let texture = texture(random, [[0.2, 0.2, 0.2], [0.35, 0.34, 0.33]], [3.0, 3.0]);
    let beam_colour = random.choose(&[[0.85, 0.4, 0.1], [0.15, 0.3, 0.6], [0.5, 0.5, 0.52]]);
    let beam = near(random, beam_colour, 0.1);
    let (pitch, start) = (random.between(0.28, 0.5), random.between(-0.6, -0.3));
    let mut pieces = Vec::new();
    for level in 0..6 {
        let floor = start + (level + 1) as f32 * pitch;
        let mut left = random.between(-0.6, -0.3);
        while left < 1.3 {
            let width = random.between(0.1, 0.3);
            let height = pitch * random.between(0.35, 0.85);
            let outline = rectangle([left, floor - height], [left + width, floor]);
            pieces.push(Piece { colour: goods_colour(random), outline });
            left += width + random.between(0.01, 0.12);
        }
        let outline = rectangle([-0.6, floor], [1.6, floor + 0.05]);
        pieces.push(Piece { colour: beam, outline });
    }
    let upright = random.between(-0.2, 0.4);
    for x in [upright, upright + random.between(0.5, 0.9)] {
        pieces.push(Piece { colour: beam, outline: rectangle([x, -0.6], [x + 0.07, 1.6]) });
    }
    Background { texture, pieces }
}

fn goods_colour(random: &mut Random) -> Light {
    let colour = random.choose(&[
        [0.72, 0.56, 0.38],
        [0.62, 0.47, 0.32],
        [0.8, 0.78, 0.74],
        [0.2, 0.35, 0.62],
        [0.65, 0.16, 0.16],
        [0.25, 0.45, 0.3],
        [0.85, 0.7, 0.25],
    ]);
    near(random, colour, 0.15)
}

fn street(random: &mut Random) -> Background {
    let mut background = sky(random);
    let horizon = random.between(0.5, 0.95);
    background.texture.horizon = horizon;
    background.texture.lower = [[0.32; 3], [0.42; 3]].map(|grey| near(random, grey, 0.12));
    let mut left = random.between(-0.6, -0.3);
    while left < 1.3 {
        let (width, height) = (random.between(0.15, 0.45), random.between(0.05, 0.6));
        let colour = random.choose(&[
            [0.6, 0.35, 0.28],
            [0.8, 0.75, 0.65],
            [0.55, 0.55, 0.55],
            [0.85, 0.83, 0.8],
            [0.2, 0.3, 0.18],
        ]);
        let outline = rectangle([left, horizon - height], [left + width, horizon + 0.02]);
        background.pieces.push(Piece { colour: near(random, colour, 0.15), outline });
        left += width + random.between(0.0, 0.2);
    }
    background
}

/// Something in the colours of signs that is none: these colours alone must not tell classes.
fn clutter_piece(random: &mut Random) -> Piece {
    let colour = random.choose(&[
        [0.75, 0.12, 0.14],
        [0.1, 0.3, 0.68],
        [0.95, 0.78, 0.12],
        [0.08, 0.5, 0.3],
        [0.93, 0.93, 0.93],
        [0.1, 0.1, 0.1],
    ]);
    let (size, turns) = (random.between(0.06, 0.22), random.unit());
    let outline = match random.below(4) {
        0 => disc([0.0, 0.0], size),
        1 => regular(3, size * 1.2, turns),
        2 => regular(4, size * 1.2, turns),
        _ => rectangle([-size * 0.3, -size * 3.0], [size * 0.3, size * 3.0]),
    };
    let centre = [random.between(-0.1, 1.1), random.between(-0.1, 1.1)];
    Piece { colour: near(random, colour, 0.2), outline: moved(outline, centre) }
}
