"""The program as a whole: versions, errors without tracebacks, and how much it loads."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from tests.patience import run

from cch import __version__
from cch.errors import CapabilityError, SettingsError
from cch.names import Names

PLUGINS = Path(__file__).parents[2] / "plugins"
HEAVY = ("airflow", "boto3", "botocore", "aiobotocore", "networkx", "jsonschema")
#: Runs the program, then says what it has loaded.
REPORT = (
    "import sys, json\n"
    "from cch.cli.main import run\n"
    "code = 0\n"
    "try:\n    run()\nexcept SystemExit as end:\n    code = end.code or 0\n"
    f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=sys.stderr)\n"
    "sys.exit(code)\n"
)


def program(*arguments, cwd, code=REPORT, **variables):
    """Run the real program in a process of its own; (exit code, stdout, what it said, modules it loaded)."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(PLUGINS),
        "HOME": str(cwd),
        "AWS_EC2_METADATA_DISABLED": "true",
        **variables,
    }
    result = run([sys.executable, "-c", code, *map(str, arguments)], cwd=cwd, env=environment)
    said, _, loaded = result.stderr.rstrip("\n").rpartition("\n")
    return result.returncode, result.stdout, said, json.loads(loaded)


UNREACHABLE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.mark.parametrize(
    "arguments", [["run", "enrich_v1", "--set", "a=1"], ["status"], ["status", "some-id"], ["ledger", "check"]]
)
def test_unreachable_services_are_one_sentence(tmp_path, arguments):
    """Nothing answers: one sentence that says where, exit code 1, no traceback, and no Airflow loaded."""
    code, out, said, loaded = program(*arguments, cwd=tmp_path, **UNREACHABLE)

    assert (code, out) == (1, "")
    assert "nothing answers at http://127.0.0.1:1" in said
    assert "Traceback" not in said
    assert said.count("\n") == 0
    assert "airflow" not in loaded


def test_no_credentials_is_one_sentence(tmp_path, office):
    """Publishing without credentials says which to set."""
    office.write("enrich.yaml")
    code, _, said, _ = program("publish", cwd=tmp_path, AWS_DEFAULT_REGION="us-east-1")

    assert code == 1
    assert "no AWS credentials" in said
    assert "Traceback" not in said


def test_no_region_is_one_sentence(tmp_path):
    """A missing region is told as such."""
    code, _, said, _ = program("status", "x", cwd=tmp_path)

    assert code == 1
    assert "set AWS_DEFAULT_REGION" in said
    assert "Traceback" not in said


def test_a_bad_setting_is_wrong_use(tmp_path):
    """Settings that cannot be used exit with 2 and name the variable."""
    code, _, said, _ = program("status", "x", cwd=tmp_path, CCH_OWNER="Not Allowed")

    assert code == 2
    assert "CCH_OWNER" in said
    assert "Traceback" not in said


def test_names_that_no_bucket_can_have():
    """S3 takes 63 characters: one letter more than fits, and the error says how to mend it."""
    assert len(Names(env="e" * 20, owner="o" * 10).definitions_bucket) == 63
    with pytest.raises(ValueError, match="shorten them by 1 letter together"):
        Names(env="e" * 20, owner="o" * 11)


def test_an_owner_may_have_an_underscore():
    """Queues, topics and tables carry it; buckets, where S3 forbids it, have a dash instead."""
    names = Names(env="dev", owner="john_doe")

    assert names.reply_queue == "cch-dev-john_doe-orchestrator-reply-queue"
    assert names.table == "cch-dev-john_doe-workflow-state-table"
    assert names.eventdata_bucket == "cch-dev-john-doe-eventdata-bucket"


def test_validate_and_graph_load_neither_airflow_nor_aws(tmp_path, office):
    """Checks need no services: they must work, fast, wherever Python does."""
    office.write("enrich_v1.yaml")

    for arguments in (["validate"], ["graph", "enrich_v1"], ["graph", "enrich_v1", "--format", "tasks"]):
        code, _, _, loaded = program(*arguments, cwd=tmp_path)

        assert code == 0
        assert loaded == ["networkx", "jsonschema"]


def test_importing_the_program_loads_nothing_heavy(tmp_path):
    """Start-up is felt with every command: under 0.4 s of processor time, and none of the large packages."""
    code = (
        "import sys, json, time\n"
        "import cch.cli.main\n"
        f"loaded = [m for m in {HEAVY!r} if m in sys.modules]\n"
        "print(time.process_time())\n"
        "print('-', file=sys.stderr)\nprint(json.dumps(loaded), file=sys.stderr)\n"
    )

    runs = [program(cwd=tmp_path, code=code) for _ in range(3)]

    assert all(loaded == [] for *_, loaded in runs)
    assert min(float(out) for _, out, *_ in runs) < 0.4


def test_an_unexpected_error_is_a_sentence_too(tmp_path):
    """A mistake of ours says how to see more; CCH_DEBUG=1 shows the traceback."""
    code = REPORT.replace(
        "from cch.cli.main import run\n",
        "from cch.cli import validation\nfrom cch.cli.main import run\n"
        "def broken(*_, **__):\n    raise KeyError('deep inside')\nvalidation.validate = broken\n",
    )

    quiet = program("validate", cwd=tmp_path, code=code)
    loud = program("validate", cwd=tmp_path, code=code, CCH_DEBUG="1")

    assert quiet[0] == loud[0] == 1
    assert "unexpected KeyError: 'deep inside' (CCH_DEBUG=1 shows where" in quiet[2]
    assert "Traceback" not in quiet[2]
    assert "Traceback" in loud[2]


@pytest.mark.parametrize(("error", "code"), [(SettingsError("bad"), 2), (CapabilityError("worse"), 1)])
def test_every_error_of_ours_becomes_a_sentence(cch, monkeypatch, error, code):
    """Wherever a CchError comes from, its message is what a person reads."""
    from cch.cli import validation

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(validation, "validate", fail)
    result = cch("validate")

    assert (result.exit_code, result.stderr) == (code, f"cch: {error}\n")


def test_debug_shows_the_traceback_of_our_own_errors(cch, monkeypatch):
    """CCH_DEBUG=1 keeps the sentence and adds where it came from."""
    monkeypatch.setenv("CCH_DEBUG", "1")

    result = cch("validate", "nowhere")

    assert result.exit_code == 2
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("cch: nowhere does not exist\n")


def test_the_version(cch):
    """--version prints the version and nothing else."""
    result = cch("--version")

    assert (result.exit_code, result.stdout) == (0, f"cch {__version__}\n")


@pytest.mark.parametrize("arguments", [["nonsense"], ["validate", "--nonsense"], ["run"], ["ledger", "nonsense"], []])
def test_usage_errors_exit_with_two(cch, arguments):
    """What the parser refuses is wrong use."""
    assert cch(*arguments).exit_code == 2


def test_every_command_has_help(cch):
    """--help works everywhere and names all commands."""
    overview = cch("--help").stdout

    for command in ("validate", "graph", "publish", "run", "status", "ledger", "up", "down", "env"):
        assert command in overview
        assert cch(command, "--help").exit_code == 0
