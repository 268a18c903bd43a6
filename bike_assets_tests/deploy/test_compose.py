"""deploy/ without Docker: what compose.yaml starts is there, with its options; nothing is root, open or secret."""

import re
import shlex
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from bike_assets.commands.run.dashboards import GRAFANA_STAYS_HERE
from bike_assets.commands.run.everything import services
from bike_assets.instance.home_instance import REPOSITORY
from bike_assets.settings import Settings
from bike_assets_tests.conftest import claim

DEPLOY = REPOSITORY / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
MONITORING = {"prometheus", "alertmanager", "grafana"}
SECRET = re.compile(r"PASSWORD|KEY|TOKEN|SECRET|WEBHOOK")
VARIABLE = re.compile(r"\$\{(\w+)(?::?([-?+])([^}]*))?\}")


def command_of(program: str) -> Any:
    """The command line of a program of the image."""
    import dagster._cli
    import dagster._daemon.cli
    import dagster_webserver.cli
    import mlflow.cli
    import typer.main

    import bike_assets.cli

    return {
        "bike": typer.main.get_command(bike_assets.cli.app),
        "dagster": dagster._cli.create_dagster_cli(),
        "dagster-daemon": dagster._daemon.cli.create_dagster_daemon_cli(),
        "dagster-webserver": dagster_webserver.cli.create_dagster_webserver_cli(),
        "mlflow": mlflow.cli.cli,
    }[program]


def refuse_unknown_options(command: Any, arguments: list[str]) -> None:
    """Read arguments as the program would, and do nothing; typer's groups are of a click of its own.

    Raises:
        Exception: click's; there is no such command or option, or a value is none.
    """
    context = command.make_context("program", list(arguments))
    if hasattr(command, "resolve_command"):
        _, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        refuse_unknown_options(inner, rest)


def test_every_process_of_make_run_and_everything_it_needs_has_a_service(tmp_path):
    home = claim(tmp_path / "home")
    of_make_run = {service.name for service in services(home, Settings(home=home.folder))}
    needed = {"daemon", "code-location", "postgres", "tables", "first-pass"}
    assert set(SERVICES) == of_make_run | needed | MONITORING
    assert {name for name, service in SERVICES.items() if service.get("profiles") == ["monitoring"]} == MONITORING


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists_and_knows_its_options(name, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    program, *arguments = [VARIABLE.sub("value", part) for part in program_of(SERVICES[name]["command"])]
    assert (REPOSITORY / ".venv" / "bin" / program).exists()
    refuse_unknown_options(command_of(program), arguments)


def program_of(command: list[str]) -> list[str]:
    """A command without the shell that maps its exit code."""
    return shlex.split(command[2].partition("||")[0]) if command[:2] == ["sh", "-c"] else command


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 0), (2, 1), (130, 1)])
def test_the_daemon_starts_after_a_failed_step_but_not_after_wrong_settings(tmp_path, code, ends):
    bike = tmp_path / "bike"
    bike.write_text(f"#!/bin/sh\nexit {code}\n")
    bike.chmod(0o755)
    command = [part.replace("$$", "$") for part in SERVICES["first-pass"]["command"]]
    assert subprocess.run(command, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=False).returncode == ends


def test_an_unknown_option_is_detected():
    with pytest.raises(Exception, match="No such option"):
        refuse_unknown_options(command_of("bike"), ["serve", "--hots", "0.0.0.0"])
    with pytest.raises(Exception, match="No such command"):
        refuse_unknown_options(command_of("dagster"), ["code-serve", "start"])


def test_a_health_check_is_valid_python_and_requests_the_services_port():
    program, *arguments = SERVICES["code-location"]["healthcheck"]["test"][1:]
    refuse_unknown_options(command_of(program), arguments)
    for name in ("api", "mlflow"):
        script = SERVICES[name]["healthcheck"]["test"][-1]
        compile(script, name, "exec")
        assert f":{SERVICES[name]['ports'][0].rpartition(':')[2]}/" in script


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_no_service_is_root_or_can_become_root(name):
    service = SERVICES[name]
    assert service["user"].partition(":")[0] not in {"", "0", "root"}
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "devices", "network_mode"} & set(service)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_those_of_the_settings_on_this_machine_alone(name):
    for port in SERVICES[name].get("ports", []):
        address, variable, default = re.fullmatch(r"(127\.0\.0\.1):\$\{(\w+):-(\d+)\}:\d+", port).groups()
        assert address == "127.0.0.1"
        setting = variable.removeprefix("BIKE_").lower()
        assert Settings.model_fields[setting].default == int(default)


