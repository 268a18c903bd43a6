"""Days played at simulated times: what the real schedules and sensors make of them, and what the command refuses."""

import json
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest

from bike_assets.commands.replay.home import ReplayOptions, prepare
from bike_assets.commands.replay.run import _play
from bike_assets.core.decisions import RetrainDecision
from bike_assets.errors import BikeError
from bike_assets.resources.training_data import read_training_data
from bike_assets_tests.conftest import LAST_DAY, City
from bike_assets_tests.whole.conftest import REPOSITORY, environment

pytestmark = pytest.mark.slow
DAYS = [LAST_DAY + timedelta(days=number) for number in (1, 2)]


def read_in_a_wrong_unit(*args: object):
    """Training data whose counts are twenty times what they were: a challenger that learns nonsense."""
    data = read_training_data(*args)
    data.__dict__["rows"] = data.rows.assign(bike_count=data.rows["bike_count"] * 20)
    return data


def test_a_poisoned_challenger_is_rejected_reported_and_not_trained_again(city: City, open_city, channel, monkeypatch):
    monkeypatch.setattr("bike_assets.assets.models.read_training_data", read_in_a_wrong_unit)
    webhook = f"{channel.address}/api/webhooks/1/x"
    city = open_city(
        city.home.folder, min_scored_rows=100, r2_critical=0.99, r2_warning=0.995, discord_webhook_url=webhook
    )
    champion = city.resource("registry").read().champion
    first, second = _play(city.settings, city.home, DAYS)
    assert (first.decision, first.evaluation, first.failed_runs) == ("RETRAIN_REACTIVE", "REJECT", ("retrain",))
    assert (second.decision, second.evaluation, second.runs) == ("RETRAIN_REACTIVE", None, ())
    assert second.held_until == DAYS[0] + timedelta(days=3)
    assert city.resource("registry").read().champion == champion
    assert sum("rejected" in title for title in channel.titles) == 1
    assert "Performance is critical" in channel.titles
    assert not [title for title in channel.titles if title.startswith("Run failed")]
    trained = city.query("SELECT * FROM monitoring_audit.training_runs WHERE trigger = 'RETRAIN_REACTIVE'")
    assert list(trained["status"]) == ["trained"] * len(trained) != []


def test_quiet_days_pass_with_a_decision_each_and_nothing_is_trained(city: City):
    days = list(_play(city.settings, city.home, DAYS))
    assert [day.day for day in days] == DAYS
    assert not [day for day in days if day.runs or day.evaluation or day.promoted or day.failed_runs]
    assert not [day for day in days if RetrainDecision(day.decision).asks_for_training]
    assert all(day.r2 == day.first_champion_r2 for day in days)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess]:
    """The home of a replay of three days, and what was printed."""
    home = tmp_path_factory.mktemp("replayed") / "home"
    return home, replay(home, "--days", "3", "--scenario", "level_shift@2", "--until", "2026-03-31")


def replay(home: Path, *options: str, **settings: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "bike_assets.cli", "replay", "--home", str(home), *options],
        env=environment(home.parent / "not-this-one", **settings),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=1800,
    )


def test_the_command_prints_a_timeline_and_writes_it_as_json(replayed):
    home, done = replayed
    assert done.returncode == 0, done.stderr
    days = json.loads((home / "replay.json").read_text())["days"]
    assert [day["day"] for day in days] == ["2026-03-29", "2026-03-30", "2026-03-31"]
    assert [done.stdout.count(f"\n{day['day']}  ") for day in days] == [1, 1, 1]
    assert all(day["decision"] and day["champion_version"] for day in days)
    assert days[2]["r2"] < days[0]["r2"]
    assert "retraining gained nothing" in done.stdout
    assert (home / "replay.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((home / "home.json").read_text())
    assert record["scenarios"] == "level_shift@2026-03-30"


def test_an_existing_home_is_refused_unless_a_replay_made_it_and_may_start_over(replayed, tmp_path, monkeypatch):
    home, _ = replayed
    again = replay(home, "--days", "2")
    assert again.returncode == 2
    assert "--anew" in again.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "home.json").write_text("{}")
    monkeypatch.setenv("BIKE_SOURCE", "simulator")
    with pytest.raises(BikeError, match="is a home already"):
        prepare(ReplayOptions(2, "quiet", home=tmp_path / "mine", anew=True), None)
    assert (tmp_path / "mine" / "home.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ReplayOptions(2, "rain@1"), "no scenario 'rain'"),
        (ReplayOptions(2, "quiet", until=date(2999, 1, 1)), "is not over in this source"),
    ],
)
def test_what_cannot_be_replayed_is_refused_before_anything_is_made(tmp_path, options, message):
    home = tmp_path / "home"
    with pytest.raises(BikeError, match=message):
        prepare(ReplayOptions(options.days, options.scenario, home=home, until=options.until), None)
    assert not home.exists()


def test_simulated_days_never_reach_the_cloud(tmp_path):
    # In a process of its own, as prepare() changes the environment for every process after it.
    code = (
        "from contextlib import ExitStack; from pathlib import Path; from bike_assets.commands.replay.home import *; "
        f"print(prepare(ReplayOptions(2, 'quiet', home=Path({str(tmp_path / 'home')!r})), ExitStack())[0].profile)"
    )
    cloud = {"BIKE_PROFILE": "gcp", "BIKE_GCP__PROJECT": "city", "BIKE_GCP__BUCKET": "bikes"}
    profile = subprocess.run(
        [sys.executable, "-c", code], env=environment(tmp_path, **cloud), capture_output=True, text=True, check=False
    )
    assert profile.stdout.strip() == "local", profile.stderr


@pytest.mark.verify
def test_sixty_quiet_days_train_nothing_but_the_challenge_of_the_month(tmp_path):
    home = tmp_path / "home"
    done = replay(home, "--days", "60", "--until", "2026-06-10", BIKE_SIMULATOR_COUNTERS="16", BIKE_HISTORY_MONTHS="13")
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    days = json.loads((home / "quiet.json").read_text())["days"]
    assert [day["day"] for day in days if "retrain" in day["runs"]] == ["2026-04-30", "2026-05-31"]
    assert not [day for day in days if day["decision"] not in {"ALL_GOOD", "WAIT"} or day["failed_runs"]]
