"""Training & Deployment: decisions, trainings and promotions, and whether the platform's processes run."""

from grafana_foundation_sdk.models import dashboard as grafana

from bike_assets.settings import Settings
from dashboards import looks
from dashboards.fields import Link, Series, Value
from dashboards.layout import APIS, FAMILIES, Section, dashboard
from dashboards.looks import Look
from dashboards.panels import bars_panel, figures_panel, lines_panel, linked, states_panel, table_panel
from dashboards.promql import age, figure, of_api, or_zero

ASSET = Link("The asset in Dagster", "${dagster}/assets/${__value.raw}")
DAY_HOURS = 24


def training_deployment(settings: Settings) -> grafana.Dashboard:
    """Return the dashboard."""
    sections = [
        Section("The champion", _champion()),
        Section("Double evaluations", _evaluations(settings)),
        Section("Trainings and versions", _trainings()),
        Section("Runs", _runs()),
        Section("Assets and checks", _assets()),
        Section("Automation and monitoring", _automation()),
    ]
    question = "What was trained, evaluated and promoted, and do the processes behind it run?"
    choices = (FAMILIES, APIS)
    return dashboard("bike-training", "Bikes: Training & Deployment", question, sections, settings, choices)


def _champion() -> list[grafana.Panel]:
    versions = Link("All versions in MLflow", "${mlflow}/#/models/bike-traffic")
    held = f"max({figure('bike_retrain_held_until_timestamp_seconds')})"
    return [
        linked(
            figures_panel(
                "Roles",
                "Which versions are champion, challenger and first champion?",
                Series(figure("bike_model_info"), "{{role}}: {{family}} {{version}}"),
                look=looks.NUMBER,
                width=9,
                named=True,
            ),
            versions,
        ),
        figures_panel(
            "Age of the champion",
            "Since which day has the champion served, and until which day did it learn? A great age is no fault while "
            "R² is good: the monthly challenge trains new challengers.",
            Series(age(f"max({figure('bike_champion_promoted_timestamp_seconds')})"), "promoted"),
            Series(age(f"max({figure('bike_champion_trained_until_timestamp_seconds')})"), "learned until"),
            look=looks.DURATION,
            width=6,
        ),
        figures_panel(
            "Retrain delayed for",
            "For how long does a cooldown still delay an automatic retrain? 0 if none is delayed.",
            Series(or_zero(f"clamp_min({held} - time(), 0)"), "held"),
            look=Look("s", 1, ((None, looks.GREEN), (1, looks.ORANGE)), low=0),
            width=5,
        ),
        figures_panel(
            "Failed trainings",
            "How many trainings have failed since the home began? Their runs show the cause.",
            Series(or_zero(f"sum({figure('bike_training_runs_total', status='failed')})"), "failed"),
            look=looks.ANY_IS_NOTABLE,
        ),
    ]


def _evaluations(settings: Settings) -> list[grafana.Panel]:
    asset = Link("double_evaluation in Dagster", "${dagster}/assets/double_evaluation")
    return [
        linked(
            bars_panel(
                "Gain of the newest challenger",
                "Was the challenger better by enough, and is that certain? Its gain in R² on the fresh test set with "
                "its 95 % interval, and the required gain. With an interval around zero, the gain may be luck.",
                Series(figure("bike_gain_r2"), "{{bound}}"),
                Series(figure("bike_gain_required_r2"), "required"),
                look=looks.gain_look(settings),
                width=7,
            ),
            asset,
        ),
        figures_panel(
            "Gain as a share of the residual",
            "Which share of the champion's residual (1 - R²) does the challenger explain? A gain of 0.02 is small at "
            "0.70 and large at 0.91.",
            Series(f"max({figure('bike_gain_residual_share')})", "share"),
            look=Look("percentunit", 1, ((None, looks.RED), (0, looks.BLUE))),
            width=4,
            height=8,
        ),
        bars_panel(
            "Evaluations and promotions",
            "How do evaluations end, and who changed the champion? SKIP is normal; REJECT is a regression on the "
            "frozen test set; a promotion is by an evaluation or by a person.",
            Series(figure("bike_evaluations_total"), "{{decision}}"),
            Series(figure("bike_deployments_total"), "promoted by {{decided_by}}"),
            look=looks.NUMBER,
            coloured=True,
            width=7,
        ),
        table_panel(
            "Bounds in force",
            "Which bounds does the platform decide by now? They are settings, read when a process starts.",
            {"name": "Bound"},
            Value("Value", f"max by (name) ({figure('bike_threshold')})", Look("none", 2)),
            sort="Bound",
            width=6,
            height=8,
        ),
    ]


