"""What an installation is made of, and what the chart refuses."""

from pathlib import Path
from typing import Any

import pytest

from checks import ROOT
from deploy.manifests import (
    CHART,
    PLAIN,
    Manifest,
    RenderError,
    of_kind,
    read_yaml,
    rendered,
    run_helm,
    template,
    ways,
)
from deploy.tests.pods import container

BY_TOKEN = CHART / "ci" / "callers-by-token-values.yaml"
BY_CERTIFICATE = CHART / "ci" / "callers-by-certificate-values.yaml"
OWN = CHART / "ci" / "own-configmap-values.yaml"
TRIAL = CHART / "ci" / "trial-values.yaml"


def deployment(values: Path, *more: str) -> Manifest:
    return of_kind(rendered([values], more), "Deployment")


def notes(values: Path, *more: str) -> str:
    """What an operator reads after an installation."""
    said = run_helm(["install", "mintonce", str(CHART), "-n", "mintonce", "--dry-run=client", "-f", str(values), *more])
    return said.partition("\nNOTES:\n")[2]


def pods() -> list[Manifest]:
    """Of each way of use, and of the example."""
    found = [deployment(values) for values in ways()]
    found.append(of_kind(read_yaml((PLAIN / "caller.yaml").read_text()), "Deployment"))
    return [each["spec"]["template"]["spec"] for each in found]


