"""What clients rely on when they make Services: addresses, node ports, and the API server's own Service."""

from __future__ import annotations

from typing import Any

import pytest
from server_stage import Client, play

from kruise_rollouts.kube.objects import SERVICE, Kind
from kruise_rollouts.runtime.clock import LoopClock, run_virtual
from kruise_rollouts.sandbox.sandbox import Sandbox

SERVICES = "/api/v1/namespaces/default/services"
ENDPOINTS = Kind("v1", "Endpoints", "endpoints")
PORTS = [{"port": 80}]


def a_service(name: str = "s", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": PORTS, "selector": {"app": name}, **spec}}


def test_a_service_gets_an_address_of_its_own_and_keeps_it() -> None:
    async def story(client: Client) -> None:
        a = (await client.made(SERVICES, a_service("a")))["spec"]
        b = (await client.made(SERVICES, a_service("b")))["spec"]
        assert a["clusterIPs"] == [a["clusterIP"]] and a["clusterIP"].startswith("10.96.")
        assert (a["ipFamilies"], a["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
        assert a["clusterIP"] != b["clusterIP"]
        replaced = await client.put(f"{SERVICES}/a", a_service("a", ports=[{"port": 8080}]))
        assert replaced.body["spec"]["clusterIP"] == a["clusterIP"]

    play(story)


@pytest.mark.parametrize(("ip", "why"), [
    ("10.96.0.7", "failed to allocate IP 10.96.0.7: provided IP is already allocated"),
    ("11.0.0.1", "failed to allocate IP 11.0.0.1: the provided network does not match the current range"),
])  # fmt: skip
def test_an_address_that_cannot_be_had_is_refused(ip: str, why: str) -> None:
    async def story(client: Client) -> None:
        first = await client.made(SERVICES, a_service("a", clusterIP="10.96.0.7"))
        assert first["spec"]["clusterIPs"] == ["10.96.0.7"]
        refused = await client.post(SERVICES, a_service("b", clusterIP=ip))
        assert refused.code == 422
        assert f'spec.clusterIPs: Invalid value: ["{ip}"]: {why}' in refused.body["message"]

    play(story)


def test_an_address_may_not_be_changed_and_is_free_again_with_the_service() -> None:
    async def story(client: Client) -> None:
        await client.made(SERVICES, a_service("a", clusterIP="10.96.0.7"))
        refused = await client.patch(f"{SERVICES}/a", {"spec": {"clusterIP": "10.96.0.8"}})
        assert "may not change once set" in refused.body["message"]
        await client.delete(f"{SERVICES}/a")
        assert (await client.made(SERVICES, a_service("b", clusterIP="10.96.0.7")))["spec"]["clusterIP"]

    play(story)


def test_a_headless_service_has_no_address_and_without_selector_any_family() -> None:
    async def story(client: Client) -> None:
        chosen = (await client.made(SERVICES, a_service("a", clusterIP="None")))["spec"]
        assert (chosen["clusterIPs"], chosen["ipFamilies"]) == (["None"], ["IPv4"])
        anything = {"metadata": {"name": "b"}, "spec": {"clusterIP": "None", "ports": PORTS}}
        spec = (await client.made(SERVICES, anything))["spec"]
        assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4", "IPv6"], "RequireDualStack")

    play(story)


def test_addresses_and_node_ports_come_and_go_with_the_type() -> None:
    async def story(client: Client) -> None:
        made = (await client.made(SERVICES, a_service("a")))["spec"]
        assert "nodePort" not in made["ports"][0]
        wider = (await client.patch(f"{SERVICES}/a", {"spec": {"type": "NodePort"}})).body["spec"]
        assert wider["clusterIP"] == made["clusterIP"]
        assert 30000 <= wider["ports"][0]["nodePort"] <= 32767
        narrow = (await client.patch(f"{SERVICES}/a", {"spec": {"type": "ClusterIP"}})).body["spec"]
        assert (narrow["clusterIP"], "nodePort" in narrow["ports"][0]) == (made["clusterIP"], False)
        outside = {"spec": {"type": "ExternalName", "externalName": "x.y"}}
        name = (await client.patch(f"{SERVICES}/a", outside)).body["spec"]
        gone = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
        assert not [member for member in gone if member in name]

    play(story)


def test_protocols_on_one_port_share_a_node_port_and_others_may_not_have_it() -> None:
    async def story(client: Client) -> None:
        ports = [
            {"name": "x", "port": 80},
            {"name": "y", "port": 80, "protocol": "UDP"},
            {"name": "z", "port": 81},
        ]
        made = await client.made(SERVICES, a_service("a", type="NodePort", ports=ports))
        x, y, z = (p["nodePort"] for p in made["spec"]["ports"])
        assert x == y != z
        taken = [{"port": 80, "nodePort": x}]
        refused = await client.post(SERVICES, a_service("b", type="NodePort", ports=taken))
        assert "provided port is already allocated" in refused.body["message"]
        odd = [{"port": 80, "nodePort": 80}]
        refused = await client.post(SERVICES, a_service("b", type="NodePort", ports=odd))
        assert "The range of valid ports is 30000-32767" in refused.body["message"]

    play(story)


def test_a_local_balancer_has_a_port_for_health_checks() -> None:
    async def story(client: Client) -> None:
        local = a_service("a", type="LoadBalancer", externalTrafficPolicy="Local")
        spec = (await client.made(SERVICES, local))["spec"]
        assert 30000 <= spec["healthCheckNodePort"] <= 32767
        assert spec["healthCheckNodePort"] != spec["ports"][0]["nodePort"]
        bare = a_service("b", type="LoadBalancer", allocateLoadBalancerNodePorts=False)
        assert "nodePort" not in (await client.made(SERVICES, bare))["spec"]["ports"][0]

    play(story)


def test_clients_find_the_api_server_and_its_certificate_in_the_cluster() -> None:
    async def main() -> None:
        sandbox = Sandbox(LoopClock(), nodes=0, root_ca="PEM")
        await sandbox.start()
        await sandbox.clock.sleep(1)
        client = Client(sandbox)
        service = (await client.get(f"{SERVICES}/kubernetes")).body
        assert service["spec"]["clusterIP"] == "10.96.0.1"
        subset = (await client.get("/api/v1/namespaces/default/endpoints/kubernetes")).body["subsets"][0]
        found = f"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/{service['metadata']['name']}"
        piece = (await client.get(found)).body
        assert piece["endpoints"][0]["addresses"] == [subset["addresses"][0]["ip"]]
        assert piece["ports"][0]["port"] == subset["ports"][0]["port"]
        root = (await client.get("/api/v1/namespaces/default/configmaps/kube-root-ca.crt")).body
        assert root["data"] == {"ca.crt": "PEM"}
        await sandbox.stop()

    run_virtual(main())


def test_endpoints_end_with_their_service_and_those_of_nobody_stay() -> None:
    async def main() -> None:
        sandbox = Sandbox(LoopClock(), nodes=0)
        await sandbox.start()
        client = Client(sandbox)
        await client.made(SERVICES, a_service("a"))
        own = {"metadata": {"name": "mine"}, "subsets": [{"addresses": [{"ip": "1.2.3.4"}]}]}
        await client.made(ENDPOINTS.path("default"), own)
        await client.patch(ENDPOINTS.path("default", "mine"), {"metadata": {"labels": {"a": "b"}}})
        await sandbox.clock.sleep(5)
        assert (await client.get(ENDPOINTS.path("default", "a"))).code == 200
        await client.delete(SERVICE.path("default", "a"))
        await sandbox.clock.sleep(5)
        assert (await client.get(ENDPOINTS.path("default", "a"))).code == 404
        assert (await client.get(ENDPOINTS.path("default", "mine"))).code == 200
        await sandbox.stop()

    run_virtual(main())


def test_the_root_certificate_in_a_namespace_is_put_right_again() -> None:
    async def main() -> None:
        sandbox = Sandbox(LoopClock(), nodes=0, root_ca="PEM")
        await sandbox.start()
        await sandbox.clock.sleep(1)
        client = Client(sandbox)
        path = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"
        await client.patch(path, {"data": {"ca.crt": "", "more": "x"}})
        await sandbox.clock.sleep(1)
        assert (await client.get(path)).body["data"] == {"ca.crt": "PEM"}
        await sandbox.stop()

    run_virtual(main())


def test_endpoints_written_by_hand_are_mirrored_into_slices() -> None:
    async def main() -> None:
        sandbox = Sandbox(LoopClock(), nodes=0)
        await sandbox.start()
        client = Client(sandbox)
        await client.made(SERVICES, {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 80}]}})
        subset = {"addresses": [{"ip": "1.2.3.4"}], "ports": [{"name": "http", "port": 80}]}
        await client.made(ENDPOINTS.path("default"), {"metadata": {"name": "a"}, "subsets": [subset]})
        slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io/service-name=a"

        async def shown() -> list[tuple[str, int]]:
            await sandbox.clock.sleep(1)
            items = (await client.get(slices)).body["items"]
            return [(i["endpoints"][0]["addresses"][0], i["ports"][0]["port"]) for i in items]

        assert await shown() == [("1.2.3.4", 80)]
        subset = {"addresses": [{"ip": "1.2.3.5"}], "ports": [{"name": "http", "port": 81}]}
        await client.patch(ENDPOINTS.path("default", "a"), {"subsets": [subset]})
        assert await shown() == [("1.2.3.5", 81)]
        await client.delete(ENDPOINTS.path("default", "a"))
        assert await shown() == []
        await sandbox.stop()

    run_virtual(main())
