"""A home's record: written once, read back as it was, and refused for any other source."""

import dataclasses
import json
from datetime import date

import pytest

from bike_assets.errors import BikeError
from bike_assets.home.record import RECORD, Home, describe_source, recorded_home
from bike_assets.settings import Settings

ZONE = "Europe/Paris"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home"


def simulated(folder) -> Home:
    return Home(folder, "simulator", date(2024, 5, 1), None, ZONE, seed=20, counters=64, country="DE")


OLD, NEW, OTHER = "https://old.example.org", "https://new.example.org", "https://other.example.org"


def of_a_portal(folder, kind: str = "portal", portal: str = OLD) -> Home:
    return Home(folder, kind, date(2024, 5, 1), None, ZONE, portal=portal, dataset="bikes")


def chosen_by_auto(folder) -> Home:
    return dataclasses.replace(simulated(folder), reason="the portal did not answer")


def from_file(folder) -> Home:
    export = folder.parent / "export.csv"
    return Home(folder, "file", date(2020, 9, 1), date(2021, 6, 30), ZONE, file=export, digest="abc")


def of_a_clock(folder) -> Home:
    """The home of an export whose times have no offset."""
    return dataclasses.replace(from_file(folder), naive_zone=ZONE, rows_without_day=3)


@pytest.mark.parametrize("make", [simulated, from_file, of_a_portal, chosen_by_auto, of_a_clock])
def test_a_claimed_home_is_read_back_as_it_was(folder, make):
    make(folder).claim()
    assert recorded_home(Settings(home=folder)) == make(folder)
    assert [path.name for path in folder.iterdir()] == [RECORD]


def test_an_unclaimed_folder_has_no_home(folder):
    assert recorded_home(Settings(home=folder)) is None
    folder.mkdir()
    assert recorded_home(Settings(home=folder)) is None
    assert not list(folder.iterdir())


def test_the_first_claim_stays(folder):
    simulated(folder).claim()
    before = (folder / RECORD).stat().st_mtime_ns
    simulated(folder).claim()
    from_file(folder).claim()
    assert (folder / RECORD).stat().st_mtime_ns == before
    assert recorded_home(Settings(home=folder)) == simulated(folder)


def test_a_home_can_be_moved(folder, tmp_path):
    simulated(folder).claim()
    moved = folder.rename(tmp_path / "moved")
    assert recorded_home(Settings(home=moved)) == dataclasses.replace(simulated(folder), folder=moved)


def test_everything_lies_below_the_folder(folder):
    home = simulated(folder)
    places = [home.warehouse, home.registry, home.mlflow, home.dagster, home.reports]
    assert len(set(places)) == 5
    assert all(place.parent == folder for place in places)


@pytest.mark.parametrize("source", ["auto", "simulator"])
def test_the_source_of_the_record_and_auto_are_accepted(folder, source):
    simulated(folder).claim()
    assert recorded_home(Settings(home=folder, source=source)).source == "simulator"


@pytest.mark.parametrize("recorded", ["paris", "portal"])
@pytest.mark.parametrize("asked", ["auto", "paris", "portal"])
def test_a_portals_home_is_accepted_by_either_name_of_the_portal(folder, recorded, asked):
    of_a_portal(folder, recorded).claim()
    assert recorded_home(Settings(home=folder, source=asked)) == of_a_portal(folder, recorded)


@pytest.mark.parametrize(
    ("portal", "named"),
    [(OLD, OLD), (OLD, f"{NEW} {OLD}"), (f"{OLD} {OTHER}", OTHER), (f"{OLD} {OTHER}", f"{NEW} {OLD}")],
)
def test_a_portal_that_moved_is_accepted_beside_an_address_that_is_known(folder, portal, named):
    of_a_portal(folder, portal=portal).claim()
    assert recorded_home(Settings(home=folder, portal_url=named)).portal == portal


def test_a_recorded_portal_is_accepted_where_the_settings_name_none(folder):
    of_a_portal(folder).claim()
    assert recorded_home(Settings(home=folder)).portal == OLD


def test_a_new_portal_address_alone_is_refused_with_advice(folder):
    of_a_portal(folder).claim()
    with pytest.raises(BikeError, match=rf"BIKE_PORTAL_URL={NEW} is another portal: .* name the old address too"):
        recorded_home(Settings(home=folder, portal_url=NEW))


def test_a_simulated_home_ignores_the_portals_address(folder):
    simulated(folder).claim()
    assert recorded_home(Settings(home=folder, portal_url=NEW, portal_dataset="other")) == simulated(folder)


