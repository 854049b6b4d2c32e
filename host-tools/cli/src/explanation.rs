//! Why a frame has its verdict, as a page that opens offline.

use anyhow::{Context, Result, bail};
use gradgate_bundle::detector::{Inputs, Judgement, Reason};
use gradgate_bundle::header::names;
use gradgate_detect::attribution::{Attribution, Moved, attribution};
use gradgate_detect::heat::{HeatLayer, heat_layers, heat_map};
use gradgate_detect::report::{Bar, Column, Page, Table, Thumbnail, bars};
use gradgate_detect::standardised::{StandardisedInput, standardised};
use gradgate_engine::detector::predicted;
use gradgate_engine::{Engine, Features};
use gradgate_frame::{CheckLimits, check_frame};
use gradgate_frames::{Pixels, overlay, png};
use gradgate_gate::verdict::{Limits, decide};

use crate::executor::engine_frame;
use crate::neighbours::{Neighbour, Neighbours};
use crate::output::hex;

/// Tensors that are listed as having moved the score most.
const LISTED: usize = 12;
/// Classes that are listed.
const CLASSES: usize = 5;

/// Makes pages for frames of one bundle.
pub struct Explainer<'a> {
    engine: Engine<'a>,
    /// Of the bundle's file.
    name: String,
    limits: Limits,
    layers: Vec<HeatLayer>,
    /// The layer of the heat map, where one was chosen.
    layer: Option<usize>,
    neighbours: Option<Neighbours>,
}

/// A frame to be explained.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// As its file calls it.
    pub name: &'a str,
    /// At the bundle's size; empty where it could not be read.
    pub pixels: &'a Pixels,
    /// Why its picture was found unusable among the frames before it, where it was.
    pub sensor: Option<&'a str>,
    /// More of where it comes from; may be empty.
    pub about: &'a str,
}

/// What is known of a frame before its page is written.
struct Seen {
    logits: Vec<f32>,
    inputs: Vec<StandardisedInput>,
    attribution: Attribution,
    judgement: Option<Judgement>,
    verdict: String,
}

