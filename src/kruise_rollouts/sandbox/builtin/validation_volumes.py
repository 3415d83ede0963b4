"""What volumes of a pod may be."""

from __future__ import annotations

from kruise_rollouts.kube.effects import Json, JsonObject
from kruise_rollouts.kube.errors import Cause
from kruise_rollouts.kube.quantity import parse_quantity
from kruise_rollouts.sandbox.custom.value_check import duplicate, forbidden, invalid, required, unsupported

from .validation_fields import field_ref, resource_ref
from .validation_meta import Causes, dns_label, subdomain

_MODE_RULE = "must be a number between 0 and 0777 (octal), both inclusive"
_VOLUME_FIELDS = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
_HOST_PATHS = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip
# In the order in which a second source of one volume is noticed.
_ORDER = (
    "emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi",
    "glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc",
    "flexVolume", "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk",
    "storageos", "projected", "scaleIO", "csi", "ephemeral", "image",
)  # fmt: skip


def volumes(path: str, given: list[JsonObject], usable: set[str]) -> Causes:
    """Puts the names of volumes that are fine into `usable`."""
    for index, volume in enumerate(given):
        at, name = f"{path}[{index}]", volume.get("name", "")
        found: list[Cause] = list(_source(at, volume))
        if not name:
            found.append(required(f"{at}.name"))
        else:
            found += dns_label(f"{at}.name", name)
        if name in usable:
            found.append(duplicate(f"{at}.name", name))
        if not found:
            usable.add(name)
        yield from found


def _source(path: str, volume: JsonObject) -> Causes:
    kinds = [kind for kind in _ORDER if volume.get(kind) is not None]
    for kind in kinds[1:]:
        yield forbidden(f"{path}.{kind}", "may not specify more than 1 volume type")
    if not kinds:
        yield required(path, "must specify a volume type")
        return
    source, at = volume[kinds[0]], f"{path}.{kinds[0]}"
    match kinds[0]:
        case "emptyDir":
            if "sizeLimit" in source and parse_quantity(source["sizeLimit"]) < 0:
                yield forbidden(f"{at}.sizeLimit", "SizeLimit field must be a valid resource quantity")
        case "hostPath":
            yield from _host_path(at, source)
        case "secret":
            yield from _files(at, source, "secretName")
        case "configMap":
            yield from _files(at, source, "name")
        case "persistentVolumeClaim":
            if not source.get("claimName"):
                yield required(f"{at}.claimName")
        case "nfs":
            yield from _nfs(at, source)
        case "downwardAPI":
            yield from _mode(f"{at}.defaultMode", source.get("defaultMode"))
            for file in source.get("items") or ():
                yield from _downward_file(at, file)
        case "projected":
            yield from _projected(at, source)
        case "csi":
            if not source.get("driver"):
                yield required(f"{at}.driver")
        case "ephemeral":
            if source.get("volumeClaimTemplate") is None:
                yield required(f"{at}.volumeClaimTemplate")
        case _:
            return


def _host_path(path: str, source: JsonObject) -> Causes:
    if not source.get("path"):
        yield required(f"{path}.path")
    else:
        yield from _no_backsteps(f"{path}.path", source["path"])
    if source.get("type", "") not in _HOST_PATHS:
        yield unsupported(f"{path}.type", source["type"], _HOST_PATHS)


def _nfs(path: str, source: JsonObject) -> Causes:
    if not source.get("server"):
        yield required(f"{path}.server")
    if not source.get("path"):
        yield required(f"{path}.path")
    elif not source["path"].startswith("/"):
        yield invalid(f"{path}.path", source["path"], "must be an absolute path")


def _files(path: str, source: JsonObject, name: str) -> Causes:
    """A volume of the keys of one object."""
    if not source.get(name):
        yield required(f"{path}.{name}")
    yield from _mode(f"{path}.defaultMode", source.get("defaultMode"))
    for index, item in enumerate(source.get("items") or ()):
        yield from _key_to_path(f"{path}.items[{index}]", item)


def _key_to_path(path: str, item: JsonObject) -> Causes:
    if not item.get("key"):
        yield required(f"{path}.key")
    if not item.get("path"):
        yield required(f"{path}.path")
    yield from _local_path(f"{path}.path", item.get("path", ""))
    yield from _mode(f"{path}.mode", item.get("mode"))


def _downward_file(path: str, file: JsonObject) -> Causes:
    if not file.get("path"):
        yield required(f"{path}.path")
    yield from _local_path(f"{path}.path", file.get("path", ""))
    if file.get("fieldRef") is not None:
        yield from field_ref(f"{path}.fieldRef", file["fieldRef"], _VOLUME_FIELDS)
        if file.get("resourceFieldRef") is not None:
            yield invalid(
                path, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"
            )
    elif file.get("resourceFieldRef") is not None:
        yield from resource_ref(f"{path}.resourceFieldRef", file["resourceFieldRef"], volume=True)
    else:
        yield required(path, "one of fieldRef and resourceFieldRef is required")
    yield from _mode(f"{path}.mode", file.get("mode"))


