// Types of what rpa-client.js and rpa-progress.js define on a page. Written by hand, checked with tests/usage.ts.
// The prose is in docs/javascript.rst; the names on the wire are those of docs/api.rst.

/** What a run means, whatever word the robot wrote. */
type RPAEstado = 'aguardando' | 'executando' | 'sucesso' | 'cotacao_manual' | 'erro' | 'expirado' | 'cancelado';

interface RPACobertura {
  /** From 1. */
  indice?: number;
  nome?: string;
  nome_cobertura?: string;
  valores?: { de?: string; ate?: string };
  beneficios?: { nome?: string; status?: string }[];
  texto_completo?: string;
  [key: string]: unknown;
}

interface RPAEstimativas {
  timestamp?: string;
  coberturas_detalhadas?: RPACobertura[];
  resumo?: { [key: string]: unknown };
  [key: string]: unknown;
}

/** What the robot could not read is 'N/A', or false. */
interface RPAPlano {
  plano?: string;
  valor?: string;
  forma_pagamento?: string;
  parcelamento?: string;
  valor_franquia?: string;
  tipo_franquia?: string;
  valor_mercado?: string;
  assistencia?: boolean;
  vidros?: boolean;
  carro_reserva?: boolean;
  danos_materiais?: string;
  danos_corporais?: string;
  danos_morais?: string;
  morte_invalidez?: string;
  [key: string]: unknown;
}

interface RPAResultado {
  plano_recomendado?: RPAPlano;
  plano_alternativo?: RPAPlano;
}

/** One step of the robot, or the whole state where the page could not have every step. */
interface RPAUpdate {
  type: 'progress_update';
  /** Missing where another program published the step. */
  epoch?: string | null;
  seq?: number;
  session_id?: string;
  evento?: 'inicio' | 'progresso' | 'estimativas' | 'erro' | 'final';
  etapa: number;
  total_etapas?: number;
  percentual?: number;
  status?: string;
  mensagem?: string;
  timestamp?: string;
  dados_extra?: { [key: string]: unknown };
  estado?: RPAEstado;
  final?: boolean;
  estimativas?: RPAEstimativas | null;
  resultado?: { [key: string]: unknown } | null;
  erro?: string;
  contexto?: string;
}

/** Everything that is known of the session. Never changed: what follows is a new object. */
interface RPASnapshot {
  readonly epoch: string | null | undefined;
  readonly seq: number;
  readonly session_id?: string;
  readonly etapa_atual: number;
  readonly total_etapas: number;
  /** 0 to 99 while the run goes on, 100 when it has ended; never falls within a run. */
  readonly percentual: number;
  readonly status?: string;
  readonly mensagem?: string;
  readonly timestamp_inicio?: string;
  readonly timestamp_atualizacao?: string;
  readonly dados_extra: { readonly [key: string]: unknown };
  readonly erros: readonly { erro: string; contexto: string; timestamp: string }[];
  readonly estado: RPAEstado;
  readonly final?: boolean;
  readonly estimativas?: RPAEstimativas | null;
  readonly resultado?: RPAResultado | null;
}

type RPAErrorCode =
  | 'config' | 'mixed_content' | 'csp_blocked'
  | 'auth' | 'forbidden' | 'not_found' | 'gone'
  | 'rate_limited' | 'full'
  | 'network' | 'connect_timeout' | 'stale' | 'protocol' | 'server_shutdown' | 'server_error' | 'closed'
  | 'job_failed' | 'job_timeout';

declare class RPAError extends Error {
  constructor(code: RPAErrorCode, message?: string, more?: object);
  readonly name: 'RPAError';
  readonly code: RPAErrorCode;
  readonly category: 'config' | 'access' | 'busy' | 'network' | 'job';
  /** The client has stopped. */
  readonly fatal: boolean;
  /** Key for the page's own texts: the code. */
  readonly messageKey: string;
  /** When it tries again, ms since 1970. */
  readonly retryAt?: number;
  readonly status?: number;
  readonly closeCode?: number;
}

type RPATransport = 'websocket' | 'sse' | 'polling';

interface RPAConnection {
  state: RPAConnectionState;
  /** 'poll' is polling without holding the answer back; undefined when none is left. */
  transport: RPATransport | 'poll' | undefined;
  connected: boolean;
  error?: RPAError;
}

type RPAConnectionState = 'idle' | 'connecting' | 'open' | 'waiting' | 'offline' | 'closed';

interface RPACallbacks {
  onProgressUpdate?: (data: RPAUpdate) => void;
  onEstimate?: (estimativas: RPAEstimativas) => void;
  onResult?: (resultado: RPAResultado) => void;
  /** Called when it changes. */
  onConnectionChange?: (connected: boolean, detail: RPAConnection) => void;
  onStateChange?: (state: RPAConnectionState, detail: RPAConnection) => void;
  /** *message* is Portuguese, for the visitor; *error* is for the program. */
  onError?: (message: string, error: RPAError) => void;
}