def test_pods_meet_restricted_of_the_pod_security_standards() -> None:
    """And use no token of Kubernetes by themselves."""
    for spec in pods():
        first = spec["containers"][0]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert first["securityContext"]["allowPrivilegeEscalation"] is False
        assert first["securityContext"]["readOnlyRootFilesystem"] is True
        assert first["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        kinds = {kind for volume in spec["volumes"] for kind in volume if kind != "name"}
        assert kinds <= {"configMap", "secret", "projected", "emptyDir", "persistentVolumeClaim"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()


def test_memory_has_a_limit_and_cpu_none() -> None:
    """Throttling stops the event loop."""
    for spec in pods():
        resources = spec["containers"][0]["resources"]
        assert list(resources["limits"]) == ["memory"]
        assert resources["requests"].keys() == {"cpu", "memory"}


def test_no_object_is_a_secret() -> None:
    """They are made by hand, and named."""
    for values in ways():
        assert "Secret" not in {manifest["kind"] for manifest in rendered([values])}


@pytest.mark.parametrize(
    ("drain", "before", "seconds"), [("10", 5, 20), ("1m", 10, 75), ("1500ms", 0, 7), ("0.5", 5, 11)]
)
def test_the_grace_period_covers_the_drain(drain: str, before: int, seconds: int) -> None:
    """preStopSeconds + drain_timeout + 5, in whole seconds."""
    kind = "--set" if drain.isdigit() else "--set-string"
    made = deployment(BY_TOKEN, kind, f"config.drain_timeout={drain}", "--set", f"preStopSeconds={before}")

    spec = made["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == seconds
    waits = {"lifecycle": {"preStop": {"sleep": {"seconds": before}}}} if before else {}
    assert {name: part for name, part in spec["containers"][0].items() if name == "lifecycle"} == waits


def test_the_number_of_replicas_belongs_to_the_autoscaler_when_there_is_one() -> None:
    """Each upgrade would reset it."""
    assert deployment(BY_TOKEN)["spec"]["replicas"] == 3
    assert "replicas" not in deployment(BY_CERTIFICATE)["spec"]


def test_a_digest_names_the_image() -> None:
    """It wins over a tag."""
    image = container(rendered([BY_TOKEN], ["--set-string", "image.tag=9"]))["image"]
    assert image == f"registry.example.com/platform/mintonce@sha256:{'0' * 64}"


def test_a_new_policy_restarts_nothing_and_new_settings_do() -> None:
    """The server reads the policy again by itself."""
    before = deployment(BY_TOKEN)["spec"]["template"]
    assert deployment(BY_TOKEN, "--set", "policy.rules[0].name=other")["spec"]["template"] == before
    assert deployment(BY_TOKEN, "--set", "config.log.level=debug")["spec"]["template"] != before


def test_the_network_policy_opens_what_is_needed() -> None:
    """Callers reach the ports for calls, Prometheus that of the metrics, and no pod that of the probes."""
    policy = of_kind(rendered([BY_TOKEN]), "NetworkPolicy")["spec"]
    ports = {port["name"]: port["containerPort"] for port in container(rendered([BY_TOKEN]))["ports"]}

    opened = [[port["port"] for port in rule["ports"]] for rule in policy["ingress"]]
    assert opened == [[ports["grpc"]], [ports["http"]]]
    assert all(rule["from"] for rule in policy["ingress"])
    leaving = [{(port["protocol"], port["port"]) for port in rule["ports"]} for rule in policy["egress"]]
    assert leaving == [{("UDP", 53), ("TCP", 53)}, {("TCP", 6379)}, {("TCP", 443)}, {("TCP", 443), ("TCP", 6443)}]
    assert all(rule["to"] for rule in policy["egress"])


@pytest.mark.parametrize(("values", "protocol"), [(BY_TOKEN, "https"), (TRIAL, "http")], ids=["tls", "in clear"])
def test_the_token_endpoint_is_a_port_for_callers(values: Path, protocol: str) -> None:
    """In the container, the Service and the NetworkPolicy, and where the notes say; the probes stay as they are."""
    on = ["--set", "config.token_endpoint.listen=0.0.0.0:8443"]
    made, before = rendered([values], on), rendered([values])
    ports = {port["name"]: port["containerPort"] for port in container(made)["ports"]}

    assert ports["token-endpoint"] == 8443
    assert of_kind(made, "Service")["spec"]["ports"][-1] == {
        "name": "token-endpoint", "port": 8443, "targetPort": "token-endpoint", "appProtocol": protocol,
    }  # fmt: skip
    callers = of_kind(made, "NetworkPolicy")["spec"]["ingress"][0]
    assert [port["port"] for port in callers["ports"]] == [50051, 8443]
    assert callers["from"] == of_kind(before, "NetworkPolicy")["spec"]["ingress"][0]["from"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container(made)[probe] == container(before)[probe]
    assert f"{protocol}://mintonce.mintonce.svc.cluster.local:8443/oauth/token" in notes(values, *on)


def test_there_is_no_token_endpoint_unless_it_is_wanted() -> None:
    """Each door is opened on purpose."""
    for values in (BY_TOKEN, TRIAL, OWN):
        assert "token-endpoint" not in [port["name"] for port in container(rendered([values]))["ports"]]
        assert "/oauth/token" not in notes(values)


def test_the_service_shows_each_replica() -> None:
    """Headless, and only what is ready."""
    service = of_kind(rendered([BY_TOKEN]), "Service")["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is False
    assert [port["name"] for port in service["ports"]] == ["grpc"]


def test_prometheus_verifies_the_server_whose_metrics_have_tls() -> None:
    """By the authority beside the server's certificate; in clear where there is no TLS."""
    (scrape,) = of_kind(rendered([BY_TOKEN]), "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert scrape["scheme"] == "https"
    assert scrape["tlsConfig"]["ca"]["secret"] == {"name": "mintonce-tls", "key": "ca.crt"}
    assert scrape["tlsConfig"]["serverName"] in of_kind(rendered([BY_TOKEN]), "Certificate")["spec"]["dnsNames"]

    in_clear = ["--set", "metrics.podMonitor.enabled=true", "--set-json", 'config.http={"listen":"0.0.0.0:9464"}']
    (scrape,) = of_kind(rendered([TRIAL], in_clear), "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert scrape["scheme"] == "http"


def test_rules_are_those_of_the_file() -> None:
    """With the braces of Prometheus' own templates as they are."""
    (file,) = read_yaml((ROOT / "deploy" / "prometheus" / "mintonce.rules.yaml").read_text())
    assert of_kind(rendered([BY_TOKEN]), "PrometheusRule")["spec"] == file


def test_each_dashboard_is_a_config_map_for_grafana() -> None:
    """With the label of the sidecar, and only if it is wanted."""
    files = {path.name for path in (ROOT / "deploy" / "grafana").glob("*.json")}

    def names(*more: str) -> set[str]:
        labelled = [
            one for one in rendered([BY_TOKEN], more) if one["metadata"]["labels"].get("grafana_dashboard") == "1"
        ]
        return {name for one in labelled for name in one["data"]}

    assert names() == files
    assert names("--set", "metrics.grafanaDashboard.enabled=false") == set()


def test_notes_say_what_is_not_secure() -> None:
    """Of a trial much, of the usual way little; and where callers find the server."""
    trial, usual = notes(TRIAL), notes(BY_TOKEN)

    for word in ("No TLS", "insecure_listen", "insecure_redis", "No audit log", "any audience", "tag", "One replica"):
        assert word in trial
        assert word not in usual
    assert "/metrics asks for no identity" in usual
    assert "collect it" in usual.lower()
    assert "dns:///mintonce.mintonce.svc.cluster.local:50051" in usual
    assert "No NetworkPolicy" in notes(BY_TOKEN, "--set", "networkPolicy.enabled=false")
    assert "has not seen" in notes(OWN)


BILLING = "config.clients.billing"

REFUSED: list[tuple[str, list[str], str]] = [
    ("a secret", ["--set", f"{BILLING}.client_secret=x"], "client_secret"),
    ("a password of Redis", ["--set", "config.redis.url=redis://:x@y/0"], "url"),
    ("a secret variable", ["--set", "extraEnv[0].name=MINTONCE_CLIENT_SECRET,extraEnv[0].value=x"], "extraEnv"),
    ("a value that is misspelt", ["--set", "replicacount=3"], "replicacount"),
    ("a value that is misspelt deeper", ["--set", "metrics.podMonitor.enable=true"], "enable"),
    ("a setting that is misspelt", ["--set", "config.drain_timout=3"], "drain_timout"),
    ("a setting of a client that is misspelt", ["--set", f"{BILLING}.audience=x"], "audience"),
    ("a word that is none", ["--set", "config.store_outage=maybe"], "store_outage"),
    ("an address that nobody reaches", ["--set", "config.listen=127.0.0.1:50051"], "listen"),
    ("a token endpoint that nobody reaches", ["--set", "config.token_endpoint.listen=127.0.0.1:8443"], "listen"),
    (
        "a rule without callers",
        ["--set-json", 'policy.rules=[{"name":"a","clients":["*"],"audiences":["*"]}]'],
        "callers",
    ),
    ("half a digest", ["--set", "image.digest=sha256:abc"], "digest"),
    ("no image", ["--set", "image.repository="], "server/Dockerfile"),
    ("no secret", ["--set", "secrets.existingSecret="], "sealing.toml"),
    ("no client", ["--set", "config.clients=null"], "register an OAuth client"),
    ("no TLS", ["--set", "tls.certManager.enabled=false"], "tls.existingSecret"),
    ("no issuer of certificates", ["--set", "tls.certManager.issuerRef=null"], "issuerRef"),
    ("nobody who can say who he is", ["--set", "serviceAccountTokens.enabled=false"], "prove who they are"),
    ("no policy", ["--set-json", "policy.rules=[]"], "policy.rules"),
    ("no way to Redis", ["--set-json", "networkPolicy.redis.to=[]"], "networkPolicy.redis.to"),
    ("no way to the keys of the cluster", ["--set-json", "networkPolicy.apiServer.to=[]"], "apiServer.to"),
    ("no probes", ["--set", "config.health_listen=null"], "health_listen"),
    ("nothing to scrape", ["--set", "config.http=null"], "nothing to scrape"),
    ("too short a grace period", ["--set", "terminationGracePeriodSeconds=19"], "= 20"),
    ("an old Kubernetes", ["--kube-version", "1.29"], "1.29"),
]


@pytest.mark.parametrize(("arguments", "says"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(arguments: list[str], says: str) -> None:
    """Before anything is installed, with a word that leads to the mistake."""
    with pytest.raises(RenderError) as caught:
        template([BY_TOKEN], more=arguments)
    assert says in str(caught.value)


def test_a_cluster_of_an_unknown_version_is_no_obstacle() -> None:
    """Managed ones have versions such as v1.33.4-eks-1234."""
    assert rendered([BY_TOKEN], ["--kube-version", "v1.33.4-eks-1234"])


def test_each_value_reaches_the_manifests() -> None:
    """The way with most values shows each that is of use to it."""
    text = template([BY_CERTIFICATE])
    wanted: dict[str, Any] = {
        "commonLabels": "team: platform",
        "podLabels": "tier: platform",
        "podAnnotations": "example.com/scrape",
        "service.annotations": "example.com/mesh",
        "serviceAccount.annotations": "example.com/role",
        "imagePullSecrets": "name: registry",
        "priorityClassName": "priorityClassName: platform",
        "nodeSelector": "kubernetes.io/os: linux",
        "tolerations": "key: dedicated",
        "affinity": "nodeAffinity",
        "topologySpreadConstraints": "DoNotSchedule",
        "extraEnv": "proxy.example.com",
        "extraContainers": "name: ship",
        "extraVolumes": "claimName: audit",
        "extraVolumeMounts": "mountPath: /var/log/mintonce",
        "extraObjects": "mintonce-tokens-extra",
        "networkPolicy.extraIngress": "podSelector: {}",
        "secrets.items": "path: sealing.toml",
    }
    assert [name for name, shown in wanted.items() if shown not in text] == []
