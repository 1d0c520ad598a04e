"""`tidegate up`: start the platform, in the foreground or in the background."""

from __future__ import annotations

from tidegate.cli.process import background, preflight, readiness, running
from tidegate.cli.records import settings as records
from tidegate.cli.records.files import prepare_data_dir
from tidegate.cli.records.settings import Settings


def run_in_background(settings: Settings) -> None:
    """Start the platform as a process of its own and wait until it serves.

    Raises:
        UserError: it cannot start; the message says why.
    """
    prepare_data_dir(settings.data_dir)
    if (pid := settings.running_pid) is not None:
        raise settings.already_running(pid)
    background.start(
        ["up", *background_arguments(settings)], log_file=settings.log_file, what="the platform"
    )


def run_in_foreground(settings: Settings) -> None:
    """Run the platform until SIGTERM or SIGINT.

    SIGTERM ends the control plane alone, so that it can be replaced while pods and gateway go
    on; SIGINT, which is what Ctrl-C sends, ends everything.

    Raises:
        UserError: it cannot start; the message says why.
    """
    with readiness.announcing() as announcer:
        prepare_data_dir(settings.data_dir)
        running.configure_logging(settings.log_file)
        with settings.hold():
            preflight.check_restored(settings)
            preflight.check_ports(settings)
            records.save(settings)
            # Everything heavy is imported here, so that other commands start quickly.
            from tidegate.cli.process.platform import run

            run(settings, announcer)


def background_arguments(settings: Settings) -> list[str]:
    """What `tidegate up` is given again, in a process of its own."""
    given = [path for path in settings.image_dirs if path not in records.shipped_images()]
    return [
        f"--data-dir={settings.data_dir}",
        f"--api-port={settings.api_port}",
        f"--gateway-port={settings.gateway_port}",
        f"--console-port={settings.console_port}",
        *settings.door.options,
        *(f"--images={path}" for path in given),
    ]
