"""The upstream behind every target: nginx, which checks the token of each request and counts as an error what has none."""

import subprocess

from lab import LOAD_CORE, free_port, listens, wait_for
from token_service import PREFIX

MIB = 1 << 20
SMALL = '{"items":[' + ",".join(f'{{"id":{n},"name":"item {n}"}}' for n in range(1, 8)) + "]}"

CONFIG = """\
daemon off; master_process off; pid {folder}/upstream.pid; error_log stderr crit; worker_rlimit_nofile 65536;
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off; tcp_nodelay on; sendfile on; server_tokens off;
    keepalive_timeout 600s; keepalive_requests 100000000; http2_max_concurrent_streams 1024;
    client_max_body_size 8m; client_body_buffer_size 2m;
    client_body_temp_path {folder}/up-body; proxy_temp_path {folder}/up-proxy; fastcgi_temp_path {folder}/up-f;
    uwsgi_temp_path {folder}/up-u; scgi_temp_path {folder}/up-s;
    map $http_authorization $refused {{ default 1; "~^Bearer {prefix}[0-9]+-x+$" 0; }}
    server {{
        listen 127.0.0.1:{plain} backlog=4096;
        listen 127.0.0.1:{h2c} http2 backlog=4096;
        listen 127.0.0.1:{tls} ssl http2 backlog=4096;
        ssl_certificate {folder}/upstream.pem; ssl_certificate_key {folder}/upstream.key;
        ssl_session_cache shared:s:1m;
        if ($refused) {{ return 403; }}
        location / {{ default_type application/json; return 200 '{small}'; }}
        location ~ /echo$ {{ return 200 $http_authorization; }}
        location ~ /big$ {{ alias {folder}/big; }}
        # Passing it on without its body makes nginx read the whole body first.
        location ~ /upload$ {{ proxy_pass http://127.0.0.1:{sink}; proxy_pass_request_body off; proxy_set_header Content-Length ""; }}
    }}
    server {{ listen 127.0.0.1:{sink}; return 200 'read'; }}
}}
"""


def certificate(folder):
    """A certificate of 127.0.0.1 and localhost that signs itself."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        + ["-addext", "basicConstraints=critical,CA:FALSE"]
        + ["-keyout", folder / "upstream.key", "-out", folder / "upstream.pem"],
        check=True,
        capture_output=True,
    )


class Upstream:
    """nginx on the load's core, with an HTTP/1, an HTTP/2 cleartext and a TLS port."""

    def __init__(self, lab):
        self.plain, self.h2c, self.tls = free_port(), free_port(), free_port()
        self.ca = lab.folder / "upstream.pem"
        certificate(lab.folder)
        (lab.folder / "big").write_bytes(b"b" * MIB)
        config = CONFIG.format(
            folder=lab.folder, plain=self.plain, h2c=self.h2c, tls=self.tls, sink=free_port(), prefix=PREFIX, small=SMALL
        )
        file = lab.file("upstream.conf", config)
        self.process = lab.start(["nginx", "-p", lab.folder, "-c", file], core=LOAD_CORE, log="upstream")
        wait_for("the upstream", lambda: listens(self.plain), self.process)

    def port(self, protocol):
        """The port for `http1`, `http2` or `tls`."""
        return {"http1": self.plain, "http2": self.h2c, "tls": self.tls}[protocol]
