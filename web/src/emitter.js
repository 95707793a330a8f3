// Telling the page: events, the callbacks on the client, the iterator. What the page's own functions throw stops nothing.

/**
 * @param {EventTarget} client whose properties `onProgressUpdate` and so on are the page's callbacks; with `debug` events are printed too.
 */
export const teller = (client) => {
  let give;
  let next; // promise of the next event, and of what follows it
  const add = (event) => {
    const held = give;
    next = new Promise((go) => {
      give = go;
    });
    held?.([event, next]);
  };

  const call = (name, ...args) => {
    try {
      client[name]?.(...args);
    } catch (error) {
      console.error(error);
    }
  };

  add();
  return {
    _call: call,

    /** Tell *detail* as the event `rpa:<type>` and to the callback *name*, whose arguments *args* go before it. */
    _emit(type, detail, name, ...args) {
      const event = new CustomEvent(`rpa:${type}`, { detail, cancelable: true });
      if (client.debug) console.debug(event.type, detail);
      add(event);
      client.dispatchEvent(event);
      call(name, ...args, detail);
    },

    /** Yield every event from now on until the client is closed. */
    async* _events() {
      let event;
      let at = next;
      while (at !== next || client.state !== 'closed') {
        [event, at] = await at;
        yield event;
      }
    },
  };
};
