//! The steps between `clone` and `execve`, taken by a process that borrows the keeper's memory; see [`super::launch`] for what
//! makes that sound.

use std::{convert::Infallible, mem, os::fd::RawFd, ptr};

use nix::{
    errno::Errno,
    libc::{self, c_char, c_int, c_long, c_uint, c_ulong, c_void},
};

use super::launch::{Limit, Step};

/// The first number at which kept descriptors arrive; the numbers before it are the standard streams.
pub(super) const FIRST_KEPT: RawFd = 3;
/// The kernel's `struct sigaction` (handler, flags, perhaps a restorer, mask) and `sigset_t` on 64-bit machines.
const KERNEL_SIGACTION_WORDS: usize = 4;
const KERNEL_SIGSET_BYTES: usize = 8;
/// All zeroes are the default disposition without flags and mask.
const SIG_DFL: u64 = 0;
/// Highest signal number of Linux.
const LAST_SIGNAL: c_int = 64;
/// `_LINUX_CAPABILITY_VERSION_3`, and its two words each of effective, permitted and inheritable capabilities.
pub(super) const CAPABILITY_VERSION: u32 = 0x2008_0522;
pub(super) const NO_CAPABILITIES: [u32; 6] = [0; 6];
/// There are 41 today; asking for one that does not exist ends the loop.
const MOST_CAPABILITIES: c_ulong = 64;

/// The kernel holds the keeper for as long as somebody borrows its memory, and whoever runs as the same user may stop that one at
/// any moment. It needs a hundredth of this.
const BORROWED_SECONDS: libc::time_t = 2;

/// What the borrower reads, and the one place that it writes to.
pub(super) struct Context {
    pub(super) program: *const c_char,
    pub(super) arguments: *const *const c_char,
    pub(super) environment: *const *const c_char,
    pub(super) directory: *const c_char,
    pub(super) input: RawFd,
    pub(super) output: RawFd,
    pub(super) kept: [RawFd; 3],
    pub(super) limits: *const Limit,
    pub(super) limit_count: usize,
    pub(super) oom_score: *const c_char,
    pub(super) oom_score_length: usize,
    pub(super) group: RawFd,
    pub(super) user: Option<u32>,
    pub(super) ruleset: RawFd,
    pub(super) keeper: libc::pid_t,
    pub(super) failure: Option<(Step, Errno)>,
}

pub(super) extern "C" fn borrower(context: *mut c_void) -> c_int {
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
    // SAFETY: system calls on numbers and on pointers that `launch` vouches for; none of them allocates or locks.
    unsafe {
        // Before Linux 5.11 this flag is unknown: then only what the keeper itself opened, all of it close-on-exec, is closed.
        libc::syscall(libc::SYS_close_range, FIRST_KEPT as c_uint, c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        for (target, &fd) in (FIRST_KEPT..).zip(&context.kept) {
            if fd >= 0 {
                check(libc::dup2(fd, target), Step::Descriptors)?;
            }
        }
        if context.group >= 0 {
            // Zero is whoever writes it.
            check_long(libc::write(context.group, c"0".as_ptr().cast(), 1) as c_long, Step::Group)?;
        }
        set_oom_score(context)?;
        for limit in 0..context.limit_count {
            let Limit { resource, most } = *context.limits.add(limit);
            let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
            check(libc::setrlimit(resource as libc::__rlimit_resource_t, &raw const limit), Step::Limits)?;
        }
        libc::umask(0o077);
        check(libc::setsid(), Step::Session)?;
        reset_signals();
        check(libc::dup2(context.input, libc::STDIN_FILENO), Step::Streams)?;
        check(libc::dup2(context.output, libc::STDOUT_FILENO), Step::Streams)?;
        check(libc::dup2(context.output, libc::STDERR_FILENO), Step::Streams)?;
        change_user(context.user)?;

        // After the user, because changing that clears it; and then a look whether the keeper died before it was set.
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong), Step::Parent)?;
        if libc::getppid() != context.keeper {
            Errno::set_raw(libc::ESRCH);
            return Err(Step::Parent);
        }
        let (on, unused): (c_ulong, c_ulong) = (1, 0);
        check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, on, unused, unused, unused), Step::Privileges)?;
        // Before the rules, which need not allow it.
        check(libc::chdir(context.directory), Step::Directory)?;
        if context.ruleset >= 0 {
            check_long(libc::syscall(libc::SYS_landlock_restrict_self, context.ruleset, 0), Step::Ruleset)?;
        }
        libc::execve(context.program, context.arguments, context.environment);
    }
    Err(Step::Execute)
}

