"""`bike`: the commands that people type. What they do belongs to `commands`."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from bike_assets.commands.warehouse import warehouse
from bike_assets.errors import BikeError
from bike_assets.settings import load_settings
from bike_assets.simulator.catalogue import FAULTS, SCENARIOS

INTERRUPTED = 130

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Bike counts of a city, forecast hour by hour: ingest, train, judge, forecast, monitor, serve.\n\n"
    "Settings come from the environment (BIKE_HOME, BIKE_SOURCE, BIKE_COUNTS_FILE, ...): docs/settings.md has them.\n\n"
    "Exit codes: 0 done, 1 a step failed, 2 settings or input cannot be used, 130 interrupted.",
)
app.add_typer(warehouse, name="warehouse")
Until = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"], metavar="DAY", help="Last local day to look at, as 2021-05-31; the newest by default."
    ),
]
MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]
SIMULATOR_HELP = """
Serve a portal on this machine that speaks the protocol of the real one, until Ctrl-C.

Point the platform at it with `BIKE_SOURCE=paris BIKE_PORTAL_URL=http://127.0.0.1:8100 make run`.

**Scenarios** happen to the counts, each always or from a day on, as in `late_rows,level_shift@2026-09-01`:

{scenarios}

**Faults** happen to the answers; of several, each request takes the next:

{faults}
"""


def _bullet_list(meanings: dict[str, str]) -> str:
    return "\n".join(f"- `{name}`: {meaning}" for name, meaning in meanings.items())


@app.command()
def materialize(
    until: Until = None,
    alone: Annotated[bool, typer.Option(hidden=True, help="No daemon works on the home.")] = False,
) -> None:
    """Do one full pass: ingest what is missing, train and judge if there is no champion, forecast, monitor.

    An interrupted pass continues where it stopped; a second one on the same home finds nothing to do. With `--until`,
    a new home ends with DAY as if it were the last day, and later passes continue from there day by day.
    """
    from bike_assets.commands.materialize.full_pass import run_full_pass

    run_full_pass(load_settings(), until.date() if until else None, alone)


@app.command()
def run() -> None:
    """Start everything and do the first pass: Dagster, MLflow and the API, until Ctrl-C ends all of them."""
    from bike_assets.commands.run.everything import run_everything

    run_everything(load_settings())


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Print JSON alone.")] = False) -> None:
    """Show what the home holds: counts, champion, forecasts, performance, drift, decision."""
    from bike_assets.commands.status import busiest_forecasts, collect_status, naive_scores

    settings = load_settings()
    collected = collect_status(settings)
    if as_json:
        print(json.dumps(collected, indent=2, allow_nan=False))
        return
    from bike_assets.commands.status import print_summary
    from bike_assets.terminal import console

    if collected["source"] is None:
        message = f"{settings.home_folder} holds nothing yet: type make run, or bike materialize."
        console.print(message, markup=False, emoji=False)
        return
    print_summary(collected, naive_scores(settings), busiest_forecasts(settings))


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to bind to; BIKE_HOST by default.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; BIKE_API_PORT by default.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Number of processes; BIKE_API_WORKERS by default.")
    ] = None,
) -> None:
    """Serve the champion over REST, until Ctrl-C: a page for people at /, the interactive documentation at /docs."""
    from serving.command import serve as serve_api

    settings = load_settings()
    serve_api(host or settings.host, settings.api_port if port is None else port, workers or settings.api_workers)


@app.command()
def exporter(
    host: Annotated[str | None, typer.Option(help="Address to bind to; BIKE_HOST by default.")] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port; BIKE_EXPORTER_PORT by default.")] = None,
) -> None:
    """Serve the platform's figures to Prometheus, until Ctrl-C: models, drift, decisions, data, runs, sensors."""
    from bike_assets.terminal import without_beta_warnings

    with without_beta_warnings():
        from bike_assets.exporter.server import serve_metrics

    settings = load_settings()
    serve_metrics(settings, host or settings.host, port or settings.exporter_port)


@app.command()
def dashboards() -> None:
    """Start Prometheus and Alertmanager (and Grafana, where it is installed) beside a platform that runs."""
    from bike_assets.commands.run.dashboards import run_dashboards

    run_dashboards(load_settings())


@app.command()
def report(
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where; report.html in the home by default.")
    ] = None,
) -> None:
    """Write the state of the platform as one HTML page: scores, drift, decisions, checks, data; it needs no server."""
    from bike_assets.terminal import console, without_beta_warnings

    with without_beta_warnings():
        from bike_assets.commands.report.page import write_report

    path = write_report(load_settings(), output)
    console.print(f"Report     {path}", markup=False, emoji=False, soft_wrap=True)


