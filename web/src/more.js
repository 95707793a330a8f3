// What the script takes as data when it starts, from the file beside it. The build writes it into rpa-progress.json,
// together with the style. Without it there is no English, of a plan only its price, and a plainer demonstration.

/** What is told of a plan, in this order: the wire's name, Portuguese, English. */
export const fields = [
  ['forma_pagamento', 'Forma de pagamento', 'Payment'],
  ['parcelamento', 'Parcelamento', 'Instalments'],
  ['valor_franquia', 'Franquia', 'Deductible'],
  ['tipo_franquia', 'Tipo de franquia', 'Type of deductible'],
  ['valor_mercado', 'Valor de mercado', 'Market value'],
  ['assistencia', 'Assistência', 'Assistance'],
  ['vidros', 'Vidros', 'Glass'],
  ['carro_reserva', 'Carro reserva', 'Replacement car'],
  ['danos_materiais', 'Danos materiais', 'Property damage'],
  ['danos_corporais', 'Danos corporais', 'Bodily injury'],
  ['danos_morais', 'Danos morais', 'Moral damage'],
  ['morte_invalidez', 'Morte ou invalidez', 'Death or disability'],
];

/** The words of texts.js in English. */
export const en = {
  title: 'Your quote',
  aguardando: 'Waiting to start',
  executando: 'In progress',
  sucesso: 'Quote ready',
  cotacao_manual: 'A person has to quote this',
  erro: 'We could not finish',
  expirado: 'Quote expired',
  cancelado: 'Quote cancelled',
  manual: 'There is no automatic calculation for this case: the quote has to be made by a person.',
  stopped: 'The quote stopped before its end.',
  unpriced: 'The prices were not given.',
  fault: 'The quote could not be followed.',
  step: 'Step # of @',
  again: 'Trying again.',
  time: 'Time: #',
  about: 'About # min left',
  soon: 'Less than 1 min left',
  late: 'This takes longer than usual; still in progress (step #).',
  offline: 'No connection. Reconnecting… your request is still being processed.',
  retry: 'Try now',
  contact: 'Talk to a broker',
  estimate: 'First estimates',
  range: 'From # to @',
  plans: 'Result',
  recomendado: 'Recommended plan',
  alternativo: 'Alternative plan',
  unknown: 'not given',
  true: 'yes',
  false: 'no',
  log: 'Step by step',
};

/** What the demonstration tells: the robot's words by step, what it saw at the fifth, what both plans have in common. */
export const demo = {
  steps: ['Iniciando RPA', 'Selecionando tipo de veículo', 'Selecionando veículo com a placa informada',
    'Confirmando seleção do veículo', 'Calculando como novo seguro', 'Elaborando estimativas',
    'Seleção de detalhes do veículo', 'Definição de local de pernoite com o CEP informado', 'Definição do uso do veículo',
    'Preenchimento dos dados pessoais', 'Definição do condutor principal', 'Definição do uso do veículo',
    'Definição do tipo de garagem', 'Definição de residentes', 'Definição do corretor', 'Aguardando cálculo completo'],
  estimates: {
    coberturas_detalhadas: [
      { nome: 'Compreensiva', valores: { de: 'R$ 2.350,00', ate: 'R$ 2.980,00' } },
      { nome: 'Roubo e furto', valores: { de: 'R$ 1.280,00', ate: 'R$ 1.690,00' } },
      { nome: 'RCF', valores: { de: 'R$ 1.150,00', ate: 'R$ 1.420,00' } },
    ],
  },
  plan: {
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
  },
};
