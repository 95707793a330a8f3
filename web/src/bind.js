// Updates elements with data-rpa-* attributes to the state of a run: the page's own elements and the widget's parts.
//
//   data-rpa-text="mensagem"            its text is the view's word of this name (view.js); while that is empty before
//                                       the run, the page's own text stays
//   data-rpa-width="percent"            its width is the percentage
//   data-rpa-show="running stalled"     visible while one of the conditions is true; the page should write hidden, too
//   data-rpa-class="is-late:stalled"    has the class while the condition is true
//   data-rpa-retry                      a click reconnects at once
//
// Words are only ever set as text, so nothing that a server sends can become markup, and pages that enforce Trusted
// Types work.

const SHOWN_TYPES = new Set(['string', 'number']); // a view also has lists, which are not words
const SEPARATORS = /[\s,|]+/;
const filled = new WeakSet(); // elements that were filled by this module

const setWords = (node, words, isWaiting) => {
  if (!SHOWN_TYPES.has(typeof words)) return;
  const isOwn = !words && isWaiting && !filled.has(node); // before the run, the page's own words are better than none
  // Setting the same words again would make a screen reader repeat an alert.
  if (isOwn || node.textContent === String(words)) return;
  node.textContent = words;
  filled.add(node);
};

const setVisible = (node, isVisible) => {
  const { style } = node;
  node.hidden = !isVisible;
  style.display = isVisible ? '' : 'none'; // because a display in the page's style overrules the hidden attribute
  // Many designers hide an element by a class, not by the attribute: then removing the attribute is not enough.
  if (isVisible && getComputedStyle(node).display === 'none') style.display = 'block';
};

/** Update every bound element under *root* to a view. */
export function bind(root, view) {
  const isTrue = (condition) => view.on[condition] === true;
  const each = (name, update) => {
    for (const node of root.querySelectorAll(`[data-rpa-${name}]`)) {
      update(node, node.getAttribute(`data-rpa-${name}`).split(SEPARATORS));
    }
  };
  each('text', (node, [name]) => setWords(node, view[name], view.on.waiting));
  each('retry', (node) => {
    node.onclick = view.onRetry;
  });
  each('width', (node) => {
    node.style.width = view.percent || '';
  });
  each('show', (node, conditions) => setVisible(node, conditions.some(isTrue)));
  each('class', (node, pairs) => {
    for (const pair of pairs) {
      const [name, condition] = pair.split(':');
      if (name) node.classList.toggle(name, isTrue(condition));
    }
  });
}
