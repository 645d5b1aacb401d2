"""All tools by name."""

from __future__ import annotations

from typing import Any

from tools.base import Tool
from tools.edit import CREATE_FILE, EDIT_SYMBOL, REPLACE_TEXT
from tools.files import LIST_FILES, READ_FILE, SEARCH
from tools.git import GIT_BLAME, GIT_DIFF, GIT_LOG
from tools.shell import SHELL

ALL: dict[str, Tool[Any]] = {
    tool.name: tool
    for tool in (
        EDIT_SYMBOL,
        REPLACE_TEXT,
        CREATE_FILE,
        LIST_FILES,
        READ_FILE,
        SEARCH,
        SHELL,
        GIT_DIFF,
        GIT_LOG,
        GIT_BLAME,
    )
}
