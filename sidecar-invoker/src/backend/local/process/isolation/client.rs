//! The invoker's side: the process of the fork server, and a connection to each init.

use std::collections::BTreeMap;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::message::{
    CGROUPS, Decoder, ENVIRONMENT, EXITED, Encoder, FORKED, NOT_STARTED, PREPARE, READY, REFUSED,
    SET_UP, START, STARTED, encode_command, malformed, send,
};
use super::plan::{Level, Plan, SetUpError};
use crate::util::lock;

/// The hidden subcommand that runs the fork server.
pub(crate) const FORK_SERVER: &str = "fork-server";

/// The longest wait for the end of an environment. The kernel may have many processes to remove.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest wait for the end of an init that was killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);

/// The time between the start of an environment and the fork of an init for the next.
const SPARE_DELAY: Duration = Duration::from_millis(20);

/// The process that forks the inits of all environments.
pub(crate) struct ForkServer {
    program: PathBuf,
    /// The control group of all environments. The fork server removes it if the invoker is killed.
    cgroups: Option<PathBuf>,
    running: Mutex<Option<Running>>,
    /// An init that was forked in advance.
    spare: std::sync::Mutex<Option<(Level, Init)>>,
}

struct Running {
    connection: UnixStream,
    process: Child,
}

impl ForkServer {
    /// Starts `program fork-server`, which has to run
    /// [`run_fork_server`](super::run_fork_server).
    ///
    /// # Errors
    /// The system is not Linux, or it cannot start the process.
    pub(crate) async fn start(program: &Path, cgroups: Option<&Path>) -> io::Result<Arc<Self>> {
        if !cfg!(target_os = "linux") {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let server = Self {
            program: program.to_owned(),
            cgroups: cgroups.map(Path::to_owned),
            running: Mutex::default(),
            spare: std::sync::Mutex::default(),
        };
        *server.running.lock().await = Some(server.launch().await?);
        Ok(Arc::new(server))
    }

    async fn launch(&self) -> io::Result<Running> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        let process = tokio::process::Command::new(&self.program)
            .arg0("sidecar-invoker")
            .arg(FORK_SERVER)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C for the invoker must not reach the fork server.
            .process_group(0)
            .spawn()?;
        ours.set_nonblocking(true)?;
        let connection = UnixStream::from_std(ours)?;
        if let Some(folder) = &self.cgroups {
            send_all(
                &connection,
                &Encoder::new(CGROUPS).text(folder).finish(),
                &[],
            )
            .await?;
        }
        Ok(Running {
            connection,
            process,
        })
    }

    /// Has an init set up an environment by `plan`. The init can be asked at once to start programs.
    ///
    /// # Errors
    /// No init can be forked.
    pub(crate) async fn environment(self: &Arc<Self>, plan: &Plan) -> io::Result<Init> {
        let message = plan.encode(Encoder::new(SET_UP)).finish();
        let spare = lock(&self.spare).take_if(|(level, _)| *level == plan.level);
        let init = match spare {
            // A spare init may have been killed.
            Some((_, spare)) if spare.send(&message, &[]).await.is_ok() => spare,
            _ => {
                let init = self.fork().await?;
                init.send(&message, &[]).await?;
                init
            }
        };
        tokio::spawn(Arc::clone(self).fork_ahead(plan.level));
        Ok(init)
    }

    /// Forks an init for the next environment, which probably has the level of the last.
    async fn fork_ahead(self: Arc<Self>, level: Level) {
        // The environment that is starting needs the processor more.
        sleep(SPARE_DELAY).await;
        let has_spare = lock(&self.spare)
            .as_ref()
            .is_some_and(|(spare, _)| *spare == level);
        if has_spare || self.running.lock().await.is_none() {
            return;
        }
        let message = Encoder::new(PREPARE).number(level.encode()).finish();
        if let Ok(init) = self.fork().await
            && init.send(&message, &[]).await.is_ok()
        {
            *lock(&self.spare) = Some((level, init));
        }
    }

