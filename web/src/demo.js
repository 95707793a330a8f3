// A simulated run that needs no server: what a page sees of a real one, four times as fast. What the file beside the
// script tells of it (learned.demo) makes it richer.
//
// It stands where the browser's WebSocket stands, so that nothing else knows the difference.

import { TYPICAL } from './pace.js';
import { learned } from './texts.js';

const plan = (valor) => ({ valor, ...learned.demo.plan });
const RESULT = () => ({ plano_recomendado: plan(2914.35), plano_alternativo: plan(2487.9) });

/** A WebSocket whose run ends well. */
export function DemoSocket() {
  const tell = (seq, message) => this.onmessage?.({ data: JSON.stringify({ epoch: 'demo', seq, ...message }) });
  const step = (n) => {
    tell(n + 1, {
      type: 'progress_update', etapa: n, mensagem: learned.demo.steps[n] ?? `Tela ${n}`, timestamp: new Date().toISOString(),
      ...(n > 5 && { estimativas: { coberturas_detalhadas: learned.demo.covers } }), ...(n > 15 && { final: true, estado: 'sucesso', resultado: RESULT() }),
    });
    if (n < 16) timer = setTimeout(step, TYPICAL[n] * 250 + 700, n + 1);
  };
  let timer = setTimeout(() => {
    tell(0, { type: 'sync', recovered: true });
    step(0);
  });
  this.send = () => {};
  this.close = () => clearTimeout(timer);
}
