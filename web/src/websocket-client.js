// RPAWebSocketClient, a class that the plan (docs/architecture.rst) names: the client on WebSocket alone, with the
// plan's defaults.

import { RPAProgressClient } from './client.js';

const DEFAULTS = { maxReconnectAttempts: 5, reconnectInterval: 5000, heartbeatInterval: 30000 };

export class RPAWebSocketClient extends RPAProgressClient {
  constructor(sessionId, options) {
    super(sessionId, { ...DEFAULTS, ...options, transports: ['websocket'] });
  }
}
