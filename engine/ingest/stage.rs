//! Chunks of records, from whatever source, become files of a table and of quarantine.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::chunk::{Body, Chunk};
use crate::clock::{day_of, thread_cpu_ns};
use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::intake::Intake;
use crate::pseudonym::Pseudonyms;
use crate::quarantine::{self, Decided};
use crate::rowcheck::{RowChecks, Violations};
use crate::table::{Files, Table, Writer};
use crate::world::{Event, World};

/// Chunks that wait for a worker: this bounds what ingest holds in memory.
const CHUNKS_WAITING: usize = 4;

/// What a batch became before its commit.
#[derive(Debug, Default)]
pub(super) struct Staged {
    pub(super) rows: Files,
    pub(super) rejected: Files,
    pub(super) n_rows: u64,
    pub(super) n_rejected: u64,
    pub(super) n_rescued: u64,
    /// Processor time of decoding and checking, in nanoseconds.
    pub(super) decode_ns: u64,
    pub(super) violations: Violations,
}

/// What staging needs to know of a table.
pub(super) struct Staging {
    pub(super) world: World,
    pub(super) contract: Contract,
    pub(super) checks: RowChecks,
    pub(super) pseudonyms: Option<Pseudonyms>,
    pub(super) quarantine: Contract,
}

impl Staging {
    /// Decodes and writes what `read` sends, and hands on what it returns: one reader, as many
    /// workers as cores.
    pub(super) async fn stage<T, F>(
        &self,
        table: &Table,
        quarantine: &Table,
        decided: Decided,
        read: impl FnOnce(mpsc::Sender<Chunk>) -> F,
    ) -> Result<(T, Staged)>
    where
        F: Future<Output = Result<T>>,
    {
        let (sender, receiver) = mpsc::channel::<Chunk>(CHUNKS_WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        let decided = Arc::new(decided);
        let now_us = self.world.clock.now_us();
        let mut workers = JoinSet::new();
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let worker = self.worker(table, quarantine, now_us)?;
            workers.spawn(worker.work(Arc::clone(&receiver), Arc::clone(&decided)));
        }
        drop(receiver);
        let mut result = read(sender).await;
        let mut staged = Staged::default();
        while let Some(worker) = workers.join_next().await {
            match worker
                .map_err(|cause| Error::internal("a worker broke").caused_by(cause))
                .and_then(|done| done)
            {
                Ok(done) => staged.add(done),
                Err(error) => result = result.and(Err(error)),
            }
        }
        match result {
            Ok(read) => Ok((read, staged)),
            Err(error) => {
                staged.discard(table, quarantine).await;
                Err(error)
            }
        }
    }

    fn worker(&self, table: &Table, quarantine: &Table, now_us: i64) -> Result<Worker> {
        let (checks, pseudonyms) = (self.checks.clone(), self.pseudonyms.clone());
        let scratch = self.world.lake.scratch();
        Ok(Worker {
            world: self.world.clone(),
            contract: self.contract.clone(),
            intake: Intake::new(&self.contract, checks, pseudonyms, now_us)?,
            rows: table.writer(&self.contract, &scratch)?,
            rejected: quarantine.writer(&self.quarantine, &scratch)?,
            quarantine: self.quarantine.clone(),
            now_us,
            staged: Staged::default(),
        })
    }
}

impl Staged {
    /// Whether there is nothing to commit.
    pub(super) fn is_empty(&self) -> bool {
        self.n_rows == 0 && self.n_rejected == 0
    }

    /// Deletes the files: they will be in no commit.
    pub(super) async fn discard(self, table: &Table, quarantine: &Table) {
        table.discard(self.rows).await;
        quarantine.discard(self.rejected).await;
    }

    fn add(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.rejected.extend(other.rejected);
        self.n_rows += other.n_rows;
        self.n_rejected += other.n_rejected;
        self.n_rescued += other.n_rescued;
        self.decode_ns += other.decode_ns;
        self.violations.merge(&other.violations);
    }
}

/// Decodes chunks and writes their rows.
struct Worker {
    world: World,
    contract: Contract,
    intake: Intake,
    rows: Writer,
    rejected: Writer,
    quarantine: Contract,
    now_us: i64,
    staged: Staged,
}

impl Worker {
    async fn work(
        mut self,
        chunks: Arc<Mutex<mpsc::Receiver<Chunk>>>,
        decided: Arc<Decided>,
    ) -> Result<Staged> {
        let result = loop {
            let chunk = chunks.lock().await.recv().await;
            let Some(chunk) = chunk else { break Ok(()) };
            if let Err(error) = self.chunk(&chunk, &decided).await {
                break Err(error);
            }
        };
        if let Err(error) = result {
            self.rows.abort().await;
            self.rejected.abort().await;
            return Err(error);
        }
        self.staged.violations = std::mem::take(&mut self.intake.violations);
        self.staged.n_rescued = self.intake.n_rescued;
        self.staged.rows = self.rows.close().await?;
        self.staged.rejected = self.rejected.close().await?;
        Ok(self.staged)
    }

    async fn chunk(&mut self, chunk: &Chunk, decided: &Decided) -> Result<()> {
        if let Body::Fault { message, .. } = &chunk.body {
            let source = &chunk.origin.source;
            self.world
                .remark(format!("{source}: {message}; what could not be read is in quarantine"));
        }
        let began = thread_cpu_ns();
        self.intake.take(chunk, decided)?;
        let took = thread_cpu_ns().zip(began).map(|(ended, began)| ended.saturating_sub(began));
        self.staged.decode_ns += took.unwrap_or(0);
        let partitioned_by_day = self.contract.partition_by == ["_ingest_date"];
        let days = day_of(self.now_us);
        let mut n_rows = 0;
        for rows in std::mem::take(&mut self.intake.rows) {
            n_rows += rows.num_rows() as u64;
            if partitioned_by_day {
                self.rows.write_day(rows, "_ingest_date", days).await?;
            } else {
                self.rows.write(&rows).await?;
            }
        }
        let rejected = std::mem::take(&mut self.intake.rejected);
        if !rejected.is_empty() {
            let rows =
                quarantine::rows(&self.quarantine, &self.contract.name, &rejected, self.now_us)?;
            self.rejected.write(&rows).await?;
        }
        self.staged.n_rows += n_rows;
        self.staged.n_rejected += rejected.len() as u64;
        self.world.tell(&Event::Rows(self.contract.name.clone(), n_rows));
        Ok(())
    }
}
