// What the upstream saw of a request: the body's digest instead of the body.
'use strict';
const { createHash } = require('node:crypto');

function pairs(raw) {
  const lines = [];
  for (let i = 0; i < raw.length; i += 2) lines.push([raw[i].toLowerCase(), raw[i + 1]]);
  return lines;
}

// HTTP/2 says the host in :authority; its other pseudo-headers are the method and the target.
function headerLines(request) {
  return pairs(request.rawHeaders)
    .map(([name, value]) => [name === ':authority' ? 'host' : name, value])
    .filter(([name]) => !name.startsWith(':'));
}

function echo(request, response) {
  const digest = createHash('sha256');
  let bytes = 0;
  request.on('data', (piece) => {
    bytes += piece.length;
    digest.update(piece);
  });
  request.on('end', () => {
    const seen = {
      method: request.method,
      target: request.url,
      headers: headerLines(request),
      body: { bytes, sha256: digest.digest('hex') },
      trailers: pairs(request.rawTrailers),
    };
    // No Content-Length: it would differ by the injected headers.
    response.writeHead(200, { 'content-type': 'application/json', 'x-echo': '1' });
    response.write(JSON.stringify(seen));
    response.end();
  });
}

// Refuses an upload before its body is there.
function refuse(request, response) {
  response.writeHead(413, { 'content-type': 'text/plain', 'content-length': 8 });
  response.end('too big\n');
}

module.exports = { echo, refuse };
