// The plain page of the server: the list of sessions at "/", one live run at "/?session=<id>".
// Everything a server sends is shown as text (textContent, text nodes), so nothing in it can become markup;
// the page runs under a policy that would refuse markup anyway.

const $ = (id) => document.getElementById(id);
const el = (tag, cls, ...kids) => {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  node.append(...kids);
  return node;
};
const setText = (node, words) => { // rewriting an alert with the same words would repeat it
  if (node.textContent !== (words || '')) node.textContent = words || '';
  node.hidden = !words;
};

// ---- words

// [label, hint at the end]; no prototype, so that a server's word such as "constructor" finds nothing here
const ESTADOS = Object.assign(Object.create(null), {
  aguardando: ['Aguardando o início'],
  executando: ['Em andamento'],
  sucesso: ['Cotação concluída'],
  cotacao_manual: ['Cotação manual necessária',
    'Não houve cálculo automático para este caso. A cotação precisa ser feita por uma pessoa.'],
  erro: ['Não foi possível concluir', 'A cotação parou antes do fim.'],
  expirado: ['Cotação expirada', 'O robô deixou de dar notícias antes de terminar.'],
  cancelado: ['Cotação cancelada', 'A cotação foi interrompida antes do fim.'],
});
const PLANS = [['plano_recomendado', 'Plano recomendado'], ['plano_alternativo', 'Plano alternativo']];
const FIELDS = [
  ['forma_pagamento', 'Forma de pagamento'], ['parcelamento', 'Parcelamento'], ['valor_franquia', 'Franquia'],
  ['tipo_franquia', 'Tipo de franquia'], ['valor_mercado', 'Valor de mercado'], ['assistencia', 'Assistência'],
  ['vidros', 'Vidros'], ['carro_reserva', 'Carro reserva'], ['danos_materiais', 'Danos materiais'],
  ['danos_corporais', 'Danos corporais'], ['danos_morais', 'Danos morais'],
  ['morte_invalidez', 'Morte ou invalidez'],
];
const isObject = (value) => typeof value === 'object' && value !== null;
const text = (value) => (value === undefined || value === null || isObject(value) ? '' : String(value).trim());
const isKnown = (value) => !['', 'N/A'].includes(text(value));
const say = (value) => {
  if (typeof value === 'boolean') return value ? 'sim' : 'não';
  return isKnown(value) ? text(value).replace(/R\$\s*/g, 'R$ ') : 'não informado';
};
const label = (estado) => ESTADOS[estado]?.[0] ?? text(estado);
const percentText = (percent) => `${Math.floor(percent)}%`; // 99.9 is not yet 100
const stepText = (etapa, total) => { // half steps (5.5) are extra screens of the step before
  if (!Number.isFinite(etapa)) return '';
  return etapa < 1 ? 'Preparação' : `Etapa ${Math.floor(etapa)}${total ? ` de ${text(total)}` : ''}`;
};
const duration = (ms) => {
  const all = Math.max(0, Math.floor(ms / 1000));
  const seconds = String(all % 60);
  return all < 60 ? `${seconds} s` : `${Math.floor(all / 60)} min ${seconds.padStart(2, '0')} s`;
};
const clock = (stamp) => /T(\d\d:\d\d:\d\d)/.exec(text(stamp))?.[1] ?? ''; // no zone in it: cut, not converted
const prices = (words) => words.split(/(R\$ [\d.,]+)/) // a price stays on one line
  .map((part, i) => (i % 2 ? el('span', 'money', part) : part));
const isSession = (id) => /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/.test(id) && !id.includes('..');

// ---- one run as one object

const fresh = (epoch) => ({
  epoch, seq: 0, known: false, etapa: null, total: null, percent: 0, mensagem: '', erro: '', evento: '',
  estado: 'aguardando', final: false, estimativas: null, resultado: null, log: [], start: null, last: 0, heard: 0,
});

