"""Celery for bench/run: one worker process, Redis as broker and for results. Tasks of Celery have
no order, so each result is checked for itself."""

import json
import os
import pathlib
import subprocess
import sys
import time

import celery

import python_load
from processes import descendants, memory_bytes

app = celery.Celery("celery_load", broker=os.environ.get("BENCH_REDIS"),
                    backend=os.environ.get("BENCH_REDIS"))
app.conf.update(task_serializer="pickle", result_serializer="pickle",
                accept_content=["pickle"], worker_prefetch_multiplier=100)


@app.task(name="answer")
def answer(message):
    return python_load.Inspector().answer(message)


def main():
    given = python_load.options()
    url = f"redis+socket://{given.redis}"
    app.conf.update(broker_url=url, result_backend=url)
    began = time.monotonic()
    here = str(pathlib.Path(__file__).parent)
    runner = str(pathlib.Path(__file__).resolve().parents[1] / "runner")
    with open(pathlib.Path(given.folder, "worker.log"), "w") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "celery_load", "worker", "--concurrency", "1",
             "--loglevel", "ERROR", "--without-gossip", "--without-mingle"],
            env={**os.environ, "BENCH_REDIS": url, "PYTHONPATH": f"{here}:{runner}",
                 "C_FORCE_ROOT": "1"},
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=given.folder)
    try:
        answer.delay(python_load.argument(0, given.payload)).get(timeout=60)
        ready_ms = (time.monotonic() - began) * 1000
        idle = memory_bytes(descendants(os.getpid()))
        figures = python_load.measure(answer.delay, lambda result: result.get(timeout=60), given)
    finally:
        worker.terminate()
        worker.wait(20)
    print(json.dumps({**figures, "ready_ms": ready_ms, "idle_bytes": idle}))
    return 1 if figures["damaged"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
