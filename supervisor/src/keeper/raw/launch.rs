//! From the keeper to the worker's program: one `clone`, then only what may be done between it and `execve`.
//!
//! The new process borrows the keeper's memory until it executes its program (`CLONE_VM | CLONE_VFORK`), so starting one costs
//! the same however large the keeper is, and a failed step is simply left in that memory. What makes the borrowing sound:
//!
//! * The keeper has one thread, and the kernel holds it until the borrower has executed or ended: nobody else looks.
//! * The borrower has a stack of its own, and writes to the keeper's memory only the failure and `errno`.
//! * Every signal is blocked in the keeper, hence in the borrower, until no handler is installed there any more.
//! * The descriptor table, working directory, umask and signal dispositions are copies; changing them does not touch the keeper.
//! * The borrower never returns, allocates, takes a lock or unwinds: it executes or calls `_exit`.

use std::{
    convert::Infallible,
    ffi::{CStr, CString},
    mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use nix::{
    errno::Errno,
    libc::{self, c_char, c_int, c_uint, c_ulong, c_void},
    unistd::{Pid, getpid},
};

/// Far more than the steps use; they call only thin wrappers of system calls.
const STACK_BYTES: usize = 64 * 1024;
/// The first number at which kept descriptors arrive; the numbers before it are the standard streams.
const FIRST_KEPT: RawFd = 3;
/// The kernel's `struct sigaction` (handler, flags, perhaps a restorer, mask) and `sigset_t` on 64-bit machines.
const KERNEL_SIGACTION_WORDS: usize = 4;
const KERNEL_SIGSET_BYTES: usize = 8;
/// All zeroes are the default disposition without flags and mask.
const SIG_DFL: u64 = 0;
/// Highest signal number of Linux.
const LAST_SIGNAL: c_int = 64;

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
    /// Soft and hard limit of open files, where it is not the keeper's.
    pub(in crate::keeper) open_files: Option<(u64, u64)>,
    /// Whether the keeper's protection from the out-of-memory killer has to be taken off.
    pub(in crate::keeper) reset_oom_score: bool,
}

/// Where a launch failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::keeper) enum Step {
    Clone,
    Descriptors,
    Limits,
    Session,
    Streams,
    Parent,
    Privileges,
    Directory,
    Execute,
}

/// The step that failed and why.
#[derive(Debug, Clone, Copy)]
pub(in crate::keeper) struct LaunchFailure {
    pub(in crate::keeper) step: Step,
    pub(in crate::keeper) errno: Errno,
}

/// What the borrower reads, and the one place that it writes to.
struct Context {
    program: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    directory: *const c_char,
    input: RawFd,
    output: RawFd,
    kept: [RawFd; 3],
    open_files: Option<libc::rlimit>,
    reset_oom_score: bool,
    keeper: libc::pid_t,
    failure: Option<(Step, Errno)>,
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
        if kept.iter().chain(&[number(launch.input), number(launch.output)]).any(|fd| taken.contains(fd)) {
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
            open_files: launch.open_files.map(|(rlim_cur, rlim_max)| libc::rlimit { rlim_cur, rlim_max }),
            reset_oom_score: launch.reset_oom_score,
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

extern "C" fn borrower(context: *mut c_void) -> c_int {
    let context = context.cast::<Context>();
    // SAFETY: `launch` passes a context that outlives this function, and is held until it ends.
    unsafe {
        let Err(step) = become_the_program(&*context);
        (*context).failure = Some((step, Errno::last()));
        libc::_exit(127)
    }
}

/// The steps, in an order in which each still may do what it has to.
///
/// SAFETY: to be called by the borrower only; the pointers of the context must be valid.
unsafe fn become_the_program(context: &Context) -> Result<Infallible, Step> {
    let check = |result: c_int, step: Step| if result == -1 { Err(step) } else { Ok(()) };
    // SAFETY: system calls on numbers and on pointers that `launch` vouches for; none of them allocates or locks.
    unsafe {
        // Before Linux 5.11 this flag is unknown: then only what the keeper itself opened, all of it close-on-exec, is closed.
        libc::syscall(libc::SYS_close_range, FIRST_KEPT as c_uint, c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        for (target, &fd) in (FIRST_KEPT..).zip(&context.kept) {
            if fd >= 0 {
                check(libc::dup2(fd, target), Step::Descriptors)?;
            }
        }

        // Here the process will enter its cgroup.

        if context.reset_oom_score {
            let score = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
            if score >= 0 {
                // Best effort: without it the worker only dies later than it should.
                libc::write(score, c"0".as_ptr().cast(), 1);
            }
        }
        if let Some(limit) = &context.open_files {
            check(libc::setrlimit(libc::RLIMIT_NOFILE, limit), Step::Limits)?;
        }
        libc::umask(0o077);
        check(libc::setsid(), Step::Session)?;
        // By the system call, because the C library refuses to touch the two signals that it uses itself, and they are inherited
        // like all others. Those that cannot be changed answer with an error.
        let (default, nowhere) = ([SIG_DFL; KERNEL_SIGACTION_WORDS], ptr::null_mut::<u64>());
        for signal in 1..=LAST_SIGNAL {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nowhere, KERNEL_SIGSET_BYTES);
        }
        let mut nothing: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut nothing);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const nothing, ptr::null_mut());
        check(libc::dup2(context.input, libc::STDIN_FILENO), Step::Streams)?;
        check(libc::dup2(context.output, libc::STDOUT_FILENO), Step::Streams)?;
        check(libc::dup2(context.output, libc::STDERR_FILENO), Step::Streams)?;

        // Here the process will change its user, by system calls of its own: the wrappers of the C library signal threads.

        // After the user, because changing that clears it; and then a look whether the keeper died before it was set.
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong), Step::Parent)?;
        if libc::getppid() != context.keeper {
            Errno::set_raw(libc::ESRCH);
            return Err(Step::Parent);
        }
        let (on, unused): (c_ulong, c_ulong) = (1, 0);
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, on, unused, unused, unused), Step::Privileges)?;
        check(libc::chdir(context.directory), Step::Directory)?;
        libc::execve(context.program, context.arguments, context.environment);
    }
    Err(Step::Execute)
}
