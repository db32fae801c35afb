//! Processes: by descriptor where a number could meanwhile mean another one.

use std::{
    io,
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::Command,
    ptr,
};

use nix::{
    errno::Errno,
    libc::{self, c_int, c_uint},
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::Pid,
};

use super::borrower::{CAPABILITY_VERSION, NO_CAPABILITIES};
use crate::keeper::protocol::{ExitStatus, Usage};

/// Takes the exit of a child that has ended; `None` while it lives.
pub(in crate::keeper) fn reap(pid: Pid) -> nix::Result<Option<(ExitStatus, Usage)>> {
    let mut status: c_int = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are valid for what `wait4` writes.
    let reaped = unsafe { libc::wait4(pid.as_raw(), &raw mut status, libc::WNOHANG, usage.as_mut_ptr()) };
    if Errno::result(reaped)? == 0 {
        return Ok(None);
    }
    // SAFETY: zeroed before the call, and all zeroes is a valid value.
    let usage = unsafe { usage.assume_init() };
    let status = if libc::WIFSIGNALED(status) {
        ExitStatus::Signal(libc::WTERMSIG(status))
    } else {
        ExitStatus::Code(u8::try_from(libc::WEXITSTATUS(status)).unwrap_or(u8::MAX))
    };
    let micros = |time: libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        seconds.saturating_mul(1_000_000).saturating_add(u64::try_from(time.tv_usec).unwrap_or(0))
    };
    let usage = Usage {
        cpu_micros: micros(usage.ru_utime).saturating_add(micros(usage.ru_stime)),
        // The kernel counts in KiB.
        max_resident_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0).saturating_mul(1024),
        out_of_memory: None,
    };
    Ok(Some((status, usage)))
}

/// Whether a child has ended, without reaping it; also where it is no child any more.
pub(in crate::keeper) fn has_ended(pid: Pid) -> bool {
    let Ok(number) = libc::id_t::try_from(pid.as_raw()) else { return true };
    ended(libc::P_PID, number).map_or(true, |found| found.is_some())
}

/// Some child that has ended, without reaping it.
pub(in crate::keeper) fn somebody_who_ended() -> Option<Pid> {
    ended(libc::P_ALL, 0).ok().flatten()
}

/// Not the one of `nix`, which has no form for a process that a real-time signal ended.
fn ended(kind: libc::idtype_t, number: libc::id_t) -> nix::Result<Option<Pid>> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the pointer is valid for what `waitid` writes.
    Errno::result(unsafe { libc::waitid(kind, number, info.as_mut_ptr(), flags) })?;
    // SAFETY: zeroed before the call, and all zeroes is a valid value, whose pid 0 means nobody.
    let pid = unsafe { info.assume_init().si_pid() };
    Ok((pid != 0).then(|| Pid::from_raw(pid)))
}

/// A descriptor that means this process and no later one of the same number.
pub(in crate::keeper) fn open_pidfd(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = RawFd::try_from(Errno::result(fd)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: just opened for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sends a signal to the process that the descriptor means.
pub(in crate::keeper) fn signal_pidfd(pidfd: &OwnedFd, signal: Signal) -> nix::Result<()> {
    let no_info: *const libc::siginfo_t = ptr::null();
    // SAFETY: a null information is allowed: the kernel fills in that of `kill`.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal as c_int, no_info, 0) };
    Errno::result(sent).map(drop)
}

/// Gives up every capability of this thread, and of those that it starts. A user 0 gets them back by executing a program.
pub fn give_up_capabilities() -> io::Result<()> {
    let header: [u32; 2] = [CAPABILITY_VERSION, 0];
    // SAFETY: reads two arrays of the sizes that this version of the call has.
    let given_up = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), NO_CAPABILITIES.as_ptr()) };
    Ok(Errno::result(given_up).map(drop)?)
}

/// Undoes an ignored SIGCHLD, which whoever started us may have left behind: with it, exits would be lost.
pub(in crate::keeper) fn default_child_signal() -> nix::Result<()> {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: installs no handler.
    unsafe { sigaction(Signal::SIGCHLD, &default) }.map(drop)
}

/// Gives the command a session of its own and nothing of ours but its standard streams.
pub(in crate::keeper) fn start_as_daemon(command: &mut Command) {
    // SAFETY: the closure makes two system calls on numbers and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            libc::syscall(libc::SYS_close_range, 3 as c_uint, c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
            if libc::setsid() == -1 {
                return Err(io::Error::from_raw_os_error(Errno::last_raw()));
            }
            Ok(())
        });
    }
}
