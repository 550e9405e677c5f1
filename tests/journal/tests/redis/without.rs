//! The scenarios without one of the product's protections: what it is for has to be found then, or nothing proves that it is there.
//!
//! Most are taken out by a feature that is not for use: `cargo test -p evstream-journal-tests --features without`.

use super::*;

/// Whether what goes wrong without a protection is found. A race may go well now and then.
#[track_caller]
fn found(plan: Plan, scenario: fn(Plan) -> Verdict, is_found: fn(&Verdict) -> bool) {
    let runs: Vec<String> = (0..TRIES)
        .map(|_| scenario(plan.clone()))
        .take_while(|verdict| !is_found(verdict))
        .map(|verdict| verdict.to_string())
        .collect();
    assert!(runs.len() < TRIES, "nothing was found in {runs:#?}");
}

fn broken(verdict: &Verdict) -> bool {
    !verdict.violations.is_empty()
}

/// Places are given out again, and nobody is told.
#[test]
fn not_looking_at_what_redis_replicates_from() {
    found(Plan::default().set("journal_unfenced=true"), an_old_snapshot, broken);
}

#[cfg(feature = "without")]
mod by_feature {
    use super::*;

    #[test]
    fn sending_clients_back_that_are_ahead() {
        found(Plan::default().without("ahead"), a_server_stands_still, |verdict| verdict.resets > 0);
    }

    #[test]
    fn not_telling_of_what_has_failed() {
        found(Plan::default().without("markers"), away_for_long, broken);
    }

    #[test]
    fn not_telling_of_what_was_acknowledged_and_is_gone() {
        found(Plan::default().without("markers"), two_masters, broken);
    }

    #[test]
    fn not_looking_for_holes() {
        found(Plan::default().without("contiguity"), a_server_is_overtaken, broken);
    }

    #[test]
    fn appending_again_what_was_appended() {
        found(Plan::default().without("repeats"), lost_answers, broken);
    }
}

const TRIES: usize = 5;
