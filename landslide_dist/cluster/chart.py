"""A whole run on Kubernetes: a release of the chart in ``deploy/helm``, by the ``helm`` command.

The chart's values are the fields of the cluster file, and what is below.
"""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import yaml

from landslide_dist.cluster.deployed import deploy_folder
from landslide_dist.cluster.steps import Step
from landslide_dist.cluster.submission import Invocation
from landslide_dist.config.cluster import KubernetesCluster
from landslide_dist.errors import ConfigError
from landslide_dist.progress import console


@dataclass(frozen=True)
class Release:
    """The pods of one run, as Helm knows them by the cluster's ``name``.

    Attributes:
        cluster: Image, sizes and settings of the pods.
        invocation: The run's file, which pods get as it stands, and its settings.
        steps: What they do.
    """

    cluster: KubernetesCluster
    invocation: Invocation
    steps: Sequence[Step]

    def values(self) -> dict[str, Any]:
        """Values of the chart."""
        return {
            **self.cluster.model_dump(mode="json"),
            "run": self.invocation.path.read_text("utf-8"),
            "settings": list(self.invocation.of_run),
            "steps": [asdict(step) for step in self.steps],
        }

    def manifests(self) -> str:
        """All resources, as YAML.

        Raises:
            ConfigError: Helm is not here, or refuses the values.
        """
        return self._helm("template")

    def install(self) -> None:
        """Create the resources.

        Raises:
            ConfigError: Helm is not here, nothing answers, or there is a release of that name.
        """
        self._helm("install")
        name = self.cluster.name
        console.print(f"submit: release {name} installed; `helm uninstall {name}` takes it back")

    def _helm(self, command: str) -> str:
        if shutil.which("helm") is None:
            raise ConfigError(
                "submit to Kubernetes needs helm on PATH: install it from https://helm.sh"
            )
        chart = deploy_folder() / "helm" / "landslide-dist"
        words = ["helm", command, self.cluster.name, str(chart), "--values=-"]
        if self.cluster.namespace is not None:
            words.append(f"--namespace={self.cluster.namespace}")
        values = yaml.safe_dump(self.values(), sort_keys=False, allow_unicode=True)
        done = subprocess.run(words, input=values, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ConfigError(f"helm {command} failed: {done.stderr.strip()}")
        return done.stdout
