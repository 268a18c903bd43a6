"""Checks of the databases of the profile gcp: PostgreSQL for Dagster's runs, MLFLOW_TRACKING_URI for MLflow."""

from functools import partial

from bike_assets.commands.doctor.checks import Check
from bike_assets.errors import BikeError
from bike_assets.resources.profiles import open_tracking
from bike_assets.settings import Settings

USER, DATABASE = "bike", "dagster"
"""The same as in deploy/dagster.yaml."""
CONNECT_SECONDS = 5


def database_checks(settings: Settings) -> list[Check]:
    """Return the checks of the databases. Without their settings, both are files in the home and not needed."""
    return [
        Check("Dagster's database", partial(_dagster, settings), needed=settings.postgres_host is not None),
        Check("MLflow", partial(_mlflow, settings), needed=open_tracking(settings).is_external),
    ]


def _dagster(settings: Settings) -> str:
    if settings.postgres_host is None:
        raise BikeError(
            "BIKE_POSTGRES_HOST is not set: Dagster's runs stay in BIKE_HOME (deploy/compose.yaml sets it)."
        )
    import psycopg2

    place = f"PostgreSQL at {settings.postgres_host}:{settings.postgres_port}"
    password = settings.postgres_password.get_secret_value() if settings.postgres_password else ""
    try:
        connection = psycopg2.connect(
            host=settings.postgres_host,
            port=settings.postgres_port,
            user=USER,
            password=password,
            dbname=DATABASE,
            connect_timeout=CONNECT_SECONDS,
        )
    except psycopg2.OperationalError as error:
        raise BikeError(
            f"{place} refuses {USER} access to {DATABASE} ({_first_line(error)}): check BIKE_POSTGRES_HOST, "
            "BIKE_POSTGRES_PORT and BIKE_POSTGRES_PASSWORD."
        ) from None
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT has_schema_privilege('public', 'CREATE')")
            (may_create,) = cursor.fetchone()
    finally:
        connection.close()
    if not may_create:
        raise BikeError(f"{place}: {USER} may not make tables in {DATABASE}: make it the owner of the database.")
    return f"{place}: {USER} may use {DATABASE}"


def _mlflow(settings: Settings) -> str:
    tracking = open_tracking(settings)
    if not tracking.is_external:
        raise BikeError("MLFLOW_TRACKING_URI is not set: MLflow's runs stay in BIKE_HOME.")
    return _server(tracking.uri) if tracking.uri.startswith(("http://", "https://")) else _database(tracking.uri)


def _server(uri: str) -> str:
    import httpx

    try:
        address = httpx.URL(uri)
        shown = f"{address.scheme}://{address.host}:{address.port or ''}".rstrip(":")
        status = httpx.get(f"{uri.rstrip('/')}/health", timeout=CONNECT_SECONDS).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise BikeError(f"The server of MLFLOW_TRACKING_URI does not answer ({type(error).__name__}).") from None
    if status != httpx.codes.OK:
        raise BikeError(f"{shown}/health answers {status}: MLFLOW_TRACKING_URI has to name a server of MLflow.")
    return f"the server at {shown} answers"


def _database(uri: str) -> str:
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    try:
        shown = sqlalchemy.make_url(uri).render_as_string(hide_password=True)
        engine = sqlalchemy.create_engine(uri, connect_args=_timeout_arguments(uri))
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT 1"))
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or type(error).__name__
        raise BikeError(f"The database of MLFLOW_TRACKING_URI cannot be used ({_first_line(cause)}).") from None
    return f"the database {shown} answers"


def _timeout_arguments(uri: str) -> dict[str, int]:
    return {"connect_timeout": CONNECT_SECONDS} if uri.startswith("postgresql") else {}


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
