"""The badges of the header: how far the month can be trusted."""

from datetime import date
from types import SimpleNamespace

import pytest

from helpers.rendering import standing

INPUTS = "table,newest\ncosts,2026-01-01\ntransactions,{}\n"
TIED = "month,measure,passed\n2025-05,mrr,True\n2025-06,mrr,True\n"
GOOD = {"kind": "good", "text": "Ties to the ledger"}


@pytest.fixture
def badges(tmp_path):
    """The badges of a run to 2025-06 that left these files, by default a newest row on the month's last day."""
    def found(newest: str = "2025-06-30 10:00:00", **files: str) -> list[dict]:
        (tmp_path / "tables").mkdir()
        for name, text in ({"inputs": INPUTS.format(newest)} | files).items():
            (tmp_path / ("" if name == "verdicts" else "tables") / f"{name}.csv").write_text(text)
        params = SimpleNamespace(
            as_of=date(2025, 7, 1), report=SimpleNamespace(month="2025-06"), policy=SimpleNamespace(max_staleness_days=5))
        shown = standing(SimpleNamespace(work=tmp_path, params=params))
        assert shown["newest"] == newest[:10]  # not that of costs
        return shown["badges"]

    return found


@pytest.mark.parametrize(("ledger", "kind", "text"), [
    (TIED, "good", "Ties to the ledger"),
    (TIED.replace("05,mrr,True", "05,mrr,False"), "act", "1 of 2 ledger figures differ"),
    (TIED.replace("2025-06", "2025-04"), "watch", "The ledger ends 2025-05"),
    (TIED.replace("06,mrr,True", "06,marketing_spend,"), "watch", "The ledger ends 2025-05"),  # the month is not compared
    (TIED.replace("2025-06,mrr,True", "2025-04,mrr,False"), "act", "1 of 2 ledger figures differ"),
    (TIED.replace("True", ""), "watch", "Not tied to a ledger"), ("month,measure,passed\n", "watch", "Not tied to a ledger")])
def test_the_ledger_ties_differs_or_ends_before_the_month(badges, ledger, kind, text):
    assert badges(reconciliation=ledger) == [{"kind": kind, "text": text}]


def test_a_newest_row_older_than_the_policy_is_told_in_days(badges):
    assert badges("2025-06-25", reconciliation=TIED) == [{"kind": "act", "text": "Newest row 6 days before the month's end"}, GOOD]


def test_a_newest_row_as_old_as_the_policy_allows_is_not_told(badges):
    assert badges("2025-06-26", reconciliation=TIED) == [GOOD]


def test_failed_checks_are_counted(badges):
    assert badges(checks="check,passed\na,True\nb,False\n", reconciliation=TIED) == [
        {"kind": "act", "text": "1 of 2 checks passed"}, GOOD]


def test_passed_checks_and_ready_metrics_are_counted(badges):
    found = badges(checks="check,passed\na,True\n", reconciliation=TIED, metric_readiness="status\nready\npartial\n")
    assert found == [{"kind": "good", "text": "1 of 1 checks passed"}, GOOD, {"kind": "", "text": "1 of 2 metrics ready"}]


@pytest.mark.parametrize(("first", "told"), [("False", "1 of 2 verdicts provisional"), ("True", "Verdicts are provisional")])
def test_provisional_verdicts_are_told(badges, first, told):
    assert badges(verdicts=f"rule,provisional\na,{first}\nb,True\n", reconciliation=TIED) == [GOOD, {"kind": "act", "text": told}]
