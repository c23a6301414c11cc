"""Checks the pods in Kubernetes manifests against the Pod Security Standard `restricted`, and what sidepass adds to it.

    pod_security.py FILE...

Prints one line a violation; exit code 1 when there is one. Only the rules that our manifests can break are here.
"""

import sys

import yaml

VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def pods(documents):
    """Name and pod spec of everything that makes pods."""
    for document in documents:
        if not document:
            continue
        name = f"{document['kind']}/{document['metadata']['name']}"
        spec = document.get("spec", {})
        if document["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if document["kind"] == "Pod":
            yield name, spec
        elif "template" in spec:
            yield name, spec["template"]["spec"]


def container_violations(pod, container):
    """What one container may not do."""
    own = container.get("securityContext", {})
    both = {**pod.get("securityContext", {}), **own}
    capabilities = own.get("capabilities", {})
    if own.get("privileged"):
        yield "is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "lacks allowPrivilegeEscalation: false"
    if "ALL" not in capabilities.get("drop", []):
        yield "does not drop ALL capabilities"
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        yield "adds capabilities"
    if both.get("runAsNonRoot") is not True:
        yield "lacks runAsNonRoot: true"
    if both.get("runAsUser") in (None, 0):
        yield "lacks a numeric runAsUser other than 0"
    if both.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "lacks a seccompProfile"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "uses a hostPort"
    # Not in the standard; ours.
    if own.get("readOnlyRootFilesystem") is not True:
        yield "lacks readOnlyRootFilesystem: true"
    if "memory" not in container.get("resources", {}).get("limits", {}):
        yield "lacks a memory limit"
    if any("subPath" in mount or "subPathExpr" in mount for mount in container.get("volumeMounts", [])):
        yield "mounts a subPath, which never sees a rotated secret"


def sidecar_violations(container):
    """What makes sidepass a native sidecar whose probes reach it."""
    if container.get("restartPolicy") != "Always":
        yield "is no native sidecar: restartPolicy: Always is missing"
    if container.get("startupProbe", {}).get("httpGet", {}).get("path") != "/startupz":
        yield "lacks a startupProbe on /startupz"
    if "preStop" in container.get("lifecycle", {}):
        yield "has a preStop hook, which runs before the app has ended"


def violations(pod):
    """Everything wrong with a pod, as sentences."""
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            yield f"uses {key}"
    if pod.get("enableServiceLinks") is not False:
        yield "lacks enableServiceLinks: false"
    for volume in pod.get("volumes", []):
        if not VOLUMES & volume.keys():
            yield f"volume {volume['name']} is of a kind that is not allowed"
        if "secret" in volume and volume["secret"].get("defaultMode") != 0o440:
            yield f"volume {volume['name']} lacks defaultMode: 0440"
    if any("secret" in volume for volume in pod.get("volumes", [])) and not pod["securityContext"].get("fsGroup"):
        yield "has a secret volume but no fsGroup"
    sidecars = [c for c in pod.get("initContainers", []) if c["name"] == "sidepass"]
    if not sidecars:
        yield "has no init container named sidepass"
    for container in pod.get("initContainers", []) + pod["containers"]:
        found = list(container_violations(pod, container))
        if container in sidecars:
            found += sidecar_violations(container)
        for violation in found:
            yield f"container {container['name']} {violation}"


def main(files):
    found = 0
    checked = 0
    for file in files:
        with open(file, encoding="utf-8") as stream:
            for name, pod in pods(yaml.safe_load_all(stream)):
                checked += 1
                for violation in violations(pod):
                    found += 1
                    print(f"{file}: {name} {violation}")
    if checked == 0:
        sys.exit("no pod in these files: " + " ".join(files))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main(sys.argv[1:])
