// gRPC with npm's grpc-js, without generated code, against Python's grpcio.
'use strict';
const { Client, Metadata, credentials, status } = require('@grpc/grpc-js');
const { base, body, main, pattern } = require('./report');

const client = new Client(base.replace('http://', ''), credentials.createInsecure());
const same = (bytes) => bytes;
const CODES = Object.fromEntries(Object.entries(status).map(([name, code]) => [code, name]));

function metadata() {
  const sent = new Metadata();
  sent.add('x-text', 'one');
  sent.add('x-text', 'two');
  sent.add('x-data-bin', Buffer.from([0, 254, 255]));
  return sent;
}

function pairs(got) {
  const plain = (value) => (Buffer.isBuffer(value) ? value.toString('hex') : value);
  return Object.keys(got.getMap()).flatMap((name) => got.get(name).map((value) => [name, plain(value)])).sort();
}

// How a call ended, and what the server saw of it.
function outcome({ code, details, metadata: trailing }) {
  const all = pairs(trailing);
  const seen = all.find(([name]) => name === 'x-seen');
  return {
    code: CODES[code],
    details,
    trailing: all.filter(([name]) => name !== 'x-seen' && name !== 'date'),
    ...(seen ? { upstream: { headers: JSON.parse(seen[1]) } } : {}),
  };
}

function deadline(ms) {
  return { deadline: Date.now() + ms };
}

function unary(method, message, ms = 10_000) {
  return new Promise((resolve) => {
    let got = null;
    const call = client.makeUnaryRequest(`/interop.Echo/${method}`, same, same, message, metadata(), deadline(ms), (error, value) => {
      got = value ? body(value) : null;
    });
    call.on('status', (ended) => setImmediate(() => resolve({ message: got, ...outcome(ended) })));
  });
}

function streamed(call, onMessage) {
  return new Promise((resolve) => {
    const messages = [];
    call.on('data', (message) => {
      messages.push(message.toString());
      onMessage?.(messages.length);
    });
    call.on('error', () => {});
    call.on('status', (ended) => resolve({ messages, ...outcome(ended) }));
  });
}

main({
  unary: () => unary('Unary', Buffer.from('hello')),
  'large message': () => unary('Unary', pattern(3 << 20)),
  'error in trailers only': () => unary('Fail', Buffer.from('x')),
  'server stream': () => streamed(client.makeServerStreamRequest('/interop.Echo/ServerStream', same, same, Buffer.from('n'), metadata(), deadline(10_000))),
  'bidi one by one': () => {
    const call = client.makeBidiStreamRequest('/interop.Echo/Bidi', same, same, metadata(), deadline(10_000));
    call.write(Buffer.from('0'));
    return streamed(call, (n) => (n < 10 ? call.write(Buffer.from(String(n))) : call.end()));
  },
  deadline: async () => (await unary('Slow', Buffer.from('x'), 500)).code,
});
