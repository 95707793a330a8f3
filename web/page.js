// The script of the server's own page: the list of sessions at "/", one live run at "/?session=<id>".
// Everything that a server sends is shown as text (textContent, text nodes), so nothing in it can become markup;
// the page's Content-Security-Policy (Trusted Types) would refuse markup anyway.

import { OUTCOMES } from './page-outcomes.js';

const byId = (id) => document.getElementById(id);
const element = (tag, className, ...kids) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...kids);
  return node;
};
const setText = (node, words) => { // writing the same words to an alert again would make a screen reader repeat it
  if (node.textContent !== (words || '')) node.textContent = words || '';
  node.hidden = !words;
};

// ---- texts of the list

const isObject = (value) => typeof value === 'object' && value !== null;
const text = (value) => (value === undefined || value === null || isObject(value) ? '' : String(value).trim());
const percentText = (percent) => `${Math.floor(percent)}%`; // rounded down: 99.9 is not yet 100
const stepText = (etapa, total) => { // rounded down: 5.5 is an extra screen of step 5
  if (!Number.isFinite(etapa)) return '';
  return etapa < 1 ? 'Preparação' : `Etapa ${Math.floor(etapa)}${total ? ` de ${text(total)}` : ''}`;
};
const clock = (stamp) => /[T ](\d\d:\d\d:\d\d)/.exec(text(stamp))?.[1] ?? ''; // stamps have no zone: not converted
const isSession = (id) => /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(id) && !id.includes('..');

// ---- one run, shown by the widget

const CONNECTIONS = { open: ['live', 'Ao vivo'], closed: ['off', 'Encerrado'] };

function follow(session) {
  const widget = element('rpa-progress');
  const showConnection = (state, wasLive) => {
    const [kind, words] = CONNECTIONS[state] ?? (wasLive ? ['lost', 'Reconectando…'] : ['wait', 'Conectando…']);
    document.body.dataset.link = kind;
    byId('connection').textContent = words;
  };
  let wasLive = false;
  widget.addEventListener('rpa:connection', ({ detail }) => {
    wasLive ||= detail.connected;
    showConnection(detail.state, wasLive);
  });
  // An animation frame later the widget has drawn the update.
  widget.addEventListener('rpa:progress', ({ detail }) => requestAnimationFrame(() => {
    const words = widget.shadowRoot?.querySelector(detail.final ? '[part=state]' : '[part=percent]')?.textContent;
    if (words) document.title = `${words} · Cotação`;
  }));
  widget.setAttribute('session-id', session);
  widget.setAttribute('show', 'bar,steps,eta,estimate,plans,log');
  widget.setAttribute('theme', 'auto');
  byId('session-id').textContent = session;
  byId('widget').replaceChildren(widget);
  byId('run-view').hidden = byId('connection').hidden = false;
  showConnection('connecting', false);
}

// ---- the list of sessions

const rows = new Map(); // session id → its row, kept between refreshes: focus and a click in progress survive

function makeRow(id) {
  const names = ['pill', 'bar-fill', 'step', 'percent', 'time'];
  const part = Object.fromEntries(names.map((name) => [name, element('span', name)]));
  const bar = element('span', 'bar', part['bar-fill']);
  bar.setAttribute('aria-hidden', 'true');
  const anchor = element('a', 'card row', element('span', 'row-head', element('span', 'row-id', id), part.pill), bar,
    element('span', 'row-meta', part.step, part.percent, part.time));
  anchor.href = `/?session=${encodeURIComponent(id)}`;
  return { node: element('li', '', anchor), anchor, part };
}

function updateRow(item) {
  const id = text(item.session_id);
  if (!rows.has(id)) rows.set(id, makeRow(id));
  const { node, anchor, part } = rows.get(id);
  const percent = Number.isFinite(item.percentual) ? Math.max(0, Math.min(100, item.percentual)) : 0;
  const estado = text(item.estado);
  const { words, kind } = OUTCOMES[estado] ?? { words: estado, kind: 'running' };
  anchor.dataset.kind = kind;
  part.pill.textContent = words;
  part['bar-fill'].style.width = `${percent}%`;
  part.percent.textContent = percentText(percent);
  part.step.textContent = stepText(item.etapa_atual, item.total_etapas);
  part.time.textContent = clock(item.timestamp_atualizacao);
  return node;
}

async function refresh() {
  try {
    const answer = await fetch('/api/sessions', { cache: 'no-store', signal: AbortSignal.timeout(10000) });
    if (answer.status === 403) {
      ask('A lista só aparece na máquina do servidor. Informe o código da sua cotação.');
      return;
    }
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const items = (await answer.json()).sessions.filter((item) => isSession(text(item.session_id)));
    const nodes = [...items.filter((item) => !item.final), ...items.filter((item) => item.final)].map(updateRow);
    const old = byId('sessions').children;
    if (nodes.length !== old.length || nodes.some((node, i) => node !== old[i])) {
      const focused = document.activeElement;
      byId('sessions').replaceChildren(...nodes);
      focused?.focus();
    }
    const none = 'Nenhuma cotação ainda. Assim que um robô começar, ela aparece aqui.';
    setText(byId('list-note'), nodes.length ? '' : none);
  } catch {
    setText(byId('list-note'), 'Sem resposta do servidor. Tentando de novo…');
  }
  // The next request comes 2 s after this answer, and not before the page is visible.
  setTimeout(() => {
    if (document.hidden) document.addEventListener('visibilitychange', refresh, { once: true });
    else refresh();
  }, 2000);
}

function ask(reason) {
  setText(byId('list-note'), reason);
  byId('list-view').hidden = byId('open-form').hidden = false;
  byId('open-id').oninput = () => byId('open-id').setCustomValidity('');
  byId('open-form').onsubmit = (event) => {
    event.preventDefault(); // the page's policy forbids sending forms
    const id = byId('open-id').value.trim();
    byId('open-id').setCustomValidity(isSession(id) ? '' : 'Este código não é válido.');
    if (byId('open-id').reportValidity()) location.assign(`/?session=${encodeURIComponent(id)}`);
  };
}

const wanted = new URLSearchParams(location.search).get('session');
if (!wanted) {
  byId('list-view').hidden = false;
  refresh();
} else if (isSession(wanted)) follow(wanted);
else ask('Este endereço não traz um código de cotação válido. Confira o código:');
