// Answers that come bit by bit.
'use strict';
const { setTimeout: pause } = require('node:timers/promises');

const EVENTS = 5;
const waiting = new Map();

// /sse?id=X: each event waits for a POST /acknowledge?id=X of the one before, so a buffer on the way stops it.
async function sse(request, response) {
  const id = new URL(request.url, 'http://any').searchParams.get('id');
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  for (let n = 1; n <= EVENTS; n += 1) {
    const acknowledged = new Promise((resolve) => waiting.set(id, resolve));
    response.write(`id: ${n}\nevent: tick\ndata: event ${n}\n\n`);
    await acknowledged;
  }
  waiting.delete(id);
  response.end();
}

function acknowledge(request, response) {
  const id = new URL(request.url, 'http://any').searchParams.get('id');
  request.resume();
  waiting.get(id)?.();
  response.writeHead(204);
  response.end();
}

// A late head, then pieces with pauses.
async function slow(request, response) {
  await pause(200);
  response.writeHead(200, { 'content-type': 'text/plain' });
  for (const piece of ['one ', 'two ', 'three']) {
    response.write(piece);
    await pause(50);
  }
  response.end();
}

// Sends every piece of the upload back as it comes.
function duplex(request, response) {
  response.writeHead(200, { 'content-type': 'application/octet-stream' });
  response.flushHeaders?.();
  request.pipe(response);
}

module.exports = { '/sse': sse, '/acknowledge': acknowledge, '/slow': slow, '/duplex': duplex };
