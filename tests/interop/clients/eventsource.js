// Server-sent events with npm's eventsource: the upstream sends an event only after the one before was acknowledged.
'use strict';
const { EventSource } = require('eventsource');
const { base, main } = require('./report');

main({
  'one by one': () => new Promise((resolve, reject) => {
    const source = new EventSource(`${base}/sse?id=eventsource`);
    const events = [];
    source.addEventListener('tick', async ({ lastEventId, data }) => {
      events.push([lastEventId, data]);
      await fetch(`${base}/acknowledge?id=eventsource`, { method: 'POST' });
    });
    source.onerror = ({ message }) => {
      source.close();
      // The end of the stream is an error to this API.
      if (events.length > 0) resolve(events);
      else reject(new Error(message));
    };
  }),
});
