//! `gradgate frontier`: which taps are worth their price.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use gradgate_bundle::detector::FeatureShape;
use gradgate_detect::fit::options::parse_inputs;
use gradgate_detect::fit::{FitOptions, HeadKind};
use gradgate_detect::frontier::{
    Addition, Cost, Family, Frontier, FrontierReport, Rates, Subset, draw, greedy,
};
use gradgate_detect::references::References;
use gradgate_detect::{DetectError, FeatureSet, Inputs, Metadata};
use gradgate_graph::alignment::Reference;
use gradgate_graph::cost::{MacBudget, Macs};
use gradgate_graph::graph::{Graph, ValueId};
use gradgate_graph::lower::Products;
use gradgate_graph::taps::depth::{Candidate, Kind, additions, candidates};
use gradgate_graph::taps::{Taps, describe};

use crate::bundle::{Contents, assemble};
use crate::executor::{Executor, Kind as ExecutorKind, Numerics, Packed, metadata_of_model};
use crate::feature_files::FeatureFiles;
use crate::feature_set::feature_set;
use crate::frames::ChoiceArgs;
use crate::model::{Compiled, Model, ModelArgs, Recipe, owned_names, usual_scratch};
use crate::parallel::ThreadsArgs;
use crate::rates::{GivenRates, measure};
use crate::{files, label, output, progress, references};

/// What do gradients cost, what do they tell, and which are worth it?
///
/// Fits a detector over subsets of layers, from features of all taps, and draws cost against AUROC.
/// With references a tapped weight's alignment is read and paid for, too.
/// The front and the knee are chosen on one part of the frames, AUROC is reported on another.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  gradgate frontier resnet20.onnx --normal normal.safetensors --anomalous signs.safetensors \\
      -o frontier.html
  gradgate frontier net.onnx --normal n.safetensors --anomalous fog=f.safetensors s.safetensors \\
      -o frontier.svg -o frontier.json --head mlp --mac-budget 1.5x
  gradgate frontier net.onnx --normal n.safetensors --anomalous s.safetensors -o frontier.svg \\
      --references r.safetensors")]
pub struct Args {
    /// The classifier
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Features of normal frames, with all taps, or the frames themselves
    #[arg(long, required = true, num_args = 1.., value_name = "F.safetensors|FRAMES")]
    normal: Vec<PathBuf>,
    /// Features of anomalous frames, with all taps, or frames; a name before `=` stands in the
    /// report
    #[arg(long, required = true, num_args = 1.., value_name = "[NAME=]F.safetensors|FRAMES")]
    anomalous: Vec<String>,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// Where the report goes, by its ending; may be given for each kind
    #[arg(short, long, required = true, value_name = "FILE.html|.svg|.json")]
    output: Vec<PathBuf>,
    /// The score's formula: composite, gaussian, mlp [default: composite]
    #[arg(long, value_name = "HEAD")]
    head: Option<String>,
    /// What the detector reads: norm, with forward and alignment as wanted [default: all that the
    /// features hold]
    #[arg(long, value_name = "KIND,..")]
    inputs: Option<String>,
    /// What `references` wrote, where the features hold alignments: the file that they were
    /// computed with
    #[arg(long, value_name = "R.safetensors")]
    references: Option<PathBuf>,
    /// The knee takes no more multiply-adds (60M, or 1.5x the forward pass)
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    mac_budget: Option<MacBudget>,
    /// At most this many depths; a deeper network's are thinned evenly
    #[arg(long, value_name = "N", default_value_t = 24, allow_negative_numbers = true,
          value_parser = clap::value_parser!(u64).range(1..=1000))]
    depths: u64,
    /// Nanoseconds a multiply-add takes, for another machine's time [default: measured here]
    #[arg(long, value_name = "FORWARD,BACKWARD,NORMS")]
    rates: Option<GivenRates>,
    /// Seed of splits, start weights and bootstrap
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    threads: ThreadsArgs,
    /// Print every subset, not only the front
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    choices: ModelArgs,
}

