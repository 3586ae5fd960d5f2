"""Notebooks in kernels: started early, run by papermill, judged, and written in a form that two runs share."""

import asyncio
import os
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from queue import Empty
from threading import Timer

# nbformat reaches this optional module through jsonschema: 1.7 s of grammars at import, only to check URIs.
sys.modules.setdefault("rfc3987_syntax", None)

import nbformat  # noqa: E402
from jupyter_client import AsyncKernelClient, AsyncKernelManager  # noqa: E402
from jupyter_client.provisioning import LocalProvisioner  # noqa: E402
from nbclient.exceptions import DeadKernelError  # noqa: E402
from papermill import clientwrap, engines, execute  # noqa: E402

from helpers.cache import Made, link  # noqa: E402
from helpers.contracts import READ, SPILL  # noqa: E402
from helpers.inputs import files_below, newer, sha256  # noqa: E402
from helpers.plan import Notebook, Run  # noqa: E402
from helpers.safety import ended, refused, remedy  # noqa: E402
from helpers.zygote import SINGLE, Zygote  # noqa: E402

IMPORTS = "from helpers import charts, marts, pages\nfrom helpers.metrics import ltv_cac"


class Provisioner(LocalProvisioner):
    """Starts a kernel by a fork of the run's zygote; on any trouble an ordinary one, as jupyter_client does, and says why."""

    zygote: Zygote
    ahead = True
    trouble = ""

    async def launch_kernel(self, cmd: list[str], **kwargs) -> dict:
        try:
            self.process = self.zygote.fork(cmd[cmd.index("-f") + 1], kwargs["cwd"], kwargs["stdout"].fileno(), self.ahead)
        except (OSError, ValueError) as error:
            self.trouble = f"an ordinary kernel, for the zygote cannot serve: {error}"
            return await super().launch_kernel(cmd, **kwargs)
        self.pid = self.pgid = self.process.pid
        return self.connection_info

    async def kill(self, restart: bool = False) -> None:
        """As jupyter_client does, which then looks ten times a second only whether it has gone; that takes milliseconds."""
        await super().kill(restart)
        until = time.monotonic() + 1
        while await self.poll() is None and time.monotonic() < until:
            await asyncio.sleep(0.002)


class Client(AsyncKernelClient):
    """A client of a kernel that had no other one."""

    async def wait_for_ready(self, timeout: float = 60) -> None:
        """Until the kernel answers, and its outputs arrive. Raises RuntimeError, as jupyter_client does, where it does not.

        jupyter_client then listens a fifth of a second for what other clients have asked for; here there are none.
        """
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            self.kernel_info()
            with suppress(Empty):
                reply = await self.shell_channel.get_msg(timeout=1)
                await self.iopub_channel.get_msg(timeout=0.2)
                self._handle_kernel_info_reply(reply)
                return
            if not await self.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
        raise RuntimeError(f"Kernel did not answer in {timeout} seconds")


def warm(run: Run, notebook: Notebook, ahead: bool) -> None:
    """Start a notebook's kernel; ahead of its time, while a processor has time for it, with all that the notebooks import."""
    if run.closed:
        raise InterruptedError("the run was stopped")
    notebook.kernel, notebook.noise = AsyncKernelManager(kernel_name="python3", client_factory=Client), tempfile.TemporaryFile()
    how = {"kernel_id": notebook.name, "kernel_spec": notebook.kernel.kernel_spec, "parent": notebook.kernel}
    notebook.kernel.provisioner = Provisioner(**how)
    notebook.kernel.provisioner.zygote, notebook.kernel.provisioner.ahead = run.zygote, ahead
    streams = dict.fromkeys(("stdout", "stderr"), notebook.noise)
    asyncio.run(notebook.kernel.start_kernel(cwd=str(notebook.path.parent), env=os.environ | SINGLE, **streams))
    run.log(notebook, notebook.kernel.provisioner.trouble)
    run.kernels.append(notebook.kernel)
    if ahead:
        client = notebook.kernel.blocking_client()
        client.start_channels(iopub=False, stdin=False, hb=False, control=False)
        client.execute(IMPORTS, silent=True, store_history=False)  # not waited for: the first cell will be
        client.stop_channels()


class Engine(engines.NBClientEngine):
    """papermill's engine, on a kernel of the run, whose noise is kept off the terminal."""

    @classmethod
    def execute_managed_notebook(cls, nb_man, kernel_name, *, run, notebook, **_) -> None:
        def on_cell_start(cell: nbformat.NotebookNode, cell_index: int) -> None:
            if run.closed:
                raise InterruptedError("the run was stopped")
            notebook.at = cell_index
            run.progress(notebook.name, "running", f"cell {cell_index + 1} of {len(nb_man.nb.cells)}")

        how = {"on_cell_start": on_cell_start, "coalesce_streams": True}  # text arrives in pieces cut by chance
        client = clientwrap.PapermillNotebookClient(nb_man, km=notebook.kernel, kernel_name=kernel_name, **how)
        process = notebook.kernel.provisioner.process
        alarm = Timer(run.timeout * 60, process.kill)
        alarm.start()
        try:
            client.execute()
        except RuntimeError as error:  # so nbclient and jupyter_client say that a kernel has gone
            if (code := process.poll()) is None or run.closed:
                raise
            if alarm.finished.is_set():
                raise TimeoutError(f"the notebook took longer than {run.timeout:g} minutes. Look what is slow in this "
                                   "cell, or allow more with --timeout.") from error
            raise DeadKernelError(ended(code)) from error
        finally:
            notebook.executed = nb_man.nb
            alarm.cancel()
            if client.kc:
                client.kc.stop_channels()
            asyncio.run(notebook.kernel.shutdown_kernel(now=True))


