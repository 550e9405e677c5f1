//! The command line.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    cases::{CASES, Case},
    subject::{Kind, Subject},
    subjects,
};

pub(crate) const USAGE: &str = "\
evstream-bench [OPTIONS] all | CASE[:STREAMS]...
evstream-bench with-pushpin CMD...   run CMD beside a Pushpin, whose control address is in GRIP_URL

  --quick             one short round: a look, not a figure to quote
  --rounds N          rounds over all subjects, in turns (default 3)
  --repeats N         bursts and batches of calls in each round, instead of the case's own number
  --streams N         so many streams instead of the case's own
  --subject NAME=CMD  measure this too; CMD is a shell command that speaks the protocol of bench/README.md
  --peer NAME=CMD     the same, for software of others: when it fails, its row says why, and the run goes on to succeed
  --publisher NAME=CMD  measure this in the cases of publishing to a proxy
  --with A,B          measure these of the built-in subjects too
  --only A,B          measure these subjects only (also built-in ones that are left out by default, see --list)
  --out PATH          where the JSON goes (default target/bench/results.json)
  --list              print the cases and subjects";

/// What was asked for.
#[derive(Debug)]
pub(crate) enum Options {
    Help,
    List,
    Run(Plan),
    /// This process is a subject.
    Serve(String),
    /// Run this command beside a Pushpin.
    WithPushpin(Vec<String>),
}

#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) cases: Vec<Case>,
    pub(crate) subjects: Vec<Subject>,
    pub(crate) rounds: usize,
    pub(crate) out: PathBuf,
}

impl Options {
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut arguments = arguments.into_iter();
        let mut names = Vec::new();
        let mut external_subjects = Vec::new();
        let (mut with, mut only) = (Vec::new(), None);
        let (mut quick, mut rounds, mut repeats, mut streams) = (false, None, None, None);
        let mut out = PathBuf::from("target/bench/results.json");
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--help" | "-h" => return Ok(Self::Help),
                "--list" => return Ok(Self::List),
                "--quick" => quick = true,
                "--rounds" => rounds = Some(number(&value()?, "--rounds")?.max(1)),
                "--repeats" => repeats = Some(number(&value()?, "--repeats")?.max(1) as u32),
                "--streams" => streams = Some(number(&value()?, "--streams")?),
                "--with" => with.extend(value()?.split(',').map(str::to_owned)),
                "--only" => only = Some(value()?.split(',').map(str::to_owned).collect()),
                "--out" => out = value()?.into(),
                "--subject" => external_subjects.push(external(&value()?, Kind::Server, false)?),
                "--peer" => external_subjects.push(external(&value()?, Kind::Server, true)?),
                "--publisher" => external_subjects.push(external(&value()?, Kind::Publisher, true)?),
                "with-pushpin" => return Ok(Self::WithPushpin(arguments.collect())),
                "serve" => return Ok(Self::Serve(value()?)),
                option if option.starts_with('-') => bail!("{option:?} is not an option\n\n{USAGE}"),
                name => names.push(name.to_owned()),
            }
        }
        if names.is_empty() {
            return Ok(Self::Help);
        }
        let mut cases = chosen(&names)?;
        for case in &mut cases {
            if quick {
                *case = case.clone().quick();
            }
            if let Some(repeats) = repeats {
                *case = case.clone().repeated(repeats);
            }
            case.streams = streams.unwrap_or(case.streams);
        }
        let subjects = wanted(only, with, external_subjects)?;
        let rounds = rounds.unwrap_or(if quick { 1 } else { 3 });
        Ok(Self::Run(Plan { cases, subjects, rounds, out }))
    }
}

fn number(text: &str, option: &str) -> Result<usize> {
    text.parse().with_context(|| format!("{option} needs a number, not {text:?}"))
}

