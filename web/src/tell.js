// Telling the page: events, the callbacks on the client, the iterator. What the page's own functions throw stops nothing.

/**
 * @param {EventTarget} client whose properties `onProgressUpdate` and so on are the page's callbacks; with `debug` events are printed too.
 */
export const teller = (client) => {
  const taps = new Set();

  const call = (name, ...args) => {
    try {
      client[name]?.(...args);
    } catch (error) {
      console.error(error);
    }
  };

  return {
    _call: call,

    /** Tell *detail* as the event `rpa:<type>` and to the callback *name*, whose arguments *args* go before it. */
    _emit(type, detail, name, ...args) {
      const event = new CustomEvent(`rpa:${type}`, { detail, cancelable: true });
      if (client.debug) console.debug(event.type, detail);
      taps.forEach((tap) => tap(event));
      client.dispatchEvent(event);
      call(name, ...args, detail);
    },

    /** Yield every event from now on until the client is closed. */
    async* _events() {
      const queue = [];
      let wake;
      const tap = (event) => {
        queue.push(event);
        wake?.();
      };
      taps.add(tap);
      try {
        for (;;) {
          while (queue[0]) yield queue.shift();
          if (client.state === 'closed') return;
          await new Promise((go) => {
            wake = go;
          });
        }
      } finally {
        taps.delete(tap);
      }
    },
  };
};
