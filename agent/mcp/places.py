"""Which repositories a client may name: those below the folders that it or the user opened."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from agent.repository import open_repository
from agent.status import UsageError

_START = "Start the server with --root FOLDER, or open the folder of the repository."


def start_folders(given: Sequence[Path], working: Path) -> tuple[Path, ...]:
    """The folders of a server: those given, else the one it was started in.

    A server that some desktop program started in / or in the home folder has none.
    """
    if given:
        for folder in given:
            if not folder.is_dir():
                raise UsageError(f"{folder} is no folder", "Name one that exists with --root.")
        return tuple(folder.resolve() for folder in given)
    working = working.resolve()
    wide = working == Path(working.anchor) or working == Path.home().resolve()
    return () if wide else (working,)


def client_folders(uris: Sequence[str]) -> tuple[Path, ...]:
    """The folders of a client's roots; other kinds of roots are left out."""
    split = [urlsplit(uri) for uri in uris]
    local = [part for part in split if part.scheme == "file" and part.netloc in ("", "localhost")]
    return tuple(Path(unquote(part.path)).resolve() for part in local if part.path)


def choose(named: str, server: Sequence[Path], client: Sequence[Path] | None, strict: bool) -> Path:
    """The top folder of the repository that a call is about.

    `named` may be '' for the only folder there is. `client` is None when the client has no roots.
    With `strict` a repository must lie in both kinds of folders, else in those of the client,
    where it has some. Raises UsageError.
    """
    folders = list(client) if client else list(server)
    if not folders:
        raise UsageError("no folder is open in which a repository may be worked on", _START)
    if not named and len(folders) > 1:
        raise UsageError(
            "there are several folders",
            f"Name one as `repository`: {', '.join(map(str, folders))}.",
        )
    kinds = [folders, list(server)] if strict else [folders]
    path = (folders[0] / named).resolve()
    _check_inside(path, kinds)
    with closing(open_repository(path)) as repo:
        root = Path(repo.working_dir).resolve()
    _check_inside(root, kinds)
    return root


def _check_inside(path: Path, kinds: Sequence[Sequence[Path]]) -> None:
    for folders in kinds:
        if not any(path.is_relative_to(folder) for folder in folders):
            raise UsageError(f"{path} is not inside {', '.join(map(str, folders))}", _START)
