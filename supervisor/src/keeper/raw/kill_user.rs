//! Kills every process of a user at once: nobody can be missed and nobody can be started in between, because the kernel does it.
//!
//! Only a process that acts as that very user, without any capability, may ask for that: with the keeper's rights the same call
//! would kill everybody on the machine. That user's own processes must not reach it, or they could stop it, and with it the
//! keeper whose memory it borrows: so by its other two numbers, which decide who may signal it, it is a stranger whom nobody
//! else is. The kernel also kills whoever shares the first of these, which is why it cannot be the keeper's.

use std::ptr;

use nix::{
    errno::Errno,
    libc::{self, c_int, c_void},
    sys::wait::{WaitStatus, waitpid},
    unistd::Pid,
};

use super::borrower::{CAPABILITY_VERSION, NO_CAPABILITIES, end_in_time};

const STACK_BYTES: usize = 32 * 1024;
/// Ids below belong to the system.
const FIRST: u32 = 1000;

const KILLED: c_int = 0;
const NOT_THAT_USER: c_int = 1;
const REFUSED: c_int = 2;

/// Who is to be killed, and by whom.
struct Order {
    user: u32,
    stranger: u32,
}

/// Kills whoever is this user; whether there was anybody. Those who have ended and not been reaped count. The stranger is a
/// number that nobody runs as.
pub(in crate::keeper) fn kill_user(user: u32, stranger: u32) -> nix::Result<bool> {
    if user < FIRST || stranger < FIRST || user == stranger {
        return Err(Errno::EINVAL);
    }
    if !lives(user)? {
        return Ok(false);
    }
    if lives(stranger)? {
        return Err(Errno::EBUSY);
    }
    let mut stack = vec![0_u128; STACK_BYTES / size_of::<u128>()];
    let mut order = Order { user, stranger };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: as in `launch`: the stack and the order live until the call returns, which CLONE_VFORK makes the end of the
    // borrower; no other thread knows of them, and signals are blocked.
    let pid = unsafe {
        let top = stack.as_mut_ptr_range().end.cast::<c_void>();
        libc::clone(killer, top, flags, (&raw mut order).cast::<c_void>())
    };
    let pid = Pid::from_raw(Errno::result(pid)?);
    match waitpid(pid, None)? {
        WaitStatus::Exited(_, KILLED) => Ok(true),
        _ => Err(Errno::EPERM),
    }
}

/// Whether there is a process of this user. The call that kills does not tell.
fn lives(user: u32) -> nix::Result<bool> {
    // SAFETY: takes numbers only. By the system call: what the C library makes of the answer may look like an error.
    let priority = unsafe { libc::syscall(libc::SYS_getpriority, libc::PRIO_USER, user) };
    match Errno::result(priority) {
        Ok(_) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(errno) => Err(errno),
    }
}

extern "C" fn killer(order: *mut c_void) -> c_int {
    // SAFETY: system calls on numbers and on arrays of this frame; the pointer is that of `kill_user`. None of them allocates.
    unsafe {
        let Order { user, stranger } = *order.cast::<Order>();
        let (mut real, mut effective, mut saved): (u32, u32, u32) = (0, 0, 0);
        let header: [u32; 2] = [CAPABILITY_VERSION, 0];
        let mut left = NO_CAPABILITIES;
        left[0] = u32::MAX;
        let became = end_in_time() == 0
            && libc::syscall(libc::SYS_setgroups, 0, ptr::null::<libc::gid_t>()) == 0
            && libc::syscall(libc::SYS_setresgid, user, user, user) == 0
            && libc::syscall(libc::SYS_setresuid, stranger, user, stranger) == 0
            && libc::syscall(libc::SYS_capset, header.as_ptr(), NO_CAPABILITIES.as_ptr()) == 0
            // Looked at, not believed: what follows is the most dangerous call there is.
            && libc::syscall(libc::SYS_capget, header.as_ptr(), left.as_mut_ptr()) == 0
            && left == NO_CAPABILITIES
            && libc::syscall(libc::SYS_getresuid, &raw mut real, &raw mut effective, &raw mut saved) == 0
            && (real, effective, saved) == (stranger, user, stranger);
        if !became {
            libc::_exit(NOT_THAT_USER);
        }
        let code = match libc::syscall(libc::SYS_kill, -1, libc::SIGKILL) {
            0 => KILLED,
            _ => REFUSED,
        };
        libc::_exit(code)
    }
}
