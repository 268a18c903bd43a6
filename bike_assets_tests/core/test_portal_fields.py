"""A city's names for our columns: one field or several identify a counter."""

import pytest
from pydantic import ValidationError

from bike_assets.core.portal_fields import PortalFields

REST = {"bike_count": "bikes", "counted_at": "hour"}


def test_one_field_identifies_a_counter():
    fields = PortalFields(counter_id="site", **REST)
    assert fields.key == ("site",)
    assert fields.by_column == {"counter_id": "site", "bike_count": "bikes", "counted_at": "hour"}


def test_further_fields_of_a_key_have_columns_of_their_own():
    fields = PortalFields(counter_id=["site", "direction", "mode"], **REST)
    assert fields.key == ("site", "direction", "mode")
    assert fields.by_column == {
        "counter_id": "site",
        "counter_id_2": "direction",
        "counter_id_3": "mode",
        "bike_count": "bikes",
        "counted_at": "hour",
    }
    assert len({fields, PortalFields(counter_id=("site", "direction", "mode"), **REST)}) == 1


@pytest.mark.parametrize("key", ["", [], ["site", ""]])
def test_a_field_without_a_name_is_refused(key):
    with pytest.raises(ValidationError):
        PortalFields(counter_id=key, **REST)
