"""What the documentation lists is what the code has: settings, exit codes, keys, fates, resets."""

import json
import re
import zlib
from enum import Enum
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel

from pipeline.cameras.camera_settings import CamerasConfig, CameraSettings
from pipeline.cameras.values import PictureFate
from pipeline.cli.main import ENGINE_EXIT_CODES, READER_GONE, app
from pipeline.config import OTHER_VARIABLES, WorkerConfig
from pipeline.errors import RecordError, StopError
from pipeline.events.event_settings import EventSettings
from pipeline.kafka_settings import KafkaSettings
from pipeline.records import Fate, Reset
from pipeline.settings import PREFIX
from pipeline.worker.watchdog import EXIT_CODE as WATCHDOG
from tests.docs.pages import ROOT, Page, pages
from tests.pipeline.camera_states import GATE

CONFIGURATION, FORMATS = Page.read("docs/configuration.md"), Page.read("docs/formats.md")
CAMERAS = Page.read("docs/cameras.md")
SUCCESS, BUG, USAGE, INTERRUPTED = 0, 1, 2, 130
SCHEMA = json.loads((ROOT / "pipeline" / "schemas" / "prediction.schema.json").read_text())
EVENT_SCHEMA = json.loads((ROOT / "pipeline" / "schemas" / "event.schema.json").read_text())
OF_A_CAMERA = {"fps": "all", "size": "as it comes"}  # what no limit means
SETTING = re.compile(r"(?!longtake_)[a-z]+(_[a-z]+)*_(s|bytes|topic|port)")  # and no metric
OF_KUBERNETES = {f"{PREFIX}SERVICE_HOST", f"{PREFIX}PORT"}  # the pages say that they are ignored
OF_OUTPUTS = {"age_s", "gap_s", "duration_s"}  # of predictions and events


def written(default: object) -> str:
    """A default as the tables write it."""
    match default:
        case None | ():
            return "none"
        case bool():
            return str(default).lower()
        case Enum() | str():
            return f"`{default}`"
        case int() if default and default % (1 << 20) == 0:
            return f"{default >> 20} MiB"
        case float():
            return f"{default:g}"
    return str(default)


def options(command: str) -> dict[str, str]:
    """The long options of a command, by the names of their parameters."""
    found: Any = typer.main.get_command(app)
    return {one.name: one.opts[0] for one in found.commands[command].params}


def documented(heading: str) -> dict[str, tuple[str, str]]:
    """The flag and the default of each setting of a table in docs/configuration.md."""
    rows = CONFIGURATION.rows(heading)
    return {name.strip("`"): (flag.strip("`"), default) for name, flag, default, _ in rows}


@pytest.mark.parametrize(
    ("heading", "kind", "elsewhere"),
    [
        ("Reaching Kafka", KafkaSettings, set()),
        ("Settings of a worker", WorkerConfig, set(KafkaSettings.model_fields)),
        (
            "Settings of a camera process",
            CamerasConfig,
            {"camera", *KafkaSettings.model_fields},
        ),
    ],
)
def test_every_setting_is_listed_with_its_default(
    heading: str, kind: type[BaseModel], elsewhere: set[str]
) -> None:
    fields = {name: one for name, one in kind.model_fields.items() if name not in elsewhere}
    told = {name: default for name, (_, default) in documented(heading).items()}
    assert told == {name: written(one.default) for name, one in fields.items()}


@pytest.mark.parametrize(
    ("heading", "command", "others"),
    [
        ("Settings of a worker", "worker", {"--config", "--help"}),
        ("Settings of a camera process", "camera", None),
    ],
)
def test_every_flag_of_a_setting_is_one(
    heading: str, command: str, others: set[str] | None
) -> None:
    flags = {flag for flag, _ in documented(heading).values() if flag}
    flags |= {flag for flag, _ in documented("Reaching Kafka").values()} | {"--kafka"}
    assert flags - set(options(command).values()) == set()
    if others is not None:
        assert set(options(command).values()) - flags - others == set()


