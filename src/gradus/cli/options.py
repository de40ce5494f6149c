"""Options of the command line: the fields of RunSpec and of SweepSpec, and what several take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

import click

from gradus.importing import without_collection

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo


data_dir_option = click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="where data sets lie that are not embedded; then $GRADUS_DATA, then the user's cache",
)
cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="where the prepared rows of a table that is streamed are kept, for other runs on it  "
    "[default: the user's cache]",
)
no_cache_option = click.option(
    "--no-cache", is_flag=True, help="keep them no longer than the run takes"
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="processes; one on each processor"
)


class GroupedCommand(click.Command):
    """A command whose help lists the options of a run by the part that they belong to.

    The schema is read when the command is used, not when it is listed: ``gradus --help`` imports
    neither pydantic nor torch.
    """

    own_heading = "This command"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """One section a part, then the options of the command itself."""
        from gradus.runs.parts import PARTS

        headings = {name: part.heading for part in PARTS for name in part.model_fields}
        sections: dict[str, list[tuple[str, str]]] = {part.heading: [] for part in PARTS}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                heading = headings.get(param.name or "", self.own_heading)
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)


class RunCommand(GroupedCommand):
    """A command whose options are the fields of RunSpec, each with one value."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The argument DATA, an option for every other field, and the command's own options."""
        return [*run_params(_option_with_one_value), *super().get_params(ctx)]


class SweepCommand(GroupedCommand):
    """A command whose options are the fields of RunSpec, each with several values, and its own."""

    own_heading = "The sweep"

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The argument DATA, the options of runs, those of the sweep, and the command's own."""
        from gradus.sweep.specification import SweepSpec

        parts = ("base", "vary", "around")
        own = [
            click.Option(
                [f"--{name.replace('_', '-')}"], metavar=_metavar(field), help=_help(field)
            )
            for name, field in SweepSpec.model_fields.items()
            if name not in parts
        ]
        return [*run_params(_option_with_several_values), *own, *super().get_params(ctx)]


def run_params(option_of: Callable[[str], click.Option]) -> list[click.Parameter]:
    """The argument DATA, and an option for every other field of RunSpec."""
    with without_collection():
        from gradus.runs.spec import RunSpec

    options = [option_of(name) for name in RunSpec.model_fields if name not in ("data", "auto")]
    return [click.Argument(["data"], required=False), *options]


def _option_with_one_value(name: str) -> click.Option:
    """Its value stays text, which the schema reads and checks."""
    from gradus.runs.choices import flag
    from gradus.runs.table_defaults import PREPARED

    field, described = _described(name)
    if _is_list(field):
        return click.Option(
            [flag(name)], multiple=True, callback=_joined(","), metavar="A,B,..", help=described
        )
    if bool in _kinds(field):
        turned_off = PREPARED.get(name) or field.default is None
        both = f"{flag(name)}/--no-{flag(name)[2:]}" if turned_off else flag(name)
        return click.Option([both], is_flag=True, default=None, help=described)
    return click.Option([flag(name)], metavar=_metavar(field), help=described)


def _option_with_several_values(name: str) -> click.Option:
    """Its values stay one text; repeating the option adds to them."""
    from gradus.runs.choices import flag
    from gradus.sweep.values import separator_of

    field, described = _described(name)
    separator = separator_of(name)
    given: dict[str, Any] = {"multiple": True, "callback": _joined(separator), "help": described}
    if bool in _kinds(field):
        given |= {"is_flag": False, "flag_value": "true"}
        return click.Option([flag(name)], metavar="true,false", **given)
    one = "A,B" if _is_list(field) else _metavar(field)
    metavar = one if "|" in one else f"{one}{separator}.."
    return click.Option([flag(name)], metavar=metavar, **given)


def _described(name: str) -> tuple[FieldInfo, str]:
    """The field of a run, and what the help says of it."""
    from gradus.runs.spec import RunSpec, defaults_of

    described = RunSpec.model_fields[name].description or ""
    if shown := "; ".join(defaults_of(name)):
        described += f"  [default: {shown}]"
    return RunSpec.model_fields[name], described


def _help(field: FieldInfo) -> str:
    shown = "" if field.default is None else f"  [default: {field.default}]"
    return f"{field.description}{shown}"


def _metavar(field: FieldInfo) -> str:
    from gradus.runs.spec import choices

    if isinstance(field.json_schema_extra, dict) and "metavar" in field.json_schema_extra:
        return str(field.json_schema_extra["metavar"])
    kinds = _kinds(field)
    kind = "N" if int in kinds else "X" if float in kinds else "TEXT"
    return "|".join(choices(field.annotation)) or kind


def _kinds(field: FieldInfo) -> tuple[Any, ...]:
    return field.annotation, *get_args(field.annotation)


def _is_list(field: FieldInfo) -> bool:
    return any(get_origin(kind) is tuple for kind in _kinds(field))


def _joined(separator: str) -> Callable[..., str | None]:
    """A list given at once, or by repeating the option."""

    def joined(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> str | None:
        return separator.join(given) if given else None

    return joined