def execute_all(run: Run, stages: list[list[Notebook]], jobs: int) -> None:
    """Run the stages in turn, each on what those before it made; a failure skips the later stages, not its neighbours."""
    engines.papermill_engines.register("report", Engine)
    with ThreadPoolExecutor(jobs) as pool, closing(run):
        for stage, later in zip(stages, [*stages[1:], []], strict=True):
            failed = [notebook.name for earlier in stages for notebook in earlier if notebook.error]
            for notebook in stage if failed else []:
                run.tell(notebook, "skipped", f"needs {', '.join(failed)}")
            given, chosen = dict(run.files), [] if failed else [(n, run.cache.key(n.path, n.reads, run.files)) for n in stage]
            rest = [(notebook, key) for notebook, key in chosen if not reuse(run, notebook, key)]
            cold = [notebook for notebook, _ in rest[:jobs] if notebook.kernel is None]
            list(pool.map(partial(warm, run, ahead=False), cold))  # before others are asked for, which take longer
            tasks = [pool.submit(run_and_keep, run, notebook, key, given) for notebook, key in rest]
            tasks += [pool.submit(warm, run, notebook, ahead=True) for notebook in (later[:jobs] if rest else [])]
            for task in tasks:
                task.result()


def reuse(run: Run, notebook: Notebook, key: str | None) -> bool:
    """Take what the notebook made before, if nothing that it rests on has changed."""
    made = None if run.force else run.cache.whole(notebook.name, key)
    if made is None:
        return False
    run.cache.take(notebook.name, run.work)
    run.files |= made.given
    notebook.title, notebook.seconds = made.title, made.seconds
    notebook.executed = nbformat.read(run.work / "notebooks" / notebook.path.name, 4)
    run.log(notebook, "\n".join(made.said))
    run.tell(notebook, "reused", "nothing that it rests on has changed")
    return True


def run_and_keep(run: Run, notebook: Notebook, key: str | None, given: dict[str, str]) -> None:
    """Run a notebook, and keep what it makes for later runs where it is known what that rests on."""
    with run.clock(notebook.name) as details:
        files = run_notebook(run, notebook, given)
        details += notebook.slowest
    now = run.cache.key(notebook.path, notebook.reads, given)  # the sources may have changed meanwhile, or just been made
    made = Made(key=now or "", title=notebook.title, seconds=notebook.seconds, files=files, said=notebook.said)
    run.files |= made.given
    if now and key in (now, None) and not notebook.error and not newer(run.zygote.started, [notebook.path]):
        run.log(notebook, run.cache.keep(notebook.name, made, run.work))


def run_notebook(run: Run, notebook: Notebook, given: dict[str, str]) -> dict[str, str]:
    """Execute a notebook on the files that are given, judge it, write its canonical form; the SHA-256 of what it made."""
    run.tell(notebook, "running")
    begun, crash, target = datetime.now(UTC), None, run.work / "notebooks" / notebook.path.name
    aside, settings = run.aside(notebook)
    settings.write_text(run.cache.settings(notebook.reads, settings.parent), encoding="utf-8")
    for path in (*given, "params.yaml"):
        link(run.work / path, aside / path)
    if run.read:
        with suppress(OSError):  # it costs time
            (aside / READ).symlink_to(run.read)
    before = stamps(aside)
    parameters = {"params_file": str(settings), "month": run.params.report.month, "run_dir": str(aside)}
    how = {"engine_name": "report", "kernel_name": "python3", "language": "python", "progress_bar": False}
    for again in (True, False):
        try:
            if notebook.kernel is None:
                warm(run, notebook, ahead=False)
            # without a file: papermill would write the notebook anew before and after each cell
            execute.execute_notebook(notebook.path, None, parameters, **how, run=run, notebook=notebook)
        except Exception as error:  # whatever ended it, the cells say where
            if refused(error):
                raise  # they may be half written
            crash = error
        with notebook.noise as noise:
            noise.seek(0)
            run.note(notebook, noise.read().decode(errors="replace"))
        began = notebook.executed and any(cell.get("execution_count") for cell in notebook.executed.cells)
        if began or not (again and isinstance(crash, DeadKernelError)):
            break
        run.log(notebook, "its kernel ended before the first cell, as when another process takes its port: once more")
        notebook.kernel = crash = None
    notebook.executed = execute.remove_error_markers(notebook.executed or nbformat.read(notebook.path, 4))
    judge(notebook, crash)
    notebook.slowest = slowest(notebook.executed.cells)
    notebook.executed = canonical(run, notebook)
    nbformat.write(notebook.executed, target)
    files = gather(run, notebook, before) | {f"notebooks/{target.name}": sha256(target)}
    notebook.seconds = round((datetime.now(UTC) - begun).total_seconds(), 2)
    run.tell(notebook, "failed" if notebook.error else "done", f"{notebook.seconds:.1f} s")
    return files


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """When each file below was last written, and its size."""
    found = {path: file.stat() for path, file in files_below(folder).items() if not path.startswith(SPILL)}
    return {path: (of.st_mtime_ns, of.st_size) for path, of in found.items()}


