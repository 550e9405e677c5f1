//! What everybody has seen, held against the promises.

use std::collections::{BTreeMap, HashMap};

use crate::{
    client::{Diary, Seen},
    node::{Heard, Published},
    way::{Place, Way, place},
};

/// How a run was.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What must not be, in words.
    pub violations: Vec<String>,
    /// Events that the journal has taken.
    pub acked: usize,
    /// Events whose publisher was told that it has not.
    pub failed: BTreeMap<String, usize>,
    /// Events that clients have seen, over all clients.
    pub seen: usize,
    /// Times that clients were told of a gap.
    pub resets: usize,
    /// Times that clients have come to a server.
    pub moves: usize,
    /// Epochs of the places that were seen.
    pub epochs: usize,
}

/// All that was published, and where it is.
struct World<'a> {
    published: HashMap<&'a str, &'a Published>,
    events: BTreeMap<Place, &'a str>,
}

impl Verdict {
    /// Holds what processes have printed and clients have kept against the promises; `violations` are known already.
    pub fn new(nodes: &[Heard], diaries: &[Diary], violations: Vec<String>) -> Self {
        let mut verdict = Self { violations, ..Self::default() };
        let mut world = World::new(nodes, &mut verdict);
        world.add_seen(diaries, &mut verdict);
        for (index, diary) in diaries.iter().enumerate() {
            let name = format!("client {index}");
            let way = Way::new(diary, &name, &mut verdict.violations);
            world.find_misses(diary, &way, &name, &mut verdict);
            verdict.moves += diary.moves;
            verdict.resets += way.resets();
            verdict.seen += diary.seen.iter().filter(|(_, seen)| matches!(seen, Seen::Event(..))).count();
        }
        let mut epochs: Vec<u32> = world.events.keys().map(|(epoch, _)| *epoch).collect();
        epochs.dedup();
        verdict.epochs = epochs.len();
        println!("{verdict}");
        verdict
    }

    /// Panics when a promise was broken.
    #[track_caller]
    pub fn check(self) -> Self {
        assert!(self.violations.is_empty(), "{self}\n{}", self.violations.join("\n"));
        self
    }

    /// Also when anybody was told of a gap: nothing was lost, so nobody is to load everything anew.
    #[track_caller]
    pub fn check_no_reset(self) -> Self {
        let verdict = self.check();
        assert_eq!(verdict.resets, 0, "{verdict}");
        assert!(verdict.failed.is_empty(), "{verdict}");
        verdict
    }

    /// Also when nobody was told of a gap.
    #[track_caller]
    pub fn check_told(self) -> Self {
        let verdict = self.check();
        assert!(verdict.resets > 0, "{verdict}");
        verdict
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { violations, acked, failed, seen, resets, moves, epochs } = self;
        let violations = violations.len();
        write!(
            f,
            "{violations} violations; {acked} acknowledged, {failed:?} failed, {epochs} epochs; {seen} seen, {moves} moves, {resets} resets"
        )
    }
}

impl<'a> World<'a> {
    fn new(nodes: &'a [Heard], verdict: &mut Verdict) -> Self {
        let mut world = Self { published: HashMap::new(), events: BTreeMap::new() };
        for node in nodes {
            for event in &node.published {
                world.published.insert(&event.data, event);
                match &event.outcome {
                    Some(Ok(at)) => {
                        verdict.acked += 1;
                        world.add(place(*at), &event.data, verdict);
                    }
                    Some(Err(code)) => *verdict.failed.entry(code.clone()).or_default() += 1,
                    None if !node.is_killed => {
                        verdict.violations.push(format!("{} has no outcome", event.data));
                    }

                    None => {}
                }
            }
        }
        world
    }

