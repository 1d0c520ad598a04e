"""The three applications that Ray Serve runs for `benchmarks.peers`; Ray's own Python runs this.

Reads commands from standard input, one per line, and answers each with a line: `wait NAME NUMBER`
waits until the application has that many running replicas. The end of the input ends everything.
"""

import sys
import time

import ray
from ray import serve

_PORT = int(sys.argv[1])
# Up at once; down after the window that the platform has here too.
_SCALING = {
    "upscale_delay_s": 0,
    "downscale_delay_s": 6,
    "downscale_to_zero_delay_s": 6,
    "metrics_interval_s": 0.1,
    "look_back_period_s": 0.2,
    "target_ongoing_requests": 1,
}
# Replicas reserve no core: ten of them fit on any machine, as ten pods do.
_FREE = {"num_cpus": 0}


@serve.deployment(max_ongoing_requests=1000, ray_actor_options=_FREE)
class Echo:
    async def __call__(self, _):
        return "ok"


@serve.deployment(
    max_ongoing_requests=1,
    ray_actor_options=_FREE,
    autoscaling_config={"min_replicas": 0, "max_replicas": 1, **_SCALING},
)
class Zero:
    async def __call__(self, _):
        return "ok"


@serve.deployment(
    max_ongoing_requests=1,
    ray_actor_options=_FREE,
    autoscaling_config={"min_replicas": 1, "max_replicas": 10, **_SCALING},
)
class Burst:
    def __call__(self, _):
        time.sleep(1)
        return "ok"


def _replicas(name):
    (deployment,) = serve.status().applications[name].deployments.values()
    # Those that start or end count too.
    return sum(deployment.replica_states.values())


def main():
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20
    )
    serve.start(http_options={"host": "127.0.0.1", "port": _PORT})
    for name, app in (("echo", Echo), ("zero", Zero), ("burst", Burst)):
        serve.run(app.bind(), name=name, route_prefix=f"/{name}")
    print("ready", flush=True)
    for line in sys.stdin:
        _, name, number = line.split()
        while _replicas(name) != int(number):
            time.sleep(0.1)
        print("done", flush=True)
    serve.shutdown()
    ray.shutdown()


main()
