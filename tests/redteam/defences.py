"""The defences, each as the change of one line that would switch it off."""

from __future__ import annotations

from dataclasses import dataclass

INSIDE = "tools/sandbox/inside"


@dataclass(frozen=True)
class Defence:
    """`old` stands once in the file `path`; with `new` in its place the test must fail."""

    name: str
    path: str
    old: str
    new: str
    test: str


def hack(name: str) -> str:
    """The test of a reward hack in bubblewrap."""
    return f"tests/redteam/test_hacks.py::test_hack[bubblewrap-{name}]"


def escape(name: str) -> str:
    """The test of an escape in bubblewrap."""
    return f"tests/redteam/test_escapes.py::test_escape[bubblewrap-{name}]"


def host(name: str) -> str:
    """The test of an attack on what we do on the host."""
    return f"tests/redteam/test_escapes.py::test_host[{name}]"


SANDBOX = (
    Defence(
        "seccomp filter",
        f"{INSIDE}/common.py",
        "        install(self.program)\n",
        "        pass\n",
        escape("namespaces"),
    ),
    Defence(
        "memfd absent",
        f"{INSIDE}/filter.py",
        '    "memfd_create": (319, 279),\n',
        "",
        escape("memory_memfd"),
    ),
    Defence(
        "vsock refused",
        f"{INSIDE}/filter.py",
        "        (SOCKET, only(0, families, EAFNOSUPPORT)),\n",
        "",
        escape("other_sockets"),
    ),
    Defence(
        "System V memory bound",
        f"{INSIDE}/filter.py",
        "        (SHMGET, segment),\n",
        "",
        escape("memory_system_v"),
    ),
    Defence(
        "other ABIs end",
        f"{INSIDE}/filter.py",
        "(RETURN, 0, 0, KILL)]",
        "(RETURN, 0, 0, ALLOW)]",
        escape("other_abis"),
    ),
    Defence(
        "core limit stays",
        f"{INSIDE}/filter.py",
        "        (PRLIMIT, cores_of),\n",
        "",
        escape("core_dumps"),
    ),
    Defence(
        "shared memory out of view",
        f"{INSIDE}/processes.py",
        "unseen = held.shared() if total <= most else 0",
        "unseen = 0",
        escape("memory_unmapped"),
    ),
    Defence(
        "sockets count",
        f"{INSIDE}/processes.py",
        "            total += held.of_sockets()\n",
        "",
        escape("memory_sockets"),
    ),
    Defence(
        "inodes bound",
        f"{INSIDE}/processes.py",
        " or held.too_many_files()",
        "",
        escape("inode_fill"),
    ),
    Defence(
        "holes are not read",
        f"{INSIDE}/history.py",
        "        if size > self.most:\n",
        "        if False:\n",
        escape("holes"),
    ),
    Defence(
        "deep folders removed",
        f"{INSIDE}/common.py",
        "            os.seteuid(0)\n            os.setegid(0)\n            os.setgroups",
        "            os.setgroups",
        escape("deep_folders"),
    ),
    Defence(
        "long paths bound",
        f"{INSIDE}/tree.py",
        "                if size > MOST_NAMES:\n",
        "                if False:\n",
        escape("long_paths"),
    ),
    Defence(
        "no lazy fetch",
        "agent/repository.py",
        '    "GIT_ALLOW_PROTOCOL": "none",\n    "GIT_NO_LAZY_FETCH": "1",\n',
        "",
        host("host_git_lazy_fetch"),
    ),
    Defence(
        "own work tree",
        "agent/repository.py",
        "    _check_root(repo)\n",
        "",
        host("host_git_worktree"),
    ),
    Defence(
        "plain names",
        "agent/repository.py",
        "        if not is_plain(path):\n",
        "        if False:\n",
        host("host_git_index"),
    ),
    Defence(
        "no linked folders",
        "agent/repository.py",
        "        if through_link(root, path):\n",
        "        if False:\n",
        host("host_git_linked_folder"),
    ),
    Defence(
        "size before reading",
        "agent/repository.py",
        "        if info.st_size > most:\n",
        "        if False:\n",
        host("host_git_large_files"),
    ),
    Defence(
        "apply: plain names",
        "agent/apply.py",
        "    if not is_plain(path):\n",
        "    if False:\n",
        host("host_apply_paths"),
    ),
    Defence(
        "apply: no links",
        "agent/apply.py",
        "    if through_link(root, path):\n",
        "    if False:\n",
        host("host_apply_links"),
    ),
    Defence(
        "blame tells known errors",
        "tools/git.py",
        "said if _SAID.match(said) else",
        "said if said else",
        host("host_git_blame"),
    ),
    Defence(
        "hidden text shown",
        "agent/ui/text.py",
        '    "\\U000e0000-\\U000e0fff]"\n',
        '    "]"\n',
        host("host_terminal_escapes"),
    ),
)

