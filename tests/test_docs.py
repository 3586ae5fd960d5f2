"""The guide to an own metric does what it says: its query, definition and cells are run as they stand there."""

import re

import numpy as np
import pandas as pd
import pytest
import yaml

from helpers import engine, marts, pages
from helpers.contracts import ROOT, definitions

GUIDE = (ROOT / "docs" / "add-a-metric.md").read_text(encoding="utf-8")
BLOCKS = {kind: re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, re.M | re.S) for kind in ("sql", "yaml", "python")}


@pytest.fixture
def known(monkeypatch):
    """The guide's query and definition, as if they stood in their files."""
    [sql], [entry] = BLOCKS["sql"], BLOCKS["yaml"]
    written = engine.read_sql
    asked = lambda name: sql if name == "summaries/several_orders" else written(name)  # noqa: E731
    monkeypatch.setattr(engine, "read_sql", asked)
    monkeypatch.setattr(marts, "read_sql", asked)
    monkeypatch.setattr(pages, "definitions", lambda: definitions() | yaml.safe_load(entry))


def run_cells(book) -> dict:
    """The guide's cells, one after the other, as in a notebook; returns its names."""
    params_file = str(next(book.run_dir.parent.glob("*.yaml")))
    names = {"params_file": params_file, "month": book.params.report.month, "run_dir": str(book.run_dir)}
    for cell in BLOCKS["python"]:
        exec(compile(cell, "guide", "exec"), names)
    return names


def test_the_guide_to_a_metric_works_on_a_book_counted_by_hand(make, known):
    """In May Ann orders twice and Bob once, and somebody unknown twice: one of two. In April it is none of one."""
    sales = [("ann", "2024-05-02"), ("ann", "2024-05-09"), ("bob", "2024-05-03"), ("", "2024-05-04"), ("", "2024-05-05"),
             ("bob", "2024-04-01")]
    rows = [{"customer_id": who, "transacted_at": f"{day} 10:00:00", "amount": 5} for who, day in sales]
    book = make("2024-05", transactions=rows)
    names = run_cells(book)
    found = names["metrics"].set_index("period")
    assert found["value"].to_dict() == {"2024-04": 0, "2024-05": 0.5} and found["n"].to_dict() == {"2024-04": 1, "2024-05": 2}
    assert (found["low"] <= found["value"]).all() and (found["value"] <= found["high"]).all()
    assert (book.run_dir / "parts" / "metrics" / "07_orders.csv").is_file()
    plain = names["orders"]
    assert isinstance(plain, pd.Series) and np.array_equal(plain.loc[book.month].sort_index(), [2, 1])


def test_the_check_of_the_guide_fails_where_the_query_counts_otherwise(make, known, monkeypatch):
    wrong = BLOCKS["sql"][0].replace(">= 2", ">= 1")
    monkeypatch.setattr(engine, "read_sql", lambda name, kept=engine.read_sql: wrong if "several" in name else kept(name))
    rows = [{"customer_id": who, "transacted_at": "2024-05-02 10:00:00", "amount": 5} for who in ("ann", "bob")]
    with pytest.raises(AssertionError):
        run_cells(make("2024-05", transactions=rows))


def test_the_guides_definition_has_the_keys_of_all_others():
    [entry] = [yaml.safe_load(text) for text in BLOCKS["yaml"]]
    assert [list(each) for each in entry.values()] == [list(definitions()["orders"])]