function apply(s, m, now = Date.now()) {
  const next = { ...s, known: true, evento: text(m.evento), log: [...s.log, m].slice(-500) };
  if (Number.isFinite(m.etapa)) next.etapa = m.etapa;
  if (Number.isFinite(m.total_etapas)) next.total = m.total_etapas;
  if (Number.isFinite(m.percentual)) next.percent = Math.max(s.percent, Math.min(100, m.percentual)); // never back
  // "RPA success" and the like are the robot's internal full stop, not words for a visitor; the log has them.
  if (text(m.mensagem) && !/^RPA \w+$/.test(text(m.mensagem))) next.mensagem = text(m.mensagem);
  if (!s.final) Object.assign(next, { estado: text(m.estado) || 'executando', final: m.final === true });
  if (isKnown(m.erro)) next.erro = text(m.erro);
  if (isObject(m.estimativas)) next.estimativas = m.estimativas;
  if (isObject(m.resultado)) next.resultado = m.resultado;
  // Durations come from the robot's clock alone. How old its last word is can be told only where its zone is
  // the visitor's: an implausible age (no step takes 15 minutes) counts as none.
  const stamp = Date.parse(text(m.timestamp));
  if (!Number.isNaN(stamp) || s.start === null) {
    next.last = Number.isNaN(stamp) ? now : stamp;
    next.heard = next.last <= now && now - next.last < 900000 ? next.last : now;
    next.start = s.start ?? (Date.parse(text(m.timestamp_inicio)) || next.last);
  }
  return next;
}

function reduce(s, m) {
  if (typeof m.epoch !== 'string' || !Number.isInteger(m.seq)) return apply(s, m); // a bare publication
  // A new run is announced by a reset, so another epoch is the run before.
  if (s.epoch !== null && (m.epoch !== s.epoch || m.seq <= s.seq)) return s;
  return { ...apply(s, m), epoch: m.epoch, seq: m.seq };
}

function restore(s, { epoch, seq, snapshot }) {
  // What was reached within the same run stays reached.
  const kept = s.epoch === epoch ? { percent: s.percent, estimativas: s.estimativas, resultado: s.resultado } : {};
  const erro = Array.isArray(snapshot.erros) ? snapshot.erros[snapshot.erros.length - 1]?.erro : '';
  const update = { ...snapshot, etapa: snapshot.etapa_atual, timestamp: snapshot.timestamp_atualizacao, erro };
  return { ...apply({ ...fresh(epoch), ...kept }, update), seq };
}

// ---- drawing a run

let shown = fresh(null);
let spokenAt = -Infinity;
let speakLater;

/** Tell a screen reader: news at once, steps at most once in 10 s and then only the newest. */
function announce(words, isNews) {
  clearTimeout(speakLater);
  const wait = isNews ? 0 : spokenAt + 10000 - Date.now();
  if (wait > 0) {
    speakLater = setTimeout(announce, wait, words, true);
    return;
  }
  spokenAt = Date.now();
  $('live').append(el('p', '', words));
  if ($('live').children.length > 5) $('live').firstChild.remove();
}

function draw(s) {
  const step = stepText(s.etapa, s.total);
  const name = label(s.estado);
  const message = s.known ? s.mensagem : 'Assim que o robô começar, o andamento aparece aqui.';
  $('run-view').dataset.estado = s.estado;
  $('estado').textContent = name;
  $('step').textContent = step;
  const isRepeated = s.final && [name, s.erro].some((said) => said && message.includes(said));
  setText($('message'), isRepeated ? '' : message);
  setText($('hint'), s.final && ESTADOS[s.estado]?.[1]);
  // A manual quotation is an ordinary ending, told by its label and hint: no alarm.
  const failed = s.final ? ['erro', 'expirado', 'cancelado'].includes(s.estado) : s.evento === 'erro';
  setText($('error'), failed && s.erro);
  if (s.known) {
    $('bar').setAttribute('aria-valuenow', String(Math.round(s.percent * 10) / 10));
    $('bar').setAttribute('aria-valuetext', [step, s.mensagem || name].filter(Boolean).join(': '));
    $('bar-fill').style.width = `${s.percent}%`;
    $('percent').textContent = percentText(s.percent);
    document.title = `${s.final ? name : percentText(s.percent)} · Cotação`;
  }
  drawLog(s.log);
  if (s.estimativas !== shown.estimativas) drawEstimates(s.estimativas);
  if (s.resultado !== shown.resultado || s.final !== shown.final) drawResult(s);
  if (s.final && !shown.final) announce(name, true);
  else if (step && step !== stepText(shown.etapa, shown.total)) announce(`${step}: ${s.mensagem}`, false);
  shown = s;
  tick();
}

