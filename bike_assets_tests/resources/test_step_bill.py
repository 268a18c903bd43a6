"""What a step was billed stands in its asset's metadata; every step has its own sum, and who makes no asset none."""

import threading

import dagster as dg
import pytest

from bike_assets.resources.step_bill import BYTES_BILLED, StepBill


class Billed:
    """A warehouse as far as its bill goes."""

    def __init__(self) -> None:
        self.step_bill, self.billed = StepBill(), 0

    def ask(self, bytes_billed: int) -> None:
        before, self.billed = self.billed, self.billed + bytes_billed
        self.step_bill.record(before, self.billed)


@pytest.fixture
def warehouse() -> Billed:
    return Billed()


def test_each_asset_records_the_bill_of_its_own_step_and_its_threads(warehouse):
    @dg.asset
    def first() -> None:
        warehouse.ask(10)
        renewal = threading.Thread(target=warehouse.ask, args=(5,))
        renewal.start()
        renewal.join()
        warehouse.ask(20)

    @dg.asset(deps=[first])
    def second() -> dg.MaterializeResult:
        warehouse.ask(7)
        return dg.MaterializeResult(metadata={"rows": 3})

    @dg.asset(deps=[second])
    def asks_nothing() -> None: ...

    warehouse.ask(1000)
    for _ in range(2):
        result = dg.materialize([first, second, asks_nothing])
        metadata = {
            event.asset_key.to_user_string(): {
                name: value.value for name, value in event.materialization.metadata.items()
            }
            for event in result.get_asset_materialization_events()
        }
        assert metadata["first"] == {BYTES_BILLED: 35}
        assert metadata["second"] == {BYTES_BILLED: 7, "rows": 3}
        assert BYTES_BILLED not in metadata["asks_nothing"]


def test_checks_and_plain_jobs_may_query_as_well(warehouse):
    @dg.asset
    def counted() -> None: ...

    @dg.asset_check(asset=counted)
    def is_there() -> dg.AssetCheckResult:
        warehouse.ask(10)
        return dg.AssetCheckResult(passed=True)

    @dg.op
    def asks() -> None:
        warehouse.ask(10)

    @dg.job
    def plain() -> None:
        asks()

    assert dg.materialize([counted, is_there]).success
    assert plain.execute_in_process().success
    assert warehouse.billed == 20
