"""Where the templates of batch jobs and the Helm chart are."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def deploy_folder() -> Path:
    """``deploy`` of this project: inside an installed package, beside it in a checkout."""
    installed = _PACKAGE / "deploy"
    return installed if installed.is_dir() else _PACKAGE.parent / "deploy"
