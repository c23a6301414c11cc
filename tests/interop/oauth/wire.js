// What the servers here share: modules that have only an import, and a tap on the requests that come in.
'use strict';
const { pathToFileURL } = require('node:url');

// NODE_PATH is for `require` alone.
const load = (name) => import(pathToFileURL(require.resolve(name)));

// A handler that writes each request for `path`, and the status of its answer, as a line of JSON, and passes it on unchanged.
function tap(path, handler) {
  return (request, response) => {
    const { pathname } = new URL(request.url, 'https://any');
    if (pathname === path) {
      const chunks = [];
      const push = request.push;
      // Listening for data would take it away from the handler.
      request.push = function record(chunk, encoding) {
        if (chunk) chunks.push(chunk);
        return push.call(this, chunk, encoding);
      };
      response.on('finish', () => {
        const { method, url, rawHeaders: headers } = request;
        const body = Buffer.concat(chunks).toString();
        const certificate = request.socket.getPeerX509Certificate?.()?.fingerprint256 ?? null;
        console.log(JSON.stringify({ tapped: { method, url, headers, body, certificate, status: response.statusCode } }));
      });
    }
    return handler(request, response);
  };
}

module.exports = { load, tap };
