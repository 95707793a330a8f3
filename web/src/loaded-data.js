// The data that the script loads from the file beside it, rpa-progress.json; the build makes the file from this module
// and style.css. Until it is loaded the widget shows only the most necessary words, in Portuguese, of a plan only the
// price, and no demonstration.

import { LOADED, OUTCOMES } from './outcome.js';
import { TYPICAL } from './time-left.js';

const outcomes = Object.entries(LOADED);
const withHint = outcomes.filter(([, { hint }]) => hint);

/** A plan's fields but its price, in the order in which they are shown: name on the wire, Portuguese label. */
export const fields = [
  ['forma_pagamento', 'Forma de pagamento'],
  ['parcelamento', 'Parcelamento'],
  ['valor_franquia', 'Franquia'],
  ['tipo_franquia', 'Tipo de franquia'],
  ['valor_mercado', 'Valor de mercado'],
  ['assistencia', 'Assistência'],
  ['vidros', 'Vidros'],
  ['carro_reserva', 'Carro reserva'],
  ['danos_materiais', 'Danos materiais'],
  ['danos_corporais', 'Danos corporais'],
  ['danos_morais', 'Danos morais'],
  ['morte_invalidez', 'Morte ou invalidez'],
];

/** Further sentences. Those before `left` are hints: the first whose condition (of data-rpa-show) is true is shown. */
export const words = {
  waiting: 'Assim que o robô começar, o andamento aparece aqui.',
  done: 'Os valores não foram informados.',
  ...Object.fromEntries(withHint.map(([name, { hint }]) => [name, hint])),
  error: 'A cotação parou antes do fim.',
  left: 'Faltam cerca de # min',
  little: 'Falta menos de 1 min',
  late: 'Está demorando mais que o normal; ainda em andamento (etapa #).',
  again: 'Tentando novamente.',
  back: 'Conexão restabelecida.',
  true: 'sim',
  false: 'não',
};

/** The English texts by the Portuguese ones. */
export const en = {
  'Sua cotação': 'Your quote',
  ...Object.fromEntries(outcomes.map(([name, { english }]) => [OUTCOMES[name]._words, english])),
  'Assim que o robô começar, o andamento aparece aqui.': 'As soon as the robot starts, its progress appears here.',
  ...Object.fromEntries(withHint.map(([, { hint, englishHint }]) => [hint, englishHint])),
  'A cotação parou antes do fim.': 'The quote stopped before its end.',
  'Os valores não foram informados.': 'The prices were not given.',
  'Acompanhamento interrompido': 'No longer followed',
  'Não foi possível acompanhar a cotação.': 'The quote could not be followed.',
  'Etapa # de @': 'Step # of @',
  'Tentando novamente.': 'Trying again.',
  'Tempo: #': 'Time: #',
  'Faltam cerca de # min': 'About # min left',
  'Falta menos de 1 min': 'Less than 1 min left',
  'Está demorando mais que o normal; ainda em andamento (etapa #).':
    'This takes longer than usual; still in progress (step #).',
  'Sem conexão. Reconectando… seu pedido continua sendo processado.':
    'No connection. Reconnecting… your request is still being processed.',
  'Conexão restabelecida.': 'The connection is back.',
  'Tentar agora': 'Try now',
  'Falar com um corretor': 'Talk to a broker',
  'Estimativas iniciais': 'First estimates',
  'De # até @': 'From # to @',
  Resultado: 'Result',
  'Plano recomendado': 'Recommended plan',
  'Plano alternativo': 'Alternative plan',
  'não informado': 'not given',
  sim: 'yes',
  não: 'no',
  'Passo a passo': 'Step by step',
  'Forma de pagamento': 'Payment',
  Parcelamento: 'Instalments',
  Franquia: 'Deductible',
  'Tipo de franquia': 'Type of deductible',
  'Valor de mercado': 'Market value',
  Assistência: 'Assistance',
  Vidros: 'Glass',
  'Carro reserva': 'Replacement car',
  'Danos materiais': 'Property damage',
  'Danos corporais': 'Bodily injury',
  'Danos morais': 'Moral damage',
  'Morte ou invalidez': 'Death or disability',
};

const STEPS = ['Iniciando RPA', 'Selecionando tipo de veículo', 'Selecionando veículo com a placa informada',
  'Confirmando seleção do veículo', 'Calculando como novo seguro', 'Elaborando estimativas',
  'Seleção de detalhes do veículo', 'Definição de local de pernoite com o CEP informado', 'Definição do uso do veículo',
  'Preenchimento dos dados pessoais', 'Definição do condutor principal', 'Definição do uso do veículo',
  'Definição do tipo de garagem', 'Definição de residentes', 'Definição do corretor', 'Aguardando cálculo completo'];
const COVERS = [
  { nome: 'Compreensiva', valores: { de: 'R$ 2.350,00', ate: 'R$ 2.980,00' } },
  { nome: 'Roubo e furto', valores: { de: 'R$ 1.280,00', ate: 'R$ 1.690,00' } },
  { nome: 'RCF', valores: { de: 'R$ 1.150,00', ate: 'R$ 1.420,00' } },
];
const PLAN = {
  forma_pagamento: 'Crédito em até 10x sem juros',
  parcelamento: 'anual',
  valor_franquia: 'R$ 3.890,00',
  tipo_franquia: 'Reduzida',
  valor_mercado: '100% da tabela FIPE',
  assistencia: true,
  vidros: true,
  carro_reserva: true,
  danos_materiais: 'R$ 100.000,00',
  danos_corporais: 'R$ 100.000,00',
  danos_morais: 'R$ 20.000,00',
  morte_invalidez: 'R$ 5.000,00',
};

/** Messages of the demonstration, each with the ms until the next: for a step, a quarter of its usual time + 700. */
export const demo = [
  [0, { type: 'sync', recovered: true }],
  ...STEPS.map((mensagem, etapa) => [TYPICAL[etapa] * 250 + 700, {
    type: 'progress_update', etapa, mensagem, ...(etapa === 6 && { estimativas: { coberturas_detalhadas: COVERS } }),
  }]),
  [0, {
    type: 'progress_update', etapa: 15, final: true, estado: 'sucesso',
    resultado: { plano_recomendado: { valor: 2914.35, ...PLAN }, plano_alternativo: { valor: 2487.9, ...PLAN } },
  }],
];
