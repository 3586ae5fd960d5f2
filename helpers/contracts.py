"""What each table must look like, and the one error class that users see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent  # the folder that holds pyproject.toml
MONEY, RATE, TIME, TEXT, COUNT, FLAG = "decimal(18,4)", "decimal(18,8)", "timestamp", "varchar", "integer", "boolean"


class ReportError(Exception):
    """A problem that the user can fix: what, where, what was found, the rule and the remedy.

    title : what is not usable, as one line.
    problems : every problem found, one line each.
    remedy : what to do about all of them.
    """

    def __init__(self, title: str, problems: Sequence[str] = (), remedy: str = "") -> None:
        self.title, self.problems, self.remedy = title, list(problems), remedy
        count = f" has {len(self.problems)} problem{'s' if len(self.problems) > 1 else ''}" if self.problems else ""
        lines = [f"{title}{count}" + (":" if self.problems else "")]
        lines += [f"  - {problem}" for problem in self.problems]
        super().__init__("\n".join(lines + ([remedy] if remedy else [])))

    def _render_traceback_(self) -> list[str]:
        """IPython's hook: a user's error is shown as its message, in JupyterLab too."""
        return str(self).splitlines()


@dataclass(frozen=True)
class Table:
    """A canonical table: `columns` (name -> SQL type), the `required` ones, and what its presence unlocks.

    money : the column whose sum is reconciled; `moment` the one that decides whether a row lies before as_of.
    """

    columns: dict[str, str]
    required: tuple[str, ...]
    unlocks: str
    money: str | None = None
    moment: str | None = None
    accepted: dict[str, tuple[str, ...]] = field(default_factory=dict)


INTERVALS = ("day", "week", "month", "year")
TABLES = {
    "transactions": Table(
        dict(
            transaction_id=TEXT, line_no=COUNT, customer_id=TEXT, transacted_at=TIME, amount=MONEY, type=TEXT,
            status=TEXT, product_id=TEXT, product_name=TEXT, category=TEXT, item_type=TEXT, quantity=MONEY,
            unit_price=RATE, discount=MONEY, tax=MONEY, currency=TEXT, original_transaction_id=TEXT,
            subscription_id=TEXT, service_start=TIME, service_end=TIME,
        ),
        ("customer_id", "transacted_at", "amount"),
        "revenue, orders, RFM, repeat purchases, BG/NBD with Gamma-Gamma",
        money="amount",
        moment="transacted_at",
        accepted={
            "type": ("sale", "refund", "adjustment"),
            "status": ("paid", "failed"),
            "item_type": ("subscription", "addon", "service", "one_off", "usage"),
        },
    ),
    "subscriptions": Table(
        dict(
            subscription_id=TEXT, customer_id=TEXT, plan_id=TEXT, unit_amount=RATE, interval=TEXT,
            started_at=TIME, ended_at=TIME, interval_count=COUNT, quantity=MONEY, discount_amount=MONEY,
            discount_ends_at=TIME, currency=TEXT, status=TEXT, contract=TEXT, trial_ended_at=TIME, canceled_at=TIME,
            cancel_reason=TEXT, churn_kind=TEXT, past_due_since=TIME, paused_at=TIME, resumed_at=TIME,
            current_period_end=TIME, valid_from=TIME, valid_to=TIME,
        ),
        ("subscription_id", "customer_id", "plan_id", "unit_amount", "interval", "started_at"),
        "MRR and its movements, churn, GRR and NRR, pricing tiers, survival by plan, sBG",
        money="unit_amount",
        moment="started_at",
        accepted={"interval": INTERVALS, "churn_kind": ("voluntary", "involuntary")},
    ),
    "addons": Table(
        dict(customer_id=TEXT, addon_id=TEXT, started_at=TIME, ended_at=TIME, amount=MONEY, interval=TEXT),
        ("customer_id", "addon_id"),
        "the attach rate of add-ons",
        money="amount",
        moment="started_at",
        accepted={"interval": INTERVALS},
    ),
    "customers": Table(
        dict(
            customer_id=TEXT, created_at=TIME, display_name=TEXT, email_hash=TEXT, segment=TEXT, country=TEXT,
            channel=TEXT, campaign=TEXT, owner=TEXT, referred_by=TEXT, loyalty_tier=TEXT, loyalty_joined_at=TIME,
            loyalty_points=MONEY, is_internal=FLAG, marketing_consent=FLAG,
        ),
        ("customer_id",),
        "splits by segment, country and channel; with marketing_spend, CAC by channel",
        moment="created_at",
    ),
    "plans": Table(
        dict(
            plan_id=TEXT, valid_from=TIME, plan_name=TEXT, tier_rank=COUNT, list_price=RATE, interval=TEXT,
            currency=TEXT, kind=TEXT, features=TEXT, limits=TEXT, ad_revenue_per_user=RATE, unit_cost=RATE,
        ),
        ("plan_id",),
        "the order of the tiers: upgrades and downgrades",
        money="list_price",
        moment="valid_from",
        accepted={"interval": INTERVALS, "kind": ("tier", "addon", "service")},
    ),
    "marketing_spend": Table(
        dict(period_start=TIME, period_end=TIME, channel=TEXT, amount=MONEY, campaign=TEXT, currency=TEXT, kind=TEXT),
        ("period_start", "period_end", "channel", "amount"),
        "CAC, LTV to CAC, payback, the most that a customer may cost",
        money="amount",
        moment="period_start",
        accepted={"kind": ("media", "people", "tools", "agency", "promo")},
    ),
    "costs": Table(
        dict(month=TIME, category=TEXT, amount=MONEY, scope=TEXT, scope_id=TEXT, currency=TEXT),
        ("month", "category", "amount"),
        "the gross margin: LTV as profit instead of revenue; the cost of retention",
        money="amount",
        moment="month",
        accepted={
            "category": ("cogs", "support", "hosting", "payment_fees", "retention", "loyalty", "content", "overhead"),
            "scope": ("all", "tier", "product", "channel", "customer"),
        },
    ),
}

# The marts in the order they are made, each with its key, which also orders its rows.
MARTS = {
    "transactions": ("transaction_id", "line_no"),
    "subscriptions": ("subscription_id", "valid_from"),
    "spells": ("customer_id", "spell"),
    "subscription_months": ("customer_id", "plan_id", "month"),
    "customers": ("customer_id",),
    "customer_months": ("customer_id", "month"),
    "rfm_months": ("customer_id", "month"),
    "rfm_customers": ("customer_id",),
    "addons": ("customer_id", "addon_id", "file", "line"),
    "plans": ("plan_id",),
    "marketing_spend": ("month", "channel", "kind"),
    "costs": ("month", "category"),
}


@cache
def definitions() -> dict[str, dict]:
    """helpers/definitions.yaml: metric id -> name, formula, unit, good direction, why, source, version."""
    return yaml.safe_load((Path(__file__).parent / "definitions.yaml").read_text(encoding="utf-8"))
