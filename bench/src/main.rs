//! Takes the figures of evstream: what a delivery, an open stream and a publish cost the server, beside the bare loop of
//! writes and beside peers. See `README.md`.

mod bars;
mod body;
mod cases;
mod clients;
mod figures;
mod machine;
mod measure;
mod options;
mod payload;
mod processes;
mod report;
mod subject;
mod subjects;

use std::{env, process::ExitCode};

use anyhow::{Result, ensure};

use options::{Options, Plan, USAGE};

fn main() -> ExitCode {
    match Options::parse(env::args().skip(1)).and_then(act) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(options: Options) -> Result<()> {
    match options {
        Options::Help => println!("{USAGE}"),
        Options::List => list(),
        Options::Serve(name) => subjects::serve(&name)?,
        Options::WithPushpin(command) => subjects::with_pushpin(&command)?,
        Options::Run(plan) => run(&plan)?,
    }
    Ok(())
}

fn list() {
    for case in cases::CASES {
        println!("{:<14} {:>6} streams, {}", case.name, case.streams, case.about);
    }
    println!("subjects: {} (default: {})", subjects::NAMES.join(", "), subjects::DEFAULT.join(", "));
}

/// Subjects take turns within a round, so that what changes on the machine changes for all of them.
fn run(plan: &Plan) -> Result<()> {
    machine::raise_open_files()?;
    let cores = machine::Cores::choose()?;
    let mut figures = figures::Figures::default();
    for case in &plan.cases {
        for round in 1..=plan.rounds {
            for subject in plan.subjects.iter().filter(|subject| subject.kind == case.kind()) {
                let row = figures.row(case.name, &subject.name, case.streams);
                if row.failure.is_some() {
                    continue;
                }
                eprintln!("{} {round}/{}: {}", case.name, plan.rounds, subject.name);
                match measure::measure(subject, case, cores) {
                    Ok(sample) => row.add(sample),
                    Err(error) => {
                        eprintln!("  failed: {error:#}");
                        row.failure = Some(format!("{error:#}"));
                    }
                }
            }
        }
    }
    let verdicts = bars::judge(&figures);
    report::print(&figures, &verdicts);
    report::write_json(&plan.out, &figures, &verdicts)?;
    let is_peer = |name: &str| plan.subjects.iter().any(|subject| subject.is_peer && subject.name == name);
    let failed = figures.rows().iter().filter(|row| row.failure.is_some() && !is_peer(&row.subject)).count();
    ensure!(failed == 0, "{failed} measurements failed");
    Ok(())
}