impl<'a> Explainer<'a> {
    /// For a bundle with a detector; `layer` is a part of the name of a weight.
    pub fn new(
        engine: Engine<'a>,
        name: String,
        layer: Option<&str>,
        neighbours: Option<Neighbours>,
    ) -> Result<Explainer<'a>> {
        let detector = engine.bundle().header().detector.as_ref();
        let limits = detector
            .map(Limits::from)
            .with_context(|| format!("{name} holds no detector: pack the model with --detector"))?;
        let layers = heat_layers(engine.bundle());
        let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
        let layer = layer.map(|wanted| chosen(&names, wanted)).transpose()?;
        Ok(Explainer { engine, name, limits, layers, layer, neighbours })
    }

    /// The page of one frame.
    ///
    /// # Errors
    /// Pixels that do not fit the bundle.
    pub fn page(&self, subject: &Subject<'_>) -> Result<String> {
        let Subject { name, pixels, about, .. } = *subject;
        if pixels.is_empty() {
            return Ok(self.without_picture(subject));
        }
        let shape = self.engine.bundle().manifest().input.map(|side| side.get() as usize);
        let bytes = pixels.to_u8();
        let picture = png(pixels, shape).map_err(anyhow::Error::msg)?;
        let elements = shape.iter().product();
        let check = check_frame(&bytes, elements, shape[2], CheckLimits::default());
        let found = check.err().map(|fault| fault.to_string());
        let sensor = subject.sensor.map(str::to_owned).or(found);
        let seen = self.look(pixels)?;
        let verdict = if sensor.is_some() { "UNKNOWN" } else { seen.verdict.as_str() };
        let mut page = Page::new(&format!("{verdict}: {name}"));
        page.heading(1, &format!("{verdict}: {name}"));
        page.paragraph(&self.summary(&seen, sensor));
        if !about.is_empty() {
            page.paragraph(about);
        }
        let caption = "as the model saw it";
        let mut shown = vec![(picture, caption.to_owned())];
        shown.extend(self.heat(pixels, shape, &seen)?);
        let shown: Vec<Thumbnail<'_>> =
            shown.iter().map(|(png, caption)| Thumbnail { png, caption }).collect();
        page.pictures(&shown)?;
        page.table(&self.classes(&seen.logits));
        self.tensors(&mut page, &seen);
        if let Some(neighbours) = &self.neighbours {
            let nearest = neighbours.nearest(&seen.inputs)?;
            show(&mut page, &nearest, neighbours.origin(), shape)?;
        }
        page.paragraph(&self.origin());
        Ok(page.html())
    }

    /// What can be said of a frame that could not be read.
    fn without_picture(&self, subject: &Subject<'_>) -> String {
        let Subject { name, sensor, about, .. } = *subject;
        let mut page = Page::new(&format!("UNKNOWN: {name}"));
        page.heading(1, &format!("UNKNOWN: {name}"));
        page.paragraph(&format!("SENSOR: {}.", sensor.unwrap_or("there is no picture")));
        page.paragraph(about).paragraph(&self.origin());
        page.html()
    }

    fn look(&self, pixels: &Pixels) -> Result<Seen> {
        let mut arena = vec![0.0; self.engine.arena_elements()];
        let (features, judgement) = self.engine.judge(engine_frame(pixels), &mut arena)?;
        let judgement = judgement.context("the bundle holds no detector")?;
        let verdict = decide(&judgement, &self.limits).to_string();
        let judgement = judgement.ok();
        let (inputs, attribution) = match judgement {
            Some(_) => self.reasons(&features)?,
            None => (vec![], Attribution { tensors: vec![], rest: 0.0 }),
        };
        Ok(Seen { logits: features.logits.to_vec(), inputs, attribution, judgement, verdict })
    }

    fn reasons(&self, features: &Features<'_>) -> Result<(Vec<StandardisedInput>, Attribution)> {
        let input = features.input();
        let inputs = standardised(self.engine.bundle(), &input)?;
        Ok((inputs, attribution(&self.engine, &input)?))
    }

    fn summary(&self, seen: &Seen, sensor: Option<String>) -> String {
        if let Some(fault) = sensor {
            return format!("SENSOR: {fault}. The score of such a picture means nothing.");
        }
        let Some(judgement) = &seen.judgement else {
            return "The network gives values that are not finite: there is no score.".to_owned();
        };
        let reason = match judgement.reason {
            Reason::Sensor => "SENSOR: the picture itself is unusable",
            Reason::Shift => "SHIFT: the picture is unlike the normal ones",
            Reason::Doubt => "DOUBT: the classifier is likely wrong",
        };
        let threshold = self.limits.threshold;
        let Judgement { score, p_value, .. } = judgement;
        let class = self.class_text(judgement.class as usize);
        format!(
            "Class {class}. Score {score:.4}, threshold {threshold:.4}: of normal frames a share \
             of {p_value:.2e} scores at least as high. What speaks most against it: {reason}."
        )
    }

    fn class_text(&self, class: usize) -> String {
        let name = names(self.engine.bundle().header().classes).nth(class).unwrap_or_default();
        format!("{class} {name}").trim_end().to_owned()
    }

    /// The map of the chosen layer, or of the one whose gradient moved the score most; none where
    /// the detector reads no gradients of convolutions.
    fn heat(
        &self,
        pixels: &Pixels,
        shape: [usize; 3],
        seen: &Seen,
    ) -> Result<Option<(Vec<u8>, String)>> {
        let moved = || {
            let norms = seen.attribution.tensors.iter().filter(|moved| moved.kind == Inputs::NORM);
            let mut layers = norms
                .filter_map(|moved| self.layers.iter().position(|layer| layer.name == moved.name));
            layers.next()
        };
        let Some(layer) = self.layer.or_else(moved).and_then(|at| self.layers.get(at)) else {
            return Ok(None);
        };
        let map = heat_map(&self.engine, engine_frame(pixels), layer)?;
        let (picture, size) =
            overlay(pixels, shape, &map.values, map.grid).map_err(anyhow::Error::msg)?;
        let [rows, columns] = map.grid;
        let caption = format!(
            "where the gradient of {} is made: activation norm times cotangent norm, {rows} x \
             {columns} pixels",
            layer.name
        );
        Ok(Some((png(&picture, size).map_err(anyhow::Error::msg)?, caption)))
    }

    fn classes(&self, logits: &[f32]) -> Table {
        let mut table = Table::new(&[
            (Column::Text, "class"),
            (Column::Number, "logit"),
            (Column::Number, "softmax"),
        ])
        .caption("What the classifier says; the largest logits");
        let top = logits.get(predicted(logits) as usize).copied().unwrap_or(0.0);
        let sum: f32 = logits.iter().map(|logit| (logit - top).exp()).sum();
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        for class in order.into_iter().take(CLASSES) {
            let logit = logits[class];
            // A single logit has no softmax.
            let share = if logits.len() == 1 {
                String::new()
            } else {
                format!("{:.4}", (logit - top).exp() / sum)
            };
            table.row(&[self.class_text(class), format!("{logit:.3}"), share]);
        }
        table
    }

    fn tensors(&self, page: &mut Page, seen: &Seen) {
        if seen.inputs.is_empty() {
            return;
        }
        page.heading(2, "What the detector read");
        let mut table = Table::new(&[
            (Column::Code, "tensor or layer"),
            (Column::Text, "read as"),
            (Column::Number, "deviation"),
            (Column::Number, "score moved by"),
        ])
        .caption(
            "What moved the score most, on the way from normal values to this frame's; the shares \
             of all tensors and the last row add up to the score. Deviations are in standard \
             deviations of the detector's training frames.",
        );
        let listed =
            || seen.attribution.tensors.iter().take(LISTED).filter(|moved| moved.change != 0.0);
        let deviation = |moved: &Moved| {
            let same =
                |input: &&StandardisedInput| input.name == moved.name && input.kind == moved.kind;
            seen.inputs.iter().find(same).map_or(f32::NAN, |input| input.deviation)
        };
        for moved in listed() {
            table.row(&[
                moved.name.clone(),
                kind_text(moved.kind).to_owned(),
                format!("{:+.2}", deviation(moved)),
                format!("{:+.3}", moved.change),
            ]);
        }
        table.row(&[
            "all tensors at normal values".to_owned(),
            "logits, energy, penultimate vector alone".to_owned(),
            String::new(),
            format!("{:+.3}", seen.attribution.rest),
        ]);
        page.table(&table);
        for (kind, _) in Inputs::NAMES {
            let of_kind = seen.inputs.iter().filter(|input| input.kind == kind);
            let all: Vec<Bar> = of_kind
                .map(|input| Bar {
                    name: input.name.clone(),
                    value: f64::from(input.deviation),
                    marked: listed().any(|m| m.name == input.name && m.kind == kind),
                })
                .collect();
            if !all.is_empty() {
                let caption = "Standard deviations from the mean of normal frames; marked: what \
                               moved the score most.";
                page.picture(&bars(&all, kind_text(kind)), caption);
            }
        }
    }

    fn origin(&self) -> String {
        let bundle = self.engine.bundle();
        let provenance = &bundle.header().provenance;
        format!(
            "{}: model {} (SHA-256 {:.12}..), detector {:.12}.., evidence from {}; made by {}. No \
             defence against an attacker who knows the detector.",
            self.name,
            provenance.model,
            hex(&provenance.model_digest),
            hex(&provenance.detector_digest),
            bundle.header().evidence.source,
            crate::bundle::TOOL,
        )
    }
}