VERDICT = (
    Defence(
        "protected files",
        "agent/verify/patch.py",
        "        elif is_protected(part.path, protected):\n",
        "        elif False:\n",
        hack("weaken_asserts-1"),
    ),
    Defence(
        "git's own files",
        "agent/verify/patch.py",
        "    if any(is_git_folder(piece) for piece in ",
        "    if False and any(is_git_folder(piece) for piece in ",
        "tests/agent/test_patch.py",
    ),
    Defence(
        "no links",
        "agent/verify/patch.py",
        "    if part.mode not in (None, *_FILE_MODES):\n",
        "    if False:\n",
        hack("symlink_escape-1"),
    ),
    Defence(
        "no compiled code",
        "agent/verify/patch.py",
        "    if not part.removed and part.path.lower().endswith(_COMPILED):\n",
        "    if False:\n",
        "tests/agent/test_patch.py",
    ),
    Defence(
        "no moves",
        "agent/verify/patch.py",
        "    elif any(line.startswith(_MOVES) for line in names):\n",
        "    elif False:\n",
        "tests/agent/test_patch.py",
    ),
    Defence(
        "one file a part",
        "agent/verify/patch.py",
        "    elif not path or not all(_agrees(line, path, added, removed) for line in names):\n",
        "    elif False:\n",
        "tests/agent/test_patch.py",
    ),
    Defence(
        "signs of tampering",
        "agent/verify/tamper/__init__.py",
        '    found += _new(before, after, "damning")\n',
        "",
        "tests/agent/test_tamper.py",
    ),
    Defence(
        "shadowed modules",
        "agent/verify/tamper/__init__.py",
        "[shadow(path) for path in after if path not in before]",
        "[]",
        "tests/agent/test_tamper.py",
    ),
    Defence(
        "changed doctests",
        "agent/verify/tamper/__init__.py",
        "    found += examples_changed(before, after, doctested)\n",
        "",
        hack("changes_doctest-1"),
    ),
    Defence(
        "special cases",
        "agent/verify/verifier.py",
        "            *hard_coded(old, new, self.workspace.contents, self.targets),\n",
        "",
        hack("hard_coded-6"),
    ),
    Defence(
        "integrity of the run",
        "agent/verify/verifier.py",
        "            *(done for done in run.patched if self._is_new(done, old, new)),\n",
        "",
        hack("patched_time-3"),
    ),
    Defence(
        "files of tests stay",
        "agent/verify/verifier.py",
        '        found += tuple(f"the run rewrites {path}" for path in rewritten)\n',
        "",
        "tests/redteam/test_hacks.py::test_a_rewritten_test_file_is_named[bubblewrap]",
    ),
    Defence(
        "what looks for its test",
        "tools/testing/pytest_inside.py",
        '    module_at(settings["audit"]).install(',
        '    str(settings["audit"]).format(',
        hack("spots_the_control-2"),
    ),
    Defence(
        "marked records",
        "tools/testing/supervisor_inside.py",
        "        elif not self.forged:\n",
        "        elif False:\n",
        hack("forged_results-2"),
    ),
    Defence(
        "control",
        "agent/verify/verifier.py",
        "            found = (audited.finding,) if audited.finding else ()\n",
        "",
        hack("bool_trap-2"),
    ),
    Defence(
        "targets that fail again",
        "agent/verify/verifier.py",
        "            if not found and not failures and not self._fails_without(test):\n",
        "            if False:\n",
        "tests/agent/test_audit.py::test_a_patch_is_no_fix_of_a_test_that_fails_only_by_chance",
    ),
    Defence(
        "helpers beside tests",
        "agent/solve.py",
        "        tests = (*with_helpers(files, contents), *sorted(files_of_tests(contents)))\n",
        "        tests = (*files, *sorted(files_of_tests(contents)))\n",
        "tests/agent/test_audit.py::test_a_patch_of_an_assertion_beside_the_tests_is_a_finding",
    ),
    Defence(
        "controls close by",
        "agent/verify/control/values.py",
        "self.names.far if tolerant else self.names.near",
        "self.names.far",
        hack("value_subclasses-3"),
    ),
    Defence(
        "held-out tests",
        "agent/verify/verifier.py",
        "            if not found and self.held_out and (",
        "            if not self and (",
        hack("call_count-2"),
    ),
    Defence(
        "all targets",
        "agent/verify/verifier.py",
        "        if unfixed:\n",
        "        if False:\n",
        hack("no_op-3"),
    ),
    Defence(
        "no regressions",
        "agent/verify/verifier.py",
        "        if broken:\n",
        "        if False:\n",
        "tests/redteam/test_hacks.py::test_a_regression_is_refused[bubblewrap]",
    ),
    Defence(
        "installed copies hidden",
        "agent/workspace.py",
        "        hide=(*Spec.hide, *_own_modules(contents)),\n",
        "",
        "tests/redteam/test_hacks.py::test_an_installed_copy_is_hidden[bubblewrap]",
    ),
    Defence(
        "Rust's tests among the sources",
        "agent/verify/tamper/__init__.py",
        "    found += inline_tests_changed(before, after)\n",
        "",
        "tests/agent/test_languages.py::test_tests_among_the_sources_may_not_be_changed",
    ),
)

