// Types of what rpa-client.js and rpa-progress.js define on a page. Written by hand, checked with tests/usage.ts.
// The prose is in docs/javascript.rst; the names on the wire are those of docs/api.rst.

/** State or outcome of a run, whatever word the robot used for it. */
type RPAEstado = 'aguardando' | 'executando' | 'sucesso' | 'cotacao_manual' | 'erro' | 'expirado' | 'cancelado';

interface RPACobertura {
  /** Number of the cover, from 1. */
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

/** A field that the robot could not read is 'N/A', or false. */
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

/** One update of the robot, or the whole state in the same form if the page did not get every update. */
interface RPAUpdate {
  type: 'progress_update';
  /** Missing or null in an update that neither our tracker nor the server's POST published. */
  epoch?: string | null;
  seq?: number;
  /** When the run began, in milliseconds since 1970, by the clock of the server's store; in updates of our tracker. */
  began?: number;
  /** Who reported the update: a robot that forks is two writers. In updates of our tracker. */
  writer?: string;
  session_id?: string;
  evento?: 'inicio' | 'progresso' | 'estimativas' | 'erro' | 'final';
  etapa: number;
  total_etapas?: number;
  percentual?: number;
  status?: string;
  mensagem?: string | null;
  timestamp?: string;
  dados_extra?: { [key: string]: unknown };
  estado?: RPAEstado;
  final?: boolean;
  estimativas?: RPAEstimativas | null;
  resultado?: { [key: string]: unknown } | null;
  erro?: string;
  contexto?: string;
}

/** The state of the session after an update, and how old it is. A snapshot is never changed: ask for a new one. */
interface RPASnapshot {
  readonly epoch: string | null | undefined;
  readonly seq: number;
  readonly session_id?: string;
  readonly etapa_atual: number;
  readonly total_etapas: number;
  /** 0 to 99 while the run goes on, 100 when it has ended; never falls within a run. */
  readonly percentual: number;
  readonly status?: string;
  readonly mensagem?: string | null;
  readonly timestamp_inicio?: string;
  readonly timestamp_atualizacao?: string;
  /** ms since the robot's last report, when this was asked for; the robot's own times are for people to read. */
  readonly idade_ms: number;
  /** ms since the run began, when this was asked for. */
  readonly duracao_ms: number;
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
  /** Nothing is tried again: the client has stopped, or the run has ended. */
  readonly fatal: boolean;
  /** The code, as a key for texts of the page's own. */
  readonly messageKey: string;
  /** When the client tries again, ms since 1970. */
  readonly retryAt?: number;
  readonly status?: number;
  readonly closeCode?: number;
}

type RPATransport = 'websocket' | 'sse' | 'polling';

interface RPAConnection {
  state: RPAConnectionState;
  /** With 'poll' the server answers at once, with 'polling' when there is news; undefined when no transport is left. */
  transport: RPATransport | 'poll' | undefined;
  connected: boolean;
  error?: RPAError;
}

type RPAConnectionState = 'idle' | 'connecting' | 'open' | 'waiting' | 'offline' | 'closed';

interface RPACallbacks {
  onProgressUpdate?: (data: RPAUpdate) => void;
  onEstimate?: (estimativas: RPAEstimativas) => void;
  onResult?: (resultado: RPAResultado) => void;
  /** Called when *connected* changes. */
  onConnectionChange?: (connected: boolean, detail: RPAConnection) => void;
  onStateChange?: (state: RPAConnectionState, detail: RPAConnection) => void;
  /** *message* is a Portuguese text for the visitor. */
  onError?: (message: string, error: RPAError) => void;
}

/** All times are in ms. */
interface RPAOptions extends RPACallbacks {
  /** The server's address; default: where the script was loaded from. */
  baseUrl?: string;
  /** A token for the server, or a function that returns one and is called before each connection. */
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
  /** Report every update from the run's first one on, instead of beginning with the whole state. */
  replay?: boolean;
  /** Keeps the state across reloads; default: the tab's sessionStorage; null: not kept. */
  resumeStore?: Pick<Storage, 'getItem' | 'setItem'> | null;
  /** Print every event to the console. */
  debug?: boolean;
  /** Another name of maxAttempts, used if that is not given. */
  maxReconnectAttempts?: number;
  /** Another name of minDelay, used if that is not given. */
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
  /** The run sent no update for stallAfter; the detail is the snapshot. */
  'rpa:stall': CustomEvent<RPASnapshot>;
  'rpa:done': CustomEvent<RPASnapshot>;
}

interface RPAStats {
  /** Connections that were opened or tried. */
  connects: number;
  /** Gaps in the numbers of updates; for each a second connection was opened. */
  gaps: number;
  /** Updates and snapshots that were reported. */
  updates: number;
  /** Messages that were ignored, since the page had seen them before. */
  duplicates: number;
  /** Snapshots that replaced what the page had, without the updates in between. */
  resets: number;
  /** Failures since a connection lasted for minUptime, or since reconnect(); undefined before connect(). */
  tries: number | undefined;
  live: 0 | 1;
  /** 1 while a second connection is tried. */
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
  /** Stop; no timer, listener or connection is left. */
  disconnect(): void;
  /** Connect anew at once, even during a wait. */
  reconnect(): void;
  snapshot(): RPASnapshot | null;
  /** The snapshot at the end of the run; rejects with RPAError if the run failed, or if the client stopped before. */
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

/** The client on WebSocket alone, with other defaults: 5 attempts, a first wait of at most 5 s, a ping after 30 s. */
declare class RPAWebSocketClient extends RPAProgressClient {
  readonly maxReconnectAttempts: number;
  readonly reconnectInterval: number;
  readonly heartbeatInterval: number;
}

/** The attributes of <rpa-progress>, all optional: see docs/webflow.rst. The script tag has them as data-rpa-<name>. */
interface RPAProgressAttributes {
  'session-id': string;
  /** Name of the query parameter in the page's address that has the session id. */
  'session-param': string;
  /** 'event:name': name of an event on the window whose detail has the session id. */
  'session-from': string;
  'base-url': string;
  token: string;
  lang: 'pt-BR' | 'en';
  theme: 'light' | 'dark' | 'auto';
  /** Any of bar, steps, eta, estimate, plans and log, with commas between. */
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

/** The element of rpa-progress.js. The client's events bubble from it; rpa:result and rpa:error may be cancelled. */
interface RPAProgressElement extends HTMLElement {
  /** An open root, so that a page can read it; it is styled by custom properties and ::part. */
  readonly shadowRoot: ShadowRoot;
  setAttribute<K extends keyof RPAProgressAttributes>(name: K, value: RPAProgressAttributes[K]): void;
  setAttribute(name: string, value: string): void;
  /** Stop following, and follow the run that the attributes ask for. */
  restart(): void;
}

interface HTMLElementTagNameMap {
  'rpa-progress': RPAProgressElement;
}

interface GlobalEventHandlersEventMap extends RPAEventMap {}

/** The element's attributes with their names in camel case: contact-url is contactUrl. */
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
  /** A queue of commands: those pushed before the script starts run then, later ones at once. */
  RPAProgress?: RPACommand[];
}
