"""Ray for bench/run: one actor in Python, called one by one and with many calls on their way."""

import json
import logging
import os
import time

began = time.monotonic()
import ray  # noqa: E402

import python_load  # noqa: E402
from processes import descendants, memory_bytes  # noqa: E402


@ray.remote(num_cpus=1)
class Echo:
    def __init__(self):
        self.inspector = python_load.Inspector()

    def answer(self, message):
        return self.inspector.answer(message)


def main():
    given = python_load.options()
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200 << 20,
             logging_level=logging.ERROR, log_to_driver=False, _node_ip_address="127.0.0.1",
             _temp_dir=given.folder,
             runtime_env={"env_vars": {"PYTHONPATH": os.path.dirname(python_load.__file__)}})
    try:
        actor = Echo.remote()
        ray.get(actor.answer.remote(python_load.argument(0, given.payload)))
        ready_ms = (time.monotonic() - began) * 1000
        idle = memory_bytes(descendants(os.getpid()))
        figures = python_load.measure(actor.answer.remote, ray.get, given)
    finally:
        ray.shutdown()
    print(json.dumps({**figures, "ready_ms": ready_ms, "idle_bytes": idle}))
    return 1 if figures["damaged"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
