"""`make dashboards`: runs Prometheus, Alertmanager and, if installed, Grafana beside a running platform.

Their configuration is in the folder `dashboards`. This module copies it into the home, with the platform's addresses
and its secret.
"""

import json
import os
import shutil
from pathlib import Path

from bike_assets.commands.run.processes import (
    Service,
    end_on_signals,
    keep_alive,
    refuse_busy_port,
    wait_until_healthy,
)
from bike_assets.errors import BikeError
from bike_assets.home.lock import hold_lock
from bike_assets.home.record import recorded_home
from bike_assets.instance.home_instance import REPOSITORY
from bike_assets.settings import Settings
from bike_assets.terminal import console
from dashboards.alertmanager.render import write as write_alertmanager

DASHBOARDS = REPOSITORY / "dashboards"
KEPT_DAYS = 400
NEEDED = ("prometheus", "alertmanager")
GRAFANA, GRAFANA_HOME = "grafana", "/usr/share/grafana"
HOW_TO_INSTALL = (
    "Debian: apt-get install --no-install-recommends prometheus prometheus-alertmanager; or write a page that needs no "
    "server with bike report"
)


def run_dashboards(settings: Settings) -> None:
    """Start the monitoring programs, print their addresses, and wait until Ctrl-C.

    Raises:
        BikeError: the home is empty, a program is not installed, or a port is busy.
    """
    end_on_signals()
    home = recorded_home(settings)
    if home is None:
        raise BikeError(f"{settings.home_folder} holds nothing yet: type make run first, then this beside it.")
    missing = [name for name in NEEDED if program(name) is None]
    if missing:
        raise BikeError(f"{' and '.join(missing)} cannot be found: {HOW_TO_INSTALL}.")
    with hold_lock(home, "dashboards"):
        folder = home.folder / "watching"
        write_configuration(folder, settings)
        running = monitoring_services(folder, settings)
        for service in running:
            refuse_busy_port(service, settings.host)
        with keep_alive(running, environment(folder, settings), home.folder / "logs") as supervisor:
            for service in running:
                wait_until_healthy(service, settings.host, supervisor)
            for service in running:
                console.print(f"[bold]{service.display_name:<13}[/] http://{settings.host}:{service.port}")
            if program(GRAFANA) is None:
                console.print("Grafana is not installed here: bike report writes the key charts as one page.")
            console.print("Ctrl-C ends them; the platform keeps running.")
            supervisor.wait()


def write_configuration(folder: Path, settings: Settings) -> None:
    """Write the configuration into a folder, with this platform's addresses. Only this user can read the webhook."""
    shutil.copytree(DASHBOARDS / "prometheus", folder / "prometheus", dirs_exist_ok=True)
    for name, port in _ports(settings).items():
        target = [{"targets": [f"{settings.host}:{port}"]}]
        (folder / "prometheus" / "targets" / f"{name}.json").write_text(json.dumps(target) + "\n")
    (folder / "alertmanager").mkdir(parents=True, exist_ok=True)
    webhook = settings.discord_webhook_url
    write_alertmanager(folder / "alertmanager" / "alertmanager.yml", webhook.get_secret_value() if webhook else None)


def monitoring_services(folder: Path, settings: Settings) -> list[Service]:
    """Return the monitoring programs, in the order in which the terminal lists them."""
    host = settings.host
    prometheus = (
        str(program("prometheus")),
        f"--config.file={folder}/prometheus/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        f"--storage.tsdb.retention.time={KEPT_DAYS}d",
        f"--web.listen-address={host}:{settings.prometheus_port}",
    )
    alertmanager = (
        str(program("alertmanager")),
        f"--config.file={folder}/alertmanager/alertmanager.yml",
        f"--storage.path={folder}/alerts",
        f"--web.listen-address={host}:{settings.alertmanager_port}",
        "--cluster.listen-address=",
    )
    running = [
        Service("prometheus", prometheus, settings.prometheus_port, "/-/ready", "BIKE_PROMETHEUS_PORT", "Prometheus"),
        Service(
            "alertmanager",
            alertmanager,
            settings.alertmanager_port,
            "/-/ready",
            "BIKE_ALERTMANAGER_PORT",
            "Alertmanager",
        ),
    ]
    if grafana := program(GRAFANA):
        command = (grafana, "server", f"--homepath={GRAFANA_HOME}")
        running.append(
            Service("grafana", command, settings.grafana_port, "/api/health", "BIKE_GRAFANA_PORT", "Grafana")
        )
    return running


GRAFANA_STAYS_HERE = {
    "GF_ANALYTICS_REPORTING_ENABLED": "false",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    "GF_NEWS_NEWS_FEED_ENABLED": "false",
    "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    "GF_SECURITY_DISABLE_GRAVATAR": "true",
}
"""Without these, Grafana reports usage, checks for updates, and loads plugins, news and avatars from other hosts."""


def environment(folder: Path, settings: Settings) -> dict[str, str]:
    """Return the environment of the monitoring programs. Grafana reads all its settings from it."""
    return os.environ | {
        "GF_SERVER_HTTP_ADDR": settings.host,
        "GF_SERVER_HTTP_PORT": str(settings.grafana_port),
        "GF_PATHS_DATA": str(folder / "grafana"),
        "GF_PATHS_LOGS": str(folder / "grafana"),
        "GF_PATHS_PROVISIONING": str(DASHBOARDS / "grafana" / "provisioning"),
        **GRAFANA_STAYS_HERE,
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "BIKE_PROMETHEUS_URL": f"http://{settings.host}:{settings.prometheus_port}",
        "BIKE_GRAFANA_DASHBOARDS": str(DASHBOARDS / "grafana"),
    }


def _ports(settings: Settings) -> dict[str, int]:
    return {
        "bike_exporter": settings.exporter_port,
        "bike_api": settings.api_port,
        "prometheus": settings.prometheus_port,
        "alertmanager": settings.alertmanager_port,
    }


def program(name: str) -> str | None:
    """Return the path of a program. Debian prefixes Alertmanager's name with `prometheus-`."""
    return shutil.which(name) or shutil.which(f"prometheus-{name}")
