"""`tidegate`: the commands, each a thin door to a module that does the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.cli.options import (
    Bind,
    DataDir,
    Detach,
    MaxRevisions,
    Output,
    OutputFormat,
    TlsCert,
    TlsKey,
    certificate_files,
    data_directory,
    image_directory,
    port_option,
)
from tidegate.cli.records.door import Door
from tidegate.cli.records.further import Further, directory_of
from tidegate.cli.records.settings import DEFAULT_MAX_REVISIONS, Settings, load, shipped_images
from tidegate.cli.terminal import out, user_errors

app = typer.Typer(
    name="tidegate",
    help="A serverless platform for AI model services: Knative Services as pods that come and go"
    " with the traffic.",
    epilog="\b\nExamples:\n  tidegate up -d\n  export KUBECONFIG=$(tidegate kubeconfig --path)\n"
    "  kubectl apply -f service.yaml\n  tidegate status",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
image_app = typer.Typer(
    help="The images that pods can run: directories with an image.toml.",
    epilog="\b\nExamples:\n  tidegate image list\n  tidegate image add ./my-model",
    no_args_is_help=True,
)
app.add_typer(image_app, name="image")


@app.command()
@user_errors
def up(
    data_dir: DataDir = None,
    detach: Detach = False,
    bind: Bind = "127.0.0.1",
    api_port: Annotated[
        int, port_option("Port of the Kubernetes API.", envvar="TIDEGATE_API_PORT")
    ] = 6443,
    gateway_port: Annotated[
        int, port_option("Port of the gateway.", envvar="TIDEGATE_GATEWAY_PORT")
    ] = 8080,
    console_port: Annotated[
        int, port_option("Port of the console.", envvar="TIDEGATE_CONSOLE_PORT")
    ] = 8081,
    https_port: Annotated[
        int,
        port_option(
            "Port of the gateway for HTTPS with HTTP/2; 0 for none.",
            envvar="TIDEGATE_HTTPS_PORT",
            least=0,
        ),
    ] = 8443,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    images: Annotated[
        list[Path] | None,
        typer.Option(
            help="Directory of images known from the start, beside the shipped ones; repeatable.",
            metavar="DIRECTORY",
        ),
    ] = None,
    max_revisions: MaxRevisions = DEFAULT_MAX_REVISIONS,
) -> None:
    """Start the platform on this machine.

    Examples:
      tidegate up -d
      tidegate up --data-dir /tmp/second --api-port 7443 --gateway-port 9080 \\
          --console-port 9081 --https-port 9443
      tidegate up --tls-cert fullchain.pem --tls-key privkey.pem
      tidegate up -d --max-revisions 5000
    """
    from tidegate.cli.commands import up as command

    certificate, key = certificate_files(tls_cert, tls_key)
    settings = Settings(
        data_dir=data_directory(data_dir),
        bind=bind,
        api_port=api_port,
        gateway_port=gateway_port,
        console_port=console_port,
        https_port=https_port,
        tls_certificate=certificate,
        tls_key=key,
        image_dirs=(*map(image_directory, images or ()), *shipped_images()),
        max_revisions=max_revisions,
    )
    if detach:
        command.run_in_background(settings)
    else:
        command.run_in_foreground(settings)


@app.command()
@user_errors
def down(data_dir: DataDir = None) -> None:
    """Stop the platform: pods, gateways and control plane.

    Pods get their time to finish. What was deployed stays stored; `tidegate up` brings it back.

    Example:
      tidegate down
    """
    from tidegate.cli.commands.down import stop

    stop(data_directory(data_dir))


@app.command()
@user_errors
def gateway(
    port: Annotated[int, port_option("Port to listen on.")],
    name: Annotated[
        str, typer.Option(help="Its name, unlike that of every other gateway.", metavar="NAME")
    ] = "second",
    data_dir: DataDir = None,
    detach: Detach = False,
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            help="Of the platform's API (default: that in the data directory).", metavar="FILE"
        ),
    ] = None,
    bind: Bind = "127.0.0.1",
    https_port: Annotated[int, port_option("Port for HTTPS with HTTP/2; 0 for none.", least=0)] = 0,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    max_revisions: MaxRevisions = DEFAULT_MAX_REVISIONS,
) -> None:
    """Run one more gateway before the pods of a platform.

    It runs until Ctrl-C, or with -d until `tidegate down`.

    Demand is summed over all gateways, and pods with a containerConcurrency are divided among
    them. `tidegate status` shows it. SIGTERM ends it and leaves its
    HAProxy running, for the next start under this name.

    Over HTTPS it shows the certificates that `tidegate up` was given, or has others signed by the
    same authority. Where the platform is on another machine, give --tls-cert and --tls-key.

    Examples:
      tidegate gateway --name second --port 8090
      tidegate gateway -d --name third --port 8091 --https-port 8444
      tidegate gateway --name far --port 80 --bind 0.0.0.0 --kubeconfig ~/.kube/platform
    """
    from tidegate.cli.commands import gateway as command

    command.check_name(name)
    directory = data_directory(data_dir)
    certificate, key = certificate_files(tls_cert, tls_key)
    if certificate is None and https_port and (directory / "platform.json").exists():
        platform = load(directory)
        certificate, key = platform.tls_certificate, platform.tls_key
    config = kubeconfig.expanduser().absolute() if kubeconfig else directory / "kubeconfig"
    one = Further(
        name,
        Door(
            directory_of(directory, name),
            bind=bind,
            port=port,
            https_port=https_port,
            tls_certificate=certificate,
            tls_key=key,
            pki=directory / "pki",
            max_revisions=max_revisions,
        ),
        config,
    )
    if detach:
        command.run_in_background(one)
    else:
        command.run_in_foreground(one)


@app.command()
@user_errors
def status(data_dir: DataDir = None, output: Output = OutputFormat.text) -> None:
    """Show services, pods, their seconds and what they cost.

    Examples:
      tidegate status
      tidegate status -o json
    """
    from tidegate.cli.commands.status import show

    show(data_directory(data_dir), output=output)


@app.command()
@user_errors
def logs(
    service: Annotated[
        str, typer.Argument(help="A service, as NAME or NAMESPACE/NAME; the platform if absent.")
    ] = "",
    data_dir: DataDir = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    tail: Annotated[
        int, typer.Option(help="Lines from the end to begin with.", min=0, metavar="NUMBER")
    ] = 100,
) -> None:
    """Show the log of the platform, or of all pods of a service.

    Examples:
      tidegate logs -f
      tidegate logs knative-sd-demo --tail 20
    """
    from tidegate.cli.commands.logs import show

    show(data_directory(data_dir), service, follow=follow, tail=tail)


@app.command()
@user_errors
def kubeconfig(
    data_dir: DataDir = None,
    path: Annotated[bool, typer.Option("--path", help="Print the file's path only.")] = False,
) -> None:
    """Print the kubeconfig, for kubectl and every other client.

    Examples:
      export KUBECONFIG=$(tidegate kubeconfig --path)
      tidegate kubeconfig > ~/.kube/tidegate
    """
    file = load(data_directory(data_dir)).kubeconfig
    typer.echo(file if path else file.read_text(), nl=path)


@app.command()
@user_errors
def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it; readable by you only.")],
    data_dir: DataDir = None,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    output: Output = OutputFormat.text,
) -> None:
    """Write the whole platform to one file, while it runs.

    That is every object, the certificates and keys, so that kubeconfigs and tokens stay good, the
    console's token, the ledger of costs and the list of added images. Logs, images and what pods
    wrote are not in it. The file is checked before it appears.

    Examples:
      tidegate backup monday.tidegate
      tidegate backup /backups/$(date +%F).tidegate -o json
    """
    from tidegate.cli.commands.backup import run

    run(data_directory(data_dir), file.expanduser().absolute(), force=force, output=output)


@app.command()
@user_errors
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `tidegate backup` wrote.")],
    data_dir: DataDir = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the platform that is in the directory.")
    ] = False,
    output: Output = OutputFormat.text,
) -> None:
    """Make a data directory what it was when a backup was taken.

    The platform on it must be down, or never have been. Nothing is touched before the whole file
    is found to be good.

    Examples:
      tidegate restore monday.tidegate
      tidegate down && tidegate restore --force monday.tidegate && tidegate up -d
    """
    from tidegate.cli.commands.restore import run

    run(data_directory(data_dir), file.expanduser().absolute(), force=force, output=output)


@app.command()
@user_errors
def crds() -> None:
    """Print the CustomResourceDefinitions, for a cluster of yours.

    Example:
      tidegate crds | kubectl apply --server-side -f -
    """
    from tidegate.cli.commands.crds import manifest

    typer.echo(manifest(), nl=False)


@app.command()
@user_errors
def version() -> None:
    """Print the version.

    Example:
      tidegate version
    """
    from tidegate import __version__

    out.print(f"tidegate {__version__}")


@image_app.command("add")
@user_errors
def image_add(
    directory: Annotated[Path, typer.Argument(help="A directory with an image.toml.")],
    alias: Annotated[
        list[str] | None, typer.Option(help="A further reference for it; may be repeated.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make an image known, also under other references.

    Example:
      tidegate image add ./my-model --alias registry.example.com/team/my-model:v1
    """
    from tidegate.cli.commands.image import add

    add(data_directory(data_dir), directory, alias or [])


@image_app.command("rm")
@user_errors
def image_rm(
    reference: Annotated[str, typer.Argument(help="A name, an alias or the directory.")],
    data_dir: DataDir = None,
) -> None:
    """Take an added image back; pods that run keep it until they end.

    Example:
      tidegate image rm my-model
    """
    from tidegate.cli.commands.image import forget

    forget(data_directory(data_dir), reference)


@image_app.command("list")
@user_errors
def image_list(data_dir: DataDir = None, output: Output = OutputFormat.text) -> None:
    """List the images that are known, with the references that mean them.

    Examples:
      tidegate image list
      tidegate image list -o json
    """
    from tidegate.cli.commands.image import show

    show(data_directory(data_dir), output=output)


if __name__ == "__main__":
    app()
