// Browser events that concern a page's connections: the page becomes visible, the network comes or goes, or the page's
// policy blocks an address.

const EVENTS = ['visibilitychange', 'online', 'offline', 'pageshow', 'securitypolicyviolation'];

const HIDDEN_FACTOR = 5;

/** Return *ms*, five times as long for a hidden page, since nobody looks at it. */
export const slowWhileHidden = (ms) => (globalThis.document?.hidden ? ms * HIDDEN_FACTOR : ms);

export class Surroundings {
  /**
   * @param {() => void} onWake called when connections should be checked, never while the page is hidden.
   * @param {(address: string) => void} onBlocked called with an address, or just its origin, that the page's
   *   Content-Security-Policy blocked.
   */
  constructor(onWake, onBlocked) {
    this._listener = ({ blockedURI, disposition }) => {
      if (!blockedURI) {
        if (!globalThis.document?.hidden) onWake();
      } else if (disposition === 'enforce') onBlocked(blockedURI); // a report-only policy blocks nothing
    };
  }

  _listen() {
    for (const name of EVENTS) globalThis.addEventListener?.(name, this._listener, true);
  }

  _stop() {
    for (const name of EVENTS) globalThis.removeEventListener?.(name, this._listener, true);
  }
}
