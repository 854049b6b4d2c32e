//! `gradgate inspect`: what is in a bundle, or what would be in one.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};
use gradgate_bundle::Bundle;
use gradgate_bundle::detector::{Detector, Head, Inputs};
use gradgate_bundle::events::EventEvidence;
use gradgate_bundle::header::{Evidence, Header, Policy, names};
use gradgate_bundle::manifest::DeviceClass;
use gradgate_graph::cost::Macs;
use gradgate_graph::plan::draw::svg;
use serde_json::{Value, json};

use crate::devices::{Device, Needs, smallest_text};
use crate::enforce::rate_of;
use crate::executor::Packed;
use crate::files;
use crate::model::{Model, ModelArgs, Recipe};
use crate::output::{bytes, hex, plain, print};
use crate::ram_budget::{BudgetArgs, again_text};
use crate::steps::{StepLine, from_bundle, lines};

/// Show what is in a bundle: schema, steps, arena, sizes, detector, evidence, policy.
///
/// For an ONNX model: what a bundle of it without a detector would hold.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  gradgate inspect resnet20.gate --plan plan.svg")]
pub struct Args {
    /// The bundle, or the classifier
    #[arg(value_name = "BUNDLE|MODEL.onnx")]
    file: PathBuf,
    /// Draw which tensor lies where in the arena, and when
    #[arg(long, value_name = "P.svg")]
    plan: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    choices: ModelArgs,
    #[command(flatten)]
    budget: BudgetArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    if let Some(path) = &args.plan {
        files::check_apart(path, &[&args.file])?;
        files::check_writable(path)?;
    }
    let mut again = String::new();
    let (packed, schedule, plan) = if files::is_bundle(&args.file)? {
        if args.budget.bytes().is_some() {
            bail!(
                "{} is a bundle, whose arena is fixed: give --ram-budget to `pack`",
                args.file.display()
            );
        }
        let packed = Packed::read(&args.file)?;
        let (schedule, plan) = from_bundle(packed.engine(&args.file)?.bundle());
        (packed, schedule, plan)
    } else {
        let model = Model::read(&args.file, &args.choices)?;
        let recipe = Recipe::default();
        let compiled = model.compile_within(&recipe, 0, args.budget.bytes())?;
        again = again_text(&compiled.again, &Macs::of(&compiled.schedule));
        let packed = Packed::of_model(&model, &compiled, &recipe)?;
        (packed, compiled.schedule, compiled.plan)
    };
    if let Some(path) = &args.plan {
        files::write_atomic(path, svg(&schedule, &plan).as_bytes())?;
    }
    let engine = packed.engine(&args.file)?;
    let lines = lines(&schedule);
    if args.json {
        print(&format!("{:#}\n", to_json(engine.bundle(), &lines)))?;
    } else {
        print(&to_text(&args, engine.bundle(), &lines, &again))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Sections with their lengths in bytes.
fn sections(bundle: &Bundle<'_>) -> [(&'static str, u64); 5] {
    let m = bundle.manifest();
    [
        ("header", m.header),
        ("tensors", m.tensors),
        ("steps", m.steps),
        ("params", m.params),
        ("blobs", m.blobs),
    ]
    .map(|(name, span)| (name, u64::from(span.length.get())))
}

fn class_name(bundle: &Bundle<'_>) -> &'static str {
    let number = bundle.manifest().device_class.get();
    DeviceClass::from_number(number).map_or("unknown", DeviceClass::name)
}

fn head_name(detector: &Detector) -> &'static str {
    match detector.head {
        Head::Mlp(_) => "mlp",
        Head::Gaussian(_) => "gaussian",
        Head::Prototypes(_) => "prototypes",
        Head::Energy(_) => "energy",
        Head::Composite(_) => "composite",
    }
}

fn input_names(inputs: Inputs) -> String {
    let chosen = Inputs::NAMES.iter().filter(|(kind, _)| inputs.has(*kind));
    chosen.map(|(_, name)| *name).collect::<Vec<_>>().join(",")
}

/// What a device must have for it.
fn needs(bundle: &Bundle<'_>) -> Needs {
    let manifest = bundle.manifest();
    let frame: u64 = manifest.input.map(|side| u64::from(side.get())).iter().product();
    Needs {
        ram: u64::from(manifest.arena_bytes.get()) + frame,
        flash: u64::from(manifest.total_bytes.get()),
    }
}

/// NaN, which JSON cannot say, as absent.
fn finite(value: f32) -> Option<f32> {
    value.is_finite().then_some(value)
}

fn to_json(bundle: &Bundle<'_>, lines: &[StepLine]) -> Value {
    let (header, manifest) = (bundle.header(), bundle.manifest());
    let list = |text| names(text).collect::<Vec<_>>();
    let sections: serde_json::Map<String, Value> =
        sections(bundle).iter().map(|(name, length)| ((*name).to_owned(), json!(length))).collect();
    json!({
        "provenance": {
            "model": header.provenance.model,
            "model_digest": hex(&header.provenance.model_digest),
            "detector_digest": hex(&header.provenance.detector_digest),
            "tool": header.provenance.tool,
        },
        "container_version": manifest.version.get(),
        "device_class": class_name(bundle),
        "smallest_class": Device::smallest(&needs(bundle)).map(|device| device.class.name()),
        "release": manifest.security_counter.get(),
        "key_id": (manifest.key_id != [0; 8]).then(|| hex(&manifest.key_id)),
        "input": manifest.input.map(|side| side.get()),
        "arena_bytes": manifest.arena_bytes.get(),
        "total_bytes": manifest.total_bytes.get(),
        "sections": sections,
        "schema": {
            "digest": hex(&manifest.schema_digest),
            "parameters": list(header.schema.parameters),
            "layers": list(header.schema.layers),
            "alignments": list(header.schema.alignments),
            "classes": header.schema.classes,
            "penultimate": header.schema.penultimate,
            "folded": header.schema.folded,
        },
        "classes": list(header.classes),
        "preprocessing": header.preprocessing,
        "label": header.label,
        "steps": lines.iter().map(StepLine::to_json).collect::<Vec<_>>(),
        "detector": header.detector.as_ref().map(|detector| json!({
            "head": head_name(detector),
            "inputs": input_names(detector.inputs),
            "threshold": detector.threshold,
            "caution": detector.caution,
        })),
        "evidence": evidence_json(&header.evidence),
        "policy": policy_json(&header.policy),
        "self_test": header.self_test.is_some(),
    })
}

fn evidence_json(evidence: &Evidence<'_>) -> Value {
    let (source, events) = EventEvidence::of(evidence.source);
    json!({
        "false_alarm_rate": finite(evidence.false_alarm_rate),
        "confidence": finite(evidence.confidence),
        "calibration_frames": evidence.calibration[0],
        "calibration_alarms": evidence.calibration[1],
        "calibration_sources": evidence.calibration_sources,
        "audit_frames": evidence.audit[0],
        "audit_alarms": evidence.audit[1],
        "source": source,
        "events": events.map(|events| json!({
            "events": events.events,
            "open_hours": events.open_hours,
            "sequences": events.sequences,
            "frames": events.frames,
            "promised_per_hour": events.per_hour,
            "confidence": events.confidence,
            "times": if events.recorded { "recorded" } else { "assumed" },
            "upper_per_hour": Some(rate_of(&events).upper()).filter(|rate| rate.is_finite()),
            "shown": rate_of(&events).shows(events.per_hour),
        })),
    })
}

fn policy_json(policy: &Policy) -> Value {
    json!({
        "mode": if policy.enforce { "enforce" } else { "monitor" },
        "frame_period_us": policy.frame_period_us,
        "k": policy.k,
        "m": policy.m,
        "n": policy.n,
        "lease_periods": policy.lease_periods,
        "frozen_frames": policy.frozen_frames,
    })
}

fn to_text(args: &Args, bundle: &Bundle<'_>, lines: &[StepLine], again: &str) -> String {
    let (header, manifest) = (bundle.header(), bundle.manifest());
    let mut text = format!("{}\n", args.file.display());
    let [height, width, channels] = manifest.input.map(|side| side.get());
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "  {name:14} {}", plain(&value));
    };
    let provenance = &header.provenance;
    row("model", format!("{}, SHA-256 {}", provenance.model, hex(&provenance.model_digest)));
    row("packed by", provenance.tool.to_owned());
    row("device class", format!("{}, release {}", class_name(bundle), manifest.security_counter));
    let signed = manifest.key_id != [0; 8];
    row("signature", if signed { format!("key {}", hex(&manifest.key_id)) } else { "none".into() });
    row("frame", format!("{height} x {width} x {channels}, {}", header.preprocessing));
    row("label", header.label.to_owned());
    row("arena", bytes(u64::from(manifest.arena_bytes.get())));
    if !again.is_empty() {
        row("computed again", again.to_owned());
    }
    row("file", bytes(u64::from(manifest.total_bytes.get())));
    for (name, length) in sections(bundle) {
        row("", format!("{name}: {}", bytes(length)));
    }
    row("smallest class", smallest_text(&needs(bundle)));
    let tested = if header.self_test.is_some() { "inside" } else { "none" };
    row("self-test", tested.to_owned());
    text.push_str(&promise_text(header));
    text.push_str(&schema_text(header));
    text.push_str("\nstep  operation             multiply-adds  name\n");
    for (index, line) in lines.iter().enumerate() {
        let _ = writeln!(text, "{index:4}  {line}");
    }
    text
}

