//! One process of a function with a Runtime API of its own, and what it has used.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use devstack::loopback::Server;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use shared::clock::Clock;
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

/// Longer than anything takes, valgrind included.
const PATIENCE: Duration = Duration::from_secs(300);

/// A program with its arguments and environment.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The executable.
    pub(crate) path: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<String>,
    /// Its whole environment.
    pub(crate) environment: Vec<(String, String)>,
}

/// A running function.
pub(crate) struct Process {
    child: Child,
    pid: Pid,
    events: mpsc::Sender<Bytes>,
    /// Comes each time the function asks for work.
    polls: mpsc::Receiver<()>,
    answers: mpsc::Receiver<(Instant, Duration, Bytes)>,
    spawned: Instant,
    is_ready: bool,
    _api: Server,
}

/// The cost of a process until it asked for work.
pub(crate) struct Initialisation {
    /// By the clock.
    pub(crate) took: Duration,
    /// CPU time.
    pub(crate) cpu: Duration,
}

/// An answered invocation.
pub(crate) struct Answered {
    /// From the event to the answer.
    pub(crate) took: Duration,
    /// The process's CPU time when it answered.
    pub(crate) cpu: Duration,
    /// Its answer.
    pub(crate) body: Bytes,
}

struct Api {
    events: Mutex<mpsc::Receiver<Bytes>>,
    polls: mpsc::Sender<()>,
    answers: mpsc::Sender<(Instant, Duration, Bytes)>,
    pid: OnceLock<Pid>,
}

impl Process {
    /// Starts it on one core.
    pub(crate) async fn spawn(program: &Program, core: usize) -> Result<Self, String> {
        let ((events, taken), (polls, polled), (answers, answered)) =
            (mpsc::channel(1), mpsc::channel(1), mpsc::channel(1));
        let api = Arc::new(Api { events: Mutex::new(taken), polls, answers, pid: OnceLock::new() });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{what}", post(response))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            .layer(DefaultBodyLimit::disable())
            .with_state(api.clone());
        let server = Server::start(router).await.map_err(|error| error.to_string())?;
        let mut command = Command::new(&program.path);
        command
            .args(&program.arguments)
            .env_clear()
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", server.address().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let (child, spawned) = on_core(core, || (command.spawn(), Instant::now()));
        let child = child.map_err(|error| format!("{}: {error}", program.path.display()))?;
        let pid = Pid::from_raw(child.id().and_then(|pid| i32::try_from(pid).ok()).ok_or("it ended at once")?);
        let _ = api.pid.set(pid);
        Ok(Self { child, pid, events, polls: polled, answers: answered, spawned, is_ready: false, _api: server })
    }

    /// The first invocation, counted from the start of the process.
    pub(crate) async fn first(&mut self, event: Bytes) -> Result<Answered, String> {
        // Lambda has the event before the process asks for it.
        self.begin(event).await?;
        self.ready().await?;
        self.answered(self.spawned).await
    }

    /// Waits until it asks for its first work, and leaves that to the first invocation.
    pub(crate) async fn initialised(&mut self) -> Result<Initialisation, String> {
        self.wait().await?;
        Ok(Initialisation { took: self.spawned.elapsed(), cpu: self.cpu() })
    }

    /// Its id.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    /// One more invocation, once the function is ready for it.
    pub(crate) async fn invoke(&mut self, event: Bytes) -> Result<Answered, String> {
        self.ready().await?;
        let began = Instant::now();
        self.begin(event).await?;
        self.answered(began).await
    }

    /// Begins an invocation, which [`Self::outcome`] ends: several processes at once.
    pub(crate) async fn begin(&mut self, event: Bytes) -> Result<(), String> {
        self.is_ready = false;
        self.events.send(event).await.map_err(|error| error.to_string())
    }

    /// The answer to an invocation that was started.
    pub(crate) async fn outcome(&mut self) -> Result<Bytes, String> {
        Ok(self.answered(self.spawned).await?.body)
    }

    /// Waits until the function asks for work: what it did before is done.
    pub(crate) async fn ready(&mut self) -> Result<(), String> {
        if std::mem::take(&mut self.is_ready) {
            return Ok(());
        }
        let polled = tokio::time::timeout(PATIENCE, self.polls.recv()).await;
        polled.ok().flatten().ok_or_else(|| "the function does not ask for work".to_owned())
    }

    /// Waits until the function asks for work, and leaves it to the next invocation.
    pub(crate) async fn wait(&mut self) -> Result<(), String> {
        self.ready().await?;
        self.is_ready = true;
        Ok(())
    }

    async fn answered(&mut self, began: Instant) -> Result<Answered, String> {
        let answered = tokio::time::timeout(PATIENCE, self.answers.recv()).await.ok().flatten();
        let (at, cpu, body) = answered.ok_or("the function does not answer")?;
        Ok(Answered { took: at - began, cpu, body })
    }

    /// CPU time of the whole process so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu(self.pid)
    }

    /// The most memory that was resident, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kilobytes.unwrap_or_default() * 1024
    }

    /// Ends it as Lambda may, and waits until it is gone.
    pub(crate) async fn end(mut self) {
        let _ = kill(self.pid, Signal::SIGTERM);
        if tokio::time::timeout(PATIENCE, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    let _ = api.polls.send(()).await;
    let Some(event) = api.events.lock().await.recv().await else { return StatusCode::GONE.into_response() };
    let deadline = Clock::default().now_millis() + 29_000;
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:bench".to_owned()),
        ("lambda-runtime-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0".to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, event).into_response()
}

async fn response(State(api): State<Arc<Api>>, Path((_, what)): Path<(String, String)>, body: Bytes) -> StatusCode {
    let cpu = api.pid.get().copied().map(cpu).unwrap_or_default();
    if what != "response" {
        eprintln!("bench: the function fails: {}", String::from_utf8_lossy(&body));
    }
    let _ = api.answers.send((Instant::now(), cpu, body)).await;
    StatusCode::ACCEPTED
}

async fn init_error(body: Bytes) -> StatusCode {
    eprintln!("bench: the function does not start: {}", String::from_utf8_lossy(&body));
    StatusCode::ACCEPTED
}

/// CPU time of all threads of a process, those that have ended too.
fn cpu(pid: Pid) -> Duration {
    let time = ClockId::pid_cpu_clock_id(pid).and_then(clock_gettime);
    time.map(Duration::from).unwrap_or_default()
}

/// Runs something on one core; what it starts stays there.
fn on_core<T>(core: usize, run: impl FnOnce() -> T) -> T {
    let before = sched_getaffinity(Pid::from_raw(0));
    pin(core);
    let done = run();
    if let Ok(before) = before {
        let _ = sched_setaffinity(Pid::from_raw(0), &before);
    }
    done
}

/// Keeps this thread, and what it starts, on one core, where this machine has it and lets us: figures repeat better
/// then.
pub(crate) fn pin(core: usize) {
    let mut set = CpuSet::new();
    let _ = set.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
}
