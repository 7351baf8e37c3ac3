"""`python -m recognition`: fetch the models, analyse images, evaluate, benchmark."""

from recognition.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
