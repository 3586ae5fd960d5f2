"""The notebooks as stored: prose before code, one parameters cell, no logic, no outputs; they read well without the kit."""

import ast
import json
import re

import pytest

from helpers.contracts import ROOT
from helpers.plan import plan

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = ["01_data_prep", "02_ltv_cac", "03_rfm", "04_pricing_tiers", "05_retention", "06_summary"]
HEADLINES = {"01_data_prep": 1, "02_ltv_cac": 3, "03_rfm": 1, "04_pricing_tiers": 1, "05_retention": 2, "06_summary": 1}


def cells(path, kind):
    return [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == kind]


def source(cell):
    return "".join(cell["source"])


def test_the_six_notebooks_are_there_and_run_in_order():
    assert [path.stem for path in NOTEBOOKS] == NAMES
    assert [notebook.name for wave in plan(ROOT / "notebooks", ()) for notebook in wave] == NAMES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestStored:
    def test_without_outputs_and_counts(self, path):
        assert [c for c in cells(path, "code") if c["outputs"] or c["execution_count"] is not None] == []

    def test_one_cell_is_tagged_parameters_and_names_the_three(self, path):
        tagged = [c for c in cells(path, "code") if "parameters" in c["metadata"].get("tags", [])]
        assert [re.findall(r"^(\w+) = ", source(c), re.M) for c in tagged] == [["params_file", "month", "run_dir"]]

    def test_no_logic(self, path):
        banned = ast.FunctionDef | ast.ClassDef | ast.For | ast.While | ast.If | ast.Try | ast.With
        trees = [ast.parse(source(cell)) for cell in cells(path, "code")]
        assert [ast.unparse(node) for tree in trees for node in ast.walk(tree) if isinstance(node, banned)] == []

    def test_cells_are_short(self, path):
        assert [source(c) for c in cells(path, "code") if len(source(c).splitlines()) > 12] == []

    def test_starts_with_one_title_and_every_section_has_prose(self, path):
        text = "\n".join(source(cell) for cell in cells(path, "markdown"))
        assert text.startswith("# ") and len(re.findall(r"^# ", text, re.M)) == 1
        assert "## " in text

    def test_only_prose_without_findings(self, path):
        text = "\n".join(source(cell) for cell in cells(path, "markdown"))
        assert re.findall(r"\d+[.,]\d+ ?%|\$ ?\d|\d{4}-\d\d", text) == []

    def test_headlines_are_recomputed_and_asserted(self, path):
        working = [c for c in cells(path, "code") if "Recomputed in plain pandas" in source(c)]
        assert len(working) == HEADLINES[path.stem] and all("assert " in source(c) for c in working)

    def test_every_figure_is_made_from_facts(self, path):
        code = "\n".join(source(cell) for cell in cells(path, "code"))
        assert "captioned(" not in code                          # page.figure writes caption, alt text and data
        assert code.count("page.figure(") == code.count("source=") and code.count("page.figure(") <= code.count("findings.")

    def test_ends_with_its_notes(self, path):
        assert source(cells(path, "code")[-1]) == "page.notes()"
