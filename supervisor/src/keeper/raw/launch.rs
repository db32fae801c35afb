//! From the keeper to the worker's program: one `clone`, then only what may be done between it and `execve`.
//!
//! The new process borrows the keeper's memory until it executes its program (`CLONE_VM | CLONE_VFORK`), so starting one costs
//! the same however large the keeper is, and a failed step is simply left in that memory. What makes the borrowing sound:
//!
//! * One thread of the keeper starts processes, and the kernel holds it until the borrower has executed or ended. A second one, which
//!   waits for the disk now and then (`log_rotator`), goes on meanwhile: it shares nothing with the borrower but the address space.
//! * The borrower has a stack of its own, and writes to the keeper's memory only the failure and, in what belongs to the thread that
//!   is held, `errno` and what the C library notes there for the time of a call.
//! * Every signal is blocked in the keeper, hence in the borrower, until no handler is installed there any more; but for those that the
//!   C library blocks for nobody once there are threads, and its handler passes over whatever another process has sent.
//! * What the second thread opens is close-on-exec from the first, so a copy that the borrower has of it does not last.
//! * A worker is killed when the thread ends that started it: that thread is the first, which lasts as long as the keeper.
//! * The descriptor table, working directory, umask and signal dispositions are copies; changing them does not touch the keeper.
//! * Nobody can hold the borrower for long: before it becomes a user whose processes may stop it, it sets itself a deadline.
//! * The borrower never returns, allocates, takes a lock (the second thread may hold it) or unwinds: it executes or calls `_exit`.

use std::{
    ffi::{CStr, CString},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
};

use nix::{
    errno::Errno,
    libc::{self, c_char, c_int, c_void},
    sys::resource::Resource,
    unistd::{Pid, getpid},
};

use super::borrower::{Context, FIRST_KEPT, borrower};

/// Far more than the steps use; they call only thin wrappers of system calls.
const STACK_BYTES: usize = 64 * 1024;
/// Everything that a process is started with.
pub(in crate::keeper) struct Launch<'a> {
    /// What is executed.
    pub(in crate::keeper) program: &'a CStr,
    /// Its arguments, its own name first.
    pub(in crate::keeper) arguments: &'a [CString],
    /// The whole of its environment.
    pub(in crate::keeper) environment: &'a [CString],
    /// Where it starts.
    pub(in crate::keeper) directory: &'a CStr,
    /// Its standard input.
    pub(in crate::keeper) input: BorrowedFd<'a>,
    /// Its standard output and error.
    pub(in crate::keeper) output: BorrowedFd<'a>,
    /// What it inherits as descriptors 3, 4 and 5; all of them must have greater numbers than that here.
    pub(in crate::keeper) kept: [Option<BorrowedFd<'a>>; 3],
    /// Its limits, soft and hard alike.
    pub(in crate::keeper) limits: &'a [Limit],
    /// Its place in the order of the out-of-memory killer's victims.
    pub(in crate::keeper) oom_score: &'a CStr,
    /// The `cgroup.procs` of the control group that it enters.
    pub(in crate::keeper) group: Option<BorrowedFd<'a>>,
    /// The user, and the group of the same number, that it becomes. Every supplementary group is given up.
    pub(in crate::keeper) user: Option<u32>,
    /// The Landlock rules that hold for it and for everybody below it.
    pub(in crate::keeper) ruleset: Option<BorrowedFd<'a>>,
}

/// A limit of the kernel's for one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::keeper) struct Limit {
    pub(in crate::keeper) resource: Resource,
    pub(in crate::keeper) most: u64,
}

/// Where a launch failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::keeper) enum Step {
    Clone,
    Descriptors,
    Group,
    OutOfMemory,
    Limits,
    Session,
    Streams,
    Deadline,
    User,
    Capabilities,
    Parent,
    Privileges,
    Ruleset,
    Directory,
    Execute,
}

/// The step that failed and why.
#[derive(Debug, Clone, Copy)]
pub(in crate::keeper) struct LaunchFailure {
    pub(in crate::keeper) step: Step,
    pub(in crate::keeper) errno: Errno,
}

/// Starts processes, one at a time; owns the stack that each of them uses until it executes.
pub(in crate::keeper) struct Launcher {
    stack: Box<[u128]>,
}

impl Launcher {
    /// With a stack.
    pub(in crate::keeper) fn new() -> Self {
        Self { stack: vec![0; STACK_BYTES / size_of::<u128>()].into() }
    }

    /// Starts a process; when this returns, it runs its program, or there is no process.
    pub(in crate::keeper) fn launch(&mut self, launch: &Launch<'_>) -> Result<(Pid, OwnedFd), LaunchFailure> {
        let number = |fd: BorrowedFd<'_>| fd.as_raw_fd();
        let kept = launch.kept.map(|fd| fd.map_or(-1, number));
        // One of them at 3, 4 or 5 could be overwritten before it is moved.
        let taken = FIRST_KEPT..FIRST_KEPT + 3;
        let late = [
            number(launch.input),
            number(launch.output),
            launch.group.map_or(-1, number),
            launch.ruleset.map_or(-1, number),
        ];
        if kept.iter().chain(&late).any(|fd| taken.contains(fd)) {
            return Err(LaunchFailure { step: Step::Descriptors, errno: Errno::EBADF });
        }
        let pointers = |strings: &[CString]| -> Vec<*const c_char> {
            strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
        };
        let (arguments, environment) = (pointers(launch.arguments), pointers(launch.environment));
        let mut context = Context {
            program: launch.program.as_ptr(),
            arguments: arguments.as_ptr(),
            environment: environment.as_ptr(),
            directory: launch.directory.as_ptr(),
            input: number(launch.input),
            output: number(launch.output),
            kept,
            limits: launch.limits.as_ptr(),
            limit_count: launch.limits.len(),
            oom_score: launch.oom_score.as_ptr(),
            oom_score_length: launch.oom_score.count_bytes(),
            group: launch.group.map_or(-1, number),
            user: launch.user,
            ruleset: launch.ruleset.map_or(-1, number),
            keeper: getpid().as_raw(),
            failure: None,
        };
        let context: *mut Context = &raw mut context;
        let mut pidfd: c_int = -1;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        // SAFETY: the end pointer is one past the stack, aligned to 16 because its elements are, and the stack lives as long as
        // the call, which CLONE_VFORK makes last until the borrower needs it no more; `context` and all it points to live in
        // this frame; CLONE_PIDFD writes one descriptor number to `pidfd`.
        let pid = unsafe {
            let top = self.stack.as_mut_ptr_range().end.cast::<c_void>();
            libc::clone(borrower, top, flags, context.cast::<c_void>(), &raw mut pidfd)
        };
        let pid = Errno::result(pid).map_err(|errno| LaunchFailure { step: Step::Clone, errno })?;
        // SAFETY: the kernel has just opened it for us and nothing else knows of it.
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        // SAFETY: `context` is alive; volatile, because the compiler does not see the borrower's write.
        let failure = unsafe { ptr::read_volatile(&raw const (*context).failure) };
        if let Some((step, errno)) = failure {
            // It is on its way out: this does not wait for anybody's program.
            let _ = nix::sys::wait::waitpid(Pid::from_raw(pid), None);
            return Err(LaunchFailure { step, errno });
        }
        Ok((Pid::from_raw(pid), pidfd))
    }
}
