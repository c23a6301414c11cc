// Node's own HTTP/2 client: trailers both ways, many streams, both directions at once, resets.
'use strict';
const http2 = require('node:http2');
const { once } = require('node:events');
const { answer, base, collect, main, pattern } = require('./report');

const session = http2.connect(base);
session.on('error', () => {});
const { HTTP2_HEADER_STATUS: STATUS } = http2.constants;

function lines(headers) {
  return Object.entries(headers)
    .filter(([name]) => !name.startsWith(':'))
    .flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
}

async function finish(stream) {
  let trailers = [];
  stream.on('trailers', (got) => { trailers = lines(got); });
  const [headers] = await once(stream, 'response');
  const data = await collect(stream);
  return answer(headers[STATUS], lines(headers), data, { trailers });
}

function ask(path, headers = {}, options = {}) {
  return session.request({ ':path': path, ...headers }, options);
}

function get(path, headers) {
  return finish(ask(path, headers, { endStream: true }));
}

main({
  get: async () => [await get('/fixed'), await get('/echo?a=b%20c')],
  'post json': () => {
    const stream = ask('/echo', { ':method': 'POST', 'content-type': 'application/json' });
    stream.end(JSON.stringify({ a: [1, 'é'] }));
    return finish(stream);
  },
  'cookie crumbs': () => get('/echo', { cookie: ['a=1', 'b=2'] }),
  'streaming upload with trailers': () => {
    const stream = ask('/echo', { ':method': 'PUT', trailer: 'x-digest' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-digest': 'abc' }));
    stream.end(pattern(500_000));
    return finish(stream);
  },
  'answer with trailers': () => get('/trailers', { te: 'trailers' }),
  'both directions at once': async () => {
    const stream = ask('/duplex', { ':method': 'POST' });
    const got = [];
    for (let n = 0; n < 5; n += 1) {
      stream.write(`piece ${n}`);
      const [piece] = await once(stream, 'data');
      got.push(piece.toString());
    }
    stream.end();
    return got;
  },
  'early refusal': async () => {
    const stream = ask('/refuse', { ':method': 'PUT' });
    stream.on('error', () => {});
    stream.write(pattern(1000));
    const seen = await finish(stream);
    stream.destroy();
    return seen;
  },
  'reset in the middle': async () => {
    const stream = ask('/bytes?n=50000000', {}, { endStream: true });
    stream.on('error', () => {});
    await once(stream, 'data');
    stream.close(http2.constants.NGHTTP2_CANCEL);
    return get('/fixed');
  },
  slow: () => get('/slow'),
  'streaming download': () => get('/bytes?n=3000000&chunked=1'),
  'no body': async () => [await get('/status/204'), await get('/status/304'), await get('/fixed', { ':method': 'HEAD' })],
  parallel: async () => (await Promise.all(Array.from({ length: 100 }, (_, n) => get(`/status/200?${n}`)))).map((got) => got.status),
});
