// WebSocket of npm's `ws`: /ws echoes, /ws/refused says 403, /ws/close closes with a code of its own.
'use strict';
const { WebSocketServer } = require('ws');

const server = new WebSocketServer({
  noServer: true,
  maxPayload: 8 * 1024 * 1024,
  handleProtocols: (offered) => (offered.has('interop') ? 'interop' : false),
});

module.exports = function upgrade(request, socket, head) {
  if (request.url.startsWith('/ws/refused')) {
    socket.end('HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 8\r\nX-Why: test\r\n\r\nrefused\n');
    return;
  }
  server.handleUpgrade(request, socket, head, (connection) => {
    if (request.url.startsWith('/ws/close')) return connection.close(4001, 'as asked');
    connection.on('message', (data, binary) => connection.send(data, { binary }));
    return undefined;
  });
};
