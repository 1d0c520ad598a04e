"""Settings, all from the environment, read once at start.

The names that the seed's manifest sets (`MAX_CONCURRENT_REQUESTS`, `POD_NAMESPACE`) are kept;
the rest have defaults that fit the seed's Stable Diffusion service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from portal.errors import ConfigurationError

DEFAULT_SERVICE_ACCOUNT_DIR = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the portal was told; seconds and bytes where a unit is not in the name."""

    listen_address: str = "127.0.0.1"
    port: int = 8080
    service_page_port: int = 8888
    service_page_url: str = ":8888/"
    namespace: str = "default"
    service: str = "knative-sd-demo"
    path: str = "/sdapi/v1/txt2img"
    max_concurrency: int = 5
    max_total: int = 200
    request_timeout: float = 300.0
    poll_interval: float = 1.0
    kubernetes_host: str = ""
    kubernetes_port: int = 443
    service_account_dir: Path = Path(DEFAULT_SERVICE_ACCOUNT_DIR)


def from_environment(env: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        ConfigurationError: a number is no number or out of its range.
    """
    default = Settings()
    path = env.get("TARGET_PATH", default.path)
    if not path.startswith("/"):
        raise ConfigurationError(f"TARGET_PATH must begin with '/', got {path!r}")
    return Settings(
        listen_address=env.get("LISTEN_ADDRESS", default.listen_address),
        port=_integer(env, "PORT", default.port, 0, 65535),
        service_page_port=_integer(env, "PORT_8888", default.service_page_port, 0, 65535),
        service_page_url=env.get("SERVICE_PAGE_URL", default.service_page_url),
        namespace=env.get("POD_NAMESPACE", default.namespace),
        service=env.get("TARGET_SERVICE", default.service),
        path=path,
        max_concurrency=_integer(env, "MAX_CONCURRENT_REQUESTS", default.max_concurrency, 1, 1000),
        max_total=_integer(env, "MAX_TOTAL_REQUESTS", default.max_total, 1, 1000),
        request_timeout=float(
            _integer(env, "REQUEST_TIMEOUT_SECONDS", int(default.request_timeout), 1, 3600)
        ),
        kubernetes_host=env.get("KUBERNETES_SERVICE_HOST", ""),
        kubernetes_port=_integer(env, "KUBERNETES_SERVICE_PORT", 443, 1, 65535),
        service_account_dir=Path(env.get("SERVICE_ACCOUNT_DIR") or DEFAULT_SERVICE_ACCOUNT_DIR),
    )


def _integer(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = env.get(name, "")
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise ConfigurationError(f"{name} must be a whole number, got {text!r}") from None
    if not low <= value <= high:
        raise ConfigurationError(f"{name} must be from {low} to {high}, got {value}")
    return value
