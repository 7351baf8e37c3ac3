"""`python -m recognition`: fetch the models, analyse images, evaluate, train, benchmark."""

from recognition.commands import main
from recognition.training.ranks import leave
from recognition.training.subjects import ConsentedSource


def _installation() -> ConsentedSource:
    """The installation's photos: the only command that needs the database opens it."""
    import django

    import accesscontrol.celery  # noqa: F401 (names the settings)

    django.setup()
    from recognition.consented import ConsentedPhotos

    return ConsentedPhotos()


if __name__ == "__main__":
    leave(main(installation=_installation))
