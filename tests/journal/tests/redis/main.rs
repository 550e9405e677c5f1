//! Processes that share a Redis.
//!
//! Those that take long are for `make test-slow`.

mod deployments;
#[path = "../../../../core/tests/common/redis.rs"]
mod redis;
mod without;

use std::time::Duration;

use evstream_journal_tests::{
    PATIENCE, Plan, Run, Verdict,
    relay::{Mode, Relay},
    seconds, until,
};
use redis::Redis;

const NODE: &str = env!("CARGO_BIN_EXE_evstream-journal-node");

/// Does something to a Redis while processes use it.
fn trouble(plan: Plan, settings: &[&str], act: impl FnOnce(&mut Run, &mut Redis)) -> Verdict {
    let mut redis = Redis::start(settings);
    let mut run = Run::start(NODE, &[&redis.journal()], plan);
    act(&mut run, &mut redis);
    run.wait_for_more();
    run.finish()
}

fn relayed(relay: &Relay) -> String {
    format!("redis://127.0.0.1:{}/0?namespace=test", relay.port())
}

/// The same with a relay in between.
fn trouble_between(plan: Plan, act: impl FnOnce(&mut Run, &Relay)) -> Verdict {
    let redis = Redis::start(&[]);
    let relay = Relay::start(&redis.socket());
    let mut run = Run::start(NODE, &[&relayed(&relay)], plan);
    act(&mut run, &relay);
    run.wait_for_more();
    run.finish()
}

#[test]
fn nothing_special_happens() {
    trouble(Plan::default(), &[], |run, _| run.pause(seconds(2))).check_no_reset();
}

#[test]
fn all_is_flushed_while_events_are_published_and_while_none_are() {
    let verdict = trouble(Plan::default(), &[], |run, redis| {
        run.pause(Duration::from_millis(500));
        redis.ask("FLUSHALL");
        run.wait_for_more();
        run.pause(Duration::from_millis(500));
        run.hush();
        redis.ask("FLUSHALL");
        run.pause(Duration::from_millis(500));
        run.publish();
    });
    verdict.check_told();
}

#[test]
#[ignore = "slow"]
fn all_is_flushed_again_and_again() {
    let verdict = trouble(Plan { rate: 400, ..Plan::default() }, &[], |run, redis| {
        for _ in 0..seconds(4).as_millis() / 100 {
            redis.ask("FLUSHALL");
            let time = Duration::from_millis(run.random.u64(..100));
            run.pause(time);
        }
    });
    verdict.check_told();
}

#[test]
fn it_is_killed_and_starts_empty() {
    let verdict = trouble(Plan::default(), &[], |run, redis| {
        redis.kill();
        run.pause(Duration::from_millis(500));
        redis.run();
    });
    verdict.check_told();
}

#[test]
fn it_is_killed_and_starts_from_an_old_snapshot() {
    an_old_snapshot(Plan::default()).check_told();
}

fn an_old_snapshot(plan: Plan) -> Verdict {
    trouble(plan, &[], |run, redis| {
        redis.ask("SAVE");
        run.pause(Duration::from_secs(1));
        redis.kill();
        redis.run();
    })
}

#[test]
fn processes_stand_still() {
    a_server_stands_still(Plan::default()).check_no_reset();
}

fn a_server_stands_still(plan: Plan) -> Verdict {
    trouble(plan, &[], |run, _| {
        for _ in 0..seconds(2).as_millis() / 500 {
            let server = run.random.usize(..3);
            run.nodes[server].stop();
            run.pause(Duration::from_millis(500));
            run.nodes[server].go_on();
        }
    })
}

/// What a process has not read is trimmed.
#[test]
fn a_slow_process_is_overtaken() {
    a_server_is_overtaken(Plan::default()).check_told();
}

fn a_server_is_overtaken(plan: Plan) -> Verdict {
    trouble(plan, &[], |run, redis| {
        // More than once: when it takes long, its clients have gone to others, who have read all.
        for _ in 0..5 {
            run.nodes[0].stop();
            // What is appended first may be in an answer that is on its way to it.
            for _ in 0..2 {
                wait_for_an_entry(redis);
            }
            redis.ask("XTRIM {test}log MAXLEN 0");
            run.wait_for_more_of(1);
            run.nodes[0].go_on();
            run.wait_for_more_of(0);
            if run.had_reset() {
                break;
            }
        }
    })
}

fn wait_for_an_entry(redis: &Redis) {
    let last = || redis.ask("XREVRANGE {test}log + - COUNT 1");
    let before = last();
    until("an entry to be appended", || last() != before);
}

#[test]
fn all_connections_are_killed() {
    let verdict = trouble(Plan::default(), &[], |run, redis| {
        for _ in 0..seconds(2).as_millis() / 250 {
            redis.ask("CLIENT KILL TYPE normal SKIPME yes");
            run.pause(Duration::from_millis(200));
        }
    });
    verdict.check_no_reset();
}

