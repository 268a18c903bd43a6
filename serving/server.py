"""Builds the application from settings. `routes` has the endpoints; `command` starts the processes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi_offline import FastAPIOffline
from starlette.types import ASGIApp

from bike_assets.resources.profiles import open_reports
from bike_assets.settings import Settings, load_settings
from serving.keeper import Keeper
from serving.logs import set_up_logs
from serving.metrics import Metrics
from serving.middleware import RequestMiddleware
from serving.refusals import add_problem_handlers
from serving.routes.forecasts import forecasts_router
from serving.routes.health import health_router
from serving.routes.operations import operations_router
from serving.routes.page import add_page
from serving.routes.predict import document_predict, predict_route
from serving.routes.reports import add_reports
from serving.security import keys_of


def create_app(settings: Settings) -> ASGIApp:
    """Return the application for the home in the settings."""
    metrics = Metrics()
    keeper = Keeper(settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # A thread holds the interpreter lock for most of its time, so more threads would only wait for each other.
        anyio.to_thread.current_default_thread_limiter().total_tokens = max(2, settings.threads)
        await anyio.to_thread.run_sync(keeper.start)
        yield
        keeper.stop()

    app = FastAPIOffline(
        title="Bike traffic",
        version="1",
        description="Forecasts of a city's bike counters by its champion model.",
        lifespan=lifespan,
    )
    app.state.keys = keys_of(settings)
    add_problem_handlers(app)
    origins = settings.api_cors_origins.split()
    if origins:
        app.add_middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=["*"])
    app.router.routes.insert(0, predict_route(keeper, settings, metrics))
    app.include_router(forecasts_router(keeper))
    app.include_router(operations_router(keeper, settings))
    app.include_router(health_router(keeper, metrics))
    add_page(app)
    add_reports(app, open_reports(settings))
    _extend_document(app, document_predict)
    return RequestMiddleware(app, settings, metrics)


def app_from_environment() -> ASGIApp:
    """Set up logs, and return the application for the settings of the environment. Each worker calls it."""
    settings = load_settings()
    set_up_logs(settings)
    return create_app(settings)


def _extend_document(app: FastAPI, add: Callable[[dict[str, Any]], None]) -> None:
    """Call `add` with the OpenAPI document, once it is made."""
    make_document = app.openapi

    def openapi() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        document = make_document()
        if is_new:
            add(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]
