// Entry point of rpa-client.js: the clients alone, without any display.

import { RPAProgressClient } from './client.js';
import { RPAError } from './errors.js';
import { defineGlobals } from './globals.js';
import { RPAWebSocketClient } from './websocket-client.js';

defineGlobals({ RPAProgressClient, RPAWebSocketClient, RPAError });
