//! The messages between the invoker, the fork server and the inits: a length in four bytes, a kind,
//! and fields. Both ends are the same program, so messages have no version.

use std::ffi::{OsStr, OsString};
use std::io;
#[cfg(target_os = "linux")]
use std::io::Read;
use std::mem::MaybeUninit;
#[cfg(target_os = "linux")]
use std::os::fd::OwnedFd;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
#[cfg(target_os = "linux")]
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use rustix::cmsg_space;
#[cfg(target_os = "linux")]
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

/// The maximum length of a message. The kernel limits arguments and variables to far less.
const MAX_BYTES: usize = 16 << 20;
/// The maximum number of file descriptors of a message.
const MAX_FDS: usize = 2;

/// To the fork server: fork an init. The init's end of the connection goes along.
pub(super) const ENVIRONMENT: u8 = 0;
/// To the fork server: remove this control group once the invoker has ended.
pub(super) const CGROUPS: u8 = 1;
/// To an init: a plan with this level follows, so prepare it.
pub(super) const PREPARE: u8 = 2;
/// To an init: set up this plan.
pub(super) const SET_UP: u8 = 3;
/// To an init: start a program. The ends of its two outputs go along.
pub(super) const START: u8 = 4;
/// From an init: the plan is set up.
pub(super) const READY: u8 = 5;
/// From an init: the plan cannot be set up.
pub(super) const REFUSED: u8 = 6;
/// From an init: the program runs.
pub(super) const STARTED: u8 = 7;
/// From an init: the program cannot be started.
pub(super) const NOT_STARTED: u8 = 8;
/// From an init: a program that it started has ended.
pub(super) const EXITED: u8 = 9;
/// From the fork server, on the connection to an init: the init's process number.
pub(super) const FORKED: u8 = 10;

/// Writes one message.
pub(super) struct Encoder(Vec<u8>);

impl Encoder {
    pub(super) fn new(kind: u8) -> Self {
        Self(vec![0, 0, 0, 0, kind])
    }

    pub(super) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    pub(super) fn text(self, text: impl AsRef<OsStr>) -> Self {
        let bytes = text.as_ref().as_bytes();
        let mut this = self.number(bytes.len() as u64);
        this.0.extend_from_slice(bytes);
        this
    }

    pub(super) fn texts(self, texts: &[impl AsRef<OsStr>]) -> Self {
        let this = self.number(texts.len() as u64);
        texts.iter().fold(this, Self::text)
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len() - 4).unwrap_or(u32::MAX);
        if let Some(head) = self.0.first_chunk_mut() {
            *head = length.to_le_bytes();
        }
        self.0
    }
}

/// Reads the fields of one message, in their order.
pub(super) struct Decoder<'b>(&'b [u8]);

impl<'b> Decoder<'b> {
    /// Returns the kind of the message, and its fields.
    pub(super) fn new(message: &'b [u8]) -> io::Result<(u8, Self)> {
        let (kind, fields) = message.split_first().ok_or_else(malformed)?;
        Ok((*kind, Self(fields)))
    }

    pub(super) fn number(&mut self) -> io::Result<u64> {
        let (number, rest) = self.0.split_first_chunk().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*number))
    }

    pub(super) fn text(&mut self) -> io::Result<OsString> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let (text, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        Ok(OsString::from_vec(text.to_vec()))
    }

    pub(super) fn path(&mut self) -> io::Result<PathBuf> {
        self.text().map(PathBuf::from)
    }

    pub(super) fn texts(&mut self) -> io::Result<Vec<OsString>> {
        let count = self.number()?;
        (0..count).map(|_| self.text()).collect()
    }
}

pub(super) fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a malformed message")
}

/// Returns the message that has an init start a program.
pub(super) fn encode_command(kind: u8, command: &Command) -> Vec<u8> {
    let arguments: Vec<_> = command.get_args().collect();
    let variables = command.get_envs().filter_map(|(name, value)| {
        let mut entry = name.to_owned();
        entry.push("=");
        entry.push(value?);
        Some(entry)
    });
    let directory = command
        .get_current_dir()
        .map_or(OsStr::new("/"), AsRef::as_ref);
    Encoder::new(kind)
        .text(command.get_program())
        .texts(&arguments)
        .texts(&variables.collect::<Vec<_>>())
        .text(directory)
        .finish()
}

