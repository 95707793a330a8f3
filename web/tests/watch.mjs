// Follows a session of a real server with the built client, in Node: node watch.mjs URL SESSION [TRANSPORT...]
//
// Prints one line of JSON for each event, and at the end one with the statistics. Each wait between tries is 30 % of
// the way from its shortest to its longest, so that a test does not depend on chance.

import { WebSocket } from 'ws';
import '../dist/rpa-client.js';

const [, , baseUrl, session, ...transports] = process.argv;
const client = new globalThis.RPAProgressClient(session, {
  baseUrl, WebSocket, replay: true, random: () => 0.3, ...(transports.length && { transports }),
});
const say = (...words) => console.log(JSON.stringify(words));

const reading = (async () => {
  for await (const { type, detail } of client) {
    if (type === 'rpa:progress') say('progress', detail.epoch, detail.seq, detail.mensagem);
    else if (type === 'rpa:connection') say('connection', detail.state, detail.transport);
    else if (type === 'rpa:error') say('error', detail.code, detail.fatal);
    else say(type.slice(4), detail);
  }
})();
client.connect();
await reading;
say('stats', client.stats());