/// The cases of these names, some with their number of streams, in the order of the table.
fn chosen(names: &[String]) -> Result<Vec<Case>> {
    let mut chosen: Vec<Option<Case>> = vec![None; CASES.len()];
    for text in names {
        let (name, streams) = match text.split_once(':') {
            Some((name, streams)) => (name, Some(number(streams, text)?)),
            None => (text.as_str(), None),
        };
        if !CASES.iter().any(|case| name == "all" || case.name == name) {
            let list: Vec<&str> = CASES.iter().map(|case| case.name).collect();
            bail!("there is no case {name:?}; there are: all, {}", list.join(", "));
        }
        for (case, chosen) in CASES.into_iter().zip(&mut chosen) {
            if name == "all" || case.name == name {
                *chosen = Some(Case { streams: streams.unwrap_or(case.streams), ..case });
            }
        }
    }
    Ok(chosen.into_iter().flatten().collect())
}

/// Those named by `--only`, else the default ones, those added by `--with` and those given on the command line.
fn wanted(only: Option<Vec<String>>, with: Vec<String>, external: Vec<Subject>) -> Result<Vec<Subject>> {
    let only = only.unwrap_or_else(|| {
        let external = external.iter().map(|subject| subject.name.clone());
        subjects::DEFAULT.iter().map(ToString::to_string).chain(with).chain(external).collect()
    });
    let mut subjects = subjects::built_in()?;
    subjects.extend(external);
    for name in &only {
        let of_that_name = subjects.iter().filter(|subject| subject.name == *name).count();
        ensure!(of_that_name > 0, "there is no subject {name:?}");
        ensure!(of_that_name == 1, "there are several subjects {name:?}");
    }
    subjects.retain(|subject| only.contains(&subject.name));
    Ok(subjects)
}

fn external(text: &str, kind: Kind, is_peer: bool) -> Result<Subject> {
    let (name, command) = text.split_once('=').with_context(|| format!("{text:?} is not NAME=CMD"))?;
    let command = ["sh", "-c", command].map(str::to_owned).to_vec();
    Ok(Subject { name: name.into(), kind, is_peer, command })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(line: &str) -> Result<Plan> {
        match Options::parse(line.split_whitespace().map(str::to_owned))? {
            Options::Run(plan) => Ok(plan),
            other => bail!("{other:?}"),
        }
    }

    #[test]
    fn cases_and_subjects_are_chosen() {
        let chosen =
            plan("burst paced --streams 10 --rounds 2 --subject peer=true --only peer,limit").unwrap();
        let names: Vec<_> = chosen.cases.iter().map(|case| (case.name, case.streams)).collect();
        assert_eq!(names, [("paced", 10), ("burst", 10)]);
        let subjects: Vec<_> = chosen.subjects.iter().map(|subject| subject.name.as_str()).collect();
        assert_eq!(subjects, ["limit", "peer"]);
        assert_eq!(chosen.rounds, 2);
        let chosen = plan("idle:500 grip-each --repeats 2 --publisher p=true --peer q=true").unwrap();
        assert_eq!(chosen.cases.iter().map(|case| case.streams).collect::<Vec<_>>(), [500, 0]);
        assert_eq!(chosen.cases[1].commands().len(), 3, "a warm-up and two");
        let kinds: Vec<_> = chosen.subjects.iter().map(|s| (s.name.as_str(), s.kind, s.is_peer)).collect();
        assert_eq!(kinds[2..], [("p", Kind::Publisher, true), ("q", Kind::Server, true)]);
        assert_eq!(plan("all --quick").unwrap().cases.len(), CASES.len());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, expected) in [
            ("fast", "there is no case \"fast\""),
            ("all --fast", "not an option"),
            ("all --rounds", "needs a value"),
            ("idle:many", "idle:many needs a number"),
            ("all --only nobody", "no subject \"nobody\""),
            ("all --subject x", "not NAME=CMD"),
            ("all --subject limit=true", "several subjects"),
        ] {
            let error = plan(line).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
