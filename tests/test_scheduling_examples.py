"""The files under examples/scheduling are what cron, systemd and Kubernetes take, and start what the program knows."""

import datetime as dt
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from cronsim import CronSim

from harvester.cli.main import COMMANDS, harvester
from harvester.settings import HarvestSettings, Settings

FOLDER = Path(__file__).parent.parent / "examples" / "scheduling"
PROGRAM = "/opt/harvester/.venv/bin/harvester"
UNITS = sorted([*FOLDER.glob("*.service"), *FOLDER.glob("*.timer")])
AGAIN = {5, 75}
A_PERSON = {1, 2, 3, 4, 6, 7}
"""Exit codes by docs/commands.md: to try again would change nothing."""

MIDNIGHT = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)
LEAST_S = HarvestSettings().call_timeout_s + 30
"""Calls under way are finished and stored after SIGTERM."""


def cron_lines() -> list[tuple[str, str]]:
    """The schedule and the command of each job; the user stands between them."""
    lines = (FOLDER / "harvester.cron").read_text(encoding="utf-8").splitlines()
    jobs = [line.split(maxsplit=6) for line in lines if re.match(r"[\d*]", line)]
    return [(" ".join(fields[:5]), fields[6]) for fields in jobs]


def options(unit: str, section: str) -> dict[str, list[str]]:
    """The values of a unit's section, in their order; a line that is none of systemd's grammar is an error."""
    found: dict[str, list[str]] = {}
    here = ""
    for line in (FOLDER / unit).read_text(encoding="utf-8").splitlines():
        if heading := re.fullmatch(r"\[(Unit|Service|Timer|Install)\]", line):
            here = heading[1]
        elif line and not line.startswith("#"):
            name, is_assigned, value = line.partition("=")
            assert is_assigned, line
            assert re.fullmatch(r"[A-Z][A-Za-z]+", name), line
            if here == section:
                found.setdefault(name, []).append(value)
    return found


def manifests() -> dict[str, Any]:
    documents = yaml.safe_load_all((FOLDER / "cronjob.yaml").read_text(encoding="utf-8"))
    return {document["kind"]: document for document in documents}


def job_spec() -> dict[str, Any]:
    spec: dict[str, Any] = manifests()["CronJob"]["spec"]["jobTemplate"]["spec"]
    return spec


def command_lines() -> Iterator[list[str]]:
    """The words after the program's name, wherever an example starts it."""
    for _, command in cron_lines():
        yield from (shlex.split(line) for line in re.findall(rf"{PROGRAM} ([^|>&;]*?)\s*\d?(?=>>|$)", command))
    yield from (shlex.split(line)[1:] for line in options("harvester.service", "Service")["ExecStart"])
    (container,) = job_spec()["template"]["spec"]["containers"]
    yield container["args"]


def test_every_command_line_can_be_typed() -> None:
    """The program takes each as it stands; nothing is run."""
    lines = list(command_lines())

    assert [words[0] for words in lines] == ["nightly", "verify", "nightly", "nightly"]
    for name, *arguments in lines:
        assert name in COMMANDS
        command = harvester.get_command(click.Context(harvester), name)
        assert command is not None
        command.make_context(name, list(arguments))


# --- cron -------------------------------------------------------------------------------------------------------------


def test_cron_takes_the_schedules_and_no_retry_begins_a_new_date() -> None:
    """The nightly hours lie between two midnights, UTC, with room behind the last one."""
    (nightly, _), (weekly, _) = cron_lines()
    runs = CronSim(nightly, MIDNIGHT)
    night = [run for run in (next(runs) for _ in range(7)) if run.date() == MIDNIGHT.date()]

    assert len(night) == 7
    assert (night[0].hour, night[-1].hour) == (1, 7)
    assert next(CronSim(weekly, MIDNIGHT)).strftime("%A") == "Sunday"


def test_cron_would_cut_a_line_at_a_percent_sign() -> None:
    """None stands in a command, nor does the name of the file have a dot once it is installed as told."""
    assert not any("%" in command for _, command in cron_lines())
    assert "/etc/cron.d/harvester " in (FOLDER / "harvester.cron").read_text(encoding="utf-8")


@pytest.mark.parametrize("code", sorted({0, *AGAIN, *A_PERSON}))
def test_cron_mails_where_a_person_is_needed(tmp_path: Path, code: int) -> None:
    """The line as a shell runs it, with a program that ends so: silent, or one line and the end of the log."""
    program = tmp_path / "harvester"
    program.write_text(f"#!/bin/sh\necho sentence >&2\nexit {code}\n", encoding="utf-8")
    program.chmod(0o700)
    line = cron_lines()[0][1].replace(PROGRAM, str(program)).replace("/var/lib/harvester", str(tmp_path))

    ran = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)

    told = f"harvester nightly ended with {code}\nsentence\n" if code in A_PERSON else ""
    assert (ran.stdout, ran.stderr) == (told, "")


