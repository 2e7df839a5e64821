"""Where are the texts? Beside this file, a folder a locale: read once, at the start of a process."""

from importlib.resources import files


def load() -> dict[str, str]:
    """Every template by its path: what `pipeline.rendering.Renderer` compiles."""
    return {
        f"{folder.name}/{file.name}": file.read_text(encoding="utf-8")
        for folder in files(__name__).iterdir()
        if folder.is_dir()
        for file in folder.iterdir()
        if file.name.endswith(".j2")
    }
