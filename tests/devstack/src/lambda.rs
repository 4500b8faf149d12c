//! Lambda: spawns the real binaries, hands them invocations by the Runtime API and keeps a pool for each.
//!
//! As in Lambda, one process has one invocation at a time, and more processes are started while all are busy. Beyond
//! the concurrency limit invocations wait, where Lambda would throttle.

mod log;
mod process;
mod runtime_api;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::template::{ACCOUNT, REGION};
use process::{EndReason, Process};

pub use log::{LogLine, Logs, Stream};

/// Lambda's limit for events and answers, in bytes.
pub const PAYLOAD_LIMIT: usize = 6_291_556;

/// A function to be run.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The name that it is invoked by: the cargo binary.
    pub binary: String,
    /// The executable.
    pub program: PathBuf,
    /// The name in AWS.
    pub name: String,
    /// How long an invocation may last.
    pub timeout: Duration,
    /// Memory in MB, which is only reported to the process.
    pub memory: u64,
    /// Everything the process gets, but for what Lambda itself sets.
    pub environment: BTreeMap<String, String>,
    /// How many processes there are at most.
    pub concurrency: usize,
}

/// Why an invocation has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvokeError {
    /// No function has this name.
    NoSuchFunction(String),
    /// The function reported an error.
    Function {
        /// Its stable name.
        error_type: String,
        /// Its text.
        message: String,
    },
    /// The process ended while it had the invocation.
    Exited {
        /// The process.
        pid: u32,
        /// How it ended.
        how: String,
    },
    /// The function did not answer in time; its process was killed, as Lambda does.
    TimedOut(Duration),
    /// The process ended, or reported an error, before it asked for work.
    Init(String),
    /// The event is larger than Lambda takes.
    EventTooLarge(usize),
}

impl fmt::Display for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchFunction(name) => write!(f, "there is no function {name}"),
            Self::Function { error_type, message } => write!(f, "the function failed: {error_type}: {message}"),
            Self::Exited { pid, how } => write!(f, "process {pid} ended during the invocation: {how}"),
            Self::TimedOut(after) => write!(f, "the function timed out after {after:?}"),
            Self::Init(reason) => write!(f, "the function does not start: {reason}"),
            Self::EventTooLarge(size) => write!(f, "an event of {size} bytes is larger than Lambda takes"),
        }
    }
}

impl std::error::Error for InvokeError {}

/// A process of a function, as it is at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its process id.
    pub pid: u32,
    /// The invocation it has, if any.
    pub invocation: Option<String>,
    /// How many invocations it was given so far.
    pub invocations: usize,
}

/// An invocation under way. Dropping it does not end it.
#[derive(Debug)]
pub struct Invocation(JoinHandle<Result<Value, InvokeError>>);

impl Invocation {
    /// Waits for the answer.
    ///
    /// # Errors
    /// There is no answer, see [`InvokeError`].
    pub async fn answer(self) -> Result<Value, InvokeError> {
        self.0.await.unwrap_or_else(|error| Err(InvokeError::Init(format!("the local stack failed: {error}"))))
    }
}

/// All functions.
#[derive(Debug)]
pub struct Lambda {
    pools: BTreeMap<String, Arc<Pool>>,
    logs: Logs,
}

#[derive(Debug)]
struct Pool {
    spec: Spec,
    permits: Arc<Semaphore>,
    processes: Mutex<Vec<Arc<Process>>>,
    spawned: AtomicUsize,
    logs: Logs,
}

impl Lambda {
    /// Stands ready to run these functions. A process is started when there is work for it.
    #[must_use]
    pub fn new(specs: Vec<Spec>) -> Self {
        let logs = Logs::default();
        let pool = |spec: Spec| {
            let permits = Arc::new(Semaphore::new(spec.concurrency));
            let name = spec.binary.clone();
            let (processes, spawned) = (Mutex::default(), AtomicUsize::new(0));
            (name, Arc::new(Pool { spec, permits, processes, spawned, logs: logs.clone() }))
        };
        Self { pools: specs.into_iter().map(pool).collect(), logs: logs.clone() }
    }

    /// Invokes a function and waits for its answer. Who stops waiting does not stop the function.
    ///
    /// # Errors
    /// There is no answer, see [`InvokeError`].
    pub async fn invoke(&self, function: &str, payload: Value) -> Result<Value, InvokeError> {
        self.begin(function, payload).await?.answer().await
    }