function tick() {
  const { known, start, last, heard, final } = shown;
  $('elapsed').textContent = known ? duration(last - start + (final ? 0 : Date.now() - heard)) : '–';
}

function drawLog(log) {
  const list = $('log-list');
  const drawn = shown.log.length;
  if (log[drawn - 1] !== shown.log[drawn - 1]) list.replaceChildren();
  list.append(...log.slice(list.children.length).map((m) => el('li', m.evento === 'erro' ? 'bad' : '',
    el('span', 'when', clock(m.timestamp)),
    el('span', '', [stepText(m.etapa), text(m.mensagem) || text(m.erro)].filter(Boolean).join(' · ')))));
  $('log').hidden = !log.length;
  $('log-count').textContent = `(${log.length})`;
}

function drawEstimates(estimates) {
  const covers = estimates?.coberturas_detalhadas;
  const items = Array.isArray(covers) ? covers.filter(isObject) : [];
  $('estimates').replaceChildren(...items.map((item) => {
    // The robot reads a cover's name and the "De" before its price as one word: "RCFDe".
    const name = text(item.nome ?? item.nome_cobertura).replace(/(\p{Ll}|[A-Z]{2})De$/u, '$1');
    const range = `De ${say(item.valores?.de)} até ${say(item.valores?.ate)}`;
    return el('div', 'tile', el('h3', '', name || 'Cobertura'), el('p', 'range', ...prices(range)));
  }));
  $('estimates').parentElement.hidden = !items.length;
  if (items.length) announce('Estimativas iniciais disponíveis.', true);
}

function drawResult({ resultado, final, estado }) {
  const plans = PLANS.filter(([key]) => isObject(resultado?.[key]));
  const cards = plans.map(([key, name], i) => drawPlan(resultado[key], name, i === 0));
  if (final && estado === 'sucesso' && !cards.length) {
    cards.push(el('p', 'card hint', 'A cotação terminou sem planos informados.'));
  }
  $('result').replaceChildren(...cards);
  $('result').parentElement.hidden = !cards.length;
  const news = plans.map(([key, name]) => `${name}: ${say(resultado[key].valor)}`).join('. ');
  if (news && resultado !== shown.resultado) announce(news, true);
}

function drawPlan(plan, name, isBest) {
  // Where not one word was read, the robot's "false" is only its default and says nothing either.
  const isRead = FIELDS.some(([key]) => plan[key] === true || (plan[key] !== false && isKnown(plan[key])));
  const rows = FIELDS.map(([key, title]) => el('div', isKnown(plan[key]) ? '' : 'none',
    el('dt', '', title), el('dd', '', ...prices(say(plan[key])))));
  return el('article', isBest ? 'card plan best' : 'card plan', el('h3', '', name),
    el('p', isKnown(plan.valor) ? 'price' : 'price none', say(plan.valor)),
    isRead ? el('dl', '', ...rows) : el('p', 'hint', 'O robô não conseguiu ler os detalhes deste plano.'));
}

// ---- the stream of a run

const LINKS = { wait: 'Conectando…', live: 'Ao vivo', lost: 'Reconectando…', off: 'Encerrado' };
let attempts = 0;
let retry = null;
let heartbeat = 15000;

function link(kind) {
  document.body.dataset.link = kind;
  $('connection').textContent = LINKS[kind];
}

function connect(session) {
  clearTimeout(retry);
  retry = null;
  // The first time from the run's first update, so that the log is whole; later from where we are.
  const after = shown.seq ? `${shown.epoch}:${shown.seq}` : '0';
  const origin = `${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}`;
  const socket = new WebSocket(`${origin}/rpa/${session}?after=${encodeURIComponent(after)}`, 'rpa.v1');
  const since = Date.now();
  let asked = false;
  let pulse;
  const lost = (code) => {
    clearTimeout(pulse);
    socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
    const isOver = code >= 4400 && code <= 4499;
    link(isOver ? 'off' : 'lost');
    if (isOver && code !== 4410) setText($('error'), `O servidor recusou esta sessão (código ${code}).`);
    if (isOver) return;
    // Only a connection that lasted starts the waits over: one that opens and falls would be hammered.
    attempts = Date.now() - since > 5000 ? 0 : attempts + 1;
    retry = setTimeout(connect, Math.random() * Math.min(15000, 500 * 2 ** attempts), session);
  };
  // A dead network closes nothing: who leaves a ping unanswered for a heartbeat is given up. The missing answer
  // is what counts, not time passed, because timers of hidden tabs come late.
  const beat = () => {
    if (asked) { lost(1006); return; }
    asked = true;
    if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"ping"}');
    pulse = setTimeout(beat, heartbeat);
  };
  pulse = setTimeout(beat, heartbeat);
  socket.onmessage = ({ data }) => {
    asked = false;
    let message;
    try { message = JSON.parse(data); } catch { return; }
    if (isObject(message)) receive(message);
  };
  socket.onclose = ({ code }) => lost(code);
  socket.onerror = () => { if (socket.readyState === WebSocket.CLOSED) lost(1006); }; // some never say close
}

