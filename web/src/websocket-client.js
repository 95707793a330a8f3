// RPAWebSocketClient, the plan's class: the same client, with WebSocket as its only transport and the plan's defaults.

import { RPAProgressClient } from './client.js';

const DEFAULTS = { maxReconnectAttempts: 5, reconnectInterval: 5000, heartbeatInterval: 30000 };

export class RPAWebSocketClient extends RPAProgressClient {
  constructor(sessionId, options) {
    super(sessionId, { ...DEFAULTS, ...options, transports: ['websocket'] });
  }
}
