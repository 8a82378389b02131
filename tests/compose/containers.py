"""Images and containers for the test of the compose file: podman, called and cleaned up after.

The images are tagged `test` and stay, since the next run builds only what changed; what an image
replaced is removed. Everything else of a project is gone after `Project.down`.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from own_processes import free_port

ROOT = pathlib.Path(os.environ["CALLBOARD_SOURCE_DIR"])
BUILD = os.environ["CALLBOARD_BINARY_DIR"]
COMPOSE = ROOT / "compose"
TAG = "test"
IMAGES = {"programs": "callboard-programs", "callboard": "callboard", "demo": "callboard-demo",
          "redis": "callboard-redis"}
PATIENCE_S = 60
BUILD_PATIENCE_S = 1800


def run(*command, timeout=PATIENCE_S, check=True, **options):
    """Runs a command; its standard output without the last newline."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=timeout, check=False, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.returncode}\n"
                             f"{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return done.stdout.rstrip("\n")


def logs(container):
    """What it wrote, to standard output and error."""
    return subprocess.run(["podman", "logs", container], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, timeout=PATIENCE_S, check=False).stdout


def eventually(condition, seconds=PATIENCE_S):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def os_release(text):
    fields = dict(re.findall(r'^(ID|VERSION_ID)="?([^"\n]+)"?$', text, re.M))
    return fields.get("ID"), fields.get("VERSION_ID")


def base_image():
    return re.search(r"^ARG BASE=(\S+)$", (COMPOSE / "Dockerfile").read_text(), re.M).group(1)


def why_not(from_sources):
    """Why containers cannot be had here, or an empty text."""
    for program in ("podman", "podman-compose"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if subprocess.run(["podman", "info"], capture_output=True, check=False).returncode != 0:
        return "podman does not work here (podman info says why)"
    if from_sources:
        return ""
    if subprocess.run(["podman", "image", "exists", base_image()], check=False).returncode != 0:
        return f"the image {base_image()} is not on this machine (--containers fetches it)"
    inside = os_release(run("podman", "run", "--rm", base_image(), "cat", "/etc/os-release"))
    here = os_release(pathlib.Path("/etc/os-release").read_text())
    if inside != here:
        return f"programs built on {here} may not run on {inside}"
    return ""


def build_images(from_sources):
    with tempfile.TemporaryDirectory(prefix="cbimage", dir="/tmp") as folder:
        context = ROOT
        dockerfile = COMPOSE / "Dockerfile"
        if not from_sources:
            context = pathlib.Path(folder)
            dockerfile = prepare_context(context)
        for target, image in IMAGES.items():
            build_image(f"{image}:{TAG}", target, dockerfile, context)


def prepare_context(context):
    """A folder to build the images from programs that are there: the stage that compiles is
    replaced by a copy of what this build installs; all the rest of the Dockerfile is as it is."""
    run("cmake", "--install", BUILD, "--prefix", context / "installed", "--strip")
    shutil.copytree(ROOT / "scripts", context / "scripts")
    text = (COMPOSE / "Dockerfile").read_text()
    stage = re.compile(r"^FROM tools AS build\n.*?(?=^FROM )", re.M | re.S)
    text, count = stage.subn("FROM tools AS build\nCOPY installed/ /opt/callboard/\n\n", text)
    if count != 1:
        raise AssertionError("the Dockerfile has no stage `build` that could be replaced")
    (context / "Dockerfile").write_text(text)
    return context / "Dockerfile"


def image_id(name):
    return run("podman", "image", "inspect", "--format", "{{.Id}}", name, check=False)


def build_image(name, target, dockerfile, context):
    before = image_id(name)
    print(f"building {name}", flush=True)
    run("nice", "podman", "build", "--network=host", "--target", target, "--tag", name, "--file",
        dockerfile, context, timeout=BUILD_PATIENCE_S)
    if before and before != image_id(name):
        run("podman", "rmi", before, check=False)


class Project:
    """One run of the compose file, under a name and on ports of its own."""

    def __init__(self):
        self.name = f"cbtest{os.getpid()}"
        self.port = free_port()
        self.workers = 1

    def compose(self, *arguments, timeout=PATIENCE_S):
        settings = {"CALLBOARD_TAG": TAG, "CALLBOARD_PORT": str(self.port),
                    "CALLBOARD_EVENTS_PORT": str(free_port()),
                    "CALLBOARD_WORKERS": str(self.workers)}
        return run("podman-compose", "-f", COMPOSE / "compose.yaml", "-p", self.name, *arguments,
                   timeout=timeout, env={**os.environ, **settings})

    def containers(self, service=None, everything=False):
        """Ids of the containers that run; with `everything`, also of those that do not."""
        label = f"com.docker.compose.service={service}" if service else ""
        return run("podman", "ps", "--quiet", *(["--all"] if everything else []), "--filter",
                   f"label=io.podman.compose.project={self.name}",
                   *(["--filter", f"label={label}"] if label else [])).split()

    def inside(self, service, *command, timeout=PATIENCE_S):
        return run("podman", "exec", self.containers(service)[0], *command, timeout=timeout)

    def beside(self, image, *command):
        """Runs a command in a container of its own on the project's network."""
        return run("podman", "run", "--rm", "--network", f"{self.name}_default", "--label",
                   f"io.podman.compose.project={self.name}", image, *command, timeout=300)

    def scale(self, workers):
        self.workers = workers
        self.compose("up", "-d", "worker")

    def down(self):
        """Ends and removes everything; what `down` itself left behind is in the answer."""
        self.compose("down", "-v")
        left = self.containers(everything=True)
        if left:
            run("podman", "rm", "--force", *left)
        for kind in ("network", "volume"):
            for name in run("podman", kind, "ls", "--format", "{{.Name}}").splitlines():
                if name.startswith(self.name + "_"):
                    run("podman", kind, "rm", name)
                    left += [name] if kind == "volume" else []  # podman-compose leaves networks
        return left
