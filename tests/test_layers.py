"""Who may import whom, that an import changes nothing, and that helpers stay small."""

import ast
import json
import subprocess
import sys

import pytest

from helpers.contracts import ROOT

HELPERS = ROOT / "helpers"
MODULES = sorted(HELPERS.rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LINE_BUDGET = 10_700

# Each part of helpers, and the parts that it may import beside itself (see design.md): the direction may not turn.
ALLOWED = {
    "contracts": set(),
    "settings": {"contracts"},
    "params": {"contracts", "settings"},
    "engine": {"contracts"},
    "inputs": {"contracts", "params", "settings"},
    "sources": {"contracts", "settings", "engine", "inputs"},
    "demo": {"contracts"},
    "refusals": {"contracts", "settings", "engine", "sources"},
    "marts": {"contracts", "params", "settings", "engine", "sources", "demo", "refusals"},
    "models": set(),
    "metrics": {"contracts", "models"},
    "charts": {"contracts"},
    "tables": {"contracts"},
    "verdicts": {"contracts", "models", "tables"},
    "findings": {"models", "tables"},
    "pages": {"contracts", "tables", "verdicts", "charts", "findings"},   # what notebooks show: no engine, no metrics
    "cover": {"contracts", "tables", "verdicts", "charts", "findings", "pages"},
    "pdf": {"contracts"},
    "safety": {"contracts"},
    "zygote": set(),
    "cache": {"contracts", "params", "settings", "inputs"},
    "plan": {"contracts", "settings", "zygote", "cache"},             # sees notebooks as files, as all below do
    "kernels": {"contracts", "inputs", "safety", "zygote", "cache", "plan"},
    "rendering": {"contracts", "inputs", "safety", "plan"},
    "runner": {"contracts", "params", "pdf", "inputs", "cache", "safety", "zygote", "plan", "kernels", "rendering"},
    "proof": {"contracts", "params", "inputs", "marts", "plan", "runner"},
    "comparison": {"contracts", "inputs", "tables", "rendering", "proof"},
    "months": {"contracts", "params", "settings", "tables", "charts", "findings", "zygote", "rendering", "runner", "safety"},
    "__main__": {"contracts", "params", "sources", "demo", "marts", "metrics", "safety", "zygote", "plan", "runner",
                 "months", "proof", "comparison"},
}
# Statements that act at import, each with its reason where it stands.
ACTS = dict.fromkeys(("kernels.py", "rendering.py"), ["sys.modules.setdefault('rfc3987_syntax', None)"])


def part(dotted: str) -> str:
    """The part of helpers that holds a module: `helpers.models.sbg` lies in `models`."""
    return dotted.split(".")[1]


def name_of(path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(source: str, package: str) -> set[str]:
    """Full names of all modules of ours that some code imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" if base == "helpers" else base for alias in node.names}
    return {name for name in found if name.split(".")[0] == "helpers"}


def package_of(path) -> str:
    return ".".join(path.relative_to(ROOT).parent.parts)


def cells(path) -> list[str]:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_every_module_has_its_place():
    assert {part(name_of(path)) for path in MODULES if name_of(path) != "helpers"} <= set(ALLOWED)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_keep_their_direction(path):
    if name_of(path) == "helpers":
        assert not imports(path.read_text(encoding="utf-8"), "helpers")
        return
    own = part(name_of(path))
    used = {part(name) for name in imports(path.read_text(encoding="utf-8"), package_of(path))}
    assert used <= ALLOWED[own] | {own}


def test_relative_imports_and_imports_of_names_are_seen():
    assert imports("from .intervals import Estimate", "helpers.models") == {"helpers.models.intervals"}
    assert imports("from ..engine import Engine", "helpers.models") == {"helpers.engine"}
    assert imports("from .. import engine", "helpers.models") == {"helpers.engine"}
    assert imports("from helpers import tables, verdicts", "helpers") == {"helpers.tables", "helpers.verdicts"}
    assert imports("def late():\n    import helpers.marts", "helpers") == {"helpers.marts"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_imports_public_modules_of_helpers_only(path):
    for node in [node for cell in cells(path) for node in ast.walk(ast.parse(cell))]:
        if isinstance(node, ast.Import):
            modules, names = [alias.name for alias in node.names], []
        elif isinstance(node, ast.ImportFrom):
            modules, names = [node.module], [alias.name for alias in node.names]
        else:
            continue
        for module in modules:
            assert module.split(".")[0] == "helpers", f"{path.name} imports {module}"
        assert not [name for name in [*names, *".".join(modules).split(".")] if name.startswith("_") or name == "*"]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_only_defines(path):
    """At the top stand imports, definitions and constants; nothing is called for what it does."""
    acts = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        is_main = isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        defines = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
        if not (is_main or is_text or isinstance(node, defines)):
            acts.append(ast.unparse(node))
    assert acts == ACTS.get(path.relative_to(HELPERS).as_posix(), [])


STATE = """
import importlib, logging, os, sys, warnings
import IPython.display, matplotlib, nbconvert, numpy, pandas, papermill, pydantic, scipy.stats, seaborn, typer

def state():
    options = repr(pandas.options.d)
    drawing = {key: repr(value) for key, value in matplotlib.rcParams.items()}
    random = repr(numpy.random.get_state())
    loggers = [repr(logging.root.handlers), logging.root.level]
    floats, filters = repr(numpy.geterr()), repr(warnings.filters)
    return [options, drawing, random, loggers, filters, floats, dict(os.environ), os.getcwd()]

before = state()
for name in sys.argv[1:]:
    importlib.import_module(name)
print([index for index, (old, new) in enumerate(zip(before, state())) if old != new])
"""


def test_importing_helpers_changes_no_state_of_the_process():
    """Neither options of pandas, styles, chance, logging, warnings, float errors, environment nor folder."""
    names = [name_of(path) for path in MODULES if path.stem != "__main__"]
    command = [sys.executable, "-c", STATE, *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_helpers_stay_small(capsys):
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES)
    with capsys.disabled():
        print(f"\nhelpers: {lines} of {LINE_BUDGET} lines of Python")
    assert lines < LINE_BUDGET


def test_ruff_finds_nothing():
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", "."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
