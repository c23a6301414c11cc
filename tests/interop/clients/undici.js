// Node's undici: fetch, stream, pipelining.
'use strict';
const { Readable, Writable } = require('node:stream');
const { Client, fetch, request, stream } = require('undici');
const { answer, base, collect, main, pattern } = require('./report');

function lines(headers) {
  return Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
}

async function saw({ statusCode, headers, body, trailers }) {
  const data = await collect(body);
  return answer(statusCode, lines(headers), data, { trailers: lines(trailers ?? {}) });
}

async function fetched(path, options) {
  const got = await fetch(`${base}${path}`, options);
  return { ...answer(got.status, [...got.headers], Buffer.from(await got.arrayBuffer())), url: got.url, redirected: got.redirected };
}

main({
  'fetch get': async () => [await fetched('/fixed'), await fetched('/echo?a=b%20c')],
  'fetch post json': () => fetched('/echo', {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ a: [1, 'é'] }),
  }),
  'fetch form': () => fetched('/echo', { method: 'POST', body: new URLSearchParams({ a: 'b c', d: 'é' }) }),
  'fetch follows a redirect': () => fetched('/redirect?absolute=1'),
  'fetch stops at a redirect': () => fetched('/redirect', { redirect: 'manual' }),
  'fetch gzip': () => fetched('/gzip'),
  'fetch streaming upload': () => fetched('/echo', { method: 'PUT', duplex: 'half', body: Readable.from([pattern(100_000), pattern(200_000)]) }),
  'fetch aborted': async () => {
    const abort = new AbortController();
    const got = await fetch(`${base}/bytes?n=50000000`, { signal: abort.signal });
    await got.body.getReader().read();
    abort.abort();
    return fetched('/fixed');
  },
  'request with trailers': async () => saw(await request(`${base}/trailers`, { headers: { te: 'trailers' } })),
  'stream download': async () => {
    const pieces = [];
    let head;
    await stream(`${base}/bytes?n=3000000`, { method: 'GET' }, ({ statusCode, headers }) => {
      head = [statusCode, lines(headers)];
      return new Writable({ write(piece, _, done) { pieces.push(piece); done(); } });
    });
    return answer(...head, Buffer.concat(pieces));
  },
  pipelining: async () => {
    const client = new Client(base, { pipelining: 10 });
    const paths = Array.from({ length: 50 }, (_, n) => (n % 5 === 0 ? '/slow' : `/status/200?${n}`));
    const got = await Promise.all(paths.map(async (path) => saw(await client.request({ path, method: 'GET' }))));
    await client.close();
    return got.map(({ status, body }) => [status, body]);
  },
  parallel: async () => (await Promise.all(Array.from({ length: 200 }, (_, n) => fetched(`/status/200?${n}`)))).map((got) => got.status),
});
