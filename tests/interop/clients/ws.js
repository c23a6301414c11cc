// WebSocket with npm's ws, against Python's websockets.
'use strict';
const { once } = require('node:events');
const WebSocket = require('ws');
const { answer, base, body, collect, main, pairs, pattern } = require('./report');

const url = base.replace('http://', 'ws://');

// The handshake's answer without what is random in it.
async function open(path, protocols = [], options = {}) {
  const socket = new WebSocket(`${url}${path}`, protocols, options);
  socket.on('upgrade', (response) => {
    const headers = pairs(response.rawHeaders).filter(([name]) => name.toLowerCase() !== 'sec-websocket-accept');
    socket.handshake = answer(response.statusCode, headers, Buffer.alloc(0));
  });
  await once(socket, 'open');
  return socket;
}

async function ended(socket) {
  const [code, reason] = await once(socket, 'close');
  return [code, reason.toString()];
}

main({
  echo: async () => {
    const socket = await open('/ws');
    socket.send('text é');
    const [text] = await once(socket, 'message');
    socket.send(Buffer.from([0, 255]));
    const [bytes, binary] = await once(socket, 'message');
    socket.close(1000);
    return [socket.handshake, text.toString(), bytes.toString('hex'), binary, await ended(socket)];
  },
  subprotocol: async () => {
    const socket = await open('/ws', ['other', 'interop']);
    socket.terminate();
    return [socket.protocol, socket.handshake];
  },
  'frames of 1 MiB': async () => {
    const socket = await open('/ws', [], { perMessageDeflate: false });
    const got = [];
    for (let n = 0; n < 4; n += 1) {
      socket.send(pattern(1 << 20));
      got.push(body((await once(socket, 'message'))[0]));
    }
    socket.terminate();
    return got;
  },
  'ping and pong': async () => {
    const socket = await open('/ws');
    socket.ping('interop');
    const [data] = await once(socket, 'pong');
    socket.terminate();
    return data.toString();
  },
  'close by the client': async () => {
    const socket = await open('/ws');
    socket.close(4002, 'had enough');
    return ended(socket);
  },
  'close by the server': async () => {
    const socket = await open('/ws/close');
    return ended(socket);
  },
  'refused with 403': async () => {
    const socket = new WebSocket(`${url}/ws/refused`);
    socket.on('error', () => {});
    const [, response] = await once(socket, 'unexpected-response');
    return answer(response.statusCode, pairs(response.rawHeaders), await collect(response));
  },
  'many at once': async () => {
    const one = async (n) => {
      const socket = await open('/ws');
      socket.send(String(n));
      const [data] = await once(socket, 'message');
      socket.terminate();
      return data.toString();
    };
    return Promise.all(Array.from({ length: 50 }, (_, n) => one(n)));
  },
});
