"""A docker image with a repository's dependencies: the one step that may use the network."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import docker
from docker.errors import DockerException, ImageNotFound

from tools.sandbox.base import File, SandboxError
from tools.sandbox.docker import BUILD, CPU_SHARES, LABEL, PING_SECONDS, engine
from tools.sandbox.local import identity

T = TypeVar("T")
REPOSITORY = "apprentice-env"
VERSION = b"2"
DEPENDENCY_FILE = re.compile(
    r"requirements[^/]*\.(txt|in)|requirements/[^/]+\.(txt|in)|constraints[^/]*\.txt|pyproject\.toml"
)
INSTALLED_FILE = re.compile(r"requirements[^/]*\.txt")
LOCAL_NEED = re.compile(rb"^[ \t]*(-e\b|--editable\b|\.|/|file:).*$", re.MULTILINE)
GROUPS = ("test", "tests", "testing", "dev")
BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
CERTIFICATES = "certificates.crt"
NEEDS = "/tmp/needs"  # noqa: S108
ENVIRONMENT = "/env"
INSTALL_SECONDS = 1800
INSTALL_PROCESSES = 512
INSTALL_MEMORY = "8g"
ENDS = {124: "it took too long", 137: "it took too much memory, or was killed"}


def dependency_files(files: Iterable[File]) -> dict[str, bytes]:
    """The files that say what the repository needs, by name, less what would build code of it."""
    found = {
        file.path: LOCAL_NEED.sub(b"", file.data) if file.path.endswith("txt") else file.data
        for file in files
        if DEPENDENCY_FILE.fullmatch(file.path) and file.mode != "120000"
    }
    return dict(sorted(found.items()))


def requirements(files: dict[str, bytes]) -> list[str]:
    """What pip is told to install. No project is built: only what it declares is read."""
    words = ["pytest"]
    for name in files:
        if INSTALLED_FILE.fullmatch(name):
            words += ["-r", f"{NEEDS}/{name}"]
    try:
        declared = tomllib.loads(files.get("pyproject.toml", b"").decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise SandboxError(f"pyproject.toml cannot be read ({error}): mend it") from error
    project = table(declared.get("project", {}), dict, "project")
    optional = table(project.get("optional-dependencies", {}), dict, "optional-dependencies")
    groups = table(declared.get("dependency-groups", {}), dict, "dependency-groups")
    wanted = list(table(project.get("dependencies", []), list, "dependencies"))
    for group in GROUPS:
        wanted += table(optional.get(group, []), list, group)
        wanted += group_members(groups, group, frozenset())
    own = normal(str(project.get("name", "")))
    for need in dict.fromkeys(str(word) for word in wanted):
        match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", need)
        if match and normal(match[0]) != own:
            words.append(need)
    return words


def table(value: Any, kind: type[T], name: str) -> T:
    """The value, if it is of the kind that pyproject.toml has there. Raises SandboxError."""
    if not isinstance(value, kind):
        raise SandboxError(f"pyproject.toml: {name} is no {kind.__name__}: mend it")
    return value


def normal(name: str) -> str:
    """A project name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def group_members(groups: dict[str, Any], name: str, seen: frozenset[str]) -> list[str]:
    """The requirements of a dependency group and of those that it includes."""
    if name in seen:
        return []
    found: list[str] = []
    for member in table(groups.get(name, []), list, name):
        if isinstance(member, str):
            found.append(member)
        elif isinstance(member, dict) and "include-group" in member:
            found += group_members(groups, str(member["include-group"]), seen | {name})
    return found


def certificates() -> str | None:
    """The host's bundle of certificate authorities."""
    named = [os.environ.get("SSL_CERT_FILE"), os.environ.get("REQUESTS_CA_BUNDLE"), *BUNDLES]
    return next((path for path in named if path and Path(path).is_file()), None)


def archive(files: dict[str, bytes]) -> bytes:
    """A tar archive with the files below `needs`."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(f"needs/{name}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def prepare_image(files: Iterable[File], base: str, on_line: Callable[[str], None]) -> str:
    """An image of `base` with the repository's dependencies in /env; made once for the same ones.

    Runs pip in a container that has the network and nothing of the host but its certificates.
    `on_line` gets what pip prints. Raises SandboxError.
    """
    needs = dependency_files(files)
    words = requirements(needs)
    with engine(INSTALL_SECONDS) as client:
        tag = tag_of(client, needs, base)
        image = f"{REPOSITORY}:{tag}"
        try:
            client.images.get(image)
        except ImageNotFound:
            install(client, base, tag, needs, words, on_line)
        return image


def prepared_image(files: Iterable[File], base: str) -> str | None:
    """The image that `prepare_image` has made for the same dependencies, if it is there."""
    try:
        with engine(PING_SECONDS) as client:
            image = f"{REPOSITORY}:{tag_of(client, dependency_files(files), base)}"
            client.images.get(image)
            return image
    except SandboxError:
        return None


def tag_of(client: docker.DockerClient, needs: dict[str, bytes], base: str) -> str:
    """Twelve digits that stand for the base image and the dependency files.

    Raises SandboxError when there is no such base image.
    """
    try:
        origin = str(client.images.get(base).id)
    except ImageNotFound as error:
        raise SandboxError(f"there is no docker image {base!r}: {BUILD}") from error
    digest = hashlib.sha256(VERSION + origin.encode())
    for name, data in needs.items():
        digest.update(b"%d %s %d " % (len(name), name.encode(), len(data)) + data)
    return digest.hexdigest()[:12]


def install(
    client: docker.DockerClient,
    base: str,
    tag: str,
    needs: dict[str, bytes],
    words: list[str],
    on_line: Callable[[str], None],
) -> None:
    """Install in a container of `base`, and keep the outcome under a tag."""
    bundle = certificates()
    variables = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1", "HOME": "/tmp"}  # noqa: S108
    if bundle:
        needs = {**needs, CERTIFICATES: Path(bundle).read_bytes()}
        variables["PIP_CERT"] = variables["SSL_CERT_FILE"] = f"{NEEDS}/{CERTIFICATES}"
    script = (
        f'set -e; python3 -m venv {ENVIRONMENT}; {ENVIRONMENT}/bin/python -m pip install "$@"; '
        f"rm -rf {NEEDS}"
    )
    made = client.containers.create(
        base,
        entrypoint=["timeout", "-k", "10", str(INSTALL_SECONDS), "sh", "-c", script, "sh"],
        command=words,
        user="0:0",
        working_dir="/",
        environment=variables,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        pids_limit=INSTALL_PROCESSES,
        mem_limit=INSTALL_MEMORY,
        cpu_shares=CPU_SHARES,
        labels={LABEL: "1", **identity()},
    )
    try:
        made.put_archive("/tmp", archive(needs))  # noqa: S108
        made.start()
        rest = b""
        for piece in made.logs(stream=True, follow=True):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                on_line(line.decode("utf-8", "replace"))
        code = made.wait()["StatusCode"]
        if code:
            why = ENDS.get(code, f"pip ended with {code}")
            raise SandboxError(
                f"the dependencies cannot be installed ({why}): see its lines above, and mend "
                "the requirements"
            )
        made.commit(
            REPOSITORY,
            tag,
            conf={"Entrypoint": [], "Cmd": ["python3"], "Env": [], "Labels": {LABEL: "image"}},
        )
    finally:
        try:
            made.remove(force=True, v=True)
        except (DockerException, OSError) as error:
            on_line(f"the container {made.short_id} could not be removed: {error}")
