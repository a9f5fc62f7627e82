"""An easy and a hard classification of equal size: which images the flags of an experiment ask for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from widththeory.images.cifar10 import CIFAR10, SIDE
from widththeory.images.image_folder import ImageFolder
from widththeory.images.record import Outline
from widththeory.images.textures import Textures
from widththeory.models.cost import Cost

Kind = Literal["textures", "cifar10", "folder"]


@dataclass(frozen=True)
class ImageFlags:
    """Flags of an experiment that fits image classifiers; a `Config` inherits them beside `experiment.Flags`.

    What a flag leaves out of the grid is left out of the table too, though its rows stay in the ledger: name all that
    a figure is to show.
    """

    images: Kind | None = None
    """textures need no download; cifar10 is the default at paper scale; folder takes two folders of your own."""
    folders: tuple[Path, Path] | None = None
    """For --images folder: an easy and a hard data set, each one folder a class, best of equal size."""
    tasks: tuple[str, ...] = ()
    """Only these of the tasks: easy, hard, and all (ten classes), or names of folders."""
    only: tuple[str, ...] = ()
    """Only these of the networks, by their names in the table."""
    learning_rates: tuple[float, ...] = ()
    """Instead of the scale's."""


@dataclass(frozen=True)
class Task:
    """A classification of images by the name that figures use.

    Args:
        name: "easy", "hard", "all", or the name of a folder.
        source: the data set.
        module: of `widththeory.images`, and class, as settings of fits have it.
        arguments: of the class, sorted.
        augment: of training images. Textures are left alone: the mirror image of one belongs to another class.
    """

    name: str
    source: Textures | CIFAR10 | ImageFolder
    module: str
    arguments: tuple[tuple[str, Any], ...]
    augment: str = "none"

    def num_train(self) -> int:
        """How many training images there are; a folder has to be read for that."""
        known = self.source.num_train if isinstance(self.source, (Textures, CIFAR10)) else None
        return known if known is not None else len(self.source.load().train)


def pair(
    kind: Kind, *, num_train: int, num_test: int, image_size: int = SIDE, folders: tuple[Path, Path] | None = None
) -> tuple[Task, Task]:
    """The easy and the hard task of a kind of images.

    Args:
        kind: "textures", "cifar10" (four classes that are easy to tell apart, and four that are hard), or "folder".
        num_train, num_test: images of textures and CIFAR-10; of folders all are taken.
        image_size: pixels along a side; those of CIFAR-10 are as they are.
        folders: for "folder".

    Raises:
        ValueError: folders without their kind, a kind without its folders, or two folders of one name.
    """
    if (kind == "folder") != (folders is not None):
        raise ValueError("folders must be given with --images folder, and only with it")
    if kind == "folder":
        assert folders is not None
        easy, hard = (Path(folder).resolve() for folder in folders)
        if easy.name == hard.name:
            raise ValueError(f"folders must have two different names, got {easy.name} twice")
        return _folder(easy, image_size), _folder(hard, image_size)
    if kind == "cifar10":
        return _cifar("easy4", "easy", num_train, num_test), _cifar("hard4", "hard", num_train, num_test)
    return _texture("easy", image_size, num_train, num_test), _texture("hard", image_size, num_train, num_test)


def all_classes() -> Task:
    """CIFAR-10 whole: ten classes, 50,000 training images."""
    return _cifar("all", "all", 50_000, 10_000)


def _folder(path: Path, image_size: int) -> Task:
    return _task(path.name, ImageFolder, "crop_flip", path=str(path), image_size=image_size)


def _texture(difficulty: str, image_size: int, num_train: int, num_test: int) -> Task:
    sizes = {"image_size": image_size, "num_train": num_train, "num_test": num_test}
    return _task(difficulty, Textures, "none", difficulty=difficulty, **sizes)


def _cifar(subset: str, name: str, num_train: int, num_test: int) -> Task:
    return _task(name, CIFAR10, "crop_flip", subset=subset, num_train=num_train, num_test=num_test)


def _task(name: str, kind: type[Textures | CIFAR10 | ImageFolder], augment: str, **arguments: Any) -> Task:
    module = f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}"
    return Task(name, kind(**arguments), module, tuple(sorted(arguments.items())), augment)


def chosen(names: tuple[str, ...], known: tuple[str, ...], flag: str) -> tuple[str, ...]:
    """Those of `known` that a flag names, in their order; all, if it names none.

    Raises:
        ValueError: a name that is not known.
    """
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{flag} must be of {', '.join(known)}, got {unknown[0]}")
    return tuple(name for name in known if name in names or not names)


def declared(flags: ImageFlags, num_train: int, num_test: int, image_size: int, *, at_paper: bool) -> list[Task]:
    """The tasks that flags ask for: the easy and the hard one, and at paper scale CIFAR-10 whole.

    Args:
        flags: of the experiment; textures unless they say otherwise, and CIFAR-10 at paper scale.
        num_train, num_test, image_size: of the pair; the images of CIFAR-10 keep their size.
        at_paper: whether this is paper scale.

    Raises:
        ValueError: a task that is not known, or folders that do not go with the kind.
    """
    kind = flags.images or ("cifar10" if at_paper else "textures")
    size = SIDE if kind == "cifar10" else image_size
    both = pair(kind, num_train=num_train, num_test=num_test, image_size=size, folders=flags.folders)
    tasks = [*both, *([all_classes()] if at_paper and kind == "cifar10" else [])]
    names = chosen(flags.tasks, tuple(task.name for task in tasks), "tasks")
    return [task for task in tasks if task.name in names]


def facts(task: Task, data: Outline, cost: Cost) -> dict[str, Any]:
    """What a figure has to know of a fit besides its row: the task and its chance level, and the network's cost."""
    return {
        "task": task.name,
        "source": data.source,
        "chance": 1 / data.num_classes,
        "num_train": data.num_train,
        "num_test": data.num_test,
        "image_size": data.image_size,
        "num_params": cost.num_params,
        "multiply_adds": cost.multiply_adds,
    }
