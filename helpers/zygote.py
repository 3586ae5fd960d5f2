"""A process that has imported what every kernel needs, and forks a ready kernel whenever it is asked for one.

Linux and macOS; elsewhere, and on any trouble, `fork` raises OSError and the caller starts an ordinary kernel.
"""

import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from select import select

FIRST = ("ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "helpers.charts", "helpers.marts", "helpers.pages")
# What the first kernel does not wait for: its notebook reads the sources, and needs little of it.
LATER = ("seaborn", "helpers.cover",
         *(f"helpers.metrics.{path.stem}" for path in sorted((Path(__file__).parent / "metrics").glob("[a-z]*.py"))))
# A fork copies one thread alone, so the libraries may keep no pool of them; two kernels share the processors anyway.
SINGLE = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}


class Zygote:
    """The parent's side: start it early, it imports meanwhile; one request at a time, from any thread."""

    def __init__(self) -> None:
        self.lock, self.process, self.asked = threading.Lock(), None, False
        self.started = time.time()  # kernels run the code as it stood then
        if not hasattr(os, "fork"):
            return
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: a file of the folder that a user stands in must not stand for a module
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "helpers.zygote", str(theirs.fileno())], pass_fds=[theirs.fileno()],
                env=os.environ | SINGLE, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is the runner's to handle
            )
        ours.settimeout(60)
        self.link, self.answers = ours, ours.makefile("r", encoding="utf-8")

    def ask(self, request: dict, *files: int) -> int | None:
        """The answer to a request. Raises OSError where the zygote cannot serve."""
        with self.lock:
            if self.process is None:
                raise OSError("there is no fork here")
            self.asked = True
            socket.send_fds(self.link, [json.dumps(request).encode() + b"\n"], files)
            if not (answer := self.answers.readline()):
                raise OSError("it has gone")
        return json.loads(answer)

    def fork(self, connection_file: str, cwd: str, noise: int, whole: bool = True) -> "Forked":
        """A kernel on the ports of a connection file, its output in the open file `noise`. Raises OSError.

        whole : with all that notebooks need; else with what is imported by now, sooner.
        """
        return Forked(self, self.ask({"connection_file": connection_file, "cwd": cwd, "whole": whole}, noise))

    def close(self) -> None:
        """End it, and with it the kernels that it forked."""
        if self.process:
            if not self.asked:  # it has forked none, and may still be importing
                self.process.kill()
            self.answers.close()
            self.link.close()
            self.process.wait()
            self.process = None


class Forked:
    """A forked kernel, with what jupyter_client asks of a subprocess.Popen."""

    stdin = stdout = stderr = None

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self.zygote, self.pid, self.returncode = zygote, pid, None

    def poll(self) -> int | None:
        """The exit code, -N where signal N ended it; None while it lives."""
        if self.returncode is None:
            try:
                self.returncode = self.zygote.ask({"poll": self.pid})
            except OSError:  # a kernel goes with its zygote
                self.returncode = -signal.SIGKILL
        return self.returncode

    wait = poll  # asked for once it has ended

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.killpg(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def serve(link: socket.socket) -> None:
    """Fork kernels until the other side closes the link; then end them."""
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as ipykernel does, before it is imported
    sys.modules["debugpy"] = None  # no debugger enters a run, and each kernel would take a fifth of a second to import it
    run, later, living = os.getppid(), [partial(import_module, module) for module in LATER], set()
    for module in FIRST:
        import_module(module)
    later.append(import_module("helpers.pages").rehearse)
    while os.getppid() == run:  # else the run was killed
        if later and not select([link], [], [], 0)[0]:
            later.pop(0)()
            continue
        message, files, *_ = socket.recv_fds(link, 1 << 16, 1)
        if not message:
            break
        request = json.loads(message)
        while request.get("whole") and later:
            later.pop(0)()
        if "poll" in request:
            pid, code = os.waitpid(request["poll"], os.WNOHANG) if request["poll"] in living else (request["poll"], 0)
            living -= {pid}
            answer = os.waitstatus_to_exitcode(code) if pid else None
        elif threads() > 1:
            break
        elif answer := fork():
            os.setpgid(answer, answer)
            living.add(answer)
        else:
            link.close()
            return become_kernel(request, *files)
        for file in files:
            os.close(file)
        link.sendall(json.dumps(answer).encode() + b"\n")
    for pid in living:
        os.killpg(pid, signal.SIGKILL)
    os._exit(0)  # to take down what was imported would cost the run a tenth of a second


def fork() -> int:
    """As `os.fork`; the pages of what is imported stay shared."""
    gc.collect()
    gc.freeze()
    return os.fork()


def become_kernel(request: dict, noise: int) -> None:
    """In the forked process: a group, an output and a folder of its own, then an IPython kernel until it is shut down."""
    import numpy
    from ipykernel.kernelapp import IPKernelApp

    os.setpgid(0, 0)
    os.dup2(noise, 1)
    os.dup2(noise, 2)
    os.close(noise)
    os.chdir(request["cwd"])
    gc.unfreeze()
    numpy.random.seed()  # noqa: NPY002  else what analysts draw would be the same in all kernels
    # a run's cells have no place in the history of what its user typed
    sys.argv = ["ipykernel_launcher", "-f", request["connection_file"], "--HistoryManager.enabled=False"]
    app = IPKernelApp.instance(parent_handle=os.getppid())
    app.initialize(sys.argv[1:])
    app.start()


def threads() -> int:
    """Threads of this process, those of libraries included where the system tells."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
