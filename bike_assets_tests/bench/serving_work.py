"""The child of the serving part: the bodies that are posted, and what the home is that they ask about.

Run as `python -m bike_assets_tests.bench.serving_work bodies <folder> <answer>` in the home that the environment names.
The same rows for every server: as records for the API, and for MLflow as the inputs that the feature function makes of
them, which a client of MLflow has to make.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from serving.city import CityData

API, MLFLOW = "API", "mlflow"
CHAMPION = "champion"
RECORDS = (1, 1000)
BODIES = {1: 100, 1000: 4}
"""How many bodies there are of each number of records: no server may profit from having answered the last one."""
SEED = 11


def bodies_file(folder: Path, server: str, model: str, records: int) -> Path:
    """Return where the bodies for a server and a model are, one a line."""
    return folder / f"bodies-{server}-{model}-{records}.txt"


def make_bodies(options: argparse.Namespace) -> dict[str, Any]:
    """Write every file of bodies, and return facts on versions and counts."""
    import numpy as np

    from bike_assets.core.families import FAMILIES
    from bike_assets.core.families.base import counter_codes
    from bike_assets.home.record import recorded_home
    from bike_assets.resources.local_registry import LocalRegistry
    from bike_assets.resources.tracking import MODEL, Tracking
    from bike_assets.resources.warehouse import LocalWarehouse
    from bike_assets.settings import load_settings
    from serving.city import read_city

    settings = load_settings()
    home = recorded_home(settings)
    city = home and read_city(LocalWarehouse(home.warehouse, settings.threads), settings.place)
    summary = LocalRegistry(settings.home_folder / "registry").read()
    entries = {family: summary.latest(family) for family in FAMILIES}
    if not (home and city and summary.champion and all(entries.values())):
        raise SystemExit("the home has no champion, or not a version of every family: a full pass makes them")
    entries[CHAMPION] = summary.champion
    hours, columns = np.nonzero(~np.isnan(city.base))
    chosen = {
        records: np.random.default_rng(SEED).integers(len(hours), size=(BODIES[records], records))
        for records in RECORDS
    }
    for model, entry in entries.items():
        codes = counter_codes(city.columns, entry.counters)
        named = {} if model == CHAMPION else {"model": model}
        for records, picks in chosen.items():
            rows = [(hours[pick], columns[pick]) for pick in picks]
            api_bodies = [{"records": _records(city, *each), **named} for each in rows]
            mlflow_bodies = [{"inputs": _inputs(city, codes, *each)} for each in rows]
            for server, bodies in ((API, api_bodies), (MLFLOW, mlflow_bodies)):
                lines = "\n".join(json.dumps(body, separators=(",", ":")) for body in bodies)
                bodies_file(options.folder, server, model, records).write_text(lines + "\n")
    return {
        "source": home.source,
        "counters": len(city.columns),
        "forecasts": len(hours),
        "families": {model: entry.family for model, entry in entries.items()},
        "model_uris": {model: f"models:/{MODEL}/{entry.version}" for model, entry in entries.items()},
        "tracking_uri": Tracking(home.mlflow).uri,
    }


def _records(city: "CityData", hours: "np.ndarray", columns: "np.ndarray") -> list[dict[str, str]]:
    ids = list(city.columns)
    pairs = zip(columns.tolist(), hours.tolist(), strict=True)
    return [{"counter_id": ids[column], "at": city.local_hour(hour).isoformat()} for column, hour in pairs]


def _inputs(
    city: "CityData", codes: "np.ndarray", hours: "np.ndarray", columns: "np.ndarray"
) -> dict[str, list[list[float]]]:
    features = city.inputs[hours, columns]
    features[:, 0] = codes[columns]
    return {"features": _short_numbers(features), "base": _short_numbers(city.base[hours, columns][:, None])}


def _short_numbers(values: "np.ndarray") -> list[list[float]]:
    """Lists whose numbers have as few digits as tell float32 apart: MLflow is to read no more than needed."""
    return values.astype(str).astype(float).tolist()


def main() -> None:
    """Do the part that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    bodies = parser.add_subparsers(required=True).add_parser("bodies")
    bodies.add_argument("folder", type=Path)
    bodies.add_argument("answer", type=Path)
    bodies.set_defaults(part=make_bodies)
    options = parser.parse_args()
    options.answer.write_text(json.dumps(options.part(options)))


if __name__ == "__main__":
    main()