def _trainings() -> list[grafana.Panel]:
    job = Link("The job in Dagster", "${dagster}/runs")
    return [
        linked(
            table_panel(
                "Trainings by family and cause",
                "How often was each family trained, by which trigger, and how did it end? “known” is a version that "
                "already existed, “trial” one that was not registered.",
                {"family": "Family", "status": "Ended", "trigger": "Cause"},
                Value(
                    "Number",
                    f"sum by (family, status, trigger) ({figure('bike_training_runs_total', family='=~$family')})",
                    looks.NUMBER,
                ),
                sort="Family",
                width=8,
            ),
            job,
        ),
        lines_panel(
            "Training duration",
            "Does training become slower? Duration of each family's newest training.",
            Series(figure("bike_training_last_duration_seconds", family="=~$family"), "{{family}}"),
            look=looks.DURATION,
            width=8,
            height=9,
        ),
        lines_panel(
            "Version that serves",
            "When did the champion change, and did the API follow? If the lines differ, it did not.",
            Series(figure("bike_champion_version"), "registry"),
            Series(f"min({of_api('bike_api_champion_version')})", "API"),
            look=looks.NUMBER,
            width=8,
            height=9,
        ),
    ]


def _runs() -> list[grafana.Panel]:
    pages = {"Job": Link("Its runs in Dagster", "${dagster}/runs?q[0]=job%3A${__value.raw}")}

    def ended(status: str) -> str:
        return f"sum by (job) ({figure('bike_runs_total', status=status)})"

    return [
        table_panel(
            "Runs by job",
            "How do runs end, and which job has not succeeded for long? A rejected challenger fails its retrain by "
            "design. daily has to succeed every day; the others run when there is a cause.",
            {"job": "Job"},
            Value("Succeeded", ended("success"), looks.NUMBER),
            Value("Failed", ended("failure"), looks.ANY_IS_NOTABLE),
            Value("Cancelled", ended("canceled"), looks.NUMBER),
            Value(
                "Last success",
                age(f"max by (job) ({figure('bike_run_last_success_timestamp_seconds')})"),
                looks.DURATION,
            ),
            sort="Job",
            links=pages,
            width=8,
        ),
        lines_panel(
            "Run duration",
            "Does a job become slow? Duration of each job's newest successful run.",
            Series(figure("bike_run_last_duration_seconds"), "{{job}}"),
            look=looks.DURATION,
            width=8,
            height=9,
        ),
        lines_panel(
            "Queued and started runs",
            "Does a queue build up? Daily runs wait for each other, and so do trainings: one queued run is normal.",
            Series(f"sum by (status) ({figure('bike_runs_in_progress')})", "{{status}}"),
            look=looks.NUMBER,
            width=8,
            height=9,
        ),
    ]


def _assets() -> list[grafana.Panel]:
    of_check = "max by (asset, check) "
    return [
        table_panel(
            "Asset checks",
            "Which checks of the data or the model fail, is that an error or a warning, and when did each check last "
            "run?",
            {"asset": "Asset", "check": "Check"},
            Value("Passed", f"{of_check}({figure('bike_asset_check_passed')})", looks.YES_IS_GOOD),
            Value("Error", f"{of_check}({figure('bike_asset_check_passed', severity='error')}) >= bool 0", looks.IS_SO),
            Value("Last run", age(f"{of_check}({figure('bike_asset_check_timestamp_seconds')})"), looks.DURATION),
            sort="Passed",
            links={"Asset": ASSET},
            width=14,
            height=12,
        ),
        table_panel(
            "Assets",
            "Which part of the data flow is old? Time since each asset's last materialization.",
            {"asset": "Asset"},
            Value(
                "Materialized",
                age(f"max by (asset) ({figure('bike_asset_materialized_timestamp_seconds')})"),
                looks.DURATION,
            ),
            sort="Materialized",
            descending=True,
            links={"Asset": ASSET},
            width=10,
            height=12,
        ),
    ]


def _automation() -> list[grafana.Panel]:
    of_instigator = "max by (kind, name) "
    parts = figure("bike_exporter_part_readable")
    return [
        linked(
            table_panel(
                "Sensors and schedules",
                "Are all sensors and schedules on, and did their last tick succeed?",
                {"kind": "Kind", "name": "Name"},
                Value("On", f"{of_instigator}({figure('bike_instigator_running')})", looks.YES_IS_GOOD),
                Value(
                    "Last tick",
                    age(f"{of_instigator}({figure('bike_instigator_tick_timestamp_seconds')})"),
                    looks.DURATION,
                ),
                Value("Failed", f"{of_instigator}({figure('bike_instigator_tick_failed')})", looks.YES_IS_BAD),
                sort="Name",
                height=10,
            ),
            Link("Automation in Dagster", "${dagster}/automation"),
        ),
        bars_panel(
            "Daemons",
            "Do Dagster's daemons run? Seconds since each one's last heartbeat; without them nothing starts by itself.",
            Series(age(f"max by (daemon) ({figure('bike_daemon_heartbeat_timestamp_seconds')})"), "{{daemon}}"),
            look=looks.HEARTBEAT,
            width=12,
            height=10,
        ),
        states_panel(
            "Readable parts",
            "Which figures are missing because the exporter or the API cannot read their source?",
            Series(parts, "exporter: {{part}}"),
            Series(f"min by (part) ({of_api('bike_api_part_readable')})", "API: {{part}}"),
            look=looks.YES_IS_GOOD,
        ),
        lines_panel(
            "Duration of the exporter's reads",
            "Do the exporter's reads become slow? Prometheus stops waiting at its scrape timeout.",
            Series(figure("bike_exporter_part_seconds"), "{{part}}"),
            look=looks.LATENCY,
            width=12,
            smooth=True,
        ),
    ]
