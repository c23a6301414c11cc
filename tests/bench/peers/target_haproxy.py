"""HAProxy with a static header: it cannot fetch a token, so it is given one."""

CONFIG = """\
global
    maxconn 8000
    nbthread {workers}
defaults
    mode http
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
frontend in
    bind 127.0.0.1:{port} backlog 4096
    http-request set-header Authorization "Bearer {token}"
    default_backend out
backend out
    server up 127.0.0.1:{to}{server}
"""
SERVER = {"http1": "", "http2": " proto h2", "tls": " ssl verify required ca-file {ca} sni str(localhost) alpn http/1.1"}


class Haproxy:
    """Debian's HAProxy."""

    name = "HAProxy"

    def can(self, _setup):
        """It does them all."""
        return True

    def command(self, lab, setup, upstream, tokens, port):
        """The command that serves on `port`, its environment, and when it is ready."""
        config = CONFIG.format(
            workers=setup.workers,
            port=port,
            token=tokens.issue(),
            to=upstream.port(setup.upstream),
            server=SERVER[setup.upstream].format(ca=upstream.ca),
        )
        return ["haproxy", "-db", "-f", lab.file("haproxy.cfg", config)], {}, lambda: True