@pytest.mark.parametrize(
    ("make", "settings", "expected"),
    [
        (of_a_portal, {"portal_url": f"{NEW} {OTHER}"}, [OLD, f"BIKE_PORTAL_URL={NEW} {OTHER}", "another portal"]),
        (of_a_portal, {"portal_dataset": "trees"}, ["bikes", "BIKE_PORTAL_DATASET=trees"]),
        (of_a_portal, {"source": "simulator"}, [OLD, "BIKE_SOURCE=simulator"]),
        (of_a_portal, {"source": "file", "counts_file": "x.csv"}, [OLD, "BIKE_SOURCE=file", "x.csv"]),
        (of_a_portal, {"counts_file": "x.csv"}, [OLD, "BIKE_COUNTS_FILE=x.csv"]),
        (of_a_portal, {"timezone": "Europe/London"}, ["BIKE_TIMEZONE=Europe/Paris", "Europe/London"]),
        (simulated, {"source": "portal"}, ["synthetic", "BIKE_SOURCE=portal"]),
        (simulated, {"source": "paris"}, ["synthetic", "BIKE_SOURCE=paris"]),
        (chosen_by_auto, {"source": "paris"}, ["synthetic", "BIKE_SOURCE=paris"]),
        (from_file, {"source": "portal"}, ["export.csv", "BIKE_SOURCE=portal"]),
        (simulated, {"source": "file", "counts_file": "x.csv"}, ["synthetic", "BIKE_SOURCE=file", "x.csv"]),
        (simulated, {"source": "auto", "counts_file": "x.csv"}, ["synthetic", "BIKE_COUNTS_FILE=x.csv"]),
        (of_a_clock, {"times": "utc"}, [f"read as {ZONE}", "BIKE_TIMES=utc means UTC"]),
        (from_file, {"source": "simulator"}, ["export.csv", "BIKE_SOURCE=simulator"]),
        (simulated, {"timezone": "Europe/London"}, ["BIKE_TIMEZONE=Europe/Paris", "Europe/London"]),
    ],
    ids=lambda value: " ".join(f"{name}={text}" for name, text in value.items()) if isinstance(value, dict) else "",
)
def test_another_source_or_zone_is_refused_with_advice(folder, make, settings, expected):
    make(folder).claim()
    before = (folder / RECORD).read_bytes()
    with pytest.raises(BikeError) as refusal:
        recorded_home(Settings(home=folder, **settings))
    message = str(refusal.value)
    assert all(part in message for part in [str(folder), "choose another BIKE_HOME", *expected]), message
    assert (folder / RECORD).read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"\xff\xfe", b"{}", b'{"first_day": "soon"}'],
    ids=["empty", "cut", "a list", "no text", "nothing in it", "no day"],
)
def test_an_invalid_record_is_named_and_left_as_it_is(folder, content):
    folder.mkdir()
    (folder / RECORD).write_bytes(content)
    with pytest.raises(BikeError, match=r"home\.json is not the record of a home"):
        recorded_home(Settings(home=folder))
    assert (folder / RECORD).read_bytes() == content


def test_a_record_with_fields_of_another_version_is_refused(folder):
    simulated(folder).claim()
    values = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps(values | {"profile": "gcp"}))
    with pytest.raises(BikeError, match="profile"):
        recorded_home(Settings(home=folder))


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BikeError, match=r"BIKE_HOME=.*file/home cannot be written to"):
        simulated(tmp_path / "file" / "home").claim()


def test_a_home_below_a_regular_file_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "home", tmp_path / "file" / "deep" / "home"):
        with pytest.raises(BikeError, match=f"BIKE_HOME={folder} cannot be used: a part of it is a file"):
            recorded_home(Settings(home=folder))


@pytest.mark.parametrize("name", ["a=b", "day=2020-01-01/home"])
def test_a_path_that_looks_like_a_partition_is_refused_with_nothing_written(tmp_path, name):
    folder = tmp_path / name
    for act in (simulated(folder).claim, lambda: recorded_home(Settings(home=folder))):
        with pytest.raises(BikeError, match="cannot be used: its path has a =") as refusal:
            act()
        assert str(folder) in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_home_that_is_moved_to_a_path_that_looks_like_a_partition_is_refused(folder, tmp_path):
    """Its rows would be read with the path's partition and be found on no day."""
    simulated(folder).claim()
    moved = folder.rename(tmp_path / "day=2020-01-01")
    with pytest.raises(BikeError, match="its path has a ="):
        recorded_home(Settings(home=moved))


@pytest.mark.parametrize("name", ["it's mine", "[draft]", "[/draft]", "ü 100%20", "a;b {c,d} ?*"])
def test_other_unusual_paths_are_homes(tmp_path, name):
    folder = tmp_path / name
    simulated(folder).claim()
    assert recorded_home(Settings(home=folder)) == simulated(folder)


def test_a_record_without_a_country_is_read(folder):
    simulated(folder).claim()
    values = json.loads((folder / RECORD).read_text())
    assert values.pop("country") == "DE"
    (folder / RECORD).write_text(json.dumps(values))
    assert recorded_home(Settings(home=folder)) == dataclasses.replace(simulated(folder), country=None)


def test_the_description_never_presents_invented_counts_as_measured(folder):
    assert "synthetic counts of 64 invented counters" in describe_source(simulated(folder))
    assert "export.csv" in describe_source(from_file(folder))
    assert "synthetic" not in describe_source(from_file(folder))
    assert "times without an offset are read as Europe/Paris; 3 row(s)" in describe_source(of_a_clock(folder))
    assert "synthetic" not in describe_source(of_a_portal(folder))


def test_the_description_names_the_portal_and_its_dataset(folder):
    description = describe_source(of_a_portal(folder, portal=f"{OLD} {OTHER}"))
    assert OLD in description
    assert OTHER not in description
    assert "dataset bikes" in description


def test_the_description_of_a_simulator_that_auto_chose_has_the_reason(folder):
    assert "because the portal did not answer" in describe_source(chosen_by_auto(folder))
    assert "because" not in describe_source(simulated(folder))


def test_a_record_from_before_there_were_portals_is_read(folder):
    simulated(folder).claim()
    values = json.loads((folder / RECORD).read_text())
    for name in ("portal", "dataset", "reason"):
        del values[name]
    (folder / RECORD).write_text(json.dumps(values))
    assert recorded_home(Settings(home=folder)) == simulated(folder)


def test_a_home_of_another_version_is_refused_before_its_tables_are_read(folder):
    simulated(folder).claim()
    record = json.loads((folder / "home.json").read_text())
    (folder / "home.json").write_text(json.dumps({name: value for name, value in record.items() if name != "layout"}))
    with pytest.raises(BikeError, match="made by another version"):
        recorded_home(Settings(home=folder))
