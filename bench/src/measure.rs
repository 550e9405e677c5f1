//! One measurement: start a subject, open the streams, publish, wait until every stream has every event.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::time::ClockId;

use crate::{
    cases::Case,
    clients::{Clients, MAX_OPENING},
    figures::{Metric, Sample, median},
    machine::{Cores, check_open_files},
    subject::{Done, Kind, Running, Subject},
};

/// Measures `case` once, with a fresh process of the subject.
pub(crate) fn measure(subject: &Subject, case: &Case, cores: Cores) -> Result<Sample> {
    check_open_files(case.streams)?;
    let mut running = cores.with_server_core(|| subject.start())?;
    let mut sample = Sample::default();
    if case.kind() == Kind::Publisher {
        return publish(&mut running, case).context("while it published");
    }
    let mut clients = open(&running, case, &mut sample)?;

    let mut commands = case.commands().into_iter();
    if let Some(warm_up) = commands.next() {
        obey(&mut running, &mut clients, case, &warm_up)?;
        settle(&running)?;
        load(&mut running, &mut clients, case, commands, &mut sample)?;
    }
    drop(running); // first, so that the waiting of closed connections falls on the server's port, which is not used again
    Ok(sample)
}

/// Has a publisher send, and takes its CPU and its time. This thread sleeps meanwhile, so that the proxy has its core.
fn publish(running: &mut Running, case: &Case) -> Result<Sample> {
    let mut commands = case.commands().into_iter();
    let warm_up = commands.next().context("a publisher has something to publish")?;
    running.tell(&warm_up)?;
    running.wait_for_answer(LOAD_TIMEOUT)?;
    settle(running)?;
    let (started, cpu) = (Instant::now(), running.processes.cpu_times()?);
    let mut items = 0;
    for command in commands {
        running.tell(&command)?;
        items += running.wait_for_answer(LOAD_TIMEOUT)?.events;
    }
    let elapsed = started.elapsed();
    let mut sample = Sample::default();
    sample.set(Metric::ItemCpu, micros(running.processes.cpu_times()?.since(&cpu)?) / items as f64);
    sample.set(Metric::ItemsPerSecond, items as f64 / elapsed.as_secs_f64());
    Ok(sample)
}

/// Opens the streams, and takes what opening costs and what they hold while nothing happens.
fn open(running: &Running, case: &Case, sample: &mut Sample) -> Result<Clients> {
    let processes = &running.processes;
    settle(running)?;
    let memory = processes.private_bytes()?;
    let cpu = processes.cpu_times()?;
    let opening = running.opening.unwrap_or(MAX_OPENING);
    let clients =
        Clients::open(running.address, &running.path, case.channels, case.streams, opening, OPEN_TIMEOUT)?;
    if case.streams > 0 {
        settle(running)?;
        let streams = case.streams as f64;
        sample.set(Metric::OpenCpu, micros(processes.cpu_times()?.since(&cpu)?) / streams);
        let memory = processes.private_bytes()? as f64 - memory as f64;
        sample.set(Metric::Memory, memory / 1024.0 / streams);
    }
    Ok(clients)
}

/// Runs the commands, and takes CPU and latency over all of them, and the median of what the subject says of each.
fn load(
    running: &mut Running,
    clients: &mut Clients,
    case: &Case,
    commands: impl Iterator<Item = String>,
    sample: &mut Sample,
) -> Result<()> {
    clients.take_latencies_us();
    let received = clients.received();
    let (started, generator) = (Instant::now(), this_thread_cpu()?);
    let cpu = running.processes.cpu_times()?;
    let mut answers = Vec::new();
    for command in commands {
        answers.push(obey(running, clients, case, &command)?);
    }
    let cpu = running.processes.cpu_times()?.since(&cpu)?;
    let share = |cpu: Duration| 100.0 * cpu.as_secs_f64() / started.elapsed().as_secs_f64();
    let deliveries = (clients.received() - received) as f64;

    if deliveries > 0.0 {
        sample.set(Metric::DeliveryCpu, micros(cpu) / deliveries);
        sample.set(Metric::DeliveriesPerCpuSecond, deliveries / cpu.as_secs_f64());
        sample.set(Metric::CpuShare, share(cpu));
        sample.set(Metric::GeneratorShare, share(this_thread_cpu()?.saturating_sub(generator)));
        let mut latencies = clients.take_latencies_us();
        latencies.sort_unstable();
        let at_most =
            |share: f64| f64::from(latencies[((latencies.len() - 1) as f64 * share) as usize]) / 1000.0;
        sample.set(Metric::LatencyP50, at_most(0.50));
        sample.set(Metric::LatencyP99, at_most(0.99));
    }
    for name in answers.iter().flat_map(|done| done.figures.keys()) {
        let values = answers.iter().filter_map(|done| done.figures.get(name).copied());
        sample.set(Metric::parse(name), median(values.collect()));
    }
    Ok(())
}

/// Sends a command and returns when its events have arrived at all their streams.
fn obey(running: &mut Running, clients: &mut Clients, case: &Case, command: &str) -> Result<Done> {
    let before = clients.received();
    let mut received = 0;
    let mut answer = None;
    let started = Instant::now();
    let mut progress = started;
    running.tell(command)?;
    loop {
        clients.receive()?;
        let now = Instant::now();
        if clients.received() - before > received {
            received = clients.received() - before;
            progress = now;
        }
        let Some(Done { events, .. }) = &answer else {
            answer = running.answer()?;
            ensure!(now < started + LOAD_TIMEOUT, "no DONE for {command:?} within {LOAD_TIMEOUT:?}");
            continue;
        };
        let expected = events * case.fan_out();
        ensure!(received <= expected, "{received} deliveries instead of {expected} for {command:?}");
        ensure!(now < progress + STALL_TIMEOUT, "{}", missing(clients, expected - received, expected));
        if received == expected {
            return answer.context("the answer is there");
        }
    }
}

const OPEN_TIMEOUT: Duration = Duration::from_secs(120);
/// Far over the longest load (5 s), for subjects that cannot keep up.
const LOAD_TIMEOUT: Duration = Duration::from_secs(120);
/// So long without a delivery, and what is missing is lost.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);

fn missing(clients: &Clients, missing: u64, expected: u64) -> String {
    let shortest = clients.shortest().map_or_else(String::new, |(client, events)| {
        format!(
            "; of {} clients, client {client} has the fewest: {events} since it was opened",
            clients.len()
        )
    });
    format!("{missing} of {expected} deliveries are missing, and none came for {STALL_TIMEOUT:?}{shortest}")
}

/// Waits until the server rests: what it does after opening streams belongs to opening them.
fn settle(running: &Running) -> Result<()> {
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    while Instant::now() < deadline {
        let before = running.processes.cpu_times()?;
        thread::sleep(Duration::from_millis(50));
        let used = running.processes.cpu_times()?.since(&before).context("while the server came to rest")?;
        if used < Duration::from_millis(1) {
            break;
        }
    }
    Ok(())
}

fn this_thread_cpu() -> Result<Duration> {
    Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now().context("cannot read the CPU time of this thread")?.into())
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