@app.command(help=SIMULATOR_HELP.format(scenarios=_bullet_list(SCENARIOS), faults=_bullet_list(FAULTS)))
def simulator(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for a free one.")] = 8100,
    host: Annotated[str | None, typer.Option(help="Address to bind to; BIKE_HOST by default.")] = None,
    counts: Annotated[Path | None, typer.Option(metavar="FILE", help="Replay a portal export instead.")] = None,
    clock: Annotated[
        datetime | None,
        typer.Option(formats=MOMENTS, metavar="TIME", help="What its clock shows at the start (UTC); now by default."),
    ] = None,
    months: Annotated[int | None, typer.Option(min=1, max=120, help="Months of counts; 13 by default.")] = None,
    scenarios: Annotated[str | None, typer.Option(help="Names, as below; BIKE_SIMULATOR_SCENARIOS by default.")] = None,
    fault: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A lasting fault; repeatable.")] = None,
    quota: Annotated[int | None, typer.Option(min=0, help="Requests in a UTC day; any number by default.")] = None,
) -> None:
    """Serve a simulated portal."""
    from bike_assets.commands.simulator import SimulatorOptions, run_simulator

    settings = load_settings()
    moment = clock.replace(tzinfo=clock.tzinfo or UTC) if clock else None
    options = SimulatorOptions(host or settings.host, port, counts, moment, months, scenarios, fault or [], quota)
    run_simulator(settings, options)


@app.command()
def backtest(
    counts: Annotated[Path, typer.Option(help="A portal export, Parquet or CSV.")],
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], metavar="DAY", help="First day.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], metavar="DAY", help="Last day.")],
    families: Annotated[str, typer.Option(help="Names with commas between them; all by default.")] = "",
    refit: Annotated[
        Literal["never", "monthly", "weekly"], typer.Option(help="How often the models are fitted again.")
    ] = "never",
    weather: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Hourly weather as observed; none by default.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--json", metavar="OUT", help="Write the figures there.")] = None,
) -> None:
    """Forecast past days as they would have been issued, with models fitted on earlier days, and score them.

    Prints R², RMSE and MAE for each family, the blend and the seasonal naive: overall, by horizon, for counters that
    are not in the training, and on public holidays. It needs no home and no server.
    """
    from bike_assets.commands.backtest import backtest as run
    from bike_assets.core.splits import Span

    names = [name.strip() for name in families.split(",") if name.strip()]
    span = Span(first.date(), last.date())
    run(load_settings(), counts.expanduser(), weather and weather.expanduser(), span, names, refit, output)


@app.command()
def replay(
    days: Annotated[int, typer.Option(min=1, max=1000, help="Days to play.")] = 60,
    scenario: Annotated[
        str, typer.Option(metavar="NAME", help="quiet, demo, or scenarios with their day, as level_shift@15.")
    ] = "quiet",
    home: Annotated[Path | None, typer.Option(metavar="DIR", help="A new home; BIKE_HOME by default.")] = None,
    counts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Replay a portal export in place of the simulated city.")
    ] = None,
    until: Until = None,
    anew: Annotated[bool, typer.Option("--anew", help="Start over a home that an earlier replay made.")] = False,
) -> None:
    """Play past days in minutes: the real schedules and sensors at simulated times, and the runs that they request.

    Prints a timeline, writes it as JSON into the home, and leaves the home as if the days had passed: `bike run` shows
    its runs, ticks and alarms. The scenarios are those of `bike simulator`, with the number of the replay's day after
    the @. Messages go to BIKE_DISCORD_WEBHOOK_URL.
    """
    from bike_assets.commands.replay.run import ReplayOptions, run_replay

    run_replay(ReplayOptions(days, scenario, home, counts, until.date() if until else None, anew))


@app.command()
def copy(
    to: Annotated[Literal["gcp"], typer.Option("--to", help="The profile to copy to.")],
    compare: Annotated[bool, typer.Option("--compare", help="Send nothing: only compare.")] = False,
) -> None:
    """Copy the home's tables, models and reports to Google Cloud, and compare both sides row by row.

    BIKE_GCP__PROJECT and BIKE_GCP__BUCKET name the target; `bike warehouse init` makes its tables first. The home does
    not change. An interrupted copy continues where it stopped. A second copy finds both sides equal.
    """
    from bike_assets.commands.copy.run import run_copy

    run_copy(load_settings(), compare)


@app.command()
def doctor() -> None:
    """Try each connection and permission that the profile in force needs, and list what is missing; change nothing.

    Exit code 0 means that nothing is missing that the platform needs.
    """
    from bike_assets.commands.doctor.run import run_doctor

    run_doctor(load_settings())


def main() -> None:
    """Run the command line; an error is one sentence on standard error and an exit code."""
    try:
        app()
    except BikeError as error:
        from rich.markup import escape

        from bike_assets.terminal import errors

        errors.print("[red]bike:[/]", escape(str(error)), emoji=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
