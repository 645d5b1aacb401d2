import base64
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.experience.redact import redact

# Every secret here is put together at run time, so that no scanner mistakes this file for a leak.


def part(data: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")


JWT = ".".join((part({"alg": "HS256", "typ": "JWT"}), part({"sub": "1"}), "S1g" * 14))
BODY = "\n".join(["MIIE" + "aB3/" * 15] * 10) + "\nabcd=="


def pem(label: str) -> str:
    return f"-----BEGIN {label}-----\n{BODY}\n-----END {label}-----"


SECRETS = {
    "aws": "AKIA" + "A1B2" * 4,
    "github": "ghp_" + "a1B2" * 9,
    "gitlab": "glpat-" + "a1B2" * 5,
    "slack": "xoxb-" + "123456-" * 2 + "abcdef",
    "stripe": "sk_live_" + "a1B2" * 6,
    "openai": "sk-" + "a1" * 10 + "T3BlbkFJ" + "b2" * 10,
    "anthropic": "sk-ant-" + "api03-" + "a1B2" * 10,
    "private-key": pem("RSA PRIVATE KEY"),
    "jwt": JWT,
    "npm": "npm_" + "a1B2" * 9,
    "pypi": "pypi-" + "AgEIcHlwaS5vcmc" + "a1" * 40,
    "twilio": "SK" + "a1b2" * 8,
    "sendgrid": "SG." + "a" * 22 + "." + "b" * 43,
    "hugging-face": "hf_" + "aBcD" * 8 + "eF",
    "google": "AIza" + "a1B2c" * 7,
    "mailchimp": "a1b2" * 8 + "-us12",
    "square": "sq0csp-" + "a" * 43,
    "telegram": "123456789:" + "a1B2c" * 7,
    "discord": "M" + "a" * 23 + "." + "b" * 6 + "." + "c" * 27,
}


@pytest.mark.parametrize(("kind", "secret"), SECRETS.items(), ids=SECRETS)
def test_a_secret_goes_and_its_surroundings_stay(kind, secret):
    text, count = redact(f'first\nkey = "{secret}"  # é\nlast')
    assert text == f'first\nkey = "[REDACTED:{kind}]"  # é\nlast'
    assert count == 1


@pytest.mark.parametrize(
    ("before", "secret", "after", "kind"),
    [
        ("https://bob:", "hunter2xyz", "@example.org/", "basic-auth"),
        ("AWS_SECRET_ACCESS_KEY=", "a/B1" * 10, "\n", "aws"),
        ("aws_secret_key = '", "a/B1" * 10, "'", "aws"),
        ("AccountName=x;AccountKey=", "a" * 86 + "==", ";E=1", "azure-storage"),
        ("//registry.npmjs.org/:_authToken=", "npm_" + "x" * 20, "\n", "npm"),
        ("Authorization: Bearer ", JWT, "\n", "jwt"),
    ],
)
def test_only_the_secret_part_goes(before, secret, after, kind):
    assert redact(before + secret + after) == (f"{before}[REDACTED:{kind}]{after}", 1)


@pytest.mark.parametrize(
    "label",
    ["PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "PGP PRIVATE KEY BLOCK"],
)
def test_a_whole_private_key_goes(label):
    key = pem(label)
    assert redact(f"a\n{key}\nb") == ("a\n[REDACTED:private-key]\nb", 1)
    assert redact(json.dumps({"k": key})) == ('{"k": "[REDACTED:private-key]"}', 1)
    assert redact("\n".join(f"+{line}" for line in key.split("\n")))[0] == "+[REDACTED:private-key]"


def test_a_private_key_without_its_end_goes_as_far_as_it_reaches():
    cut = pem("RSA PRIVATE KEY")[:300]
    text, count = redact(f"{cut}\n… 900 characters left out\n")
    assert count == 1
    assert "aB3/" * 4 not in text
    assert text.endswith("… 900 characters left out\n")


@pytest.mark.parametrize(
    "code",
    [
        "if '-----BEGIN RSA PRIVATE KEY-----' in text: end = '-----END RSA PRIVATE KEY-----'",
        'url = f"postgres://{user}:{password}@{host}/db"',
        "requests.get('http://user:pass@localhost')",
        "password = 'correct horse battery staple'",
        "digest = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "class APCalculator: API_KEY = os.environ['API_KEY']",
    ],
)
def test_code_without_secrets_stays(code):
    assert redact(code) == (code, 0)


pieces = st.sampled_from(
    [*SECRETS.values(), JWT[:30], "://a:", "@", '"', " ", "\n", "aws key '", "="]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(pieces | st.text(max_size=8), max_size=12).map("".join))
def test_redacting_again_changes_nothing(text):
    once, _ = redact(text)
    assert redact(once) == (once, 0)
    assert redact(text)[0] == once


@pytest.mark.parametrize(
    "text",
    [
        "def f(x):\n    return x + 1  # comment on it\n" * 23_000,
        "eyJ" * 333_000,
        "eyJ." * 250_000,
        "sk-" * 333_000 + "T3BlbkFJ",
        "-----BEGIN PRIVATE KEY-----\n" * 36_000,
        "-----BEGIN PRIVATE KEY-----" + " " * 1_000_000,
        "//" * 500_000 + ":_authToken=",
        ("AKIA" + "A1B2" * 4 + " ") * 47_000,
    ],
    ids=["code", "jwt", "jwt-dots", "openai", "pem", "pem-space", "npm", "many"],
)
def test_a_megabyte_takes_no_time(text):
    redact("x")
    start = time.process_time()
    redact(text)
    assert time.process_time() - start < 2.0


def test_importing_is_cheap():
    code = (
        "import sys, policies.experience.redact, policies.experience.store\n"
        "print({'detect_secrets', 'requests', 'zstandard', 'rich', 'asyncio'} & {*sys.modules})"
    )
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True)
    assert out.stdout.strip() == b"set()"
