//! One process of a function, with a Runtime API of its own.

use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, oneshot, watch};

use super::log::{LogLine, Logs, Stream};
use super::{InvokeError, ProcessInfo, Spec};
use crate::loopback::{self, Server, Task};
use crate::template::REGION;

/// Lambda gives an initialisation 10 s; debug builds on a busy machine may need more.
const INIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a process was made to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndReason {
    /// A test wanted it.
    Killed,
    /// It did not answer in time.
    TimedOut,
    /// It never asked for work.
    InitTimedOut,
}

/// `None` where the process ended before it had taken the invocation.
type InvocationResult = Option<Result<Value, InvokeError>>;

/// A process.
#[derive(Debug)]
pub(super) struct Process {
    pid: u32,
    timeout: Duration,
    function_arn: String,
    desk: Mutex<Desk>,
    /// Work was put on the desk.
    work: Notify,
    /// Somebody wants the process to end.
    kill: Notify,
    ended: watch::Sender<bool>,
    reserved: AtomicBool,
    /// The Runtime API and the watcher of the child; dropping them ends both.
    tasks: Mutex<Option<(Server, Task)>>,
    logs: Logs,
}

#[derive(Debug, Default)]
struct Desk {
    waiting: Option<Job>,
    running: Option<Job>,
    /// True if the process ever asked for work.
    ready: bool,
    init_error: Option<String>,
    reason: Option<EndReason>,
    /// How the process ended, once it has.
    how: Option<String>,
    invocations: usize,
}

#[derive(Debug)]
struct Job {
    id: String,
    payload: Bytes,
    answer: oneshot::Sender<InvocationResult>,
}

/// An invocation on its way to the process.
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) payload: Bytes,
    pub(super) time_left: Duration,
    pub(super) function_arn: String,
}

impl Process {
    /// Starts a process, reserved for the caller, which polls `runtime_api`.
    pub(super) async fn spawn(
        spec: &Spec,
        logs: Logs,
        runtime_api: impl FnOnce(Weak<Self>) -> Router,
    ) -> Result<Arc<Self>, String> {
        let listener = loopback::listen().await.map_err(|error| format!("no port for the Runtime API: {error}"))?;
        let api = listener.local_addr().map_err(|error| error.to_string())?.to_string();
        let mut child = command(spec, &api).spawn().map_err(|error| format!("{}: {error}", spec.program.display()))?;
        let pid = child.id().ok_or("the process ended at once")?;
        let process = Arc::new(Self {
            pid,
            timeout: spec.timeout,
            function_arn: super::arn(&spec.name),
            desk: Mutex::default(),
            work: Notify::new(),
            kill: Notify::new(),
            ended: watch::Sender::new(false),
            reserved: AtomicBool::new(true),
            tasks: Mutex::default(),
            logs: logs.clone(),
        });
        let line = |stream| move |text| LogLine { function: spec.binary.clone(), pid, stream, text };
        let readers = (
            child.stdout.take().map(|pipe| read(pipe, logs.clone(), line(Stream::Out))),
            child.stderr.take().map(|pipe| read(pipe, logs.clone(), line(Stream::Err))),
        );
        let server = Server::on(listener, runtime_api(Arc::downgrade(&process)));
        let watcher = tokio::spawn(watch_over(child, readers, process.clone()));
        *process.tasks.lock().unwrap_or_else(PoisonError::into_inner) = Some((server, Task(watcher)));
        process.clone().kill_after(INIT_TIMEOUT, EndReason::InitTimedOut, |desk| !desk.ready);
        Ok(process)
    }

    pub(super) const fn pid(&self) -> u32 {
        self.pid
    }

    pub(super) fn info(&self) -> ProcessInfo {
        let desk = self.desk();
        let invocation = desk.running.as_ref().map(|job| job.id.clone());
        ProcessInfo { pid: self.pid, invocation, invocations: desk.invocations }
    }

    pub(super) fn is_live(&self) -> bool {
        !*self.ended.borrow()
    }

    /// Takes the process for one invocation, if nobody else has it.
    pub(super) fn reserve(&self) -> bool {
        !self.reserved.swap(true, Ordering::AcqRel)
    }

    pub(super) fn release(&self) {
        self.reserved.store(false, Ordering::Release);
    }

    /// Has the process handle one invocation.
    pub(super) async fn run(&self, id: &str, payload: Bytes) -> InvocationResult {
        let (answer, outcome) = oneshot::channel();
        self.desk().waiting = Some(Job { id: id.to_owned(), payload, answer });
        self.work.notify_one();
        let mut ended = self.ended.subscribe();
        tokio::select! {
            // The answer wins over the end that may have followed it.
            biased;
            outcome = outcome => outcome.unwrap_or(None),
            _ = ended.wait_for(|ended| *ended) => {
                let mut desk = self.desk();
                desk.waiting = None;
                self.untouched(&desk)
            }
        }
    }