/// SAFETY: as above.
unsafe fn set_oom_score(context: &Context) -> Result<(), Step> {
    // SAFETY: as above.
    unsafe {
        let (readable, hidden, unused): (c_ulong, c_ulong, c_ulong) = (1, 0, 0);
        // The keeper hides its memory, which makes this file root's. That memory is not hidden for the time of these calls, from
        // whoever runs as the keeper's user; the borrower is not a worker's user yet.
        libc::prctl(libc::PR_SET_DUMPABLE, readable, unused, unused, unused);
        let score = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        let written = libc::write(score, context.oom_score.cast(), context.oom_score_length);
        libc::prctl(libc::PR_SET_DUMPABLE, hidden, unused, unused, unused);
        check_long(written as c_long, Step::OutOfMemory)
    }
}

/// By the system call, because the C library refuses to touch the two signals that it uses itself, and they are inherited like
/// all others. Those that cannot be changed answer with an error.
///
/// SAFETY: as above.
unsafe fn reset_signals() {
    // SAFETY: as above.
    unsafe {
        let (default, nowhere) = ([SIG_DFL; KERNEL_SIGACTION_WORDS], ptr::null_mut::<u64>());
        for signal in 1..=LAST_SIGNAL {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nowhere, KERNEL_SIGSET_BYTES);
        }
        let mut nothing: libc::sigset_t = mem::zeroed();
        libc::sigemptyset(&raw mut nothing);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const nothing, ptr::null_mut());
    }
}

/// Takes the user's number and gives up every capability, also those that a later program of the same user could regain.
/// By system calls of its own: the wrappers of the C library change every thread of a process, and ask the others by signals.
///
/// SAFETY: as above.
unsafe fn change_user(user: Option<u32>) -> Result<(), Step> {
    // SAFETY: as above.
    unsafe {
        let unused: c_ulong = 0;
        // The kernel clears what is ambient only when user 0 becomes another one. Before Linux 4.3 there is no such set.
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as c_ulong, unused, unused, unused);
        // Root may; others have nothing in that set that they could use without a set-user-id program.
        for capability in 0..MOST_CAPABILITIES {
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, unused, unused, unused) == -1 {
                break;
            }
        }
        if let Some(id) = user {
            check_long(end_in_time(), Step::Deadline)?;
            check_long(libc::syscall(libc::SYS_setgroups, 0, ptr::null::<libc::gid_t>()), Step::User)?;
            check_long(libc::syscall(libc::SYS_setresgid, id, id, id), Step::User)?;
            check_long(libc::syscall(libc::SYS_setresuid, id, id, id), Step::User)?;
        }
        let header: [u32; 2] = [CAPABILITY_VERSION, 0];
        check_long(libc::syscall(libc::SYS_capset, header.as_ptr(), NO_CAPABILITIES.as_ptr()), Step::Capabilities)
    }
}

/// Has the kernel kill this process unless it executes or ends in time, however it is kept from that; a process that is stopped
/// is killed too. By system calls, because the C library keeps timers in its own memory. The error is -1.
///
/// SAFETY: as above.
pub(super) unsafe fn end_in_time() -> c_long {
    // SAFETY: as above; what is pointed at lies in this frame, and all zeroes are valid values of both structures.
    unsafe {
        let mut event: libc::sigevent = mem::zeroed();
        event.sigev_notify = libc::SIGEV_SIGNAL;
        event.sigev_signo = libc::SIGKILL;
        let mut timer: c_int = 0;
        if libc::syscall(libc::SYS_timer_create, libc::CLOCK_MONOTONIC, &raw const event, &raw mut timer) == -1 {
            return -1;
        }
        let mut once: libc::itimerspec = mem::zeroed();
        once.it_value.tv_sec = BORROWED_SECONDS;
        libc::syscall(libc::SYS_timer_settime, timer, 0, &raw const once, ptr::null_mut::<libc::itimerspec>())
    }
}

const fn check(result: c_int, step: Step) -> Result<(), Step> {
    check_long(result as c_long, step)
}

const fn check_long(result: c_long, step: Step) -> Result<(), Step> {
    if result == -1 { Err(step) } else { Ok(()) }
}