def gather(run: Run, notebook: Notebook, before: dict[str, tuple[int, int]]) -> dict[str, str]:
    """Move what a notebook made into the folder of the run; the SHA-256 of each file by its path.

    before : the `stamps` of what it was given. One that it changed, or a file that a neighbour made, fails it: what comes of
    such a report hangs on which of them was first.
    """
    aside, _ = run.aside(notebook)
    now = stamps(aside)
    others = [path for path in now if path not in before and (run.work / path).exists()]
    others += [path for path in before if now.get(path) != before[path]]
    if others and not notebook.error:
        notebook.ename, names = "FileChanged", ", ".join(sorted(others)[:5])
        notebook.error = f"its files: {names} was made by another notebook, too; write to a name of its own"
    made = {path: aside / path for path in now.keys() - before.keys() - {*others}}
    for path, file in made.items():
        (run.work / path).parent.mkdir(parents=True, exist_ok=True)
        file.replace(run.work / path)
    shutil.rmtree(aside)
    return {path: sha256(run.work / path) for path in sorted(made)}


def judge(notebook: Notebook, crash: Exception | None) -> None:
    """Find the title and the error; papermill's own statuses call cells of killed and left kernels completed."""
    heading, number = "", 0  # the number its author sees: the injected cell does not count
    told = (type(crash).__name__, str(crash)) if crash else ("NotRun", "the cell never ran")
    for index, cell in enumerate(notebook.executed.cells):
        number += "injected-parameters" not in cell.metadata.get("tags", [])
        for level, text in re.findall(r"^(#+) +(.+)$", cell.source, re.M) if cell.cell_type == "markdown" else []:
            notebook.title, heading = text if level == "#" and not heading else notebook.title, text
        errors = [(output.ename, output.evalue) for output in cell.get("outputs", []) if output.output_type == "error"]
        never_ran = cell.cell_type == "code" and cell.source.strip() and cell.execution_count is None
        if errors or never_ran or (crash and index == notebook.at):
            notebook.ename, evalue = (errors or [told])[0]
            where = f"cell {number} under '{heading}'" if heading else f"cell {number}"
            notebook.error = evalue if notebook.ename == "ReportError" else f"{where}: {notebook.ename}: {evalue}"
            if hint := remedy(notebook.error):  # the user's to mend
                notebook.ename, notebook.error = "ReportError", f"{notebook.name}, {notebook.error}\n{hint}"
            return


def slowest(cells: list[nbformat.NotebookNode], most: int = 4) -> list[str]:
    """The time of all cells, and of those that took longest, under their headings; papermill noted it."""
    heading, took = "the top", []
    for cell in cells:
        heading = ([heading] + re.findall(r"^#+ +(.+)$", cell.source, re.M))[-1] if cell.cell_type == "markdown" else heading
        took.append((cell.metadata.get("papermill", {}).get("duration") or 0, heading))
    longest = [f"{seconds:.2f} under '{name}'" for seconds, name in sorted(took, reverse=True)[:most] if seconds > 0.05]
    return [f"cells {sum(seconds for seconds, _ in took):.2f}", *longest]


def canonical(run: Run, notebook: Notebook) -> nbformat.NotebookNode:
    """The executed notebook without times, chance and this machine's paths: two runs are then equal."""
    notebook.executed.metadata.pop("papermill", None)
    for number, cell in enumerate(notebook.executed.cells, 1):
        cell.id = f"cell-{number}"
        cell.metadata = {k: v for k, v in cell.metadata.items() if v and k not in ("papermill", "execution")}
        if cell.cell_type == "code":  # warnings name files and processes of this machine: they go to the run log
            run.note(notebook, "".join(output.text for output in cell.outputs if output.get("name") == "stderr"))
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for data in [output.data for output in cell.get("outputs", []) if "data" in output]:
            if any(kind.startswith(("text/", "image/")) for kind in data if kind != "text/plain"):
                data["text/plain"] = ""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", nbformat.writes(notebook.executed))
    for path, shown in zip((*run.aside(notebook), run.work), (run.shown, f"{run.shown}/params.yaml", run.shown), strict=True):
        text = text.replace(str(path), shown)
    return nbformat.reads(text, 4)