    /// Ends the process and waits until it is gone and all it printed is read.
    pub(super) async fn kill(&self, reason: EndReason) {
        self.desk().reason.get_or_insert(reason);
        self.kill.notify_one();
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Ends the process without waiting: the child dies with the task that holds it.
    pub(super) fn abandon(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The process asks for work; this may take until there is some.
    pub(super) async fn next(self: Arc<Self>) -> Delivery {
        loop {
            if let Some(delivery) = self.take_work() {
                let id = delivery.id.clone();
                let is_running = move |desk: &Desk| desk.running.as_ref().is_some_and(|job| job.id == id);
                self.kill_after(delivery.time_left, EndReason::TimedOut, is_running);
                return delivery;
            }
            self.work.notified().await;
        }
    }

    fn take_work(&self) -> Option<Delivery> {
        let mut desk = self.desk();
        desk.ready = true;
        let job = desk.waiting.take()?;
        let (id, payload) = (job.id.clone(), job.payload.clone());
        desk.running = Some(job);
        desk.invocations += 1;
        Some(Delivery { id, payload, time_left: self.timeout, function_arn: self.function_arn.clone() })
    }

    /// The process answers; whether this is the invocation that it has.
    pub(super) fn answer(&self, id: &str, outcome: Result<Value, InvokeError>) -> bool {
        let mut desk = self.desk();
        let Some(job) = desk.running.take_if(|job| job.id == id) else { return false };
        drop(desk);
        let _ = job.answer.send(Some(outcome));
        true
    }

    pub(super) fn init_failed(&self, reason: String) {
        self.desk().init_error = Some(reason);
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kill_after(self: Arc<Self>, time: Duration, reason: EndReason, still: impl Fn(&Desk) -> bool + Send + 'static) {
        let process = Arc::downgrade(&self);
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            if let Some(process) = process.upgrade()
                && process.is_live()
                && still(&process.desk())
            {
                process.kill(reason).await;
            }
        });
    }

    /// Settles what the process leaves behind.
    fn ended(&self, how: &str) {
        let mut desk = self.desk();
        desk.how = Some(how.to_owned());
        if let Some(job) = desk.running.take() {
            let error = match desk.reason {
                Some(EndReason::TimedOut) => InvokeError::TimedOut(self.timeout),
                Some(EndReason::Killed | EndReason::InitTimedOut) | None => {
                    InvokeError::Exited { pid: self.pid, how: how.to_owned() }
                }
            };
            let _ = job.answer.send(Some(Err(error)));
        }
        if let Some(job) = desk.waiting.take() {
            let _ = job.answer.send(self.untouched(&desk));
        }
        drop(desk);
        self.ended.send_replace(true);
    }

    /// The outcome of an invocation that the process never took: another process may, unless this one cannot start.
    fn untouched(&self, desk: &Desk) -> InvocationResult {
        if desk.ready {
            return None;
        }
        let how = desk.how.clone().unwrap_or_default();
        let reason = desk.init_error.clone().unwrap_or_else(|| format!("{how}: {}", self.logs.tail(self.pid)));
        Some(Err(InvokeError::Init(reason)))
    }
}

fn command(spec: &Spec, api: &str) -> Command {
    let memory = spec.memory.to_string();
    let group = format!("/aws/lambda/{}", spec.name);
    let mut command = Command::new(&spec.program);
    command.env_clear().envs(&spec.environment).envs([
        ("AWS_LAMBDA_RUNTIME_API", api),
        ("AWS_LAMBDA_FUNCTION_NAME", &spec.name),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", &memory),
        ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", &group),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "local"),
        ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("LAMBDA_TASK_ROOT", "/var/task"),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
        ("_HANDLER", "bootstrap"),
        ("TZ", ":UTC"),
    ]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

type PipeReader = tokio::task::JoinHandle<()>;

fn read(pipe: impl AsyncRead + Send + Unpin + 'static, logs: Logs, line: impl Fn(String) -> LogLine) -> PipeReader {
    let template = line(String::new());
    tokio::spawn(async move {
        let mut pipe = BufReader::new(pipe);
        let mut bytes = Vec::new();
        while let Ok(1..) = pipe.read_until(b'\n', &mut bytes).await {
            let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            logs.push(LogLine { text, ..template.clone() });
            bytes.clear();
        }
    })
}

async fn watch_over(mut child: Child, readers: (Option<PipeReader>, Option<PipeReader>), process: Arc<Process>) {
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            () = process.kill.notified() => { let _ = child.start_kill(); }
        }
    };
    for reader in [readers.0, readers.1].into_iter().flatten() {
        let _ = reader.await;
    }
    process.ended(&status.map_or_else(|error| error.to_string(), |status: ExitStatus| status.to_string()));
}

/// The most memory that a process has had resident, in bytes.
pub(super) fn peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// The CPU time that a process has used, in steps of 10 ms: the kernel's clock ticks, 100 a second for user space.
pub(super) fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain blanks; after it, user and system time are the 12th and 13th fields.
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 10))
}

/// Sends a signal by its name.
pub(super) async fn signal(pid: u32, name: &str) -> Result<(), String> {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().await;
    match sent {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("kill -{name} {pid}: {status}")),
        Err(error) => Err(format!("kill -{name} {pid}: {error}")),
    }
}
