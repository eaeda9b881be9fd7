//! Consume and drop: a topic from its first offset to its last, with nothing done to the records.
//!
//! `cargo bench --bench consume -- TOPIC` prints one line of JSON. It is the engine's own client
//! under the settings of the environment (`LAKE_KAFKA_BROKERS`, …), so what Kafka to bronze takes
//! beyond this is the engine's. `tests/bench/run --only kafka` holds the two against each other.

#![allow(clippy::print_stdout, reason = "a bench prints figures")]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use engine::chunk::{Body, Chunk, Origin};
use engine::kafka::{Batch, Consumer, Outcome, Range};
use engine::settings::{Settings, environment};

/// As in `lake`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Box<dyn Error>> {
    let topic = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let topic = topic.ok_or("name a topic: `lake simulate --to kafka:events` fills one")?;
    let settings = Settings::load(Path::new(""), "", None, &environment())?;
    let mut consumer = Consumer::new(&settings, "bench.consume")?;
    let found = consumer
        .topic(&topic, None, || false)?
        .ok_or_else(|| format!("there is no topic {topic}"))?;
    let bounds = consumer.bounds(&topic, found.n_partitions)?;
    let starts: Vec<i64> = bounds.iter().map(|bounds| bounds.low).collect();
    let ranges = bounds.iter().map(|bounds| Range { start: bounds.low, end: bounds.end });
    let record_limit = usize::MAX;
    let batch = Batch { ranges: ranges.collect(), beyond: false, bytes: u64::MAX, record_limit };

    let mut records = 0;
    let (cpu_before, started) = (cpu_seconds()?, Instant::now());
    consumer.assign(&topic, &starts)?;
    let count_and_drop = |chunk: Chunk| {
        if let Body::Records { records: some, .. } = &chunk.body {
            records += some.len();
        }
        true
    };
    let reached = consumer.read(Origin::topic(&topic, 0), &batch, || false, count_and_drop)?;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds()? - cpu_before);
    if reached.outcome != Outcome::Ended {
        return Err(format!("not read to its end: {reached:?}").into());
    }
    let line = serde_json::json!({
        "records": records,
        "bytes": reached.bytes,
        "seconds": seconds,
        "cpu_seconds": cpu,
    });
    println!("{line}");
    Ok(())
}

/// Processor time of this process so far, in its own code and in the kernel's. Linux counts it in
/// hundredths of a second.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The name of the program may hold anything, also spaces: the fields are counted behind it.
    let (_, fields) = stat.rsplit_once(") ").ok_or("/proc/self/stat is not as it was")?;
    let times = fields.split(' ').skip(11).take(2);
    let ticks = times.map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(f64::from(ticks) / 100.0)
}
