"""The kit's side of `make bench` still runs on the queries as they are; the whole takes too long for every test run."""

import bench_models
import numpy as np
import pytest


@pytest.fixture(scope="module")
def drawn():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_models, "CUSTOMERS", 500)
        rng = np.random.default_rng(1)
        return bench_models.draw_transactions(rng), bench_models.draw_spells(rng)


def test_frequency_recency_and_age_are_those_of_pandas(drawn):
    sales = drawn[0].assign(day=drawn[0]["transacted_at"].dt.normalize())
    first, last = (getattr(sales.groupby("customer_id")["day"], side)() for side in ("min", "max"))
    found = bench_models.timed(bench_models.rfm, drawn[0])[1].set_index("customer_id").sort_index()
    assert found["frequency"].to_list() == (sales.groupby("customer_id")["day"].nunique() - 1).to_list()
    assert found["recency"].to_list() == (last - first).dt.days.to_list()
    assert found["T"].to_list() == ((bench_models.AS_OF - first).dt.days - 1).to_list()


def test_survival_with_delayed_entry_is_that_of_counting_month_by_month(drawn):
    found, share = bench_models.timed(bench_models.survival, drawn[1])[1].set_index("month"), 1.0
    for month in range(1, 13):
        watched = drawn[1].query("entry_months < @month <= spell_months")
        share *= 1 - (watched["spell_ended"] & watched["spell_months"].eq(month)).mean()
        assert found.loc[month, "survival"] == pytest.approx(share, abs=1e-12)
