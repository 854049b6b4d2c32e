//! The drawings of all signs: layers of outlines within -1..1, painted one over the other.

use super::glyph::text;
use super::shape::{
    Outline, Point, disc, ellipse, mirrored, moved, rectangle, regular, scaled, stroke,
};

/// The paints that signs are made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Paint {
    White,
    Black,
    Red,
    Yellow,
    Blue,
    Green,
}

/// Outlines of one paint.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub paint: Paint,
    pub outlines: Vec<Outline>,
}

/// One sign, its lowest layer first.
#[derive(Clone, Debug)]
pub(crate) struct Sign {
    pub layers: Vec<Layer>,
}

/// A class and how its sign is drawn.
type Entry = (&'static str, fn() -> Sign);

/// The table of signs: those that classifiers learn, then those they never see.
const SIGNS: [Entry; KNOWN + UNSEEN] = [
    ("stop", stop),
    ("yield", yield_sign),
    ("no-entry", no_entry),
    ("limit-30", || limit("30")),
    ("limit-50", || limit("50")),
    ("limit-80", || limit("80")),
    ("priority", priority),
    ("turn-left", turn_left),
    ("turn-right", turn_right),
    ("pedestrian", pedestrian),
    ("forklift", forklift),
    ("exit", exit),
    ("no-stopping", no_stopping),
    ("high-voltage", high_voltage),
    ("first-aid", first_aid),
    ("extinguisher", extinguisher),
];

/// Classes with the labels `0..KNOWN`.
pub(crate) const KNOWN: usize = 12;
/// Classes with the labels after them.
pub(crate) const UNSEEN: usize = 4;

/// The names of `N` classes from label `first` on.
pub(crate) const fn names<const N: usize>(first: usize) -> [&'static str; N] {
    let mut names = [""; N];
    let mut i = 0;
    while i < N {
        names[i] = SIGNS[first + i].0;
        i += 1;
    }
    names
}

/// Every sign, indexed by label.
pub(crate) fn draw_all() -> Vec<Sign> {
    SIGNS.iter().map(|(_, draw)| draw()).collect()
}

fn sign<const N: usize>(layers: [(Paint, Vec<Outline>); N]) -> Sign {
    let layers = layers.into_iter().map(|(paint, outlines)| Layer { paint, outlines });
    Sign { layers: layers.collect() }
}

fn octagon(radius: f32) -> Outline {
    regular(8, radius, 0.0625)
}

/// With a corner up, around its own middle; `down` for a corner down.
fn triangle(radius: f32, down: bool) -> Outline {
    let (turns, middle) = if down { (0.25, -0.25) } else { (0.75, 0.25) };
    moved(regular(3, radius, turns), [0.0, middle])
}

fn square(half: f32) -> Outline {
    rectangle([-half, -half], [half, half])
}

fn stop() -> Sign {
    sign([
        (Paint::White, vec![octagon(1.05)]),
        (Paint::Red, vec![octagon(0.96)]),
        (Paint::White, text("STOP", [0.25, 0.52], 0.17, 0.13)),
    ])
}

fn yield_sign() -> Sign {
    sign([(Paint::Red, vec![triangle(1.2, true)]), (Paint::White, vec![triangle(0.7, true)])])
}

fn no_entry() -> Sign {
    sign([
        (Paint::White, vec![disc([0.0, 0.0], 1.0)]),
        (Paint::Red, vec![disc([0.0, 0.0], 0.94)]),
        (Paint::White, vec![rectangle([-0.7, -0.19], [0.7, 0.19])]),
    ])
}

fn limit(number: &str) -> Sign {
    sign([
        (Paint::Red, vec![disc([0.0, 0.0], 1.0)]),
        (Paint::White, vec![disc([0.0, 0.0], 0.79)]),
        (Paint::Black, text(number, [0.36, 0.72], 0.24, 0.18)),
    ])
}

fn priority() -> Sign {
    sign([
        (Paint::Black, vec![regular(4, 1.12, 0.0)]),
        (Paint::White, vec![regular(4, 1.05, 0.0)]),
        (Paint::Yellow, vec![regular(4, 0.72, 0.0)]),
    ])
}

/// An arrow to the left.
fn arrow() -> Vec<Outline> {
    let head: [Point; 3] = [[-0.72, 0.0], [-0.1, -0.52], [-0.1, 0.52]];
    vec![head.to_vec(), rectangle([-0.15, -0.17], [0.68, 0.17])]
}

fn turn(arrow: Vec<Outline>) -> Sign {
    sign([
        (Paint::White, vec![disc([0.0, 0.0], 1.0)]),
        (Paint::Blue, vec![disc([0.0, 0.0], 0.92)]),
        (Paint::White, arrow),
    ])
}

fn turn_left() -> Sign {
    turn(arrow())
}

fn turn_right() -> Sign {
    turn(arrow().iter().map(|outline| mirrored(outline)).collect())
}

/// A figure in stride towards the right, its hip at the origin, about 1.2 high.
fn walker(pen: f32) -> Vec<Outline> {
    let limbs: [&[Point]; 5] = [
        &[[0.02, -0.32], [0.0, 0.0]],
        &[[0.0, 0.0], [0.2, 0.26], [0.22, 0.56]],
        &[[0.0, 0.0], [-0.1, 0.3], [-0.3, 0.54]],
        &[[0.02, -0.3], [0.24, -0.1], [0.38, -0.08]],
        &[[0.02, -0.3], [-0.2, -0.12], [-0.24, 0.08]],
    ];
    let mut outlines = vec![disc([0.06, -0.56], 0.15)];
    for (i, limb) in limbs.iter().enumerate() {
        // The trunk is the thickest, arms the thinnest.
        let share = [1.5, 1.0, 1.0, 0.8, 0.8][i];
        outlines.extend(stroke(limb, pen * share));
    }
    outlines
}

fn pedestrian() -> Sign {
    let small = walker(0.17).into_iter().map(|o| moved(scaled(o, [0.0, 0.0], 0.72), [-0.02, 0.22]));
    sign([
        (Paint::White, vec![square(0.95)]),
        (Paint::Blue, vec![square(0.88)]),
        (Paint::White, vec![moved(triangle(0.98, false), [0.0, -0.06])]),
        (Paint::Black, small.collect()),
    ])
}

/// A yellow triangle with a black border, and a pictogram.
fn warning(pictogram: Vec<Outline>) -> Sign {
    sign([
        (Paint::Black, vec![triangle(1.2, false)]),
        (Paint::Yellow, vec![triangle(0.94, false)]),
        (Paint::Black, pictogram),
    ])
}

fn forklift() -> Sign {
    let body: [Point; 6] =
        [[-0.42, 0.2], [-0.1, 0.2], [-0.1, 0.34], [0.12, 0.34], [0.12, 0.54], [-0.42, 0.54]];
    let mut truck = vec![body.to_vec(), disc([-0.28, 0.57], 0.13), disc([0.06, 0.57], 0.1)];
    truck.extend(stroke(&[[0.22, -0.2], [0.22, 0.6], [0.58, 0.6]], 0.1));
    truck.extend(stroke(&[[-0.32, 0.2], [-0.25, -0.1], [0.02, -0.1], [0.1, 0.36]], 0.07));
    truck.push(disc([-0.1, 0.06], 0.1));
    warning(truck)
}

fn high_voltage() -> Sign {
    let bolt: [Point; 7] = [
        [0.12, -0.5],
        [0.02, 0.02],
        [0.26, -0.02],
        [-0.04, 0.62],
        [0.02, 0.18],
        [-0.22, 0.22],
        [-0.06, -0.46],
    ];
    warning(vec![bolt.to_vec()])
}

fn exit() -> Sign {
    let mut figure: Vec<Outline> =
        walker(0.2).into_iter().map(|o| moved(o, [-0.28, 0.0])).collect();
    figure.push(rectangle([0.36, -0.62], [0.86, 0.62]));
    sign([
        (Paint::White, vec![rectangle([-1.12, -0.84], [1.12, 0.84])]),
        (Paint::Green, vec![rectangle([-1.05, -0.77], [1.05, 0.77])]),
        (Paint::White, figure),
    ])
}

fn no_stopping() -> Sign {
    let cross: [&[Point]; 2] = [&[[-0.6, -0.6], [0.6, 0.6]], &[[-0.6, 0.6], [0.6, -0.6]]];
    sign([
        (Paint::Red, vec![disc([0.0, 0.0], 1.0)]),
        (Paint::Blue, vec![disc([0.0, 0.0], 0.8)]),
        (Paint::Red, cross.iter().flat_map(|line| stroke(line, 0.22)).collect()),
    ])
}

fn first_aid() -> Sign {
    let cross = [[0.2, 0.62], [0.62, 0.2]].map(|[x, y]| rectangle([-x, -y], [x, y]));
    sign([
        (Paint::White, vec![square(0.95)]),
        (Paint::Green, vec![square(0.88)]),
        (Paint::White, cross.to_vec()),
    ])
}

fn extinguisher() -> Sign {
    let mut bottle =
        vec![rectangle([-0.5, -0.2], [-0.06, 0.66]), ellipse([-0.28, -0.2], [0.22, 0.2])];
    bottle.extend(stroke(&[[-0.28, -0.36], [-0.28, -0.5], [0.02, -0.5]], 0.12));
    bottle.extend(stroke(&[[-0.3, -0.54], [-0.56, -0.42], [-0.64, 0.05]], 0.09));
    let flame: [Point; 7] = [
        [0.42, -0.5],
        [0.52, -0.1],
        [0.66, -0.2],
        [0.7, 0.3],
        [0.44, 0.62],
        [0.16, 0.34],
        [0.26, -0.06],
    ];
    bottle.push(flame.to_vec());
    sign([
        (Paint::White, vec![square(0.95)]),
        (Paint::Red, vec![square(0.88)]),
        (Paint::White, bottle),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawings_stay_near_the_unit_square_and_differ() {
        let signs = draw_all();
        for (label, sign) in signs.iter().enumerate() {
            let points = sign.layers.iter().flat_map(|l| l.outlines.iter().flatten().flatten());
            assert!(points.clone().all(|v| v.abs() <= 1.3), "{}", SIGNS[label].0);
            assert!(sign.layers.iter().all(|l| l.outlines.iter().all(|o| o.len() >= 3)));
            let same = |other: &&Sign| format!("{other:?}") == format!("{sign:?}");
            assert_eq!(signs.iter().filter(same).count(), 1, "{}", SIGNS[label].0);
        }
    }
}
