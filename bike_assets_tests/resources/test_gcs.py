"""The client of Cloud Storage: credentials that cannot be used, a service that is away, and who loads it at all."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from bike_assets.errors import BikeError, StepFailedError
from bike_assets.resources import gcs
from bike_assets.resources.gcs import BucketFolder


def test_an_unreachable_service_is_named(deaf_address, monkeypatch):
    monkeypatch.setattr(gcs, "RETRY_SECONDS", 1.0)
    objects = BucketFolder("bikes", "registry", endpoint=deaf_address)
    with pytest.raises(StepFailedError, match=r"gs://bikes/registry/summary\.json.*[Cc]onnection refused"):
        objects.read("summary.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "was not found"), ("{", "not a valid json"), ('{"type": "unknown"}', "does not have a valid type")],
    ids=["missing", "no JSON", "no key"],
)
def test_invalid_credentials_are_reported_with_a_remedy(tmp_path, monkeypatch, content, message):
    path = tmp_path / "key.json"
    if content:
        path.write_text(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(BikeError, match="gcloud auth application-default login") as refusal:
        BucketFolder("bikes", "registry", project="city").read("summary.json")
    assert message in str(refusal.value)


def test_expired_credentials_are_reported_with_a_remedy(tmp_path, monkeypatch, token_service):
    path = tmp_path / "key.json"
    path.write_text(json.dumps(service_account(token_service)))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    with pytest.raises(BikeError, match=r"invalid_grant.*gcloud auth application-default login") as refusal:
        BucketFolder("bikes", "registry", project="city").read("summary.json")
    assert "PRIVATE KEY" not in str(refusal.value)


@pytest.fixture(autouse=True)
def no_shared_client() -> None:
    """Each test begins like a process."""
    gcs.shared_client.cache_clear()


@pytest.fixture
def token_service():
    """A service that finds every key expired; its address."""

    class Expired(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"error": "invalid_grant", "error_description": "Token has been expired or revoked."}'
            self.send_response(400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Expired) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/token"
        http.shutdown()


def service_account(token_uri: str) -> dict[str, str]:
    """A key file whose key was made for this test alone."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {
        "type": "service_account",
        "client_email": "robot@example.org",
        "private_key": pem.decode(),
        "private_key_id": "1",
        "project_id": "city",
        "token_uri": token_uri,
    }


def test_the_embedded_profile_never_loads_googles_library(tmp_path):
    code = (
        "import sys; from bike_assets.build import build_defs; from serving.server import create_app; "
        "from bike_assets.settings import load_settings; s = load_settings(); build_defs(settings=s); create_app(s); "
        "from bike_assets.commands.status import collect_status; collect_status(s); "
        "found = [m for m in sys.modules if m.startswith(('google.cloud', 'google.auth', 'google.api_core'))]; "
        "print(found); sys.exit(bool(found))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env={"BIKE_HOME": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
