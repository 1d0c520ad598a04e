"""Small images for tests: standard library only, so that nothing is fetched."""

from __future__ import annotations

from pathlib import Path

SERVER = """
import http.server, json, os, signal, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({
            "pid": os.getpid(), "path": self.path, "env": dict(os.environ),
            "argv": sys.argv, "cwd": os.getcwd(), "name": __name__,
        }).encode()
        self.send_response(500 if os.path.exists(os.environ["TMPDIR"] + "/broken") else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        print("request", self.path)

def stop(*_):
    print("stopping")
    sys.exit(int(os.environ.get("EXIT_CODE", "0")))

signal.signal(signal.SIGTERM, stop)
time.sleep(float(os.environ.get("START_DELAY", "0")))
print("listening on", os.environ["PORT"])
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.serve_forever()
"""


def make_image(parent: Path, name: str = "web", *, program: str = SERVER, extra: str = "") -> Path:
    """An image directory `parent/name` that runs `program`, by default an HTTP server."""
    directory = parent / name
    directory.mkdir(parents=True)
    (directory / "main.py").write_text(program)
    (directory / "image.toml").write_text(
        f'name = "{name}"\ncommand = ["python3", "main.py"]\n'
        f'preload = ["json", "http.server"]\n{extra}\n[[ports]]\ncontainer = 8080\nenv = "PORT"\n'
    )
    return directory


# Says what it sees: /eval?<expression> answers with what the expression is in its process.
SHELL = """
import http.server, json, os, socket, subprocess, sys, time, urllib.parse

def spin(seconds):
    began, used = time.monotonic(), time.process_time()
    while time.process_time() - used < seconds:
        pass
    return time.monotonic() - began

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        kind, _, query = self.path.partition("?")
        query = urllib.parse.unquote(query)
        if kind == "/eval":
            try:
                answer = eval(query)
            except OSError as error:
                answer = f"{type(error).__name__}: {error.strerror}"
        else:
            answer = None
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
