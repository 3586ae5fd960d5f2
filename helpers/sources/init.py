"""A first params file from files alone: beside every guess stands what was seen, for a person to judge."""

import os
import re
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader

from helpers.contracts import FORMATS, ROOT, TABLES, TIME, ReportError
from helpers.engine import Engine
from helpers.settings import Source, month_index, month_label
from helpers.sources import read
from helpers.sources.cells import Col, Const, canonical, notation, sample
from helpers.sources.excel import EXCEL
from helpers.sources.read import FAULTS, PARQUET, open_file
from helpers.sources.sniff import NUMBERS, fingerprint, formats_of, guess_columns, guess_dayfirst, guess_decimal, shape_of


def init_params(files: Sequence[str | Path], folder: Path | None = None) -> Path:
    """Write <first file's name>.yaml into params/ or `folder`, never over another. Raises ReportError, all at once."""
    folder, sources, problems = (folder or ROOT / "params").resolve(), {}, []
    for file in map(Path, files):
        try:
            source = guess_source(file) | {"path": Path(os.path.relpath(file.resolve(), folder)).as_posix()}
            if sources.setdefault(source["table"], source) is not source:
                problems.append(f"{file}: a second file of {source['table']}; name a folder that holds both")
        except FAULTS as error:
            problems.append(f"{file}: {str(error).splitlines()[0]}")
    main = sources.get("transactions") or sources.get("subscriptions")
    if problems or not main:
        problems = problems or ["no file holds transactions or subscriptions, from which every page is made"]
        raise ReportError("What init was given", problems, "No params file was written.")
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(files[0]).stem).strip("-")[:60] or "report"
    path = next(path for n in range(1, 1000) if not (path := folder / f"{stem}{f'-{n}' * (n > 1)}.yaml").exists())
    first, last = (day or date(2000, 2, 1) for day in main["days"])
    month = month_label(max(month_index(str(last + timedelta(days=1))) - 1, month_index(str(first))))
    jinja = Environment(loader=FileSystemLoader(Path(__file__).parent))
    jinja.filters["quoted"] = lambda text: yaml.safe_dump(text, default_style='"', allow_unicode=True, width=9999)[:-1]
    page = jinja.get_template("init.yaml.jinja").render(main, name=path.stem, month=month, sources=sources.values())
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def guess_source(file: Path) -> dict:
    """What the template says of a file: its table, settings, columns, first and last day, currencies."""
    encoding, settings = fingerprint(file)[1], {}
    rows, names, _ = open_file(Engine().connection, file, Source(path=str(file)), encoding)
    seen = sample(rows)[:len(names)]
    guesses = {table: guess_columns(table, names, seen) for table in TABLES}
    missing = {table: [name for name in TABLES[table].required if name not in guesses[table]] for table in TABLES}
    table = max(TABLES, key=lambda name: (len(guesses[name]) - 2 * len(missing[name]), name in file.stem.lower()))
    contract, form = TABLES[table], next(iter(formats_of(names)), None)
    if form:
        table = FORMATS[form]["table"]
        contract, how = read.as_exported(TABLES[table], Source(path=str(file), format=form), names)
        guesses[table], missing[table] = read.match_columns(contract, how, names), []
    places, kinds = guesses[table], contract.columns
    if not places:
        raise ReportError(f"no table is recognised by the columns {', '.join(names)[:200]}")
    if file.suffix.lower() not in PARQUET + EXCEL:
        delimiter, header, *_ = shape_of(file, encoding, None, None)
        settings = {"encoding": encoding, "delimiter": delimiter, "header": header}
        for key, guess, wanted in (("decimal", guess_decimal, NUMBERS), ("dayfirst", guess_dayfirst, (TIME,))):
            try:
                settings[key] = guess([v for name, i in places.items() if kinds[name] in wanted for v in seen[i]])
            except ValueError as error:
                settings[key] = error
    moment = next((name for name in places if kinds[name] == TIME), "")
    how = Source(path=str(file), decimal=".", dayfirst=settings.get("dayfirst") is True, timezone="UTC")
    day = (Col(moment) if moment else Const(None)).cast("DATE").alias("day")
    days = canonical(rows, contract, places, notation(rows, contract, places, how), "UTC", "UTC").select(day)
    days = days.filter(Col("day").between(Const(date(1970, 1, 1)), Const(date(2999, 12, 31))))
    unnamed = [name == f"column{i}" or names.count(name) > 1 for i, name in enumerate(names, 1)]
    return {
        "format": form, "known": len(places), "table": table, "settings": settings, "missing": missing[table], "kinds": kinds,
        "columns": [(name, i + 1 if unnamed[i] else names[i], seen[i]) for name, i in places.items() if not form],
        "unused": [name for i, name in enumerate(names) if not unnamed[i] and i not in places.values()],
        "days": days.min("day").fetchall()[0] + days.max("day").fetchall()[0],
        "currencies": sorted({value.upper() for value in seen[places["currency"]]}) if "currency" in places else [],
    }
