"""What the images decide of a space: the channels and classes of its networks. Their size stays the space's.

Images are given by name (``-d``) or by the space file itself (``proxy.data``). Without either the trainings have a
stand-in, which decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dcdnas.core.architecture import Architecture, is_config
from dcdnas.core.units import counted
from dcdnas.core.yaml_lines import Document, read_yaml
from dcdnas.data import Contents, contents, placed
from dcdnas.errors import DataError, UnknownNameError, UsageError
from dcdnas.space.reading.reader import Compiler, for_images
from dcdnas.space.search_space import SearchSpace


@dataclass(frozen=True)
class ForData:
    """A space whose networks are for the images that were given.

    Args:
        space: with the channels and classes of the images.
        content: that describes it, as a space file does; the path of images that it names starts from the working folder.
        images: what is in the whole data set; None where no images were given.
        note: what the images changed, in a sentence or two; empty for nothing.
    """

    space: SearchSpace
    content: Mapping[str, Any]
    images: Contents | None = None
    note: str = ""


def read_for(path: Path, data: str | None = None, skip_damaged: float = 0.0) -> ForData:
    """Reads a space file for the images that are given, else for those that it names itself.

    Args:
        path: of the space file.
        data: name of a data set; None for the space's own.
        skip_damaged: how many damaged pictures may be left out: a share below 1, else a number.

    Raises:
        SpaceError: with all problems of the file, also those that it only has with these images.
        UsageError: when the file is a model config, whose one network cannot follow, or a name is of no data set.
        DataError: when the images are missing or damaged.
    """
    document = read_yaml(path)
    if is_config(document.data):
        raise _no_space(path, data)
    space = Compiler(document, path.parent).space()
    content = _with_place(document, path.parent)
    named = data or content.get("proxy", {}).get("data")
    images = contents(named, skip_damaged) if named else None
    if images:
        content = for_images(content, *images)
    fitting = space if content == document.data else Compiler(replace(document, data=content), path.parent).space()
    return ForData(fitting, content, images, _changes(space, images) if images else "")


def read_for_task(path: Path, input: tuple[int, int, int] | None, outputs: int | None) -> ForData:
    """Reads a space file for the data of somebody's own task.

    Args:
        path: of the space file.
        input: (C, H, W) of the task's data; None where the task takes what the space says.
        outputs: of the networks, likewise.

    Raises:
        SpaceError: with all problems of the file, also those that it only has for this task.
        UsageError: when the file is a model config, whose one network cannot follow.
    """
    document = read_yaml(path)
    if is_config(document.data):
        raise _no_space(path, None)
    space = Compiler(document, path.parent).space()
    wanted = Contents(input[0] if input else space.input[0], outputs or space.classes)
    proxy = {key: value for key, value in document.data.get("proxy", {}).items() if key != "data"}
    content = for_images({**document.data, "proxy": proxy}, *wanted)
    both = (("output", wanted.classes, space.classes), ("channel", wanted.channels, space.input[0]))
    changed = [counted(number, what) for what, number, before in both if number != before]
    note = f"the networks have {' and '.join(changed)}, as the task says." if changed else ""
    return ForData(Compiler(replace(document, data=content), path.parent).space(), content, wanted, note)


def read_for_own(path: Path) -> ForData:
    """Reads a space file for the images that it names, where those can be read; else as it is, with a note that says so.

    Raises:
        SpaceError: with all problems of the file.
        UsageError: as for `read_for`.
    """
    try:
        return read_for(path)
    except DataError as error:
        document = read_yaml(path)
        space = Compiler(document, path.parent).space()
        note = f"the networks have the {own_contents(space)} that the space's file says, since its images cannot be read: {error}"
        return ForData(space, document.data, note=note)


def own_contents(of: SearchSpace | Architecture) -> Contents:
    """The channels and classes that a space or a network says itself."""
    return Contents(of.input[0], of.classes)


def check_same(name: str, network: Architecture, data: str) -> None:
    """Refuses images whose channels or classes are not those of a network, which cannot follow them as a space does.

    Args:
        name: of the network, for the message.
        network: a config's or a published one.
        data: name of the images.

    Raises:
        UsageError: with the numbers of both.
        DataError: when the images are missing or damaged.
    """
    own, images = own_contents(network), contents(data)
    if images != own:
        raise UsageError(
            f"{name} is one network, of {own}; the images of {data} have {images}. Allowed: images of the same. Leave -d out to "
            "see what it costs as it is; `dcdnas train` adapts a config to other images."
        )


def _no_space(path: Path, data: str | None) -> UsageError:
    other = f"; the images of {data} have {contents(data)}" if data else ""
    return UsageError(
        f"{path} is the config of one network, of {own_contents(Architecture.read(path))}, and no space{other}. Allowed: a space "
        f"file, or a shipped space's name. To train this network: dcdnas train {path} -d {data or 'DATA'}"
    )


def _with_place(document: Document, folder: Path) -> Mapping[str, Any]:
    """The file's content; images that it names by a path are found from its own folder."""
    content: Mapping[str, Any] = document.data
    said = content.get("proxy", {}).get("data")
    if not said:
        return content
    try:
        place = placed(said, folder)
    except UnknownNameError as error:
        raise UsageError(f"{document.where(('proxy', 'data'))}: {error}") from None
    return {**content, "proxy": {**content["proxy"], "data": place}}


def _changes(space: SearchSpace, images: Contents) -> str:
    """What the images change of a space, in two sentences; empty for nothing."""
    own = own_contents(space)
    if images == own:
        return ""
    now, before = " and ".join(images.parts(but=own)), " and ".join(own.parts(but=images))
    sizes = (
        [f"{side}x{side}" for side in space.resolutions] if len(space.resolutions) > 1 else ["x".join(map(str, space.input[1:]))]
    )
    stay = "The size stays" if len(sizes) == 1 else "The sizes stay"
    return f"the networks have {now}, as the images have; the space's file says {before}. {stay} {', '.join(sizes)}."
