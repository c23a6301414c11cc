// Node's own HTTP/1.1 client: trailers both ways, interim answers, both directions at once.
'use strict';
const http = require('node:http');
const { once } = require('node:events');
const { answer, base, collect, main, pairs, pattern, unix } = require('./report');

const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });

function ask(path, options = {}) {
  return http.request(`${base}${path}`, { agent, ...options });
}

async function finish(request) {
  let interim = 0;
  request.on('continue', () => { interim += 1; });
  const [response] = await once(request, 'response');
  const data = await collect(response);
  return answer(response.statusCode, pairs(response.rawHeaders), data, { interim, trailers: pairs(response.rawTrailers) });
}

function get(path, options) {
  const request = ask(path, options);
  request.end();
  return finish(request);
}

main({
  get: async () => [await get('/fixed'), await get('/echo?a=b%20c')],
  'post json': () => {
    const request = ask('/echo', { method: 'POST', headers: { 'content-type': 'application/json' } });
    request.end(JSON.stringify({ a: [1, 'é'] }));
    return finish(request);
  },
  'repeated fields': () => get('/echo', { headers: { 'X-Order': ['one', 'two', 'three'], 'x-empty': '' } }),
  'streaming upload with trailers': () => {
    const headers = { 'transfer-encoding': 'chunked', trailer: 'X-Digest, X-Count' };
    const request = ask('/echo', { method: 'PUT', headers });
    const data = pattern(500_000);
    for (let n = 0; n < data.length; n += 50_000) request.write(data.subarray(n, n + 50_000));
    request.addTrailers({ 'X-Digest': 'abc', 'X-Count': '2' });
    request.end();
    return finish(request);
  },
  'answer with trailers': () => get('/trailers', { headers: { te: 'trailers' } }),
  'expectation answered': async () => {
    const request = ask('/echo', { method: 'PUT', headers: { expect: '100-continue', 'content-length': 4 } });
    request.flushHeaders();
    await once(request, 'continue');
    request.end('body');
    return finish(request);
  },
  'expectation refused': () => {
    const request = ask('/refuse', { method: 'PUT', headers: { expect: '100-continue', 'content-length': 4 }, agent: false });
    request.flushHeaders();
    return finish(request).finally(() => request.destroy());
  },
  'both directions at once': async () => {
    const request = ask('/duplex', { method: 'POST', headers: { 'transfer-encoding': 'chunked' } });
    request.flushHeaders();
    request.write('piece 0');
    const [response] = await once(request, 'response');
    const got = [];
    for (let n = 1; n <= 5; n += 1) {
      const [piece] = await once(response, 'data');
      got.push(piece.toString());
      if (n < 5) request.write(`piece ${n}`);
    }
    request.end();
    return got;
  },
  slow: () => get('/slow'),
  'streaming download': () => get('/bytes?n=3000000&chunked=1'),
  'no body': async () => [await get('/status/204'), await get('/status/304'), await get('/fixed', { method: 'HEAD' })],
  'unix socket': async () => {
    const request = http.request({ socketPath: unix, path: '/fixed', headers: { host: 'localhost' }, agent: false });
    request.end();
    return finish(request);
  },
  parallel: async () => (await Promise.all(Array.from({ length: 200 }, (_, n) => get(`/status/200?${n}`)))).map((got) => got.status),
});