/** All times in ms. */
interface RPAOptions extends RPACallbacks {
  /** Default: where the script was loaded from. */
  baseUrl?: string;
  /** A link token, or what fetches one; asked for before each connection. */
  token?: string | (() => string | Promise<string>);
  transports?: readonly (RPATransport | 'poll')[];
  minDelay?: number;
  maxDelay?: number;
  maxAttempts?: number;
  connectTimeout?: number;
  heartbeatInterval?: number;
  staleTimeout?: number;
  minUptime?: number;
  pollInterval?: number;
  upgradeAfter?: number;
  stallAfter?: number;
  /** Begin with the first update of the run instead of the whole state. */
  replay?: boolean;
  /** Default: the tab's sessionStorage; null keeps nothing. */
  resumeStore?: Pick<Storage, 'getItem' | 'setItem'> | null;
  /** Print every event to the console. */
  debug?: boolean;
  /** The plan's name of maxAttempts. */
  maxReconnectAttempts?: number;
  /** The plan's name of minDelay. */
  reconnectInterval?: number;
  WebSocket?: new (url: string, protocols?: string | string[]) => unknown;
  fetch?: typeof fetch;
  now?: () => number;
  random?: () => number;
  setTimeout?: (work: () => void, ms: number) => unknown;
  clearTimeout?: (timer: never) => void;
}

interface RPAEventMap {
  'rpa:progress': CustomEvent<RPAUpdate>;
  'rpa:estimate': CustomEvent<RPAEstimativas>;
  'rpa:result': CustomEvent<RPAResultado>;
  'rpa:error': CustomEvent<RPAError>;
  'rpa:connection': CustomEvent<RPAConnection>;
  /** Nothing came for stallAfter; the detail is the state. */
  'rpa:stall': CustomEvent<RPASnapshot>;
  'rpa:done': CustomEvent<RPASnapshot>;
}

interface RPAStats {
  /** Connections that were tried. */
  connects: number;
  /** Holes in the numbers that were met. */
  gaps: number;
  /** Updates and snapshots that were reported. */
  updates: number;
  /** Messages that had been seen before. */
  duplicates: number;
  /** Times that continuity was lost. */
  resets: number;
  /** Failures since a connection lasted. */
  tries: number | undefined;
  live: 0 | 1;
  /** A second connection is being tried. */
  probing: 0 | 1;
  timers: number;
}

interface RPAProgressClient extends RPACallbacks {}

declare class RPAProgressClient extends EventTarget {
  constructor(sessionId: string, options?: RPAOptions);
  readonly sessionId: string;
  readonly state: RPAConnectionState;
  readonly transport: RPATransport | 'poll' | null | undefined;
  readonly isConnected: boolean;
  readonly lastSeq: number;
  connect(): this;
  /** Stop, and leave nothing behind. */
  disconnect(): void;
  /** Try again now. */
  reconnect(): void;
  snapshot(): RPASnapshot | null;
  /** The state at the end of the run; rejects with RPAError where it failed, or where the client stopped before. */
  done(): Promise<RPASnapshot>;
  [Symbol.asyncIterator](): AsyncIterableIterator<RPAEventMap[keyof RPAEventMap]>;
  stats(): RPAStats;
  addEventListener<K extends keyof RPAEventMap>(
    type: K, listener: (event: RPAEventMap[K]) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(
    type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof RPAEventMap>(
    type: K, listener: (event: RPAEventMap[K]) => void, options?: boolean | EventListenerOptions): void;
  removeEventListener(
    type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;
}

/** The same client on a WebSocket alone, with the plan's defaults: 5 attempts, 5 s, a ping after 30 s. */
declare class RPAWebSocketClient extends RPAProgressClient {
  readonly maxReconnectAttempts: number;
  readonly reconnectInterval: number;
  readonly heartbeatInterval: number;
}

/** What <rpa-progress> can be asked for, all of it optional; docs/webflow.rst says what it does. Names are also those of data-rpa-… */
interface RPAProgressAttributes {
  'session-id': string;
  /** Name of the parameter of the page's address that has the session. */
  'session-param': string;
  /** 'event:name', of an event on the window that has the session. */
  'session-from': string;
  'base-url': string;
  token: string;
  lang: 'pt-BR' | 'en';
  theme: 'light' | 'dark' | 'auto';
  /** Of bar, steps, eta, estimate, plans, log; with commas. */
  show: string;
  steps: string;
  transport: string;
  'contact-url': string;
  'redirect-on-success': string;
  'on-error': 'message' | 'event';
  demo: '';
  debug: '';
  hidden: '';
}

/** The element of rpa-progress.js. Its events are those of the client, and bubble; those of result and error may be cancelled. */
interface RPAProgressElement extends HTMLElement {
  /** Open, so that it can be read; style it by custom properties and ::part. */
  readonly shadowRoot: ShadowRoot;
  setAttribute<K extends keyof RPAProgressAttributes>(name: K, value: RPAProgressAttributes[K]): void;
  setAttribute(name: string, value: string): void;
  /** Begin anew what the attributes ask for. */
  restart(): void;
}

interface HTMLElementTagNameMap {
  'rpa-progress': RPAProgressElement;
}

interface GlobalEventHandlersEventMap extends RPAEventMap {}

/** The element's attributes under the names of a program: sessionId, baseUrl, contactUrl and so on. */
interface RPAStart {
  sessionId?: string;
  sessionParam?: string;
  sessionFrom?: string;
  baseUrl?: string;
  token?: string;
  lang?: 'pt-BR' | 'en';
  theme?: 'light' | 'dark' | 'auto';
  show?: string;
  steps?: number | string;
  transport?: string;
  contactUrl?: string;
  redirectOnSuccess?: string;
  onError?: 'message' | 'event';
  demo?: '';
  debug?: '';
  hidden?: '';
}

type RPACommand = ['start', RPAStart];

interface Window {
  RPAProgressClient: typeof RPAProgressClient;
  RPAWebSocketClient: typeof RPAWebSocketClient;
  RPAError: typeof RPAError;
  /** Commands, before the script is there and after: then what is pushed runs at once. */
  RPAProgress?: RPACommand[];
}