/// Reads a message of [`encode_command`]. The program has the message's variables and no others.
pub(super) fn decode_command(fields: &mut Decoder<'_>) -> io::Result<Command> {
    let mut command = Command::new(fields.text()?);
    command.args(fields.texts()?).env_clear();
    for entry in fields.texts()? {
        let entry = entry.as_bytes();
        // A name may begin with `=`, but it is not empty.
        let equals = entry.iter().skip(1).position(|&byte| byte == b'=');
        let (name, value) = entry
            .split_at_checked(equals.ok_or_else(malformed)? + 1)
            .ok_or_else(malformed)?;
        let value = value.get(1..).unwrap_or_default();
        command.env(OsStr::from_bytes(name), OsStr::from_bytes(value));
    }
    command.current_dir(fields.path()?);
    Ok(command)
}

/// Sends as much of `message` as the socket takes now, with the file descriptors, and returns the
/// number of bytes sent.
pub(super) fn send(socket: impl AsFd, message: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(malformed());
    }
    let parts = [io::IoSlice::new(message)];
    Ok(sendmsg(socket, &parts, &mut control, SendFlags::empty())?)
}

/// Waits for one message. Returns `None` if the other end has closed the connection.
#[cfg(target_os = "linux")]
pub(super) fn receive(socket: &mut UnixStream) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut head = [0; 4];
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [io::IoSliceMut::new(&mut head)];
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
    let received =
        rustix::io::retry_on_intr(|| recvmsg(&*socket, &mut parts, &mut control, flags))?;
    match received.bytes {
        0 => return Ok(None),
        4 => {}
        _ => return Err(malformed()),
    }
    let fds = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
        _ => Vec::new(),
    });
    let fds = fds.collect();
    let length = u32::from_le_bytes(head) as usize;
    if length > MAX_BYTES {
        return Err(malformed());
    }
    let mut message = vec![0; length];
    socket.read_exact(&mut message)?;
    Ok(Some((message, fds)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_command_arrives_as_it_was_sent() {
        let mut sent = Command::new("/bin/sh");
        sent.args(["-c", "", "a b\n"])
            .current_dir("/tmp")
            .env_clear();
        let bytes = OsStr::from_bytes(b"\xff=x");
        sent.envs([("A", OsStr::new("")), ("=B", bytes)]);
        let message = encode_command(7, &sent);
        let (kind, mut fields) = Decoder::new(&message[4..]).unwrap();
        let received = decode_command(&mut fields).unwrap();
        assert_eq!(kind, 7);
        assert_eq!(received.get_program(), "/bin/sh");
        assert!(received.get_args().eq(["-c", "", "a b\n"]));
        let variables: Vec<_> = received.get_envs().collect();
        let expected = [("=B", bytes), ("A", OsStr::new(""))];
        assert_eq!(
            variables,
            expected.map(|(name, value)| (OsStr::new(name), Some(value)))
        );
        assert_eq!(received.get_current_dir().unwrap(), "/tmp");
        assert!(fields.number().is_err(), "nothing follows");
    }

    #[test]
    fn file_descriptors_arrive_with_their_message() {
        let (one, mut other) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        for fds in [&[writer.as_fd()][..], &[]] {
            let message = Encoder::new(1).text("hello").finish();
            assert_eq!(send(&one, &message, fds).unwrap(), message.len());
        }
        drop(writer);
        let (message, fds) = receive(&mut other).unwrap().unwrap();
        assert_eq!(Decoder::new(&message).unwrap().1.text().unwrap(), "hello");
        let [fd] = <[OwnedFd; 1]>::try_from(fds).unwrap();
        io::Write::write_all(&mut std::fs::File::from(fd), b"x").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        assert!(receive(&mut other).unwrap().unwrap().1.is_empty());
        drop(one);
        assert!(receive(&mut other).unwrap().is_none());
    }
}