    async fn fork(&self) -> io::Result<Init> {
        let (ours, theirs) = UnixStream::pair()?;
        self.hand_over(theirs.into_std()?).await?;
        Ok(Init::new(ours))
    }

    /// Gives the fork server the other end of the connection to an init. Starts a new fork server if
    /// the last has been killed.
    async fn hand_over(&self, connection: std::os::unix::net::UnixStream) -> io::Result<()> {
        connection.set_nonblocking(false)?;
        let message = Encoder::new(ENVIRONMENT).finish();
        let fds = [connection.as_fd()];
        let mut running = self.running.lock().await;
        if let Some(server) = running.as_ref() {
            if send_all(&server.connection, &message, &fds).await.is_ok() {
                return Ok(());
            }
            tracing::warn!("the fork server has ended; it is started again");
        }
        let server = self.launch().await?;
        let sent = send_all(&server.connection, &message, &fds).await;
        *running = Some(server);
        sent
    }

    /// Has the fork server end, and waits a second at most for that.
    pub(crate) async fn end(&self) {
        let running = self.running.lock().await.take();
        drop(lock(&self.spare).take());
        if let Some(Running {
            connection,
            mut process,
        }) = running
        {
            drop(connection);
            let _ = timeout(Duration::from_secs(1), process.wait()).await;
        }
    }
}

/// The connection to the init of one environment. Dropping it ends the environment without waiting
/// for the end.
#[derive(Debug)]
pub(crate) struct Init {
    writer: OwnedWriteHalf,
    /// The init, once the fork server has reported it.
    process: Arc<OnceLock<Pid>>,
    replies: mpsc::UnboundedReceiver<Reply>,
    reader: JoinHandle<()>,
    ready: Option<Ready>,
}

/// The report of an init that has set up its environment.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    /// The init, and PID 1 of the environment's namespace.
    pub(crate) init_processes: Vec<Pid>,
    /// Set if `/tmp` is the environment's own.
    pub(crate) has_mounts: bool,
    /// The reason why the environment has less of its own than planned. Empty if it has all.
    pub(crate) obstacle: String,
}

#[derive(Debug)]
enum Reply {
    Ready(Ready),
    Refused(SetUpError),
    Started {
        pid: Pid,
        exit: oneshot::Receiver<ExitStatus>,
    },
    NotStarted(i32),
}

impl Init {
    fn new(connection: UnixStream) -> Self {
        let (reader, writer) = connection.into_split();
        let (sender, replies) = mpsc::unbounded_channel();
        let process = Arc::new(OnceLock::new());
        let forked = Arc::clone(&process);
        Self {
            writer,
            process,
            replies,
            reader: tokio::spawn(async move {
                // Fails if the init was killed. Its processes were killed with it.
                let _ = read(reader, &forked, sender).await;
            }),
            ready: None,
        }
    }

    /// Waits until the environment is set up.
    ///
    /// # Errors
    /// The init cannot set it up.
    pub(crate) async fn ready(&mut self) -> Result<&Ready, SetUpError> {
        if self.ready.is_none() {
            match self.replies.recv().await {
                Some(Reply::Ready(ready)) => self.ready = Some(ready),
                Some(Reply::Refused(error)) => return Err(error),
                Some(Reply::Started { .. } | Reply::NotStarted(_)) | None => {}
            }
        }
        // A filter of system calls may kill an init.
        self.ready.as_ref().ok_or_else(|| SetUpError {
            step: "start an init".to_owned(),
            errno: rustix::io::Errno::CONNRESET.raw_os_error(),
        })
    }