/// Runs the subcommand.
pub fn run(args: Args) -> Result<ExitCode> {
    let sources = FeatureFiles::new(&args.normal, &args.anomalous);
    let mut inputs = sources.paths();
    inputs.push(&args.model);
    inputs.extend(args.references.as_deref());
    for path in &args.output {
        Drawn::of(path)?;
        files::check_apart(path, &inputs)?;
        files::check_writable(path)?;
    }
    let options = FitOptions {
        head: args.head.as_deref().map(HeadKind::parse).transpose().context("--head")?,
        seed: args.seed,
        ..FitOptions::default()
    };
    let inputs = args.inputs.as_deref().map(parse_inputs).transpose().context("--inputs")?;
    sources.check()?;
    let model = Model::read(&args.model, &args.choices)?;
    let (report, next) = report(&args, &model, &sources, inputs, &options)?;
    for path in &args.output {
        files::write_atomic(path, Drawn::of(path)?.bytes(&report)?.as_bytes())?;
    }
    let drawn: Vec<String> = args.output.iter().map(|path| path.display().to_string()).collect();
    output::print(&format!(
        "{}\n{}: {} subsets\nnext: gradgate features {} NORMAL_FRAMES -o normal.safetensors \
         --taps '{}'{next}\n",
        output::plain_lines(&report.to_text(args.all)),
        drawn.join(", "),
        report.points.len(),
        args.model.display(),
        output::plain(&report.knee().taps),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The report, and what else `features` must be given for the knee.
fn report(
    args: &Args,
    model: &Model,
    sources: &FeatureFiles<'_>,
    inputs: Option<Inputs>,
    options: &FitOptions,
) -> Result<(FrontierReport, String)> {
    let shape = model.frame_shape()?;
    let recorded = sources.normal_features()?;
    let given = args.references.as_deref();
    let inputs = inputs_read(recorded.as_ref(), given, inputs)?;
    let options = &FitOptions { inputs, ..options.clone() };
    let aligned = inputs.has(Inputs::ALIGNMENT);
    let recipe = match &recorded {
        Some(set) => recipe(&set.metadata, model, given, aligned)?,
        None => recipe_of_references(given)?,
    };
    let all = model.compile(&recipe, 0)?;
    let packed = Packed::of_model(model, &all, &recipe)?;
    let engine = packed.engine(&model.path)?;
    let rates = match args.rates {
        Some(given) => given.rates(),
        None => measure(&engine, &all.schedule)?,
    };
    let executor = Executor::of_bundle(engine, ExecutorKind::Engine)?;
    let computed = metadata_of_model(model, &all, &recipe, ExecutorKind::Engine, Numerics::Exact)?;
    let compute = |paths: &[PathBuf]| {
        let frames = args.choice.open(paths, shape)?;
        let metadata = Metadata { frames: args.choice.describe(paths), ..computed.clone() };
        let threads = args.threads.count(frames.len());
        let seen = references::seen(recipe.references.as_deref());
        feature_set(&executor, &frames, metadata, threads, &seen)
    };
    let mut normal = match recorded {
        Some(set) => set,
        None => compute(&args.normal)?,
    };
    let mut anomalous = sources.anomalous_or(&|path| compute(&[path.to_owned()]))?;
    if !aligned {
        let theirs = normal.metadata.schema_digest.clone();
        let sets = anomalous.iter_mut().map(|other| &mut other.set);
        for set in sets.chain([&mut normal]) {
            drop_alignments(set, &theirs, &computed.schema_digest);
        }
    }
    let work = Work::new(args, model, &normal, recipe.clone(), &all, rates)?;
    let frontier = Frontier::new(&normal, &anomalous, options)?;
    let bar = progress::spinner("compiling and fitting subsets of taps");
    let report = work.report(&frontier);
    bar.finish_and_clear();
    let report = report?;
    let next = work.options_of(&report.knee().parameters, given);
    Ok((report, next))
}

/// What the detectors read: what was asked for, else all that the features hold or will hold.
fn inputs_read(
    recorded: Option<&FeatureSet>,
    references: Option<&Path>,
    wanted: Option<Inputs>,
) -> Result<Inputs> {
    let aligned = match recorded {
        Some(set) => !set.metadata.alignments.is_empty(),
        None => references.is_some(),
    };
    let usual = Inputs::NORM.with(Inputs::FORWARD);
    let all = if aligned { usual.with(Inputs::ALIGNMENT) } else { usual };
    let inputs = wanted.unwrap_or(all);
    if let Some(path) = references.filter(|_| !inputs.has(Inputs::ALIGNMENT)) {
        let reason = match aligned {
            true => "--inputs leaves alignment out",
            false => "the features hold no alignments; compute them with `features --references`",
        };
        bail!("--references {} would be of no use: {reason}", path.display());
    }
    Ok(inputs)
}

/// Alignments that are not read are not paid for: a set of schema `theirs` becomes one as if
/// computed without references, of schema `plain`.
fn drop_alignments(set: &mut FeatureSet, theirs: &str, plain: &str) {
    if set.metadata.alignments.is_empty() {
        return;
    }
    let same = set.metadata.schema_digest == theirs;
    *set = std::mem::take(set).without_alignments();
    if same {
        plain.clone_into(&mut set.metadata.schema_digest);
    }
}

/// What frames are computed with where no features say otherwise.
fn recipe_of_references(given: Option<&Path>) -> Result<Recipe> {
    let (label, preprocessing, references) = references::inherit(given, None, None)?;
    Ok(Recipe { label, preprocessing, references, ..Recipe::default() })
}

/// What the features were computed with. Refuses those of another model, and, where alignments
/// are read, any other references than theirs.
fn recipe(
    metadata: &Metadata,
    model: &Model,
    given: Option<&Path>,
    aligned: bool,
) -> Result<Recipe> {
    let (name, other) = (&metadata.frames, model.path.display());
    if metadata.model_digest != output::hex(&model.digest) {
        bail!("the features of {name} are of another model than {other}: compute them with it");
    }
    let recipe = Recipe {
        label: label::from_text(&metadata.label).with_context(|| name.clone())?,
        taps: Taps::all(),
        preprocessing: metadata.preprocessing.parse().with_context(|| name.clone())?,
        references: if aligned { references_of(metadata, given)?.map(Arc::new) } else { None },
        ..Recipe::default()
    };
    model.with_products_of(recipe, &metadata.alignments, &metadata.schema_digest)
}

/// The references that the features' alignments were computed with; they decide what an alignment
/// costs.
fn references_of(metadata: &Metadata, given: Option<&Path>) -> Result<Option<References>> {
    let (name, wanted) = (&metadata.frames, &metadata.references_digest);
    match given {
        // The frontier says what is wrong with features that hold none.
        _ if wanted.is_empty() => Ok(None),
        None => bail!(
            "the features of {name} hold alignments: give the references that they were computed \
             with (SHA-256 {wanted:.12}..) as --references, or --inputs norm,forward"
        ),
        Some(path) => {
            let references = references::read(path)?;
            if output::hex(&references.digest()?) != *wanted {
                bail!(
                    "the features of {name} were computed with other references than {} (SHA-256 \
                     {wanted:.12}..): give those",
                    path.display()
                );
            }
            Ok(Some(references))
        }
    }
}

/// Kinds of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drawn {
    Svg,
    Html,
    Json,
}

impl Drawn {
    fn of(path: &std::path::Path) -> Result<Drawn> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("svg") => Ok(Drawn::Svg),
            Some("html") => Ok(Drawn::Html),
            Some("json") => Ok(Drawn::Json),
            _ => bail!("{}: the name must end in .html, .svg or .json", path.display()),
        }
    }

    fn bytes(self, report: &FrontierReport) -> Result<String> {
        Ok(match self {
            Drawn::Svg => draw::svg(report),
            Drawn::Html => draw::html(report),
            Drawn::Json => format!("{}\n", report.to_json()?),
        })
    }
}