function receive(message) {
  const { type, epoch, recovered, snapshot } = message;
  if (type === 'sync') {
    link('live');
    if (message.heartbeat_ms >= 1000) heartbeat = message.heartbeat_ms;
  }
  if ((type === 'sync' || type === 'reset') && isObject(snapshot)) draw(restore(shown, message));
  else if (type === 'sync') draw(recovered && epoch !== shown.epoch ? fresh(epoch) : shown);
  else if (type === 'progress_update') draw(reduce(shown, message));
  else if (type === 'error' && !message.temporary) {
    setText($('error'), `O servidor respondeu: ${text(message.message) || text(message.code)}`);
  }
}

function follow(session) {
  $('run-view').hidden = $('connection').hidden = false;
  $('session-id').textContent = session;
  link('wait');
  const hurry = () => { if (retry !== null && !document.hidden) connect(session); };
  addEventListener('online', hurry);
  document.addEventListener('visibilitychange', hurry);
  setInterval(tick, 1000);
  connect(session);
}

// ---- the list of sessions

const rows = new Map(); // kept from one refresh to the next: focus and a click in progress survive

function makeRow(id) {
  const names = ['pill', 'bar-fill', 'step', 'percent', 'time'];
  const part = Object.fromEntries(names.map((name) => [name, el('span', name)]));
  const bar = el('span', 'bar', part['bar-fill']);
  bar.setAttribute('aria-hidden', 'true');
  const anchor = el('a', 'card row', el('span', 'row-head', el('span', 'row-id', id), part.pill), bar,
    el('span', 'row-meta', part.step, part.percent, part.time));
  anchor.href = `/?session=${encodeURIComponent(id)}`;
  return { node: el('li', '', anchor), anchor, part };
}

function updateRow(item) {
  const id = text(item.session_id);
  if (!rows.has(id)) rows.set(id, makeRow(id));
  const { node, anchor, part } = rows.get(id);
  const percent = Number.isFinite(item.percentual) ? Math.max(0, Math.min(100, item.percentual)) : 0;
  anchor.dataset.estado = text(item.estado);
  part.pill.textContent = label(item.estado);
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
    const old = $('sessions').children;
    if (nodes.length !== old.length || nodes.some((node, i) => node !== old[i])) {
      const focused = document.activeElement;
      $('sessions').replaceChildren(...nodes);
      focused?.focus();
    }
    const none = 'Nenhuma cotação ainda. Assim que um robô começar, ela aparece aqui.';
    setText($('list-note'), nodes.length ? '' : none);
  } catch {
    setText($('list-note'), 'Sem resposta do servidor. Tentando de novo…');
  }
  // The next request waits for this answer, and for someone to look.
  setTimeout(() => {
    if (document.hidden) document.addEventListener('visibilitychange', refresh, { once: true });
    else refresh();
  }, 2000);
}

function ask(reason) {
  setText($('list-note'), reason);
  $('list-view').hidden = $('open-form').hidden = false;
  $('open-id').oninput = () => $('open-id').setCustomValidity('');
  $('open-form').onsubmit = (event) => {
    event.preventDefault(); // the page's policy forbids sending forms
    const id = $('open-id').value.trim();
    $('open-id').setCustomValidity(isSession(id) ? '' : 'Este código não é válido.');
    if ($('open-id').reportValidity()) location.assign(`/?session=${encodeURIComponent(id)}`);
  };
}

const wanted = new URLSearchParams(location.search).get('session');
if (!wanted) {
  $('list-view').hidden = false;
  refresh();
} else if (isSession(wanted)) follow(wanted);
else ask('Este endereço não traz um código de cotação válido. Confira o código:');
