"""Secrets out of texts, before a text becomes an event, and so a prompt and a record.

The patterns are those of detect-secrets that name one vendor's credential. Its entropy and
keyword plugins are left out: on source code they redact more code than secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import NamedTuple

Span = tuple[int, int, str]


class _Plugin(NamedTuple):
    """A detect-secrets plugin, run only where one of `needles` occurs in the lower-cased text.

    `keep` is how the match begins that is no secret itself.
    """

    kind: str
    module: str
    name: str
    needles: tuple[str, ...]
    keep: str = ""


_PLUGINS = (
    _Plugin("aws", "aws", "AWSKeyDetector", ("akia", "asia", "abia", "acca", "a3t", "aws")),
    _Plugin("azure-storage", "azure_storage_key", "AzureStorageKeyDetector", ("accountkey=",),
            keep="AccountKey="),
    _Plugin("basic-auth", "basic_auth", "BasicAuthDetector", ("://",)),
    _Plugin("discord", "discord", "DiscordBotTokenDetector", (".",)),
    _Plugin("github", "github_token", "GitHubTokenDetector",
            ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
    _Plugin("gitlab", "gitlab_token", "GitLabTokenDetector",
            ("glpat-", "gldt-", "glft-", "glsoat-", "glrt-", "gr1348941", "glcbt-", "glimt-",
             "glptt-", "glagent-", "gloas-")),
    _Plugin("mailchimp", "mailchimp", "MailchimpDetector", ("-us",)),
    _Plugin("pypi", "pypi_token", "PypiTokenDetector", ("pypi-ag",)),
    _Plugin("sendgrid", "sendgrid", "SendGridDetector", ("sg.",)),
    _Plugin("slack", "slack", "SlackDetector", ("xox", "hooks.slack.com")),
    _Plugin("square", "square_oauth", "SquareOAuthDetector", ("sq0csp-",)),
    _Plugin("stripe", "stripe", "StripeDetector", ("k_live_",)),
    _Plugin("telegram", "telegram_token", "TelegramBotTokenDetector", (":",)),
    _Plugin("twilio", "twilio", "TwilioKeyDetector", ("ac", "sk")),
)  # fmt: skip

_OWN = (
    # What the plugins miss, or match in more than linear time.
    ("aws", ("secret",),
     r"(?i:aws_?secret_?access_?key|secretaccesskey)\W{1,8}([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"),
    ("anthropic", ("sk-ant-",), r"(?<![\w-])sk-ant-[\w-]{20,}"),
    ("github", ("github_pat_",), r"\bgithub_pat_\w{60,}"),
    ("google", ("aiza",), r"(?<![\w-])AIza[\w-]{35}(?![\w-])"),
    ("hugging-face", ("hf_",), r"\bhf_[A-Za-z]{34}\b"),
    ("npm", ("_authtoken=",), r"/:_authToken=[ \t]*(npm_[^\s\[\"']+|[A-Fa-f0-9-]{36})"),
    ("npm", ("npm_",), r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("openai", ("sk-",), r"(?<![\w-])sk-(?:proj|svcacct|admin)-[\w-]{40,}"),
)  # fmt: skip

_OPENAI = re.compile(r"(?<![\w-])sk-[\w-]{40,}", re.ASCII)
_JWT = re.compile(r"(?<![\w=-])[\w=-]+\.[\w=-]+(?:\.[\w+/=-]*)?", re.ASCII)

# Passwords of examples and templates. To redact these would only damage code.
_NO_PASSWORD = re.compile(
    r"(?i)(?:my|your|some|the|a|test)?[-_]?"
    r"(?:pass|passwd|passphrase|password|pw|pwd|psw|secret|token|p|x+|\.+|\*+)[-_]?\d{0,3}|.*[<>{}%].*"
)

_PEM_BEGIN = re.compile(r"-----BEGIN ((?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?)-----")
_PEM_LONGEST = 32_768
_PEM_REST = re.compile(
    r"(?:(?:[\s\"',+|\-]|\\[nr]|\d+[|:])*+"
    r"(?:[A-Za-z0-9+/]{40,}={0,2}|(?:Proc-Type|DEK-Info|Version|Comment):[^\n\\]*))+"
    r"(?:(?:[\s\"',+|\-]|\\[nr]|\d+[|:])*+[A-Za-z0-9+/]{4,}={0,2}(?=[\s\"'\\]|$))?"
)
_PUTTY = re.compile(
    r"PuTTY-User-Key-File-\d:[^\n]*\n(?:[A-Za-z-]+:[^\n]*\n|[A-Za-z0-9+/=]+\r?\n){1,400}"
)


def redact(text: str) -> tuple[str, int]:
    """The text with each secret replaced by `[REDACTED:<kind>]`, and how many were replaced.

    Redacting a redacted text changes nothing.
    """
    total = 0
    while spans := _disjoint(_find(text)):
        parts, position = [], 0
        for start, end, kind in spans:
            parts += [text[position:start], f"[REDACTED:{kind}]"]
            position = end
        text = "".join((*parts, text[position:]))
        total += len(spans)
    return text, total


def _disjoint(spans: Iterator[Span]) -> list[Span]:
    """The spans in order; those that overlap become one, of the kind of the first."""
    joined: list[Span] = []
    for start, end, kind in sorted(spans, key=lambda span: (span[0], -span[1], span[2])):
        if joined and start < joined[-1][1]:
            first, last, name = joined[-1]
            joined[-1] = (first, max(last, end), name)
        else:
            joined.append((start, end, kind))
    return joined


def _find(text: str) -> Iterator[Span]:
    lowered = text.lower()
    for kind, needles, keep, patterns in _patterns():
        if not any(needle in lowered for needle in needles):
            continue
        for pattern in patterns:
            for match in pattern.finditer(text):
                group = 1 if pattern.groups == 1 and match[1] and kind in _GROUPED else 0
                start, end = match.span(group)
                if kind == "basic-auth" and _NO_PASSWORD.fullmatch(match[1]):
                    continue
                yield start + len(keep), end, kind
    if "t3blbkfj" in lowered:
        for match in _OPENAI.finditer(text):
            if "T3BlbkFJ" in match[0]:
                yield *match.span(), "openai"
    if "eyj" in lowered:
        yield from _tokens(text)
    if "private key" in lowered:
        yield from _pem_blocks(text)
    if "putty-user-key-file" in lowered:
        yield from ((*match.span(), "private-key") for match in _PUTTY.finditer(text))


# Kinds whose first group is the secret; in the others a group is part of the syntax.
_GROUPED = frozenset({"aws", "basic-auth", "npm"})


@cache
def _patterns() -> list[tuple[str, tuple[str, ...], str, list[re.Pattern[str]]]]:
    found = []
    for kind, module, name, needles, keep in _PLUGINS:
        plugin = getattr(import_module(f"detect_secrets.plugins.{module}"), name)()
        found.append((kind, needles, keep, list(plugin.denylist)))
    own = ((kind, needles, "", [re.compile(p, re.ASCII)]) for kind, needles, p in _OWN)
    return [*found, *own]


@cache
def _is_jwt() -> Callable[[str], bool]:
    module = import_module("detect_secrets.plugins.jwt")
    check: Callable[[str], bool] = module.JwtTokenDetector.is_formally_valid
    return check


def _tokens(text: str) -> Iterator[Span]:
    """JSON web tokens, with their signatures."""
    for match in _JWT.finditer(text):
        start = text.find("eyJ", match.start(), match.end())
        if start < 0:
            continue
        head = text[start : match.end()].split(".")[:2]
        if len(head) == 2 and _is_jwt()(".".join(head)):
            yield start, match.end(), "jwt"


def _pem_blocks(text: str) -> Iterator[Span]:
    """Private keys from BEGIN to END, or, where the END was cut off, as far as they look it."""
    position = 0
    while begin := _PEM_BEGIN.search(text, position):
        position = begin.end()
        body = _PEM_REST.match(text, position)
        if not body:
            continue
        mark = f"-----END {begin[1]}-----"
        end = text.find(mark, position, position + _PEM_LONGEST)
        cut_by_next = text.find("-----BEGIN ", position, max(end, position))
        position = end + len(mark) if end >= 0 and cut_by_next < 0 else body.end()
        yield begin.start(), position, "private-key"
