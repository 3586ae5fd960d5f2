"""Scores of RFM by ranks, at values that are set, and at those of a base month."""

import pandas as pd
import pytest
from test_marts import mart, sale

from helpers.contracts import ReportError
from helpers.marts import open_book, prepare
from helpers.params import load_params

# last sale day, sale days: 22, 90, 91, 180, 365 and 366 days before 1 June 2024
SEEN = {"ann": ("2024-05-10", 10), "bob": ("2024-03-03", 5), "cat": ("2024-03-02", 3), "dan": ("2023-12-04", 2),
        "eve": ("2023-06-02", 1), "fay": ("2023-06-01", 4)}
SALES = [sale(name, str(pd.Timestamp(last) - pd.Timedelta(days=day))[:10]) for name, (last, days) in SEEN.items()
         for day in range(days)]
RECENCY, FREQUENCY = [30, 90, 180, 365], [2, 3, 5, 10]


@pytest.fixture
def book(tmp_path, write_params):
    """A function that prepares a book of sales: (month, rows, **settings of rfm) -> Book."""

    def make(month, rows, **rfm):
        pd.DataFrame(rows).to_csv(tmp_path / "transactions.csv", index=False)
        return prepare(str(write_params(tmp_path, month, ["transactions"], rfm=rfm)), None, str(tmp_path / "run"))

    return make


def scores(book, *names) -> dict:
    table = mart(book, "rfm_customers", *names).astype("int64")
    return table[names[0]].to_dict() if len(names) == 1 else table.T.to_dict("list")


def test_set_values_are_where_scores_begin(book):
    found = book("2024-05", SALES, cuts="fixed", recency_days=RECENCY, frequency=FREQUENCY)
    # M has no values and goes by rank: 1 + floor(5 · (rank − 1) ÷ 6) of 100, 50, 30, 20, 10, 40
    assert scores(found, "r", "f", "m") == {"ann": [5, 5, 5], "bob": [4, 4, 4], "cat": [3, 3, 2], "dan": [3, 2, 1],
                                            "eve": [2, 1, 1], "fay": [1, 3, 3]}
    champions = found.frame("summaries/rfm_champions").set_index("period")
    assert champions.loc["2024-05"].to_list() == [6, 250, 100]         # ann, 555; bob has 444


def test_by_ranks_the_same_customers_score_otherwise(book):
    assert scores(book("2024-05", SALES), "r", "f") == {"ann": [5, 5], "bob": [5, 4], "cat": [4, 2], "dan": [3, 1],
                                                        "eve": [2, 1], "fay": [1, 3]}


def test_three_levels_are_values_that_stand_twice(book):
    found = book("2024-05", SALES, cuts="fixed", frequency=[2, 2, 5, 5], monetary=[20.5, 20.5, 50, 50])
    assert scores(found, "f") == {"ann": 5, "bob": 5, "cat": 3, "dan": 3, "eve": 1, "fay": 3}
    assert scores(found, "m") == {"ann": 5, "bob": 5, "cat": 3, "dan": 1, "eve": 1, "fay": 3}


class TestFrozen:
    """Of five customers the first bought on one day of February, the fifth on five; in May all on five."""

    ROWS = [sale(f"C{nth}", f"2024-{month}-{day:02d}") for nth in range(1, 6) for month, days in (("02", nth), ("05", 5))
            for day in range(1, days + 1)]
    FROZEN = {"cuts": "frozen", "base_month": "2024-03", "window_months": 3}

    def test_cut_offs_stay_those_of_the_base_month(self, book):
        assert scores(book("2024-05", self.ROWS, window_months=3), "f", "m") == {f"C{nth}": [1, 1] for nth in range(1, 6)}
        found = book("2024-05", self.ROWS, **self.FROZEN)
        assert scores(found, "f", "m") == {f"C{nth}": [5, 5] for nth in range(1, 6)}
        # in March C5 had bought 56 days ago and had R 5, C1 60 days ago; now all did 27 days ago
        assert scores(found, "r") == {f"C{nth}": 5 for nth in range(1, 6)}
        champions = found.frame("summaries/rfm_champions").set_index("period")
        # February: 25 and 26 days ago C5 and C4 have R 5, so 555 and 544; March: 555 and 444; April: 86 days ago, R 1
        assert champions["champions_revenue"].to_dict() == {"2024-02": 90, "2024-03": 50, "2024-04": 0, "2024-05": 250}

    def test_at_the_base_month_they_are_the_ranks(self, book):
        ranked = scores(book("2024-03", self.ROWS, window_months=3), "r", "f", "m")
        assert ranked == scores(book("2024-03", self.ROWS, **self.FROZEN), "r", "f", "m")
        assert ranked["C1"] == [1, 1, 1] and ranked["C5"] == [5, 5, 5]

    def test_a_score_that_nobody_had_is_nobodys(self, book):
        rows = [row for row in self.ROWS if row["customer_id"] != "C3" or row["transacted_at"] < "2024-02-03"]
        # in March F is 1, 2 (twice), 4, 5 days: ranks 1, 2, 2, 4, 5, scores 1, 2, 2, 4, 5; three days then have 2
        rows += [sale("C3", f"2024-05-{day:02d}") for day in (1, 2, 3)]
        assert scores(book("2024-05", rows, **self.FROZEN), "f") == {"C1": 5, "C2": 5, "C3": 2, "C4": 5, "C5": 5}

    def test_too_few_customers_then_set_nothing(self, book):
        with pytest.raises(ReportError, match="rfm.base_month.*\n.*fewer than 5 customers had bought by the end of 2023-12"):
            book("2024-05", self.ROWS, **self.FROZEN | {"base_month": "2023-12"})

    def test_later_pages_count_them_again(self, book, tmp_path):
        found = book("2024-05", self.ROWS, **self.FROZEN)
        again = open_book(str(tmp_path / "book.yaml"), None, str(tmp_path / "run"))
        pd.testing.assert_frame_equal(found.frame("summaries/rfm_champions"), again.frame("summaries/rfm_champions"))


@pytest.mark.parametrize(("rfm", "told"), [
    ({"cuts": "fixed"}, "rfm.cuts: fixed needs values: rfm.recency_days, rfm.frequency or rfm.monetary"),
    ({"cuts": "frozen", "base_month": "2024-03"}, "rfm.cuts: frozen needs rfm.base_month, and rfm.window_months"),
    ({"frequency": FREQUENCY}, "rfm.frequency: is for cuts: fixed"),
    ({"base_month": "2024-03"}, "rfm.base_month: is for cuts: frozen"),
    ({"cuts": "frozen", "base_month": "2024-06", "window_months": 3}, "rfm.base_month: 2024-06 is after the report month"),
    ({"cuts": "fixed", "frequency": [2, 3, 10, 5]}, r"rfm.frequency: must not fall \(got \[2, 3, 10, 5\]\)"),
    ({"cuts": "fixed", "frequency": [2, 3]}, "rfm.frequency: .*4 items"),
    ({"cuts": "quintiles"}, "rfm.cuts: should be 'rank', 'fixed' or 'frozen'"),
])
def test_settings_that_contradict_are_told(tmp_path, write_params, rfm, told):
    path = write_params(tmp_path, "2024-05", ["transactions"], rfm=rfm)
    with pytest.raises(ReportError, match=told):
        load_params(path)
