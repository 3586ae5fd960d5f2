"""Books at the edge of what can be said: every page is made of them, and none of their cells fails."""

import json

import numpy as np
import pandas as pd
import pytest

from helpers.contracts import ROOT
from helpers.marts import open_book

DAYS = pd.date_range("2024-01-05", periods=12, freq="MS") + pd.Timedelta(days=4)


def cells(notebook) -> list[str]:
    """The code of a notebook, without its parameters."""
    found = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found
            if cell["cell_type"] == "code" and "parameters" not in cell["metadata"].get("tags", [])]


def pages(book, last: str = "") -> pd.DataFrame:
    """Run every cell of every notebook on a prepared book; returns what `metrics.csv` would hold of the month, by id.

    last : the name whose first value is enough, to save time.
    """
    where = {"params_file": str(next(book.run_dir.parent.glob("*.yaml"))), "month": book.params.report.month,
             "run_dir": str(book.run_dir)}
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        names = {**where}
        for number, cell in enumerate(cells(notebook)):
            exec(compile(cell, f"{notebook.stem} cell {number}", "exec"), names)
            if last in names:
                return names[last].metrics.query("dimension == 'all' and period == @where['month']").set_index("metric")
    metrics = open_book(**where).collect("metrics")
    return metrics[(metrics["dimension"] == "all") & (metrics["period"] == where["month"])].set_index("metric")


def contract(number: int, **changes) -> dict:
    """A subscription of 20 a month from the 5th of one of twelve months."""
    return {"subscription_id": f"s{number}", "customer_id": f"c{number}", "plan_id": "basic", "unit_amount": 20,
            "interval": "month", "started_at": DAYS[number % 12], "ended_at": ""} | changes


def leavers(rng, count: int) -> list[dict]:
    """Subscriptions of which 8 of 100 end each month, as far as 2025-03 has seen."""
    ends = [DAYS[n % 12] + pd.DateOffset(months=int(rng.geometric(0.08))) for n in range(count)]
    return [contract(n, ended_at=end if end < pd.Timestamp("2025-04-01") else "") for n, end in enumerate(ends)]


@pytest.mark.parametrize("rows", [
    [contract(n, unit_amount=0) for n in range(20)], [contract(n, trial_ended_at="2026-01-01") for n in range(20)]],
    ids=["free", "trials"])
def test_a_book_in_which_nobody_pays(make, rows):
    spend = [{"period_start": "2025-01-01", "period_end": "2025-01-31", "channel": "ads", "amount": 100}]
    found = pages(make("2025-03", subscriptions=rows, marketing_spend=spend))
    assert found.loc["active_customers", "value"] == 0 and pd.isna(found.loc["ltv", "value"])


def test_sales_that_brought_nothing(make):
    rows = [{"customer_id": f"c{n % 20}", "transacted_at": DAYS[n % 12], "amount": 0} for n in range(60)]
    found = pages(make("2025-03", transactions=rows))
    assert found.loc["orders", "value"] == 0 or found.loc["revenue_net", "value"] == 0
    assert not found.loc["ltv", "value"] > 0


def test_a_plan_that_everybody_leaves_at_the_first_chance(make):
    """200 on basic, and 8 who bought one month: the plan has no model of its own, the book has an LTV."""
    passes = [contract(n, plan_id="pass", ended_at=DAYS[n % 12] + pd.DateOffset(months=1)) for n in range(200, 208)]
    found = pages(make("2025-03", subscriptions=leavers(np.random.default_rng(3), 200) + passes))
    assert found.loc["ltv", "value"] > 0


def test_refunds_lower_the_headline_of_sales_as_they_lower_revenue(make):
    """Every customer's sales are given back by a fifth: margins are 1, so the LTV is .8 of what it is without."""
    rng = np.random.default_rng(5)
    sales = [{"transaction_id": f"t{c}-{n}", "customer_id": f"c{c}", "transacted_at": day, "amount": 20.0 + c % 7}
             for c in range(150) for n, day in enumerate(sorted(
                 DAYS[c % 6] + pd.to_timedelta(np.append(0, rng.integers(1, 300, rng.integers(0, 6))), unit="D")))]
    back = [{**sale, "transaction_id": f"r{sale['transaction_id']}", "amount": -sale["amount"] / 5} for sale in sales]
    value = {}
    for name, rows in (("sold", sales), ("given back", sales + back)):
        found = pages(make("2025-03", transactions=rows), last="result")
        value[name] = found.loc["ltv", "value"]
        assert ("refunds take 20.0% of sales" in found.loc["ltv", "method"]) is (name == "given back")
    assert value["given back"] == pytest.approx(0.8 * value["sold"], rel=1e-9)
