"""The environment of a home's processes: they start in another folder than the one a path was typed in."""

from pathlib import Path

from bike_assets.commands.run.everything import child_environment
from bike_assets.settings import Settings
from bike_assets_tests.conftest import claim


def test_the_processes_of_a_home_get_absolute_paths(tmp_path, monkeypatch):
    home = claim(tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    Path("weather.csv").touch()
    Path("city.toml").write_text(Settings().city_file.read_text())
    settings = Settings(
        home=home.folder,
        source="file",
        counts_file=Path("counts.csv"),
        weather_file=Path("weather.csv"),
        city_file=Path("city.toml"),
    )
    environment = child_environment(home, settings)
    assert {name: environment[f"BIKE_{name}"] for name in ("COUNTS_FILE", "WEATHER_FILE", "CITY_FILE")} == {
        "COUNTS_FILE": str(tmp_path / "counts.csv"),
        "WEATHER_FILE": str(tmp_path / "weather.csv"),
        "CITY_FILE": str(tmp_path / "city.toml"),
    }