def test_only_ports_for_people_or_programs_are_published():
    assert {name for name, service in SERVICES.items() if not service.get("ports")} == {
        "postgres",
        "code-location",
        "tables",
        "first-pass",
        "daemon",
    }


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_mounted_path_exists(name):
    for mount in SERVICES[name].get("volumes", []):
        source = VARIABLE.sub(lambda found: found[3] or "", mount).partition(":")[0]
        assert (DEPLOY / source).exists() if "/" in source else source in COMPOSE["volumes"], mount
        assert "/" not in source or mount.endswith(":ro")
        assert "docker.sock" not in mount
    for secret in SERVICES[name].get("secrets", []):
        assert secret in COMPOSE["secrets"]
    for needed in SERVICES[name].get("depends_on", {}):
        assert needed in SERVICES


def test_a_service_that_others_wait_for_has_a_health_check():
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[needed], needed


def test_a_service_whose_end_others_wait_for_does_not_restart_forever():
    ends = {name for service in SERVICES.values() for name, how in service.get("depends_on", {}).items()
            if how["condition"] == "service_completed_successfully"}  # fmt: skip
    assert ends == {"tables", "first-pass"}
    assert {name for name, service in SERVICES.items() if service["restart"] != "unless-stopped"} == ends


def test_a_secret_has_no_value_in_any_file_of_deploy():
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            reference = VARIABLE.fullmatch(str(value))
            is_from_outside = reference is not None and (reference[2] == "?" or not reference[3])
            assert is_from_outside or not SECRET.search(variable), f"{name}: {variable}"
            assert not re.search(r"://\w+:[^$@]+@", str(value)), f"{name}: {variable}"
    for line in (DEPLOY / "example.env").read_text().splitlines():
        variable, _, value = line.lstrip("#").partition("=")
        assert not (re.fullmatch(r"[A-Z_]+", variable) and SECRET.search(variable) and value), line


def test_every_variable_is_a_setting_or_explained():
    explained = set(re.findall(r"^#?([A-Z_]+)=", (DEPLOY / "example.env").read_text(), re.MULTILINE))
    of_settings = {f"BIKE_{name}".upper() for name in Settings.model_fields}
    variables = {found[1] for found in VARIABLE.finditer((DEPLOY / "compose.yaml").read_text())}
    assert variables - of_settings - explained == {"BIKE_ALERTMANAGER_FILE"}
    needed = {found[1] for found in VARIABLE.finditer((DEPLOY / "compose.yaml").read_text()) if found[2] == "?"}
    assert needed <= explained


def test_the_api_finds_dagster_whatever_port_is_published():
    given = SERVICES["api"]["environment"]
    settings = Settings(host=given["BIKE_HOST"], dagster_port=given["BIKE_DAGSTER_PORT"])
    host, port = settings.dagster_address.removeprefix("http://").split(":")
    assert SERVICES[host]["ports"][0].endswith(f":{port}")


def test_prometheus_finds_every_service_that_it_watches():
    for path in (DEPLOY / "targets").iterdir():
        ((target,),) = [each["targets"] for each in yaml.safe_load(path.read_text())]
        host, _, port = target.partition(":")
        assert SERVICES[host]["ports"][0].endswith(f":{port}"), path
    in_repository = {path.name for path in (REPOSITORY / "dashboards" / "prometheus" / "targets").iterdir()}
    assert {path.name for path in (DEPLOY / "targets").iterdir()} == in_repository


def test_the_code_location_is_where_webserver_and_daemon_look_for_it():
    ((kind, place),) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"][0].items()
    command = SERVICES[place["host"]]["command"]
    assert kind == "grpc_server"
    assert str(place["port"]) == command[command.index("--port") + 1]
    assert place["location_name"] == command[command.index("--location-name") + 1] == "bike_assets"


def test_docker_compose_takes_the_file():
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("docker compose is not installed")
    given = {"BIKE_GCP__PROJECT": "city", "BIKE_GCP__BUCKET": "bikes", "BIKE_POSTGRES_PASSWORD": "any"}
    command = [docker, "compose", "-f", DEPLOY / "compose.yaml", "--profile", "monitoring", "config", "--quiet"]
    ended = subprocess.run(command, env={"PATH": "/usr/bin:/bin"} | given, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_grafana_requests_and_reports_nothing_elsewhere():
    assert GRAFANA_STAYS_HERE.items() <= SERVICES["grafana"]["environment"].items()
