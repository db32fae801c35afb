"""A worker that has been taken over: tries what it is told to, and prints what came of it, a JSON document a line.

argv: the file with the orders; the worker waits for it. With no orders for its tenant it sits still.
"""

import ctypes
import errno
import json
import os
import socket
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
PIDFD_OPEN, PIDFD_GETFD = 434, 438
PTRACE_ATTACH = 16
CLONE_NEWUSER, CLONE_NEWNS = 0x10000000, 0x00020000


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def said(number):
    return errno.errorcode.get(number, str(number))


def call(result):
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


def tell(what, outcome, refused):
    print(json.dumps({"attempt": what, "outcome": outcome, "refused": refused}), flush=True)


def attempt(what, action):
    try:
        outcome = action()
    except OSError as error:
        return tell(what, said(error.errno), True)
    tell(what, f"it gave {outcome!r}"[:200], False)


def read(path):
    return lambda: open(path, "rb").read(100)


def write(path):
    def action():
        with open(path, "r+b", buffering=0) as file:
            file.write(b"x")
        return "written"

    return action


def create(path):
    def action():
        with open(path, "xb"):
            return "created"

    return action


def connect(path):
    def action():
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET if path.endswith("keeper.sock") else socket.SOCK_STREAM) as s:
            s.settimeout(5)
            s.connect(path)
            if path.endswith("keeper.sock"):
                # Whoever gets as far as that is told why not, or served.
                answer = s.recv(65536)
                if b"may not speak" in answer:
                    raise OSError(errno.EPERM, "")
                return answer
            return "connected"

    return action


def remote_memory(pid):
    def action():
        buffer = ctypes.create_string_buffer(8)
        with open(f"/proc/{pid}/maps") as maps:
            start = int(maps.readline().split("-")[0], 16)
        local, remote = Iovec(ctypes.addressof(buffer), 8), Iovec(start, 8)
        return call(libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0))

    return action


def remote_memory_blind(pid):
    def action():
        buffer = ctypes.create_string_buffer(8)
        local, remote = Iovec(ctypes.addressof(buffer), 8), Iovec(0x400000, 8)
        return call(libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0))

    return action


def steal_descriptor(pid, number):
    def action():
        pidfd = call(libc.syscall(PIDFD_OPEN, pid, 0))
        return call(libc.syscall(PIDFD_GETFD, pidfd, number, 0))

    return action


def set_ids(uid):
    return lambda: call(libc.setresuid(uid, uid, uid))


def raise_capabilities():
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)(*[0xFFFFFFFF] * 6)
    return call(libc.capset(header, data))


def run_setuid_program(program):
    def action():
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(writing, 1)
            try:
                os.execv(program, [program, "-u"])
            except OSError as error:
                os.write(1, said(error.errno).encode())
            os._exit(1)
        os.close(writing)
        printed = os.read(reading, 100).decode().strip()
        os.waitpid(child, 0)
        if printed == "0":
            return "root"
        raise OSError(errno.EPERM, printed)

    return action


def mount_in_own_namespace():
    child = os.fork()
    if child == 0:
        if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS) == -1:
            os._exit(ctypes.get_errno())
        mounted = libc.mount(b"none", b"/proc", b"tmpfs", 0, None)
        os._exit(0 if mounted == 0 else ctypes.get_errno())
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 0:
        return "mounted"
    raise OSError(code, "")


def raw_socket():
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP):
        return "a raw socket"


def raise_limit():
    import resource

    resource_limit = resource.RLIMIT_CORE
    try:
        resource.setrlimit(resource_limit, (1 << 30, 1 << 30))
    except ValueError:
        raise OSError(errno.EPERM, "") from None
    return "raised"


def less_likely_out_of_memory():
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-900")
    return "written"


