"""Who is scored on which rows: the champion, what was really issued, the naive, and the first champion."""

from itertools import product

import pandas as pd
import pytest

from bike_assets.core.performance import ROLES, scores_by_role

COUNTS = [10, 20, 30, 40]
FIRST, SECOND, THIRD = 1, 2, 3


def forecasts(version: int, kind: str, error: float, horizon: int = 1, naive_error: float = 9, hours=range(4)):
    counted_at = pd.date_range("2021-05-01", periods=4, freq="h", tz="UTC")
    return pd.DataFrame(
        {
            "counter_id": "a",
            "counted_at": counted_at[list(hours)],
            "horizon_days": horizon,
            "model_version": version,
            "kind": kind,
            "bike_count": [COUNTS[hour] for hour in hours],
            "predicted_count": [COUNTS[hour] + error for hour in hours],
            "naive_count": [COUNTS[hour] + naive_error for hour in hours],
        }
    )


def maes(*parts: pd.DataFrame, champion: int | None = SECOND, first: int | None = FIRST) -> dict:
    rows = scores_by_role(pd.concat(parts), {"champion": champion, "first_champion": first})
    return {(row["role"], row["horizon_days"]): row["mae"] for row in rows}


def test_each_role_is_scored_on_its_own_forecasts():
    found = maes(forecasts(FIRST, "hindcast", error=5), forecasts(SECOND, "issued", error=2))
    expected = {("champion", 1): 2, ("issued", 1): 2, ("seasonal_naive", 1): 9, ("first_champion", 1): 5}
    assert found == expected


def test_each_horizon_is_scored_by_itself():
    parts = [
        forecasts(SECOND, "issued", error=horizon, horizon=horizon, naive_error=10 * horizon) for horizon in (1, 2, 3)
    ]
    found = maes(*parts)
    assert [found["champion", horizon] for horizon in (1, 2, 3)] == [1, 2, 3]
    assert [found["seasonal_naive", horizon] for horizon in (1, 2, 3)] == [10, 20, 30]


def test_a_new_champion_is_scored_on_its_hindcasts_and_issued_keeps_what_people_saw():
    found = maes(
        forecasts(SECOND, "issued", error=6),
        forecasts(THIRD, "hindcast", error=1),
        champion=THIRD,
    )
    assert found["champion", 1] == 1
    assert found["issued", 1] == 6


def test_an_hour_issued_by_two_versions_counts_once_and_by_the_newer():
    rows = scores_by_role(
        pd.concat([forecasts(THIRD, "issued", error=1, hours=[2, 3]), forecasts(SECOND, "issued", error=5)]),
        {"champion": THIRD, "first_champion": None},
    )
    issued = next(row for row in rows if row["role"] == "issued")
    assert (issued["n"], issued["mae"]) == (4, 3)
    assert issued["model_version"] == 0


def test_the_naive_is_scored_on_the_champions_rows_only():
    rows = scores_by_role(
        pd.concat([forecasts(SECOND, "issued", 1, hours=[0, 1]), forecasts(FIRST, "hindcast", 1, naive_error=99)]),
        {"champion": SECOND, "first_champion": FIRST},
    )
    naive = next(row for row in rows if row["role"] == "seasonal_naive")
    assert (naive["n"], naive["mae"], naive["model_version"]) == (2, 9, 0)


def test_rows_carry_the_version_that_made_the_forecasts():
    rows = scores_by_role(
        pd.concat([forecasts(FIRST, "hindcast", 5), forecasts(SECOND, "issued", 2)]),
        {"champion": SECOND, "first_champion": FIRST},
    )
    assert {row["role"]: row["model_version"] for row in rows} == dict(zip(ROLES, (SECOND, 0, 0, FIRST), strict=True))


def test_the_only_champion_so_far_is_the_first_one_too():
    found = maes(forecasts(FIRST, "issued", error=4), champion=FIRST)
    assert found["champion", 1] == found["first_champion", 1] == 4


def test_roles_without_forecasts_are_left_out_and_not_guessed():
    assert set(maes(forecasts(SECOND, "hindcast", error=2), first=None)) == {("champion", 1), ("seasonal_naive", 1)}
    assert set(maes(forecasts(SECOND, "issued", error=2), champion=None, first=None)) == {("issued", 1)}
    assert maes(forecasts(SECOND, "issued", error=2).iloc[:0]) == {}


@pytest.mark.parametrize(("error", "r2"), [(0, 1), (10, 1 - 400 / 500)])
def test_r2_is_that_of_the_rows(error, r2):
    rows = scores_by_role(forecasts(SECOND, "issued", error), {"champion": SECOND, "first_champion": None})
    assert [row["r2"] for row in rows if row["role"] == "champion"] == pytest.approx([r2])


def test_no_role_and_horizon_occurs_twice():
    parts = [
        forecasts(version, kind, 1, horizon)
        for version, kind, horizon in product((FIRST, SECOND), ("issued", "hindcast"), (1, 2, 3))
    ]
    rows = scores_by_role(pd.concat(parts), {"champion": SECOND, "first_champion": FIRST})
    keys = [(row["role"], row["horizon_days"]) for row in rows]
    assert sorted(keys) == sorted(product(ROLES, (1, 2, 3)))
