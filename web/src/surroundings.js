// What happens around a page that concerns its connections: it is seen again, the network comes or goes, or the page's
// policy blocks an address.

const EVENTS = ['visibilitychange', 'online', 'offline', 'pageshow', 'securitypolicyviolation'];

const HIDDEN_FACTOR = 5;

/** Return how long to wait instead of *ms*: nobody looks at a hidden page, so it may take longer. */
export const slowWhileHidden = (ms) => (globalThis.document?.hidden ? ms * HIDDEN_FACTOR : ms);

export class Surroundings {
  /**
   * @param {() => void} onWake called when connections should be checked, never while the page is hidden.
   * @param {(address: string) => void} onBlocked called with an address, or only its origin, that the policy blocked.
   */
  constructor(onWake, onBlocked) {
    this._listener = ({ blockedURI, disposition }) => {
      if (!blockedURI) {
        if (!globalThis.document?.hidden) onWake();
      } else if (disposition === 'enforce') onBlocked(blockedURI); // a policy that only reports blocks nothing
    };
  }

  _listen() {
    for (const name of EVENTS) globalThis.addEventListener?.(name, this._listener, true);
  }

  _stop() {
    for (const name of EVENTS) globalThis.removeEventListener?.(name, this._listener, true);
  }
}
