// Delivers events to the page: to its listeners, its callbacks and its async iterators. An exception in one of the
// page's functions is printed and has no other effect.

export class Emitter {
  /**
   * @param {EventTarget} client its properties `onProgressUpdate` and so on are the page's callbacks; with `debug`
   *   events are printed, too.
   */
  constructor(client) {
    this._client = client;
    this._append();
  }

  /** Add *event* to the chain that iterators read: each promise resolves to an event and the next promise. */
  _append(event) {
    const resolve = this._resolveNext;
    this._next = new Promise((resolveNext) => {
      this._resolveNext = resolveNext;
    });
    resolve?.([event, this._next]);
  }

  /** Call the page's callback *name*, if it has one. */
  _call(name, ...args) {
    try {
      this._client[name]?.(...args);
    } catch (error) {
      console.error(error);
    }
  }

  /** Emit *detail* as the event `rpa:<type>`, and call the callback *name* with *args* and *detail*. */
  _emit(type, detail, name, ...args) {
    const event = new CustomEvent(`rpa:${type}`, { detail, cancelable: true });
    if (this._client.debug) console.debug(event.type, detail);
    this._append(event);
    this._client.dispatchEvent(event);
    this._call(name, ...args, detail);
  }

  /** Yield every event from now on until the client is closed. */
  async* _events() {
    let event;
    let next = this._next;
    while (next !== this._next || this._client.state !== 'closed') {
      [event, next] = await next;
      yield event;
    }
  }
}
