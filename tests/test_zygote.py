"""Forked kernels are kernels like others: their output, folder, chance, plots and end; and without forks all goes on."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from jupyter_client import AsyncKernelManager
from test_runner import project

from helpers import kernels, runner, zygote
from helpers.zygote import Zygote


class Kernel:
    """A kernel forked by a zygote in a folder, asked one cell at a time."""

    def __init__(self, parent: Zygote, folder) -> None:
        self.manager, self.noise = AsyncKernelManager(kernel_name="python3"), tempfile.TemporaryFile()
        self.manager.provisioner = kernels.Provisioner(
            kernel_id="k", kernel_spec=self.manager.kernel_spec, parent=self.manager)
        self.manager.provisioner.zygote = parent
        asyncio.run(self.manager.start_kernel(cwd=str(folder), stdout=self.noise, stderr=self.noise))
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)  # else what it first says may be missed

    @property
    def process(self):
        return self.manager.provisioner.process

    def ask(self, code: str) -> str:
        """What a cell shows: its text, and the kinds of its pictures."""
        shown = []

        def keep(message):
            content = message["content"]
            shown.append(content.get("text", "") + " ".join(sorted(content.get("data", {}))))

        self.client.execute_interactive(code, timeout=60, output_hook=keep)
        return "".join(shown).strip()

    def end(self) -> None:
        self.client.stop_channels()
        asyncio.run(self.manager.shutdown_kernel(now=True))


@pytest.fixture(scope="module")
def parent():
    found = Zygote()
    yield found
    found.close()


@pytest.fixture
def kernel(parent, tmp_path):
    found = Kernel(parent, tmp_path)
    yield found
    found.end()


def gone(pid: int) -> bool:
    """Whether a process ends within ten seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_a_forked_kernel_has_the_imports_and_its_own_folder(kernel, tmp_path):
    assert isinstance(kernel.process, zygote.Forked)
    assert kernel.ask("import sys, os; print('seaborn' in sys.modules, os.getcwd())") == f"True {tmp_path}"


def test_a_plot_of_an_analyst_is_shown_as_in_an_ordinary_kernel(kernel):
    assert kernel.ask("import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()") == "image/png text/plain"


def test_a_forked_kernel_has_no_debugger_and_leaves_nothing_in_the_history_of_its_user(kernel):
    assert kernel.ask("import sys; print(sys.modules['debugpy'], get_ipython().history_manager.enabled)") == "None False"


def test_what_the_process_itself_says_goes_to_its_noise(kernel):
    assert kernel.ask("import os; print(os.write(2, b'a word'))") == "6"
    kernel.noise.seek(0)
    assert b"a word" in kernel.noise.read()


def test_two_forks_draw_different_numbers(parent, tmp_path, kernel):
    other, draw = Kernel(parent, tmp_path), "import random, numpy; print(random.random(), numpy.random.rand())"
    first, second = kernel.ask(draw).split(), other.ask(draw).split()
    other.end()
    assert first[0] != second[0] and first[1] != second[1]


def test_a_killed_kernel_is_told_by_its_signal(kernel):
    assert kernel.process.poll() is None
    os.kill(kernel.process.pid, signal.SIGKILL)
    while kernel.process.poll() is None:
        time.sleep(0.05)
    assert kernel.process.poll() == kernel.process.wait() == -9


def test_kernels_end_with_the_zygote(tmp_path):
    mine = Zygote()
    pid = Kernel(mine, tmp_path).process.pid
    mine.close()
    assert gone(pid)
    with pytest.raises(OSError, match="no fork"):
        mine.ask({"poll": pid})


def test_a_killed_run_leaves_no_process(tmp_path):
    """The run's process ends by kill -9; its zygote and the kernels of it follow."""
    program = (
        f"import os, sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\nfrom test_zygote import Kernel, Zygote\n"
        f"z = Zygote(); k = Kernel(z, {str(tmp_path)!r}); print(z.process.pid, k.process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == -9
    assert [gone(int(pid)) for pid in done.stdout.split()] == [True, True]


@pytest.mark.parametrize("trouble", ["killed", "no fork"])
def test_without_a_zygote_ordinary_kernels_run_and_the_log_says_so(tmp_path, monkeypatch, trouble):
    where = project(tmp_path, n01_prep=["# One", "print('here')"], n02_summary=["# Two", "print('there')"])
    if trouble == "no fork":
        monkeypatch.delattr(os, "fork")
    mine = Zygote()
    if trouble == "killed":
        mine.process.kill()
        mine.process.wait()
    index = runner.run_report(**where, zygote=mine)
    log = (index.parent / "run.log").read_text()
    assert "there" in index.read_text() and log.count("an ordinary kernel, for the zygote cannot serve") == 2


def test_a_kernel_that_ends_before_its_first_cell_is_started_once_more(tmp_path, monkeypatch):
    """A port that was free when it was chosen may be taken when the kernel binds it."""
    where, warm, calls = project(tmp_path, n01_prep=["# One", "print('here')"]), kernels.warm, []

    def early(run, notebook, ahead):
        warm(run, notebook, ahead)
        calls.append(notebook.name)
        if len(calls) == 1:
            notebook.kernel.provisioner.process.kill()

    monkeypatch.setattr(kernels, "warm", early)
    log = (runner.run_report(**where).parent / "run.log").read_text()
    assert calls == ["01_prep"] * 2 and "its kernel ended before the first cell" in log and "01_prep: done" in log


def test_a_run_forks_its_kernels_those_ahead_of_their_time_with_all_imports(tmp_path):
    ask = "import sys; print('has', 'helpers.marts' in sys.modules, 'seaborn' in sys.modules)"
    index = runner.run_report(**project(tmp_path, n01_prep=["# One", ask], n02_summary=["# Two", ask]))
    first, ahead = ((index.parent / "notebooks" / f"{name}.ipynb").read_text() for name in ("01_prep", "02_summary"))
    assert "has True" in first and "has True True" in ahead
    assert "ordinary" not in (index.parent / "run.log").read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what a process has loaded")
def test_a_kernel_that_cannot_wait_is_forked_before_all_is_imported(tmp_path):
    mine = Zygote()
    pids = [mine.fork(str(tmp_path / f"{whole}.json"), str(tmp_path), 2, whole).pid for whole in (False, True)]
    assert ["scipy/stats/" in Path(f"/proc/{pid}/maps").read_text() for pid in pids] == [False, True]
    mine.close()