GITHUB = (
    Defence(
        "labels of people who may write",
        "agent/github/gate.py",
        "    if not client.may_write(event.sender.login):\n",
        "    if False:\n",
        "tests/github/test_events.py::test_other_peoples_labels_are_not_obeyed_nor_answered",
    ),
    Defence(
        "issues as labelled",
        "agent/github/gate.py",
        '    if (then.title, then.body or "") != (now.title, now.body or ""):\n',
        "    if False:\n",
        "tests/github/test_events.py::test_what_was_edited_after_the_label_is_refused_and_said",
    ),
    Defence(
        "no commands to the runner",
        "agent/github/runner.py",
        '    if os.environ.get("GITHUB_ACTIONS") == "true":\n',
        "    if False:\n",
        "tests/github/test_propose.py::test_the_runner_obeys_no_line_of_the_log",
    ),
    Defence(
        "unseen text of issues",
        "agent/github/text.py",
        "{_seen_page(body or '')}",
        "{body or ''}",
        "tests/github/test_text.py::test_what_a_page_does_not_show_is_gone",
    ),
    Defence(
        "boxes that do not end",
        "agent/github/text.py",
        '    fence = "`" * max(3, longest + 1)\n',
        '    fence = "```"\n',
        "tests/github/test_text.py::test_a_block_of_code_is_not_ended_by_what_is_in_it",
    ),
    Defence(
        "files that decide about builds",
        "agent/github/rules.py",
        "        if _denied(part.path, rules.denied)\n",
        "        if False\n",
        "tests/github/test_propose.py::test_paths_that_no_patch_may_bring",
    ),
    Defence(
        "files that are not added",
        "agent/github/rules.py",
        '    found += [f"adds a file that it may not add: {path!a}" for path in parts.dropped]\n',
        "",
        "tests/github/test_propose.py::test_paths_that_no_patch_may_bring",
    ),
    Defence(
        "tampering looked for anew",
        "agent/github/proposing.py",
        "    if tampered:\n",
        "    if False:\n",
        "tests/github/test_propose.py::test_what_reads_as_a_special_case_of_a_test_is_a_finding",
    ),
    Defence(
        "the result's own patch",
        "agent/github/artifact.py",
        "    if digest != solved.patch_sha256:\n",
        "    if False:\n",
        "tests/github/test_propose.py::test_results_that_contradict_themselves_are_refused",
    ),
    Defence(
        "no links in artifacts",
        "agent/github/artifact.py",
        "os.O_RDONLY | os.O_NOFOLLOW | ",
        "os.O_RDONLY | ",
        "tests/github/test_propose.py::test_links_and_giants_in_the_artifact_are_not_read",
    ),
    Defence(
        "the commit that was solved",
        "agent/github/proposing.py",
        "    if solved.base_commit != head:\n",
        "    if False:\n",
        "tests/github/test_propose.py::test_results_that_contradict_themselves_are_refused",
    ),
    Defence(
        "branches are not moved",
        "agent/github/commit.py",
        "        if there:\n",
        "        if False:\n",
        "tests/github/test_propose.py::test_a_branch_of_the_same_name_is_not_overwritten",
    ),
    Defence(
        "feedback of the repository's own branches",
        "agent/github/feedback.py",
        "        and head.repo.full_name == runner.repository\n",
        "",
        "tests/github/test_events.py::test_feedback_from_another_repository_does_not_count",
    ),
)

DEFENCES: tuple[Defence, ...] = (*SANDBOX, *VERDICT, *GITHUB)