def _projected(path: str, source: JsonObject) -> Causes:
    yield from _mode(f"{path}.defaultMode", source.get("defaultMode"))
    for index, one in enumerate(source.get("sources") or ()):
        at = f"{path}.sources[{index}]"
        for kind in ("secret", "configMap"):
            if one.get(kind) is not None:
                yield from _files(f"{at}.{kind}", one[kind], "name")
        if one.get("downwardAPI") is not None:
            for file in one["downwardAPI"].get("items") or ():
                yield from _downward_file(f"{at}.downwardAPI", file)
        if one.get("serviceAccountToken") is not None:
            yield from _token(f"{at}.serviceAccountToken", one["serviceAccountToken"])
        if len(one) > 1:
            yield forbidden(at, "may not specify more than 1 volume type per source")


def _token(path: str, token: JsonObject) -> Causes:
    seconds = token.get("expirationSeconds") or 0
    if seconds < 600:
        yield invalid(f"{path}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    if seconds > 1 << 32:
        yield invalid(
            f"{path}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"
        )
    if not token.get("path"):
        yield required(f"{path}.path")
    else:
        yield from _local_path(f"{path}.path", token["path"])


def _mode(path: str, mode: int | None) -> Causes:
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(path, mode, _MODE_RULE)


def _local_path(path: str, value: str) -> Causes:
    yield from descending(path, value)
    if value.startswith("..") and not value.startswith("../"):
        yield invalid(path, value, "must not start with '..'")


def descending(path: str, value: str) -> Causes:
    """A path that stays below where it starts."""
    if value.startswith("/"):
        yield invalid(path, value, "must be a relative path")
    yield from _no_backsteps(path, value)


def _no_backsteps(path: str, value: str) -> Causes:
    if ".." in value.split("/"):
        yield invalid(path, value, "must not contain '..'")


def mounts(path: str, container: JsonObject, usable: set[str]) -> Causes:
    """volumeMounts of `container`; `usable`: names of volumes."""
    places: set[str] = set()
    devices: Json = container.get("volumeDevices") or ()
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        at, name, place = f"{path}[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield required(f"{at}.name")
        if name not in usable:
            yield Cause("FieldValueNotFound", f'Not found: "{name}"', f"{at}.name")
        if not place:
            yield required(f"{at}.mountPath")
        if place in places:
            yield invalid(f"{at}.mountPath", place, "must be unique")
        places.add(place)
        if any(d.get("name") == name for d in devices):
            yield invalid(f"{at}.name", name, "must not already exist in volumeDevices")
        if len(mount) > 2:
            yield from _mount_options(path, at, mount, container)


def _mount_options(path: str, at: str, mount: JsonObject, container: JsonObject) -> Causes:
    """What Kubernetes reports at the list, not at its element, is reported there."""
    below, template, propagation = (
        mount.get("subPath"),
        mount.get("subPathExpr"),
        mount.get("mountPropagation"),
    )
    if below:
        yield from descending(f"{path}.subPath", below)
    if template:
        if below:
            yield invalid(f"{at}.subPathExpr", template, "subPathExpr and subPath are mutually exclusive")
        yield from descending(f"{path}.subPathExpr", template)
    if propagation is not None:
        allowed = ("Bidirectional", "HostToContainer", "None")
        if propagation not in allowed:
            yield unsupported(f"{path}.mountPropagation", propagation, allowed)
        if propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
            why = "Bidirectional mount propagation is available only to privileged containers"
            yield forbidden(f"{path}.mountPropagation", why)
    if mount.get("recursiveReadOnly") in ("Enabled", "IfPossible"):
        if not mount.get("readOnly"):
            yield forbidden(f"{path}.recursiveReadOnly", "may only be specified when readOnly is true")
        if propagation not in (None, "None"):
            why = "may only be specified when mountPropagation is None or not specified"
            yield forbidden(f"{path}.recursiveReadOnly", why)


def devices(path: str, container: JsonObject, usable: set[str]) -> Causes:
    """volumeDevices of `container`."""
    names: set[str] = set()
    for index, device in enumerate(container.get("volumeDevices") or ()):
        at, name = f"{path}[{index}]", device.get("name", "")
        if not name:
            yield required(f"{at}.name")
        if name in names:
            yield invalid(f"{at}.name", name, "must be unique")
        names.add(name)
        if name not in usable:
            yield Cause("FieldValueNotFound", f'Not found: "{name}"', f"{at}.name")
        if not device.get("devicePath"):
            yield required(f"{at}.devicePath")


def object_name(path: str, name: str) -> Causes:
    """The name of a ConfigMap or Secret that is referred to."""
    if not name:
        yield required(path)
    else:
        yield from subdomain(path, name)
