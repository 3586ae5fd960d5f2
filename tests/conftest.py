"""Books that several test files read, each prepared once a session."""

from pathlib import Path

import pandas as pd
import pytest
import yaml
from simulate import predicted

from helpers import demo
from helpers.contracts import ROOT
from helpers.demo import FILES, write_demo
from helpers.marts import prepare

SHARED = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data():
    """Folder of the real data that lies beside the repository."""
    if not SHARED.is_dir():
        pytest.skip("needs the folder shared/data beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def write_params():
    """A function that writes a params file for canonical CSV files: (folder, month, tables, **sections) -> its path."""

    def write(folder: Path, month: str, tables: list[str], **sections) -> Path:
        report = {"name": "book", "title": "Book", "month": month}
        sources = {name: {"path": f"{name}.csv"} for name in tables}
        path = folder / "book.yaml"
        path.write_text(yaml.safe_dump({"report": report, "sources": sources} | sections), encoding="utf-8")
        return path

    return write


@pytest.fixture
def make(tmp_path, write_params):
    """A function that prepares a book from rows: (month, table=[row, …], policy={…}) -> Book."""

    def make(month: str, policy: dict | None = None, **tables: list[dict]):
        for name, rows in tables.items():
            frame = pd.DataFrame(rows)
            if name == "subscriptions" and "subscription_id" not in frame:
                frame.insert(0, "subscription_id", [f"S{number}" for number in range(len(frame))])
            frame.to_csv(tmp_path / f"{name}.csv", index=False)
        params = write_params(tmp_path, month, list(tables), policy=policy or {})
        return prepare(str(params), None, str(tmp_path / "run"))

    return make


@pytest.fixture(scope="session")
def demo_book(tmp_path_factory, write_params):
    """The demo company with 400 customers, to 2025-06."""
    folder = tmp_path_factory.mktemp("demo_book")
    write_demo(folder, customers=400, end="2025-06")
    return predicted(prepare(str(write_params(folder, "2025-06", list(FILES))), None, str(folder / "run")))


@pytest.fixture(scope="session")
def dollar_book(tmp_path_factory, write_params):
    """The same, but all billed in dollars: the twins know no rates. That rates are right, the demo's ledger shows."""
    folder, true = tmp_path_factory.mktemp("dollar_book"), demo.read_yaml("demo.yaml")
    for country in true["countries"]:
        country["currency"] = "USD"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "read_yaml", lambda name: true)
        write_demo(folder, customers=400, end="2025-06")
    return prepare(str(write_params(folder, "2025-06", list(FILES))), None, str(folder / "run"))


@pytest.fixture(scope="session")
def cdnow_book(tmp_path_factory):
    """CDNOW to 1998-06, from the raw lines that the lifetimes package ships."""
    return prepare("params/cdnow.yaml", None, str(tmp_path_factory.mktemp("cdnow_book")))
