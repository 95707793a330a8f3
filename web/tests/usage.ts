// How a page uses the client, for the compiler. A line after @ts-expect-error must not compile.

const client = new RPAProgressClient('cotacao-123', {
  baseUrl: 'https://rpa.example.com',
  token: async () => 'abc',
  transports: ['websocket', 'sse'],
  resumeStore: null,
  onProgressUpdate: (data) => console.log(data.etapa, data.mensagem?.length),
  onConnectionChange: (connected) => console.log(connected === true),
  onError: (message, error) => console.log(message.length, error.code, error.retryAt),
});

client.addEventListener('rpa:result', (event) => {
  event.preventDefault();
  const price: string | undefined = event.detail.plano_recomendado?.valor;
  console.log(price);
});
client.addEventListener('rpa:connection', ({ detail }) => console.log(detail.transport === 'poll', detail.error?.category));
client.addEventListener('rpa:error', ({ detail }) => {
  if (detail.code === 'auth' && detail.fatal) client.reconnect();
});
client.onEstimate = (found) => found.coberturas_detalhadas?.forEach(({ nome, valores }) => console.log(nome, valores?.de));

async function follow(): Promise<string> {
  const { estado, resultado } = await client.connect().done();
  for await (const event of client) if (event.type === 'rpa:done') break;
  return `${estado} ${resultado?.plano_recomendado?.valor}`;
}
follow().catch((error: unknown) => console.log(error instanceof RPAError && error.status));

const plan = new RPAWebSocketClient('cotacao-123', { maxReconnectAttempts: 5, reconnectInterval: 5000, heartbeatInterval: 30000 });
plan.connect();
const attempts: number = plan.maxReconnectAttempts;
const live: 0 | 1 = plan.stats().live;
console.log(attempts, live, plan.isConnected, plan.snapshot()?.percentual);
plan.disconnect();
console.log(window.RPAProgressClient === RPAProgressClient, window.RPAWebSocketClient, window.RPAError);

// -- the element

(window.RPAProgress = window.RPAProgress || []).push(['start', { sessionId: 'cotacao-123', contactUrl: 'tel:+5511' }]);
const element = document.createElement('rpa-progress');
element.setAttribute('session-id', 'cotacao-123');
element.setAttribute('theme', 'dark');
element.setAttribute('data-mine', 'anything');
element.addEventListener('rpa:result', (event) => {
  event.preventDefault();
  const price: string | undefined = event.detail.plano_recomendado?.valor;
  console.log(price);
});
addEventListener('rpa:done', ({ detail }) => console.log(detail.estado === 'sucesso'));
document.querySelector('rpa-progress')?.restart();
console.log(element.shadowRoot.querySelector('[part=percent]')?.textContent);

// @ts-expect-error there is no such command
window.RPAProgress.push(['stop', {}]);
// @ts-expect-error a session id is text
window.RPAProgress.push(['start', { sessionId: 7 }]);
// @ts-expect-error an error has no such code
addEventListener('rpa:error', ({ detail }) => detail.code === 'smoke');

// @ts-expect-error a session is needed
new RPAProgressClient();
// @ts-expect-error there is no such transport
new RPAProgressClient('x', { transports: ['smoke'] });
// @ts-expect-error the state can't be set
client.state = 'open';
// @ts-expect-error there is no such code
new RPAError('whatever');
// @ts-expect-error the snapshot is not to be changed
client.snapshot()!.percentual = 3;