fn promise_text(header: &Header<'_>) -> String {
    let mut text = String::new();
    if let Some(detector) = &header.detector {
        let _ = writeln!(
            text,
            "\ndetector: {}, inputs {}, threshold {}{}",
            head_name(detector),
            input_names(detector.inputs),
            detector.threshold,
            detector.caution.map_or(String::new(), |c| format!(", caution above {c}")),
        );
        let e = &header.evidence;
        let (source, events) = EventEvidence::of(e.source);
        match finite(e.false_alarm_rate) {
            Some(rate) => {
                let _ = writeln!(
                    text,
                    "promise: at most {} % false alarms a frame at {} % confidence",
                    100.0 * rate,
                    100.0 * e.confidence
                );
            }
            None => text.push_str("promise: none\n"),
        }
        let _ = writeln!(
            text,
            "evidence: {} alarms of {} calibration frames ({} sources), {} of {} audit frames; {}",
            e.calibration[1],
            e.calibration[0],
            e.calibration_sources,
            e.audit[1],
            e.audit[0],
            plain(source)
        );
        if let Some(events) = events {
            let rate = rate_of(&events);
            let _ = writeln!(
                text,
                "events: {}, {} sequences\n{}",
                rate.text(),
                events.sequences,
                rate.promise_text(events.per_hour)
            );
        }
    }
    let p = &header.policy;
    let _ = writeln!(
        text,
        "policy: {}, a frame every {} us, opens after {} PASS, closes at {} BLOCK of {}, lease {} \
         periods, frozen after {} equal frames",
        if p.enforce { "enforce" } else { "monitor" },
        p.frame_period_us,
        p.n,
        p.k,
        p.m,
        p.lease_periods,
        p.frozen_frames
    );
    text
}

fn schema_text(header: &Header<'_>) -> String {
    let schema = &header.schema;
    let mut text = String::new();
    for (what, list) in [
        ("gradient norms of", schema.parameters),
        ("activation norms of", schema.layers),
        ("alignments of", schema.alignments),
    ] {
        let count = names(list).count();
        if count > 0 {
            let all = names(list).map(plain).collect::<Vec<_>>().join(" ");
            let _ = writeln!(text, "\n{count} {what} {all}");
        }
    }
    let _ = writeln!(
        text,
        "{} logits, penultimate vector of {} values, BatchNorm {}",
        schema.classes,
        schema.penultimate,
        if schema.folded { "folded" } else { "not folded" }
    );
    let classes: Vec<String> = names(header.classes).map(plain).collect();
    if !classes.is_empty() {
        let _ = writeln!(text, "classes: {}", classes.join(", "));
    }
    text
}
