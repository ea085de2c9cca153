"""Values for the tests of the chart."""

from pathlib import Path

from landslide_dist.config.cluster import KubernetesCluster

ROOT = Path(__file__).parents[2]
REGION = ROOT / "configs/susceptibility/synthetic.yaml"
EVENTS = ROOT / "configs/events/synthetic.yaml"
CLUSTER = ROOT / "configs/cluster/kubernetes.yaml"
BASE = KubernetesCluster(
    kind="kubernetes",
    image="landslide-dist:0.1.0",
    env={"AWS_DEFAULT_REGION": "us-east-1"},
    secrets=("landslide-s3",),
).model_dump(mode="json")

#: Values that change what is rendered.
VARIANTS = {
    "trainjob": {},
    "jobset": {"pipeline": {"trainer": "jobset"}},
    "gpus": {
        "pipeline": {
            "train": {"nodes": 3, "processes": 4, "cores": 16, "gpus": 4, "memory_gib": 64},
            "predict": {"nodes": 2, "processes": 4, "cores": 16, "gpus": 4, "memory_gib": 64},
            "node_selector": {"pool": "spot"},
            "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
        },
        "settings": ["training.seed=3"],
        "service_account": "mapper",
        "namespace": "maps",
    },
    "parts": {
        "steps": [
            {"name": "prepare", "size": "prepare", "commands": [["ingest"], ["derive"]]},
            {"name": "experiment", "size": "experiment", "commands": [["experiment"]], "parts": 7},
            {"name": "report", "size": "report", "commands": [["experiment"]]},
        ],
        "pipeline": {"experiment": {"processes": 2}},
    },
    "no training": {
        "steps": [
            {"name": "predict", "size": "predict", "commands": [["predict", "--model", "nn"]]},
            {"name": "report", "size": "report", "commands": [["evaluate"], ["report"]]},
        ]
    },
}  # fmt: skip


def merged(base, changes):
    both = dict(base)
    for key, value in changes.items():
        old = base.get(key)
        both[key] = merged(old, value) if isinstance(old, dict) and value else value
    return both
