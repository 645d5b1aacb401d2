"""Have git run programs when we look at the workspace: by its settings and attributes."""

from __future__ import annotations

from tests.redteam.escapes import Host
from tools.git import GIT_DIFF, GIT_LOG
from tools.sandbox.base import Sandbox

SCRIPT = r"""
t='touch /tmp/pwned'
for key in core.fsmonitor core.pager core.editor core.sshCommand diff.external gpg.program \
    filter.evil.clean filter.evil.smudge filter.evil.process diff.evil.textconv \
    diff.evil.command merge.evil.driver core.alternateRefsCommand credential.helper
do git config $key "$t; cat"; done
git config core.autocrlf true; git config log.showSignature true
git config core.hooksPath /workspace/hooks; git config core.excludesFile /workspace/all
git config core.attributesFile /workspace/all; git config core.worktree /tmp
mkdir hooks
for hook in pre-commit post-commit post-checkout post-index-change reference-transaction
do echo "$t" > hooks/$hook; chmod +x hooks/$hook; done
echo '* filter=evil diff=evil merge=evil' > all; echo 'print(9)' > a.py
git config --unset core.worktree; git add -A; git commit -qm sneaky; rm -f /tmp/pwned
"""


def attack(sandbox: Sandbox, host: Host) -> None:
    opened = sandbox.snapshot()
    sandbox.run(["sh", "-c", SCRIPT])
    patch = sandbox.diff()
    assert "+print(9)" in patch
    assert "b/all" in patch
    assert "b/hooks/pre-commit" in patch
    sandbox.files()
    changed = sandbox.snapshot()
    assert GIT_DIFF.call(sandbox, {}).ok
    sandbox.restore(opened)
    sandbox.apply(patch)
    assert sandbox.diff() == patch
    sandbox.restore(changed)
    assert sandbox.run(["ls", "/tmp/pwned"]).exit_code != 0
    sandbox.run(["sh", "-c", SCRIPT])
    GIT_LOG.call(sandbox, {})
