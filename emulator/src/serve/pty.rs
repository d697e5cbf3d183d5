//! A pseudo-terminal whose master is the modem's side. Knows the terminal, not the modem.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Bench, Hooks};
use crate::bridge::{Bridge, Route};
use crate::modem::Configuration;

/// A PTY for a modem, maybe with a symbolic link to it that lives as long.
#[derive(Debug)]
pub struct Pty {
    path: PathBuf,
    link: Option<PathBuf>,
    master: AsyncFd<OwnedFd>,
    /// Kept open: without any open slave, reading the master is an error between two hosts.
    _slave: OwnedFd,
}

impl Pty {
    /// Opens a PTY in raw mode. With `link`, makes a symbolic link to its terminal there; an old
    /// link is replaced, anything else at that place is left alone.
    ///
    /// # Errors
    ///
    /// When there is no PTY, when the link cannot be made, or outside of a tokio runtime.
    pub fn open(link: Option<&Path>) -> io::Result<Pty> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes()));

        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&path, flags, Mode::empty())?;
        let mut terminal = tcgetattr(&slave)?;
        terminal.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &terminal)?;

        let nonblocking = rustix::fs::fcntl_getfl(&master)? | OFlags::NONBLOCK;
        rustix::fs::fcntl_setfl(&master, nonblocking)?;
        let link = link.map(|link| make_link(&path, link)).transpose()?;
        Ok(Pty { path, link, master: watched(master)?, _slave: slave })
    }

    /// The terminal that a host opens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a modem on it, until cancelled.
    ///
    /// # Errors
    ///
    /// Those of the PTY.
    pub async fn serve(
        self,
        config: impl Configuration,
        route: Route,
        hooks: Hooks,
    ) -> io::Result<()> {
        Bench::new(config.modem(), Bridge::new(route), hooks).host(self).await
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            // Another emulator may have taken the link over; then it is not ours to remove.
            if fs::read_link(link).is_ok_and(|target| target == self.path) {
                let _ = fs::remove_file(link);
            }
        }
    }
}

/// tokio deprecates `new` for types whose descriptor may change under its feet, in favour of an
/// unsafe function. An `OwnedFd` keeps its descriptor until it is dropped.
#[allow(deprecated)]
fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(descriptor)
}

fn make_link(path: &Path, link: &Path) -> io::Result<PathBuf> {
    if fs::symlink_metadata(link).is_ok_and(|there| there.is_symlink()) {
        fs::remove_file(link)?;
    }
    std::os::unix::fs::symlink(path, link)?;
    Ok(link.to_owned())
}

impl AsyncRead for Pty {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.master.poll_read_ready(cx))?;
            let space = buffer.initialize_unfilled();
            match guard.try_io(|master| Ok(rustix::io::read(master, &mut *space)?)) {
                Ok(Ok(count)) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Ok(Err(error)) => return Poll::Ready(Err(error)),
                Err(_would_block) => {}
            }
        }
    }
}

impl AsyncWrite for Pty {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.master.poll_write_ready(cx))?;
            match guard.try_io(|master| Ok(rustix::io::write(master, bytes)?)) {
                Ok(result) => return Poll::Ready(result),
                Err(_would_block) => {}
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
