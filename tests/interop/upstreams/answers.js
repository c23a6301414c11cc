// Answers that do not depend on time.
'use strict';
const zlib = require('node:zlib');

const PIECE = Buffer.alloc(64 * 1024, 'sidepass');

function query(request) {
  return new URL(request.url, 'http://any').searchParams;
}

// Repeated lines of one field, in order, and a value with a byte above 127.
function fixed(request, response) {
  response.writeHead(200, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': 12,
    'set-cookie': ['a=1; Path=/', 'b=2; HttpOnly'],
    'x-order': ['first', 'second', 'third'],
    'x-obs-text': 'caf\u00e9',
    'x-empty': '',
    etag: '"fixed"',
    vary: 'Accept-Encoding',
  });
  // Not a string: Node would write the head in the string's encoding.
  response.end(request.method === 'HEAD' ? undefined : Buffer.from('fixed answer'));
}

// /status/CODE: an answer that may have a body has one.
function status(request, response) {
  const code = Number(new URL(request.url, 'http://any').pathname.split('/')[2]);
  const bare = request.method === 'HEAD' || code === 204 || code === 304;
  response.writeHead(code, code === 304 ? { etag: '"fixed"' } : { 'x-status': String(code) });
  response.end(bare ? undefined : `status ${code}\n`);
}

function redirect(request, response) {
  const origin = `${request.socket.encrypted ? 'https' : 'http'}://${request.headers.host ?? request.authority}`;
  const where = query(request).get('absolute') ? origin : '';
  response.writeHead(302, { location: `${where}/fixed`, 'content-length': 0 });
  response.end();
}

function gzip(request, response) {
  const packed = zlib.gzipSync(Buffer.from('sidepass '.repeat(2000)));
  response.writeHead(200, { 'content-type': 'text/plain', 'content-encoding': 'gzip', 'content-length': packed.length });
  response.end(packed);
}

// /bytes?n=N[&chunked=1]: N bytes, as fast as they are taken.
function bytes(request, response) {
  const chunked = query(request).get('chunked');
  let left = Number(query(request).get('n'));
  response.writeHead(200, { 'content-type': 'application/octet-stream', ...(chunked ? {} : { 'content-length': left }) });
  const send = () => {
    while (left > 0) {
      const piece = PIECE.subarray(0, Math.min(left, PIECE.length));
      left -= piece.length;
      if (!response.write(piece)) return response.once('drain', send);
    }
    return response.end();
  };
  send();
}

function trailers(request, response) {
  response.writeHead(200, { 'content-type': 'text/plain', trailer: 'x-checksum, x-count' });
  response.write('with ');
  response.write('trailers');
  response.addTrailers({ 'x-checksum': 'abc', 'x-count': '2' });
  response.end();
}

module.exports = {
  '/fixed': fixed, '/status': status, '/redirect': redirect, '/gzip': gzip, '/bytes': bytes, '/trailers': trailers,
};
