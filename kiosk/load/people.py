"""Who walks past the simulated kiosks, and what their cameras see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from kiosk.installation import StepError
from kiosk.walk_past import room, write_walk_past

ENROLLED = 20
STRANGERS = 10
"""People taken from a folder of people, at most."""
PHOTOS = 2
NOISE = 4.0
"""Standard deviation, of 255: an empty room that a camera sees is not plain."""
QUALITY = 85
"""Of the kiosk page's JPEG."""
IMAGES = {".jpg", ".jpeg", ".png"}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who walks past; enrolled if there are photos."""

    name: str
    portrait: Path
    """What their walk-past is made of: no photo that they are enrolled with, where there is one."""
    photos: tuple[Path, ...] = ()


def sample_people(portraits: Path) -> list[Person]:
    """Of the sample portraits: two to enrol, one stranger."""
    return [
        Person("Barack Obama", portraits / "obama2.jpg", (portraits / "obama.jpg",)),
        Person("Joe Biden", portraits / "biden.jpg", (portraits / "biden.jpg",)),
        Person("A stranger", portraits / "astronaut.png"),
    ]


def people_in(folder: Path) -> list[Person]:
    """Of a folder with a folder of images for each person. Raises StepError if they are too few."""
    found = {
        person.name: sorted(p for p in person.iterdir() if p.suffix.lower() in IMAGES)
        for person in sorted(folder.iterdir())
        if person.is_dir()
    }
    several = [name for name, images in found.items() if len(images) > 1][:ENROLLED]
    others = [name for name, images in found.items() if images and name not in several]
    if not several or not others:
        raise StepError(
            f"{folder} needs a folder for each person: of one at least two images, who is enrolled "
            "with the first ones, and one more person as a stranger."
        )
    enrolled = [Person(name, found[name][-1], tuple(found[name][:-1][:PHOTOS])) for name in several]
    return enrolled + [Person(name, found[name][0]) for name in others[:STRANGERS]]


def write_walks(people: list[Person], folder: Path) -> dict[str, Path]:
    """Write each person's walk-past as JPEG files; their folders by name."""
    return {
        person.name: write_walk_past(person.portrait, folder / str(number))
        for number, person in enumerate(people)
    }


def write_empty_room(path: Path) -> Path:
    """Write what a camera of 640x480 sees when nobody is there."""
    noise = np.random.default_rng(1).normal(0, NOISE, room().shape)
    seen = np.clip(room() + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), seen, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return path
