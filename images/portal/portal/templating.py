"""The Jinja2 templates, shared by the pages and by the proxy's error page."""

from __future__ import annotations

from pathlib import Path

from starlette.templating import Jinja2Templates

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "static"

templates = Jinja2Templates(directory=ROOT / "templates")
