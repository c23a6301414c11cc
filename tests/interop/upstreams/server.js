// The reference upstream: one handler behind HTTP/1.1, HTTP/2 over cleartext, TLS with ALPN, and a Unix socket.
// usage: node server.js CERTIFICATE KEY SOCKET; prints its ports as one line of JSON.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const http2 = require('node:http2');
const answers = require('./answers');
const { echo, refuse } = require('./echo');
const streams = require('./streams');
const websocket = require('./websocket');

const [certificate, key, socket] = process.argv.slice(2);
const paths = { '/echo': echo, '/refuse': refuse, ...answers, ...streams };

function handle(request, response) {
  const { pathname } = new URL(request.url, 'http://any');
  const [, first] = pathname.split('/');
  const handler = paths[`/${first}`];
  if (handler) return handler(request, response);
  response.writeHead(404, { 'content-type': 'text/plain' });
  response.end('no such path\n');
}

// Without this listener Node says 100 by itself; /refuse must not.
function expectation(request, response) {
  if (!request.url.startsWith('/refuse')) response.writeContinue();
  handle(request, response);
}

const servers = {
  h1: http.createServer(handle),
  h2c: http2.createServer(handle),
  tls: http2.createSecureServer({ allowHTTP1: true, cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, handle),
  unix: http.createServer(handle),
};
for (const server of Object.values(servers)) {
  server.on('checkContinue', expectation);
  server.on('upgrade', websocket);
}

const listening = Object.entries(servers).map(([name, server]) => new Promise((resolve) => {
  const where = name === 'unix' ? { path: socket } : { port: 0, host: '127.0.0.1' };
  server.listen(where, () => resolve([name, name === 'unix' ? socket : server.address().port]));
}));
Promise.all(listening).then((all) => console.log(JSON.stringify(Object.fromEntries(all))));