    /// Begins an invocation; this takes as long as all processes are busy.
    ///
    /// # Errors
    /// There is no such function.
    pub async fn begin(&self, function: &str, payload: Value) -> Result<Invocation, InvokeError> {
        let pool = self.pools.get(function).ok_or_else(|| InvokeError::NoSuchFunction(function.to_owned()))?.clone();
        let permit = pool.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| InvokeError::Init("the stack is being stopped".to_owned()))?;
        let payload = Bytes::from(payload.to_string());
        Ok(Invocation(tokio::spawn(async move {
            let answer = pool.invoke(payload).await;
            drop(permit);
            answer
        })))
    }

    /// The live processes of a function.
    #[must_use]
    pub fn processes(&self, function: &str) -> Vec<ProcessInfo> {
        self.live(function).iter().map(|process| process.info()).collect()
    }

    /// The most memory that any live process of a function has had resident since its start, in bytes.
    ///
    /// # Panics
    /// The process is gone, or the system does not report it.
    #[must_use]
    pub fn peak_memory(&self, function: &str) -> u64 {
        let peaks = self.live(function).into_iter().map(|process| process::peak_memory(process.pid()));
        peaks.max().flatten().expect("a live process whose memory the system tells")
    }

    /// The CPU time that all live processes of a function have used since their start.
    #[must_use]
    pub fn cpu_time(&self, function: &str) -> Duration {
        self.live(function).into_iter().filter_map(|process| process::cpu_time(process.pid())).sum()
    }

    /// How many processes of a function were started so far.
    #[must_use]
    pub fn spawned(&self, function: &str) -> usize {
        self.pools.get(function).map_or(0, |pool| pool.spawned.load(Ordering::Relaxed))
    }

    /// Kills a process (SIGKILL) and waits for its end; whether there was one to kill.
    pub async fn kill(&self, pid: u32) -> bool {
        let all = self.pools.keys().flat_map(|function| self.live(function));
        let Some(process) = all.into_iter().find(|process| process.pid() == pid) else { return false };
        process.kill(EndReason::Killed).await;
        true
    }

    /// Kills every process of a function that has an invocation at this moment; how many.
    pub async fn kill_busy(&self, function: &str) -> usize {
        let mut killed = 0;
        for process in self.live(function) {
            if process.info().invocation.is_some() {
                process.kill(EndReason::Killed).await;
                killed += 1;
            }
        }
        killed
    }

    /// Kills every process of a function: the next invocations are cold starts.
    pub async fn kill_all(&self, function: &str) {
        for process in self.live(function) {
            process.kill(EndReason::Killed).await;
        }
    }

    /// Freezes a process (SIGSTOP), as Lambda does with an idle sandbox.
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub async fn freeze(&self, pid: u32) -> Result<(), String> {
        process::signal(pid, "STOP").await
    }

    /// Lets a frozen process go on (SIGCONT).
    ///
    /// # Errors
    /// The signal cannot be sent.
    pub async fn thaw(&self, pid: u32) -> Result<(), String> {
        process::signal(pid, "CONT").await
    }

    /// The processes' output.
    #[must_use]
    pub const fn logs(&self) -> &Logs {
        &self.logs
    }

    /// Ends all processes and waits until everything they printed has been read.
    pub async fn stop(&self) -> Vec<LogLine> {
        for function in self.pools.keys() {
            self.kill_all(function).await;
        }
        self.logs.lines()
    }

    fn live(&self, function: &str) -> Vec<Arc<Process>> {
        let all = self.pools.get(function).map(|pool| pool.processes().clone()).unwrap_or_default();
        all.into_iter().filter(|process| process.is_live()).collect()
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        for pool in self.pools.values() {
            for process in pool.processes().iter() {
                process.abandon();
            }
        }
    }
}

impl Pool {
    fn processes(&self) -> MutexGuard<'_, Vec<Arc<Process>>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn invoke(self: Arc<Self>, payload: Bytes) -> Result<Value, InvokeError> {
        if payload.len() > PAYLOAD_LIMIT {
            return Err(InvokeError::EventTooLarge(payload.len()));
        }
        let id = uuid::Uuid::now_v7().to_string();
        loop {
            let process = self.process().await?;
            let outcome = process.run(&id, payload.clone()).await;
            process.release();
            // A process that died idle gives the invocation back untouched: the next one takes it.
            if let Some(outcome) = outcome {
                return outcome;
            }
        }
    }

    /// An idle process, or a new one; reserved for the caller.
    async fn process(&self) -> Result<Arc<Process>, InvokeError> {
        {
            let mut processes = self.processes();
            processes.retain(|process| process.is_live());
            if let Some(idle) = processes.iter().find(|process| process.reserve()) {
                return Ok(idle.clone());
            }
        }
        let process = Process::spawn(&self.spec, self.logs.clone(), runtime_api::router).await;
        let process = process.map_err(InvokeError::Init)?;
        self.spawned.fetch_add(1, Ordering::Relaxed);
        self.processes().push(process.clone());
        Ok(process)
    }
}

/// The ARN that a function is invoked by.
fn arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

#[cfg(test)]
mod tests;
