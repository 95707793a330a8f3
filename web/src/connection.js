// One connection of a client, watched: that it delivers soon, and that it does not fall silent.
//
// It knows nothing of other connections or of retries: what comes goes to _heard, its end to _over. Silence is measured
// by the clock, not by timers: those of hidden and sleeping pages come late.

import { RPAError } from './errors.js';
import { poll, polling, sse, websocket } from './transports.js';

export const OPEN = { websocket, sse, polling, poll };
/** Make a wait longer while the page is hidden. */
export const slowed = (ms) => (globalThis.document?.hidden ? ms * 5 : ms);
const ANSWER = 2000; // ms for a sign of life that was asked for

/**
 * Make what opens the connections of a client.
 *
 * @param {object} self the client: its options, its clock, its addresses.
 * @param {(key: any, ms: number, work?: () => void) => void} after and *stop*: see timers.js.
 * @param {(error: RPAError) => void} tell is told of a message that makes no sense, which is skipped.
 * @param {(link: object, message: object) => void} heard takes what comes.
 * @param {(link: object) => void} lasted is told, again and again, of one that is no short life any more.
 * @param {(link: object, error?: RPAError) => void} over takes its end; it drops the link.
 * @returns {(name: string, at: number, quiet: number, heals: number | undefined, spare: number) => object} opens a link by
 *   the transport *name*, which is the rung *at* and has *quiet* ms to deliver. It is to fill a gap where *heals* is 1,
 *   and to do so by the whole state where it is 2. *spare* is the rung of plain polls, -1 where there is none.
 */
export const linker = (self, after, stop, tell, heard, lasted, over) => (name, at, quiet, heals, spare) => {
  const born = self.now();
  let last = born; // when something came
  let asked; // when a sign of life was asked for, 0 once something came
  let end;
  const ping = () => link._delivered && end._ping?.();

  const watch = () => {
    const time = self.now();
    const limit = asked ? asked + ANSWER : last + link._quiet - ANSWER;
    if (time < limit) {
      if (link._delivered && time - born >= self.minUptime) lasted(link);
      if (time - last >= self.heartbeatInterval) ping();
      after(watch, Math.min(limit - time, self.heartbeatInterval / 3));
    } else if (!asked) ask(); // what came while the page slept may still be queued
    else over(link, new RPAError(link._delivered ? 'stale' : 'connect_timeout', '', { _next: !link._delivered || link._hangs }));
  };
  const ask = () => {
    asked = self.now();
    ping();
    watch();
  };

  const link = {
    _at: at,
    _heals: heals,
    _poll: spare, // the rung to take where no connection may be kept open
    _quiet: quiet, // ms of silence after which it is dead
    _why: {},
    _after: (ms, work) => link._isOver || after(link, slowed(ms), work),
    _message(message) {
      last = self.now();
      asked = 0;
      if (message) heard(link, message);
    },
    _text(json) {
      try {
        link._message(JSON.parse(json));
      } catch (error) {
        tell(new RPAError('protocol', error.message));
      }
    },
    _ended: (error) => over(link, error),
    _drop() {
      link._isOver = true;
      stop(watch);
      stop(link);
      end?.();
    },
    /** Make sure that it lives: the page woke up, or the network changed. */
    _prove() {
      if (link._delivered && (end._ping || self.now() - last > link._quiet / 2)) ask();
    },
  };
  (async () => {
    const token = await (self.token?.call ? self.token() : self.token);
    if (!link._isOver) end = OPEN[name](link, token, self);
  })().catch((error) => link._ended(new RPAError('auth', error?.message)));
  watch();
  return link;
};