# --- systemd ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_takes_the_unit(tmp_path: Path, unit: Path) -> None:
    """By its own check where that is there, with a program that exists; by its grammar everywhere."""
    for each in UNITS:
        text = each.read_text(encoding="utf-8").replace(PROGRAM, "/bin/true")
        (tmp_path / each.name).write_text(text, encoding="utf-8")
    sections = {"Unit", unit.suffix.removeprefix(".").capitalize()}
    analyze = shutil.which("systemd-analyze")

    said = subprocess.run(
        [analyze, "verify", "--man=no", tmp_path / unit.name], capture_output=True, text=True, check=False
    ) if analyze else None  # fmt: skip

    assert all(options(unit.name, section) for section in sections)
    assert said is None or unit.name not in said.stderr, said


def test_systemd_tries_again_what_a_later_start_mends() -> None:
    """Codes that need a person are exactly those that prevent a restart; a stop leaves time for calls under way."""
    service = options("harvester.service", "Service")

    assert set(map(int, service["RestartPreventExitStatus"][0].split())) == A_PERSON
    assert service["Restart"] == ["on-failure"]
    assert int(service["TimeoutStopSec"][0]) >= LEAST_S
    assert "RestartForceExitStatus" not in service


@pytest.mark.parametrize("code", sorted(AGAIN | A_PERSON))
def test_the_alarm_is_silent_where_the_service_is_tried_again(code: int) -> None:
    """It is started before each retry too, and told the code."""
    (line,) = options("harvester-alarm.service", "Service")["ExecStart"]
    shell, dash, script = shlex.split(line)
    environment = {"MONITOR_UNIT": "harvester.service", "MONITOR_EXIT_STATUS": str(code), "PATH": "/usr/bin:/bin"}

    ran = subprocess.run(
        [shell, dash, script.replace("| wall", "")], env=environment, capture_output=True, text=True, check=True
    )

    assert ran.stdout == (f"harvester.service ended with {code}\n" if code in A_PERSON else "")


def test_the_units_set_keys_that_exist() -> None:
    """A variable with another name would leave a secret unread."""
    names = [line.partition("=")[0] for line in options("harvester.service", "Service")["Environment"]]

    assert names == [
        "HARVESTER_ACCOUNTS__ACME__CLIENT_SECRET_FILE",
        "HARVESTER_ACCOUNTS__ACME__REFRESH_TOKEN_FILE",
        "HARVESTER_OUTPUT",
        "HARVESTER_STATE",
    ]
    assert {"output", "state", "accounts"} <= Settings.model_fields.keys()


# --- Kubernetes -------------------------------------------------------------------------------------------------------


def test_kubernetes_tries_again_what_a_later_start_mends() -> None:
    """Exit codes as above; the policy needs pods that are not restarted in place."""
    spec = job_spec()
    rules = {rule["action"]: rule for rule in spec["podFailurePolicy"]["rules"]}

    assert set(rules["FailJob"]["onExitCodes"]["values"]) == A_PERSON
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= LEAST_S


def test_no_pod_begins_a_new_date_for_an_old_job() -> None:
    """Start and longest life of a job lie between two midnights, UTC, the latest start included."""
    cron_job = manifests()["CronJob"]["spec"]
    first = next(CronSim(cron_job["schedule"], MIDNIGHT))
    latest_s = cron_job["startingDeadlineSeconds"] + job_spec()["activeDeadlineSeconds"]

    assert (cron_job["timeZone"], cron_job["concurrencyPolicy"]) == ("Etc/UTC", "Forbid")
    assert first + dt.timedelta(seconds=latest_s) < MIDNIGHT + dt.timedelta(days=1)


def test_one_pod_holds_state_and_output() -> None:
    """The ledger's locks are those of one kernel, and its secrets have a mode that harvester takes."""
    documents = manifests()
    pod = job_spec()["template"]["spec"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}

    assert documents["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert not volumes["secrets"]["secret"]["defaultMode"] & 0o027
    assert pod["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"
    configuration = documents["ConfigMap"]["data"]["config.toml"]
    assert f'output = "{mounts["files"]}/data"' in configuration
    assert f'state = "{mounts["files"]}/state"' in configuration
