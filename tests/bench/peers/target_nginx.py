"""nginx with a static header: it cannot fetch a token, so it is given one."""

CONFIG = """\
daemon off; master_process {master}; worker_processes {workers}; pid {folder}/nginx.pid; error_log stderr crit;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; multi_accept on; }}
http {{
    access_log off; tcp_nodelay on; server_tokens off; keepalive_timeout 600s; keepalive_requests 100000000;
    client_max_body_size 8m; client_body_temp_path {folder}/ng-body; proxy_temp_path {folder}/ng-proxy;
    fastcgi_temp_path {folder}/ng-f; uwsgi_temp_path {folder}/ng-u; scgi_temp_path {folder}/ng-s;
    proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_max_temp_file_size 0; proxy_request_buffering off;
    upstream up {{ server 127.0.0.1:{to}; keepalive 1024; keepalive_requests 100000000; keepalive_timeout 600s; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass {scheme}://up; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $http_host; proxy_set_header Authorization "Bearer {token}";
            {tls}
        }}
    }}
}}
"""
TLS = "proxy_ssl_verify on; proxy_ssl_trusted_certificate {ca}; proxy_ssl_name localhost; proxy_ssl_protocols TLSv1.2 TLSv1.3;"


class Nginx:
    """Debian's nginx."""

    name = "nginx"

    def can(self, setup):
        """It speaks no HTTP/2 to an upstream."""
        return setup.upstream != "http2"

    def command(self, lab, setup, upstream, tokens, port):
        """The command that serves on `port`, its environment, and when it is ready."""
        config = CONFIG.format(
            folder=lab.folder,
            master="off" if setup.single_process else "on",
            workers=setup.workers,
            to=upstream.port(setup.upstream),
            port=port,
            scheme="https" if setup.upstream == "tls" else "http",
            token=tokens.issue(),
            tls=TLS.format(ca=upstream.ca) if setup.upstream == "tls" else "",
        )
        return ["nginx", "-p", lab.folder, "-c", lab.file("nginx.conf", config)], {}, lambda: True
