"""`bike simulator`: runs the simulated portal until Ctrl-C or a termination.

The options belong to `cli`; the portal's answers belong to the package `bike_assets.simulator`.
"""

import signal
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from rich.markup import escape

from bike_assets.core.simulation import SimulatedCity
from bike_assets.errors import BikeError
from bike_assets.settings import Settings
from bike_assets.simulator.clock import Clock
from bike_assets.simulator.publication import Publication, ReplayedPublication, SimulatedPublication
from bike_assets.simulator.scenarios import Scenario, parse_scenarios
from bike_assets.simulator.server import PortalSimulator
from bike_assets.terminal import console


@dataclass(frozen=True)
class SimulatorOptions:
    """The options of `bike simulator`.

    Attributes:
        host: address to bind to.
        port: port to listen on; 0 for a free one.
        counts: an export to replay; None for a simulated city.
        clock: time on the portal's clock at the start; None for the real time.
        months: how far back the simulated city's counts go; None for the portal's 13.
        scenarios: comma-separated names; None for those of the settings.
        faults: names of faults that last for the whole run.
        quota: maximum requests in a UTC day; None for no limit.
    """

    host: str
    port: int
    counts: Path | None
    clock: datetime | None
    months: int | None
    scenarios: str | None
    faults: Sequence[str]
    quota: int | None


def run_simulator(settings: Settings, options: SimulatorOptions) -> None:
    """Serve until an interrupt or a termination. Both raise KeyboardInterrupt.

    Raises:
        BikeError: an option cannot be used, or the port is in use.
    """
    if options.counts and options.scenarios:
        raise BikeError("--scenarios need the simulated city: they cannot be combined with --counts.")
    if options.counts and options.months:
        raise BikeError("--months needs the simulated city: with --counts, the file determines the days.")
    scenarios = [] if options.counts else _scenarios(settings, options)
    portal = PortalSimulator(
        _publication(settings, options, scenarios),
        settings.portal_dataset,
        host=options.host,
        port=options.port,
        clock=Clock(options.clock),
        daily_quota=options.quota,
        labels=settings.portal_labels,
    )
    for fault in options.faults:
        portal.fail(fault, times=None)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    with portal:
        console.print(f"[bold]Portal[/]     {portal.url} with the dataset {escape(settings.portal_dataset)}")
        console.print(f"[bold]Counts[/]     {escape(_describe_counts(settings, options, portal))}")
        console.print(f"[bold]Weather[/]    {portal.url}/v1/archive and /v1/forecast, {_describe_weather(options)}")
        console.print(f"[bold]Scenarios[/]  {', '.join(map(_describe_scenario, scenarios)) or 'none'}")
        console.print(f"[bold]Faults[/]     {', '.join(options.faults) or 'none'}")
        source = "paris" if settings.is_paris else "portal"
        console.print(f"[bold]Use it[/]     BIKE_SOURCE={source} BIKE_PORTAL_URL={portal.url} make run")
        threading.Event().wait()


def _interrupt(number: int, _: object) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _scenarios(settings: Settings, options: SimulatorOptions) -> list[Scenario]:
    return parse_scenarios(settings.simulator_scenarios if options.scenarios is None else options.scenarios)


def _publication(settings: Settings, options: SimulatorOptions, scenarios: Sequence[Scenario]) -> Publication:
    if options.counts:
        return ReplayedPublication(options.counts.expanduser(), settings.published_form)
    city = SimulatedCity(settings.seed, settings.simulator_counters, settings.timezone, settings.holidays_country)
    return SimulatedPublication(city, settings.portal_fields, scenarios, months=options.months)


def _describe_counts(settings: Settings, options: SimulatorOptions, portal: PortalSimulator) -> str:
    origin = str(options.counts) if options.counts else f"{settings.simulator_counters} invented counters"
    span = portal.span()
    if span is None:
        return f"{origin}, nothing published yet"
    first, last = (hour.astimezone(ZoneInfo(settings.timezone)).date() for hour in span)
    return f"{origin}, {first} to {last}"


def _describe_weather(options: SimulatorOptions) -> str:
    return "invented, and unrelated to the counts of the file" if options.counts else "that of the invented counts"


def _describe_scenario(scenario: Scenario) -> str:
    return scenario.name + (f" from {scenario.since} on" if scenario.since else "")
