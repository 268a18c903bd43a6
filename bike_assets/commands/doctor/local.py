"""Checks of this machine for every profile: home, disk space, source, ports, and optional programs."""

import os
import shutil
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path

import httpx

from bike_assets.commands.doctor.checks import Check
from bike_assets.commands.run.dashboards import GRAFANA, HOW_TO_INSTALL, NEEDED, monitoring_services, program
from bike_assets.commands.run.everything import services
from bike_assets.commands.run.processes import Service, refuse_busy_port
from bike_assets.core.service_access import PortalAccess
from bike_assets.errors import BikeError, SourceUnavailableError
from bike_assets.home.record import Home, describe_source, recorded_home
from bike_assets.resources.counts_source import file_digest, portal_of
from bike_assets.resources.home_source import outline_home
from bike_assets.settings import Settings

MIN_FREE_BYTES = 2 * 10**9
"""A year of Paris takes 0.6 GB, with all its models and their runs."""
REQUEST_TIMEOUT_SECONDS = 3.0


def local_checks(settings: Settings) -> list[Check]:
    """Return the checks of this machine."""
    unclaimed = Home(settings.home_folder, None, date.min, None, settings.timezone)
    platform = services(unclaimed, settings)
    monitoring = monitoring_services(settings.home_folder / "watching", settings)
    return [
        Check("home", partial(_home, settings)),
        Check("disk space", partial(_disk_space, settings)),
        Check("source of counts", partial(_source, settings)),
        *(Check(f"port of {each.display_name}", partial(_port, each, settings.host)) for each in platform),
        *(
            Check(f"port of {each.display_name}", partial(_port, each, settings.host), needed=False)
            for each in monitoring
        ),
        Check("Discord", partial(_discord, settings), needed=False),
        *(Check(name, partial(_program, name), needed=False) for name in (*NEEDED, GRAFANA)),
    ]


def _home(settings: Settings) -> str:
    home, folder = recorded_home(settings), _nearest_folder(settings.home_folder)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise BikeError(f"{folder} cannot be read and written to by this user: set BIKE_HOME to another folder.")
    return f"{settings.home_folder}: {describe_source(home) if home else 'nothing yet, and it can be made'}"


def _disk_space(settings: Settings) -> str:
    free = shutil.disk_usage(_nearest_folder(settings.home_folder)).free
    text = f"{free / 1e9:.1f} GB are free at {settings.home_folder}"
    if free < MIN_FREE_BYTES:
        raise BikeError(f"{text}, and {MIN_FREE_BYTES / 1e9:.0f} GB are needed: set BIKE_HOME to another folder.")
    return text


def _nearest_folder(folder: Path) -> Path:
    """Return the folder, or its nearest parent that exists."""
    return next(each for each in (folder, *folder.parents) if each.is_dir())


def _source(settings: Settings) -> str:
    home = outline_home(settings)
    checks: dict[str | None, Callable[[], str]] = {
        "simulator": lambda: "the simulator: part of each process, nothing has to be reached",
        "file": lambda: _file(home),
        None: lambda: _portal_or_simulator(settings),
    }
    return checks.get(home.source, lambda: _portal(portal_of(home, settings)))()


def _file(home: Home) -> str:
    if home.file is None or file_digest(home.file) != home.digest:
        raise BikeError(f"{home.file} is no longer the file that the home was made from: bring that one back.")
    return f"{home.file}, as it was when the home was made"


def _portal(access: PortalAccess) -> str:
    from bike_assets.resources.portal import Portal

    newest = Portal(access).newest_hour(quickly=True)
    if newest is None:
        raise BikeError(f"{access.addresses} has no rows in BIKE_PORTAL_DATASET={access.dataset}.")
    return f"{access.addresses} has counts of {access.dataset} up to {newest:%Y-%m-%d %H:%M} UTC"


def _portal_or_simulator(settings: Settings) -> str:
    try:
        return _portal(settings.portal)
    except SourceUnavailableError as error:
        return f"{str(error).rstrip('.')}: a home that is made now has the simulator (BIKE_SOURCE=auto)"


def _port(service: Service, host: str) -> str:
    try:
        refuse_busy_port(service, host)
    except BikeError:
        if _answers(service, host):
            return f"{service.display_name} answers on {host}:{service.port}"
        raise
    return f"{host}:{service.port} is free for {service.display_name}"


def _answers(service: Service, host: str) -> bool:
    try:
        address = f"http://{host}:{service.port}{service.health_path}"
        return httpx.get(address, timeout=REQUEST_TIMEOUT_SECONDS, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _discord(settings: Settings) -> str:
    if settings.discord_webhook_url is None:
        raise BikeError("BIKE_DISCORD_WEBHOOK_URL is not set: messages are only logged.")
    return "BIKE_DISCORD_WEBHOOK_URL is set; nothing was posted to try it"


def _program(name: str) -> str:
    path = program(name)
    if path is None:
        how = "bike report needs none" if name == GRAFANA else HOW_TO_INSTALL
        raise BikeError(f"not installed; only make dashboards uses it. {how}.")
    return path