/// The network with what its features were computed with.
struct Work<'a> {
    model: &'a Model,
    normal: &'a FeatureSet,
    recipe: Recipe,
    directions: Vec<Reference>,
    all: &'a Compiled,
    rates: Rates,
    limit: Option<u64>,
    depths: usize,
    threads: usize,
}

impl<'a> Work<'a> {
    fn new(
        args: &Args,
        model: &'a Model,
        normal: &'a FeatureSet,
        recipe: Recipe,
        all: &'a Compiled,
        rates: Rates,
    ) -> Result<Work<'a>> {
        let metadata = &normal.metadata;
        if metadata.parameters != owned_names(&all.names.parameters) {
            bail!(
                "the features of {} hold {} gradient norms of {}: compute them without --taps",
                metadata.frames,
                metadata.parameters.len(),
                all.expanded.squared_norms.len()
            );
        }
        let forward = Macs::of(&all.schedule).forward;
        let threads = args.threads.count(usize::MAX);
        Ok(Work {
            model,
            normal,
            directions: recipe.directions(model)?,
            recipe,
            all,
            rates,
            limit: args.mac_budget.map(|budget| budget.limit(forward)),
            depths: usize::try_from(args.depths).unwrap_or(usize::MAX),
            threads,
        })
    }

    fn graph(&self) -> &Graph {
        &self.model.imported.graph
    }

    fn report(&self, frontier: &Frontier<'_>) -> Result<FrontierReport> {
        let mut subsets = Vec::new();
        for candidate in candidates(self.graph(), self.depths) {
            let Candidate { name, kind, parameters } = candidate;
            let family = match kind {
                _ if parameters.is_empty() => Family::Forward,
                Kind::All => Family::All,
                Kind::WithoutScales => Family::WithoutScales,
                Kind::Weights => Family::Weights,
                Kind::Normalisation => Family::Normalisation,
                Kind::Shifts => Family::Shifts,
            };
            subsets.push(self.subset(name, family, &parameters)?);
        }
        for (at, columns) in self.greedy(frontier)?.into_iter().enumerate() {
            let name = format!("greedy, step {}", at + 1);
            subsets.push(self.subset(name, Family::Greedy, &self.parameters(&columns))?);
        }
        let mut report = frontier.measure(subsets, self.limit, self.threads)?;
        report.model = self.model.name();
        report.rates = self.rates.clone();
        Ok(report)
    }

    fn greedy(&self, frontier: &Frontier<'_>) -> Result<Vec<Vec<usize>>> {
        let addition = |parameters: &Vec<ValueId>| {
            Ok(Addition { columns: self.normal.columns(&self.names(parameters))? })
        };
        let additions: Vec<Addition> = additions(self.graph(), self.depths)
            .iter()
            .map(addition)
            .collect::<Result<_, DetectError>>()?;
        let known: Mutex<HashMap<Vec<usize>, u64>> = Mutex::new(HashMap::new());
        let macs = |columns: &[usize]| {
            let found = known.lock().ok().and_then(|known| known.get(columns).copied());
            if let Some(found) = found {
                return Ok(found);
            }
            let taps = Taps::exactly(self.graph(), &self.parameters(columns));
            let products = self.recipe.products;
            let macs = Macs::with_taps(self.graph(), &taps, &self.directions, products)
                .map_err(|error| DetectError::Data(error.to_string()))?
                .total();
            if let Ok(mut known) = known.lock() {
                known.insert(columns.to_vec(), macs);
            }
            Ok(macs)
        };
        Ok(greedy(frontier, &additions, self.limit, self.threads, &macs)?)
    }

    /// Columns of the features are the parameters that the loss reaches.
    fn parameters(&self, columns: &[usize]) -> Vec<ValueId> {
        columns.iter().map(|&column| self.all.expanded.squared_norms[column].0).collect()
    }

    fn names(&self, parameters: &[ValueId]) -> Vec<String> {
        parameters.iter().map(|&p| self.graph().value(p).name.clone()).collect()
    }

    /// How many of the parameters have an alignment.
    fn aligned(&self, parameters: &[String]) -> usize {
        let alignments = &self.normal.metadata.alignments;
        parameters.iter().filter(|name| alignments.contains(name)).count()
    }

    /// What `features` must be given beside the taps.
    fn options_of(&self, parameters: &[String], references: Option<&Path>) -> String {
        let mut options = String::new();
        if self.recipe.products == Products::Kept {
            options.push_str(" --keep-products");
        }
        if let Some(path) = references.filter(|_| self.aligned(parameters) > 0) {
            options.push_str(&format!(" --references {}", path.display()));
        }
        options
    }

    fn subset(&self, name: String, family: Family, parameters: &[ValueId]) -> Result<Subset> {
        let mut recipe =
            Recipe { taps: Taps::exactly(self.graph(), parameters), ..self.recipe.clone() };
        let (norms, alignments) = (parameters.len(), self.aligned(&self.names(parameters)));
        // References that no tapped weight needs are a mistake anywhere else.
        recipe.references = recipe.references.filter(|_| alignments > 0);
        let (norms, alignments) = (norms as u32, alignments as u32);
        let shape = FeatureShape { norms, alignments, ..self.all.shape() };
        let compiled = self.model.compile(&recipe, usual_scratch(&shape))?;
        let file = assemble(self.model, &compiled, &recipe, &Contents::default())?;
        let macs = Macs::of(&compiled.schedule);
        let Macs { forward, backward, norms, again: _ } = macs;
        Ok(Subset {
            name,
            family,
            taps: describe(self.graph(), parameters),
            parameters: owned_names(&compiled.names.parameters),
            cost: Cost {
                forward,
                backward,
                norms,
                arena_bytes: compiled.plan.arena_bytes() as u64,
                bundle_bytes: file.len() as u64,
                milliseconds: self.rates.milliseconds(forward, backward, norms),
            },
        })
    }
}
