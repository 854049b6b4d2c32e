//! Arenas of a model and the compiler's time for them: `arena MODEL.onnx TAPS [BYTES..]`, without a
//! budget, then within each of the given ones. TAPS as for `gradgate`, empty for all.

use std::path::Path;
use std::time::Instant;

use gradgate_frame::Preprocessing;
use gradgate_graph::expand::{Label, expand};
use gradgate_graph::import::{ImportOptions, import_file};
use gradgate_graph::lower::lower;
use gradgate_graph::pack::pack;
use gradgate_graph::plan::{PlanOptions, Planned, plan};
use gradgate_graph::taps::Taps;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let model = arguments.next().expect("usage: arena MODEL.onnx TAPS [BYTES..]");
    let taps = Taps::parse(&arguments.next().unwrap_or_default());
    let imported = import_file(Path::new(&model), &ImportOptions::default()).expect("a model");
    let budgets = arguments.map(|text| Some(text.parse().expect("bytes")));
    for budget in [None].into_iter().chain(budgets) {
        let begin = Instant::now();
        let expanded = expand(&imported.graph, &Label::Ones, &taps).expect("a classifier");
        let expanded_at = begin.elapsed();
        let schedule = lower(&expanded, &Preprocessing::default()).expect("kernels");
        let lowered_at = begin.elapsed();
        let steps = schedule.steps.len();
        let options = PlanOptions { budget, ..PlanOptions::default() };
        match plan(schedule, options) {
            Ok(planned) => {
                let Planned { schedule, plan, .. } = &planned;
                let planned_at = begin.elapsed();
                let packed = pack(schedule, plan).expect("a bundle");
                println!(
                    "{budget:?}: arena {} B, {} + {} macs, {steps} -> {} steps, {} again; \
                     expand {:?}, lower {:?}, plan {:?}, pack {:?}, {} blob bytes",
                    plan.arena_bytes(),
                    schedule.macs() - planned.extra_macs(),
                    planned.extra_macs(),
                    schedule.steps.len(),
                    planned.again.len(),
                    expanded_at,
                    lowered_at - expanded_at,
                    planned_at - lowered_at,
                    begin.elapsed() - planned_at,
                    packed.blobs.len()
                );
            }
            Err(error) => println!("{budget:?}: {error} ({:?})", begin.elapsed()),
        }
    }
}
