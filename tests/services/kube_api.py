"""Stand-in for a Kubernetes API server with the Dask operator: no real one runs without root.

It keeps ``DaskCluster`` resources and shows a scheduler pod for each; the real Dask scheduler
behind its service runs on this machine. It is for the life of a resource, not for its validity.
"""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

CONDITIONS = [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")]
READY = {"phase": "Running", "conditions": CONDITIONS}

PODS = {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["list"]}
ABOUT = {
    "/version": {"major": "1", "minor": "31", "gitVersion": "v1.31.0"},
    "/api": {"versions": ["v1"]},
    "/api/v1": {"groupVersion": "v1", "resources": [PODS]},
    "/apis": {"groups": []},
}


class KubeApi(ThreadingHTTPServer):
    """Attributes are what it knows; tests read and set them."""

    def __init__(self, pod_status=None, ports=()):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.clusters = {}
        self.created = []
        self.jobsets = {}
        self.own_pods = []
        self.pod_status = pod_status  # None: no operator
        self.ports = dict(ports)

    def kube_config(self):
        server = f"http://127.0.0.1:{self.server_port}"
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
        }

    def get(self, path, selector):
        if path in ABOUT:
            return ABOUT[path]
        kind, _, name = path.partition("/namespaces/default/")[2].partition("/")
        found = {
            "daskclusters": lambda: list(self.clusters.values()),
            "pods": self._pods,
            "services": self._services,
            "daskworkergroups": list,
            "jobsets": lambda: list(self.jobsets.values()),
        }[kind]()
        wanted = name or selector
        found = [item for item in found if wanted in ("", item["metadata"]["name"])]
        if name:
            return found[0] if found else None
        return _list(found, kind)

    def _pods(self):
        if self.pod_status is None:
            return self.own_pods
        return [_item(f"{name}-scheduler-0", status=self.pod_status) for name in self.clusters]

    def _services(self):
        spec = {
            "type": "LoadBalancer",
            "clusterIP": "10.0.0.1",
            "selector": {"dask.org/component": "scheduler"},
            "ports": [{"name": name, "port": port} for name, port in self.ports.items()],
        }
        status = {"loadBalancer": {"ingress": [{"hostname": "localhost"}]}}
        return [_item(f"{name}-scheduler", spec=spec, status=status) for name in self.clusters]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"  # a connection a request: the client leaves others open

    def do_GET(self):
        url = urlparse(self.path)
        fields = parse_qs(url.query).get("fieldSelector", [""])[0].split(",")
        names = [f.partition("=")[2] for f in fields if f.startswith("metadata.name=")]
        found = self.server.get(url.path.rstrip("/"), (names or [""])[0])
        self._answer(404 if found is None else 200, found or {"message": "not found"})

    def do_POST(self):
        resource = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = resource["metadata"]["name"]
        resource["metadata"]["namespace"] = "default"
        self.server.clusters[name] = resource
        self.server.created.append(name)
        self._answer(201, resource)

    def do_DELETE(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        del self.server.clusters[urlparse(self.path).path.rpartition("/")[2]]
        self._answer(200, {"status": "Success"})

    def _answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Say nothing."""


def _item(name, **content):
    return {"metadata": {"name": name, "namespace": "default"}, **content}


def _list(items, kind):
    return {"kind": f"{kind}List", "apiVersion": "v1", "items": items}


@contextmanager
def kube_api(**state):
    server = KubeApi(**state)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