def everything(orders):
    victim, name = orders["victim"], orders["victim_worker"]
    run, log, state = orders["run"], orders["log"], orders["state"]
    attempt("read another worker's environment", read(f"/proc/{victim}/environ"))
    attempt("list another worker's descriptors", lambda: os.listdir(f"/proc/{victim}/fd"))
    attempt("open another worker's lease through its descriptor", read(f"/proc/{victim}/fd/3"))
    attempt("open another worker's credentials (memory file) through its descriptor", read(f"/proc/{victim}/fd/4"))
    attempt("take another worker's credentials with pidfd_getfd", steal_descriptor(victim, 4))
    attempt("read another worker's memory map", read(f"/proc/{victim}/maps"))
    attempt("open another worker's memory", read(f"/proc/{victim}/mem"))
    attempt("read another worker's memory with process_vm_readv", remote_memory_blind(victim))
    attempt("attach to another worker with ptrace", lambda: call(libc.ptrace(PTRACE_ATTACH, victim, 0, 0)))
    attempt("attach to the keeper with ptrace", lambda: call(libc.ptrace(PTRACE_ATTACH, orders["keeper"], 0, 0)))
    attempt("attach to the supervisor with ptrace", lambda: call(libc.ptrace(PTRACE_ATTACH, orders["brain"], 0, 0)))
    attempt("read the supervisor's environment", read(f"/proc/{orders['brain']}/environ"))
    attempt("read another worker's working directory through its process", lambda: os.listdir(f"/proc/{victim}/cwd"))
    for signal, what in [(15, "SIGTERM"), (9, "SIGKILL"), (19, "SIGSTOP")]:
        attempt(f"send {what} to another worker", lambda signal=signal: os.kill(victim, signal))
    attempt("send SIGKILL to the keeper", lambda: os.kill(orders["keeper"], 9))
    attempt("send SIGKILL to the supervisor", lambda: os.kill(orders["brain"], 9))
    attempt("read another worker's log", read(f"{log}/{name}.log"))
    attempt("write into another worker's log", write(f"{log}/{name}.log"))
    attempt("list the logs", lambda: os.listdir(log))
    attempt("open another worker's lease", read(f"{run}/lease/{name}"))
    attempt("write into another worker's lease", write(f"{run}/lease/{name}"))
    attempt("read another worker's flight record", read(f"{run}/flight/{name}"))
    attempt("write into another worker's flight record", write(f"{run}/flight/{name}"))
    attempt("list another worker's own directory", lambda: os.listdir(f"{run}/work/{name}"))
    attempt("create a file in another worker's own directory", create(f"{run}/work/{name}/x"))
    attempt("list the runtime directory", lambda: os.listdir(run))
    attempt("create a file in the runtime directory", create(f"{run}/x"))
    attempt("list the state directory", lambda: os.listdir(state))
    attempt("read the configuration", read(orders["config"]))
    attempt("read the master key", read(orders["master_key"]))
    attempt("speak to the keeper", connect(f"{run}/keeper.sock"))
    attempt("speak to the admin API's socket", connect(f"{run}/api.sock"))
    attempt("read /etc/shadow", read("/etc/shadow"))
    attempt("create a file in /tmp", create("/tmp/etl-probe"))
    attempt("create a file in /var/tmp", create("/var/tmp/etl-probe"))
    attempt("create a file in /dev/shm", create("/dev/shm/etl-probe"))
    attempt("list /root", lambda: os.listdir("/root"))
    attempt("become root", set_ids(0))
    attempt("become another tenant's user", set_ids(orders["victim_uid"]))
    attempt("take a supplementary group", lambda: os.setgroups([0]))
    attempt("raise capabilities", raise_capabilities)
    attempt("become root with a setuid program", run_setuid_program(orders["setuid_id"]))
    attempt("mount a file system, as root of a user namespace of its own", mount_in_own_namespace)
    attempt("open a raw socket", raw_socket)
    attempt("raise a hard resource limit", raise_limit)
    attempt("be spared by the out-of-memory killer", less_likely_out_of_memory)
    if orders.get("cgroup_parent"):
        attempt("leave its control group", write(f"{orders['cgroup_parent']}/cgroup.procs"))
        attempt("raise the limits of its control group", write(f"{orders['own_cgroup']}/pids.max"))
    tell("end", "end", True)


def main():
    path, tenant = sys.argv[1], int(sys.argv[2])
    while not os.path.exists(path):
        time.sleep(0.05)
    with open(path) as file:
        orders = json.load(file)
    if tenant == orders["attacker"]:
        everything(orders)
    while True:
        time.sleep(1000)


main()