#[test]
fn it_does_not_answer_for_a_while() {
    let verdict = trouble(Plan::default(), &["--enable-debug-command", "yes"], |_, redis| {
        redis.ask("DEBUG SLEEP 3");
    });
    verdict.check_no_reset();
}

#[test]
#[ignore = "slow"]
fn what_it_holds_is_deleted_piece_by_piece() {
    let verdict = trouble(Plan::default(), &[], |run, redis| {
        for line in ["DEL {test}log", "DEL {test}meta", "XTRIM {test}log MAXLEN 0"] {
            redis.ask(line);
            run.wait_for_more();
            run.pause(Duration::from_millis(500));
        }
    });
    verdict.check_told();
}

#[test]
#[ignore = "slow"]
fn connections_are_cut() {
    let verdict = trouble_between(Plan::default(), |run, relay| {
        for _ in 0..seconds(3).as_millis() / 300 {
            relay.cut();
            let time = Duration::from_millis(run.random.u64(..300));
            run.pause(time);
        }
    });
    verdict.check_no_reset();
}

#[test]
#[ignore = "slow"]
fn connections_freeze() {
    let verdict = trouble_between(Plan::default(), |run, relay| {
        relay.set(Mode::Freeze);
        run.pause(Duration::from_secs(4));
        relay.set(Mode::Pass);
    });
    verdict.check_no_reset();
}

/// What was appended is not appended again.
#[test]
#[ignore = "slow"]
fn answers_are_lost() {
    lost_answers(Plan::default()).check_no_reset();
}

fn lost_answers(plan: Plan) -> Verdict {
    trouble_between(plan, |run, relay| {
        for _ in 0..seconds(4).as_millis() / 1_000 {
            relay.set(Mode::LoseAnswers);
            run.pause(Duration::from_millis(200));
            relay.cut();
            relay.set(Mode::Pass);
            run.pause(Duration::from_millis(500));
        }
    })
}

/// It comes back too late for what was published meanwhile.
#[test]
#[ignore = "slow"]
fn it_is_away_for_longer_than_publishers_wait() {
    let verdict = away_for_long(Plan::default()).check_told();
    assert!(!verdict.failed.is_empty(), "{verdict}");
}

fn away_for_long(plan: Plan) -> Verdict {
    let redis = Redis::start(&[]);
    let relay = Relay::start(&redis.socket());
    let plan = plan.set("journal_deadline_ms=1000");
    let run = Run::start(NODE, &[&relayed(&relay)], plan);
    relay.set(Mode::Refuse);
    relay.cut();
    run.pause(Duration::from_secs(4));
    relay.set(Mode::Pass);
    run.wait_for_more();
    run.finish()
}

/// A master and a replica, and what is between them.
struct Pair {
    master: Redis,
    link: Relay,
    replica: Redis,
}

impl Pair {
    fn start() -> Self {
        let master = Redis::start(&["--repl-diskless-sync-delay", "0"]);
        let link = Relay::start(&master.socket());
        let replica = Redis::start(&["--replicaof", &format!("127.0.0.1 {}", link.port())]);
        let is_up = || replica.ask("INFO replication").contains("master_link_status:up");
        until("the replica to be there", is_up);
        Self { master, link, replica }
    }

    /// The replica no longer hears of the master.
    fn part(&self) {
        self.link.set(Mode::Refuse);
        self.link.cut();
    }
}

#[test]
#[ignore = "slow"]
fn a_failover_loses_what_was_acknowledged() {
    let mut pair = Pair::start();
    let relay = Relay::start(&pair.master.socket());
    let run = Run::start(NODE, &[&relayed(&relay)], Plan::default());
    pair.part();
    run.pause(Duration::from_millis(800));
    pair.master.kill();
    pair.replica.ask("REPLICAOF NO ONE");
    relay.turn(&pair.replica.socket());
    run.wait_for_more();
    run.finish().check_told();
}

/// One server and one publisher stay with the old master for a while.
#[test]
#[ignore = "slow"]
fn there_are_two_masters() {
    two_masters(Plan::default()).check_told();
}

fn two_masters(plan: Plan) -> Verdict {
    let mut pair = Pair::start();
    let [old, new] = [(); 2].map(|()| Relay::start(&pair.master.socket()));
    let [to_old, to_new] = [relayed(&old), relayed(&new)];
    let run = Run::start(NODE, &[&to_old, &to_new, &to_new, &to_old, &to_new], plan);
    pair.part();
    pair.replica.ask("REPLICAOF NO ONE");
    new.turn(&pair.replica.socket());
    run.pause(Duration::from_millis(1_500));
    pair.master.kill();
    old.turn(&pair.replica.socket());
    run.wait_for_more();
    run.finish()
}