    fn add_seen(&mut self, diaries: &'a [Diary], verdict: &mut Verdict) {
        for (at, data) in diaries.iter().flat_map(|diary| &diary.seen).filter_map(|(_, seen)| match seen {
            Seen::Event(at, data) => Some((*at, data)),
            _ => None,
        }) {
            self.add(place(at), data, verdict);
        }
        // An event has one place in an epoch. In another it may have one again, when nobody could know of the first.
        let mut places: HashMap<(u32, &str), u64> = HashMap::new();
        for ((epoch, seq), data) in &self.events {
            if let Some(other) = places.insert((*epoch, data), *seq) {
                verdict.violations.push(format!("{data} has two places, {other} and {seq} of {epoch:08x}"));
            }
            if !self.published.contains_key(data) {
                verdict.violations.push(format!("{data} was seen, and never published"));
            }
        }
    }

    fn add(&mut self, place: Place, data: &'a str, verdict: &mut Verdict) {
        let before = *self.events.entry(place).or_insert(data);
        if before != data {
            verdict.violations.push(format!("{place:x?} is the place of {before} and of {data}"));
        }
    }

    /// Finds what a client has not seen although it reads the channel, and was not told of.
    fn find_misses(&self, diary: &Diary, way: &Way<'_>, name: &str, verdict: &mut Verdict) {
        let Some((opened_us, opened)) = way.opened() else {
            verdict.violations.push(format!("{name} never had a stream"));
            return;
        };
        let is_unseen = |event: &Published| diary.channels.contains(&event.channel()) && !way.has_seen(event);
        for (place, event) in
            self.events.iter().filter_map(|(place, data)| Some((*place, *self.published.get(data)?)))
        {
            let is_new = if place.0 == opened.0 { place.1 > opened.1 } else { event.issued_us > opened_us };
            if is_new && is_unseen(event) && !way.is_told_of_place(place, event) {
                verdict.violations.push(format!("{name} has missed {} at {place:x?} silently", event.data));
            }
        }
        for event in self.published.values() {
            // Who has closed cannot tell anybody.
            let has_failed = matches!(&event.outcome, Some(Err(code)) if code != "closed");
            let is_new = event.issued_us > opened_us;
            if has_failed && is_new && is_unseen(event) && !way.is_told_after(event) {
                verdict.violations.push(format!("{name} was not told of {}, which has failed", event.data));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use evstream::Position;

    use super::*;

    fn at(text: &str) -> Position {
        let (epoch, seq) = text.split_once('-').unwrap();
        format!("{epoch:0>8}-{seq:0>12}").parse().unwrap()
    }

    fn acked(issued_us: u64, data: &str, place: &str) -> Published {
        Published { issued_us, data: data.to_owned(), outcome: Some(Ok(at(place))) }
    }

    fn event(at_us: u64, place: &str, data: &str) -> (u64, Seen) {
        (at_us, Seen::Event(at(place), data.to_owned()))
    }

    fn reset(at_us: u64, place: &str, channels: &[&str]) -> (u64, Seen) {
        (at_us, Seen::Reset(at(place), channels.iter().map(|&name| name.to_owned()).collect()))
    }

    fn open(at_us: u64, place: &str) -> (u64, Seen) {
        (at_us, Seen::Open(Some(at(place))))
    }

    /// What a client of the channels `a` and `b` is said to have suffered.
    fn verdict(published: Vec<Published>, seen: Vec<(u64, Seen)>) -> Vec<String> {
        let mut node = Heard::default();
        node.published = published;
        let diary = Diary { channels: vec!["a", "b"], seen, moves: 1 };
        Verdict::new(&[node], &[diary], Vec::new()).violations
    }

    #[track_caller]
    fn assert_says(violations: &[String], part: &str) {
        assert!(violations.len() == 1 && violations[0].contains(part), "{violations:?}");
    }

    #[test]
    fn what_is_promised_is_good() {
        let published = vec![
            acked(1, "a 1", "1-1"),
            acked(2, "c 2", "1-2"),
            acked(3, "b 3", "1-3"),
            acked(4, "a 4", "2-9"),
        ];
        let seen = [open(0, "1-0"), event(2, "1-1", "a 1"), open(3, "1-1"), event(4, "1-3", "b 3")];
        let told = [reset(5, "2-8", &["a", "b"]), event(6, "2-9", "a 4")];
        assert_eq!(verdict(published, [&seen[..], &told[..]].concat()), [""; 0]);
    }

    #[test]
    fn a_place_of_two_events_and_an_event_of_two_places_are_found() {
        let seen = vec![open(0, "1-0"), event(2, "1-1", "a 2")];
        let found = verdict(vec![acked(1, "c 1", "1-1"), acked(1, "a 2", "2-1")], seen);
        assert_says(&found, "is the place of c 1 and of a 2");
        let seen = vec![open(0, "1-0"), event(2, "1-1", "a 1"), reset(3, "1-1", &[]), event(4, "1-2", "a 1")];
        assert_says(&verdict(vec![acked(1, "a 1", "1-1")], seen), "has two places");
    }

    #[test]
    fn what_is_passed_over_is_found() {
        let published = || vec![acked(1, "a 1", "1-1"), acked(2, "a 2", "1-2"), acked(3, "b 3", "1-3")];
        let found =
            verdict(published(), vec![open(0, "1-0"), event(4, "1-1", "a 1"), event(5, "1-3", "b 3")]);
        assert_says(&found, "missed a 2");
        let by_position =
            vec![open(0, "1-0"), event(4, "1-1", "a 1"), (5, Seen::At(at("1-2"))), event(5, "1-3", "b 3")];
        assert_says(&verdict(published(), by_position), "missed a 2");
        let told_of_another = vec![open(0, "1-0"), event(4, "1-1", "a 1"), reset(5, "1-3", &["b"])];
        assert_says(&verdict(published(), told_of_another), "missed a 2");
        let told_afterwards = vec![
            open(0, "1-0"),
            event(4, "1-1", "a 1"),
            event(5, "1-3", "b 3"),
            reset(6, "2-4", &["a", "b"]),
        ];
        assert_says(&verdict(published(), told_afterwards), "missed a 2");
    }

    /// The case of two masters: a client has left the one for the other, and the one goes on.
    #[test]
    fn a_reset_before_the_loss_tells_nothing() {
        let published = || vec![acked(9, "a 1", "1-5")];
        let early = vec![open(0, "1-0"), reset(5, "2-4", &["a", "b"]), (12, Seen::At(at("2-9")))];
        assert_says(&verdict(published(), early), "missed a 1");
        let late = vec![open(0, "1-0"), reset(5, "2-4", &["a", "b"]), reset(12, "2-9", &["a"])];
        assert_eq!(verdict(published(), late), [""; 0]);
    }

    #[test]
    fn what_comes_twice_or_again_is_found() {
        let published = || vec![acked(1, "a 1", "1-1")];
        let twice = vec![open(0, "1-0"), event(2, "1-1", "a 1"), event(3, "1-1", "a 1")];
        let found = verdict(published(), twice);
        assert!(found.len() == 2 && found[1].contains("twice without a reset"), "{found:?}");
        let elsewhere = vec![open(0, "1-0"), event(2, "1-1", "a 1"), event(3, "2-2", "a 1")];
        let found = verdict(published(), elsewhere);
        assert!(found[0].contains("another epoch without a reset"), "{found:?}");
    }

    #[test]
    fn what_has_failed_is_told_and_what_has_no_outcome_is_found() {
        let failed = |outcome| vec![Published { issued_us: 5, data: "a 1".to_owned(), outcome }];
        let unavailable = || failed(Some(Err("journal-unavailable".to_owned())));
        assert_says(&verdict(unavailable(), vec![open(0, "1-0")]), "was not told of a 1");
        assert_eq!(verdict(unavailable(), vec![open(0, "1-0"), reset(6, "1-7", &["a"])]), [""; 0]);
        assert_eq!(verdict(unavailable(), vec![open(6, "1-0")]), [""; 0], "it came later");
        assert_says(&verdict(failed(None), vec![open(0, "1-0")]), "has no outcome");
    }
}
