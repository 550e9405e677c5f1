//! A Redis that is more than one, or has too little memory, while processes publish to it.

use super::{redis::Cluster, *};

/// Another that replicates from it.
fn replica_of(master: &Redis) -> Redis {
    let replica = Redis::listen("", &["--replicaof", &format!("127.0.0.1 {}", master.port())]);
    until("the replica to be there", || replica.ask("INFO replication").contains("master_link_status:up"));
    replica
}

/// `None` when it does not answer: one that is made a replica ends the connections it has.
fn is_master(redis: &Redis) -> Option<bool> {
    Some(redis.try_ask("INFO replication")?.contains("role:master"))
}

/// A master, its replica, and three sentinels that see to it that there is a master.
struct Watched {
    master: Redis,
    replica: Redis,
    sentinels: Vec<Redis>,
}

impl Watched {
    fn start() -> Self {
        let master = Redis::listen("", &["--repl-diskless-sync-delay", "0"]);
        let replica = replica_of(&master);
        let lines = format!(
            "sentinel monitor main 127.0.0.1 {} 2\nsentinel down-after-milliseconds main 500\n\
            sentinel failover-timeout main 5000\n",
            master.port()
        );
        let sentinels: Vec<Redis> = (0..3).map(|_| Redis::listen(&lines, &["--sentinel"])).collect();
        for (what, count) in [("num-slaves", 1), ("num-other-sentinels", 2)] {
            let known = format!("{what}\r\n$1\r\n{count}\r\n");
            let knows = |sentinel: &Redis| sentinel.ask("SENTINEL MASTER main").contains(&known);
            until("the sentinels to know of each other", || sentinels.iter().all(knows));
        }
        Self { master, replica, sentinels }
    }

    fn journal(&self) -> String {
        let host = |sentinel: &Redis| format!("127.0.0.1:{}", sentinel.port());
        let hosts: Vec<String> = self.sentinels.iter().map(host).collect();
        format!("redis+sentinel://{}/main?namespace=test", hosts.join(","))
    }
}

/// Publishing goes on, with one of the sentinels gone as well.
#[test]
#[ignore = "slow"]
fn a_master_is_killed_that_sentinels_watch() {
    let mut redis = Watched::start();
    let run = Run::start(NODE, &[&redis.journal()], Plan::default());
    run.pause(Duration::from_millis(500));
    redis.sentinels[0].kill();
    redis.master.kill();
    run.wait_for_more();
    assert_eq!(is_master(&redis.replica), Some(true));
    run.finish().check_told();
}

#[test]
#[ignore = "slow"]
fn sentinels_are_asked_for_another_master() {
    let redis = Watched::start();
    let run = Run::start(NODE, &[&redis.journal()], Plan::default());
    assert_eq!(redis.sentinels[0].ask("SENTINEL FAILOVER main"), "+OK\r\n");
    until("the replica to be master", || is_master(&redis.replica) == Some(true));
    until("the master to be a replica", || is_master(&redis.master) == Some(false));
    run.wait_for_more();
    let verdict = run.finish().check_told();
    assert!(verdict.failed.is_empty(), "{verdict}");
}

/// Nothing is lost, but nobody can know it: a history that goes on elsewhere looks like one that has lost its end.
#[test]
#[ignore = "slow"]
fn a_master_hands_over_to_its_replica() {
    let master = Redis::listen("", &["--repl-diskless-sync-delay", "0"]);
    let replica = replica_of(&master);
    let relay = Relay::start(&master.socket());
    let run = Run::start(NODE, &[&relayed(&relay)], Plan::default());
    assert_eq!(master.ask("FAILOVER TIMEOUT 10000"), "+OK\r\n");
    until("the replica to be master", || is_master(&replica) == Some(true));
    relay.turn(&replica.socket());
    run.wait_for_more();
    let verdict = run.finish().check_told();
    assert!(verdict.failed.is_empty(), "{verdict}");
}

#[test]
#[ignore = "slow"]
fn the_slot_moves_to_another_master_of_the_cluster() {
    let cluster = Cluster::start(&[]);
    let run = Run::start(NODE, &[&cluster.journal()], Plan::default());
    let mut at = cluster.owner();
    for to in [(at + 1) % 3, (at + 2) % 3, at] {
        cluster.migrate(at, to);
        run.wait_for_more();
        at = to;
    }
    run.finish().check_told();
}

/// Sometimes this takes the journal, sometimes a part of it, and at last all there is.
#[test]
#[ignore = "slow"]
fn it_evicts_what_it_has_no_memory_for() {
    let verdict = trouble(Plan::default(), &["--maxmemory-policy", "allkeys-lru"], |run, redis| {
        let memory = redis.ask("INFO memory");
        let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        redis.ask(&format!("CONFIG SET maxmemory {}", used.parse::<u64>().unwrap() + 300_000));
        for round in 0..seconds(4).as_millis() / 20 {
            let fill = "for i = 1, 50 do redis.call('SET', ARGV[1] .. ':' .. i, string.rep('x', 1000)) end";
            redis.ask(&format!("EVAL \"{fill}\" 0 {round}"));
            run.pause(Duration::from_millis(20));
        }
        redis.ask("CONFIG SET maxmemory 1");
        until("all is evicted", || redis.ask("DBSIZE") == ":0\r\n");
        redis.ask("CONFIG SET maxmemory 0");
    });
    verdict.check_told();
}