    /// Starts a program with exactly the variables that `command` sets. Returns the process number in
    /// the invoker's PID namespace, and a receiver of the exit status.
    ///
    /// # Errors
    /// The operating system cannot start the process, or the environment cannot be set up.
    pub(super) async fn start(
        &mut self,
        command: &Command,
        stdout: PipeWriter,
        stderr: PipeWriter,
    ) -> io::Result<(Pid, oneshot::Receiver<ExitStatus>)> {
        let message = encode_command(START, command);
        let sent = self.send(&message, &[stdout.as_fd(), stderr.as_fd()]).await;
        let ready = self.ready().await;
        ready.map_err(|error| io::Error::other(error.to_string()))?;
        sent?;
        match self.replies.recv().await {
            Some(Reply::Started { pid, exit }) => Ok((pid, exit)),
            Some(Reply::NotStarted(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Reply::Ready(_) | Reply::Refused(_)) => Err(malformed()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    async fn send(&self, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        send_all(self.writer.as_ref(), message, fds).await
    }

    /// Ends all processes of the environment, and waits for their end.
    pub(crate) async fn end(self) {
        drop(self.writer);
        let mut reader = self.reader;
        if timeout(END_TIMEOUT, &mut reader).await.is_ok() {
            return;
        }
        // The init hangs, or a function has stopped it. Its processes are killed with it.
        if let Some(process) = self.process.get() {
            let _ = kill_process(*process, Signal::KILL);
        }
        if timeout(KILL_TIMEOUT, reader).await.is_err() {
            tracing::warn!("a process of an execution environment does not end");
        }
    }
}

/// Reads the messages of an init until it ends. Processes without a reported exit were killed with
/// the init, and those who wait for them notice that `exits` is dropped.
async fn read(
    mut socket: OwnedReadHalf,
    forked: &OnceLock<Pid>,
    replies: mpsc::UnboundedSender<Reply>,
) -> io::Result<()> {
    let mut exits: BTreeMap<u64, oneshot::Sender<ExitStatus>> = BTreeMap::new();
    let errno = |number: u64| u32::try_from(number).unwrap_or_default().cast_signed();
    let process = |number: u64| Pid::from_raw(errno(number));
    loop {
        let length = socket.read_u32_le().await? as usize;
        let mut message = vec![0; length];
        socket.read_exact(&mut message).await?;
        let (kind, mut fields) = Decoder::new(&message)?;
        let reply = match kind {
            READY => Reply::Ready(Ready {
                init_processes: [fields.number()?, fields.number()?]
                    .into_iter()
                    .filter_map(process)
                    .collect(),
                has_mounts: fields.number()? != 0,
                obstacle: fields.text()?.to_string_lossy().into_owned(),
            }),
            REFUSED => Reply::Refused(SetUpError {
                step: fields.text()?.to_string_lossy().into_owned(),
                errno: errno(fields.number()?),
            }),
            STARTED => {
                let (sender, exit) = oneshot::channel();
                let number = fields.number()?;
                exits.insert(number, sender);
                let pid = process(number).ok_or_else(malformed)?;
                Reply::Started { pid, exit }
            }
            NOT_STARTED => Reply::NotStarted(errno(fields.number()?)),
            FORKED => {
                // Reported once.
                let _ = forked.set(process(fields.number()?).ok_or_else(malformed)?);
                continue;
            }
            EXITED => {
                let number = fields.number()?;
                let status = ExitStatus::from_raw(errno(fields.number()?));
                if let Some(exit) = exits.remove(&number) {
                    // Fails if nobody waits for the process.
                    let _ = exit.send(status);
                }
                continue;
            }
            _ => return Err(malformed()),
        };
        // Fails once the environment is to end. Exits are still read.
        let _ = replies.send(reply);
    }
}

async fn send_all(socket: &UnixStream, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let sent = socket
        .async_io(Interest::WRITABLE, || send(socket, message, fds))
        .await?;
    let mut rest = message.get(sent..).unwrap_or_default();
    while !rest.is_empty() {
        let sent = socket
            .async_io(Interest::WRITABLE, || send(socket, rest, &[]))
            .await?;
        rest = rest.get(sent..).unwrap_or_default();
    }
    Ok(())
}
