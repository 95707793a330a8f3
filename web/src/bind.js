// Elements that follow a run: those that the page's own designer drew, and the widget's parts.
//
//   data-rpa-text="mensagem"            the words, see view.js; before the run the page's own stay
//   data-rpa-width="percent"            the width
//   data-rpa-show="running stalled"     visible while one of the conditions is true; the page itself writes hidden
//   data-rpa-class="is-late:stalled"    a class while a condition is true
//   data-rpa-retry                      a click asks for the connection anew
//
// Words are set as text alone, so nothing that a server sends can become markup, and a page that enforces Trusted Types
// has nothing to object to.

const SHOWN_TYPES = new Set(['string', 'number']); // a view has lists, too, which are no words
const SEPARATORS = /[\s,|]+/;
const filled = new WeakSet(); // elements that have words of ours

const setWords = (node, words, isWaiting) => {
  if (!SHOWN_TYPES.has(typeof words)) return;
  const isOwn = !words && isWaiting && !filled.has(node); // the page's own words are better than none
  // Rewriting an alert with the same words would repeat it.
  if (isOwn || node.textContent === String(words)) return;
  node.textContent = words;
  filled.add(node);
};

const setVisible = (node, isVisible) => {
  const { style } = node;
  node.hidden = !isVisible;
  style.display = isVisible ? '' : 'none'; // a page's own display would overrule the attribute
  // Designers hide an element by a class as often as by the attribute: showing it may take more than removing that.
  if (isVisible && getComputedStyle(node).display === 'none') style.display = 'block';
};

/** Bring every bound element under *root* up to date with a view. */
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
