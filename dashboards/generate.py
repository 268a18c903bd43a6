"""Writes the dashboards' JSON: `python -m dashboards.generate`. With --check it only lists files to update."""

import argparse
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from bike_assets.settings import Settings, load_settings
from dashboards.committed import FOLDER
from dashboards.drift_monitoring import drift_monitoring
from dashboards.model_performance import model_performance
from dashboards.overview import overview
from dashboards.training_deployment import training_deployment

COMMAND = "python -m dashboards.generate"


def dashboards_of(settings: Settings) -> list[Dashboard]:
    """Return every dashboard, with the bounds, addresses and time zone of the settings."""
    return [make(settings) for make in (overview, model_performance, drift_monitoring, training_deployment)]


def files_of(settings: Settings) -> dict[str, str]:
    """Return the JSON of every dashboard by the name of its file."""
    return {
        f"{dashboard.uid}.json": json.dumps(dashboard, cls=JSONEncoder, indent=2, ensure_ascii=False, sort_keys=True)
        + "\n"
        for dashboard in dashboards_of(settings)
    }


def stale_files(settings: Settings, folder: Path = FOLDER) -> list[str]:
    """Return the names of files that are missing, differ from the code, or belong to no dashboard."""
    made = files_of(settings)
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def write(settings: Settings, folder: Path = FOLDER) -> list[str]:
    """Write the files that differ, remove those of no dashboard, and return the names of both."""
    made, stale = files_of(settings), stale_files(settings, folder)
    for name in stale:
        if name in made:
            (folder / name).write_text(made[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    return stale


def main() -> int:
    """Write the files, or check them with --check."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Write the JSON of the Grafana dashboards.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is not up to date")
    if parser.parse_args().check:
        stale = stale_files(load_settings())
        if stale:
            print(f"Not up to date: {', '.join(stale)}. Run {COMMAND}.", file=sys.stderr)
        return bool(stale)
    for name in write(load_settings()):
        print(f"{FOLDER.name}/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