/// What an input is, in words.
fn kind_text(kind: Inputs) -> &'static str {
    match kind {
        Inputs::NORM => "log of the squared gradient norm",
        Inputs::FORWARD => "log of the squared activation norm, sorted logits, energy",
        _ => "cosine with the normal gradient",
    }
}

/// The layer whose name holds `wanted`.
fn chosen(names: &[&str], wanted: &str) -> Result<usize> {
    let exact = names.iter().position(|name| *name == wanted);
    let found: Vec<usize> = match exact {
        Some(at) => vec![at],
        None => (0..names.len()).filter(|at| names[*at].contains(wanted)).collect(),
    };
    let known = match names {
        [] => "the bundle measures no gradient of a convolution".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    match found.as_slice() {
        [at] => Ok(*at),
        [] => bail!("--layer: no layer is called {wanted:?}; {known}"),
        _ => bail!("--layer: {wanted:?} is part of {} names; {known}", found.len()),
    }
}

fn show(page: &mut Page, nearest: &[Neighbour], origin: &str, shape: [usize; 3]) -> Result<()> {
    page.heading(2, "The nearest normal frames");
    page.paragraph(&format!(
        "Of {origin}, by the distance between what the detector reads of them and of this frame."
    ));
    let mut images = vec![];
    for one in nearest {
        let file = png(&one.frame.pixels, shape).map_err(anyhow::Error::msg)?;
        images.push((file, format!("{} (distance {:.2})", one.frame.name, one.distance)));
    }
    let images: Vec<Thumbnail<'_>> =
        images.iter().map(|(png, caption)| Thumbnail { png, caption }).collect();
    page.sheet(&images)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_by_their_names_or_a_part() {
        let layers = ["conv1.weight", "conv10.weight", "head"];
        let cases = [
            ("head", Ok(2)),
            ("conv1.weight", Ok(0)),
            ("conv10", Ok(1)),
            ("conv1", Err("part of 2 names")),
            ("fc", Err("there are conv1.weight, conv10.weight, head")),
        ];
        for (wanted, expected) in cases {
            match (chosen(&layers, wanted), expected) {
                (Ok(at), Ok(wanted)) => assert_eq!(at, wanted),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (got, _) => panic!("{wanted}: {got:?}"),
            }
        }
        assert!(chosen(&[], "x").unwrap_err().to_string().contains("no gradient"));
    }
}
