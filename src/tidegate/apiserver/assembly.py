"""The API server put together: keys, store, pipeline, HTTPS, and what is always there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tidegate.apiserver.audit import AuditLog
from tidegate.apiserver.authn.authenticator import Authenticator
from tidegate.apiserver.authn.identities import MASTERS, user_named
from tidegate.apiserver.authn.tokens import BoundTo, TokenIssuer
from tidegate.apiserver.authz.aggregation import RoleAggregation
from tidegate.apiserver.authz.authorizer import RbacAuthorizer
from tidegate.apiserver.authz.escalation import GuardedApi
from tidegate.apiserver.authz.reviews import Reviews
from tidegate.apiserver.bootstrap import SERVICE_ADDRESS, bootstrap, ensure_service
from tidegate.apiserver.certificates import Pki, ensure_pki
from tidegate.apiserver.customkinds import CustomKinds
from tidegate.apiserver.discovery import Discovery
from tidegate.apiserver.http.app import Application
from tidegate.apiserver.http.attach import PodAttachments
from tidegate.apiserver.http.exec import CommandSource, PodCommands
from tidegate.apiserver.http.fairness import Fairness
from tidegate.apiserver.http.metering import RequestMeter
from tidegate.apiserver.http.pages import Pages
from tidegate.apiserver.http.portforward import PodPorts, PortSource
from tidegate.apiserver.http.rest import ResourceHandler
from tidegate.apiserver.http.server import GRACE_SECONDS, configuration, tls_context
from tidegate.apiserver.http.streams import Streams
from tidegate.apiserver.http.subresources import AccountTokens, LogSource, PodLogs
from tidegate.apiserver.kubeconfig import write_kubeconfig
from tidegate.apiserver.local import LocalClient
from tidegate.apiserver.metrics import Metrics
from tidegate.apiserver.openapi.documents import OpenApiDocuments
from tidegate.apiserver.registry.builtin import default_registry
from tidegate.apiserver.storage.store import Store
from tidegate.kube.client import Client
from tidegate.kube.clock import Clock
from tidegate.kube.controller import Context
from tidegate.kube.errors import ApiError
from tidegate.kube.informer import Informers
from tidegate.kube.objects import is_condition_true, is_deleting
from tidegate.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, Resource
from tidegate.kube.usage import UsageSource
from tidegate.web.server import HttpServer, listen

logger = logging.getLogger(__name__)

ADMIN = "tidegate-admin"
_SELF = user_named("system:apiserver", (MASTERS,))
_CUSTOM_KINDS_SECONDS = 2.0
_SERVICE_CHECK_SECONDS = 10.0
_RENEWAL_CHECK_SECONDS = 12 * 3600.0
_ANY = ("0.0.0.0", "::")  # noqa: S104 - recognized, not bound
_NAMES = (
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True)
class ApiServerSettings:
    """How the API is served.

    Attributes:
        data_dir: where store, keys, audit log and kubeconfig lie; readable by its owner only.
        bind: address to listen on.
        port: port to listen on, 0 for a free one.
        node_name: the name of the node, known to the certificate and to the policy.
    """

    data_dir: Path
    bind: str = "127.0.0.1"
    port: int = 6443
    node_name: str = "tidegate"

    @property
    def address(self) -> str:
        """The address by which clients on this machine reach the API."""
        if self.bind in _ANY:
            return "127.0.0.1" if self.bind == _ANY[0] else "::1"
        return self.bind


def build(settings: ApiServerSettings, clock: Clock) -> ApiServer:
    """An API server that listens already, and answers once `run` runs.

    Raises:
        UserError: the port is taken, or the data directory cannot be used.
    """
    return ApiServer(settings, clock)


class ApiServer:
    """The embedded Kubernetes API.

    Attributes:
        kubeconfig_path: for the administrator; written before `run`.
        url: base URL.
        root_ca: PEM certificate of the authority that signed the server's.
        api: the pipeline, for tests and tools of this process.
    """

    def __init__(self, settings: ApiServerSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._pki = self._ensure_pki()
        self._listener = listen(
            settings.bind, settings.port, purpose="the API", option="--api-port"
        )
        self.port = int(self._listener.getsockname()[1])
        host = f"[{settings.address}]" if ":" in settings.address else settings.address
        self.url = f"https://{host}:{self.port}"
        self.root_ca = self._pki.authority.certificate.read_text()
        self.kubeconfig_path = settings.data_dir / "kubeconfig"
        self._write_kubeconfig()
        self._ready = asyncio.Event()
        self._store = Store(settings.data_dir / "state.db")
        self._tokens = TokenIssuer(self._pki.token_key, clock=clock)
        self._audit = AuditLog(settings.data_dir / "audit.log", clock=clock)
        self._authorizer = RbacAuthorizer(self._store)
        self._registry = default_registry()
        self.api = GuardedApi(self._store, self._registry, self._authorizer, clock=clock)
        self._authenticator = Authenticator(self._tokens, self.api.view)
        self._metrics = Metrics(self.api.view)
        reviews = Reviews(self._authenticator, self._authorizer)
        for spec in (*reviews.specs(), *self._metrics.specs()):
            self._registry.add(spec)
        self._streams = Streams()
        self._logs = PodLogs(self.api, self._streams)
        self._commands = PodCommands(self.api, self._streams)
        self._ports = PodPorts(self.api, self._streams)
        self._tls = tls_context(self._pki.server, str(self._pki.authority.certificate))
        self._http = HttpServer(
            configuration(self._application(), self._tls),
            self._listener,
            on_stop=self._streams.stop,
            grace=GRACE_SECONDS,
        )

    async def run(self) -> None:
        """Serve until cancelled."""
        context = self._own_context()
        aggregation = RoleAggregation(context)
        custom = CustomKinds(self._registry, context)
        async with self._store:
            await bootstrap(
                context.client,
                node=self._settings.node_name,
                address=self._settings.address,
                port=self.port,
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(context.informers.run())
                group.create_task(aggregation.controller.run())
                group.create_task(custom.controller.run())
                await self._wait_custom_kinds()
                group.create_task(self._audit.run())
                group.create_task(self._renew_certificates())
                group.create_task(self._keep_service(context.client))
                group.create_task(self._http.run())
                await self._http.wait_ready()
                self._ready.set()

    async def wait_ready(self) -> None:
        """Return when the API answers and everything that is always there is there."""
        await self._ready.wait()

    def builtin_resources(self) -> list[Resource]:
        """The kinds that are stored and need no definition, each at one version."""
        needed = {"list", "watch", "delete"}
        found = {
            spec.bucket: spec.resource
            for spec in reversed(self._registry.specs())
            if not spec.converts and needed.issubset(spec.verbs)
        }
        return list(found.values())

    def client(self, username: str, groups: Sequence[str] = ()) -> Client:
        """A client of this process that acts as `username`, with that user's rights.

        The groups that follow from the name (of a service account, say) are added.
        """
        return LocalClient(self.api, user_named(username, tuple(groups)))

    def attach_logs(self, source: LogSource) -> None:
        """Serve the logs of pods from `source`."""
        self._logs.source = source

    def attach_commands(self, source: CommandSource) -> None:
        """Let `source` run the commands that are to run in containers."""
        self._commands.source = source

    def attach_ports(self, source: PortSource) -> None:
        """Reach the ports of pods through `source`."""
        self._ports.source = source

    def attach_usage(self, source: UsageSource) -> None:
        """Serve metrics.k8s.io from what `source` measures."""
        self._metrics.source = source

    def issue_token(
        self,
        *,
        namespace: str,
        name: str,
        uid: str,
        audiences: Sequence[str] = (),
        seconds: int = 3600,
        pod: tuple[str, str] | None = None,
    ) -> tuple[str, float]:
        """A token of a service account, and when it expires (seconds since the Unix epoch).

        Args:
            uid: of the account.
            pod: name and uid of the pod whose end ends the token.
        """
        return self._tokens.issue(
            namespace=namespace,
            name=name,
            uid=uid,
            audiences=audiences,
            seconds=seconds,
            bound_to=BoundTo("Pod", *pod) if pod else None,
        )

    def issue_secret_token(self, *, namespace: str, name: str, uid: str, secret: str) -> str:
        """A token of the service account `name`, good while the Secret `secret` holds it."""
        return self._tokens.issue_for_secret(namespace=namespace, name=name, uid=uid, secret=secret)

    def _application(self) -> Application:
        address = self.url.removeprefix("https://")
        meter = RequestMeter(self._clock)
        pages = Pages(
            Discovery(self._registry, address),
            OpenApiDocuments(self._registry),
            self._tokens,
            meter,
            server=self.url,
        )
        subresources = {
            ("", "pods", "log"): self._logs,
            ("", "pods", "attach"): PodAttachments(self.api, self._streams, self._commands),
            ("", "pods", "exec"): self._commands,
            ("", "pods", "portforward"): self._ports,
            ("", "serviceaccounts", "token"): AccountTokens(self.api, self._tokens),
        }
        return Application(
            authenticator=self._authenticator,
            authorizer=self._authorizer,
            resources=ResourceHandler(self.api, self._streams, subresources),
            pages=pages,
            fairness=Fairness(),
            audit=self._audit,
            meter=meter,
        )

    async def _wait_custom_kinds(self) -> None:
        """Wait until all that was served before a restart is served again."""
        expected = [
            (definition["spec"], version["name"])
            for definition in self.api.view.all(CUSTOM_RESOURCE_DEFINITIONS)
            if is_condition_true(definition, "Established") and not is_deleting(definition)
            for version in definition["spec"]["versions"]
            if version.get("served")
        ]
        changed = asyncio.Event()
        self._registry.subscribe(changed.set)
        try:
            async with asyncio.timeout(_CUSTOM_KINDS_SECONDS):
                for spec, version in expected:
                    plural = spec["names"]["plural"]
                    while self._registry.find(spec["group"], version, plural) is None:
                        changed.clear()
                        await changed.wait()
        except TimeoutError:
            logger.warning("not all custom kinds are served again yet; going on without them")

    def _own_context(self) -> Context:
        client = LocalClient(self.api, _SELF)
        return Context(client, Informers(client, clock=self._clock), self._clock)

    def _ensure_pki(self) -> Pki:
        settings = self._settings
        addresses = ("127.0.0.1", "::1", SERVICE_ADDRESS, settings.address)
        return ensure_pki(
            settings.data_dir / "pki",
            server_names=(*addresses, *_NAMES, settings.node_name),
            admin=ADMIN,
            admin_groups=(MASTERS,),
            now=self._clock.time(),
        )

    def _write_kubeconfig(self) -> None:
        write_kubeconfig(
            self.kubeconfig_path,
            server=self.url,
            authority=self._pki.authority.certificate,
            client=self._pki.admin,
        )

    async def _keep_service(self, client: Client) -> None:
        """Make the Service through which pods reach the API again when somebody deletes it."""
        while True:
            await self._clock.sleep(_SERVICE_CHECK_SECONDS)
            try:
                await ensure_service(client, address=self._settings.address, port=self.port)
            except ApiError as error:
                logger.warning("the Service of the API: %s; trying again", error)

    async def _renew_certificates(self) -> None:
        while True:
            await self._clock.sleep(_RENEWAL_CHECK_SECONDS)
            before = self._pki.server.certificate.read_bytes()
            await asyncio.to_thread(self._ensure_pki)
            if self._pki.server.certificate.read_bytes() != before:
                logger.info("the server's certificate was renewed")
                self._tls.load_cert_chain(self._pki.server.certificate, self._pki.server.key)
            self._write_kubeconfig()
