"""Adapts a space to the given images, which set the channels and classes of its networks; the image size stays the space's.

Images are given by name (``-d``) or by the space file itself (``proxy.data``). Without either, trainings use stand-in images,
which change nothing.
"""

from __future__ import annotations

import shlex
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
    """A space whose networks are adapted to the given images.

    Args:
        space: the space, with the channels and classes of the images.
        content: content of a space file that describes it; a path of images in it is relative to the working folder.
        images: channels and classes of the whole data set; None when no images were given.
        note: what the images changed, in a sentence or two; empty when they changed nothing.
    """

    space: SearchSpace
    content: Mapping[str, Any]
    images: Contents | None = None
    note: str = ""


def read_for(path: Path, data: str | None = None, skip_damaged: float = 0.0) -> ForData:
    """Reads a space file for the given images, or else for those that the file names.

    Args:
        path: path of the space file.
        data: name of a data set; None for the one that the file names.
        skip_damaged: how many damaged pictures may be left out: a share below 1, or a number.

    Raises:
        SpaceError: with all problems of the file, including those that occur only with these images.
        UsageError: when the file is a model config, whose single network cannot be adapted, or no data set has the name.
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
    """Reads a space file for the data of a user's own task.

    Args:
        path: path of the space file.
        input: (C, H, W) of the task's data; None to keep the channels of the space.
        outputs: number of outputs of the networks; None to keep the classes of the space.

    Raises:
        SpaceError: with all problems of the file, including those that occur only for this task.
        UsageError: when the file is a model config, whose single network cannot be adapted.
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
    """Reads a space file for the images that it names; if these cannot be read, it stays unadapted and a note says so.

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
    """The channels and classes that a space or a network has by itself."""
    return Contents(of.input[0], of.classes)


def check_same(name: str, network: Architecture, data: str) -> None:
    """Checks that images have the channels and classes of a network, which cannot be adapted as a space can.

    Args:
        name: name of the network, for the message.
        network: the network of a config or of a preset.
        data: name of the images.

    Raises:
        UsageError: when they differ; the message has the numbers of both.
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
        f"file, or a shipped space's name. To train this network: dcdnas train {shlex.quote(str(path))} -d "
        f"{shlex.quote(data or 'DATA')}"
    )


def _with_place(document: Document, folder: Path) -> Mapping[str, Any]:
    """The file's content, in which a path of images is resolved from the file's folder."""
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
    """Describes in two sentences what the images change of a space; empty when they change nothing."""
    own = own_contents(space)
    if images == own:
        return ""
    now, before = " and ".join(images.parts(but=own)), " and ".join(own.parts(but=images))
    sizes = (
        [f"{side}x{side}" for side in space.resolutions] if len(space.resolutions) > 1 else ["x".join(map(str, space.input[1:]))]
    )
    stay = "The size stays" if len(sizes) == 1 else "The sizes stay"
    return f"the networks have {now}, as the images have; the space's file says {before}. {stay} {', '.join(sizes)}."