def test_every_setting_of_a_camera_is_listed_with_its_default() -> None:
    told: dict[str, str] = {}
    for names, defaults, _ in CAMERAS.rows("Settings of a camera"):
        told |= zip(names.replace("`", "").split(", "), defaults.split(", "), strict=True)
    wanted = {name: written(one.default) for name, one in CameraSettings.model_fields.items()}
    assert told == wanted | OF_A_CAMERA | {"url": ""}


def test_every_exit_code_is_listed() -> None:
    stops = {kind.exit_code for kind in StopError.__subclasses__()}
    special = {SUCCESS, BUG, USAGE, WATCHDOG, INTERRUPTED, READER_GONE}
    wanted = stops | set(ENGINE_EXIT_CODES.values()) | special
    assert [int(row[0]) for row in CONFIGURATION.rows("Exit codes")] == sorted(wanted)


@pytest.mark.parametrize("name", pages())
def test_every_setting_and_variable_that_is_named_exists(name: str) -> None:
    page = Page.read(name)
    kinds = (WorkerConfig, EventSettings, CamerasConfig, CameraSettings)
    known = {name for kind in kinds for name in kind.model_fields}
    spans = {span.partition(" = ")[0] for span in page.spans}
    named = {span for span in spans if SETTING.fullmatch(span)}
    assert named - known - OF_OUTPUTS == set()
    variables = set(re.findall(rf"(?<![A-Z_]){PREFIX}[A-Z]\w*", page.text))
    ours = {f"{PREFIX}{one}".upper() for one in known} | OTHER_VARIABLES
    assert variables - ours - OF_KUBERNETES == set()


def keys(schema: dict[str, Any], above: str = "") -> list[str]:
    """The keys of an object, those of the objects in it with a dot; free names are left out."""
    found: list[str] = []
    for name, one in schema["properties"].items():
        inner = keys(one, f"{above}{name}.") if "properties" in one else [f"{above}{name}"]
        found += inner
    return found


def test_every_key_of_a_prediction_is_explained_in_its_order() -> None:
    assert [row[0].strip("`") for row in FORMATS.rows("Predictions")] == keys(SCHEMA)


def test_every_key_of_events_and_cameras_states_is_explained_in_its_order() -> None:
    wanted = json.loads(GATE.write().value or b"")
    _, event, example = (json.loads(block.text) for block in FORMATS.blocks if block.kind == "json")
    assert [row[0].strip("`") for row in FORMATS.rows("States of cameras")] == list(wanted)
    assert list(event) == list(EVENT_SCHEMA["properties"])
    assert (list(example), list(example["fates"])) == (list(wanted), list(PictureFate))


def test_the_example_has_the_chain_that_the_page_computes() -> None:
    example = next(block.text for block in FORMATS.blocks if block.kind == "json")
    value = example.replace("\n", "").encode()
    (code,) = (block.text for block in FORMATS.blocks if block.kind == "python")
    names: dict[str, Any] = {"zlib": zlib}
    exec(compile(code, "docs/formats.md", "exec"), names)  # noqa: S102 - the page's own code
    said = json.loads(value)
    assert names["chain_of"](value, said["prev"]) == said["chain"] == "ba222108"


def test_resets_fates_and_reasons_are_those_of_the_code() -> None:
    concepts = Page.read("docs/concepts.md")
    resets = [row[0].strip("`") for row in concepts.rows("When memory starts afresh")]
    assert resets == list(Reset)
    (fate,) = (text for word, text in concepts.rows("Glossary") if word == "fate")
    assert re.findall(r"`(\w+)`", fate) == list(Fate)
    reasons = {kind.reason for kind in every(RecordError) if "reason" in vars(kind)}
    (told,) = (text for name, text in FORMATS.rows("Dead letters") if name == "`reason`")
    assert set(re.findall(r"`(\w+)`", told)) == reasons | {"nonfinite"}


def every(kind: type[Any]) -> list[type[Any]]:
    return [one for below in kind.__subclasses__() for one in (below, *every(below))]


def test_the_glossary_is_in_order_and_names_each_word_once() -> None:
    words = [row[0].strip("`") for row in Page.read("docs/concepts.md").rows("Glossary")]
    assert words == sorted(set(words))
